"""The lock on a data directory: one server at a time, and the next is told which; and whose turn it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import time
from pathlib import Path
from types import TracebackType

from penstock.errors import StoreError


def open_for_owner(path: Path, flags: int = 0) -> int:
    """
    Opens a file, made if need be, that the owner of its directory can use.

    Root looks after the stores of others; a file of root's own would keep their server out.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | flags, 0o600)
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
    return descriptor


class DirectoryLock:
    """
    Held from its making until `close`, or until the process ends, however it ends.

    A forked child holds it too: it is free again when the last of them is gone.

    Raises:
        StoreError: Another process has the directory; the message says who.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        try:
            self._descriptor = open_for_owner(path)
        except OSError as error:
            raise StoreError(
                f"opening {path}: {error.strerror}", advice="Choose a directory that can be written to."
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._descriptor)
            raise StoreError(
                f"the data directory {directory} is in use by {owner}",
                advice="Stop that process, or choose another directory.",
            ) from error
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        owner = f"process {os.getpid()} on {socket.gethostname()} since {started}"
        # On a full disk nobody is told who has it. The lock holds all the same.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, owner.encode(), 0)

    def close(self) -> None:
        """Lets the next process in; may be called again."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1


class WritingTurn:
    """
    Lets the processes that share a store write one after the other, each before any of them again.

    SQLite alone is right, but not fair: it lets those who wait look again from time to time, and a busy
    process could keep all others out. Leaving it as a context manager passes the turn on.
    """

    def __init__(self, directory: Path) -> None:
        self._descriptors = [open_for_owner(directory / name) for name in ("turn.next", "turn.now")]

    def __enter__(self) -> None:
        next_one, now = self._descriptors
        # Whoever is next waits where nobody who had the turn just now can get past it.
        fcntl.flock(next_one, fcntl.LOCK_EX)
        fcntl.flock(now, fcntl.LOCK_EX)
        fcntl.flock(next_one, fcntl.LOCK_UN)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        fcntl.flock(self._descriptors[1], fcntl.LOCK_UN)

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
