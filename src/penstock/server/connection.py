"""
One connection, from its first request to its end: heads, bodies, answers, one after the other.

Small bodies are gathered and handled in one go on a worker. Large ones are handed to a worker piece by
piece, straight from the buffer they were received in, while the next piece is received into another.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from dataclasses import dataclass, field

from penstock.protocol.error_table import fault
from penstock.server import access_log
from penstock.server.app import App
from penstock.server.exchange import Exchange
from penstock.server.http.body_reader import BodyReader
from penstock.server.http.bounds import Limits, Patience
from penstock.server.http.chunked import ChunksInvalid
from penstock.server.http.head import END, MAX_HEAD_BYTES, Head, HeadInvalid, read_head
from penstock.server.http.request import Request
from penstock.server.http.response import Response
from penstock.server.http.sender import Sender
from penstock.server.http.stream import Stream, StreamLost, StreamStalled
from penstock.server.http.traffic import Pace
from penstock.server.http.waiting import Waiting
from penstock.server.http.wire import body_bytes
from penstock.server.http.workers import Workers
from penstock.server.interceptor import ConnectionCut, Interceptor, Seen
from penstock.server.metrics import Metrics

SMALL_BODY_BYTES = 64 * 1024
"""Bodies up to this size are gathered before anything is done with them."""

LARGE_BUFFER_BYTES = 512 * 1024
_LINGER_BYTES = 64 * 1024 * 1024
_MOST_EMPTY_BYTES = 64
_BODILESS = frozenset({"GET", "HEAD"})

__all__ = ["Connection", "Limits", "Patience", "Shared"]

logger = logging.getLogger("penstock.server")


@dataclass(slots=True)
class Shared:
    """
    What the connections of one listener share.

    Attributes:
        workers: Where the store is asked.
        waiters: Where others are waited for, so that this takes no worker from those who ask the store.
        stopping: True once no further request is begun on any connection.
        spare: Large buffers that are not in use.
        started: Requests so far.
        limits: How much is taken on at once.
        metrics: What is counted.
        strict_framing: Whether a length beside chunks is refused.
        waiting: Connections of which the server wants something before it does anything.
    """

    app: App
    workers: Workers
    waiters: Workers
    patience: Patience
    interceptor: Interceptor | None
    spare: list[bytearray]
    stopping: bool = False
    started: int = 0
    limits: Limits = field(default_factory=Limits)
    metrics: Metrics = field(default_factory=Metrics)
    strict_framing: bool = False
    waiting: Waiting = field(default_factory=Waiting)

    def large_buffer(self) -> bytearray:
        return self.spare.pop() if self.spare else bytearray(LARGE_BUFFER_BYTES)

    def give_back(self, buffer: bytearray | None) -> None:
        if buffer is not None and len(buffer) == LARGE_BUFFER_BYTES and len(self.spare) < 16:
            self.spare.append(buffer)


class Connection:
    """Serves the requests of one stream until it ends."""

    def __init__(self, stream: Stream, shared: Shared) -> None:
        self._stream = stream
        self._shared = shared
        self._patience = shared.patience
        self._loop = asyncio.get_running_loop()
        self._secure = stream.transport.get_extra_info("sslcontext") is not None
        peer = stream.transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else ""
        self._sender = Sender(stream, shared.workers, self._patience.body_s, secure=self._secure)
        self._response: Response | None = None
        self._received = 0
        self._in_flight = False
        self.idle = True

    async def serve(self) -> None:
        """One request after the other; the stream is closed when this returns."""
        try:
            while not self._shared.stopping and (head := await self._next_head()) is not None:
                self.idle = False
                if not await self._one(head):
                    break
                self.idle = True
        except HeadInvalid as error:
            refusal = fault("BadRequest", message=f"This is {error}.")
            await self._give_up(self._shared.app.refuse(refusal))
        except ConnectionCut as cut:
            self._stream.abort(reset=cut.reset)
        except StreamStalled:
            # Whoever takes nothing would keep the unsent rest in the kernel for as long as it likes.
            self._stream.abort(reset=True)
        except (StreamLost, OSError):
            self._stream.abort()
        except Exception:
            # The wall of the connection: the others must go on.
            logger.exception("the connection from %s failed", self._peer)
            self._stream.abort()
        finally:
            self._shared.waiting.over(self.end)
            self._stream.close()

    def end(self) -> None:
        """Ends the connection, whatever it waits for."""
        self._stream.close()

    def end_if_idle(self) -> None:
        """Ends the connection unless it is in the middle of a request."""
        if self.idle:
            self._stream.close()

    # -- heads

    async def _next_head(self) -> Head | None:
        stream = self._stream
        searched = skipped = 0
        deadline = 0.0
        self._shared.waiting.begin(self.end, self._loop.time())
        while True:
            empty = self._skip_empty_lines()
            searched, skipped = max(0, searched - empty), skipped + empty
            if skipped > _MOST_EMPTY_BYTES:
                raise HeadInvalid("nothing but empty lines")
            at = stream.find(END, max(0, searched - 3))
            if at >= 0:
                return read_head(stream.take(at + len(END)), strict_framing=self._shared.strict_framing)
            self._check_line_ends(max(0, searched - 2))
            searched = stream.available
            if searched >= MAX_HEAD_BYTES:
                raise HeadInvalid(f"a head of more than {MAX_HEAD_BYTES} bytes")
            if searched and not deadline:
                self.idle = False
                self._shared.waiting.begin(self.end, self._loop.time())
                deadline = self._loop.time() + self._patience.head_s
            timeout_s = deadline - self._loop.time() if deadline else self._patience.idle_s
            try:
                if not await stream.more(timeout_s):
                    return None
            except StreamStalled:
                return None

    def _check_line_ends(self, start: int) -> None:
        """Refuses a head that others would take for ended here, and that would never end otherwise."""
        # Where all lines end in CR LF, the end would have been found before.
        if any(self._stream.find(end, start) >= 0 for end in (b"\n\n", b"\n\r\n", b"\r\r")):
            raise HeadInvalid("a head with lines that do not end in CR LF")

    def _skip_empty_lines(self) -> int:
        """Passes over what some clients send after a body; gives how many bytes that was."""
        size = 0
        with self._stream.peek() as view:
            while bytes(view[size : size + 2]) == b"\r\n":
                size += 2
        self._stream.skip(size)
        return size

    # -- one request

    async def _one(self, head: Head) -> bool:
        """Answers one request, counts and logs it; False if the connection ends with it."""
        shared = self._shared
        shared.started += 1
        began = self._loop.time()
        self._response, self._received = None, 0
        request = Request(
            method=head.method,
            path=head.path,
            query=head.query,
            headers=head.headers,
            body_bytes=head.body_bytes,
            peer=self._peer,
            received_at_s=time.time(),
            secure=self._secure,
            takes_chunks=head.takes_chunks,
        )
        try:
            return await self._answer(head, request)
        finally:
            self._end_flight()
            if self._response is not None:
                self._note(request, self._response, self._loop.time() - began)

    def _begin_flight(self) -> bool:
        """From here on the request costs more than its connection; False if too many are under way."""
        shared = self._shared
        shared.waiting.over(self.end)
        self._in_flight = shared.metrics.in_flight < shared.limits.requests
        shared.metrics.in_flight += self._in_flight
        return self._in_flight

    def _end_flight(self) -> None:
        self._shared.metrics.in_flight -= self._in_flight
        self._in_flight = False

    def _busy(self, method: str) -> Response:
        return self._shared.app.refuse(fault("ServiceUnavailable"), method)

    def _note(self, request: Request, response: Response, seconds: float) -> None:
        sent = body_bytes(response) if request.method != "HEAD" else 0
        self._shared.metrics.note(
            response.about.operation,
            response.status,
            received_bytes=self._received,
            sent_bytes=sent,
            seconds=seconds,
        )
        access_log.write(request, response, sent_bytes=sent, received_bytes=self._received, seconds=seconds)

    async def _send(self, response: Response, *, keep_alive: bool) -> None:
        self._response = response
        await self._sender.send(response, keep_alive=keep_alive)

    async def _answer(self, head: Head, request: Request) -> bool:
        shared = self._shared
        seen = Seen(request, shared.started) if shared.interceptor is not None else None
        if seen is not None and shared.interceptor is not None:
            bent = await shared.interceptor.on_head(seen)
            if bent is not None:
                await self._give_up(bent)
                return False
        if head.method in _BODILESS and head.body_bytes != 0:
            # Some clients announce a body that they do not have. Nothing depends on it: it is not waited for.
            await self._give_up(await self._handle(request, b"", seen))
            return False
        reader = BodyReader(head.body_bytes)
        gathered: bytes | bytearray | None = None
        if not head.expects_continue:
            gathered = await self._gather(head, reader, seen)
        if gathered is not None and reader.done:
            response = await self._handle(request, gathered, seen)
        else:
            response = await self._receive(head, request, reader, gathered or b"", seen)
            if not reader.done:
                await self._give_up(response)
                return False
        keep_alive = head.keep_alive and not response.close and not shared.stopping
        await self._send(response, keep_alive=keep_alive)
        return keep_alive

    async def _handle(self, request: Request, body: bytes | bytearray, seen: Seen | None) -> Response:
        if not self._begin_flight():
            return self._busy(request.method)
        response = await self._intercept_store(seen)
        if response is None:
            exchange = await self._shared.workers.run(self._shared.app.carry_out, request, body)
            response = await self._answer_of(exchange)
        return await self._intercept_response(seen, response)

    async def _answer_of(self, exchange: Exchange) -> Response:
        if exchange.response is not None:
            return exchange.response
        return await self._shared.waiters.run(exchange.wait)

    async def _gather(self, head: Head, reader: BodyReader, seen: Seen | None) -> bytes | bytearray | None:
        """The body, if it is small and comes whole; else as much as was taken, or None if nothing was."""
        stream, length = self._stream, head.body_bytes
        if length == 0:
            return b""
        if length is not None:
            if length > SMALL_BODY_BYTES:
                return None
            # A body that is not all there yet is left in the buffer, so that `_receive` finds it.
            if not await self._need(length):
                return None
            data = stream.take(length)
            self._received += length
            reader.feed(memoryview(data))
            await self._intercept_body(seen, length)
            return data
        gathered = bytearray()
        deadline = self._loop.time() + self._patience.body_s
        while not reader.done and len(gathered) < SMALL_BODY_BYTES:
            if not stream.available and not await self._arrives(deadline - self._loop.time()):
                return gathered
            before = len(gathered)
            with stream.peek() as view:
                pieces, size = self._feed(reader, view)
                for piece in pieces:
                    gathered += piece
                    piece.release()
                held_up = size < len(view)
            stream.skip(size)
            if held_up and not reader.done:
                # It has many small chunks: the others have their turn between them.
                await asyncio.sleep(0)
            self._received += len(gathered) - before
            await self._intercept_body(seen, len(gathered) - before)
        return gathered

    async def _need(self, size: int) -> bool:
        try:
            return await self._stream.need(size, self._patience.body_s)
        except StreamStalled:
            return False

    def _feed(self, reader: BodyReader, view: memoryview) -> tuple[list[memoryview], int]:
        try:
            return reader.feed(view)
        except ChunksInvalid as error:
            raise HeadInvalid(f"a body whose chunks cannot be read: {error}") from error

    async def _receive(
        self, head: Head, request: Request, reader: BodyReader, begun: bytes | bytearray, seen: Seen | None
    ) -> Response:
        """Opens the exchange and hands the body over as it arrives; ``begun`` is what was taken already."""
        exchange = await self._shared.workers.run(self._shared.app.open, request)
        try:
            if exchange.response is not None:
                return await self._intercept_response(seen, exchange.response)
            if not self._begin_flight():
                return self._busy(request.method)
            if head.expects_continue and not reader.done and not self._stream.available:
                self._stream.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            early = await self._pump(exchange, reader, begun, seen)
            if early is not None:
                return early
            response = await self._intercept_store(seen)
            if response is None:
                await self._shared.workers.run(exchange.finish)
                response = await self._answer_of(exchange)
            return await self._intercept_response(seen, response)
        finally:
            self._shared.give_back(self._stream.release())
            await self._shared.workers.run(exchange.close)

    async def _pump(
        self, exchange: Exchange, reader: BodyReader, begun: bytes | bytearray, seen: Seen | None
    ) -> Response | None:
        """Moves the body into the exchange; an answer here comes before its end."""
        shared, stream = self._shared, self._stream
        pace = Pace(exchange.bytes_per_s, self._loop.time()) if exchange.bytes_per_s else None
        began = self._loop.time()
        writing: asyncio.Future[None] | None = None
        written: bytearray | None = None
        try:
            if begun:
                await shared.workers.run(exchange.receive, [begun])
            while not reader.done and exchange.response is None:
                # What is being written may be refused, and the other side wait to hear of it.
                ready = stream.available or writing is not None
                arrived = ready or await self._arrives(self._patience.body_s)
                too_long, too_slow = self._lasts(began)
                if not arrived or too_long or too_slow:
                    cut_short = functools.partial(
                        exchange.cut_short, stalled=not stream.ended, too_long=too_long
                    )
                    return await shared.workers.run(cut_short)
                if writing is not None:
                    # While this is awaited, the loop goes on receiving into the other buffer.
                    await asyncio.shield(writing)
                    writing = None
                    shared.give_back(written)
                    written = None
                    if exchange.response is not None or not stream.available:
                        continue
                buffer, view = stream.exchange(shared.large_buffer())
                pieces, size = self._feed(reader, view)
                stream.put_back(view[size:])
                stream.resume()
                moved = sum(map(len, pieces))
                self._received += moved
                written, writing = buffer, shared.workers.run(exchange.receive, pieces)
                del view, pieces
                await self._intercept_body(seen, moved)
                if pace is not None:
                    await asyncio.sleep(pace.delay_s(moved, self._loop.time()))
            return None
        finally:
            if writing is not None:
                # Whatever happens, the exchange is in one pair of hands at a time.
                await asyncio.shield(writing)
            shared.give_back(written)

    def _lasts(self, began: float) -> tuple[bool, bool]:
        """Whether a body takes longer than any may, and whether it is sent too slowly to be meant."""
        patience, lasted_s = self._patience, self._loop.time() - began
        too_slow = lasted_s > patience.body_s and self._received < lasted_s * patience.least_bytes_per_s
        return lasted_s > patience.request_s, too_slow

    async def _arrives(self, timeout_s: float) -> bool:
        try:
            return await self._stream.more(timeout_s)
        except StreamStalled:
            return False

    # -- answers

    async def _give_up(self, response: Response) -> None:
        """Answers a request that may still be coming, and ends the connection so that the answer arrives."""
        stream = self._stream
        await self._send(response, keep_alive=False)
        self._end_flight()
        stream.end_writing()
        # To close while the other side still sends would reset the connection, and the answer be lost.
        deadline = self._loop.time() + self._patience.linger_s
        dropped = 0
        while dropped < _LINGER_BYTES and await stream.more(deadline - self._loop.time()):
            dropped += stream.available
            stream.skip(stream.available)

    # -- the seam for faults

    async def _intercept_body(self, seen: Seen | None, size: int) -> None:
        if seen is not None and self._shared.interceptor is not None:
            seen.received_bytes += size
            await self._shared.interceptor.on_body(seen)

    async def _intercept_store(self, seen: Seen | None) -> Response | None:
        if seen is None or self._shared.interceptor is None:
            return None
        return await self._shared.interceptor.before_store(seen)

    async def _intercept_response(self, seen: Seen | None, response: Response) -> Response:
        if seen is None or self._shared.interceptor is None:
            return response
        try:
            return await self._shared.interceptor.before_response(seen, response)
        except ConnectionCut as cut:
            if cut.after_bytes:
                await self._sender.send_only(response, cut.after_bytes)
            else:
                response.discard()
            raise
