"""
The space that a disk must keep free, so that what fills it can be removed again.

Removing takes space first: it is written to SQLite's log, and what the log holds needs room in the metadata
when it is carried over. A disk that is full to the last byte could only be emptied past the server. So
whatever adds something is refused while less than a reserve is free, and the reserve holds twice what the log
may become.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from penstock.errors import StoreError

_RESERVE_BYTES: Final = 64 << 20
_SHARE: Final = 8
_PAGE_BYTES: Final = 4096
_LOG_PAGES: Final = 4_000
_MIB: Final = 1 << 20


class Room:
    """
    The space on the disk of one data directory.

    Attributes:
        reserve_bytes: While less is free, nothing is added to the metadata; while less than twice as much is,
            no bytes of large bodies are stored either, since many of them can be on their way at once.
        log_pages: At this length SQLite's log is carried over into the metadata and begun anew.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        found = os.statvfs(directory)
        # On a small disk it is an eighth, and the log is kept shorter accordingly.
        self.reserve_bytes = min(_RESERVE_BYTES, found.f_blocks * found.f_frsize // _SHARE)
        self.log_pages = max(1, min(_LOG_PAGES, self.reserve_bytes // 4 // _PAGE_BYTES))

    def short_of(self, times: int = 1) -> bool:
        """Whether less than so many times the reserve is free."""
        found = os.statvfs(self._directory)
        return found.f_bavail * found.f_frsize < self.reserve_bytes * times

    def refusal(self, what: str) -> StoreError:
        """Says that something was not done because too little is free."""
        found = os.statvfs(self._directory)
        free = found.f_bavail * found.f_frsize
        return StoreError(
            f"{what}: only {free / _MIB:,.1f} MiB are free on the disk of {self._directory}, "
            "and the last of them are kept for removing",
            advice="Delete objects or uploads, or free some space on that disk; what was confirmed is safe.",
        )
