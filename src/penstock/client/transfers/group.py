"""Transfers that belong together: so many at a time, stopped and limited together."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from penstock.client.running.queued import Begin, QueuedTransfer, Turn
from penstock.client.running.transfer import Transfer
from penstock.client.sending.bandwidth import limited_by
from penstock.client.sending.outcome import Outcome
from penstock.client.sending.scope import scopes_around, within
from penstock.errors import Committed, InvalidInput, PenstockError, UnexpectedError
from penstock.net.latch import Latch
from penstock.net.throttle import Bandwidth
from penstock.transfer.outcome import CleanUp, Stored
from penstock.transfer.progress import Progress

if TYPE_CHECKING:
    from penstock.client.transfers.copies import CopyOptions
    from penstock.client.transfers.downloads import DownloadOptions
    from penstock.client.transfers.part_source import UploadSource
    from penstock.client.transfers.stopped import TransferCalls
    from penstock.client.transfers.uploads import ResumeOptions, UploadOptions

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

    def __init__(self, client: TransferCalls, parallel: int, bandwidth_limit_bytes_s: float | None) -> None:
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

        Raises:
            InvalidInput: Its limit is no speed.
        """
        return self._add(
            target,
            _size_of(source),
            lambda: self._client.upload(source, target, **options),
            options.get("bandwidth_limit_bytes_s"),
        )

    def download(
        self, source: str, path: str | os.PathLike[str], **options: Unpack[DownloadOptions]
    ) -> Transfer:
        """Add a download; the arguments are those of `Client.download`. Returns as `upload`."""
        name = f"{source} -> {os.fspath(path)}"
        limit = options.get("bandwidth_limit_bytes_s")
        return self._add(name, 0, lambda: self._client.download(source, path, **options), limit)

    def copy(self, source: str, target: str, **options: Unpack[CopyOptions]) -> Transfer:
        """Add a copy inside OSS; the arguments are those of `Client.copy`. Returns as `upload`."""
        name = f"{source} -> {target}"
        limit = options.get("bandwidth_limit_bytes_s")
        return self._add(name, 0, lambda: self._client.copy(source, target, **options), limit)

    def resume(
        self, what: str, source: UploadSource | None = None, **options: Unpack[ResumeOptions]
    ) -> Transfer:
        """Add what was stopped before; the arguments are those of `Client.resume`. Returns as `upload`."""
        limit = options.get("bandwidth_limit_bytes_s")
        return self._add(what[:80], 0, lambda: self._client.resume(what, source, **options), limit)

    def abort(self, reason: str = "abort") -> None:
        """
        Stop all now and keep everything; from any thread, a signal handler or a callback.

        Those that wait end at once as not sent, with nothing to go on with: add them anew. Never raises; may
        be repeated.
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
                transfer.cancel_soon()
        found = set()
        for transfer in members:
            try:
                found.add(transfer.cancel(timeout_s))
            except PenstockError:
                if transfer.outcome(0).committed is not Committed.YES:
                    found.add(CleanUp.FAILED)
        return next((one for one in _WORST_FIRST if one in found), CleanUp.VERIFIED)

    def outcomes(self, timeout_s: float | None = None) -> list[Outcome[Stored]]:
        """
        Wait for all and tell how each ended, in the order in which they were added.

        Raises:
            TimeoutError: Some still run after ``timeout_s``.
            KeyboardInterrupt: Ctrl-C came meanwhile; all were aborted and are quiet.
        """
        self.wait(timeout_s)
        return [transfer.outcome(0) for transfer in self._all()]

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until all have ended, however they did. Raises as `outcomes`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            for transfer in self._all():
                left_s = None if deadline is None else max(deadline - time.monotonic(), 0.0)
                if not transfer.wait_until_quiet(left_s):
                    raise TimeoutError(f"{transfer.name} still runs after {timeout_s} s")
        except KeyboardInterrupt:
            self.abort("interrupt")
            for transfer in self._all():
                transfer.wait_until_quiet(None)
            raise

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
            self.wait()
            return
        raise_first(self.outcomes())

    def __repr__(self) -> str:
        members = self._all()
        return f"<Group of {len(members)} transfers, {sum(one.done() for one in members)} ended>"

    # --- how

    def _all(self) -> list[QueuedTransfer]:
        return list(self._members)  # one step, so that it needs no lock in a signal handler

    def _add(
        self, name: str, total_bytes: int, begin: Begin, bandwidth_limit_bytes_s: float | None
    ) -> Transfer:
        bandwidth = Bandwidth(bandwidth_limit_bytes_s)
        latch = Latch(self._latch, *scopes_around())

        def begin_here() -> Transfer:
            with within(latch), limited_by(self._bandwidth):
                return begin()

        transfer = QueuedTransfer(name, Turn(begin_here, latch, total_bytes), bandwidth)
        transfer.turn.wait_at(self._entrance, transfer)
        self._client._transfers.add(transfer)
        self._members.append(transfer)
        with self._lock:
            self._queue.append(transfer)
        self._begin_next()
        return transfer

    def _begin_next(self) -> None:
        while (transfer := self._next()) is not None:
            if not transfer.begin(self._ended):
                self._leave()

    def _next(self) -> QueuedTransfer | None:
        """Who may begin now, counted as running."""
        with self._lock:
            while self._queue and self._running < self._parallel:
                transfer = self._queue.popleft()
                if transfer.turn.take():
                    self._running += 1
                    return transfer
        return None

    def _leave(self) -> None:
        with self._lock:
            self._running -= 1

    def _ended(self) -> None:
        self._leave()
        self._begin_next()


def raise_first(outcomes: list[Outcome[Stored]]) -> None:
    """Raise the first of the errors, with a note of how many there are; nothing if there is none."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return
    if len(errors) > 1:
        errors[0].add_note(f"{len(errors)} of {len(outcomes)} transfers of the group did not succeed")
    first = errors[0]
    raise first.__cause__ if isinstance(first, UnexpectedError) and first.__cause__ else first


def _size_of(source: UploadSource) -> int:
    """How long a source probably is; what is wrong with it is told when it is its turn."""
    if isinstance(source, bytes | bytearray | memoryview):
        return memoryview(source).nbytes
    if isinstance(source, str | os.PathLike):
        with suppress(OSError, ValueError):
            return Path(source).stat().st_size
    return 0
