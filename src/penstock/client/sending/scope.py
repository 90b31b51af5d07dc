"""
What may be stopped together: request < transfer < group < client < process.

Each scope is a latch; a call listens to all that hold it. The scopes around a piece of code travel in a
context variable, so they hold for whatever it calls, for what it submits, and for its asyncio tasks.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import TracebackType

from penstock.client.sending.deadline import ALARMS, Alarm
from penstock.net.latch import Latch

PROCESS = Latch()
"""The scope of the whole process; once stopped, it stays so."""

_AROUND: contextvars.ContextVar[tuple[Latch, ...]] = contextvars.ContextVar("penstock_scopes", default=())


def abort_all(reason: str = "abort") -> None:
    """
    Stop everything that this process does with penstock, in all clients and groups, now and for good.

    For a process that is to end: what is begun afterwards, by new clients too, ends at once as not sent. Only
    what cleans up (`Transfer.cancel`) still works. Uploads, copies and downloads are kept, and go on in
    another process. From any thread, a signal handler or a callback; never raises; may be repeated.

    Example:
        signal.signal(signal.SIGTERM, lambda number, frame: penstock.abort_all("SIGTERM"))
    """
    PROCESS.trip(reason)


def advice_to_stopped(reason: str, advice: str) -> str:
    """What to do after a stop: ``advice``, unless another call would be stopped as well."""
    if PROCESS.tripped:
        return "All of this process was stopped by abort_all(): go on in another one."
    if reason == "disabled":
        return "All requests of this client are off: call enable_requests() to use it again."
    return advice


def scopes_around() -> tuple[Latch, ...]:
    """The latches of all scopes that the running code stands in, outermost first."""
    return _AROUND.get()


@contextmanager
def within(latch: Latch) -> Iterator[None]:
    """Let ``latch`` hold whatever runs inside."""
    token = _AROUND.set((*_AROUND.get(), latch))
    try:
        yield
    finally:
        _AROUND.reset(token)


@contextmanager
def stopped_with_reader(latch: Latch) -> Iterator[None]:
    """Let whoever stops the code that runs inside stop ``latch`` too, wherever that was made."""
    with ExitStack() as attached:
        for scope in scopes_around():
            attached.enter_context(scope.attach(partial(_trip_like, latch, scope)))
        yield


def _trip_like(latch: Latch, scope: Latch) -> None:
    latch.trip(scope.reason or "abort")


class abort_scope:  # noqa: N801 - it is used like a function, as in `with abort_scope():`
    """
    A scope for a block of code: what is begun inside can be stopped together.

    Leaving the block by an exception aborts all that was begun inside and still runs, submitted calls
    too. Leaving it normally lets them run, and calls off the deadline.

    Several threads may be in it at a time. Once stopped it stays so: whatever enters it then is stopped too.

    Args:
        deadline_s: Seconds from entering after which the scope aborts by itself; None for never.

    Example:
        with penstock.abort_scope(deadline_s=30) as scope:
            client.put_object("bucket", "key", body)    # raises Aborted after 30 s
    """

    def __init__(self, *, deadline_s: float | None = None) -> None:
        self._deadline_s = deadline_s
        self._latch = Latch(*scopes_around())
        self._alarms: list[Alarm] = []

    def abort(self, reason: str = "abort") -> None:
        """Stop everything in this scope, now; from any thread, any number of times."""
        self._latch.trip(reason)

    @property
    def aborted(self) -> bool:
        """True once the scope was stopped, by whomever."""
        return self._latch.tripped

    def __enter__(self) -> abort_scope:
        if self._deadline_s is not None:
            self._alarms.append(ALARMS.ring_in(self._deadline_s, lambda: self._latch.trip("deadline")))
        _AROUND.set((*_AROUND.get(), self._latch))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        around = list(_AROUND.get()[::-1])
        if self._latch in around:  # not where a generator is ended in another context
            around.remove(self._latch)
            _AROUND.set(tuple(around[::-1]))
        if self._deadline_s is not None:
            self._alarms.pop().call_off()
            ALARMS.wake()
        if kind is not None:
            self._latch.trip("exception")
