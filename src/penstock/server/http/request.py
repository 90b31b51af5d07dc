"""A request as the app sees it: the head, with no socket behind it. Its body is handed in afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """
    The head of one HTTP request.

    Attributes:
        method: As sent; HTTP methods are upper-case.
        path: Target up to the ``?``, percent-encoded as it came.
        query: What follows the ``?``, without it; percent-encoded as it came.
        headers: By lower-case name. What came more than once is joined with a comma.
        body_bytes: Announced length of the body; None if only its end will tell (chunked).
        peer: IP address of the other side.
        received_at_s: Unix time at which the head was complete.
        secure: True if it came over TLS.
        takes_chunks: False if the answer must not come in chunks (HTTP/1.0).
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body_bytes: int | None = 0
    peer: str = "127.0.0.1"
    received_at_s: float = 0.0
    secure: bool = False
    takes_chunks: bool = True

    @property
    def length_given(self) -> bool:
        """Whether the request says how its body ends; OSS asks it of those that store bytes."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers

    @property
    def target(self) -> str:
        """Path and query as one text."""
        return f"{self.path}?{self.query}" if self.query else self.path
