"""Work that a server does by itself, again and again, on a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from penstock.errors import StoreError

logger = logging.getLogger("penstock.server")


class Chore:
    """
    Does something from time to time until it is stopped. What fails is logged, and done again the next time.

    Args:
        name: What it does, for people.
        work: Done once each time.
        first_s: From the start to the first time.
        every_s: From the end of one time to the next.
    """

    def __init__(self, name: str, work: Callable[[], None], *, first_s: float, every_s: float) -> None:
        self.name = name
        self._work = work
        self._first_s = first_s
        self._every_s = every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"penstock-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends after what is being done."""
        self._stopping.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """False if its thread has ended, though it should not have."""
        return self._thread.is_alive()

    def _run(self) -> None:
        wait_s = self._first_s
        while not self._stopping.wait(wait_s):
            wait_s = self._every_s
            try:
                self._work()
            except StoreError as error:
                logger.error("%s: %s", self.name, error.message)
            except Exception:
                # The wall of the thread: nobody would notice that it is gone, and it is needed tomorrow.
                logger.exception("%s failed", self.name)
