"""A file that is being downloaded: all of it appears under its name, or nothing."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from types import TracebackType

from penstock.errors import InvalidInput, TransferError
from penstock.files.durable import sync, sync_directory, write_all

_TEMPORARY_SUFFIX = ".penstock-part"


class DownloadTarget:
    """
    Writes beside the target and renames at the end.

    Safe to write to from several threads, each at its own offset. Use it as a context manager: leaving the
    block without `commit`, by an exception or not, discards what was written.

    Always: the target holds its old bytes until `commit`, and all of the new ones after it, across a power
    loss too.
    """

    def __init__(self, path: Path, temporary: Path, descriptor: int) -> None:
        self.path = path
        self.temporary = temporary
        self._descriptor = descriptor
        self._is_closed = False

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> DownloadTarget:
        """
        Begin to write a file; a symbolic link is followed, and the mode of an existing file kept.

        Raises:
            InvalidInput: The directory is missing or may not be written to, or the path is a directory or
                something else that is no regular file.
        """
        target = Path(os.path.realpath(path))
        mode = _mode_of(target)
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}{_TEMPORARY_SUFFIX}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
        except OSError as error:
            raise _not_possible(target, error) from error
        return cls(target, temporary, descriptor)

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """
        Write all of ``data`` at ``offset``.

        Raises:
            TransferError: The disk refused: it is full, say.
        """
        view = memoryview(data)
        try:
            if not hasattr(os, "pwrite"):
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                write_all(self._descriptor, view)
                return
            while view:
                count = os.pwrite(self._descriptor, view, offset)
                view, offset = view[count:], offset + count
        except OSError as error:
            raise _not_written(self.path, error) from error

    def commit(self) -> None:
        """
        Put the file in its place, durably, and close.

        Raises:
            TransferError: The disk refused; the target is untouched unless only its name could not be synced.
        """
        try:
            sync(self._descriptor)
            self._close()
            os.replace(self.temporary, self.path)  # noqa: PTH105
            sync_directory(self.path.parent)
        except OSError as error:
            self.discard()
            raise _not_written(self.path, error) from error

    def discard(self) -> None:
        """Close and remove what was written; nothing after `commit`."""
        self._close()
        self.temporary.unlink(missing_ok=True)

    def _close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)

    def __enter__(self) -> DownloadTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def _mode_of(target: Path) -> int | None:
    try:
        mode = target.stat().st_mode
    except OSError:
        return None
    if stat.S_ISDIR(mode):
        raise InvalidInput(f"{target} is a directory", advice="Name a file in it.")
    if not stat.S_ISREG(mode):
        raise InvalidInput(
            f"{target} is not a regular file", advice="Write to standard output to feed a pipe or device."
        )
    return stat.S_IMODE(mode)


def _not_possible(target: Path, error: OSError) -> InvalidInput:
    advice = {
        errno.ENOENT: "Make the directory first.",
        errno.ENOTDIR: "A part of the path is a file.",
        errno.EACCES: "Give yourself permission to write there.",
        errno.EROFS: "The file system is read-only.",
    }.get(error.errno or 0, "")
    return InvalidInput(f"{target} cannot be written: {error.strerror or error}", advice=advice)


def _not_written(target: Path, error: OSError) -> TransferError:
    return TransferError(
        f"{target} could not be written: {error.strerror or error}",
        advice="Make room on the disk, then download again; the old file, if there was one, is untouched.",
    )
