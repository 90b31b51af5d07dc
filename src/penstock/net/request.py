"""What is asked of the network, and the record of how far one asking came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

Buffer = bytes | bytearray | memoryview
"""Bytes that can be sent without a copy."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Origin(msgspec.Struct, frozen=True):
    """
    Who is spoken to.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or address; an IPv6 address without brackets.
        port: TCP port.
    """

    scheme: Literal["http", "https"]
    host: str
    port: int

    @property
    def address(self) -> str:
        """``host:port``, for people and for CONNECT."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def host_header(self) -> str:
        """The value of the Host header: without the port where it is the scheme's own."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return f"[{self.host}]" if ":" in self.host else self.host
        return self.address


class HttpRequest(msgspec.Struct, frozen=True):
    """
    One request, complete but for what HTTP itself needs (Host, Content-Length, Transfer-Encoding).

    Attributes:
        origin: Who is asked.
        method: Upper-case method.
        target: Path and query, already percent-encoded.
        headers: Name and value pairs, sent in this order; values are encoded as UTF-8.
        body: Bytes, or an iterable of them, or None. The pieces of an iterable may share one buffer: a
            piece is not looked at again once the next one was asked for.
        body_bytes: Length of an iterable body; None sends it chunked. Ignored for bytes.
        replayable: Whether the request may be sent a second time, unasked, if a kept connection turns out
            to be dead before any of the answer came. None: if the body can be sent again, and the method
            is idempotent or part of the request was certainly missing.
        read_timeout_s: Overrides `NetSettings.read_timeout_s`.
    """

    origin: Origin
    method: str
    target: str
    headers: Sequence[tuple[str, str]] = ()
    body: Buffer | Iterable[Buffer] | None = None
    body_bytes: int | None = None
    replayable: bool | None = None
    read_timeout_s: float | None = None


class Flight:
    """
    How far one request came; to be read after an error or an abort.

    Attributes:
        started: Some of the request may have been handed to the kernel.
        sent_bytes: Bytes of the body that were handed over, at least.
        complete: All of the request was handed over, or may have been: the other side may act on it.
        connection_reused: It went over a connection that had served before.
        tries: Connections it was sent over; 2 if a dead kept connection was replaced.
        lost: It was handed over whole before, to the connection that was replaced, or may have been.
    """

    __slots__ = ("complete", "connection_reused", "lost", "sent_bytes", "started", "tries")

    def __init__(self) -> None:
        self.started = False
        self.sent_bytes = 0
        self.complete = False
        self.connection_reused = False
        self.tries = 0
        self.lost = False

    def begin_again(self) -> None:
        """Note that the connection turned out dead, and the request goes over another one."""
        self.lost = self.lost or self.complete
        self.complete = False
        self.sent_bytes = 0

    def __repr__(self) -> str:
        return (
            f"Flight(started={self.started}, sent_bytes={self.sent_bytes}, complete={self.complete}, "
            f"connection_reused={self.connection_reused}, tries={self.tries}, lost={self.lost})"
        )
