"""
What every transfer that can be stopped has in common: its states, the steps it is made of, the verbs that
stop it, and its one report.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import Protocol

from penstock.errors import Committed, PenstockError
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.job import Beginning, FromKey
from penstock.transfer.journal import End, EndKind, TargetState
from penstock.transfer.outcome import CleanUp, Outcome, OutcomeKind, Stored
from penstock.transfer.progress import Progress
from penstock.transfer.removal import Removal
from penstock.transfer.standing import Standing

_JOURNAL_COMMANDS = (do.AppendJournal, do.DeleteJournal)


class State(StrEnum):
    NEW = "new"
    INSPECTING_TARGET = "inspecting the target"
    SEARCHING = "searching for the upload"
    INITIATING = "initiating"
    LISTING = "listing parts"
    HASHING = "comparing parts"
    SENDING = "sending"
    CHECKING = "checking before completion"
    COMPLETING = "completing"
    OPENING = "opening the partial file"
    RESOLVING = "resolving"
    STOPPING = "stopping"
    CLEANING_UP = "cleaning up"
    ENDED = "ended"


class Step(Protocol):
    """A stretch of a transfer that asks and listens by itself until it is done."""

    @property
    def done(self) -> bool: ...

    def begin(self) -> list[do.Command]: ...

    def handle(self, event: on.Event) -> list[do.Command]: ...


class StoppableMachine(ABC):
    """
    The part of a machine that stops, cleans up and reports.

    A subclass decides what is done between `Started` and the end: it answers `_begin`, `_on_answer` (events
    while no step is running) and `_after_step` (a step is done), and calls `_enter`, `_fail` and
    `_committed`.

    Always: exactly one Report; after a stop was asked for, no request but clean-up: of a cancel, or of an
    upload whose object another run has made.
    """

    def __init__(self, standing: Standing, beginning: Beginning) -> None:
        self.state = State.NEW
        self.outcome: Outcome | None = None
        self._beginning = beginning
        self._standing = standing
        self._ledger = standing.ledger
        self._step: Step | None = None
        self._now = 0
        self._last: list[do.Command] = []
        self._draining = False
        self._cancelling = False
        self._is_over = False
        self._object_made = False
        self._reason = ""
        self._failure: PenstockError | None = None
        self._stored: Stored | None = None
        self._made_elsewhere: TargetState | None = None

    @abstractmethod
    def _begin(self) -> list[do.Command]: ...

    @abstractmethod
    def _on_answer(self, event: on.Event) -> list[do.Command]: ...

    @abstractmethod
    def _after_step(self, step: Step) -> list[do.Command]: ...

    @property
    def progress(self) -> Progress:
        return self._ledger.progress()

    @property
    def upload_id(self) -> str | None:
        return self._standing.upload_id

    @property
    def resume_token(self) -> str | None:
        """Text to go on from anywhere, as of now; None if there is nothing to go on with."""
        return self._standing.resume_token(is_initiating=self.state is State.INITIATING)

    def handle(self, event: on.Event) -> list[do.Command]:
        """
        Take note of what happened and say what to do next.

        Returns:
            Commands in order, journal commands first; often none. After `Report` always none, unless its
            own list failed at the journal.
        """
        if isinstance(event, on.JournalFailed):
            commands = self._on_journal_failed(event.error)
        else:
            self._note_carried_out()
            commands = [] if self.state is State.ENDED else self._on(event)
        self._last = commands
        return commands

    def _on(self, event: on.Event) -> list[do.Command]:
        match event:
            case on.Started(now=now):
                self._now = self._standing.now = now
                return self._begin() if self.state is State.NEW else []
            case on.AbortRequested(reason=reason):
                return self._on_stop_requested(reason)
            case on.CancelRequested():
                self._cancelling = True
                return self._on_stop_requested("cancel")
            case on.DrainRequested():
                return self._on_drain_requested()
            case on.DrainTimedOut():
                return self._on_stop_requested("drain") if self._draining else []
            case on.RequestsStopped():
                return self._on_quiet() if self.state is State.STOPPING else []
        return self._on_step(event) if self._step is not None else self._on_answer(event)

    def _on_step(self, event: on.Event) -> list[do.Command]:
        assert self._step is not None
        return self._after(self._step.handle(event))

    def _enter(self, state: State, step: Step) -> list[do.Command]:
        if self._draining:
            return self._stop("drain")
        self.state = state
        self._step = step
        return self._after(step.begin())

    def _after(self, commands: list[do.Command]) -> list[do.Command]:
        step = self._step
        if step is None or not step.done:
            return commands
        self._step = None
        return self._after_removal(step) if isinstance(step, Removal) else self._after_step(step)

    def _note_carried_out(self) -> None:
        standing = self._standing
        for command in self._last:
            match command:
                case do.Initiate():
                    standing.request_started = standing.initiate_in_doubt = True
                case do.SendPart() | do.FetchRange():
                    standing.request_started = True
                case do.Complete():
                    standing.request_started = standing.complete_in_doubt = True

    def _on_journal_failed(self, error: PenstockError) -> list[do.Command]:
        self._standing.journal_failed = True
        dropped: list[do.Command] = [
            command for command in self._last if not isinstance(command, _JOURNAL_COMMANDS)
        ]
        if len(dropped) == len(self._last):
            return []
        if self.state in (State.STOPPING, State.CLEANING_UP, State.ENDED):
            return dropped
        for command in dropped:
            if isinstance(command, do.SendPart | do.FetchRange):
                self._ledger.untake(command.number)
        return self._fail(error)

    # --- stopping

    def _on_stop_requested(self, reason: str) -> list[do.Command]:
        if self.state in (State.STOPPING, State.CLEANING_UP):
            return []
        return self._stop(reason)

    def _on_drain_requested(self) -> list[do.Command]:
        if self.state in (State.STOPPING, State.CLEANING_UP):
            return []
        self._draining = True
        must_wait = self._ledger.in_flight or self.state in (State.INITIATING, State.COMPLETING)
        return [] if must_wait else self._stop("drain")

    def _stop(self, reason: str) -> list[do.Command]:
        self.state = State.STOPPING
        self._step = None
        self._reason = reason
        return [do.StopRequests(reason=reason)]

    def _fail(self, error: PenstockError) -> list[do.Command]:
        if self._failure is None:
            self._failure = error
        return [] if self.state is State.STOPPING else self._stop("failure")

    def _fail_for_good(self, error: PenstockError) -> list[do.Command]:
        self._is_over = True
        return self._fail(error)

    def _on_quiet(self) -> list[do.Command]:
        self._ledger.put_back_all()
        if self._stored is not None:
            return self._committed(self._stored)
        if self._made_elsewhere is not None or (self._cancelling and not self._object_made):
            return self._clean_up()
        if self._failure is not None:
            return self._failed(self._failure)
        outcome = self._standing.outcome(OutcomeKind.ABORTED, reason=self._reason)
        return self._report(outcome, *self._keep())

    def _keep(self) -> list[do.AppendJournal | do.DeleteJournal]:
        """What the journal shall say of a transfer that was stopped."""
        return [] if self._standing.is_journaled else [do.DeleteJournal()]

    def _clean_up(self) -> list[do.Command]:
        standing = self._standing
        self._reason = "cancel"
        if not standing.may_be_on_server:
            standing.unclaimed_uploads = () if standing.upload_id is None else (standing.upload_id,)
            # What is named by its key alone is ours to remove only once its parts have proven it.
            is_named = isinstance(self._beginning, FromKey)
            return self._cancelled(CleanUp.PENDING if is_named else CleanUp.VERIFIED, None)
        removal = Removal(
            standing.upload_id,
            standing.begun_since_start(),
            standing.proof(),
            complete_in_doubt=standing.complete_in_doubt,
        )
        self.state = State.CLEANING_UP
        self._step = removal
        pending = standing.write_down(End(kind=EndKind.CANCEL_PENDING), durable=True)
        return [*standing.write_beginning(), *pending, *removal.begin()]

    def _after_removal(self, removal: Removal) -> list[do.Command]:
        assert removal.clean_up is not None
        standing = self._standing
        standing.upload_id = removal.upload_id
        standing.complete_in_doubt = removal.complete_in_doubt
        standing.unclaimed_uploads = removal.unclaimed_uploads
        committed = removal.committed or self._made_elsewhere
        if committed is None:
            return self._cancelled(removal.clean_up, removal.error)
        return self._commit_by_evidence(committed, is_removed=removal.clean_up is CleanUp.VERIFIED)

    # --- the end

    def _commit_by_evidence(self, target: TargetState | None, *, is_removed: bool = True) -> list[do.Command]:
        """
        The object is there, and ours.

        Args:
            is_removed: No upload of ours is left beside it; else the journal stays, and leads to it.
        """
        assert target is not None
        standing = self._standing
        crc64 = standing.proof().crc64 if target.crc64 is None else target.crc64
        standing.complete_in_doubt = False
        stored = Stored(
            etag=target.etag,
            crc64=crc64 or 0,
            size_bytes=target.size_bytes,
            version_id=target.version_id,
            by_evidence=True,
        )
        if is_removed:
            return self._committed(stored)
        if standing.upload_id is not None:
            standing.unclaimed_uploads = (standing.upload_id,)
        return self._report(self._committed_outcome(stored))

    def _clean_up_beside(self, target: TargetState | None) -> list[do.Command]:
        """The object is there, and ours, and was not made of this upload: that is removed."""
        if not self._standing.may_be_on_server:
            return self._commit_by_evidence(target)
        self._made_elsewhere = target
        return self._stop("made elsewhere")

    def _committed(self, stored: Stored) -> list[do.Command]:
        outcome = self._committed_outcome(stored)
        return self._report(outcome, *self._write_end(EndKind.COMMITTED), do.DeleteJournal())

    def _committed_outcome(self, stored: Stored) -> Outcome:
        return self._standing.outcome(
            OutcomeKind.COMMITTED, committed=Committed.YES, stored=stored, is_over=True
        )

    def _cancelled(self, clean_up: CleanUp, error: PenstockError | None) -> list[do.Command]:
        is_verified = clean_up is CleanUp.VERIFIED
        outcome = self._standing.outcome(
            OutcomeKind.CANCELLED, error=error, reason="cancel", clean_up=clean_up, is_over=is_verified
        )
        if not is_verified:
            return self._report(outcome)
        return self._report(outcome, *self._write_end(EndKind.CANCELLED), do.DeleteJournal())

    def _failed(self, error: PenstockError) -> list[do.Command]:
        standing = self._standing
        outcome = standing.outcome(
            OutcomeKind.FAILED,
            committed=Committed.YES if self._object_made else None,
            error=error,
            is_over=self._is_over,
        )
        if self._is_over:
            return self._report(outcome, *self._write_end(EndKind.FAILED, error.code))
        if standing.is_unbegun and outcome.resume_token is not None:
            return self._report(outcome, *self._keep())
        if not standing.may_be_on_server:
            return self._report(outcome, *self._write_end(EndKind.FAILED, error.code), do.DeleteJournal())
        return self._report(outcome)

    def _write_end(self, kind: EndKind, detail: str = "") -> list[do.AppendJournal]:
        if not self._standing.is_journaled:
            return []
        return self._standing.write_down(End(kind=kind, detail=detail), durable=True)

    def _report(self, outcome: Outcome, *journal: do.AppendJournal | do.DeleteJournal) -> list[do.Command]:
        self.state = State.ENDED
        self._step = None
        self.outcome = outcome
        return [*journal, do.Report(outcome=outcome)]
