"""A download of ranges into a partial file, decided step by step: events in, commands out."""

from __future__ import annotations

import msgspec

from penstock.errors import IncompleteUpload, PenstockError, PreconditionFailed
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer import failures
from penstock.transfer.download_standing import DownloadStanding
from penstock.transfer.hashing import PartHashing
from penstock.transfer.job import DownloadJob, DownloadSettings, Fresh, FromJournal
from penstock.transfer.journal import Completing, EndKind, PartStored, Synced
from penstock.transfer.machine import State, Step, StoppableMachine
from penstock.transfer.outcome import CleanUp, OutcomeKind, Stored
from penstock.transfer.resume import Comparison


class DownloadMachine(StoppableMachine):
    """
    Decides the next step of a download, and takes none.

    Hand in `Started` first (or `CancelRequested`, to remove what a journal describes), carry out the commands
    that `handle` returns, and hand in what comes of them, until `Report`.

    Always:
        * No FetchRange after a stop was asked for; what has been fetched stays, unless it is not to be kept.
        * Every FetchRange is bound to the ETag that the download began with: two revisions are never mixed.
        * Publish only when all ranges are written, their count and sizes add up, and their CRC-64 together is
          that of the object; a durable COMPLETING comes before it.
        * Of what an earlier run wrote, a range is kept only if a journal record that was made after its bytes
          were synced names it, or its bytes were just read and compared. A durable INTENT that takes back all
          others comes before the partial file is made anew.
        * Exactly one Report. COMMITTED means that the file is in its place; otherwise it is as it was before.
        * Acknowledged bytes, those written, never fall, across abort and resume too.

    Args:
        job: What is fetched, as it is now, and where to.
        settings: How.
        beginning: Where it begins; None is `Fresh`.

    Raises:
        InvalidInput: The object cannot be cut into ranges of the wanted size.

    Example:
        >>> from penstock.transfer.journal import TargetState
        >>> job = DownloadJob(job_id="j", endpoint="oss-cn-hangzhou.aliyuncs.com", region="cn-hangzhou",
        ...                   bucket="b", key="k", path="/data/k",
        ...                   found=TargetState(etag="E", size_bytes=5, modified_at=1))
        >>> machine = DownloadMachine(job)
        >>> [type(command).__name__ for command in machine.handle(on.Started(now=1))]
        ['AppendJournal', 'OpenPartial']
        >>> [type(command).__name__ for command in machine.handle(on.PartialOpened(size_bytes=5))]
        ['FetchRange']
    """

    _standing: DownloadStanding

    def __init__(
        self,
        job: DownloadJob,
        settings: DownloadSettings | None = None,
        beginning: Fresh | FromJournal | None = None,
    ) -> None:
        beginning = beginning or Fresh()
        self.job = job
        self.settings = settings or DownloadSettings()
        self._view = beginning.view if isinstance(beginning, FromJournal) else None
        self._kept: list[PartStored] = []
        self._distrusted = False
        self._unsynced_bytes = 0
        self._syncing: tuple[int, ...] = ()
        super().__init__(DownloadStanding(job, beginning), beginning)

    def _on_answer(self, event: on.Event) -> list[do.Command]:
        match event:
            case on.RangeFetched():
                return self._on_fetched(event)
            case on.RangeFailed(number=number, error=error, is_final=is_final):
                return self._on_range_failed(number, error, is_final)
            case on.PartialSynced():
                return self._on_synced()
            case on.SyncPartialFailed(error=error):
                return [] if self.state is State.STOPPING else self._fail(error)
            case on.PartialOpened(size_bytes=size_bytes) if self.state is State.OPENING:
                return self._on_opened(size_bytes)
            case on.PartialMissing() if self.state is State.OPENING:
                return self._on_missing()
            case on.OpenPartialFailed(error=error) if self.state is State.OPENING:
                return self._fail(error) if self._view is not None else self._fail_for_good(error)
            case on.PublishedHashed(size_bytes=size_bytes, crc64=crc64) if self.state is State.RESOLVING:
                return self._on_published_hashed(size_bytes, crc64)
            case on.PublishedMissing() if self.state is State.RESOLVING:
                return self._on_not_published()
            case on.HashPublishedFailed(error=error) if self.state is State.RESOLVING:
                return self._fail(error)
            case on.Published():
                return self._on_published()
            case on.PublishFailed(error=error) if self.state is State.COMPLETING:
                return self._fail(error)
            case on.PartialDiscarded(was_there=was_there) if self.state is State.CLEANING_UP:
                return self._on_discarded(None, was_there=was_there)
            case on.PublishedHashed(size_bytes=size_bytes, crc64=crc64) if self.state is State.CLEANING_UP:
                return self._on_hashed_after_discard(size_bytes, crc64)
            case on.PublishedMissing() | on.HashPublishedFailed() if self.state is State.CLEANING_UP:
                return self._cancelled(CleanUp.VERIFIED, None)
            case on.DiscardPartialFailed(error=error) if self.state is State.CLEANING_UP:
                return self._on_discarded(error)
            case on.CleanUpTimedOut() if self.state is State.CLEANING_UP:
                return self._on_discarded(failures.not_discarded(self.job.path))
        return []

    def _after_step(self, step: Step) -> list[do.Command]:
        assert isinstance(step, PartHashing)
        if step.error is not None:
            return self._fail(step.error)
        return self._go_on_with([*self._kept, *step.matching], step.matching)

    def _note_carried_out(self) -> None:
        super()._note_carried_out()
        if any(isinstance(command, do.OpenPartial) and command.create for command in self._last):
            self._standing.has_partial = True

    # --- the beginning

    def _begin(self) -> list[do.Command]:
        standing = self._standing
        if self._view is None:
            assert standing.intent is not None
            standing.intent = msgspec.structs.replace(standing.intent, started_at=self._now)
            return self._make_partial()
        if self._view.end is not None:
            return self._after_end(self._view.end.kind)
        self.state = State.OPENING
        return [do.OpenPartial(total_bytes=self._ledger.plan.total_bytes, create=False)]

    def _after_end(self, kind: EndKind) -> list[do.Command]:
        if kind is EndKind.COMMITTED:
            return self._hash_published()
        error = failures.already_ended(self._standing.name, kind)
        return self._report(self._standing.outcome(OutcomeKind.FAILED, error=error, is_over=True))

    def _make_partial(self) -> list[do.Command]:
        """Begin with an empty file; what the journal said before of its bytes is taken back first."""
        self.state = State.OPENING
        self._view = None
        self._standing.unsynced = set()
        self._standing.published_as = None
        commands = self._write_intent() if self.settings.keep else []
        return [*commands, do.OpenPartial(total_bytes=self._ledger.plan.total_bytes, create=True)]

    def _write_intent(self) -> list[do.AppendJournal]:
        standing = self._standing
        if not standing.is_journaled:
            return standing.write_beginning()
        assert standing.intent is not None
        standing.intent = msgspec.structs.replace(
            standing.intent, acknowledged_bytes=self._ledger.acknowledged_bytes
        )
        return standing.write_down(standing.intent, durable=True)

    def _on_opened(self, size_bytes: int) -> list[do.Command]:
        if self._view is None:
            return self._fetch()
        if (changed := self._changed()) is not None:
            return self._fail(changed)
        self._distrusted = size_bytes != self._ledger.plan.total_bytes
        known = sorted(self._standing.known.values(), key=lambda part: part.number)
        doubtful = {part.number for part in known} if self._distrusted else self._standing.unsynced
        self._kept = [part for part in known if part.number not in doubtful]
        plan = self._ledger.plan
        comparisons = [
            Comparison(
                plan.part(part.number),
                on.ListedPart(number=part.number, size_bytes=part.size_bytes, etag="", crc64=part.crc64),
            )
            for part in known
            if part.number in doubtful
        ]
        return self._enter(State.HASHING, PartHashing(comparisons, self.settings.parallel))

    def _changed(self) -> PenstockError | None:
        intent = self._standing.intent
        assert intent is not None
        assert intent.target is not None
        before, now = intent.target, self.job.found
        if (before.etag, before.size_bytes) == (now.etag, now.size_bytes):
            return None
        return failures.object_changed(self._standing.name, before.etag, now.etag)

    def _go_on_with(self, kept: list[PartStored], compared: list[PartStored]) -> list[do.Command]:
        self._ledger.resume(kept)
        self._unsynced_bytes = sum(part.size_bytes for part in compared)
        self._standing.unsynced = {part.number for part in compared}
        self._standing.published_as = None
        self._view = None
        commands: list[do.Command] = []
        if self._distrusted:
            commands += self._write_intent()
            for part in kept:
                commands += self._standing.write_down(part, durable=False)
            self._standing.unsynced = {part.number for part in kept}
        return [*commands, *self._fetch()]

    # --- what an earlier run may have finished

    def _on_missing(self) -> list[do.Command]:
        return self._start_over() if self._standing.published_as is None else self._hash_published()

    def _hash_published(self) -> list[do.Command]:
        self.state = State.RESOLVING
        return [do.HashPublished()]

    def _on_published_hashed(self, size_bytes: int, crc64: int) -> list[do.Command]:
        if not self._is_as_announced(size_bytes, crc64):
            return self._fail(failures.file_changed(self.job.path))
        return self._commit_published(crc64)

    def _is_as_announced(self, size_bytes: int, crc64: int) -> bool:
        announced = self._standing.published_as
        return announced is not None and (announced.total_bytes, announced.crc64) == (size_bytes, crc64)

    def _commit_published(self, crc64: int) -> list[do.Command]:
        intent = self._standing.intent
        assert intent is not None
        assert intent.target is not None
        stored = Stored(
            etag=intent.target.etag,
            crc64=crc64,
            size_bytes=intent.target.size_bytes,
            version_id=intent.target.version_id,
            by_evidence=True,
        )
        return self._committed(stored)

    def _on_not_published(self) -> list[do.Command]:
        if self._view is not None and self._view.end is not None:
            return self._fail_for_good(failures.already_ended(self._standing.name, self._view.end.kind))
        return self._start_over()

    def _start_over(self) -> list[do.Command]:
        changed = self._changed()
        return self._fail(changed) if changed is not None else self._make_partial()

    # --- fetching

    def _fetch(self) -> list[do.Command]:
        if self._draining:
            return [] if self._ledger.in_flight else self._stop("drain")
        self.state = State.SENDING
        self._step = None
        if self._ledger.all_stored:
            return [] if self._syncing else self._publish()
        commands: list[do.Command] = []
        while self._ledger.has_waiting and len(self._ledger.in_flight) < self.settings.parallel:
            part = self._ledger.take()
            commands.append(
                do.FetchRange(
                    number=part.number,
                    offset=part.offset,
                    size_bytes=part.size_bytes,
                    etag=self.job.found.etag,
                    whole=self._ledger.plan.count == 1,
                )
            )
        return [*commands, *self._sync()]

    def _sync(self) -> list[do.Command]:
        enough = self._unsynced_bytes >= self.settings.sync_every_bytes
        if not (self._standing.is_journaled and enough) or self._syncing:
            return []
        self._syncing = tuple(sorted(self._standing.unsynced))
        self._unsynced_bytes = 0
        return [do.SyncPartial()]

    def _on_synced(self) -> list[do.Command]:
        numbers, self._syncing = self._syncing, ()
        self._standing.unsynced.difference_update(numbers)
        commands: list[do.Command] = [*self._standing.write_down(Synced(numbers=numbers), durable=True)]
        return commands if self.state is not State.SENDING else [*commands, *self._fetch()]

    def _on_fetched(self, fetched: on.RangeFetched) -> list[do.Command]:
        if fetched.number not in self._ledger.in_flight:
            return []
        part = self._ledger.plan.part(fetched.number)
        if fetched.size_bytes != part.size_bytes:
            short = failures.short_range(part, fetched.size_bytes)
            return self._on_range_failed(part.number, short, is_final=False)
        stored = PartStored(
            number=part.number,
            offset=part.offset,
            size_bytes=part.size_bytes,
            crc64=fetched.crc64,
            etag="",
        )
        self._ledger.acknowledge(stored)
        self._standing.unsynced.add(part.number)
        self._unsynced_bytes += part.size_bytes
        commands: list[do.Command] = []
        if self._standing.is_journaled:
            commands += self._standing.write_down(stored, durable=False)
        return commands if self.state is State.STOPPING else [*commands, *self._fetch()]

    def _on_range_failed(self, number: int, error: PenstockError, is_final: bool) -> list[do.Command]:
        if number not in self._ledger.in_flight:
            return []
        self._ledger.put_back(number)
        if self.state is State.STOPPING:
            return []
        if isinstance(error, PreconditionFailed):
            return self._fail(failures.object_changed(self._standing.name, self.job.found.etag, ""))
        if is_final or self._ledger.attempts(number) >= self.settings.part_attempts:
            return self._fail(error)
        return self._fetch()

    # --- the end

    def _publish(self) -> list[do.Command]:
        try:
            self._ledger.check_complete()
        except IncompleteUpload as error:
            return self._fail(error)
        crc64 = self._ledger.whole_crc64()
        assert crc64 is not None
        expected = self.job.found.crc64
        if expected is not None and crc64 != expected:
            return self._fail_for_good(
                failures.altered_file(self.job.path, self._standing.name, expected, crc64)
            )
        plan = self._ledger.plan
        self.state = State.COMPLETING
        commands: list[do.Command] = []
        if self._standing.is_journaled:
            announcement = Completing(part_count=plan.count, total_bytes=plan.total_bytes, crc64=crc64)
            commands += self._standing.write_down(announcement, durable=True)
        return [*commands, do.Publish(total_bytes=plan.total_bytes)]

    def _on_published(self) -> list[do.Command]:
        crc64 = self._ledger.whole_crc64()
        if self.state not in (State.COMPLETING, State.STOPPING) or crc64 is None:
            return []
        found = self.job.found
        self._stored = Stored(
            etag=found.etag, crc64=crc64, size_bytes=found.size_bytes, version_id=found.version_id
        )
        return [] if self.state is State.STOPPING else self._committed(self._stored)

    def _on_quiet(self) -> list[do.Command]:
        for number in tuple(self._ledger.in_flight):
            self._ledger.put_back(number)
        kept = self._standing.is_journaled and not self._is_over
        if self._stored is not None or self._cancelling or kept or not self._standing.has_partial:
            return super()._on_quiet()
        return self._discard()

    def _clean_up(self) -> list[do.Command]:
        self._reason = "cancel"
        pending = self._write_end(EndKind.CANCEL_PENDING)
        return [*pending, *self._discard()]

    def _discard(self) -> list[do.Command]:
        self.state = State.CLEANING_UP
        return [do.DiscardPartial()]

    def _on_discarded(self, error: PenstockError | None, *, was_there: bool = True) -> list[do.Command]:
        standing = self._standing
        if self._cancelling and not was_there and standing.published_as is not None:
            # An earlier run was about to give the file its name, and nothing is left of it but perhaps that.
            return [do.HashPublished()]
        if self._cancelling:
            return self._cancelled(CleanUp.VERIFIED if error is None else CleanUp.FAILED, error)
        if self._failure is not None:
            outcome = standing.outcome(OutcomeKind.FAILED, error=self._failure, is_over=True)
            if error is not None and standing.is_journaled:
                # The journal leads to what could not be removed, so that a cancel can try again.
                return self._report(outcome)
            return self._report(outcome, *self._write_end(EndKind.FAILED), do.DeleteJournal())
        return self._report(standing.outcome(OutcomeKind.ABORTED, reason=self._reason), do.DeleteJournal())

    def _on_hashed_after_discard(self, size_bytes: int, crc64: int) -> list[do.Command]:
        if self._is_as_announced(size_bytes, crc64):
            return self._commit_published(crc64)
        return self._cancelled(CleanUp.VERIFIED, None)
