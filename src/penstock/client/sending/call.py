"""A call that runs on another thread, and the hand that stops it."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from penstock.client.sending.outcome import Outcome
from penstock.client.sending.scope import advice_to_stopped, scopes_around, within
from penstock.client.sending.waiting import Ending, wait_for
from penstock.errors import NOT_SENT, Aborted, PenstockError
from penstock.net.latch import Latch

T = TypeVar("T")

_QUIET_S = 1.0
"""How long Ctrl-C waits for an aborted call to be quiet; it is within milliseconds."""


class Call(Ending[T]):
    """
    A submitted call: a `concurrent.futures.Future` that can be stopped at any time.

    ``result()`` returns what the call returned or raises what it raised; a stopped call raises
    `Aborted`. ``cancel()`` is ``abort()``.
    """

    def __init__(
        self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any], *holders: Latch
    ) -> None:
        super().__init__()
        self._latch = Latch(*holders, *scopes_around())
        self._context = contextvars.copy_context()
        self._work: tuple[Callable[..., T], tuple[Any, ...], dict[str, Any]] | None = (function, args, kwargs)
        # Taken by whoever ends the waiting: the thread that carries the call out, or an abort.
        self._claim = [True]
        # A call that waits for a thread ends at once when stopped, not when a thread gets to it.
        self._waiting = self._latch.attach(self._stop_waiting)

    def abort(self, reason: str = "abort") -> None:
        """
        Stop the call now, in whatever state it is; from any thread, a signal handler or a callback.

        It never raises and may be repeated. The call then ends with `Aborted`, or, if it was already
        past stopping, with what it came to.
        """
        self._latch.trip(reason)

    def cancel(self) -> bool:
        """Abort; True if the call had not begun."""
        began = self.running() or self.done()
        self.abort()
        return not began

    def result(self, timeout: float | None = None) -> T:
        """
        Wait for the end and return what the call returned, or raise what it raised.

        Raises:
            TimeoutError: It still runs after ``timeout`` seconds.
            KeyboardInterrupt: Ctrl-C came while it was waited for; the call was aborted.
        """
        try:
            wait_for(self, timeout)
        except KeyboardInterrupt:
            self.abort("interrupt")
            wait_for(self, _QUIET_S)
            raise
        return super().result(0)

    def outcome(self, timeout_s: float | None = None) -> Outcome[T]:
        """
        Wait for the end and tell it, without raising.

        Raises:
            TimeoutError: The call still runs after ``timeout_s``.
            Exception: What the call raised, if that is not one of penstock's errors (a mistake in a
                callback, for example).
        """
        try:
            return Outcome.returned(self.result(timeout_s))
        except PenstockError as error:
            return Outcome.raised(error)
        except FutureTimeout as error:
            if self.done() and self.exception(0) is error:
                raise
            raise TimeoutError(f"the call still runs after {timeout_s} s") from None

    def carry_out(self) -> None:
        """Run the call on this thread, unless it was stopped before."""
        self._waiting.detach()
        if not self._take():
            return
        assert self._work is not None
        function, args, kwargs = self._work
        self._work = None
        try:
            value = self._context.run(self._run, function, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - a future carries whatever its call raised
            self.set_exception(error)
        else:
            self.set_result(value)
        finally:
            self._latch.close()

    def _run(self, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
        with within(self._latch):
            return function(*args, **kwargs)

    def _take(self) -> bool:
        try:
            self._claim.pop()
        except IndexError:
            return False
        return self.set_running_or_notify_cancel()

    def _stop_waiting(self) -> None:
        if not self._take():
            return
        self._work = None
        reason = self._latch.reason or "abort"
        self.set_exception(
            Aborted(
                f"the call was stopped before it began ({reason})",
                code=NOT_SENT,
                reason=reason,
                advice=advice_to_stopped(reason, "Nothing was sent. Submit it again if it is still wanted."),
            )
        )
