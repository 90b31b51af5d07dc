"""Reads a source ahead of the sender, on a thread that an aborted sender leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import SimpleQueue

from penstock.errors import SourceEndedEarly
from penstock.net.errand import Errand, Errands
from penstock.net.latch import Latch, Tripped

Fill = Callable[[int, memoryview], int]
"""Fills a buffer with the bytes from a position on; returns how many, 0 at the end."""

_DEPTH = 4
"""Buffers in use: one being sent, the others being filled or waiting."""


def read_ahead(
    fill: Fill, size_bytes: int | None, block_bytes: int, errands: Errands, latch: Latch
) -> Iterator[memoryview]:
    """
    Yield the bytes of a source in order, in reused buffers; a block is valid until the next is asked for.

    Args:
        fill: Reads the source; runs on another thread, where it may block for ever.
        size_bytes: How many bytes to give; None for all that come.
        block_bytes: Length of a buffer.
        errands: Where the reading is done.
        latch: Ends the waiting.

    Raises:
        Tripped: The latch was tripped; the reader is left behind and its bytes are thrown away.
        SourceEndedEarly: Fewer than ``size_bytes`` came.
        Exception: Whatever ``fill`` raised.
    """
    if size_bytes is not None and size_bytes <= block_bytes:
        yield from _read_at_once(fill, size_bytes, errands, latch)
        return
    filled: SimpleQueue[tuple[memoryview, int] | BaseException | None] = SimpleQueue()
    empty: SimpleQueue[memoryview | None] = SimpleQueue()
    for _ in range(_DEPTH):
        empty.put(memoryview(bytearray(block_bytes)))

    def read() -> None:
        position = 0
        try:
            while size_bytes is None or position < size_bytes:
                buffer = empty.get()
                if buffer is None:
                    return
                wanted = len(buffer) if size_bytes is None else min(len(buffer), size_bytes - position)
                count = fill(position, buffer[:wanted])
                if count == 0:
                    break
                position += count
                filled.put((buffer, count))
            if size_bytes is not None and position < size_bytes:
                raise _ended_early(position, size_bytes)
            filled.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that waits
            filled.put(error)

    # A tripped latch must end `filled.get`; SimpleQueue.put is safe in a signal handler.
    with latch.attach(lambda: filled.put(None)):
        reader = errands.start(read)
        try:
            while True:
                block = filled.get()
                latch.check()
                if isinstance(block, BaseException):
                    raise block
                if block is None:
                    return
                buffer, count = block
                yield buffer[:count]
                empty.put(buffer)
        finally:
            empty.put(None)
            if latch.tripped:
                _leave_behind(reader, latch)


def _leave_behind(reader: Errand[None], latch: Latch) -> None:
    """Stop waiting for a reader, so that it is counted while it hangs, or never begins."""
    with suppress(Tripped, TimeoutError):
        reader.result(latch, 0)


def _read_at_once(fill: Fill, size_bytes: int, errands: Errands, latch: Latch) -> Iterator[memoryview]:
    if size_bytes == 0:
        return
    buffer = memoryview(bytearray(size_bytes))

    def read() -> int:
        position = 0
        while position < size_bytes:
            count = fill(position, buffer[position:])
            if count == 0:
                break
            position += count
        return position

    count = errands.run(read, latch, None)
    if count < size_bytes:
        raise _ended_early(count, size_bytes)
    yield buffer


def _ended_early(came: int, announced: int) -> SourceEndedEarly:
    return SourceEndedEarly(
        f"the source ended after {came:,} of {announced:,} bytes; nothing was stored",
        advice="Send it again when it is complete.",
    )
