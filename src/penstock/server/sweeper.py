"""Removes blob files that no row knows, from time to time: what processes left that were killed."""

from __future__ import annotations

import logging
import threading
from typing import Final

from penstock.errors import StoreError
from penstock.server.store import LocalStore

logger = logging.getLogger("penstock.server")

FIRST_S: Final = 600.0
EVERY_S: Final = 86_400.0


class Sweeper:
    """
    Sweeps a store on a thread of its own, a while after the start and then once a day.

    Files younger than a day stay; so does everything that a row knows, or that is on its way to one.
    """

    def __init__(self, store: LocalStore, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        self._store = store
        self._first_s = first_s
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="penstock-sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after the sweep that is under way."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._stopping.wait(wait_s):
            wait_s = self._every_s
            try:
                removed = self._store.sweep_orphans()
                if removed:
                    logger.info("swept: removed %d files that nothing knew", len(removed))
            except StoreError as error:
                logger.error("sweep: %s", error.message)
