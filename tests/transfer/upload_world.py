"""
A world for one upload machine: an OSS, a file and a disk, all models, in which anything may go wrong in any
order.

The content of a part is modelled by its CRC-64 alone, so that a world costs microseconds. Every promise that
can be checked at the moment a command is carried out is checked there.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from msgspec import structs

from penstock.errors import (
    Committed,
    ConnectionLost,
    NoSuchUpload,
    PenstockError,
    ServiceError,
    ServiceUnavailable,
    TransferError,
)
from penstock.protocol.crc64 import combine_all
from penstock.protocol.limits import MIN_PART_BYTES
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.job import Fresh, FromJournal, UploadJob, UploadSettings, resumed_job
from penstock.transfer.journal import (
    Completing,
    End,
    EndKind,
    Intent,
    NotCompleted,
    ObjectOptions,
    Source,
    TargetState,
    Upload,
    frame,
    journal_view,
    records,
)
from penstock.transfer.outcome import CleanUp, Outcome, OutcomeKind
from penstock.transfer.upload import UploadMachine

PART_BYTES = MIN_PART_BYTES
LOST = ConnectionLost("the connection ended", host="oss.test")
REFUSED = ServiceUnavailable("try later", status=503, code="ServiceUnavailable")
CLEAN_UP = (do.AbortUpload, do.ConfirmGone, do.InspectTarget, do.FindUploads, do.ListParts, do.Wait)
GONE = NoSuchUpload("no such upload", status=404, code="NoSuchUpload")


@dataclass
class ModelUpload:
    options: ObjectOptions
    initiated_at: int
    parts: dict[int, on.ListedPart] = field(default_factory=dict)


class World:
    def __init__(
        self, rng: random.Random, part_count: int, settings: UploadSettings, *, last_bytes: int = 7
    ) -> None:
        self.rng = rng
        self.settings = settings
        self.clock = 1_000
        self.total_bytes = (part_count - 1) * PART_BYTES + last_bytes
        self.part_count = part_count
        self.revisions: list[tuple[int, ...]] = []
        self.change_source(all_parts=True)
        self.uploads: dict[str, ModelUpload] = {}
        self.target: TargetState | None = None
        self.target_content: tuple[int, ...] | None = None
        self.committed_uploads: set[str] = set()
        self.twin_made = False
        self.foreign_writes = 0
        self.ids = 0
        self.durable = b""
        self.undurable: list[bytes] = []
        self.acknowledged = 0
        self.sent: list[int] = []
        self.outcomes: list[Outcome] = []
        self.zombies: list[do.Command] = []
        self.journal_works = True
        self.begin(Fresh())

    # --- the file

    def change_source(self, *, all_parts: bool = False) -> None:
        old = self.revisions[-1] if self.revisions else (0,) * self.part_count
        changed = {self.rng.randrange(self.part_count)}
        fresh = [
            self.rng.getrandbits(64) if all_parts or number in changed else crc
            for number, crc in enumerate(old)
        ]
        self.revisions.append(tuple(fresh))

    @property
    def source(self) -> Source:
        # Size and mtime stay the same: only ctime betrays a change.
        return Source(
            path="/data/file",
            size_bytes=self.total_bytes,
            mtime_ns=5,
            ctime_ns=len(self.revisions),
            device=1,
            inode=2,
        )

    # --- the machine

    def begin(
        self, beginning: Fresh | FromJournal, *, cancel: bool = False, resolve_only: bool = False
    ) -> None:
        if isinstance(beginning, FromJournal):
            job = resumed_job(beginning.view.intent, self.source, self.total_bytes)
        else:
            job = UploadJob(
                job_id="job",
                endpoint="oss.test",
                region="r",
                bucket="b",
                key="k",
                source=self.source,
                total_bytes=self.total_bytes,
                part_bytes=PART_BYTES,
                options=ObjectOptions(ownership_token="mine"),
            )
        self.machine = UploadMachine(job, self.settings, beginning, resolve_only=resolve_only)
        self.pending: list[do.Command] = []
        if not self.journal_works or not isinstance(beginning, FromJournal):
            self.acknowledged = 0
        self.stop_requested = False
        self.stopping = False
        self.quiet = False
        self.report: Outcome | None = None
        self.waited_s = 0.0
        self.feed(on.CancelRequested() if cancel else on.Started(now=self.clock))
        self.stop_requested = self.stop_requested or cancel

    def feed(self, event: on.Event) -> None:
        if isinstance(event, on.AbortRequested | on.CancelRequested):
            self.stop_requested = True
        self.clock += 1
        commands = self.machine.handle(event)
        is_journal = [isinstance(command, do.AppendJournal | do.DeleteJournal) for command in commands]
        assert is_journal == sorted(is_journal, reverse=True), "journal commands come first"
        for command in commands:
            if not self.carry_out(command):
                self.feed(on.JournalFailed(error=TransferError("the disk is full")))
                break
        progress = self.machine.progress
        assert progress.acknowledged_bytes >= self.acknowledged, "acknowledged bytes fell"
        assert progress.acknowledged_bytes <= progress.total_bytes
        self.acknowledged = progress.acknowledged_bytes

    def carry_out(self, command: do.Command) -> bool:
        match command:
            case do.AppendJournal(record=record, durable=durable):
                if isinstance(record, NotCompleted):
                    assert not self.committed_uploads, "an object was made, and its COMPLETING taken back"
                    assert not any(isinstance(one, do.Complete) for one in self.pending)
                assert durable or not isinstance(record, Intent | Upload | Completing | End)
                if not self.journal_works:
                    return False
                self.undurable.append(frame(record))
                if durable:
                    self.sync()
            case do.DeleteJournal():
                self.durable, self.undurable = b"", []
            case do.StopRequests():
                assert not self.stopping
                self.stopping = True
            case do.Report(outcome=outcome):
                self.check_report(outcome)
            case _:
                self.check_request(command)
                self.pending.append(command)
        return True

    def sync(self) -> None:
        self.durable += b"".join(self.undurable)
        self.undurable = []

    def journal(self) -> list[object]:
        entries, valid = records(self.durable)
        assert valid == len(self.durable)
        return list(entries)

    # --- promises

    def check_request(self, command: do.Command) -> None:
        assert self.report is None, f"{command} after the report"
        assert not self.stopping or self.quiet, f"{command} while stopping"
        if self.stop_requested:
            assert isinstance(command, CLEAN_UP), f"{command} after a stop was asked for"
        assert self.quiet or not isinstance(command, do.AbortUpload), "clean-up before quiet"
        entries = self.journal() if self.journal_works else None
        match command:
            case do.Initiate():
                assert entries is None or any(isinstance(entry, Intent) for entry in entries)
            case do.SendPart(number=number, offset=offset, size_bytes=size_bytes):
                assert entries is None or isinstance(
                    next(entry for entry in reversed(entries) if isinstance(entry, Upload)), Upload
                )
                assert offset == (number - 1) * PART_BYTES
                assert size_bytes == min(PART_BYTES, self.total_bytes - offset)
                flying = [c.number for c in self.pending if isinstance(c, do.SendPart)]
                assert number not in flying
                assert len(flying) < self.settings.parallel
                self.sent.append(number)
            case do.Complete(parts=parts, crc64=crc64):
                assert entries is None or isinstance(entries[-1], Completing)
                assert [tag.number for tag in parts] == list(range(1, self.part_count + 1))
                assert any(crc64 == self.whole_crc(revision) for revision in self.revisions)
            case do.AbortUpload():
                assert entries is None or isinstance(entries[-1], End)

    def check_report(self, outcome: Outcome) -> None:
        assert self.report is None, "two reports"
        self.report = outcome
        self.outcomes.append(outcome)
        made = bool(self.committed_uploads)
        match outcome.kind:
            case OutcomeKind.COMMITTED:
                assert made or self.twin_made, "reported success, nothing was made"
                assert outcome.committed is Committed.YES
                assert outcome.stored is not None
                assert outcome.to_error() is None
            case OutcomeKind.CANCELLED if outcome.clean_up is CleanUp.VERIFIED:
                assert not self.uploads, "the clean-up is called verified, an upload is left"
                assert not made or outcome.committed is not Committed.NO
            case OutcomeKind.ABORTED | OutcomeKind.CANCELLED:
                assert not made or outcome.committed is not Committed.NO, "made, and reported as not made"
                assert outcome.committed is not Committed.YES
            case OutcomeKind.FAILED:
                assert not made or outcome.committed is not Committed.NO, "made, and reported as not made"
        if outcome.kind is not OutcomeKind.COMMITTED:
            assert isinstance(outcome.to_error(), PenstockError)

    def whole_crc(self, revision: tuple[int, ...]) -> int:
        sizes = [min(PART_BYTES, self.total_bytes - n * PART_BYTES) for n in range(self.part_count)]
        return combine_all(zip(revision, sizes, strict=True))

    # --- the server

    def serve_initiate(self, command: do.Initiate) -> str:
        self.ids += 1
        upload_id = f"u{self.ids}"
        self.uploads[upload_id] = ModelUpload(command.options, self.clock)
        return upload_id

    def serve_part(self, command: do.SendPart, crc64: int) -> on.ListedPart | None:
        upload = self.uploads.get(command.upload_id)
        if upload is None:
            return None
        part = on.ListedPart(
            number=command.number, size_bytes=command.size_bytes, etag=f"{crc64:016X}", crc64=crc64
        )
        upload.parts[command.number] = part
        return part

    def serve_complete(self, command: do.Complete) -> PenstockError | None:
        upload = self.uploads.get(command.upload_id)
        if upload is None:
            return GONE
        if command.forbid_overwrite and self.target is not None:
            return ServiceError("exists", status=409, code="FileAlreadyExists")
        parts = [upload.parts.get(tag.number) for tag in command.parts]
        if any(part is None or part.etag != tag.etag for part, tag in zip(parts, command.parts, strict=True)):
            return ServiceError("invalid part", status=400, code="InvalidPart")
        content = tuple(part.crc64 or 0 for part in parts if part is not None)
        assert content in self.revisions, "an object was made of two revisions of the source"
        del self.uploads[command.upload_id]
        self.committed_uploads.add(command.upload_id)
        self.write_target(content, upload.options.ownership_token)
        return None

    def write_target(self, content: tuple[int, ...], token: str) -> None:
        self.target_content = content
        self.target = TargetState(
            etag=f"e{self.clock}",
            size_bytes=self.total_bytes,
            modified_at=self.clock,
            crc64=self.whole_crc(content),
            ownership_token=token,
        )

    def twin_commits(self) -> None:
        """Another run, begun elsewhere with the same token, makes the object by an upload of its own."""
        self.twin_made = True
        self.write_target(self.revisions[-1], "mine")

    def foreign_write(self) -> None:
        self.foreign_writes += 1
        self.write_target(tuple(self.rng.getrandbits(64) for _ in range(self.part_count)), "")

    # --- answers

    def answer(self, command: do.Command, *, faults: bool) -> None:
        self.pending.remove(command)
        event = self.event_for(command, fault=faults and self.rng.random() < 0.25)
        if event is not None:
            self.feed(event)

    def event_for(self, command: do.Command, *, fault: bool) -> on.Event | None:
        arrives = self.rng.random() < 0.5
        match command:
            case do.InspectTarget():
                if fault:
                    return on.InspectTargetFailed(error=LOST)
                return on.TargetInspected(target=self.target, server_time=self.clock)
            case do.InspectSource():
                return on.SourceInspected(source=self.source)
            case do.FindUploads():
                if fault:
                    return on.FindUploadsFailed(error=LOST)
                found = (
                    on.FoundUpload(upload_id=name, initiated_at=upload.initiated_at)
                    for name, upload in self.uploads.items()
                )
                return on.UploadsFound(uploads=tuple(found))
            case do.Initiate():
                if fault and not arrives:
                    request_sent = self.rng.random() < 0.5
                    if request_sent:
                        self.zombies.append(command)
                    return on.InitiateFailed(error=LOST, request_sent=request_sent)
                upload_id = self.serve_initiate(command)
                if fault:
                    return on.InitiateFailed(error=LOST, request_sent=True)
                return on.UploadInitiated(upload_id=upload_id)
            case do.ListParts(upload_id=upload_id, after=after):
                if fault:
                    return on.ListPartsFailed(error=LOST)
                if upload_id not in self.uploads:
                    return on.ListPartsFailed(error=GONE)
                parts = sorted(self.uploads[upload_id].parts.items())
                page = tuple(part for number, part in parts if number > after)[:3]
                return on.PartsListed(parts=page, final=not page or page[-1].number == parts[-1][0])
            case do.HashPart(number=number):
                return on.PartHashed(number=number, crc64=self.revisions[-1][number - 1])
            case do.SendPart(number=number, size_bytes=size_bytes):
                crc64 = self.revisions[-1][number - 1]
                if fault and not arrives:
                    self.zombies.append(command)
                    return on.PartFailed(number=number, error=REFUSED, is_final=False, sent_bytes=size_bytes)
                part = self.serve_part(command, crc64)
                if part is None:
                    return on.PartFailed(number=number, error=GONE, is_final=True)
                if fault:
                    return on.PartFailed(number=number, error=LOST, is_final=False, sent_bytes=size_bytes)
                return on.PartSent(
                    number=number, size_bytes=size_bytes, crc64=crc64, etag=part.etag, stored_crc64=crc64
                )
            case do.Complete():
                return self.complete_event(command, fault=fault, arrives=arrives)
            case do.AbortUpload(upload_id=upload_id):
                if fault and not arrives:
                    return on.AbortUploadFailed(error=LOST)
                existed = self.uploads.pop(upload_id, None)
                if fault or existed is None:
                    return on.AbortUploadFailed(error=LOST if existed else GONE)
                return on.UploadAborted()
            case do.ConfirmGone(upload_id=upload_id):
                if fault:
                    return on.ConfirmGoneFailed(error=LOST)
                return on.UploadStillListed() if upload_id in self.uploads else on.CancelConfirmed()
            case do.Wait(seconds=seconds):
                self.waited_s += seconds
                self.let_zombies_act(all_of_them=True)
                return on.Waited()
        raise AssertionError(command)

    def complete_event(self, command: do.Complete, *, fault: bool, arrives: bool) -> on.Event:
        if fault and not arrives:
            if self.rng.random() < 0.5:
                return on.CompleteUnanswered(error=LOST, request_sent=False)
            self.zombies.append(command)
            return on.CompleteUnanswered(error=LOST, request_sent=True)
        error = self.serve_complete(command)
        if fault:
            return on.CompleteUnanswered(error=LOST, request_sent=True)
        if error is not None:
            return on.CompleteFailed(error=error)
        assert self.target is not None
        return on.CompleteSucceeded(etag=self.target.etag, crc64=self.target.crc64)

    def let_zombies_act(self, *, all_of_them: bool = False) -> None:
        """Requests whose client has gone are carried out late, or never."""
        zombies, self.zombies = self.zombies, []
        for zombie in zombies:
            if not all_of_them and self.rng.random() < 0.5:
                self.zombies.append(zombie)
            elif self.rng.random() < 0.7:
                match zombie:
                    case do.SendPart(number=number):
                        self.serve_part(zombie, self.rng.choice(self.revisions)[number - 1])
                    case do.Complete():
                        self.serve_complete(zombie)
                    case do.Initiate():
                        self.serve_initiate(zombie)

    def become_quiet(self) -> None:
        """Carry out `StopRequests`: some answers are there already, of the rest nothing is known."""
        pending, self.pending = self.pending, []
        self.rng.shuffle(pending)
        for command in pending:
            fate = self.rng.random()
            if fate < 0.3:
                event = self.event_for(command, fault=self.rng.random() < 0.5)
                assert event is not None
                self.feed(event)
            elif fate < 0.6:
                self.event_for(command, fault=False)  # carried out, the answer is never seen
            elif isinstance(command, do.Initiate | do.SendPart | do.Complete):
                self.zombies.append(command)
        self.quiet = True
        self.feed(on.RequestsStopped())

    # --- a crash

    def crash(self, *, cancel: bool = False) -> None:
        """The process dies at this instruction, and perhaps the power fails too."""
        for command in self.pending:
            if self.rng.random() < 0.5:
                self.event_for(command, fault=False)
            elif isinstance(command, do.Initiate | do.SendPart | do.Complete):
                self.zombies.append(command)
        tail = b"".join(self.undurable)
        kept = self.rng.choice((len(tail), self.rng.randint(0, len(tail))))
        entries, valid = records(self.durable + tail[:kept])
        self.durable, self.undurable = (self.durable + tail[:kept])[:valid], []
        view = journal_view(entries)
        # PART records are synced in groups: what a power loss takes from the display, ListParts gives back.
        if kept < len(tail):
            self.acknowledged = 0 if view is None else min(view.acknowledged_bytes, self.acknowledged)
        if view is None:
            self.begin(Fresh(), cancel=False)
        else:
            self.begin(FromJournal(view), cancel=cancel)

    def resume(self, *, cancel: bool = False, resolve_only: bool = False) -> None:
        self.sync()
        view = journal_view(records(self.durable)[0])
        if view is None:
            self.begin(Fresh())
        else:
            self.begin(FromJournal(view), cancel=cancel, resolve_only=resolve_only)

    @property
    def is_over(self) -> bool:
        return self.report is not None and self.report.kind is OutcomeKind.COMMITTED

    def run_to_the_end(self, *, faults: bool = False) -> Outcome:
        """Answer until the report."""
        for _ in range(10_000):
            if self.report is not None:
                return self.report
            if self.stopping and not self.quiet:
                self.become_quiet()
            else:
                self.answer(self.rng.choice(self.pending), faults=faults)
        raise AssertionError("the machine does not come to an end")

    def forgotten_uploads(self) -> set[str]:
        """Uploads on the server that nothing on disk and no report leads to."""
        view = journal_view(records(self.durable + b"".join(self.undurable))[0])
        if view is not None and view.upload_id is None and not view.unbegun:
            return set()
        known = {view.upload_id} if view is not None else set()
        for outcome in self.outcomes:
            known.update(outcome.unclaimed_uploads)
            known.add(outcome.upload_id)
        return set(self.uploads) - known


def with_settings(**changes: object) -> UploadSettings:
    return structs.replace(UploadSettings(parallel=3, settle_s=0.5), **changes)


def is_cancelled(entries: list[object]) -> bool:
    return any(isinstance(entry, End) and entry.kind is EndKind.CANCEL_PENDING for entry in entries)
