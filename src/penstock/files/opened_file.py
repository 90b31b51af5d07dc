"""A file that a caller has opened, told from what only leads to one."""

from __future__ import annotations

import io
import os
import stat
import tempfile
from typing import Self


class OpenedFile:
    """
    The file that a stream gives byte for byte, and the revision of it.

    A stream that decompresses or decrypts has a name and a descriptor, too: those of a file with other bytes.
    So only what Python itself makes of an open file is taken for one.

    Attributes:
        status: What the system says of the file.
    """

    def __init__(self, file: io.FileIO, status: os.stat_result) -> None:
        self._file = file
        self._revision = _revision(status)
        self.status = status

    @classmethod
    def of(cls, stream: object) -> Self | None:
        """The regular file behind a stream; None if there is none, or the stream gives other bytes."""
        if isinstance(stream, tempfile._TemporaryFileWrapper):
            stream = stream.file
        try:
            if type(stream) in (io.BufferedReader, io.BufferedRandom):
                stream = stream.raw  # type: ignore[attr-defined]
            if type(stream) is not io.FileIO:
                return None
            status = os.fstat(stream.fileno())
        except (OSError, ValueError):  # it was closed, or detached
            return None
        return cls(stream, status) if stat.S_ISREG(status.st_mode) else None

    def is_unchanged(self) -> bool:
        """Whether size and times are what they were."""
        try:
            return _revision(os.fstat(self._file.fileno())) == self._revision
        except (OSError, ValueError):
            return False

    def is_made_when_read(self) -> bool:
        """Whether it says that it is empty, and is not; see `yields_bytes`."""
        return self.status.st_size == 0 and yields_bytes(self._file.fileno())


def yields_bytes(descriptor: int) -> bool:
    """
    Whether a file can be read, whatever size it says that it has; its position stays where it is.

    What is in ``/proc`` is made while it is read, and says that it has no length.
    """
    if not hasattr(os, "pread"):
        return False
    try:
        return bool(os.pread(descriptor, 1, 0))
    except BlockingIOError:  # it will have some
        return True


def _revision(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns
