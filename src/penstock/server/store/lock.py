"""The lock on a data directory: one process at a time, and the next one is told which."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from pathlib import Path

from penstock.errors import StoreError


class DirectoryLock:
    """
    Held from its making until `close`, or until the process ends, however it ends.

    Raises:
        StoreError: Another process has the directory; the message says who.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / "lock"
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
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
        os.ftruncate(self._descriptor, 0)
        os.pwrite(
            self._descriptor, f"process {os.getpid()} on {socket.gethostname()} since {started}".encode(), 0
        )

    def close(self) -> None:
        """Lets the next process in; may be called again."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1
