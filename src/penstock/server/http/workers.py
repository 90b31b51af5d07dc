"""Threads on which blocking work of the server runs, and its results back on the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Job = tuple["asyncio.Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Workers:
    """
    A pool that costs little per call: one queue in, and one wake-up of the loop for many results.

    ``loop.run_in_executor`` does the same with two futures, a lock and a wake-up for every call, which a
    small PUT notices.

    Args:
        loop: Where results are delivered; `run` is called on its thread.
        threads: At most so many run at once. A write waits for its commit on one of them, so their
            number bounds how many writes share a commit.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, threads: int) -> None:
        self._loop = loop
        self._limit = threads
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._results: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._wake_pending = False
        self._lock = threading.Lock()

    def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Starts the call on a thread; the future gets what it returns or raises."""
        assert not kwargs
        future: asyncio.Future[T] = self._loop.create_future()
        if self._unfinished >= len(self._threads) < self._limit:
            self._start_thread()
        self._unfinished += 1
        self._jobs.put((future, call, args))
        return future

    def close(self) -> None:
        """Lets what was started end, and the threads with it. Not for the loop's thread while it runs."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start_thread(self) -> None:
        name = f"penstock-server-{len(self._threads) + 1}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system gives no more threads. Those that there are will do.
            if not self._threads:
                raise
            return
        self._threads.append(thread)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, call, args = job
            result: Any = None
            failure: BaseException | None = None
            try:
                result = call(*args)
            except BaseException as error:  # noqa: BLE001 - the wall of the thread: whoever awaits it gets it
                failure = error
            self._deliver(future, result, failure)
            del job, future, call, args, result, failure

    def _deliver(self, future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
        with self._lock:
            self._results.append((future, result, failure))
            if self._wake_pending:
                return
            self._wake_pending = True
        try:
            self._loop.call_soon_threadsafe(self._settle)
        except RuntimeError:
            # The loop was closed: nobody waits for the result any more.
            self._results.clear()

    def _settle(self) -> None:
        with self._lock:
            self._wake_pending = False
            settled, self._results = self._results, deque()
        for future, result, failure in settled:
            self._unfinished -= 1
            if future.done():
                continue
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
