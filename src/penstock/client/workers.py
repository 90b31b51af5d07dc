"""Threads that carry out submitted calls and the parts of transfers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from penstock.client.waiting import HEARING_S
from penstock.errors import InvalidInput

_IDLE_S = 5.0


class Workers:
    """
    Daemon threads, started when there is work and none is idle, and ended when idle for some seconds.

    Args:
        most: No more threads than this; further work waits in order.
        name: Begins the names of the threads.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._work: deque[Callable[[], None]] = deque()
        self._changed_lock = threading.Lock()
        self._changed = threading.Condition(self._changed_lock)
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._busy = 0
        self._done = threading.Condition(self._changed_lock)
        self._closed = False

    def run(self, work: Callable[[], None]) -> None:
        """Carry out ``work`` on a thread, which must not raise."""
        with self._changed:
            if self._closed:
                raise InvalidInput("the client was closed", advice="Make another one.")
            self._work.append(work)
            if self._idle >= len(self._work):
                self._changed.notify()
            elif len(self._threads) < self._most:
                thread = threading.Thread(target=self._loop, name=f"penstock-{self._name}", daemon=True)
                self._threads.add(thread)
                thread.start()

    def wait_until_idle(self) -> None:
        """Wait until all work that was handed in is done."""
        with self._changed:
            while self._work or self._busy:
                self._done.wait(HEARING_S)

    @property
    def count(self) -> int:
        """Threads that there are, working or idle."""
        return len(self._threads)

    def close(self, timeout_s: float = 0.0) -> None:
        """Take no more work and end the threads as they become idle; wait for them up to ``timeout_s``."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            threads = set(self._threads)
        for thread in threads - {threading.current_thread()}:
            thread.join(timeout_s)

    def _loop(self) -> None:
        while True:
            with self._changed:
                while not self._work:
                    if self._closed:
                        self._threads.discard(threading.current_thread())
                        return
                    self._idle += 1
                    woken = self._changed.wait(_IDLE_S)
                    self._idle -= 1
                    if not woken and not self._work:
                        self._threads.discard(threading.current_thread())
                        return
                work = self._work.popleft()
                self._busy += 1
            try:
                work()
            finally:
                del work
                with self._changed:
                    self._busy -= 1
                    self._done.notify_all()
