"""Sending one request: head and body, counted, watched for an early answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from penstock.errors import SourceEndedEarly, SourceGrew
from penstock.net.connection import Connection
from penstock.net.payload import Payload, byte_view
from penstock.net.request import Buffer, Flight
from penstock.net.throttle import Throttle

JOINED_BYTES = 16_384
"""As much of a body as leaves in one piece with the head."""

_WATCH_EVERY_BYTES = 1_048_576

Progress = Callable[[int], None]


class Outflow:
    """
    The sending side of one exchange.

    Args:
        connection: Where to.
        flight: Is kept up to date.
        on_sent: Called with the bytes of the body handed over so far, or None.
        throttle: Says how fast the body may leave, or None.
    """

    __slots__ = ("_connection", "_first", "_on_sent", "_throttle", "flight")

    def __init__(
        self,
        connection: Connection,
        flight: Flight,
        on_sent: Progress | None,
        throttle: Throttle | None = None,
    ) -> None:
        self._connection = connection
        self.flight = flight
        self._on_sent = on_sent
        self._throttle = throttle
        self._first = True

    def send(self, head: bytes, payload: Payload) -> None:
        """Sends head and body in the way that suits the body; raises what that way raises."""
        if payload.pieces is None:
            self.send_bytes(head, payload.data)
        elif payload.body_bytes is None:
            self.send_chunks(head, payload.pieces)
        else:
            self.send_pieces(head, payload.pieces, payload.body_bytes)

    def send_bytes(self, head: bytes, body: Buffer) -> None:
        """
        Sends head and body; a small body in the same piece as the head.

        Raises:
            AnsweredEarly: The answer, or the end, came before all was sent.
            Tripped: The latch tripped.
            TimedOut: The other side took nothing for too long.
        """
        if not len(body):
            self._push(head, len(head), last=True)
        elif len(body) <= JOINED_BYTES:
            self._push(b"".join((head, body)), len(head), last=True)
        else:
            view = memoryview(body)
            self._push(b"".join((head, view[:JOINED_BYTES])), len(head), last=False)
            self._push(view[JOINED_BYTES:], 0, last=True)

    def send_pieces(self, head: bytes, pieces: Iterable[Buffer], body_bytes: int) -> None:
        """
        Sends head and a body of announced length that comes in pieces.

        The end of the last piece is held back until the source has said that nothing follows. So the other
        side never has a whole body that is not the whole source.

        Raises:
            SourceEndedEarly: The source gave less.
            SourceGrew: The source gives more.
            AnsweredEarly, Tripped, TimedOut: As `send_bytes`.
        """
        held = head
        overhead = len(head)
        missing = body_bytes
        for piece in pieces:
            self._connection.latch.check()
            view = byte_view(piece)
            if not view:
                continue
            missing -= len(view)
            if missing < 0:
                raise SourceGrew(
                    f"The source gave more than the {body_bytes} bytes announced to {self._address}.",
                    advice="It was changed while it was sent: send it again.",
                )
            if not missing:
                # Copied, because the source may reuse its buffer when it is asked for more.
                kept = bytes(view[-JOINED_BYTES:])
                view = view[: -len(kept)]
                if held and view:
                    self._push(held, overhead, last=False)
                    held, overhead = b"", 0
                if view:
                    self._push(view, 0, last=False)
                held += kept
            else:
                if held:
                    joined = b"".join((held, view[:JOINED_BYTES]))
                    self._push(joined, overhead, last=False)
                    held, overhead = b"", 0
                    view = view[JOINED_BYTES:]
                if view:
                    self._push(view, 0, last=False)
        if missing:
            raise SourceEndedEarly(
                f"The source gave {body_bytes - missing} of {body_bytes} bytes announced to {self._address}.",
                advice="It was changed while it was sent: send it again.",
            )
        self._push(held, overhead, last=True)

    def send_chunks(self, head: bytes, pieces: Iterable[Buffer]) -> None:
        """
        Sends head and a body of unknown length in chunks; the last chunk only when the source has ended.

        Raises:
            AnsweredEarly, Tripped, TimedOut: As `send_bytes`.
        """
        held = head
        for piece in pieces:
            self._connection.latch.check()
            view = byte_view(piece)
            if not view:
                continue
            start = b"".join((held, b"%x\r\n" % len(view)))
            first = view[:JOINED_BYTES]
            self._push(b"".join((start, first)), len(start), last=False)
            if len(view) > JOINED_BYTES:
                self._push(view[JOINED_BYTES:], 0, last=False)
            held = b"\r\n"
        end = b"".join((held, b"0\r\n\r\n"))
        self._push(end, len(end), last=True)

    @property
    def _address(self) -> str:
        return self._connection.origin.address

    def _push(self, data: Buffer, overhead: int, *, last: bool) -> None:
        connection, flight = self._connection, self.flight
        if self._first:
            self._first = False
            flight.started = True
        else:
            connection.check_for_early_answer(flight)
        sent = 0
        if self._throttle is None or not self._throttle.limited:
            sent = connection.send(data, flight, last=last)
            if sent == len(data):
                self._count(sent - overhead)
                return
        self._push_slowly(memoryview(data), sent, overhead, last=last)

    def _push_slowly(self, view: memoryview, sent: int, overhead: int, *, last: bool) -> None:
        connection, flight, throttle = self._connection, self.flight, self._throttle
        moved_at = time.monotonic()
        unwatched_bytes = 0
        granted_bytes = 0
        while True:
            if sent:
                moved_at = time.monotonic()
                unwatched_bytes += sent
                self._count(max(sent - overhead, 0))
                overhead = max(overhead - sent, 0)
                view = view[sent:]
                if not view:
                    return
            elif time.monotonic() - moved_at >= connection.timeout_s:
                raise connection.timed_out(flight, "was sending")
            connection.latch.check()
            if not sent or unwatched_bytes >= _WATCH_EVERY_BYTES:
                unwatched_bytes = 0
                connection.check_for_early_answer(flight)
            if throttle is None or not throttle.limited or len(view) == overhead:
                sent = connection.send(view, flight, last=last)
                continue
            if not granted_bytes:
                granted_bytes = throttle.take(len(view) - overhead, connection.latch)
                moved_at = time.monotonic()
            sent = connection.send(view[: overhead + granted_bytes], flight, last=last)
            if sent < len(view):
                flight.complete = False
            granted_bytes -= max(sent - overhead, 0)
            if granted_bytes < 0:  # TLS had taken more before there was a limit
                throttle.charge(-granted_bytes)
                granted_bytes = 0

    def _count(self, body_bytes: int) -> None:
        if body_bytes:
            self.flight.sent_bytes += body_bytes
            if self._on_sent is not None:
                self._on_sent(self.flight.sent_bytes)
