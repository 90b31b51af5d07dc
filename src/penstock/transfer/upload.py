"""A multipart upload, decided step by step: events in, commands out."""

from __future__ import annotations

from penstock.errors import (
    InvalidInput,
    NoSuchUpload,
    PenstockError,
    ServiceUnavailable,
)
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer import failures
from penstock.transfer.completion import CompletingMachine
from penstock.transfer.hashing import PartHashing, WholeHashing
from penstock.transfer.job import (
    Beginning,
    Fresh,
    FromJournal,
    FromKey,
    UploadJob,
    UploadSettings,
    begun_anew,
)
from penstock.transfer.journal import EndKind, PartStored, TargetState
from penstock.transfer.listing import PartListing
from penstock.transfer.machine import State, Step
from penstock.transfer.outcome import OutcomeKind
from penstock.transfer.plan import Plan, part_plan
from penstock.transfer.resolve import Resolution, is_ours
from penstock.transfer.resume import Reconciled, reconcile
from penstock.transfer.search import Candidate, UnbornSearch, UploadSearch
from penstock.transfer.standing import Standing


class UploadMachine(CompletingMachine):
    """
    Decides the next step of a multipart upload, and takes none.

    Hand in `Started` first (or `CancelRequested`, to cancel what a journal describes), carry out the commands
    that `handle` returns, and hand in what comes of them, until `Report`.

    Always:
        * No SendPart after AbortRequested; no request but clean-up after it, and clean-up only for a cancel.
        * Complete only when every part of the plan is acknowledged, their count and the sum of their sizes
          are right, and the source is the revision they were sent from. The CRC-64 of the whole is combined
          from local part CRCs.
        * A durable INTENT comes before Initiate, a durable COMPLETING before Complete, a durable END before
          AbortUpload (unless the journal cannot be written any more).
        * Exactly one Report. Success is never reported as an abort, nor an abort as success.
        * Acknowledged bytes never fall, across abort and resume too.
        * An error of ListParts other than NoSuchUpload never begins a new upload.
        * A part is waiting, in flight or acknowledged: never none of them. At most ``parallel`` are in
          flight.

    Args:
        job: What goes where. After a journal it is `penstock.transfer.job.resumed_job`.
        settings: How.
        beginning: Where it begins; None is `Fresh`.
        resolve_only: Only find out what became of an unanswered Complete, then report: COMMITTED, FAILED with
            `penstock.errors.UploadLost`, or ABORTED (not committed, can be resumed).

    Raises:
        InvalidInput: The source cannot be cut into parts of the wanted size.

    Example:
        >>> job = UploadJob(job_id="j", endpoint="oss-cn-hangzhou.aliyuncs.com", region="cn-hangzhou",
        ...                 bucket="b", key="k", source=None, total_bytes=5)
        >>> machine = UploadMachine(job, UploadSettings(protect_target=False))
        >>> [type(command).__name__ for command in machine.handle(on.Started(now=1))]
        ['AppendJournal', 'Initiate']
        >>> [type(command).__name__ for command in machine.handle(on.UploadInitiated(upload_id="u"))]
        ['AppendJournal', 'SendPart']
    """

    def __init__(
        self,
        job: UploadJob,
        settings: UploadSettings | None = None,
        beginning: Beginning | None = None,
        *,
        resolve_only: bool = False,
    ) -> None:
        settings = settings or UploadSettings()
        job, beginning = begun_anew(job, beginning or Fresh())
        standing = Standing(job, beginning, trust_identity=settings.trust_identity)
        super().__init__(standing, beginning, settings, resolve_only=resolve_only)
        self._reconciled: Reconciled | None = None
        self._candidates: list[Candidate] = []
        self._upload_gone = False

    def _on_answer(self, event: on.Event) -> list[do.Command]:
        match event:
            case on.UploadInitiated(upload_id=upload_id):
                return self._on_initiated(upload_id)
            case on.InitiateFailed(error=error, request_sent=request_sent):
                return self._on_initiate_failed(error, request_sent)
            case on.PartSent():
                return self._on_part_sent(event)
            case on.PartFailed(number=number, error=error, is_final=is_final, sent_bytes=sent_bytes):
                return self._on_part_failed(number, error, is_final, sent_bytes)
        return super()._on_answer(event)

    def _after_step(self, step: Step) -> list[do.Command]:
        match step:
            case PartListing():
                return self._after_listing(step)
            case PartHashing():
                return self._after_hashing(step)
            case UploadSearch():
                return self._after_search(step)
            case UnbornSearch():
                return self._after_unborn_search(step)
            case Resolution():
                return self._after_resolution(step)
            case WholeHashing():
                return self._after_whole_hashing(step)
        raise AssertionError(f"no such step: {step}")

    # --- the beginning

    def _begin(self) -> list[do.Command]:
        end = self._beginning.view.end if isinstance(self._beginning, FromJournal) else None
        if end is not None and end.kind is not EndKind.COMMITTED:
            error = failures.already_ended(self._standing.name, end.kind)
            return self._report(self._standing.outcome(OutcomeKind.FAILED, error=error, is_over=True))
        if end is not None:
            return self._resolve()
        if self._standing.complete_in_doubt or (self._resolve_only and self._standing.upload_id is not None):
            return self._resolve()
        if self._resolve_only:
            return self._report(self._standing.outcome(OutcomeKind.ABORTED, reason="resolve"))
        intent = self._standing.intent
        if self.settings.protect_target and (intent is None or intent.target_known):
            self.state = State.INSPECTING_TARGET
            return [do.InspectTarget()]
        return self._after_target(None, None, target_known=False)

    def _after_target(
        self, target: TargetState | None, server_time: int | None, *, target_known: bool
    ) -> list[do.Command]:
        standing = self._standing
        if standing.intent is None:
            standing.intent = standing.new_intent(
                started_at=self._now if server_time is None else server_time,
                server_clock=server_time is not None,
                target=target,
                target_known=target_known,
            )
            if is_ours(target, standing.proof()):
                # It was stopped before it began, and has been begun from another place with its token.
                return self._commit_by_evidence(target)
        if isinstance(self._beginning, FromKey):
            return self._search()
        if standing.upload_id is not None:
            return self._list_parts()
        return self._search() if standing.initiate_in_doubt else self._initiate()

    def _initiate(self) -> list[do.Command]:
        standing = self._standing
        assert standing.intent is not None
        if self._draining:
            return self._stop("drain")
        commands = standing.write_revision()
        standing.initiate_in_doubt = False
        standing.source_in_doubt = False
        standing.is_unbegun = False
        self.state = State.INITIATING
        initiate = do.Initiate(options=standing.intent.options, forbid_overwrite=self._forbid_overwrite())
        return [*commands, initiate]

    def _on_initiated(self, upload_id: str) -> list[do.Command]:
        if self.state not in (State.INITIATING, State.STOPPING):
            return []
        commands: list[do.Command] = [*self._standing.write_upload(upload_id, adopted=False)]
        return commands if self.state is State.STOPPING else [*commands, *self._send()]

    def _on_initiate_failed(self, error: PenstockError, request_sent: bool) -> list[do.Command]:
        in_doubt = request_sent or isinstance(error, ServiceUnavailable)
        self._standing.initiate_in_doubt = in_doubt
        self._standing.is_unbegun = not in_doubt and not self._standing.unclaimed_uploads
        if self.state is State.STOPPING:
            return []
        if not in_doubt:
            return self._fail(self._overwrite_refused(error))
        return self._search() if self._may_try_again(State.INITIATING) else self._fail(error)

    def _keep(self) -> list[do.AppendJournal | do.DeleteJournal]:
        standing = self._standing
        if not standing.is_unbegun:
            return super()._keep()
        intent = standing.unbegun_intent()
        # Bytes that are not in a file, or an object, are not found again.
        written = standing.write_down(intent, durable=True) if intent.source is not None else []
        return [*written] or [do.DeleteJournal()]

    # --- finding an upload that is there already

    def _search(self) -> list[do.Command]:
        if isinstance(self._beginning, FromKey):
            cancelled = self._beginning.except_for
            return self._enter(
                State.SEARCHING, UploadSearch(lambda upload: upload.upload_id not in cancelled)
            )
        return self._enter(State.SEARCHING, UnbornSearch(self._standing.begun_since_start()))

    def _after_search(self, search: UploadSearch) -> list[do.Command]:
        if search.error is not None:
            return self._fail(search.error)
        self._candidates = [candidate for candidate in search.candidates if candidate[1]]
        return self._try_next_candidate()

    def _after_unborn_search(self, search: UnbornSearch) -> list[do.Command]:
        if search.error is not None:
            return self._fail(search.error)
        standing = self._standing
        if len(search.found) == 1:
            revision = standing.write_revision()
            standing.source_in_doubt = False
            adopted = standing.write_upload(search.found[0].upload_id, adopted=True)
            return [*revision, *adopted, *self._send()]
        standing.unclaimed_uploads = tuple(upload.upload_id for upload in search.found)
        return self._initiate()

    def _try_next_candidate(self) -> list[do.Command]:
        standing = self._standing
        while self._candidates:
            upload, listed = self._candidates.pop(0)
            plan = _plan_of(standing.job, listed)
            reconciled = reconcile(plan, listed, {}, source_unchanged=False) if plan is not None else None
            if plan is not None and reconciled is not None and reconciled.to_compare:
                self._ledger.replan(plan)
                standing.upload_id = upload.upload_id
                standing.is_candidate = True
                return self._compare(reconciled)
        standing.upload_id = None
        return self._fail(failures.nothing_to_adopt(standing.name))

    # --- what is stored already

    def _list_parts(self) -> list[do.Command]:
        assert self._standing.upload_id is not None
        return self._enter(State.LISTING, PartListing(self._standing.upload_id))

    def _after_listing(self, listing: PartListing) -> list[do.Command]:
        if listing.gone:
            return self._resolve()
        if listing.error is not None:
            return self._fail(listing.error)
        known = {**self._standing.known, **self._ledger.stored}
        unchanged = not self._standing.source_in_doubt
        return self._compare(reconcile(self._ledger.plan, listing.parts, known, source_unchanged=unchanged))

    def _compare(self, reconciled: Reconciled) -> list[do.Command]:
        self._reconciled = reconciled
        return self._enter(State.HASHING, PartHashing(reconciled.to_compare, self.settings.parallel))

    def _after_hashing(self, hashing: PartHashing) -> list[do.Command]:
        standing = self._standing
        reconciled = self._reconciled
        assert reconciled is not None
        if hashing.error is not None:
            return self._fail(hashing.error)
        if standing.is_candidate and not hashing.matching:
            return self._try_next_candidate()
        kept = sorted((*reconciled.kept, *hashing.matching), key=lambda part: part.number)
        differing = sorted((*hashing.differing, *reconciled.resized))
        if standing.source_in_doubt and self._is_another_source(kept, differing):
            return self._fail(failures.source_changed(standing.name, kept, differing))
        return self._go_on_with(kept, hashing.matching)

    def _is_another_source(self, kept: list[PartStored], differing: list[int]) -> bool:
        if self.settings.keep_matching:
            return False
        intent = self._standing.intent
        assert intent is not None
        resized = not self._standing.is_candidate and intent.total_bytes != self._ledger.plan.total_bytes
        return bool(differing) or (resized and bool(kept))

    def _go_on_with(self, kept: list[PartStored], compared: list[PartStored]) -> list[do.Command]:
        standing = self._standing
        numbers = {part.number for part in kept}
        self._ledger.forget([number for number in self._ledger.stored if number not in numbers])
        self._ledger.resume(part for part in kept if part.number not in self._ledger.stored)
        standing.source_in_doubt = False
        standing.is_candidate = False
        commands: list[do.Command] = [*standing.write_revision()]
        for part in kept if commands else compared:
            commands += standing.write_down(part, durable=False)
        return [*commands, *self._send()]

    # --- sending

    def _send(self) -> list[do.Command]:
        if self._draining:
            return [] if self._ledger.in_flight else self._stop("drain")
        if self._upload_gone:
            return [] if self._ledger.in_flight else self._resolve()
        self.state = State.SENDING
        self._step = None
        if self._ledger.all_stored:
            return self._check_source()
        assert self._standing.upload_id is not None
        commands: list[do.Command] = []
        while self._ledger.has_waiting and len(self._ledger.in_flight) < self.settings.parallel:
            part = self._ledger.take()
            commands.append(
                do.SendPart(
                    upload_id=self._standing.upload_id,
                    number=part.number,
                    offset=part.offset,
                    size_bytes=part.size_bytes,
                )
            )
        return commands

    def _on_part_sent(self, sent: on.PartSent) -> list[do.Command]:
        if sent.number not in self._ledger.in_flight:
            return []
        part = self._ledger.plan.part(sent.number)
        if sent.size_bytes != part.size_bytes:
            short = failures.short_part(part, sent.size_bytes)
            return self._on_part_failed(part.number, short, is_final=True, sent_bytes=0)
        if sent.stored_crc64 is not None and sent.stored_crc64 != sent.crc64:
            altered = failures.altered_part(self._standing.name, part.number, sent.crc64, sent.stored_crc64)
            return self._on_part_failed(part.number, altered, is_final=False, sent_bytes=0)
        stored = PartStored(
            number=part.number,
            offset=part.offset,
            size_bytes=part.size_bytes,
            crc64=sent.crc64,
            etag=sent.etag,
        )
        self._ledger.acknowledge(stored)
        commands: list[do.Command] = [*self._standing.write_down(stored, durable=False)]
        return commands if self.state is State.STOPPING else [*commands, *self._send()]

    def _on_part_failed(
        self, number: int, error: PenstockError, is_final: bool, sent_bytes: int
    ) -> list[do.Command]:
        if number not in self._ledger.in_flight:
            return []
        self._ledger.put_back(number, sent_bytes)
        if self.state is State.STOPPING:
            return []
        if isinstance(error, NoSuchUpload):
            self._upload_gone = True
        elif is_final or self._ledger.attempts(number) >= self.settings.part_attempts:
            return self._fail(error)
        return self._send()


def _plan_of(job: UploadJob, listed: dict[int, on.ListedPart]) -> Plan | None:
    """The plan that an upload found by key was cut with, or None if no plan of this source fits its parts."""
    part_bytes = job.part_bytes or max(part.size_bytes for part in listed.values())
    try:
        return part_plan(job.total_bytes, part_bytes)
    except InvalidInput:
        # A source shorter than the smallest part is one part, whatever the part size was.
        return part_plan(job.total_bytes) if set(listed) == {1} and job.part_bytes is None else None
