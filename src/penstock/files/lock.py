"""One owner at a time, across processes, who is named to those that come second."""

from __future__ import annotations

import os
import socket
import sys
import time
import weakref
from pathlib import Path
from types import TracebackType

import msgspec

from penstock.errors import JournalLocked
from penstock.files.durable import PRIVATE_FILE_MODE, write_all
from penstock.files.process import process_started, program_name

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_BYTE = 1 << 30  # Windows keeps others from reading what is locked: so lock where nothing is


class LockOwner(msgspec.Struct, frozen=True, kw_only=True):
    """
    Who has a lock.

    Attributes:
        process_started: When the system started the process, in its own ticks, so that a reused pid is told
            from the owner; 0 where the system does not say.
        since: Unix seconds when the lock was taken.
        command: What the owner calls itself.
    """

    pid: int
    host: str
    process_started: int
    since: int
    command: str


_LOCKS: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for lock in list(_LOCKS):
        lock.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class FileLock:
    """
    A lock that the operating system lets go of when its process ends, however that comes about, and not only
    when those have ended too that were forked from it.

    It is taken by `acquire` and let go by `release`, and holds against other processes and other `FileLock`
    objects of this process alike. The file beside the lock's name stays behind unless `release` removes it.
    """

    def __init__(self, path: Path, command: str = "") -> None:
        self.path = path
        self._command = command or program_name()
        self._descriptor: int | None = None
        _LOCKS.add(self)

    def leave_to_parent(self) -> None:
        """In a forked process: forget it. It stays locked as long as one process has it open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def is_held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> None:
        """
        Take the lock, or say at once who has it.

        Raises:
            JournalLocked: Somebody else has it.
            OSError: The lock file cannot be made.
        """
        assert self._descriptor is None, "the lock is held already"
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, PRIVATE_FILE_MODE)
            try:
                if not try_lock(descriptor):
                    raise _locked(self.path, read_owner(self.path))
                if is_still_at(descriptor, self.path):
                    _write_owner(descriptor, self._command)
                    self._descriptor = descriptor
                    return
            except BaseException:
                os.close(descriptor)
                raise
            # The owner before us removed the file while we waited for it: lock the one that is there now.
            os.close(descriptor)

    def release(self, *, remove: bool = False) -> None:
        """Let the lock go; nothing if it is not held. ``remove`` deletes its file first, which is safe."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        try:
            if remove and sys.platform != "win32":
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        if remove and sys.platform == "win32":
            try:
                self.path.unlink(missing_ok=True)
            except PermissionError:
                return  # another process opened it meanwhile, and will use it

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def read_owner(path: Path) -> LockOwner | None:
    """Who took the lock last, as far as its file says; None if it does not say."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=LockOwner)
    except (OSError, msgspec.MsgspecError):
        return None


def is_locked(path: Path) -> bool:
    """
    True if somebody has the lock at this moment.

    Linux tells it. Elsewhere the lock is tried, and who wants it in that instant is told that it is taken.
    """
    told = _told_by_system(path)
    return _is_refused(path) if told is None else told


def _told_by_system(path: Path) -> bool | None:
    """What the system's table of locks says; None if that is not clear."""
    try:
        table = Path("/proc/locks").read_text("ascii", errors="replace")
        status = path.stat()
    except OSError:
        return None
    here = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    places = [row.split()[5] for row in table.splitlines() if "->" not in row]
    if here in places:
        return True
    # Some file systems show another device there than to those who ask for the file.
    return None if any(place.endswith(f":{status.st_ino}") for place in places) else False


def _is_refused(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """
    Lock an open file until it is closed, or its process ends; False if somebody else has locked it.

    Raises:
        OSError: The file system knows no locks.
    """
    try:
        if sys.platform == "win32":
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_still_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one that a path leads to."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _write_owner(descriptor: int, command: str) -> None:
    owner = LockOwner(
        pid=os.getpid(),
        host=socket.gethostname(),
        process_started=process_started(),
        since=int(time.time()),
        command=command,
    )
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    write_all(descriptor, msgspec.json.encode(owner))


def _locked(path: Path, owner: LockOwner | None) -> JournalLocked:
    if owner is None:
        return JournalLocked(
            f"{path} is locked by another process", advice="Wait until it has ended, or stop it first."
        )
    since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(owner.since))
    return JournalLocked(
        f"{path} is locked by process {owner.pid} on {owner.host} ({owner.command}) since {since}",
        advice=f"Wait until process {owner.pid} has ended, or stop it first.",
    )
