"""
A file to be uploaded: read at any position by many threads, and told from every other revision of it.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from penstock.errors import InvalidInput, SourceEndedEarly, SourceUnreadable
from penstock.files.opened_file import yields_bytes

READ_BYTES = 512 * 1024
"""How much `SourceFile.blocks` reads at once: large enough for speed, small enough to stay in the cache."""

_preadv: Callable[[int, list[memoryview], int], int] | None = getattr(os, "preadv", None)


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """
    What tells a file and a revision of it from any other.

    ``ctime_ns`` cannot be set back by a program, so it betrays a change even if size and mtime were restored.
    On Windows it is the time of creation and betrays nothing (see `IDENTITY_IS_PROOF`).
    """

    path: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    device: int
    inode: int


IDENTITY_IS_PROOF = os.name == "posix"
"""False where an equal identity does not prove equal bytes: a resumed upload must then compare checksums."""


class SourceFile:
    """
    An open regular file.

    Safe to read from several threads at once. Use it as a context manager, or close it.

    Attributes:
        identity: What the file was when it was opened.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     _ = file.write(b"penstock"); file.flush()
        ...     with SourceFile.open(file.name) as source:
        ...         b"".join(bytes(block) for block in source.blocks(4, 4, bytearray(3)))
        b'tock'
    """

    def __init__(self, descriptor: int, identity: SourceIdentity) -> None:
        self.identity = identity
        self._descriptor = descriptor
        self._seeking = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> SourceFile:
        """
        Open a regular file for reading.

        Raises:
            SourceUnreadable: It is missing, is not a regular file (a directory, pipe or device), says that it
                is empty and is not, or may not be read.
            InvalidInput: No file can have this path.
        """
        absolute = os.path.abspath(os.fspath(path))  # noqa: PTH100 (Path.resolve would follow a symbolic link)
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
            descriptor = os.open(absolute, flags | getattr(os, "O_NONBLOCK", 0))
        except OSError as error:
            raise unreadable_because(absolute, error) from error
        except ValueError as error:  # a NUL, or what the system's encoding has no bytes for
            raise InvalidInput(f"{absolute!r} cannot be a path: {error}", advice="Check the path.") from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SourceUnreadable(
                    f"{absolute} is {_kind(status.st_mode)}, not a regular file",
                    advice="Name a file; what a program writes is uploaded as a stream (`penstock cp -`).",
                )
            if status.st_size == 0 and _yields_bytes_of(descriptor, absolute):
                raise made_when_read(absolute)
            return cls(descriptor, _identity(absolute, status))
        except BaseException:
            os.close(descriptor)
            raise

    def read_at(self, offset: int, buffer: bytearray | memoryview) -> int:
        """
        Fill ``buffer`` with the bytes from ``offset`` on.

        Returns:
            How many bytes were read: fewer than asked for only at the end of the file, where it may be 0.

        Raises:
            SourceUnreadable: The read failed.
        """
        view = memoryview(buffer)
        done = 0
        while done < len(view):
            try:
                count = self._read_once(offset + done, view[done:])
            except OSError as error:
                raise unreadable_because(self.identity.path, error, at=offset + done) from error
            if count == 0:
                break
            done += count
        return done

    def blocks(self, offset: int, size_bytes: int, buffer: bytearray | None = None) -> Iterator[memoryview]:
        """
        Exactly ``size_bytes`` bytes from ``offset`` on, as views into one buffer.

        A view is valid until the next one is asked for.

        Raises:
            SourceUnreadable: A read failed.
            SourceEndedEarly: The file is shorter than that by now.
        """
        view = memoryview(bytearray(min(READ_BYTES, size_bytes)) if buffer is None else buffer)
        end = offset + size_bytes
        while offset < end:
            block = view[: min(len(view), end - offset)]
            count = self.read_at(offset, block)
            if count < len(block):
                raise SourceEndedEarly(
                    f"{self.identity.path} ended at byte {offset + count}, expected {end} or more",
                    advice="The file was cut short while it was read. Upload it again when it is complete.",
                )
            yield block
            offset += count

    def identity_now(self) -> SourceIdentity:
        """
        What the path leads to at this moment.

        If the path leads to another file than the one that is open (it was replaced), that file's identity is
        returned: it differs from `identity`. If it is the same file, its present size and times are.

        Raises:
            SourceUnreadable: Nothing is at the path any more.
        """
        path = self.identity.path
        try:
            status = os.stat(path)  # noqa: PTH116
            opened = os.fstat(self._descriptor)
        except OSError as error:
            raise unreadable_because(path, error) from error
        if (status.st_dev, status.st_ino) != (opened.st_dev, opened.st_ino):
            return _identity(path, status)
        return _identity(path, opened)

    def close(self) -> None:
        """Close the file; closing twice is nothing."""
        if not self._closed:
            self._closed = True
            os.close(self._descriptor)

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_once(self, offset: int, view: memoryview) -> int:
        if _preadv is not None:
            return _preadv(self._descriptor, [view], offset)
        with self._seeking:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        return len(data)


def _identity(path: str, status: os.stat_result) -> SourceIdentity:
    return SourceIdentity(
        path=path,
        size_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
        device=status.st_dev,
        inode=status.st_ino,
    )


def made_when_read(name: str) -> SourceUnreadable:
    """The error of a file whose length nobody knows."""
    return SourceUnreadable(
        f"{name} says that it is empty, and is not: the system makes it while it is read",
        advice="Read it into memory, or save a copy, and upload that; put_object takes it as an open file.",
    )


def _yields_bytes_of(descriptor: int, path: str) -> bool:
    try:
        return yields_bytes(descriptor)
    except OSError as error:
        raise unreadable_because(path, error, at=0) from error


def _kind(mode: int) -> str:
    for is_kind, name in (
        (stat.S_ISDIR, "a directory"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    ):
        if is_kind(mode):
            return name
    return "something else"


def unreadable_because(path: str, error: OSError, at: int | None = None) -> SourceUnreadable:
    """Says which file, or directory, could not be read, why, and what helps."""
    advice = {
        errno.ENOENT: "Check the path.",
        errno.ENOTDIR: "Check the path.",
        errno.EACCES: "Give yourself permission to read it.",
        errno.EPERM: "Give yourself permission to read it.",
        errno.EISDIR: "Name a file; use sync for a directory.",
        errno.EMFILE: "Too many files are open: lower the parallelism or raise `ulimit -n`.",
        errno.EIO: "The disk reports an error: check it before trying again.",
        errno.ESTALE: "The network file system lost the file: mount it again.",
    }.get(error.errno or 0, "")
    where = "" if at is None else f" at byte {at}"
    return SourceUnreadable(f"{path} could not be read{where}: {error.strerror or error}", advice=advice)
