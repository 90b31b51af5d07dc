"""Carries out what a download machine decides: ranges are fetched, and written into a partial file."""

from __future__ import annotations

from collections.abc import Callable

from penstock.client.sending.workers import Workers
from penstock.client.transfers.download_calls import DownloadCalls
from penstock.client.transfers.driver import Journal, TransferDriver
from penstock.client.transfers.partial_file import PartialFile
from penstock.net.errand import Errand, Errands
from penstock.net.latch import Latch, Tripped
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.download import DownloadMachine
from penstock.transfer.progress import Progress

_HEARING_S = 0.1
"""How long a range may take to hear of a stop, which takes it milliseconds unless the disk hangs."""


class DownloadDriver(TransferDriver):
    """
    Runs one download machine to its end.

    Args:
        machine: What decides.
        calls: What speaks to OSS.
        file: Where the bytes go.
        errands: Where ranges are fetched: a write to a disk that hangs is left behind there.
        journal, workers, latch, now, on_progress: See `TransferDriver`.
    """

    def __init__(
        self,
        machine: DownloadMachine,
        calls: DownloadCalls,
        file: PartialFile,
        errands: Errands,
        journal: Journal | None,
        workers: Workers,
        latch: Latch,
        *,
        now: Callable[[], int],
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__(machine, journal, workers, latch, now=now, on_progress=on_progress)
        self._calls = calls
        self._file = file
        self._errands = errands

    def _let_go(self) -> None:
        self._file.close()

    def _work_of(self, command: do.Command) -> Callable[[Latch], on.Event]:
        if isinstance(command, do.FetchRange):
            return lambda latch: self._fetch(command, latch)
        return lambda latch: self._file.answer(command, latch)

    def _fetch(self, command: do.FetchRange, latch: Latch) -> on.Event:
        def received(so_far: int) -> None:
            self._note_moved(command.number, so_far)

        fetching = self._errands.start(lambda: self._calls.fetch(command, self._file.write, latch, received))
        try:
            return fetching.result(latch, None)
        except Tripped as tripped:
            return self._stopped(fetching, command, tripped.reason)
        finally:
            self._moved.pop(command.number, None)

    def _stopped(self, fetching: Errand[on.Event], command: do.FetchRange, reason: str) -> on.Event:
        """What comes of a range that is being stopped: it hears that itself, unless it hangs in a write."""
        try:
            return fetching.result(Latch(), _HEARING_S)
        except TimeoutError:
            error = self._calls.stopped(reason)
            return on.RangeFailed(number=command.number, error=error, is_final=False)
