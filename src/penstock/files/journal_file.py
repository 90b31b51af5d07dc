"""
An append-only file that survives a crash at any instruction. What its bytes mean is not known here.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from penstock.errors import JournalUnreadable, TransferError
from penstock.files.durable import PRIVATE_FILE_MODE, make_private_directory, sync, sync_directory, write_all
from penstock.files.lock import FileLock

SYNC_EVERY_APPENDS = 32
"""Appends that need not be durable are synced together, after so many."""

_FLAGS = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)


class JournalFile:
    """
    One journal, open for appending and locked against every other writer.

    Not for several threads at once. Use it as a context manager, or close it.

    Always: an append that was asked to be durable is on disk when `append` returns; a crash leaves what was
    appended up to some point, not before the last durable one, and at most a torn tail after it; the file
    is 0600.
    """

    def __init__(self, path: Path, descriptor: int, lock: FileLock) -> None:
        self.path = path
        self._descriptor = descriptor
        self._lock = lock
        self._size_bytes = os.fstat(descriptor).st_size
        self._unsynced_appends = 0
        self._is_broken = False
        self._is_closed = False

    @classmethod
    def create(cls, path: Path, *, command: str = "") -> JournalFile:
        """
        Make a new, empty journal; it and its directory are on disk when this returns.

        Args:
            command: What this process calls itself to those that find the journal locked.

        Raises:
            JournalLocked: Another process has it.
            TransferError: It exists already, or the disk refused.
        """
        try:
            make_private_directory(path.parent)
            return cls._locked(path, _FLAGS | os.O_CREAT | os.O_EXCL, command)
        except OSError as error:
            raise _not_written(path, error) from error

    @classmethod
    def open(cls, path: Path, *, command: str = "") -> JournalFile:
        """
        Open an existing journal to go on appending. Read it first and `truncate` what is torn.

        Raises:
            JournalLocked: Another process has it.
            JournalUnreadable: It is missing or may not be read.
        """
        try:
            if not path.exists():
                raise JournalUnreadable(
                    f"there is no journal {path}", advice="`penstock uploads ls` lists them."
                )
            return cls._locked(path, _FLAGS, command)
        except OSError as error:
            raise _not_read(path, error) from error

    @classmethod
    def _locked(cls, path: Path, flags: int, command: str) -> JournalFile:
        lock = FileLock(lock_path(path), command)
        lock.acquire()
        try:
            descriptor = os.open(path, flags, PRIVATE_FILE_MODE)
        except BaseException:
            lock.release()
            raise
        journal = cls(path, descriptor, lock)
        try:
            if flags & os.O_CREAT:
                sync(descriptor)
                sync_directory(path.parent)
        except BaseException:
            journal.close()
            raise
        return journal

    def read_all(self) -> bytes:
        """
        Everything that is in the file.

        Raises:
            JournalUnreadable: The disk could not read it.
        """
        return read_journal(self.path)

    def truncate(self, valid_bytes: int) -> None:
        """
        Cut off what follows ``valid_bytes``, durably; nothing if nothing follows.

        Raises:
            TransferError: The disk refused.
        """
        if valid_bytes >= self._size_bytes:
            return
        try:
            os.ftruncate(self._descriptor, valid_bytes)
            sync(self._descriptor)
        except OSError as error:
            raise _not_written(self.path, error) from error
        self._size_bytes = valid_bytes

    def append(self, frame: bytes, *, durable: bool) -> None:
        """
        Append one frame; with ``durable`` it, and all before it, are on disk when this returns.

        Raises:
            TransferError: The disk refused: it is full, say. The frame is then not in the journal, unless it
                was written and could not be synced: then nothing more is accepted.
        """
        if self._is_broken:
            raise TransferError(
                f"the journal {self.path} could not be synced before, and takes nothing more",
                advice="Check the disk, then resume.",
            )
        try:
            write_all(self._descriptor, frame)
        except OSError as error:
            self._cut_back()
            raise _not_written(self.path, error) from error
        self._size_bytes += len(frame)
        self._unsynced_appends += 1
        if durable or self._unsynced_appends >= SYNC_EVERY_APPENDS:
            self.flush()

    def flush(self) -> None:
        """
        Bring everything appended so far to disk.

        Raises:
            TransferError: The disk refused; what was appended since the last sync may or may not be there.
        """
        if not self._unsynced_appends:
            return
        try:
            sync(self._descriptor)
        except OSError as error:
            # After a failed sync the system may call the pages clean: a second sync would succeed and mean
            # nothing.
            self._is_broken = True
            raise _not_written(self.path, error) from error
        self._unsynced_appends = 0

    def delete(self) -> None:
        """
        Remove the journal and its lock, durably, and close.

        Raises:
            TransferError: The disk refused; it is closed all the same.
        """
        self._unsynced_appends = 0
        try:
            if os.name == "nt":
                os.close(self._descriptor)
                self._descriptor = -1
            self.path.unlink(missing_ok=True)
            sync_directory(self.path.parent)
        except OSError as error:
            raise _not_written(self.path, error) from error
        finally:
            self._close(remove_lock=True)

    def close(self) -> None:
        """
        Sync what is left, close and let go of the lock; closing twice is nothing.

        A failed sync is left at that.
        """
        self._close(remove_lock=False)

    def _close(self, *, remove_lock: bool) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        # What is not durable yet was never promised to be.
        with contextlib.suppress(TransferError):
            self.flush()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._lock.release(remove=remove_lock)

    def _cut_back(self) -> None:
        # A frame behind half a frame would never be found again.
        try:
            os.ftruncate(self._descriptor, self._size_bytes)
        except OSError:
            self._is_broken = True

    def __enter__(self) -> JournalFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def lock_path(path: Path) -> Path:
    """Where the lock of a journal is."""
    return path.with_name(f"{path.name}.lock")


def read_journal(path: Path) -> bytes:
    """
    The bytes of a journal that another process may be writing: for looking only, without its lock.

    Raises:
        JournalUnreadable: It is missing, or may not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise _not_read(path, error) from error


def _not_written(path: Path, error: OSError) -> TransferError:
    return TransferError(
        f"the journal {path} could not be written: {error.strerror or error}",
        advice="Make room or give permission there, or set PENSTOCK_STATE_DIR to another place; then resume.",
    )


def _not_read(path: Path, error: OSError) -> JournalUnreadable:
    return JournalUnreadable(
        f"the journal {path} could not be read: {error.strerror or error}",
        advice="Give permission, or resume by name (oss://bucket/key) instead.",
    )
