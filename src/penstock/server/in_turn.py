"""One at a time, in all processes of a server."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from threading import Lock
from types import TracebackType


class InTurn:
    """
    A lock that threads share, and processes too if they are given the same file. A context manager.

    Args:
        file: Locked for as long as a thread of this process is inside; None where there is one process.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._lock = Lock()
        self._descriptor = -1 if file is None else os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def __enter__(self) -> None:
        self._lock.acquire()
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._lock.release()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
