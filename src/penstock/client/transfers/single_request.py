"""A transfer small enough for one request, behind the same handle as one in parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import msgspec

from penstock.client.sending.deadline import ALARMS, Alarm
from penstock.client.sending.outcome import committed_by
from penstock.client.sending.requester import Requester
from penstock.client.transfers.upload_calls import UploadCalls
from penstock.errors import Aborted, Committed, PenstockError
from penstock.net.latch import Latch
from penstock.protocol.urls import OssUrl
from penstock.transfer.commands import Wait
from penstock.transfer.events import Waited
from penstock.transfer.journal import TransferKind
from penstock.transfer.outcome import Outcome, OutcomeKind, Stored
from penstock.transfer.progress import Progress
from penstock.transfer.resolve import Proof, Resolution, Verdict

SETTLE_S = 10.0
"""How long an unanswered request may take to show itself."""


class SingleRequest(ABC):
    """
    Makes a whole object with one request.

    There is no UploadId and nothing to go on with: an aborted one is begun again.

    Args:
        requester: Carries out calls.
        url: The object to be made.
        total_bytes: Its length.
        latch: What stops the transfer.
        kind: What it is, for people.
        on_progress: Called as bytes are sent and acknowledged.
    """

    upload_id: str | None = None
    resume_token: str | None = None

    def __init__(
        self,
        requester: Requester,
        url: OssUrl,
        total_bytes: int,
        latch: Latch,
        kind: TransferKind,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._requester = requester
        self._url = url
        self._total_bytes = total_bytes
        self._latch = latch
        self._kind = kind
        self._on_progress = on_progress
        self._alarm: Alarm | None = None
        self._most_sent = -1
        self._mistake: BaseException | None = None
        self._progress = Progress(total_bytes=total_bytes, parts_total=1)

    @abstractmethod
    def _send(self, latch: Latch) -> Stored:
        """Carry out the request. Raises PenstockError."""

    @abstractmethod
    def _proof(self) -> Proof:
        """By what the object is known to be the one that this request made."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close what the transfer had open."""

    @property
    def stopping(self) -> bool:
        """True once it was told to stop."""
        return self._latch.tripped

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    def abort(self, reason: str) -> None:
        """Stop now."""
        self._latch.trip(reason)

    def drain(self, timeout_s: float) -> None:
        """Let the one request finish, for at most so long."""
        self._alarm = ALARMS.ring_in(timeout_s, lambda: self._latch.trip("drain"))

    def cancel(self, reason: str = "cancel") -> None:
        """Stop now; there is nothing to clean up."""
        self._latch.trip(reason)

    def run(self) -> Outcome:
        """Send it. What a callback or a source raises stops it, and is told with its end."""
        try:
            with self._latch:
                ended = self._committed(self._send(self._latch))
        except PenstockError as error:
            aborted = isinstance(error, Aborted)
            committed = committed_by(error)
            ended = Outcome(
                kind=OutcomeKind.ABORTED if aborted else OutcomeKind.FAILED,
                committed=committed,
                progress=self._landed(committed),
                error=error,
                reason=error.reason if isinstance(error, Aborted) else "",
                request_started=error.code.endswith("42") if aborted else True,
                transfer=self._kind,
            )
        except BaseException as error:  # noqa: BLE001 - the caller's own code; nobody here can answer for it
            self._note_mistake(error)
            committed = Committed.UNKNOWN if self._most_sent >= self._total_bytes else Committed.NO
            ended = Outcome(
                kind=OutcomeKind.ABORTED,
                committed=committed,
                progress=self._landed(committed),
                reason="failure",
                request_started=self._most_sent >= 0,
                transfer=self._kind,
            )
        finally:
            self._let_go()
            if self._alarm is not None:
                self._alarm.call_off()
                ALARMS.wake()
        return msgspec.structs.replace(ended, mistake=self._mistake)

    def clean_up(self, ended: Outcome) -> Outcome:
        """Nothing is left of a single request that could be cleaned up."""
        return ended

    def resolved(self, ended: Outcome) -> Outcome:
        """Look for the object until it shows itself as ours, or its time is over."""
        calls = UploadCalls(self._requester, self._url.bucket, self._url.key)
        proof = self._proof()
        resolution = Resolution(None, proof, SETTLE_S)
        with self._requester.latch() as latch:
            commands = resolution.begin()
            while not resolution.done:
                (command,) = commands
                if isinstance(command, Wait):
                    latch.wait(command.seconds)
                    commands = resolution.handle(Waited())
                else:
                    commands = resolution.handle(calls.answer(command, latch))
        target = resolution.target
        if resolution.verdict is Verdict.COMMITTED and target is not None:
            return self._committed(
                Stored(
                    etag=target.etag,
                    crc64=proof.crc64 or 0,
                    size_bytes=self._total_bytes,
                    version_id=target.version_id,
                    by_evidence=True,
                )
            )
        if resolution.verdict is None:
            return ended
        return msgspec.structs.replace(ended, committed=Committed.NO, progress=self._landed(Committed.NO))

    def _committed(self, stored: Stored) -> Outcome:
        total = self._total_bytes
        self._show(Progress(total_bytes=total, acknowledged_bytes=total, parts_total=1, parts_done=1))
        return Outcome(
            kind=OutcomeKind.COMMITTED,
            committed=Committed.YES,
            progress=self._progress,
            stored=stored,
            request_started=True,
            transfer=self._kind,
        )

    def _landed(self, committed: Committed) -> Progress:
        """Nothing is under way any more: what was handed over is in doubt as a whole, or came to nothing."""
        in_doubt_bytes = self._total_bytes if committed is Committed.UNKNOWN else 0
        self._progress = Progress(total_bytes=self._total_bytes, in_doubt_bytes=in_doubt_bytes, parts_total=1)
        return self._progress

    def _note_sent(self, so_far: int) -> None:
        self._most_sent = max(self._most_sent, so_far)
        self._show(Progress(total_bytes=self._total_bytes, in_flight_bytes=so_far, parts_total=1))

    def _show(self, progress: Progress) -> None:
        self._progress = progress
        if self._on_progress is None or self._mistake is not None:
            return
        try:
            self._on_progress(progress)
        except BaseException as error:  # noqa: BLE001 - the caller's own code; nobody here can answer for it
            self._note_mistake(error)

    def _note_mistake(self, mistake: BaseException) -> None:
        if self._mistake is None:
            self._mistake = mistake
        self._latch.trip("failure")
