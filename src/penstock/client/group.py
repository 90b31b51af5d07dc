"""Transfers that belong together: so many at a time, stopped and limited together."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from penstock.client.bandwidth import limited_by
from penstock.client.outcome import DISABLED_ADVICE, Outcome
from penstock.client.scope import scopes_around, within
from penstock.client.transfer import Aftermath, Transfer
from penstock.client.waiting import wait_for
from penstock.errors import NOT_SENT, Aborted, Committed, InvalidInput, PenstockError, TransferError
from penstock.net.latch import Latch
from penstock.net.throttle import Bandwidth
from penstock.transfer.outcome import CleanUp, OutcomeKind, Stored
from penstock.transfer.outcome import Outcome as TransferOutcome
from penstock.transfer.progress import Progress

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.copies import CopyOptions
    from penstock.client.downloads import DownloadOptions
    from penstock.client.part_source import UploadSource
    from penstock.client.uploads import ResumeOptions, UploadOptions

Begin = Callable[[], Transfer]

_DRAIN_S = 30.0
_WORST_FIRST = (CleanUp.FAILED, CleanUp.PENDING)


class Group:
    """
    Transfers that are stopped and limited together. Made by `Client.group`.

    At most ``parallel`` of them run at a time; the others wait in the order in which they were added, and
    need neither thread nor file until it is their turn. Whatever stops the client, or a scope around, stops
    the group; a group that was stopped stays so, and what is added to it then ends at once, not sent.

    As a context manager it waits for all, and then raises the error of the first transfer that did not
    succeed, also if that was stopped. Leaving the block by an exception aborts all.

    Example:
        with client.group(parallel=3) as group:
            for path in paths:
                group.upload(path, f"oss://bucket/{path.name}")
    """

    def __init__(self, client: Client, parallel: int, bandwidth_limit_bytes_s: float | None) -> None:
        if parallel < 1:
            raise InvalidInput(f"{parallel} transfers at a time cannot be", advice="Give 1 or more.")
        self._client = client
        self._parallel = parallel
        self._bandwidth = Bandwidth(bandwidth_limit_bytes_s)
        self._latch = client._requester.latch()
        # What waits hangs on this one: draining a group stops only what has not begun.
        self._entrance = Latch(self._latch)
        self._lock = threading.Lock()
        self._queue: deque[QueuedTransfer] = deque()
        self._running = 0
        self._members: list[QueuedTransfer] = []

    def upload(self, source: UploadSource, target: str, **options: Unpack[UploadOptions]) -> Transfer:
        """
        Add an upload; the arguments are those of `Client.upload`.

        Returns:
            A handle, as from `Client.upload`. What is wrong with the source or the target is the transfer's
            result, and keeps no other one from running.
        """
        return self._add(target, _size_of(source), lambda: self._client.upload(source, target, **options))

    def download(
        self, source: str, path: str | os.PathLike[str], **options: Unpack[DownloadOptions]
    ) -> Transfer:
        """Add a download; the arguments are those of `Client.download`. Returns as `upload`."""
        name = f"{source} -> {os.fspath(path)}"
        return self._add(name, 0, lambda: self._client.download(source, path, **options))

    def copy(self, source: str, target: str, **options: Unpack[CopyOptions]) -> Transfer:
        """Add a copy inside OSS; the arguments are those of `Client.copy`. Returns as `upload`."""
        name = f"{source} -> {target}"
        return self._add(name, 0, lambda: self._client.copy(source, target, **options))

    def resume(
        self, what: str, source: UploadSource | None = None, **options: Unpack[ResumeOptions]
    ) -> Transfer:
        """Add a transfer that was stopped; the arguments are those of `Client.resume`. Returns as `upload`."""
        return self._add(what[:80], 0, lambda: self._client.resume(what, source, **options))

    def abort(self, reason: str = "abort") -> None:
        """
        Stop all now and keep everything; from any thread, a signal handler or a callback.

        Those that wait end at once as not sent. Never raises; may be repeated.
        """
        self._latch.trip(reason)

    def drain(self, timeout_s: float = _DRAIN_S) -> None:
        """Begin no further transfer, and drain those that run (see `Transfer.drain`). Does not wait."""
        self._entrance.trip("drain")
        for transfer in self._all():
            transfer.drain(timeout_s)

    def cancel(self, timeout_s: float | None = 60.0) -> CleanUp:
        """
        Stop all, then make sure that nothing of them is left at OSS. What was complete before stays.

        Returns:
            The worst of what `Transfer.cancel` says: ``failed``, ``pending`` or ``verified``.

        Raises:
            TimeoutError: The clean-up still runs after ``timeout_s``, which holds for each transfer.
        """
        self._entrance.trip("cancel")
        members = self._all()
        for transfer in members:
            if not transfer.done():
                transfer._driver.cancel()
        found = set()
        for transfer in members:
            with suppress(TransferError):  # it was complete
                found.add(transfer.cancel(timeout_s))
        return next((one for one in _WORST_FIRST if one in found), CleanUp.VERIFIED)

    def outcomes(self, timeout_s: float | None = None) -> list[Outcome[Stored]]:
        """
        Wait for all and tell how each ended, in the order in which they were added.

        Raises:
            TimeoutError: Some still run after ``timeout_s``.
            KeyboardInterrupt: Ctrl-C came meanwhile; all were aborted and are quiet.
        """
        members = self._all()
        self._wait(members, timeout_s)
        return [transfer.outcome(0) for transfer in members]

    @property
    def transfers(self) -> list[Transfer]:
        """All that were added, in this order."""
        return list(self._all())

    @property
    def progress(self) -> Progress:
        """
        The sum over all; acknowledged bytes never go back.

        The total grows as transfers are added, and as those begin whose size only OSS knows.
        """
        readings = [transfer.progress for transfer in self._all()]
        return Progress(
            total_bytes=sum(one.total_bytes for one in readings),
            acknowledged_bytes=sum(one.acknowledged_bytes for one in readings),
            in_flight_bytes=sum(one.in_flight_bytes for one in readings),
            in_doubt_bytes=sum(one.in_doubt_bytes for one in readings),
            resumed_bytes=sum(one.resumed_bytes for one in readings),
            parts_total=sum(one.parts_total for one in readings),
            parts_done=sum(one.parts_done for one in readings),
        )

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        """How fast the bytes of all of them may flow together; see `Transfer.bandwidth_limit_bytes_s`."""
        return self._bandwidth.bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self._bandwidth.bytes_s = bytes_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort("exception")
            self._wait(self._all(), None)
            return
        raise_first(self.outcomes())

    def __repr__(self) -> str:
        members = self._all()
        return f"<Group of {len(members)} transfers, {sum(one.done() for one in members)} ended>"

    # --- how

    def _all(self) -> list[QueuedTransfer]:
        with self._lock:
            return list(self._members)

    def _wait(self, members: list[QueuedTransfer], timeout_s: float | None) -> None:
        waiter = Latch()
        try:
            for transfer in members:
                if not transfer.wait_until_quiet(timeout_s):
                    raise TimeoutError(f"{transfer.name} still runs after {timeout_s} s")
        except KeyboardInterrupt:
            self.abort("interrupt")
            for transfer in members:
                transfer.wait_until_quiet(None)
            raise
        finally:
            waiter.close()

    def _add(self, name: str, total_bytes: int, begin: Begin) -> Transfer:
        latch = Latch(self._latch, *scopes_around())

        def begin_here() -> Transfer:
            with within(latch), limited_by(self._bandwidth):
                return begin()

        transfer = QueuedTransfer(name, Turn(begin_here, latch, total_bytes))
        self._client._transfers.add(transfer)
        with self._lock:
            self._members.append(transfer)
            self._queue.append(transfer)
        transfer.turn.wait_at(self._entrance, transfer)
        self._begin_next()
        return transfer

    def _begin_next(self) -> None:
        with self._lock:
            while self._queue and self._running < self._parallel:
                transfer = self._queue.popleft()
                if transfer.turn.take():
                    self._running += 1
                    transfer.add_done_callback(lambda _: self._ended())
                    transfer.begin()

    def _ended(self) -> None:
        with self._lock:
            self._running -= 1
        self._begin_next()


class Turn:
    """
    The driver of a transfer that waits for its turn, and then of the transfer that was begun for it.

    Whoever asks for something before the transfer was begun leaves the wish here; it is carried out by
    whichever comes second, the wish or the transfer.

    Args:
        begin: Begins it.
        latch: Stops it.
        total_bytes: As far as it is known before.
    """

    def __init__(self, begin: Begin, latch: Latch, total_bytes: int) -> None:
        self._begin = begin
        self._latch = latch
        self._before = Progress(total_bytes=total_bytes)
        # Taken by whoever ends the waiting: the group, or a stop.
        self._claim = [True]
        self._wishes: deque[Callable[[Transfer], object]] = deque()
        self._transfer: Transfer | None = None

    def wait_at(self, entrance: Latch, transfer: QueuedTransfer) -> None:
        """Let a stop end the waiting at once."""
        for latch in (self._latch, entrance):
            latch.attach(lambda latch=latch: self._stop(transfer, latch.reason or "abort"))  # type: ignore[misc]

    def take(self) -> bool:
        """End the waiting; False if it had ended."""
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True

    def _stop(self, transfer: QueuedTransfer, reason: str) -> None:
        if self.take():
            transfer.end_unsent(self._unsent(transfer.name, reason))

    def _unsent(self, name: str, reason: str) -> TransferOutcome:
        advice = DISABLED_ADVICE if reason == "disabled" else "Nothing was sent. Begin it again if it is wanted."
        error = Aborted(
            f"{name} was stopped before it began ({reason})", code=NOT_SENT, reason=reason, advice=advice
        )
        return TransferOutcome(
            kind=OutcomeKind.ABORTED,
            committed=Committed.NO,
            progress=self._before,
            error=error,
            reason=reason,
        )

    # --- as a driver

    def run(self) -> TransferOutcome:
        try:
            transfer = self._transfer = self._begin()
        except PenstockError as error:
            return TransferOutcome(
                kind=OutcomeKind.FAILED, committed=Committed.NO, progress=self._before, error=error
            )
        self._grant_wishes(transfer)
        return transfer._wait(None)

    def abort(self, reason: str) -> None:
        self._latch.trip(reason)

    def drain(self, timeout_s: float) -> None:
        self._wish(lambda transfer: transfer.drain(timeout_s))

    def cancel(self, reason: str = "cancel") -> None:
        self._wish(lambda transfer: transfer._driver.cancel(reason))
        if self._transfer is None:
            self._latch.trip(reason)

    def limit(self, bytes_s: float | None) -> None:
        def set_limit(transfer: Transfer) -> None:
            transfer.bandwidth_limit_bytes_s = bytes_s

        self._wish(set_limit)

    @property
    def progress(self) -> Progress:
        return self._before if self._transfer is None else self._transfer.progress

    @property
    def upload_id(self) -> str | None:
        return None if self._transfer is None else self._transfer.upload_id

    @property
    def resume_token(self) -> str | None:
        return None if self._transfer is None else self._transfer.resume_token

    @property
    def transfer(self) -> Transfer | None:
        """The transfer that was begun, if it was."""
        return self._transfer

    def _wish(self, wish: Callable[[Transfer], object]) -> None:
        self._wishes.append(wish)
        if self._transfer is not None:
            self._grant_wishes(self._transfer)

    def _grant_wishes(self, transfer: Transfer) -> None:
        while True:
            try:
                wish = self._wishes.popleft()
            except IndexError:
                return
            wish(transfer)

    # --- as an aftermath

    def clean_up(self, ended: TransferOutcome) -> TransferOutcome:
        return ended if self._transfer is None else self._transfer._aftermath.clean_up(ended)

    def resolved(self, ended: TransferOutcome) -> TransferOutcome:
        return ended if self._transfer is None else self._transfer._aftermath.resolved(ended)


class QueuedTransfer(Transfer):
    """A transfer of a group: it may have to wait for its turn, and is else like any other."""

    def __init__(self, name: str, turn: Turn) -> None:
        super().__init__(name, turn, turn, start=False)
        self.turn = turn

    def begin(self) -> None:
        """It is its turn."""
        self._thread.start()

    def end_unsent(self, ended: TransferOutcome) -> None:
        """It was stopped while it waited."""
        self._ended.set_result(ended)

    def wait_until_quiet(self, timeout_s: float | None = 1.0) -> bool:
        return wait_for(self._ended, timeout_s)

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        begun = self.turn.transfer
        return self._bandwidth.bytes_s if begun is None else begun.bandwidth_limit_bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self._bandwidth.bytes_s = bytes_s
        self.turn.limit(bytes_s)


def raise_first(outcomes: list[Outcome[Stored]]) -> None:
    """Raise the first of the errors, with a note of how many there are; nothing if there is none."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return
    if len(errors) > 1:
        errors[0].add_note(f"{len(errors)} of {len(outcomes)} transfers of the group did not succeed")
    raise errors[0]


def _size_of(source: UploadSource) -> int:
    """How long a source probably is; what is wrong with it is told when it is its turn."""
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).nbytes
    if isinstance(source, str | os.PathLike):
        with suppress(OSError, ValueError):
            return Path(source).stat().st_size
    return 0
