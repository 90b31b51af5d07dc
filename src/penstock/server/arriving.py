"""Which uploads have parts on their way in at this moment."""

from __future__ import annotations

from collections import Counter
from threading import Lock


class Arriving:
    """
    Counts the parts that are being received, by upload.

    OSS does not remove a part that arrives while its upload is aborted: the upload stays open, and
    must be aborted again. This is how the server knows.
    """

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def begin(self, upload_id: str) -> None:
        with self._lock:
            self._counts[upload_id] += 1

    def end(self, upload_id: str) -> None:
        with self._lock:
            self._counts[upload_id] -= 1
            if self._counts[upload_id] <= 0:
                del self._counts[upload_id]

    def any(self, upload_id: str) -> bool:
        """Whether a part of this upload is being received."""
        with self._lock:
            return upload_id in self._counts
