"""
One connection's bytes: received into a buffer of the reader's, sent with back-pressure.

The event loop receives straight into the buffer at hand. When it is full, reading stops until somebody
takes it away; so a connection never holds more than its buffers, however fast the other side sends.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

HEAD_BUFFER_BYTES = 16 * 1024
_WRITE_HIGH_WATER_BYTES = 256 * 1024


class StreamLost(Exception):
    """The other side is gone."""


class StreamStalled(Exception):
    """Nothing moved for as long as was allowed."""


class Stream(asyncio.BufferedProtocol):
    """
    The two directions of one connection, awaited by one task.

    Args:
        loop: The loop it lives on.
        on_open: Called when the connection is there.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_open: Callable[[Stream], None],
    ) -> None:
        self._loop = loop
        self._on_open = on_open
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(HEAD_BUFFER_BYTES)
        self._start = 0
        self._end = 0
        self._paused = False
        self._writable = True
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self.ended = False
        self.lost = False

    # -- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=_WRITE_HIGH_WATER_BYTES)
        self._on_open(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        self._end += nbytes
        if self._end == len(self._buffer):
            self._pause()
        self._wake()

    def eof_received(self) -> bool:
        # True keeps the other direction open: who has sent all of its request may still be answered. TLS
        # has no such half-closed state.
        self.ended = True
        self._wake()
        return self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = self.ended = True
        self._wake()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # -- receiving

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    @property
    def opened(self) -> bool:
        """True once the connection was there, be it gone by now."""
        return self._transport is not None

    @property
    def available(self) -> int:
        """Bytes that were received and not taken yet."""
        return self._end - self._start

    def peek(self) -> memoryview:
        """All that was received and not taken yet; valid until the next await."""
        return memoryview(self._buffer)[self._start : self._end]

    def find(self, what: bytes, start: int = 0) -> int:
        """Where these bytes begin within what is available, from ``start`` on; -1 if nowhere."""
        found = self._buffer.find(what, self._start + start, self._end)
        return found - self._start if found >= 0 else -1

    def take(self, size: int) -> bytes:
        """A copy of the next ``size`` bytes, which must be available."""
        data = bytes(memoryview(self._buffer)[self._start : self._start + size])
        self.skip(size)
        return data

    def skip(self, size: int) -> None:
        """Leaves out the next ``size`` bytes, which must be available."""
        self._start += size
        if self._start == self._end:
            self._start = self._end = 0

    async def more(self, timeout_s: float) -> bool:
        """
        Wait until something arrives that was not there before; False if nothing will.

        Raises:
            StreamStalled: Nothing came in time.
        """
        if self.ended:
            return False
        if self._end == len(self._buffer):
            self._make_room()
        self._resume()
        await self._wait(timeout_s)
        return not self.ended or self.available > 0

    async def need(self, size: int, timeout_s: float) -> bool:
        """
        Wait until ``size`` bytes are available; False if they will never be.

        Raises:
            StreamStalled: They were not all there in time.
        """
        if self._start + size > len(self._buffer):
            self._move_to(bytearray(max(size, HEAD_BUFFER_BYTES)))
        deadline = self._loop.time() + timeout_s
        while self.available < size:
            if self.ended:
                return False
            await self.more(deadline - self._loop.time())
        return True

    def exchange(self, fresh: bytearray) -> tuple[bytearray, memoryview]:
        """
        Give away the buffer, with a view of what it holds, and go on receiving into ``fresh``.
        """
        full, view = self._buffer, self.peek()
        self._buffer, self._start, self._end = fresh, 0, 0
        return full, view

    def put_back(self, data: memoryview) -> None:
        """Makes bytes available again that were given away by `exchange` just before."""
        self._buffer[: len(data)] = data
        self._end = len(data)

    def resume(self) -> None:
        """Receive again, if there is room."""
        if self._end < len(self._buffer):
            self._resume()

    def release(self) -> bytearray | None:
        """The large buffer, if it is empty, in exchange for a small one of its own."""
        if len(self._buffer) <= HEAD_BUFFER_BYTES or self.available > HEAD_BUFFER_BYTES:
            return None
        return self._move_to(bytearray(HEAD_BUFFER_BYTES))

    # -- sending

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends, now or later; never waits."""
        if not self.lost:
            self.transport.write(data)

    async def drained(self, timeout_s: float) -> None:
        """
        Wait until there is room for more to send.

        Raises:
            StreamLost: Nobody will take it any more.
            StreamStalled: The other side takes nothing.
        """
        while not self._writable and not self.lost:
            await self._wait(timeout_s)
        if self.lost:
            raise StreamLost

    # -- ending

    def expire(self, now: float) -> None:
        """Called from time to time: wakes a wait that has lasted too long."""
        if self._waiter is not None and not self._waiter.done() and now >= self._deadline:
            self._waiter.set_exception(StreamStalled())

    def close(self) -> None:
        """Ends the connection once all that was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def end_writing(self) -> None:
        """Tells the other side that nothing more will come; what it sends is still received."""
        if not self.lost and self.transport.can_write_eof():
            self.transport.write_eof()

    def abort(self, *, reset: bool = False) -> None:
        """Ends the connection now; with ``reset``, so that the other side sees an error."""
        if self._transport is None:
            return
        if reset:
            plain = self._transport.get_extra_info("socket")
            if plain is not None and plain.fileno() >= 0:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    # -- within

    async def _wait(self, timeout_s: float) -> None:
        self._deadline = self._loop.time() + timeout_s
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        if not self._paused and not self.lost:
            self._paused = True
            self.transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.lost and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    def _make_room(self) -> None:
        size = len(self._buffer)
        self._move_to(bytearray(size if self._start else 4 * size))

    def _move_to(self, buffer: bytearray) -> bytearray:
        """Goes on with this buffer, which has room for what is available, and gives back the old one."""
        old, data = self._buffer, self.peek()
        buffer[: len(data)] = data
        self._buffer, self._start, self._end = buffer, 0, len(data)
        return old
