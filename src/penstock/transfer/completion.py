"""The end of an upload: the last look at source and target, Complete, and what became of it."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter

import msgspec

from penstock.errors import (
    Forbidden,
    IncompleteUpload,
    InvalidInput,
    NoSuchUpload,
    PenstockError,
    ServiceError,
)
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer import failures
from penstock.transfer.hashing import WholeHashing
from penstock.transfer.job import Beginning, UploadSettings
from penstock.transfer.journal import Completing, Source, TargetState
from penstock.transfer.machine import State, StoppableMachine
from penstock.transfer.outcome import OutcomeKind, Stored
from penstock.transfer.plan import part_plan
from penstock.transfer.resolve import Resolution, Verdict, is_ours
from penstock.transfer.resume import Reconciled, reconcile
from penstock.transfer.standing import Standing

MAX_ROUNDS = 3
"""
How often each of these may happen before the transfer gives up: an unanswered Initiate, a changed source,
parts that OSS disowns, a Complete without effect.
"""


class CompletingMachine(StoppableMachine):
    """
    The part of an upload's machine that makes the object of the parts.

    A subclass brings the parts to OSS and then calls `_check_source`; it answers `_list_parts` and `_compare`
    where parts turn out not to be there, or not to be of this revision of the source, and `_after_target`.

    Always: Complete comes only after a look at the source and, if it is protected, at the target, and after
    a durable COMPLETING; a Complete in doubt is never repeated before the upload and the object were looked
    at; a COMPLETING is taken back only once it is known that nothing came of it.
    """

    def __init__(
        self, standing: Standing, beginning: Beginning, settings: UploadSettings, *, resolve_only: bool
    ) -> None:
        super().__init__(standing, beginning)
        self.settings = settings
        self._resolve_only = resolve_only
        self._rounds: Counter[State] = Counter()
        self._refusal: PenstockError | None = None
        self._found: TargetState | None = None

    @abstractmethod
    def _after_target(
        self, target: TargetState | None, server_time: int | None, *, target_known: bool
    ) -> list[do.Command]: ...

    @abstractmethod
    def _list_parts(self) -> list[do.Command]: ...

    @abstractmethod
    def _compare(self, reconciled: Reconciled) -> list[do.Command]: ...

    def _on_answer(self, event: on.Event) -> list[do.Command]:
        match event:
            case on.CompleteSucceeded():
                return self._on_complete_succeeded(event)
            case on.CompleteFailed(error=error):
                return self._on_complete_failed(error)
            case on.CompleteUnanswered(error=error, request_sent=request_sent):
                return self._on_complete_unanswered(error, request_sent)
            case on.TargetInspected(target=target, server_time=server_time):
                return self._on_target_inspected(target, server_time)
            case on.InspectTargetFailed(error=error):
                return self._on_inspect_target_failed(error)
            case on.SourceInspected(source=source) if self.state is State.CHECKING:
                return self._on_source_inspected(source)
            case on.InspectSourceFailed(error=error) if self.state is State.CHECKING:
                return self._fail(error)
        return []

    # --- the last look before completion

    def _check_source(self) -> list[do.Command]:
        self.state = State.CHECKING
        return self._check_target() if self._standing.job.source is None else [do.InspectSource()]

    def _on_source_inspected(self, source: Source | None) -> list[do.Command]:
        standing = self._standing
        assert standing.intent is not None
        if source is not None and source.is_same_revision(standing.intent.source):
            return self._check_target()
        if source is None or not self._may_try_again(State.CHECKING):
            return self._fail(failures.source_keeps_changing(standing.name))
        stored = dict(self._ledger.stored)
        standing.job = msgspec.structs.replace(standing.job, source=source, total_bytes=source.size_bytes)
        standing.source_in_doubt = True
        standing.announced_crc64 = None
        try:
            plan = part_plan(source.size_bytes, self._ledger.plan.part_bytes)
        except InvalidInput as error:
            return self._fail(error)
        self._ledger.replan(plan)
        listed = {
            number: on.ListedPart(number=number, size_bytes=part.size_bytes, etag=part.etag, crc64=part.crc64)
            for number, part in stored.items()
        }
        return self._compare(reconcile(plan, listed, {}, source_unchanged=False))

    def _check_target(self) -> list[do.Command]:
        intent = self._standing.intent
        assert intent is not None
        if self.settings.protect_target and intent.target_known:
            return [do.InspectTarget()]
        return self._complete()

    def _on_target_inspected(self, target: TargetState | None, server_time: int | None) -> list[do.Command]:
        match self.state:
            case State.INSPECTING_TARGET | State.CHECKING:
                if self._standing.intent is not None and not self._target_is_as_before(target):
                    if is_ours(target, self._standing.proof()):
                        return self._clean_up_beside(target)
                    return self._fail(failures.target_changed(self._standing.name))
                if self.state is State.CHECKING:
                    return self._complete()
                return self._after_target(target, server_time, target_known=True)
        return []

    def _on_inspect_target_failed(self, error: PenstockError) -> list[do.Command]:
        match self.state:
            case State.INSPECTING_TARGET if isinstance(error, Forbidden) and self._standing.intent is None:
                return self._after_target(None, None, target_known=False)
            case State.INSPECTING_TARGET | State.CHECKING:
                return self._fail(error)
        return []

    def _target_is_as_before(self, target: TargetState | None) -> bool:
        assert self._standing.intent is not None
        before = self._standing.intent.target
        if before is None or target is None:
            return before is target
        return before.is_same_object(target)

    # --- completion

    def _complete(self) -> list[do.Command]:
        standing = self._standing
        if self._draining:
            return self._stop("drain")
        try:
            self._ledger.check_complete()
        except IncompleteUpload as error:
            return self._fail(error)
        crc64 = self._ledger.whole_crc64()
        assert crc64 is not None
        assert standing.upload_id is not None
        standing.announced_crc64 = crc64
        self.state = State.COMPLETING
        plan = self._ledger.plan
        ordered = (self._ledger.stored[number] for number in range(1, plan.count + 1))
        announcement = Completing(part_count=plan.count, total_bytes=plan.total_bytes, crc64=crc64)
        return [
            *standing.write_down(announcement, durable=True),
            do.Complete(
                upload_id=standing.upload_id,
                parts=tuple(do.PartTag(part.number, part.etag) for part in ordered),
                forbid_overwrite=self._forbid_overwrite(),
                crc64=crc64,
            ),
        ]

    def _on_complete_succeeded(self, done: on.CompleteSucceeded) -> list[do.Command]:
        standing = self._standing
        if not standing.complete_in_doubt or self.state not in (State.COMPLETING, State.STOPPING):
            return []
        standing.complete_in_doubt = False
        expected = standing.announced_crc64
        assert expected is not None
        if done.crc64 is not None and done.crc64 != expected:
            self._object_made = True
            return self._fail_for_good(failures.altered_object(standing.name, expected, done.crc64))
        self._stored = Stored(
            etag=done.etag,
            crc64=expected,
            size_bytes=self._ledger.plan.total_bytes,
            version_id=done.version_id,
        )
        return [] if self.state is State.STOPPING else self._committed(self._stored)

    def _on_complete_failed(self, error: PenstockError) -> list[do.Command]:
        if self.state not in (State.COMPLETING, State.STOPPING):
            return []
        status = error.status if isinstance(error, ServiceError) else 500
        if isinstance(error, NoSuchUpload) or status >= 500:
            return [] if self.state is State.STOPPING else self._resolve()
        self._standing.complete_in_doubt = False
        if error.code == "CallbackFailed":
            self._object_made = True
            return self._fail_for_good(error)
        if error.code == failures.FILE_ALREADY_EXISTS:
            # It may be ours, made by a Complete whose answer was lost: the object tells.
            self._refusal = error
            return [] if self.state is State.STOPPING else self._resolve()
        taken_back = self._standing.write_not_completed()
        if self.state is State.STOPPING:
            return [*taken_back]
        if error.code == "InvalidPart" and self._may_try_again(State.LISTING):
            return [*taken_back, *self._list_parts()]
        return [*taken_back, *self._fail(error)]

    def _on_complete_unanswered(self, error: PenstockError, request_sent: bool) -> list[do.Command]:
        if self.state not in (State.COMPLETING, State.STOPPING):
            return []
        self._standing.complete_in_doubt = request_sent
        taken_back = [] if request_sent else self._standing.write_not_completed()
        if self.state is State.STOPPING:
            return [*taken_back]
        return self._resolve() if request_sent else [*taken_back, *self._fail(error)]

    def _resolve(self) -> list[do.Command]:
        settle_s = 0.0 if self._refusal is not None else self.settings.settle_s
        standing = self._standing
        return self._enter(State.RESOLVING, Resolution(standing.upload_id, standing.proof(), settle_s))

    def _after_resolution(self, resolution: Resolution) -> list[do.Command]:
        standing = self._standing
        if resolution.error is not None:
            return self._fail(resolution.error)
        if resolution.verdict is Verdict.COMMITTED:
            if not resolution.upload_is_listed:
                return self._commit_by_evidence(resolution.target)
            if self._resolve_only:
                return self._commit_by_evidence(resolution.target, is_removed=False)
            return self._clean_up_beside(resolution.target)
        if resolution.verdict is Verdict.LOST:
            if self._may_be_ours(resolution.target):
                return self._compare_whole(resolution.target)
            # An unanswered Complete stays in doubt: the object may have been made, and been written over.
            return self._fail_for_good(failures.upload_lost(standing.name))
        standing.complete_in_doubt = False
        taken_back = standing.write_not_completed()
        if self._resolve_only:
            return self._report(standing.outcome(OutcomeKind.ABORTED, reason="resolve"), *taken_back)
        if self._refusal is not None:
            return [*taken_back, *self._fail(self._overwrite_refused(self._refusal))]
        if not self._may_try_again(State.COMPLETING):
            error = failures.complete_without_effect(standing.name, MAX_ROUNDS + 1)
            return [*taken_back, *self._fail(error)]
        return [*taken_back, *self._list_parts()]

    def _may_be_ours(self, target: TargetState | None) -> bool:
        """
        Whether only the CRC-64 of the source, of which not all is known, can tell.

        An upload that was found by its key bears no token that is known here, and somebody else who had found
        it too may have been quicker.
        """
        proof = self._standing.proof()
        if self._resolve_only or target is None or target.crc64 is None:
            return False
        if proof.ownership_token or proof.crc64 is not None:
            return False
        return is_ours(target, msgspec.structs.replace(proof, crc64=target.crc64))

    def _compare_whole(self, target: TargetState | None) -> list[do.Command]:
        self._found = target
        known = {number: part.crc64 for number, part in self._ledger.stored.items()}
        hashing = WholeHashing(self._ledger.plan, known, self.settings.parallel)
        return self._enter(State.RESOLVING, hashing)

    def _after_whole_hashing(self, hashing: WholeHashing) -> list[do.Command]:
        standing = self._standing
        if hashing.error is not None:
            return self._fail(hashing.error)
        assert self._found is not None
        if hashing.crc64 == self._found.crc64:
            return self._commit_by_evidence(self._found)
        return self._fail_for_good(failures.upload_lost(standing.name))

    def _may_try_again(self, what: State) -> bool:
        self._rounds[what] += 1
        return self._rounds[what] <= MAX_ROUNDS

    def _forbid_overwrite(self) -> bool:
        return self._standing.job.forbid_overwrite or self._target_was_absent()

    def _target_was_absent(self) -> bool:
        intent = self._standing.intent
        return (
            self.settings.protect_target
            and intent is not None
            and intent.target_known
            and intent.target is None
        )

    def _overwrite_refused(self, error: PenstockError) -> PenstockError:
        was_absent = self._target_was_absent() and not self._standing.job.forbid_overwrite
        return failures.target_error(self._standing.name, error, was_absent=was_absent)
