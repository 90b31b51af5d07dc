"""
A world for one download machine: an object, a disk with a cache that a power loss empties, and a journal, all
models, in which anything may go wrong in any order.

The content of a range is modelled by its CRC-64 alone. Every promise that can be checked at the moment a
command is carried out is checked there.
"""

from __future__ import annotations

import random

from penstock.errors import ConnectionLost, PenstockError, PreconditionFailed, TransferError
from penstock.protocol.crc64 import combine_all
from penstock.protocol.limits import MIN_PART_BYTES
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.download import DownloadMachine
from penstock.transfer.job import DownloadJob, DownloadSettings, Fresh, FromJournal
from penstock.transfer.journal import (
    Completing,
    End,
    Intent,
    JournalView,
    Record,
    Synced,
    TargetState,
    frame,
    journal_view,
    records,
)
from penstock.transfer.outcome import CleanUp, Outcome, OutcomeKind

PART_BYTES = MIN_PART_BYTES
LAST_BYTES = 7
HOLE = 0
LOST = ConnectionLost("the connection ended", host="oss.test")
FULL = TransferError("the disk is full")
CHANGED = PreconditionFailed("changed", status=412, code="PreconditionFailed")
OLD = (1, 2)
"""What the file held before."""

Content = tuple[int, ...]


class DownloadWorld:
    def __init__(self, rng: random.Random, part_count: int, settings: DownloadSettings) -> None:
        self.rng = rng
        self.settings = settings
        self.part_count = part_count
        self.total_bytes = (part_count - 1) * PART_BYTES + LAST_BYTES
        self.revisions: list[Content] = []
        self.write_object()
        self.file: Content | None = OLD
        self.partial: dict[int, int] | None = None
        self.on_disk: dict[int, int] | None = None
        self.size_bytes = 0
        self.durable = b""
        self.undurable: list[bytes] = []
        self.fetched: list[int] = []
        self.damage = 0.0
        self.is_damaged = False
        self.is_meddled_with = False
        self.acknowledged = 0
        self.reports: list[Outcome] = []
        self.begin(Fresh())

    def sizes(self) -> list[int]:
        return [PART_BYTES] * (self.part_count - 1) + [LAST_BYTES]

    def crc(self, content: Content) -> int:
        return combine_all(zip(content, self.sizes(), strict=True))

    # --- the object

    def write_object(self) -> None:
        self.revisions.append(tuple(self.rng.getrandbits(64) | 1 for _ in range(self.part_count)))

    def found(self) -> TargetState:
        number = len(self.revisions)
        return TargetState(
            etag=f"E{number}",
            size_bytes=self.total_bytes,
            modified_at=number,
            crc64=self.crc(self.revisions[-1]),
        )

    def content_of(self, etag: str) -> Content:
        return self.revisions[int(etag[1:]) - 1]

    # --- the machine

    def begin(self, beginning: Fresh | FromJournal, *, cancel: bool = False) -> None:
        job = DownloadJob(
            job_id="job",
            endpoint="oss.test",
            region="r",
            bucket="b",
            key="k",
            path="/data/file",
            found=self.found(),
            part_bytes=PART_BYTES,
        )
        self.machine = DownloadMachine(job, self.settings, beginning)
        self.pending: list[do.Command] = []
        self.stop_requested = cancel
        self.stopping = self.quiet = False
        self.report: Outcome | None = None
        self.file_before = self.file
        self.discard_failed = False
        if not isinstance(beginning, FromJournal):
            self.acknowledged = 0
        self.feed(on.CancelRequested() if cancel else on.Started(now=5))

    def feed(self, event: on.Event) -> None:
        if isinstance(event, on.AbortRequested | on.CancelRequested):
            self.stop_requested = True
        commands = self.machine.handle(event)
        is_journal = [isinstance(command, do.AppendJournal | do.DeleteJournal) for command in commands]
        assert is_journal == sorted(is_journal, reverse=True), "journal commands come first"
        for command in commands:
            self.carry_out(command)
        shown = self.machine.progress.acknowledged_bytes
        assert self.acknowledged <= shown <= self.total_bytes, "acknowledged bytes fell"
        self.acknowledged = shown

    def carry_out(self, command: do.Command) -> None:
        match command:
            case do.AppendJournal(record=record, durable=durable):
                assert self.settings.keep, "a journal that is not to be kept"
                assert durable or not isinstance(record, Intent | Synced | Completing | End)
                self.undurable.append(frame(record))
                if durable:
                    self.durable += b"".join(self.undurable)
                    self.undurable = []
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
                if isinstance(command, do.SyncPartial):
                    self.to_sync = dict(self.partial or {})

    def view(self) -> JournalView | None:
        return journal_view(records(self.durable + b"".join(self.undurable))[0])

    def last_durable(self) -> Record:
        return records(self.durable)[0][-1]

    # --- promises

    def check_request(self, command: do.Command) -> None:
        assert self.report is None, f"{command} after the report"
        assert not self.stopping or self.quiet, f"{command} while stopping"
        if self.stop_requested:
            assert isinstance(command, do.DiscardPartial | do.HashPublished), f"{command} after a stop"
        match command:
            case do.OpenPartial(create=True):
                assert not self.settings.keep or isinstance(self.last_durable(), Intent)
            case do.FetchRange(number=number, offset=offset, size_bytes=size_bytes, etag=etag):
                flying = [one.number for one in self.pending if isinstance(one, do.FetchRange)]
                assert number not in flying
                assert len(flying) < self.settings.parallel
                assert (offset, size_bytes) == ((number - 1) * PART_BYTES, self.sizes()[number - 1])
                view = self.view()
                assert view is None or view.intent.target is not None
                assert view is None or view.intent.target.etag == etag, "two revisions would be mixed"
                self.fetched.append(number)
            case do.Publish():
                assert not self.settings.keep or isinstance(self.last_durable(), Completing)

    def check_report(self, outcome: Outcome) -> None:
        assert self.report is None, "two reports"
        self.report = outcome
        self.reports.append(outcome)
        if outcome.kind is OutcomeKind.COMMITTED:
            assert outcome.stored is not None
            assert self.file == self.content_of(outcome.stored.etag), (
                "reported success, the file is not there"
            )
            assert self.partial is None
        else:
            assert self.file == self.file_before, "the file was touched, and no success reported"
            assert isinstance(outcome.to_error(), PenstockError)
        if outcome.kind is OutcomeKind.CANCELLED and outcome.clean_up is CleanUp.VERIFIED:
            assert self.partial is None
            assert not self.durable
        if not self.settings.keep and not self.discard_failed:
            assert self.partial is None, "a partial file is left that nothing leads back to"
        if self.partial is not None and not self.discard_failed:
            assert self.view() is not None, "a partial file is left that no journal tells of"

    # --- answers

    def answer(self, command: do.Command, *, faults: bool) -> None:
        self.pending.remove(command)
        self.feed(self.event_for(command, fault=faults and self.rng.random() < 0.25))

    def event_for(self, command: do.Command, *, fault: bool) -> on.Event:
        match command:
            case do.OpenPartial(create=create):
                return self.open_partial(create=create, fault=fault)
            case do.FetchRange():
                return self.fetch(command, fault=fault)
            case do.HashPart(number=number):
                if fault:
                    return on.HashPartFailed(number=number, error=FULL)
                assert self.partial is not None
                return on.PartHashed(number=number, crc64=self.partial.get(number, HOLE))
            case do.SyncPartial():
                if fault or self.partial is None:
                    return on.SyncPartialFailed(error=FULL)
                assert self.on_disk is not None
                self.on_disk.update(self.to_sync)
                return on.PartialSynced()
            case do.Publish(total_bytes=total_bytes):
                assert total_bytes == self.total_bytes
                if fault:
                    return on.PublishFailed(error=FULL)
                self.publish()
                return on.Published()
            case do.HashPublished():
                if self.file is None:
                    return on.PublishedMissing()
                if self.file == OLD:
                    return on.PublishedHashed(size_bytes=3, crc64=4)
                return on.PublishedHashed(size_bytes=self.total_bytes, crc64=self.crc(self.file))
            case do.DiscardPartial():
                if fault:
                    self.discard_failed = True
                    return on.DiscardPartialFailed(error=FULL)
                was_there = self.partial is not None
                self.partial = self.on_disk = None
                return on.PartialDiscarded(was_there=was_there)
        raise AssertionError(command)

    def open_partial(self, *, create: bool, fault: bool) -> on.Event:
        if fault:
            return on.OpenPartialFailed(error=FULL)
        if create:
            self.partial, self.size_bytes = {}, self.total_bytes
            self.on_disk = {}
        if self.partial is None:
            return on.PartialMissing()
        return on.PartialOpened(size_bytes=self.size_bytes)

    def fetch(self, command: do.FetchRange, *, fault: bool) -> on.Event:
        assert self.partial is not None
        number = command.number
        if command.etag != self.found().etag:
            return on.RangeFailed(number=number, error=CHANGED, is_final=True)
        if fault:
            if self.rng.random() < 0.5:
                self.put(number, self.rng.getrandbits(64))
            return on.RangeFailed(number=number, error=LOST, is_final=self.rng.random() < 0.1)
        crc64 = self.content_of(command.etag)[number - 1]
        if self.rng.random() < self.damage:
            self.is_damaged = True
            crc64 ^= 1 << 40
        self.put(number, crc64)
        return on.RangeFetched(number=number, size_bytes=command.size_bytes, crc64=crc64)

    def put(self, number: int, crc64: int) -> None:
        """Write a range; the file grows where it is too short."""
        assert self.partial is not None
        self.partial[number] = crc64
        self.size_bytes = max(self.size_bytes, sum(self.sizes()[:number]))

    def publish(self) -> None:
        assert self.partial is not None
        content = tuple(self.partial.get(number, HOLE) for number in range(1, self.part_count + 1))
        assert content in self.revisions, "a file was made of two revisions, or of holes"
        self.file, self.partial, self.on_disk = content, None, None

    def become_quiet(self) -> None:
        """Everything that runs ends; some of it in time for its answer to be told."""
        while self.pending:
            command = self.pending.pop(self.rng.randrange(len(self.pending)))
            if isinstance(command, do.FetchRange) and self.rng.random() < 0.6:
                assert self.partial is not None
                self.put(command.number, self.rng.getrandbits(64))
                self.feed(on.RangeFailed(number=command.number, error=LOST, is_final=False))
            else:
                self.feed(self.event_for(command, fault=self.rng.random() < 0.3))
        self.quiet = True
        self.feed(on.RequestsStopped())

    # --- endings of the process

    def kill(self) -> None:
        """SIGKILL: all that was written is there, also what was not synced; running writes got half-way."""
        self.die()
        self.rise()

    def die(self) -> None:
        for command in self.pending:
            if isinstance(command, do.FetchRange) and self.partial is not None and self.rng.random() < 0.5:
                self.put(command.number, self.rng.getrandbits(64))
            if isinstance(command, do.Publish) and self.rng.random() < 0.5:
                self.publish()
        self.durable += b"".join(self.undurable)
        self.undurable = []

    def lose_power(self) -> None:
        """What was not synced may be there, or not, each range and each journal record by itself."""
        for command in self.pending:
            if isinstance(command, do.Publish) and self.rng.random() < 0.5:
                self.publish()
        if self.partial is not None:
            assert self.on_disk is not None
            synced = bool(self.on_disk)
            for number in set(self.partial) | set(self.on_disk):
                if self.rng.random() < 0.5:
                    self.partial[number] = self.on_disk.get(number, HOLE)
            self.on_disk = dict(self.partial)
            if not synced and self.rng.random() < 0.3:
                self.size_bytes, self.partial = 0, {}
        self.durable += b"".join(self.undurable[: self.rng.randint(0, len(self.undurable))])
        self.undurable = []
        # What was shown and not yet on disk is forgotten; nobody else remembers it.
        self.acknowledged = 0
        self.rise()

    def meddle(self) -> None:
        """The process is killed, and somebody removes the partial file, or cuts it to nothing."""
        self.die()
        self.is_meddled_with = True
        if self.partial is not None and self.rng.random() < 0.5:
            self.partial, self.on_disk, self.size_bytes = {}, {}, 0
        else:
            self.partial = self.on_disk = None
        self.rise()

    def rise(self) -> None:
        self.report = None
        self.resume()

    def resume(self, *, cancel: bool = False) -> None:
        view = self.view()
        if view is None:
            assert self.partial is None or not self.settings.keep
            self.partial = self.on_disk = None
            self.begin(Fresh())
        else:
            self.begin(FromJournal(view), cancel=cancel)

    def run_to_the_end(self) -> Outcome:
        for _ in range(10_000):
            if self.report is not None:
                return self.report
            if self.stopping and not self.quiet:
                self.become_quiet()
            else:
                self.answer(self.pending[0], faults=False)
        raise AssertionError("the machine does not come to an end")
