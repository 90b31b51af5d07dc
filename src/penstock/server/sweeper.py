"""Removes blob files that no row knows, from time to time: what processes left that were killed."""

from __future__ import annotations

import logging
from typing import Final

from penstock.server.chore import Chore
from penstock.server.store import LocalStore

logger = logging.getLogger("penstock.server")

FIRST_S: Final = 600.0
EVERY_S: Final = 86_400.0


class Sweeper(Chore):
    """
    Sweeps a store, a while after the start and then once a day.

    Files younger than a day stay; so does everything that a row knows, or that is on its way to one.
    """

    def __init__(self, store: LocalStore, first_s: float = FIRST_S, every_s: float = EVERY_S) -> None:
        super().__init__("sweeper", self._sweep, first_s=first_s, every_s=every_s)
        self._store = store

    def _sweep(self) -> None:
        removed = self._store.sweep_orphans()
        if removed:
            logger.info("swept: removed %d files that nothing knew", len(removed))
