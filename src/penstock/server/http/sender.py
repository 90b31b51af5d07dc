"""Sends answers: bytes in one piece with their head, objects straight from their files."""

from __future__ import annotations

import asyncio
import os

from penstock.server.http.response import ObjectBody, Response, StreamedBody
from penstock.server.http.stream import Stream, StreamLost, StreamStalled
from penstock.server.http.traffic import Pace
from penstock.server.http.wire import LAST_CHUNK, chunk, framed, response_head
from penstock.server.http.workers import Workers
from penstock.server.store.interface import Segment

MOST_AT_ONCE_BYTES = 4 * 1024 * 1024
FIRST_AT_ONCE_BYTES = 1024 * 1024
LEAST_AT_ONCE_BYTES = 64 * 1024
"""So much goes to the kernel between two looks at the clock: less to those who take it slowly."""

_READ_BYTES = 256 * 1024
_PACED_BYTES = 32 * 1024


class Sender:
    """
    The sending side of one connection.

    Args:
        stream: The connection.
        workers: Where files are read, if the kernel cannot send them by itself.
        patience_s: How long the other side may take nothing.
        secure: True over TLS.
    """

    def __init__(self, stream: Stream, workers: Workers, patience_s: float, *, secure: bool) -> None:
        self._stream = stream
        self._workers = workers
        self._patience_s = patience_s
        self._secure = secure
        self._loop = asyncio.get_running_loop()
        self._at_once_bytes = FIRST_AT_ONCE_BYTES

    async def send(self, response: Response, *, keep_alive: bool) -> None:
        """
        Send an answer.

        Raises:
            StreamLost, StreamStalled, OSError: It did not get through, and the connection is of no use.
        """
        head = response_head(response, keep_alive=keep_alive)
        body = framed(response)
        if isinstance(body, ObjectBody):
            self._stream.write(head)
            try:
                await self._send_object(body, response.bytes_per_s)
            finally:
                await self._workers.run(body.close)
        elif isinstance(body, StreamedBody):
            self._stream.write(head)
            try:
                await self._send_streamed(body, chunked=response.chunked)
            finally:
                await self._workers.run(body.close)
        elif body and response.bytes_per_s:
            self._stream.write(head)
            await self._send_slowly(memoryview(body), Pace(response.bytes_per_s, self._loop.time()))
        else:
            self._stream.write(head + body if body else head)
            await self._stream.drained(self._patience_s)

    async def send_only(self, response: Response, most_bytes: int) -> None:
        """Send the beginning of an answer."""
        body = framed(response)
        if isinstance(body, ObjectBody | StreamedBody):
            whole = await self._workers.run(body.read)
            await self._workers.run(body.close)
            if response.chunked:
                whole = chunk(whole) + LAST_CHUNK
        else:
            whole = body or b""
        self._stream.write((response_head(response, keep_alive=True) + whole)[:most_bytes])
        await self._stream.drained(self._patience_s)

    async def _send_object(self, body: ObjectBody, bytes_per_s: float | None) -> None:
        pace = Pace(bytes_per_s, self._loop.time()) if bytes_per_s else None
        segments = body.segments()
        # The next segment is asked for on a worker: it may open a file.
        while (segment := await self._workers.run(next, segments, None)) is not None:
            if segment.file is None:
                data = memoryview(segment.data)[segment.offset : segment.offset + segment.length]
                await self._send_slowly(data, pace)
            elif self._secure or pace is not None:
                await self._send_read(segment, pace)
            else:
                await self._send_file(segment)

    async def _send_streamed(self, body: StreamedBody, *, chunked: bool) -> None:
        # Each piece is work of its own, so that others have their turn on the workers in between.
        while (piece := await self._workers.run(body.next)) is not None:
            if piece:
                self._stream.write(chunk(piece) if chunked else piece)
            elif self._stream.ended:
                # Where nothing is sent, nothing but this tells that nobody listens any more.
                raise StreamLost
            await self._stream.drained(self._patience_s)
        if chunked:
            self._stream.write(LAST_CHUNK)
            await self._stream.drained(self._patience_s)

    async def _send_file(self, segment: Segment) -> None:
        transport, at, end = self._stream.transport, segment.offset, segment.offset + segment.length
        while at < end:
            await self._stream.drained(self._patience_s)
            if transport.is_closing():
                raise StreamLost
            assert segment.file is not None
            count = min(self._at_once_bytes, end - at)
            began = self._loop.time()
            try:
                async with asyncio.timeout(2 * self._patience_s):
                    sent = await self._loop.sendfile(transport, segment.file, at, count, fallback=False)
            except TimeoutError:
                raise StreamStalled from None
            except (asyncio.SendfileNotAvailableError, RuntimeError):
                # The loop says so of a transport that was closed at this very moment.
                raise StreamLost from None
            if sent == 0:
                raise StreamLost
            at += sent
            self._adapt(self._loop.time() - began)

    def _adapt(self, lasted_s: float) -> None:
        """Keeps what goes out at once to what the other side takes well before it would be given up."""
        if lasted_s > self._patience_s / 8:
            self._at_once_bytes = max(self._at_once_bytes // 4, LEAST_AT_ONCE_BYTES)
        elif lasted_s < self._patience_s / 64:
            self._at_once_bytes = min(self._at_once_bytes * 2, MOST_AT_ONCE_BYTES)

    async def _send_read(self, segment: Segment, pace: Pace | None) -> None:
        assert segment.file is not None
        at, end = segment.offset, segment.offset + segment.length
        while at < end:
            size = min(_READ_BYTES, end - at)
            data = await self._workers.run(os.pread, segment.file.fileno(), size, at)
            if not data:
                raise StreamLost
            at += len(data)
            await self._send_slowly(memoryview(data), pace)

    async def _send_slowly(self, data: memoryview, pace: Pace | None) -> None:
        size = len(data) if pace is None else _PACED_BYTES
        for at in range(0, len(data), max(size, 1)):
            piece = data[at : at + size]
            self._stream.write(piece)
            await self._stream.drained(self._patience_s)
            if pace is not None:
                await asyncio.sleep(pace.delay_s(len(piece), self._loop.time()))
