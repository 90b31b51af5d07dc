"""A transfer that waits for its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from penstock.client.running.transfer import Transfer
from penstock.client.sending.waiting import wait_for
from penstock.errors import Aborted, Committed, PenstockError, TransferError
from penstock.net.latch import Attachment, Latch
from penstock.net.throttle import Bandwidth
from penstock.transfer.outcome import Outcome, OutcomeKind
from penstock.transfer.progress import Progress

Begin = Callable[[], Transfer]
"""Begins the transfer proper."""


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
        self._stops = [latch]
        self._attachments: list[Attachment] = []
        self._wishes: deque[Callable[[Transfer], object]] = deque()
        self._transfer: Transfer | None = None

    def wait_at(self, entrance: Latch, transfer: QueuedTransfer) -> None:
        """Let a stop end the waiting at once."""
        self._stops.append(entrance)
        self._attachments = [latch.attach(partial(self._stop, transfer, latch)) for latch in self._stops]

    def take(self) -> bool:
        """End the waiting; False if it had ended."""
        try:
            self._claim.pop()
        except IndexError:
            return False
        return True

    def _stop(self, transfer: QueuedTransfer, latch: Latch) -> None:
        if self.take():
            transfer.end_unsent(self._unsent(latch.reason or "abort"))

    def _unsent(self, reason: str) -> Outcome:
        return Outcome(kind=OutcomeKind.ABORTED, committed=Committed.NO, progress=self._before, reason=reason)

    def failed(self, error: PenstockError) -> Outcome:
        """The outcome of one that could not be begun."""
        return Outcome(kind=OutcomeKind.FAILED, committed=Committed.NO, progress=self._before, error=error)

    # --- as a driver

    def run(self) -> Outcome:
        for attachment in self._attachments:
            attachment.detach()
        for latch in self._stops:
            # Its wake may still be on its way.
            if latch.tripped:
                return self._unsent(latch.reason or "abort")
        try:
            transfer = self._transfer = self._begin()
        except Aborted as stopped:  # it was still asking what there is to be transferred
            return self._unsent(stopped.reason)
        except PenstockError as error:
            return self.failed(error)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            return Outcome(
                kind=OutcomeKind.FAILED, committed=Committed.NO, progress=self._before, mistake=error
            )
        self._grant_wishes(transfer)
        return transfer._wait(None)

    def abort(self, reason: str) -> None:
        self._latch.trip(reason)

    def drain(self, timeout_s: float) -> None:
        self._wish(lambda transfer: transfer.drain(timeout_s))

    def cancel(self, reason: str = "cancel") -> None:
        self._wish(lambda transfer: transfer.cancel_soon(reason))
        if self._transfer is None:
            self._latch.trip(reason)

    def limit(self, bytes_s: float | None) -> None:
        def set_limit(transfer: Transfer) -> None:
            transfer.bandwidth_limit_bytes_s = bytes_s

        self._wish(set_limit)

    @property
    def stopping(self) -> bool:
        return self._latch.tripped

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

    def clean_up(self, ended: Outcome) -> Outcome:
        return ended if self._transfer is None else self._transfer._aftermath.clean_up(ended)

    def resolved(self, ended: Outcome) -> Outcome:
        return ended if self._transfer is None else self._transfer._aftermath.resolved(ended)


class QueuedTransfer(Transfer):
    """A transfer of a group: it may have to wait for its turn, and is else like any other."""

    def __init__(self, name: str, turn: Turn, bandwidth: Bandwidth) -> None:
        super().__init__(name, turn, turn, bandwidth, start=False)
        self.turn = turn
        self._on_end: Callable[[], object] = lambda: None

    def begin(self, on_end: Callable[[], object]) -> bool:
        """
        It is its turn.

        Args:
            on_end: Called when it has ended, on its thread.

        Returns:
            False if the system gives no thread: then it has ended, and ``on_end`` is not called.
        """
        self._on_end = on_end
        try:
            self._thread.start()
        except RuntimeError as error:
            failure = TransferError(
                f"{self.name} was not begun: {error}", advice="Run fewer at a time, or allow more threads."
            )
            self._ended.set_result(self.turn.failed(failure))
            return False
        return True

    def _run(self) -> None:
        try:
            super()._run()
        finally:
            self._on_end()

    def end_unsent(self, ended: Outcome) -> None:
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
