"""Where the parts of an upload come from."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import IO, Protocol, cast

from penstock.client.sending.body import Body, Bytes, FileBody, MemoryBody, StreamBody, check_open
from penstock.errors import InvalidInput, SourceUnreadable
from penstock.files.opened_file import OpenedFile
from penstock.files.source import SourceFile, SourceIdentity, made_when_read
from penstock.net.errand import Errands
from penstock.net.latch import Latch
from penstock.transfer.journal import Source

UploadSource = Bytes | str | os.PathLike[str] | IO[bytes]
"""What `Client.upload` takes: a path (text is a path), bytes, or a file open for reading that can seek."""


class PartSource(Protocol):
    """Bytes of known length, of which any range can be had at any time, by several threads at once."""

    total_bytes: int
    identity: Source | None

    def part(self, offset: int, size_bytes: int) -> Body:
        """A range, as a body."""

    def now(self, latch: Latch) -> Source | None:
        """What the source is at this moment; None if it is neither a file nor an object."""

    def close(self) -> None:
        """Let go of it."""


class FileParts:
    """Ranges of a file."""

    def __init__(self, path: str | os.PathLike[str], errands: Errands) -> None:
        self._file = SourceFile.open(path)
        self._errands = errands
        self.identity: Source | None = _source(self._file.identity)
        self.total_bytes = self._file.identity.size_bytes

    def part(self, offset: int, size_bytes: int) -> Body:
        return FileBody(self._file, self._errands, offset=offset, size_bytes=size_bytes)

    def now(self, latch: Latch) -> Source | None:
        return _source(self._file.identity_now())

    def close(self) -> None:
        self._file.close()


class MemoryParts:
    """Ranges of bytes in memory."""

    identity: Source | None = None

    def __init__(self, data: Bytes) -> None:
        view = memoryview(data)
        self._view = view.cast("B") if view.c_contiguous else memoryview(view.tobytes())
        self.total_bytes = len(self._view)

    def part(self, offset: int, size_bytes: int) -> Body:
        return MemoryBody(self._view[offset : offset + size_bytes])

    def now(self, latch: Latch) -> Source | None:
        return None

    def close(self) -> None:
        pass


class StreamParts:
    """Ranges of an open file that can seek; reads take turns."""

    identity: Source | None = None

    def __init__(self, stream: IO[bytes], errands: Errands) -> None:
        self._stream = stream
        self._errands = errands
        self._turn = threading.Lock()
        self._opened = OpenedFile.of(stream)
        try:
            self._start = stream.tell()
            self.total_bytes = max(stream.seek(0, io.SEEK_END) - self._start, 0)
            stream.seek(self._start)
        except OSError as error:
            raise SourceUnreadable(
                f"how long the stream {stream!r} is could not be found out: {error}",
                advice="Read it into memory, or save it to a file, and upload that.",
            ) from error
        if self._opened is not None and self._opened.is_made_when_read():
            raise made_when_read(repr(stream))

    def part(self, offset: int, size_bytes: int) -> Body:
        window = _Window(self._stream, self._turn, self._start + offset, size_bytes)
        return StreamBody(cast("IO[bytes]", window), self._errands, size_bytes, self._opened)

    def now(self, latch: Latch) -> Source | None:
        return None

    def close(self) -> None:
        pass


class _Window(io.RawIOBase):
    """A range of a shared stream, with a position of its own."""

    def __init__(self, stream: IO[bytes], turn: threading.Lock, start: int, size_bytes: int) -> None:
        self._stream = stream
        self._turn = turn
        self._start = start
        self._size_bytes = size_bytes
        self._position = 0

    def __repr__(self) -> str:
        return repr(self._stream)

    def fileno(self) -> int:
        return self._stream.fileno()

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = base + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self._size_bytes - self._position
        with self._turn:
            self._stream.seek(self._start + self._position)
            data = self._stream.read(left if size < 0 else min(size, left))
        if data is not None:  # a stream that does not block, and has nothing yet
            self._position += len(data)
        return data


def part_source(source: UploadSource, errands: Errands) -> PartSource:
    """
    The parts of whatever a caller hands in.

    Raises:
        InvalidInput: It cannot be cut into parts.
        SourceUnreadable: The path leads to no readable regular file.
    """
    match source:
        case bytes() | bytearray() | memoryview():
            return MemoryParts(source)
        case str() | os.PathLike():
            return FileParts(source, errands)
    if not hasattr(source, "read"):
        raise InvalidInput(
            f"{type(source).__name__} cannot be uploaded in parts",
            advice="Pass a path, bytes, or a file open for reading bytes; put_object takes iterables.",
        )
    check_open(source)
    stream = source
    if not hasattr(stream, "seekable"):
        raise InvalidInput(
            f"whether {type(stream).__name__} can seek is not known, so it cannot be uploaded in parts",
            advice="Pass a path, bytes, or a file open for reading bytes; of memory, pass memoryview(...).",
        )
    name = getattr(stream, "name", None)
    if isinstance(name, str) and _is_whole_file(stream, name):
        # The same file by its path: it can be read by many threads, and recognised later.
        return FileParts(name, errands)
    if not stream.seekable():
        raise InvalidInput(
            f"the stream {stream!r} cannot seek, so it cannot be cut into parts or resumed",
            advice="Save it to a file first, or use put_object, which takes streams of up to 5 GiB.",
        )
    return StreamParts(stream, errands)


def _is_whole_file(stream: IO[bytes], name: str) -> bool:
    opened = OpenedFile.of(stream)
    try:
        return (
            opened is not None
            and stream.readable()
            and stream.tell() == 0
            and os.path.samestat(opened.status, Path(name).stat())
        )
    except (OSError, ValueError):
        return False


def _source(identity: SourceIdentity) -> Source:
    return Source(
        path=identity.path,
        size_bytes=identity.size_bytes,
        mtime_ns=identity.mtime_ns,
        ctime_ns=identity.ctime_ns,
        device=identity.device,
        inode=identity.inode,
    )
