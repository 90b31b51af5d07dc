"""
A file that is being downloaded: all of it appears under its name, or nothing.

What has come so far lies beside the target: under a random name, or, where a later process is to go on with
it, under a name that its job tells.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import threading
from pathlib import Path
from types import TracebackType

from penstock.errors import InvalidInput, TransferError
from penstock.files.durable import sync, sync_directory, write_all

_TEMPORARY_SUFFIX = ".penstock-part"
_SHOWN_NAME_BYTES = 100
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class DownloadTarget:
    """
    Writes beside the target and renames at the end.

    Safe to write to from several threads, each at its own offset. Use it as a context manager: leaving the
    block without `commit`, by an exception or not, discards what was written. What is to be gone on with
    later is made by `begin`, found again by `reopen`, and kept by `close`.

    Always: the target holds its old bytes until `commit`, and all of the new ones after it, across a power
    loss too.
    """

    def __init__(self, path: Path, temporary: Path, descriptor: int) -> None:
        self.path = path
        self.temporary = temporary
        self._descriptor = descriptor
        self._seeking = threading.Lock()
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
        return cls._made(target, _temporary(target, secrets.token_hex(6)), os.O_EXCL, mode)

    @classmethod
    def begin(cls, path: str | os.PathLike[str], job_id: str, total_bytes: int) -> DownloadTarget:
        """
        Begin to write a file of known length that `reopen` finds again; what an earlier `begin` left is lost.

        Raises:
            InvalidInput: As `create`.
            TransferError: The disk refused.
        """
        target = Path(os.path.realpath(path))
        mode = _mode_of(target)
        # A later process must be able to write to it too; `publish` gives it the mode of the target.
        reopenable = None if mode is None else mode | stat.S_IRUSR | stat.S_IWUSR
        begun = cls._made(target, _temporary(target, job_id), os.O_TRUNC, reopenable)
        try:
            os.ftruncate(begun._descriptor, total_bytes)
            sync_directory(target.parent)
        except OSError as error:
            begun.discard()
            raise _not_written(target, error) from error
        return begun

    @classmethod
    def _made(cls, target: Path, temporary: Path, flags: int, mode: int | None) -> DownloadTarget:
        try:
            descriptor = os.open(temporary, _FLAGS | os.O_CREAT | flags, 0o666 if mode is None else mode)
        except OSError as error:
            raise _not_possible(target, error) from error
        try:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, mode)
        except OSError as error:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
            raise _not_possible(target, error) from error
        return cls(target, temporary, descriptor)

    @classmethod
    def reopen(cls, path: str | os.PathLike[str], job_id: str) -> DownloadTarget | None:
        """
        Go on with what `begin` made and `close`, or a crash, left; None if there is nothing.

        Raises:
            InvalidInput: It may not be opened.
        """
        target = Path(os.path.realpath(path))
        temporary = _temporary(target, job_id)
        try:
            return cls(target, temporary, os.open(temporary, _FLAGS))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _not_possible(target, error) from error

    @staticmethod
    def discard_job(path: str | os.PathLike[str], job_id: str) -> bool:
        """
        Remove what `begin` made, open or not; returns whether there was anything.

        Raises:
            TransferError: The disk refused.
        """
        target = Path(os.path.realpath(path))
        try:
            _temporary(target, job_id).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise TransferError(
                f"what was fetched for {target} could not be removed: {error.strerror or error}",
                advice="Give permission there, then cancel again.",
            ) from error
        return True

    @property
    def size_bytes(self) -> int:
        """Length of what is there; holes count."""
        return os.fstat(self._descriptor).st_size

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """
        Fill ``buffer`` from ``offset`` on; returns how many bytes there were, 0 at the end.

        Raises:
            TransferError: The disk refused.
        """
        try:
            if hasattr(os, "preadv"):
                return os.preadv(self._descriptor, [buffer], offset)
            with self._seeking:
                os.lseek(self._descriptor, offset, os.SEEK_SET)
                data = os.read(self._descriptor, len(buffer))
        except OSError as error:
            raise TransferError(
                f"what was fetched for {self.path} could not be read: {error.strerror or error}",
                advice="Check the disk. Cancel this download and begin a new one if it stays so.",
            ) from error
        buffer[: len(data)] = data
        return len(data)

    def sync(self) -> None:
        """
        Bring all that was written to disk. It may outlive `close`, on a thread that was left behind.

        Raises:
            TransferError: The disk refused.
        """
        try:
            descriptor = os.dup(self._descriptor)
            try:
                sync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _not_written(self.path, error) from error

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """
        Write all of ``data`` at ``offset``.

        Raises:
            TransferError: The disk refused: it is full, say.
        """
        view = memoryview(data)
        try:
            if not hasattr(os, "pwrite"):
                with self._seeking:
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
            self._put_in_place()
        except OSError as error:
            self.discard()
            raise _not_written(self.path, error) from error

    def publish(self, total_bytes: int) -> None:
        """
        As `commit`, for what was synced before, cut to its length; if the disk refuses, `reopen` finds it.

        Raises:
            TransferError: The disk refused; the target is untouched unless only its name could not be synced.
        """
        try:
            if self.size_bytes != total_bytes:
                os.ftruncate(self._descriptor, total_bytes)
                sync(self._descriptor)
            if hasattr(os, "fchmod") and self.path.exists():
                os.fchmod(self._descriptor, stat.S_IMODE(self.path.stat().st_mode))
            self._put_in_place()
        except OSError as error:
            raise _not_written(self.path, error) from error

    def _put_in_place(self) -> None:
        self.close()
        os.replace(self.temporary, self.path)  # noqa: PTH105
        sync_directory(self.path.parent)

    def discard(self) -> None:
        """Close and remove what was written; nothing after `commit`."""
        self.close()
        self.temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Close and keep what was written; closing twice is nothing."""
        if not self._is_closed:
            self._is_closed = True
            os.close(self._descriptor)

    def __enter__(self) -> DownloadTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def check_target(path: str | os.PathLike[str]) -> None:
    """
    Refuse a path that no file can be made at, before anything is fetched for it.

    Raises:
        InvalidInput: The directory is missing or may not be written to, or the path is a directory or
            something else that is no regular file.
    """
    target = Path(os.path.realpath(path))
    _mode_of(target)
    if not target.parent.is_dir():
        raise InvalidInput(f"there is no directory {target.parent}", advice="Make the directory first.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InvalidInput(
            f"{target} cannot be written: no permission", advice="Give yourself permission to write there."
        )


def _temporary(target: Path, distinction: str) -> Path:
    # A name has at most 255 bytes on every usual disk.
    shown = os.fsencode(target.name)[:_SHOWN_NAME_BYTES].decode(errors="ignore")
    return target.with_name(f".{shown}.{distinction}{_TEMPORARY_SUFFIX}")


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
