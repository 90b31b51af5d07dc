"""Which uploads have parts on their way in at this moment."""

from __future__ import annotations

import fcntl
import os
from collections import Counter
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final

_OFFSET_BYTES: Final = 7


class Arriving:
    """
    Counts the parts that are being received, by upload.

    OSS does not remove a part that arrives while its upload is aborted: the upload stays open, and
    must be aborted again. This is how the server knows.

    Args:
        file: Where the processes of one server tell each other, each by locking one byte for each upload of
            which it receives parts; None where there is one process.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = Lock()
        self._descriptor = -1 if file is None else os.open(file, os.O_RDWR | os.O_CREAT, 0o600)

    def begin(self, upload_id: str) -> None:
        with self._lock:
            self._counts[upload_id] += 1
            if self._counts[upload_id] == 1:
                self._ask(fcntl.LOCK_SH, upload_id)

    def end(self, upload_id: str) -> None:
        with self._lock:
            self._counts[upload_id] -= 1
            if self._counts[upload_id] <= 0:
                del self._counts[upload_id]
                self._ask(fcntl.LOCK_UN, upload_id)

    def any(self, upload_id: str) -> bool:
        """Whether a part of this upload is being received, by any process."""
        with self._lock:
            if upload_id in self._counts:
                return True
            try:
                self._ask(fcntl.LOCK_EX | fcntl.LOCK_NB, upload_id)
            except OSError:
                return True
            self._ask(fcntl.LOCK_UN, upload_id)
            return False

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _ask(self, command: int, upload_id: str) -> None:
        if self._descriptor >= 0:
            # Two uploads share a byte as good as never; an abort would have to be asked again.
            digest = blake2b(upload_id.encode(), digest_size=_OFFSET_BYTES).digest()
            fcntl.lockf(self._descriptor, command, 1, int.from_bytes(digest, "big"))
