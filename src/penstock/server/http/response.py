"""An answer as the app gives it: a status, headers, and bytes or the place where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from penstock.server.store.interface import OpenObject, Segment


class ObjectBody:
    """
    Bytes of a stored object, still in the store; whoever sends them closes it.

    Attributes:
        length: How many bytes will be sent.
    """

    def __init__(self, opened: OpenObject, offset: int, length: int) -> None:
        self._opened = opened
        self._offset = offset
        self.length = length

    def segments(self) -> Iterator[Segment]:
        """The runs to send, in order; each is valid until the next is asked for."""
        return self._opened.segments(self._offset, self.length)

    def read(self) -> bytes:
        """All of it in one piece."""
        return self._opened.read(self._offset, self.length)

    def close(self) -> None:
        """Lets go of the object; may be called again."""
        self._opened.close()


@dataclass(frozen=True, slots=True)
class About:
    """What an answer is to, for those who count and log; empty where it is not known."""

    operation: str = ""
    bucket: str = ""
    key: str = ""
    access_key_id: str = ""
    code: str = ""


UNKNOWN = About()


@dataclass(frozen=True, slots=True)
class Response:
    """
    One answer.

    Attributes:
        status: HTTP status.
        headers: In the order in which they are sent. ``content-length`` is added by the listener unless it
            stands here, as it does in answers to HEAD.
        body: Bytes, an object's bytes, or None for an answer that has none.
        close: True if nothing more may be read from this connection.
        bytes_per_s: Speed limit that the caller asked for, or None.
        chunked: True if the body, which is bytes then, is sent in chunks, without its length.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | ObjectBody | None = None
    close: bool = False
    bytes_per_s: float | None = None
    chunked: bool = False
    about: About = UNKNOWN

    def discard(self) -> None:
        """Lets go of what the body holds, for an answer that will not be sent."""
        if isinstance(self.body, ObjectBody):
            self.body.close()
