"""
A file that is being downloaded: all of it appears under its name, or nothing.

What has come so far lies beside the target. Where a later process is to go on with it, a name that its job
tells leads there. Otherwise it has the first of a few fixed names that is free: it is locked, so that what a
killed process has left is known by its having no owner, and is removed by the next that wants the name.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from penstock.errors import InvalidInput, TransferError
from penstock.files.durable import sync, sync_directory, write_all
from penstock.files.lock import is_still_at, try_lock

_TEMPORARY_SUFFIX = ".penstock-part"
_SHOWN_NAME_BYTES = 100
_MOST_AT_ONE_TARGET = 16
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


class DownloadTarget:
    """
    Writes beside the target and renames at the end.

    Safe to write to from several threads, each at its own offset; what one of them still does when it is
    closed is not disturbed, and reaches no other file. Use it as a context manager: leaving the block
    without `commit`, by an exception or not, discards what was written. What is to be gone on with
    later is made by `begin`, found again by `reopen`, and kept by `close`.

    Always: the target holds its old bytes until `commit`, and all of the new ones after it, across a power
    loss too.
    """

    def __init__(self, path: Path, temporary: Path, descriptor: int) -> None:
        self.path = path
        self.temporary = temporary
        self._descriptor = descriptor
        self._seeking = threading.Lock()
        self._counting = threading.Lock()
        self._users = 0
        self._is_closed = False

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> DownloadTarget:
        """
        Begin to write a file; a symbolic link is followed, and the mode of an existing file kept.

        What a killed process has left of the same is removed.

        Raises:
            InvalidInput: The directory is missing or may not be written to, or the path is a directory or
                something else that is no regular file.
        """
        target = real_path(path)
        mode = _mode_of(target)
        # A file that is open cannot be renamed on Windows, and one that is not open has no lock.
        if os.name != "nt":
            for number in range(_MOST_AT_ONE_TARGET):
                claimed = cls._claimed(target, _temporary(target, str(number)), mode)
                if claimed is not None:
                    return claimed
        return cls._made(target, _temporary(target, secrets.token_hex(6)), os.O_EXCL, mode)

    @classmethod
    def _claimed(cls, target: Path, temporary: Path, mode: int | None) -> DownloadTarget | None:
        """What is written under this name, locked; None if somebody else has it, or there are no locks."""
        while True:
            try:
                made = cls._made(target, temporary, os.O_EXCL, mode)
            except InvalidInput as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
                if not _remove_abandoned(temporary):
                    return None
                continue
            try:
                # Between its making and its locking somebody may have taken it for an abandoned one.
                if try_lock(made._descriptor) and is_still_at(made._descriptor, temporary):
                    return made
            except OSError:
                made.discard()
                return None
            made.close()

    @classmethod
    def begin(cls, path: str | os.PathLike[str], job_id: str, total_bytes: int) -> DownloadTarget:
        """
        Begin to write a file of known length that `reopen` finds again; what an earlier `begin` left is lost.

        Raises:
            InvalidInput: As `create`.
            TransferError: The disk refused.
        """
        target = real_path(path)
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
        target = real_path(path)
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
        target = real_path(path)
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

    @contextmanager
    def _used(self) -> Iterator[int]:
        """The descriptor; whoever has it keeps it open, so that its number means no other file."""
        with self._counting:
            if self._is_closed:
                raise OSError(errno.EBADF, "it was closed")
            self._users += 1
        try:
            yield self._descriptor
        finally:
            with self._counting:
                self._users -= 1
                if self._is_closed and not self._users:
                    os.close(self._descriptor)

    def read_at(self, offset: int, buffer: memoryview) -> int:
        """
        Fill ``buffer`` from ``offset`` on; returns how many bytes there were, 0 at the end.

        Raises:
            TransferError: The disk refused.
        """
        try:
            with self._used() as descriptor:
                if hasattr(os, "preadv"):
                    return os.preadv(descriptor, [buffer], offset)
                with self._seeking:
                    os.lseek(descriptor, offset, os.SEEK_SET)
                    data = os.read(descriptor, len(buffer))
        except OSError as error:
            raise TransferError(
                f"what was fetched for {self.path} could not be read: {error.strerror or error}",
                advice="Check the disk. Cancel this download and begin a new one if it stays so.",
            ) from error
        buffer[: len(data)] = data
        return len(data)

    def sync(self) -> None:
        """
        Bring all that was written to disk.

        Raises:
            TransferError: The disk refused.
        """
        try:
            with self._used() as descriptor:
                sync(descriptor)
        except OSError as error:
            raise _not_written(self.path, error) from error

    def write_at(self, offset: int, data: bytes | bytearray | memoryview) -> None:
        """
        Write all of ``data`` at ``offset``.

        Raises:
            TransferError: The disk refused: it is full, say. Or it was closed.
        """
        view = memoryview(data)
        try:
            with self._used() as descriptor:
                if not hasattr(os, "pwrite"):
                    with self._seeking:
                        os.lseek(descriptor, offset, os.SEEK_SET)
                        write_all(descriptor, view)
                    return
                while view:
                    count = os.pwrite(descriptor, view, offset)
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
        if os.name == "nt":
            self.close()
        # Not closed before: what has no lock may be removed by others.
        os.replace(self.temporary, self.path)  # noqa: PTH105
        self.close()
        sync_directory(self.path.parent)

    def discard(self) -> None:
        """
        Close and remove what was written; nothing after `commit` or `close`.

        Raises:
            OSError: It could not be removed; it is closed.
        """
        if self._is_closed:
            return
        if os.name == "nt":
            self.close()
            self.temporary.unlink(missing_ok=True)
            return
        try:
            if is_still_at(self._descriptor, self.temporary):
                self.temporary.unlink(missing_ok=True)
        finally:
            self.close()

    def close(self) -> None:
        """Close and keep what was written; closing twice is nothing."""
        with self._counting:
            if self._is_closed:
                return
            self._is_closed = True
            if not self._users:
                os.close(self._descriptor)

    def __enter__(self) -> DownloadTarget:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def real_path(path: str | os.PathLike[str]) -> Path:
    """
    Where a file really goes: symbolic links are followed.

    Raises:
        InvalidInput: No file can have this path.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a NUL, or what the system's encoding has no bytes for
        raise InvalidInput(f"{path!r} cannot be a path: {error}", advice="Check the path.") from error


def check_target(path: str | os.PathLike[str]) -> None:
    """
    Refuse a path that no file can be made at, before anything is fetched for it.

    Raises:
        InvalidInput: The directory is missing or may not be written to, or the path is a directory or
            something else that is no regular file.
    """
    target = real_path(path)
    _mode_of(target)
    if not target.parent.is_dir():
        raise InvalidInput(f"there is no directory {target.parent}", advice="Make the directory first.")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise InvalidInput(
            f"{target} cannot be written: no permission", advice="Give yourself permission to write there."
        )


def _remove_abandoned(temporary: Path) -> bool:
    """Make a name free that a process had which has ended; False if it is in use, or not ours to remove."""
    try:
        descriptor = _open_abandoned(temporary)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        if is_still_at(descriptor, temporary):
            temporary.unlink()
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _open_abandoned(temporary: Path) -> int:
    try:
        return os.open(temporary, _FLAGS)
    except PermissionError:  # it got the mode of a target that may only be read
        return os.open(temporary, (_FLAGS & ~os.O_RDWR) | os.O_RDONLY | os.O_NONBLOCK)


def _temporary(target: Path, distinction: str) -> Path:
    # A name has at most 255 bytes on every usual disk.
    shown = os.fsencode(target.name)[:_SHOWN_NAME_BYTES].decode(sys.getfilesystemencoding(), "ignore")
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
