"""
The latch: one switch that stops everything that hangs on it, and the only way to sleep.

It may be tripped where no lock may be taken: in a signal handler that interrupted this very code, in a
finaliser, in a callback. So there is no lock in it. Its state is a list and two dicts, of which only
operations are used that the interpreter carries out as one step (``append``, ``popitem``, ``pop``, item
assignment); a waiter sleeps on a raw lock that the tripping thread releases and never acquires.

The one rule of order: whoever adds something to a latch looks *afterwards* whether it has tripped, and
whoever trips it marks it *before* taking out what was added. One of the two always sees the other.

A latch has tripped as soon as one above it has: it looks there itself. So a trip takes effect at once,
however much hangs on it, and only waking those who sleep takes time. What is left of that after a few
milliseconds, because there are thousands, or very many sockets to be cut, is done on another thread.
"""

from __future__ import annotations

import _thread
import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace, TracebackType
from typing import Self

_PATIENCE_S = 0.003
"""How long a trip wakes others on the thread that trips."""

_EXIT_S = 1.0
"""How long a program that ends waits for those who still wake others: they cut its sockets."""

_waking: list[_thread.LockType] = []
"""One for each thread that wakes others; free once it is done."""


class Tripped(Exception):
    """
    Unwinds a call whose latch has tripped; layers above turn it into `penstock.errors.Aborted`.

    Attributes:
        reason: What was given to `Latch.trip`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Attachment:
    """What `Latch.attach` returns; leaving its ``with`` block detaches."""

    __slots__ = ("_latch",)

    def __init__(self, latch: Latch) -> None:
        self._latch = latch

    def detach(self) -> bool:
        """
        Takes the wake back from the latch.

        Returns:
            True if it was still there, so that it has not been and will not be called. False if it was
            taken by a trip, which may be calling it at this moment in another thread.
        """
        return self._latch._wakes.pop(self, None) is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()


class Latch:
    """
    A one-shot switch: once tripped it stays so, and has tripped every latch made under it.

    Every method may be called from any thread, from a signal handler and from a callback.
    A child that is dropped without `close` leaves its parents by itself.

    Example::

        client = Latch()
        with Latch(client) as request:
            request.wait(30.0)      # ends at once when either is tripped

    Args:
        *parents: Latches whose trip trips this one too; if one has tripped already, this one is born
            tripped.
    """

    __slots__ = ("__weakref__", "_children", "_marks", "_parents", "_trips", "_wakes")

    def __init__(self, *parents: Latch) -> None:
        self._trips: list[list[str]] = []
        # Where a trip shows that trips this latch: its own first, then those above.
        self._marks: tuple[list[list[str]], ...] = (
            self._trips,
            *(mark for parent in parents for mark in parent._marks),
        )
        self._wakes: dict[Attachment, Callable[[], None]] = {}
        self._children: dict[int, weakref.ref[Latch]] = {}
        self._parents = parents
        for parent in parents:
            parent._children[id(self)] = weakref.ref(self)

    def trip(self, reason: str = "abort") -> bool:
        """
        Stops everything that hangs on this latch, now. Never raises, may be repeated.

        When it returns, this latch and all below it have tripped. Those who sleep have been woken, or are
        being woken by another thread.

        Args:
            reason: A word for `Tripped.reason`; the first one stays.

        Returns:
            True for the first trip, False for each later one.
        """
        mine = [reason]
        self._mark(mine)
        self._wake_all(time.monotonic() + _PATIENCE_S)
        return self._trips[0] is mine

    @property
    def tripped(self) -> bool:
        """Whether it has been tripped."""
        return any(self._marks)

    @property
    def reason(self) -> str | None:
        """The reason of the first trip, or None."""
        for trips in self._marks:
            if trips:
                return trips[0][0]
        return None

    def check(self) -> None:
        """Does nothing, or raises `Tripped`."""
        for trips in self._marks:
            if trips:
                raise Tripped(trips[0][0])

    def attach(self, wake: Callable[[], None]) -> Attachment:
        """
        Has ``wake`` called once when the latch trips; at once, on this thread, if it has.

        ``wake`` runs on the tripping thread, perhaps inside a signal handler: it must neither block nor
        take a lock that other code holds while it runs.
        """
        attachment = Attachment(self)
        self._wakes[attachment] = wake
        if self.tripped:
            self._wake_all(None)
        return attachment

    def wait(self, timeout_s: float | None) -> bool:
        """
        Sleeps until the latch trips, at most ``timeout_s`` seconds (None: for ever).

        Returns:
            True as soon as the latch has tripped, False when the time is over.
        """
        if not self.tripped and (timeout_s is None or timeout_s > 0):
            gate = Gate()
            with self.attach(gate.open):
                gate.wait(timeout_s)
        return self.tripped

    def close(self) -> None:
        """Leaves the parents, so that they no longer know of this latch; it can still be tripped itself."""
        key = id(self)
        for parent in self._parents:
            parent._children.pop(key, None)
        reason = self.reason
        if reason is not None:
            self._mark([reason])
        self._marks = (self._trips,)
        self._parents = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._parents:
            self.close()

    def _mark(self, trip: list[str]) -> None:
        """Marks it as tripped, for the reason that it has already, if any."""
        reason = self.reason
        if not self._trips:
            self._trips.append(trip if reason is None else [reason])

    def _wake_all(self, until: float | None) -> None:
        """Wakes those who sleep here and below; what is left at ``until`` is left to another thread."""
        interrupt: BaseException | None = None
        while self._wakes or self._children:
            if until is not None and time.monotonic() >= until and self._wake_elsewhere():
                break
            try:
                self._wake_next(until)
            except BaseException as error:  # noqa: BLE001 - a second Ctrl-C must not spare anybody either
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def _wake_elsewhere(self) -> bool:
        busy = _thread.allocate_lock()
        busy.acquire()
        _waking.append(busy)
        try:
            # Not a `threading.Thread`: starting one takes locks, which a signal handler must not.
            _thread.start_new_thread(self._wake_rest, (busy,))
        except RuntimeError:  # the system gives no more threads
            _waking.remove(busy)
            return False
        return True

    def _wake_rest(self, busy: _thread.LockType) -> None:
        try:
            self._wake_all(None)
        finally:
            _waking.remove(busy)
            busy.release()

    def _wake_next(self, until: float | None) -> None:
        if not self._wakes:
            with suppress(KeyError):  # another thread took the last one
                _, reference = self._children.popitem()
                child = reference()
                if child is not None:
                    child._mark([self.reason or "abort"])
                    child._wake_all(until)
            return
        try:
            attachment, wake = self._wakes.popitem()
        except KeyError:  # another thread took the last one
            return
        try:
            wake()
        except Exception as error:  # noqa: BLE001 - outer wall: one faulty wake must not spare the others
            _report(error, wake)
        except BaseException:
            self._wakes[attachment] = wake
            raise


class Gate:
    """
    A door that starts closed, is opened once, and lets its waiter through.

    Unlike `threading.Event` it may be opened from a signal handler that interrupted its waiter.
    """

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Lets the waiter through; may be repeated."""
        with suppress(RuntimeError):  # open already
            self._lock.release()

    def wait(self, timeout_s: float | None) -> bool:
        """Blocks until the gate is open, at most ``timeout_s`` seconds; True if it is."""
        limit_s = -1.0 if timeout_s is None else min(max(timeout_s, 0.0), threading.TIMEOUT_MAX)
        if not self._lock.acquire(timeout=limit_s):
            return False
        self.open()
        return True


@atexit.register
def _let_wakes_end() -> None:
    until = time.monotonic() + _EXIT_S
    for busy in list(_waking):
        busy.acquire(timeout=max(until - time.monotonic(), 0.0))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_waking.clear)


def _report(error: Exception, wake: Callable[[], None]) -> None:
    trace: TracebackType | None = error.__traceback__
    sys.unraisablehook(
        SimpleNamespace(exc_type=type(error), exc_value=error, exc_traceback=trace, err_msg=None, object=wake)
    )
