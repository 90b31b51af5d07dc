"""One HTTP/1.1 connection: requests out, response heads and bytes of bodies in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn

from penstock.errors import ConnectionLost, MalformedResponse, TimedOut
from penstock.net.head import MAX_HEAD_BYTES, ResponseHead, parse_head
from penstock.net.latch import Latch
from penstock.net.request import Buffer, Flight, Origin
from penstock.net.wire import Channel

_MOST_INTERIM_ANSWERS = 16


class AnsweredEarly(Exception):
    """The other side has begun to answer, or has gone, before it had the whole request."""


class Connection:
    """
    A connection in the hands of one request at a time.

    Args:
        channel: Connected, and begun with the latch of its first request.
        origin: Who is at the other end.
        latch: Of the first request.
        on_close: Called with the connection when it is closed.

    Attributes:
        timeout_s: Longest time in which nothing moves.
        reused: A request before this one went over it.
        idle_since: When it was last put aside, on the monotonic clock.
    """

    __slots__ = (
        "_buffer", "_end", "_on_close", "_start", "_view",
        "channel", "idle_since", "latch", "origin", "reused", "timeout_s",
    )  # fmt: skip

    def __init__(
        self, channel: Channel, origin: Origin, latch: Latch, on_close: Callable[[Connection], None]
    ) -> None:
        self._on_close = on_close
        self.channel = channel
        self.origin = origin
        self.latch = latch
        self.reused = False
        self.idle_since = 0.0
        self.timeout_s = 60.0
        self._buffer = bytearray(MAX_HEAD_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0

    def begin(self, latch: Latch) -> None:
        """Puts a kept connection under the latch of its next request; raises `Tripped` if it has tripped."""
        self.latch = latch
        self.reused = True
        self.channel.begin(latch)

    def quiet(self) -> bool:
        """Whether a kept connection is fit for another request: still open, and nothing unasked came."""
        try:
            return self._start == self._end and self.channel.recv_now(self._view) is None
        except OSError:
            return False

    def close(self, *, reset: bool = True) -> None:
        """Ends the connection, with a reset or in good order; may be repeated."""
        self.channel.close(reset=reset)
        self._on_close(self)

    # Sending

    def send(self, data: Buffer, flight: Flight, *, last: bool) -> int:
        """
        Hands over some of ``data``; about a tick at most without moving.

        Args:
            data: What follows what was sent before.
            flight: Its ``complete`` is set before the kernel may have all, and taken back if it has not.
            last: The request ends with ``data``.

        Raises:
            Tripped: The latch tripped.
            AnsweredEarly: The other side takes no more.
        """
        before = flight.complete
        if last:
            flight.complete = True
        try:
            sent = self.channel.send(data)
        except OSError as error:
            flight.complete = before
            self.latch.check()
            raise AnsweredEarly from error
        if sent < len(data):
            flight.complete = before
        return sent

    def check_for_early_answer(self, flight: Flight) -> None:
        """Raises `AnsweredEarly` if a whole final head is here before the request is out, or the end is."""
        while True:
            received = None
            if self._end < MAX_HEAD_BYTES:
                try:
                    received = self.channel.recv_now(self._view[self._end :])
                except OSError as error:
                    self.latch.check()
                    raise AnsweredEarly from error
            if received is not None:
                self._end += received
            head_end = self._buffer.find(b"\r\n\r\n", self._start, self._end)
            if received == 0 or (head_end < 0 and self._end == MAX_HEAD_BYTES):
                raise AnsweredEarly
            if head_end < 0:
                if received is None:
                    return
            elif self._buffer.startswith(b"HTTP/1.1 1", self._start):
                self._start = head_end + 4  # 100 Continue and the like: go on
            else:
                raise AnsweredEarly

    # Receiving

    def read_head(self, method: str, flight: Flight) -> ResponseHead:
        """
        The head of the final answer, after any interim ones.

        Raises:
            Tripped, ConnectionLost, TimedOut, MalformedResponse: No such head came.
        """
        for _ in range(_MOST_INTERIM_ANSWERS):
            try:
                head = parse_head(self._take_head(flight), method, self.origin)
            except MalformedResponse as error:
                error.request_sent = flight.complete
                raise
            if head.status >= 200:
                return head
            if head.status == 101:
                break
        raise MalformedResponse(
            f"Asked {self.origin.address}; it did not come to a final answer.",
            host=self.origin.address,
            request_sent=flight.complete,
            advice="Check the endpoint: something that is not OSS listens there.",
        )

    def _take_head(self, flight: Flight) -> bytes:
        searched = self._start
        while (head_end := self._buffer.find(b"\r\n\r\n", searched, self._end)) < 0:
            searched = max(self._start, self._end - 3)
            if self._end == MAX_HEAD_BYTES:
                if not self._start:
                    raise self._oversize(flight)
                moved = self._start
                self._compact()
                searched = max(0, searched - moved)
            self._end += self._receive(self._view[self._end :], flight, "before an answer came")
        head = bytes(self._view[self._start : head_end + 4])
        self._start = head_end + 4
        return head

    def _oversize(self, flight: Flight) -> MalformedResponse:
        return MalformedResponse(
            f"Asked {self.origin.address}; the head of its answer is longer than {MAX_HEAD_BYTES} bytes.",
            host=self.origin.address,
            request_sent=flight.complete,
            advice="Check the endpoint: something that is not OSS listens there.",
        )

    def _compact(self) -> None:
        count = self._end - self._start
        self._buffer[:count] = self._buffer[self._start : self._end]
        self._start, self._end = 0, count

    def buffered(self) -> int:
        """Bytes that have arrived and were not taken."""
        return self._end - self._start

    def take(self, most: int) -> bytes:
        """Up to ``most`` of the bytes that have arrived."""
        stop = min(self._end, self._start + most)
        data = bytes(self._view[self._start : stop])
        self._advance(stop)
        return data

    def take_into(self, view: memoryview) -> int:
        """Fills a view with bytes that have arrived; how many there were."""
        count = min(len(view), self._end - self._start)
        view[:count] = self._view[self._start : self._start + count]
        self._advance(self._start + count)
        return count

    def take_line(self, most: int, flight: Flight) -> bytes:
        """
        The bytes up to the next line end, without it, waiting for them.

        Raises:
            MalformedResponse: The line is longer than ``most`` bytes.
            Tripped, ConnectionLost, TimedOut: It did not come.
        """
        while (line_end := self._buffer.find(b"\r\n", self._start, self._end)) < 0:
            if self._end - self._start > most + 1:  # one more may be half of the line end
                break
            if self._end == MAX_HEAD_BYTES:
                self._compact()
            self._end += self._receive(self._view[self._end :], flight, "within the body of its answer")
        if line_end < 0 or line_end - self._start > most:
            raise self.malformed("a line between the chunks of its answer is too long", flight)
        line = bytes(self._view[self._start : line_end])
        self._advance(line_end + 2)
        return line

    def receive_body(self, view: memoryview, flight: Flight) -> int:
        """
        Waits for bytes of a body; 0 only at the end of the stream.

        Raises:
            Tripped, ConnectionLost, TimedOut: They did not come.
        """
        return self._receive(view, flight, "within the body of its answer", end_is_fine=True)

    def _advance(self, to: int) -> None:
        self._start = to
        if to == self._end:
            self._start = self._end = 0

    def _receive(self, view: memoryview, flight: Flight, where: str, *, end_is_fine: bool = False) -> int:
        deadline = 0.0
        while True:
            self.latch.check()
            try:
                received = self.channel.recv_into(view)
            except OSError as error:
                self.fail(flight, where, error)
            if received:
                return received
            self.latch.check()
            if received == 0:
                if end_is_fine:
                    return 0
                self.fail(flight, where)
            now = time.monotonic()
            if not deadline:
                deadline = now + self.timeout_s
            elif now >= deadline:
                raise self.timed_out(flight, "waited for its answer")

    # Errors

    def fail(self, flight: Flight, where: str, error: OSError | None = None) -> NoReturn:
        """Raises `Tripped` if the latch is why the connection broke, else `ConnectionLost`."""
        self.latch.check()
        detail = f": {error.strerror or error}" if error is not None else ""
        raise ConnectionLost(
            f"Asked {self.origin.address}; the connection ended {where}{detail}.",
            host=self.origin.address,
            request_sent=flight.complete,
            advice="Try again; if it happens every time, look for a proxy or firewall in between.",
        ) from error

    def timed_out(self, flight: Flight, doing: str) -> TimedOut:
        """The error for a peer that did nothing for too long."""
        return TimedOut(
            f"Asked {self.origin.address} and {doing}; nothing moved for {self.timeout_s:g} s.",
            host=self.origin.address,
            request_sent=flight.complete,
            advice="Try again, or allow more time (read_timeout_s).",
        )

    def malformed(self, what: str, flight: Flight) -> MalformedResponse:
        """The error for an answer that is not HTTP."""
        return MalformedResponse(
            f"Asked {self.origin.address}, and {what}.",
            host=self.origin.address,
            request_sent=flight.complete,
            advice="A proxy or server in between may be broken; try without it.",
        )
