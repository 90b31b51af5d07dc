"""
Work that cannot be interrupted, done on threads that a waiting call can leave behind.

The system's resolver, a read of a hung disk, a caller's own stream or credential provider: none of them can
be stopped from outside. A call that waits for one is woken by its latch and goes; the thread stays with its
errand until that ends by itself, its result is thrown away, and it is counted meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

from penstock.net.latch import Gate, Latch

T = TypeVar("T")

_IDLE_S = 10.0


class Errand(Generic[T]):
    """One piece of such work; any number of calls may wait for it. Made by `Errands.start`."""

    __slots__ = (
        "_errands",
        "_error",
        "_fn",
        "_gates",
        "_value",
        "_waiters",
        "counted",
        "finished",
        "started",
    )

    def __init__(self, fn: Callable[[], T], errands: Errands) -> None:
        self._fn = fn
        self._errands = errands
        self._gates: list[Gate] = []
        self._waiters = 0
        self._value: T | None = None
        self._error: BaseException | None = None
        self.started = False
        self.finished = False
        self.counted = False

    def result(self, latch: Latch, timeout_s: float | None) -> T:
        """
        What the work returned, or raised.

        Args:
            latch: Ends the waiting, not the work.
            timeout_s: Longest time to wait; None waits for ever.

        Raises:
            Tripped: The latch tripped first.
            TimeoutError: The time was over first.
        """
        gate = Gate()
        self._gates.append(gate)
        self._errands._join(self)
        try:
            if not self.finished:
                with latch.attach(gate.open):
                    gate.wait(timeout_s)
        finally:
            self._errands._leave(self)
        if not self.finished:
            latch.check()
            raise TimeoutError(f"no result after {timeout_s} s")
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def _carry_out(self) -> None:
        try:
            self._value = self._fn()
        except BaseException as error:  # noqa: BLE001 - outer wall: it belongs to whoever waits
            self._error = error
        self.finished = True
        for gate in self._gates:
            gate.open()


class Errands:
    """
    A bounded group of daemon threads for errands.

    Threads are started when needed, kept for a while when idle, and never joined: a hung errand does not keep
    the process from ending.

    Args:
        cap: Most threads; further errands wait for one.
        name: Prefix of the threads' names.
    """

    def __init__(self, cap: int, name: str) -> None:
        self._cap = cap
        self._name = name
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        self._queue: deque[Errand[Any]] = deque()
        self._idle = 0
        self._threads = 0
        self._abandoned = 0

    @property
    def abandoned(self) -> int:
        """Errands that are still running although nobody waits for them any more."""
        return self._abandoned

    @property
    def threads(self) -> int:
        """Threads that exist now."""
        return self._threads

    def run(self, fn: Callable[[], T], latch: Latch, timeout_s: float | None) -> T:
        """
        Calls ``fn`` on one of the threads, and returns what it returns or raises what it raises.

        Raises:
            Tripped: The latch tripped first; ``fn`` is left behind.
            TimeoutError: ``timeout_s`` was over first; ``fn`` is left behind.
        """
        latch.check()
        return self.start(fn).result(latch, timeout_s)

    def start(self, fn: Callable[[], T]) -> Errand[T]:
        """Has ``fn`` called on one of the threads; any number of calls may wait for its result."""
        errand = Errand(fn, self)
        with self._lock:
            self._enqueue(errand)
        return errand

    def _enqueue(self, errand: Errand[Any]) -> None:
        self._queue.append(errand)
        if self._idle >= len(self._queue):
            self._ready.notify()
        elif self._threads < self._cap:
            self._start_thread()

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True)
        self._threads += 1
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads
            self._threads -= 1
            if not self._threads:
                self._queue.pop()
                raise

    def _work(self) -> None:
        while (errand := self._next()) is not None:
            errand._carry_out()
            with self._lock:
                self._count(errand, abandoned=False)

    def _next(self) -> Errand[Any] | None:
        with self._lock:
            while not self._queue:
                self._idle += 1
                notified = self._ready.wait(_IDLE_S)
                self._idle -= 1
                if not notified and not self._queue:
                    self._threads -= 1
                    return None
            errand = self._queue.popleft()
            errand.started = True
            return errand

    def _join(self, errand: Errand[Any]) -> None:
        with self._lock:
            errand._waiters += 1
            self._count(errand, abandoned=False)
            if not errand.started and errand not in self._queue:
                self._enqueue(errand)

    def _leave(self, errand: Errand[Any]) -> None:
        with self._lock:
            errand._waiters -= 1
            if errand._waiters or errand.finished:
                return
            if errand.started:
                self._count(errand, abandoned=True)
            else:
                self._queue.remove(errand)  # nobody wants it any more: it need not begin

    def _count(self, errand: Errand[Any], *, abandoned: bool) -> None:
        self._abandoned += int(abandoned) - int(errand.counted)
        errand.counted = abandoned
