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
from penstock.files.source import SourceFile
from penstock.net.errand import Errands
from penstock.net.latch import Latch
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
                f"{self._source.identity.path} was changed while it was being sent; nothing was stored of it",
                advice="Send it again when nobody writes to it.",
            )

    def close(self) -> None:
        if self._owned:
            self._source.close()


Revision = tuple[int, int, int]
"""What tells an open file from the same file after a change: size and times."""


def revision_of(stream: IO[bytes]) -> Revision | None:
    """Which revision of a file a stream reads; None if it is no file."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, AttributeError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class StreamBody:
    """
    An open file or other stream, sent from its present position to its end, or for ``length`` bytes.

    It can be sent again if it can be rewound. A file is compared with what it was at the start before its
    last block is given, so that no whole body is ever made of two revisions of it.

    Args:
        revision: What the file was when the upload began; None takes it now.
    """

    def __init__(
        self,
        stream: IO[bytes],
        errands: Errands,
        length: int | None = None,
        revision: Revision | None = None,
    ) -> None:
        self._stream = stream
        self._errands = errands
        self._revision = revision_of(stream) if revision is None else revision
        self._start = self._position()
        self.replayable = self._start is not None
        self.length = self._remaining() if length is None else length
        self.crc64 = 0

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        self.crc64 = 0
        if self._start is not None:
            self._stream.seek(self._start)
        given = 0
        for block in read_ahead(self._fill, self.length, READ_BYTES, self._errands, latch):
            given += len(block)
            self.crc64 = crc64(block, self.crc64)
            if given == self.length:
                self._check_unchanged()
            yield block

    content = blocks

    def _check_unchanged(self) -> None:
        if self._revision is not None and revision_of(self._stream) != self._revision:
            raise SourceChanged(
                f"the file behind {self._stream!r} was changed while it was sent; nothing was stored of it",
                advice="Send it again when nobody writes to it.",
            )

    def _fill(self, position: int, buffer: memoryview) -> int:
        try:
            data = self._stream.read(len(buffer))
        except OSError as error:
            raise SourceUnreadable(
                f"reading the stream {self._stream!r} failed at byte {position}: {error}",
                advice="Nothing was stored. Check where the stream comes from and send it again.",
            ) from error
        if isinstance(data, str):
            raise InvalidInput(
                f"the stream {self._stream!r} gives text, not bytes", advice="Open it in binary mode ('rb')."
            )
        buffer[: len(data or b"")] = data or b""
        return len(data or b"")

    def _position(self) -> int | None:
        try:
            return self._stream.tell() if self._stream.seekable() else None
        except (OSError, AttributeError):
            return None

    def _remaining(self) -> int | None:
        if self._start is None:
            return None
        end = self._stream.seek(0, io.SEEK_END)
        self._stream.seek(self._start)
        return end - self._start

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
        return StreamBody(cast("IO[bytes]", source), errands, length)
    if isinstance(source, Iterable):
        return IterableBody(cast("Iterable[Any]", source), errands, length)
    raise InvalidInput(
        f"{type(source).__name__} cannot be uploaded",
        advice="Pass bytes, a path, a file open for reading bytes, or an iterable of bytes.",
    )
