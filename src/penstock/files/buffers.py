"""Buffers that are used again: fresh memory must be zeroed by the system before it can be read into."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class BufferPool:
    """
    Lends buffers of one size to any number of threads and keeps a few of those returned.

    Args:
        buffer_bytes: Size of each.
        kept: Most idle buffers that are kept; there is no limit to those that are lent.
    """

    def __init__(self, buffer_bytes: int, kept: int) -> None:
        self.buffer_bytes = buffer_bytes
        # A bounded deque drops the oldest by itself, and its pop and append need no lock.
        self._idle: deque[bytearray] = deque(maxlen=kept)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @contextmanager
    def lend(self) -> Iterator[bytearray]:
        """A buffer for the length of a ``with`` block, with whatever bytes were left in it."""
        try:
            buffer = self._idle.pop()
        except IndexError:
            buffer = bytearray(self.buffer_bytes)
        try:
            yield buffer
        finally:
            self._idle.append(buffer)
