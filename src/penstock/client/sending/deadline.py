"""Calls functions at set times, on one daemon thread for the whole process."""

from __future__ import annotations

import heapq
import itertools
import math
import os
import threading
import time
from collections.abc import Callable

from penstock.errors import InvalidInput

_LONGEST_WAIT_S = 3600.0
"""The system has a longest time to wait; what is due later is looked at again."""


class Alarm:
    """A function that will be called once, at its time, unless it is called off before."""

    __slots__ = ("_ring",)

    def __init__(self, ring: Callable[[], object]) -> None:
        self._ring: Callable[[], object] | None = ring

    def call_off(self) -> None:
        """Forget the function; no effect if it was called already."""
        self._ring = None

    def ring(self) -> None:
        """Call the function unless called off."""
        ring, self._ring = self._ring, None
        if ring is not None:
            ring()


class AlarmClock:
    """
    Rings alarms at their times.

    Its thread is started by the first alarm and ends when none is left, so an idle process has none.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._order = itertools.count()
        self._due: list[tuple[float, int, Alarm]] = []
        self._thread: threading.Thread | None = None

    def ring_in(self, delay_s: float, ring: Callable[[], object]) -> Alarm:
        """
        Call ``ring`` in ``delay_s`` seconds, never if that is infinite; it must be quick and must not raise.

        Raises:
            InvalidInput: The delay is not a number.
            RuntimeError: The system gives no thread, so that it could not be called.
        """
        if math.isnan(delay_s):
            raise InvalidInput(
                "a deadline that is not a number cannot be", advice="Give seconds, or leave it out."
            )
        alarm = Alarm(ring)
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._watch, name="penstock-deadlines", daemon=True)
                thread.start()
                self._thread = thread
            heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._order), alarm))
            self._changed.notify()
        return alarm

    def _watch(self) -> None:
        while True:
            with self._changed:
                while self._due and self._due[0][2]._ring is None:
                    heapq.heappop(self._due)
                if not self._due:
                    self._thread = None
                    return
                remaining_s = self._due[0][0] - time.monotonic()
                if remaining_s > 0:
                    self._changed.wait(min(remaining_s, _LONGEST_WAIT_S))
                    continue
                alarm = heapq.heappop(self._due)[2]
            alarm.ring()

    def wake(self) -> None:
        """Look again at what is due: an alarm was called off."""
        with self._changed:
            self._changed.notify()

    def forget_parent(self) -> None:
        """In a forked process: keep the deadlines that this thread stands under, on a thread of its own."""
        self._changed = threading.Condition()
        self._thread = None
        due, self._due = self._due, []
        for rings_at, _, alarm in due:
            if alarm._ring is not None:
                self.ring_in(rings_at - time.monotonic(), alarm.ring)


ALARMS = AlarmClock()
"""The process's clock."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ALARMS.forget_parent)
