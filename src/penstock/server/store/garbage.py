"""Removing the files that nothing needs: those that rows let go of, and those that no row ever knew."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Any, Final

import apsw

from penstock.errors import StoreError
from penstock.server.store.blobs import BlobFiles
from penstock.server.store.content import Horizon
from penstock.server.store.writer import ReaderPool, Writer, last_garbage_id

logger = logging.getLogger("penstock.server")

_BATCH: Final = 500
_PAUSE_S: Final = 0.2


class GarbageCollector:
    """
    Removes the files listed in ``gc``, and then their rows; a thread does it whenever there is something.

    A crash between the two leaves a row without a file, which is a success the next time.

    Args:
        confirm: Makes durable what was committed. Otherwise a power failure could bring back the rows that
            needed a file which is gone.
        again_s: After how long to look again for what could not be removed.
    """

    def __init__(
        self,
        writer: Writer,
        readers: ReaderPool,
        files: BlobFiles,
        horizon: Horizon,
        confirm: Callable[[], None],
        again_s: float = 5.0,
    ) -> None:
        self._again_s = again_s
        self._confirm = confirm
        self._writer = writer
        self._readers = readers
        self._files = files
        self._horizon = horizon
        self._one_at_a_time = Lock()
        self._wanted = Event()
        self._stopping = Event()
        self._thread = Thread(target=self._serve, name="penstock-store-gc", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There may be something to remove."""
        self._wanted.set()

    def collect(self) -> int:
        """Removes what can be removed now; returns the number of files that were removed."""
        removed = 0
        with self._one_at_a_time:
            while rows := self._readers.run("looking for garbage", self._next):
                self._confirm()
                removed += sum(self._files.remove(blob_id) for _, blob_id in rows)
                done = [(row_id,) for row_id, _ in rows]
                self._writer.run(
                    "forgetting garbage",
                    lambda connection, done=done: connection.executemany(  # type: ignore[misc]
                        "DELETE FROM gc WHERE id = ?", done
                    ),
                )
        return removed

    @property
    def alive(self) -> bool:
        """False if the thread has ended: files that nothing needs stay."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stops the thread; what is left is removed after the next start."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join()

    def _next(self, connection: apsw.Connection) -> list[tuple[int, str]]:
        # In this order, and all in one snapshot: who begins to read after it needs none of these files.
        removable_id = self._horizon.removable_id(last_garbage_id(connection))
        rows: list[Any] = connection.execute(
            "SELECT id, blob FROM gc WHERE id <= ? ORDER BY id LIMIT ?", (removable_id, _BATCH)
        ).fetchall()
        return rows

    def _serve(self) -> None:
        again_s = None
        while True:
            self._wanted.wait(again_s)
            if self._stopping.is_set():
                return
            self._wanted.clear()
            try:
                self.collect()
                left = self._readers.run("looking for garbage", _any_left)
            except StoreError:
                # The rows stay, so that nothing is forgotten; a disk that fails is told to those who write.
                left = True
            except Exception:
                # The wall of the thread: what is garbage now is still garbage the next time.
                logger.exception("collecting garbage failed")
                left = True
            # Somebody may still be reading what is left.
            again_s = self._again_s if left else None
            self._stopping.wait(_PAUSE_S)


def _any_left(connection: apsw.Connection) -> bool:
    return connection.execute("SELECT 1 FROM gc LIMIT 1").fetchone() is not None


def sweep_orphans(readers: ReaderPool, files: BlobFiles, grace_s: float) -> tuple[str, ...]:
    """Removes blob files that no row knows and that are older than ``grace_s``; returns their ids."""
    removed = []
    for blob_ids in files.older_than(grace_s):
        for blob_id in find_orphans(readers, files, blob_ids):
            if files.remove(blob_id):
                removed.append(blob_id)
    files.remove_empty_shards()
    return tuple(removed)


def find_orphans(readers: ReaderPool, files: BlobFiles, blob_ids: Sequence[str]) -> list[str]:
    """Those of the ids that no row knows, and that no transaction is about to make known."""
    # In this order: an id that is settled before the query has its row by the time of the query.
    settled = files.settled(blob_ids)

    def unknown(connection: apsw.Connection) -> list[str]:
        return [
            blob_id
            for blob_id in settled
            if connection.execute("SELECT 1 FROM blob WHERE id = ?", (blob_id,)).fetchone() is None
            and connection.execute("SELECT 1 FROM gc WHERE blob = ?", (blob_id,)).fetchone() is None
        ]

    return readers.run("looking for orphans", unknown)
