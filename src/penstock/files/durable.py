"""
Bytes that are still there after a power loss.

On Linux a file is on disk after ``fsync`` of it, and its name after ``fsync`` of its directory. macOS answers
``fsync`` before the drive has written, and needs ``F_FULLFSYNC``. Windows cannot sync a directory: there a
new name may be missing after a power loss, never half of a file.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PRIVATE_FILE_MODE = 0o600
PRIVATE_DIRECTORY_MODE = 0o700


def sync(descriptor: int) -> None:
    """Bring all that was written to an open file to disk."""
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
        except OSError:
            # Network file systems refuse it and offer no more than this.
            os.fsync(descriptor)
        return
    os.fsync(descriptor)


def sync_directory(path: Path) -> None:
    """Bring the names in a directory to disk: those that were added, renamed or removed."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def make_private_directory(path: Path) -> None:
    """
    Make a directory, and those above it, that only this user may enter, durably; nothing if it is there.
    """
    missing = [path, *path.parents]
    missing = missing[: next((n for n, one in enumerate(missing) if one.is_dir()), len(missing))]
    for directory in reversed(missing):
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=PRIVATE_DIRECTORY_MODE)
        sync_directory(directory.parent)


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data`` where the file stands; one call to the system as a rule."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
