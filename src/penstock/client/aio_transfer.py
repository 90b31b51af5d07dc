"""A transfer for asyncio, and how a task waits for what runs on threads."""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

from penstock.client.calls.object_body import ObjectBody
from penstock.client.calls.select_body import SelectBody
from penstock.client.running.transfer import Transfer
from penstock.client.sending.call import Call
from penstock.client.sending.outcome import Outcome
from penstock.client.sending.scope import abort_scope
from penstock.transfer.outcome import CleanUp, Stored
from penstock.transfer.progress import Progress


class AsyncTransfer:
    """
    As `Transfer`, awaited. Cancelling a task that awaits the result aborts the transfer.

    The task ends with `asyncio.CancelledError`; its ``__cause__`` is the `Aborted` of the transfer.
    """

    def __init__(self, transfer: Transfer) -> None:
        self._transfer = transfer

    async def result(self) -> Stored:
        """Wait for the end and return what was stored; raises as `Transfer.result`."""
        await self._ended()
        return self._transfer.result(0)

    async def outcome(self) -> Outcome[Stored]:
        """Wait for the end and tell it, without raising."""
        await self._ended()
        return self._transfer.outcome(0)

    async def cancel(self, timeout_s: float | None = 60.0) -> CleanUp:
        """As `Transfer.cancel`."""
        return await asyncio.to_thread(self._transfer.cancel, timeout_s)

    async def resolve(self) -> Outcome[Stored]:
        """As `Transfer.resolve`. Cancelling the task ends the questions, and leaves the doubt."""
        await done(self._transfer, asyncio.get_running_loop())
        with abort_scope():
            return await asyncio.to_thread(self._transfer.resolve)

    def abort(self, reason: str = "abort") -> None:
        """As `Transfer.abort`; it does not wait, so it is not awaited."""
        self._transfer.abort(reason)

    def drain(self, timeout_s: float = 30.0) -> None:
        """As `Transfer.drain`; it does not wait, so it is not awaited."""
        self._transfer.drain(timeout_s)

    def done(self) -> bool:
        """True once it has ended and is quiet."""
        return self._transfer.done()

    async def wait_until_quiet(self) -> None:
        """Wait for the end, however it comes; cancelling the task does not cut this short."""
        await quiet(self._transfer, asyncio.get_running_loop())

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        """As `Transfer.bandwidth_limit_bytes_s`."""
        return self._transfer.bandwidth_limit_bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self._transfer.bandwidth_limit_bytes_s = bytes_s

    @property
    def progress(self) -> Progress:
        """As `Transfer.progress`."""
        return self._transfer.progress

    @property
    def upload_id(self) -> str | None:
        """As `Transfer.upload_id`."""
        return self._transfer.upload_id

    @property
    def resume_token(self) -> str | None:
        """As `Transfer.resume_token`."""
        return self._transfer.resume_token

    async def _ended(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await done(self._transfer, loop)
        except asyncio.CancelledError as cancelled:
            self._transfer.abort("cancelled")
            await quiet(self._transfer, loop)
            raise_beside(cancelled, self._transfer.outcome(0))


async def began(begin: Callable[[], Transfer]) -> AsyncTransfer:
    """
    Have a transfer begun on another thread.

    A task that is cancelled meanwhile leaves none behind: what was begun is aborted, and the task ends when
    it is quiet.
    """
    loop = asyncio.get_running_loop()
    # Not a task: the end of a loop cancels all tasks, and would let go of what the thread goes on to begin.
    beginning = loop.run_in_executor(None, contextvars.copy_context().run, begin)
    try:
        return AsyncTransfer(await asyncio.shield(beginning))
    except asyncio.CancelledError as cancelled:
        while not beginning.done():
            # What it has begun by then is nobody's but ours: further cancellations do not cut this short.
            with suppress(asyncio.CancelledError):
                await asyncio.wait([beginning])
        if beginning.exception() is not None:
            raise
        raise_beside(cancelled, await let_go(Outcome.returned(beginning.result()), loop))


async def let_go(came_to: Outcome[Any], loop: asyncio.AbstractEventLoop) -> Outcome[Any]:
    """Stop, or close, what a call has come to that nobody waits for any more; tells what is left of it."""
    match came_to.value:
        case Transfer() as transfer:
            transfer.abort("cancelled")
            await quiet(transfer, loop)
            return transfer.outcome(0)
        case ObjectBody() | SelectBody() as body:
            body.close()
    return came_to


def raise_beside(cancelled: asyncio.CancelledError, outcome: Outcome[Any]) -> NoReturn:
    """Raise a task's cancellation, with what has come of its call told beside it: as cause, and in a note."""
    cancelled.add_note(f"penstock: committed={outcome.committed}")
    raise cancelled from outcome.error


async def quiet(running: Call[Any] | Transfer, loop: asyncio.AbstractEventLoop) -> None:
    """Wait for the end of what was aborted, which is near; further cancellations do not cut this short."""
    while not running.done():
        try:
            await done(running, loop)
        except asyncio.CancelledError:
            continue


def done(running: Call[Any] | Transfer, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
    """A future of the loop that is done when the other is; cancelling it does nothing to the other."""
    done: asyncio.Future[None] = loop.create_future()
    ends = _ENDS.get(loop)
    if ends is None:
        ends = _ENDS[loop] = _Ends()
    running.add_done_callback(lambda _: ends.tell(done, loop))
    return done


class _Ends:
    """What has ended on other threads and a loop does not know yet: it is woken once for all of them."""

    def __init__(self) -> None:
        self._ended: deque[asyncio.Future[None]] = deque()
        self._woken = False

    def tell(self, done: asyncio.Future[None], loop: asyncio.AbstractEventLoop) -> None:
        """Have the loop end a future of its own; from any thread."""
        self._ended.append(done)
        if not self._woken:
            self._woken = True
            try:
                loop.call_soon_threadsafe(self._pass_on)
            except RuntimeError:  # the loop is closed; nobody waits any more
                pass

    def _pass_on(self) -> None:
        self._woken = False  # first, so that what ends from here on wakes the loop again
        while self._ended:
            done = self._ended.popleft()
            if not done.done():
                done.set_result(None)


_ENDS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Ends] = WeakKeyDictionary()
