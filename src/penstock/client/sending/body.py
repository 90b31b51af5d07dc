"""
What an upload sends: bytes, a file, an open stream, or an iterable, all told as blocks of bytes.

A body knows its length if it can, computes the CRC-64 of what it gave, and can be given again if its
source allows. Blocks that may have to be waited for (files, streams, generators) are read on threads
that an aborted call leaves behind.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from typing import IO, Any, Protocol, cast

from penstock.client.sending.readahead import read_ahead
from penstock.errors import InvalidInput, SourceChanged, SourceEndedEarly, SourceUnreadable
from penstock.files.opened_file import OpenedFile
from penstock.files.source import SourceFile
from penstock.net.errand import Errands
from penstock.net.latch import Latch
from penstock.net.stream import wait_until_ready
from penstock.protocol.crc64 import crc64

BLOCK_BYTES = 8 * 1024 * 1024
"""Bytes in memory are handed on in views of this size, so that an abort is heard between them."""

READ_BYTES = 256 * 1024
"""Files and streams are read in blocks of this size, which stay in the processor's cache."""

Bytes = bytes | bytearray | memoryview
Source = Bytes | str | os.PathLike[str] | IO[bytes] | Iterable[Bytes] | AsyncIterable[Bytes]
"""What an upload takes: text is a path, never content; an asynchronous iterable only with `AsyncClient`."""

Report = Callable[[int], None]


class Body(Protocol):
    """Bytes to send. ``length`` is None if it is not known; ``replayable`` if they can be had again."""

    length: int | None
    replayable: bool

    def content(self, latch: Latch) -> Bytes | Iterator[Bytes]:
        """The bytes from their beginning: all at once where that costs no time, else as `blocks`."""

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        """The bytes from their beginning, in order; each block is valid until the next is asked for."""

    @property
    def crc64(self) -> int:
        """CRC-64 of what was given so far."""

    def close(self) -> None:
        """Let go of what was opened for it."""


class MemoryBody:
    """Bytes that are in memory."""

    replayable = True

    def __init__(self, data: Bytes) -> None:
        view = memoryview(data)
        self._view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self.length: int | None = len(self._view)
        self.crc64 = 0

    def content(self, latch: Latch) -> Bytes | Iterator[Bytes]:
        if len(self._view) > BLOCK_BYTES:
            return self.blocks(latch)
        self.crc64 = crc64(self._view)
        return self._view

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        self.crc64 = 0
        for start in range(0, len(self._view), BLOCK_BYTES):
            block = self._view[start : start + BLOCK_BYTES]
            self.crc64 = crc64(block, self.crc64)
            yield block

    def close(self) -> None:
        pass


class FileBody:
    """
    A range of a file, read ahead on another thread.

    The file's identity is compared before the last block is given, so that no whole body is ever made of
    two revisions of a file.
    """

    replayable = True

    def __init__(
        self,
        source: SourceFile,
        errands: Errands,
        *,
        offset: int = 0,
        size_bytes: int | None = None,
        owned: bool = False,
    ) -> None:
        self._source = source
        self._errands = errands
        self._offset = offset
        self._owned = owned
        self.size_bytes = source.identity.size_bytes - offset if size_bytes is None else size_bytes
        self.length: int | None = self.size_bytes
        self.crc64 = 0

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        self.crc64 = 0
        given = 0
        for block in read_ahead(self._fill, self.size_bytes, READ_BYTES, self._errands, latch):
            given += len(block)
            self.crc64 = crc64(block, self.crc64)
            if given == self.size_bytes:
                self._check_unchanged()
            yield block

    content = blocks

    def _fill(self, position: int, buffer: memoryview) -> int:
        return self._source.read_at(self._offset + position, buffer)

    def _check_unchanged(self) -> None:
        now = self._source.identity_now()
        if now != self._source.identity:
            raise SourceChanged(
                f"{self._source.identity.path} was changed while it was being sent, so it was not stored",
                advice="Send it again when nobody writes to it.",
            )

    def close(self) -> None:
        if self._owned:
            self._source.close()


def _is_device(stream: IO[bytes]) -> bool:
    """Whether a stream reads a device, which says that it is at its end wherever it stands."""
    try:
        return stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
    except (OSError, AttributeError, ValueError):
        return False


class StreamBody:
    """
    An open file or other stream, sent from its present position to its end, or for ``length`` bytes.

    It can be sent again if it can be rewound. A file is compared with what it was at the start before its
    last block is given, so that no whole body is ever made of two revisions of it.

    Args:
        opened: The file as it was when the upload began; None looks whether the stream is one.
    """

    def __init__(
        self,
        stream: IO[bytes],
        errands: Errands,
        length: int | None = None,
        opened: OpenedFile | None = None,
    ) -> None:
        self._stream = stream
        self._errands = errands
        self._opened = OpenedFile.of(stream) if opened is None else opened
        self._start = self._position()
        self.replayable = self._start is not None
        self.length = self._remaining() if length is None else length
        self.crc64 = 0

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        self.crc64 = 0
        if self._start is not None:
            self._stream.seek(self._start)
        given = 0

        def fill(position: int, buffer: memoryview) -> int:
            return self._fill(position, buffer, latch)

        for block in read_ahead(fill, self.length, READ_BYTES, self._errands, latch):
            given += len(block)
            self.crc64 = crc64(block, self.crc64)
            if given == self.length:
                self._check_unchanged()
            yield block

    content = blocks

    def _check_unchanged(self) -> None:
        if self._opened is not None and not self._opened.is_unchanged():
            raise SourceChanged(
                f"the file behind {self._stream!r} was changed while it was sent, so it was not stored",
                advice="Send it again when nobody writes to it.",
            )

    def _fill(self, position: int, buffer: memoryview, latch: Latch) -> int:
        try:
            # A stream that does not block gives None where another one would wait; b"" is the end of both.
            while (data := self._stream.read(len(buffer))) is None:
                self._wait(latch)
        except OSError as error:
            raise SourceUnreadable(
                f"reading the stream {self._stream!r} failed at byte {position}: {error}",
                advice="Nothing was stored. Check where the stream comes from and send it again.",
            ) from error
        if isinstance(data, str):
            raise InvalidInput(
                f"the stream {self._stream!r} gives text, not bytes", advice="Open it in binary mode ('rb')."
            )
        if not isinstance(data, bytes | bytearray | memoryview) or len(data) > len(buffer):
            gave = f"{len(data):,} bytes" if isinstance(data, bytes | bytearray) else type(data).__name__
            raise InvalidInput(
                f"the stream {self._stream!r} was asked for {len(buffer):,} bytes and gave {gave}",
                advice="Its read(size) must give at most so many bytes, and b'' at the end.",
            )
        buffer[: len(data)] = data
        return len(data)

    def _wait(self, latch: Latch) -> None:
        try:
            wait_until_ready(self._stream, latch)
        except (OSError, AttributeError) as error:
            raise SourceUnreadable(
                f"the stream {self._stream!r} gives nothing at the moment, and cannot be waited for",
                advice="Hand in one that blocks until it has something, or has a fileno().",
            ) from error

    def _position(self) -> int | None:
        try:
            return self._stream.tell() if self._stream.seekable() else None
        except (OSError, AttributeError):
            return None

    def _remaining(self) -> int | None:
        if self._start is None or _is_device(self._stream):
            return None
        try:
            end = self._stream.seek(0, io.SEEK_END)
        except OSError:  # a file that the system makes while it is read
            return None
        self._stream.seek(self._start)
        if end == 0 and self._opened is not None and self._opened.is_made_when_read():
            return None
        return max(end - self._start, 0)

    def close(self) -> None:
        pass


class IterableBody:
    """Blocks that an iterable makes; sent again only if iterating it again begins anew."""

    def __init__(self, blocks: Iterable[Bytes], errands: Errands, length: int | None = None) -> None:
        self._blocks = blocks
        self._errands = errands
        self.length = length
        self.replayable = not isinstance(blocks, Iterator)
        self.crc64 = 0

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        self.crc64 = 0
        given = 0
        blocks = iter(self._blocks)
        while True:
            block = self._errands.run(lambda: next(blocks, None), latch, None)
            if block is None:
                break
            if not isinstance(block, bytes | bytearray | memoryview):
                raise InvalidInput(
                    f"the iterable gave {type(block).__name__}, not bytes", advice="Yield bytes objects."
                )
            given += len(block)
            self.crc64 = crc64(block, self.crc64)
            if block:
                yield block
        if self.length is not None and given < self.length:
            raise SourceEndedEarly(
                f"the iterable gave {given:,} bytes, {self.length:,} were announced; nothing was stored",
                advice="Announce the length that comes, or leave it out.",
            )

    content = blocks

    def close(self) -> None:
        close = getattr(self._blocks, "close", None)
        if close is not None and isinstance(self._blocks, Iterator):
            try:
                close()
            except (ValueError, RuntimeError):  # its generator runs on a thread that was left behind
                pass


def check_open(stream: object) -> None:
    """Raise InvalidInput if a stream was closed."""
    if getattr(stream, "closed", False):
        raise InvalidInput(f"{stream!r} was closed", advice="Open it again, or pass its path.")


def body_of(source: Source, errands: Errands, *, length: int | None = None) -> Body:
    """
    The body for whatever a caller hands in.

    Args:
        source: Bytes; a path (text is a path, never content); a file open for reading bytes; an iterable of
            bytes.
        errands: Where blocking reads are done.
        length: Bytes that a stream or iterable will give, if the caller knows.

    Raises:
        InvalidInput: It is none of these, or a length that cannot be.
        SourceUnreadable: The path leads to no readable regular file.
    """
    if length is not None and length < 0:
        raise InvalidInput(f"a length of {length} bytes cannot be", advice="Leave it out if it is not known.")
    match source:
        case bytes() | bytearray() | memoryview():
            return MemoryBody(source)
        case str() | os.PathLike():
            return FileBody(SourceFile.open(source), errands, owned=True)
        case AsyncIterable():
            raise InvalidInput(
                "an asynchronous iterable can only be sent by AsyncClient",
                advice="Use penstock.AsyncClient, or collect the blocks first.",
            )
    if hasattr(source, "read"):
        check_open(source)
        return StreamBody(cast("IO[bytes]", source), errands, length)
    if isinstance(source, Iterable):
        return IterableBody(cast("Iterable[Any]", source), errands, length)
    raise InvalidInput(
        f"{type(source).__name__} cannot be uploaded",
        advice="Pass bytes, a path, a file open for reading bytes, or an iterable of bytes.",
    )
