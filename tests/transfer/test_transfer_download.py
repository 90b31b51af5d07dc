"""The download machine, script by script: each test is one line of the contract."""

from __future__ import annotations

import pytest
from msgspec import structs

from penstock.errors import (
    NOT_SENT,
    STOPPED_IN_FLIGHT,
    Aborted,
    ChecksumMismatch,
    ConnectionLost,
    PenstockError,
    PreconditionFailed,
    SourceChanged,
    TargetChanged,
    TransferError,
)
from penstock.protocol.crc64 import combine_all
from penstock.protocol.limits import MIN_PART_BYTES
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.download import DownloadMachine
from penstock.transfer.job import DownloadJob, DownloadSettings, FromJournal
from penstock.transfer.journal import (
    Completing,
    End,
    EndKind,
    Intent,
    JournalView,
    PartStored,
    Record,
    Synced,
    TargetState,
    TransferKind,
    frame,
    journal_view,
    records,
)
from penstock.transfer.outcome import CleanUp, OutcomeKind
from penstock.transfer.token import decode

PART_BYTES = MIN_PART_BYTES
TOTAL_BYTES = 4 * PART_BYTES
WHOLE = combine_all((number, PART_BYTES) for number in (1, 2, 3, 4))
FOUND = TargetState(etag="E", size_bytes=TOTAL_BYTES, modified_at=9, crc64=WHOLE)
JOB = DownloadJob(
    job_id="job",
    endpoint="oss.test",
    region="r",
    bucket="b",
    key="k",
    path="/data/file",
    found=FOUND,
    part_bytes=PART_BYTES,
)
LOST = ConnectionLost("lost", host="oss.test")
FULL = TransferError("the disk is full")


def kinds(commands: list[do.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def written(commands: list[do.Command]) -> list[Record]:
    return [command.record for command in commands if isinstance(command, do.AppendJournal)]


def fetched(number: int) -> on.RangeFetched:
    return on.RangeFetched(number=number, size_bytes=PART_BYTES, crc64=number)


def begun(**settings: object) -> DownloadMachine:
    """A machine whose first ranges are in flight."""
    machine = DownloadMachine(JOB, structs.replace(DownloadSettings(parallel=2), **settings))
    machine.handle(on.Started(now=100))
    machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))
    return machine


def publishing(**settings: object) -> tuple[DownloadMachine, list[do.Command]]:
    """A machine that waits for the answer to Publish, and its last commands."""
    machine = begun(**settings)
    commands: list[do.Command] = []
    for number in (1, 2, 3, 4):
        commands = machine.handle(fetched(number))
    return machine, commands


def view_of(*entries: Record) -> JournalView:
    intent = Intent(
        job_id="job",
        endpoint="oss.test",
        region="r",
        bucket="b",
        key="k",
        source=None,
        total_bytes=TOTAL_BYTES,
        part_bytes=PART_BYTES,
        options=DownloadMachine(JOB)._standing.job.options,
        started_at=100,
        target=FOUND,
        target_known=True,
        kind=TransferKind.DOWNLOAD,
        path="/data/file",
    )
    view = journal_view([intent, *entries])
    assert view is not None
    return view


def part(number: int) -> PartStored:
    return PartStored(
        number=number, offset=(number - 1) * PART_BYTES, size_bytes=PART_BYTES, crc64=number, etag=""
    )


COMPLETING = Completing(part_count=4, total_bytes=TOTAL_BYTES, crc64=WHOLE)


def resumed(*entries: Record, job: DownloadJob = JOB) -> tuple[DownloadMachine, list[do.Command]]:
    machine = DownloadMachine(job, DownloadSettings(parallel=4), FromJournal(view_of(*entries)))
    return machine, machine.handle(on.Started(now=200))


def stop(machine: DownloadMachine, event: on.Event) -> list[do.Command]:
    assert kinds(machine.handle(event)) == ["StopRequests"]
    return machine.handle(on.RequestsStopped())


def test_the_intent_is_durable_before_the_partial_file_is_made() -> None:
    machine = DownloadMachine(JOB)
    commands = machine.handle(on.Started(now=100))
    assert kinds(commands) == ["AppendJournal", "OpenPartial"]
    assert isinstance(commands[0], do.AppendJournal)
    assert commands[0].durable
    (intent,) = written(commands)
    assert isinstance(intent, Intent)
    assert (intent.kind, intent.path, intent.target, intent.started_at) == (
        TransferKind.DOWNLOAD,
        "/data/file",
        FOUND,
        100,
    )


def test_ranges_are_fetched_in_parallel_and_bound_to_the_etag() -> None:
    machine = DownloadMachine(JOB, DownloadSettings(parallel=3))
    machine.handle(on.Started(now=1))
    commands = machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))
    assert [(c.number, c.offset, c.etag, c.whole) for c in commands if isinstance(c, do.FetchRange)] == [
        (n, (n - 1) * PART_BYTES, "E", False) for n in (1, 2, 3)
    ]


def test_an_object_of_one_range_is_fetched_whole() -> None:
    job = structs.replace(JOB, found=structs.replace(FOUND, size_bytes=5, crc64=7))
    machine = DownloadMachine(job)
    machine.handle(on.Started(now=1))
    (command,) = machine.handle(on.PartialOpened(size_bytes=5))
    assert isinstance(command, do.FetchRange)
    assert command.whole


def test_completing_is_durable_before_the_file_gets_its_name() -> None:
    machine, commands = publishing()
    assert kinds(commands) == ["AppendJournal", "AppendJournal", "Publish"]
    assert written(commands)[-1] == COMPLETING
    commands = machine.handle(on.Published())
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.COMMITTED
    assert machine.outcome.stored is not None
    assert (machine.outcome.stored.etag, machine.outcome.stored.crc64) == ("E", WHOLE)


def test_a_wrong_checksum_of_the_whole_discards_everything_and_publishes_nothing() -> None:
    job = structs.replace(JOB, found=structs.replace(FOUND, crc64=WHOLE ^ 1))
    machine = DownloadMachine(job, DownloadSettings(parallel=4))
    machine.handle(on.Started(now=1))
    machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))
    for number in (1, 2, 3):
        machine.handle(fetched(number))
    commands = machine.handle(fetched(4))
    assert "Publish" not in kinds(commands)
    assert kinds(machine.handle(on.RequestsStopped())) == ["DiscardPartial"]
    assert kinds(machine.handle(on.PartialDiscarded(was_there=True)))[-2:] == ["DeleteJournal", "Report"]
    assert machine.outcome is not None
    error = machine.outcome.to_error()
    assert isinstance(error, ChecksumMismatch)
    assert (error.expected, error.actual) == (WHOLE ^ 1, WHOLE)


def test_an_object_without_a_checksum_is_published_unchecked() -> None:
    job = structs.replace(JOB, found=structs.replace(FOUND, crc64=None))
    machine = DownloadMachine(job, DownloadSettings(parallel=4))
    machine.handle(on.Started(now=1))
    machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))
    commands = [machine.handle(fetched(number)) for number in (1, 2, 3, 4)][-1]
    assert kinds(commands)[-1] == "Publish"


def test_a_range_that_came_is_journaled_before_it_is_synced_and_again_after() -> None:
    machine = begun(sync_every_bytes=2 * PART_BYTES)
    assert written(machine.handle(fetched(1))) == [part(1)]
    commands = machine.handle(fetched(2))
    assert written(commands) == [part(2)]
    assert "SyncPartial" in kinds(commands)
    machine.handle(fetched(3))
    (synced,) = [c for c in machine.handle(on.PartialSynced()) if isinstance(c, do.AppendJournal)]
    assert synced.durable
    assert synced.record == Synced(numbers=(1, 2)), "range 3 came after the sync began"


def test_the_file_is_not_published_while_a_sync_runs() -> None:
    machine = begun(sync_every_bytes=3 * PART_BYTES)
    for number in (1, 2, 3):
        machine.handle(fetched(number))
    assert "Publish" not in kinds(machine.handle(fetched(4)))
    assert kinds(machine.handle(on.PartialSynced()))[-1] == "Publish"


def test_an_abort_keeps_the_partial_file_and_the_journal() -> None:
    machine = begun()
    machine.handle(fetched(1))
    commands = stop(machine, on.AbortRequested())
    assert kinds(commands) == ["Report"]
    assert machine.outcome is not None
    error = machine.outcome.to_error()
    assert isinstance(error, Aborted)
    assert (error.code, error.committed, error.acknowledged_bytes) == (STOPPED_IN_FLIGHT, "no", PART_BYTES)
    assert error.in_doubt_bytes == 0
    assert "download" in error.message
    assert error.resume_token is not None
    token = decode(error.resume_token)
    assert (token.kind, token.job_id, token.upload_id) == (TransferKind.DOWNLOAD, "job", None)


def test_an_abort_before_anything_was_asked_leaves_nothing() -> None:
    machine = DownloadMachine(JOB)
    assert kinds(stop(machine, on.AbortRequested())) == ["DeleteJournal", "Report"]
    assert machine.outcome is not None
    error = machine.outcome.to_error()
    assert isinstance(error, Aborted)
    assert (error.code, error.resume_token) == (NOT_SENT, None)


def test_what_is_not_to_be_kept_is_discarded_by_an_abort() -> None:
    machine = begun(keep=False)
    assert kinds(stop(machine, on.AbortRequested())) == ["DiscardPartial"]
    assert kinds(machine.handle(on.PartialDiscarded(was_there=True))) == ["DeleteJournal", "Report"]
    assert machine.resume_token is None


def test_an_abort_that_comes_after_the_name_was_given_reports_success() -> None:
    machine, _ = publishing()
    assert kinds(machine.handle(on.AbortRequested())) == ["StopRequests"]
    assert machine.handle(on.Published()) == []
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.COMMITTED


def test_a_range_that_comes_while_stopping_is_kept() -> None:
    machine = begun()
    machine.handle(on.AbortRequested())
    assert written(machine.handle(fetched(2))) == [part(2)]
    machine.handle(on.RequestsStopped())
    assert machine.progress.acknowledged_bytes == PART_BYTES


def test_a_drain_lets_ranges_in_flight_finish_and_begins_no_other() -> None:
    machine = begun()
    assert machine.handle(on.DrainRequested()) == []
    assert kinds(machine.handle(fetched(1))) == ["AppendJournal"]
    assert kinds(machine.handle(fetched(2))) == ["AppendJournal", "StopRequests"]


def test_a_cancel_removes_the_partial_file_and_the_journal() -> None:
    machine = begun()
    commands = stop(machine, on.CancelRequested())
    assert kinds(commands) == ["AppendJournal", "DiscardPartial"]
    assert written(commands) == [End(kind=EndKind.CANCEL_PENDING)]
    commands = machine.handle(on.PartialDiscarded(was_there=True))
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    assert machine.outcome is not None
    assert machine.outcome.clean_up is CleanUp.VERIFIED


def test_a_cancel_that_cannot_remove_the_partial_file_says_so_and_keeps_the_journal() -> None:
    machine = begun()
    stop(machine, on.CancelRequested())
    assert kinds(machine.handle(on.DiscardPartialFailed(error=FULL))) == ["Report"]
    assert machine.outcome is not None
    assert (machine.outcome.clean_up, machine.outcome.error) == (CleanUp.FAILED, FULL)


def test_a_cancel_does_not_deny_a_file_that_an_earlier_run_finished() -> None:
    entries = (part(1), part(2), part(3), part(4), COMPLETING)
    machine = DownloadMachine(JOB, DownloadSettings(), FromJournal(view_of(*entries)))
    stop(machine, on.CancelRequested())
    assert kinds(machine.handle(on.PartialDiscarded(was_there=False))) == ["HashPublished"]
    machine.handle(on.PublishedHashed(size_bytes=TOTAL_BYTES, crc64=WHOLE))
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.COMMITTED


def test_a_range_is_tried_again_and_then_given_up() -> None:
    machine = begun(part_attempts=2)
    failed = on.RangeFailed(number=1, error=LOST, is_final=False)
    (again,) = machine.handle(failed)
    assert isinstance(again, do.FetchRange)
    assert again.number == 1
    machine.handle(failed)
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert machine.outcome.error is LOST
    assert machine.outcome.resume_token is not None


def test_a_short_range_is_not_taken_for_the_whole() -> None:
    machine = begun()
    (again,) = machine.handle(on.RangeFetched(number=1, size_bytes=PART_BYTES - 1, crc64=1))
    assert isinstance(again, do.FetchRange)
    assert again.number == 1


def test_an_object_that_changes_under_way_is_refused() -> None:
    machine = begun()
    error = PreconditionFailed("changed", status=412, code="PreconditionFailed")
    machine.handle(on.RangeFailed(number=1, error=error, is_final=True))
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert isinstance(machine.outcome.error, SourceChanged)
    assert "begin a new one" in machine.outcome.error.advice


def test_an_object_that_changed_between_the_runs_is_refused_before_anything_is_fetched() -> None:
    changed = structs.replace(JOB, found=structs.replace(FOUND, etag="F"))
    machine, _ = resumed(part(1), job=changed)
    assert kinds(machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))) == ["StopRequests"]
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert isinstance(machine.outcome.error, SourceChanged)
    assert machine.outcome.resume_token is not None, "what was fetched is kept until it is cancelled"


def test_a_resume_hashes_only_what_was_not_synced_and_fetches_only_what_is_missing() -> None:
    machine, commands = resumed(part(1), part(2), Synced(numbers=(1, 2)), part(4))
    assert commands == [do.OpenPartial(total_bytes=TOTAL_BYTES, create=False)]
    (hashing,) = machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))
    assert isinstance(hashing, do.HashPart)
    assert hashing.number == 4
    (fetching,) = machine.handle(on.PartHashed(number=4, crc64=4))
    assert isinstance(fetching, do.FetchRange)
    assert fetching.number == 3
    assert machine.progress.resumed_bytes == 3 * PART_BYTES


def test_a_range_that_the_disk_lost_is_fetched_again() -> None:
    machine, _ = resumed(part(1), part(2))
    machine.handle(on.PartialOpened(size_bytes=TOTAL_BYTES))
    machine.handle(on.PartHashed(number=1, crc64=1))
    commands = machine.handle(on.PartHashed(number=2, crc64=999))
    assert [c.number for c in commands if isinstance(c, do.FetchRange)] == [2, 3, 4]


def test_what_is_left_of_a_partial_file_of_another_length_is_compared_and_claimed_anew() -> None:
    machine, _ = resumed(part(1), part(2), Synced(numbers=(1, 2)))
    machine.handle(on.PartialOpened(size_bytes=PART_BYTES))
    machine.handle(on.PartHashed(number=1, crc64=1))
    commands = machine.handle(on.PartHashed(number=2, crc64=999))
    assert [type(record).__name__ for record in written(commands)] == ["Intent", "PartStored"]
    assert isinstance(commands[0], do.AppendJournal)
    assert commands[0].durable
    assert [c.number for c in commands if isinstance(c, do.FetchRange)] == [2, 3, 4]


def test_a_partial_file_of_another_length_is_trusted_in_nothing() -> None:
    machine, _ = resumed(part(1), Synced(numbers=(1,)))
    (hashing,) = machine.handle(on.PartialOpened(size_bytes=PART_BYTES))
    assert isinstance(hashing, do.HashPart)
    assert hashing.number == 1


def test_a_partial_file_that_is_gone_is_made_anew_after_all_claims_are_taken_back() -> None:
    machine, _ = resumed(part(1), part(2), Synced(numbers=(1, 2)))
    commands = machine.handle(on.PartialMissing())
    assert kinds(commands) == ["AppendJournal", "OpenPartial"]
    (intent,) = written(commands)
    assert isinstance(intent, Intent)
    assert intent.acknowledged_bytes == 2 * PART_BYTES
    view = journal_view([view_of(part(1), part(2)).intent, part(1), part(2), intent])
    assert view is not None
    assert view.parts == {}


def test_a_file_that_got_its_name_before_the_crash_is_found_by_its_checksum() -> None:
    machine, _ = resumed(part(1), part(2), part(3), part(4), COMPLETING)
    assert kinds(machine.handle(on.PartialMissing())) == ["HashPublished"]
    commands = machine.handle(on.PublishedHashed(size_bytes=TOTAL_BYTES, crc64=WHOLE))
    assert "DeleteJournal" in kinds(commands)
    assert machine.outcome is not None
    assert machine.outcome.stored is not None
    assert machine.outcome.stored.by_evidence


def test_another_file_in_the_place_of_one_that_was_finished_is_not_overwritten() -> None:
    machine, _ = resumed(part(1), part(2), part(3), part(4), COMPLETING)
    machine.handle(on.PartialMissing())
    machine.handle(on.PublishedHashed(size_bytes=TOTAL_BYTES, crc64=5))
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert isinstance(machine.outcome.error, TargetChanged)


def test_a_finished_file_that_is_gone_is_downloaded_again() -> None:
    machine, _ = resumed(part(1), part(2), part(3), part(4), COMPLETING)
    machine.handle(on.PartialMissing())
    assert kinds(machine.handle(on.PublishedMissing())) == ["AppendJournal", "OpenPartial"]


def test_a_cancelled_download_is_not_resumed() -> None:
    machine, commands = resumed(part(1), End(kind=EndKind.CANCEL_PENDING))
    assert kinds(commands) == ["Report"]
    assert machine.outcome is not None
    assert "cannot be resumed" in str(machine.outcome.error)


@pytest.mark.parametrize(
    "event",
    [on.SyncPartialFailed(error=FULL), on.RangeFailed(number=1, error=FULL, is_final=True)],
    ids=["sync", "write"],
)
def test_a_full_disk_ends_the_download_and_keeps_what_is_there(event: on.Event) -> None:
    machine = begun(sync_every_bytes=PART_BYTES)
    machine.handle(fetched(2))
    machine.handle(event)
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["Report"]
    assert machine.outcome is not None
    assert machine.outcome.error is FULL
    assert FULL.resume_token == machine.outcome.resume_token is not None


def test_a_partial_file_that_cannot_be_made_leaves_no_journal() -> None:
    machine = DownloadMachine(JOB)
    machine.handle(on.Started(now=1))
    machine.handle(on.OpenPartialFailed(error=FULL))
    machine.handle(on.RequestsStopped())
    assert kinds(machine.handle(on.PartialDiscarded(was_there=False)))[-2:] == ["DeleteJournal", "Report"]


def test_a_journal_that_fails_stops_the_download_and_untakes_its_ranges() -> None:
    machine = DownloadMachine(JOB)
    machine.handle(on.Started(now=1))
    assert kinds(machine.handle(on.JournalFailed(error=FULL))) == ["StopRequests"]
    assert kinds(machine.handle(on.RequestsStopped())) == ["DeleteJournal", "Report"]
    assert machine.resume_token is None


def test_journals_of_downloads_lose_ranges_at_their_end_without_being_called_damaged() -> None:
    view = view_of()
    good = b"".join(frame(record) for record in (view.intent, part(1)))
    torn = good + frame(part(2))[:-3] + b"\0\0\0" + frame(part(3))
    entries, valid_bytes = records(torn)
    assert valid_bytes == len(good)
    assert journal_view(entries) == view_of(part(1))


def test_every_error_of_a_download_says_what_to_do_next() -> None:
    machine = begun()
    stop(machine, on.AbortRequested())
    assert machine.outcome is not None
    error = machine.outcome.to_error()
    assert isinstance(error, PenstockError)
    assert "Resume" in error.advice
