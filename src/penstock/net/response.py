"""An answer whose head is here and whose body is read as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Self

from penstock.errors import ConnectionLost
from penstock.net.connection import Connection
from penstock.net.head import Framing, ResponseHead
from penstock.net.latch import Latch
from penstock.net.request import Flight
from penstock.net.throttle import Throttle

_CHUNK_BYTES = 262_144
_MOST_CHUNK_LINE_BYTES = 1024
_MOST_TRAILERS = 64


class HttpResponse:
    """
    An answer.

    A body that has arrived together with its head is kept here, and the connection is free at once. Otherwise
    the connection is free when the body was read to its end; `close` before that resets it.

    Attributes:
        status: HTTP status.
        reason: The words after it, perhaps none.
        headers: By lower-case name; what came several times is joined with commas.
        body_bytes: Announced length of the body, or None.

    Raises (all that read):
        Tripped: The latch of the request tripped.
        ConnectionLost: The body is shorter than announced.
        TimedOut: Nothing came for `NetSettings.read_timeout_s`.
        MalformedResponse: The chunks are not as HTTP has them.
    """

    __slots__ = (
        "_connection", "_flight", "_framing", "_kept", "_limit", "_missing", "_release",
        "body_bytes", "headers", "reason", "status",
    )  # fmt: skip

    def __init__(
        self,
        head: ResponseHead,
        connection: Connection,
        flight: Flight,
        release: Callable[[Connection], None],
        *,
        reusable: bool,
    ) -> None:
        self.status = head.status
        self.reason = head.reason
        self.headers: Mapping[str, str] = head.headers
        self.body_bytes = head.body_bytes
        self._framing = head.framing
        self._missing = head.body_bytes or 0  # of the body, or of the chunk at hand
        self._kept = b""
        self._limit: tuple[Throttle, Latch] | None = None
        self._flight = flight
        self._release = release if reusable and head.keep_alive else _close_in_order
        self._connection: Connection | None = connection
        if head.framing is Framing.LENGTH and self._missing <= connection.buffered():
            self._kept = connection.take(self._missing)
            self._missing = 0
            self._finish()

    def limit(self, throttle: Throttle, latch: Latch) -> None:
        """
        From now on the body is read no faster than the throttle allows.

        Held back, the other side may give up: after a gate that was closed for long, expect `ConnectionLost`.

        Args:
            throttle: How fast.
            latch: Of the request; ends the waiting.
        """
        self._limit = (throttle, latch)

    def read(self, n: int = -1) -> bytes:
        """
        Up to ``n`` bytes of the body, all of the rest for -1; empty only at its end.

        Less than ``n`` is returned only at the end of the body.
        """
        if n < 0:
            return b"".join(self)
        pieces: list[bytes] = []
        while n > 0 and (piece := self._read_piece(n)):
            pieces.append(piece)
            n -= len(piece)
        return b"".join(pieces)

    def _read_piece(self, most: int) -> bytes:
        if self._kept:
            piece, self._kept = self._kept[:most], self._kept[most:]
            return piece
        if self._connection is None:
            return b""
        most = min(most, _CHUNK_BYTES)
        if self._framing is Framing.LENGTH:
            most = min(most, self._missing)
        target = bytearray(most)
        with memoryview(target) as view:
            count = self.readinto(view)
        return bytes(target[:count])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fills a buffer with what has come, waiting for at least one byte; 0 at the end of the body."""
        view = memoryview(buffer)
        if self._limit is None or not self._limit[0].limited or not view:
            return self._readinto(view)
        return self._readinto_limited(view, *self._limit)

    def _readinto_limited(self, view: memoryview, throttle: Throttle, latch: Latch) -> int:
        if not self._kept and self._connection is None:
            return 0
        try:
            granted = throttle.take(len(view), latch)
        except BaseException:
            self.close()
            raise
        count = 0
        try:
            count = self._readinto(view[:granted])
        finally:
            throttle.charge(count - granted)
        return count

    def _readinto(self, view: memoryview) -> int:
        if self._kept:
            count = min(len(view), len(self._kept))
            view[:count] = self._kept[:count]
            self._kept = self._kept[count:]
            return count
        if self._connection is None or not view:
            return 0
        try:
            return self._read_some(self._connection, view)
        except BaseException:
            self.close()
            raise

    def _read_some(self, connection: Connection, view: memoryview) -> int:
        if self._framing is Framing.CHUNKED and not self._missing:
            self._missing = self._next_chunk(connection)
            if not self._missing:
                self._finish()
                return 0
        if self._framing is not Framing.UNTIL_CLOSE:
            view = view[: self._missing]
        if connection.buffered():
            count = connection.take_into(view)
        else:
            count = connection.receive_body(view, self._flight)
        if not count:
            if self._framing is not Framing.UNTIL_CLOSE:
                raise self._shorter(connection)
            self._finish()
            return 0
        if self._framing is not Framing.UNTIL_CLOSE:
            self._missing -= count
            if not self._missing:
                if self._framing is Framing.LENGTH:
                    self._finish()
                elif connection.take_line(0, self._flight):
                    raise connection.malformed(
                        "a chunk of its answer does not end where it should", self._flight
                    )
        return count

    def _next_chunk(self, connection: Connection) -> int:
        line = connection.take_line(_MOST_CHUNK_LINE_BYTES, self._flight)
        digits = line.partition(b";")[0].strip(b" \t")
        if not digits or len(digits) > 15 or digits.strip(b"0123456789abcdefABCDEF"):
            raise connection.malformed(f"a chunk of its answer begins with {line[:40]!r}", self._flight)
        size = int(digits, 16)
        if size == 0:
            for _ in range(_MOST_TRAILERS):
                if not connection.take_line(_MOST_CHUNK_LINE_BYTES * 8, self._flight):
                    return 0
            raise connection.malformed("its answer ends with too many trailers", self._flight)
        return size

    def _shorter(self, connection: Connection) -> ConnectionLost:
        return ConnectionLost(
            f"Asked {connection.origin.address}; the answer ended {self._missing} bytes before its end.",
            host=connection.origin.address,
            request_sent=self._flight.complete,
            advice="Try again; a download can go on where it stopped.",
        )

    def __iter__(self) -> Iterator[bytes]:
        """The rest of the body in pieces of 256 KiB at most."""
        if self._kept:
            kept, self._kept = self._kept, b""
            yield kept
        if self._connection is None:
            return
        target = bytearray(
            min(_CHUNK_BYTES, self._missing) if self._framing is Framing.LENGTH else _CHUNK_BYTES
        )
        view = memoryview(target)
        while count := self.readinto(view):
            yield bytes(view[:count])

    def close(self) -> None:
        """Gives up what was not read; the connection is reset unless the body was read to its end."""
        connection, self._connection = self._connection, None
        self._kept = b""
        if connection is not None:
            connection.close()

    def _finish(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._release(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self.close()


def _close_in_order(connection: Connection) -> None:
    connection.close(reset=False)
