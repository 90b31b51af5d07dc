"""Threads that carry out submitted calls and the parts of transfers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from penstock.client.sending.waiting import HEARING_S
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
        # None tells one thread to end.
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._unfinished = 0
        self._finished = threading.Condition(self._lock)
        self._closed = False

    def run(self, work: Callable[[], None]) -> None:
        """
        Carry out ``work`` on a thread, which must not raise.

        Raises:
            InvalidInput: The client was closed.
            RuntimeError: There is no thread, and the system gives none.
        """
        with self._lock:
            if self._closed:
                raise InvalidInput("the client was closed", advice="Make another one.")
            if len(self._threads) <= min(self._unfinished, self._most - 1):
                self._start_thread()
            self._unfinished += 1
            self._work.put(work)

    def wait_until_idle(self) -> None:
        """Wait until all work that was handed in is done."""
        with self._finished:
            while self._unfinished:
                self._finished.wait(HEARING_S)

    @property
    def count(self) -> int:
        """Threads that there are, working or idle."""
        return len(self._threads)

    def close(self, timeout_s: float = 0.0) -> None:
        """Take no more work and end the threads as they become idle; wait for them up to ``timeout_s``."""
        with self._lock:
            self._closed = True
            threads = set(self._threads)
            for _ in threads:
                self._work.put(None)
        for thread in threads - {threading.current_thread()}:
            thread.join(timeout_s)

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._loop, name=f"penstock-{self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            if not self._threads:
                raise
        else:
            self._threads.add(thread)

    def _loop(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            finally:
                del work
                with self._lock:
                    self._unfinished -= 1
                    if not self._unfinished:
                        self._finished.notify_all()

    def _next(self) -> Callable[[], None] | None:
        while True:
            try:
                work = self._work.get(timeout=_IDLE_S)
            except Empty:
                work = None
            if work is not None:
                return work
            with self._lock:
                # Work is handed in under this lock, so none is left behind by the last thread.
                if self._closed or self._work.empty():
                    self._threads.discard(threading.current_thread())
                    return None
