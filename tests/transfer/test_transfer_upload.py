"""The upload machine, script by script: each test is one line of the contract."""

from __future__ import annotations

from itertools import combinations

import pytest
from msgspec import structs
from upload_world import GONE, LOST, PART_BYTES, with_settings

from penstock.errors import (
    NOT_SENT,
    STOPPED_IN_FLIGHT,
    Aborted,
    ChecksumMismatch,
    Committed,
    Forbidden,
    IncompleteUpload,
    InvalidInput,
    NotFound,
    PenstockError,
    ServiceError,
    ServiceUnavailable,
    SourceChanged,
    SourceUnreadable,
    TargetChanged,
    TransferError,
    UploadLost,
)
from penstock.protocol.crc64 import combine_all
from penstock.protocol.limits import MAX_PARTS
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.job import (
    Fresh,
    FromJournal,
    FromKey,
    FromToken,
    UploadJob,
    UploadSettings,
    resumed_job,
)
from penstock.transfer.journal import (
    Completing,
    End,
    EndKind,
    Intent,
    JournalView,
    NotCompleted,
    ObjectOptions,
    PartStored,
    Source,
    TargetState,
    Upload,
    journal_view,
)
from penstock.transfer.machine import State
from penstock.transfer.outcome import CleanUp, Outcome, OutcomeKind
from penstock.transfer.search import INITIATE_SETTLE_S
from penstock.transfer.token import decode, encode, token_of
from penstock.transfer.upload import UploadMachine

SOURCE = Source(path="/f", size_bytes=4 * PART_BYTES, mtime_ns=1, ctime_ns=2, device=3, inode=4)
JOB = UploadJob(
    job_id="job",
    endpoint="oss.test",
    region="r",
    bucket="b",
    key="k",
    source=SOURCE,
    total_bytes=4 * PART_BYTES,
    part_bytes=PART_BYTES,
)
DENIED = Forbidden("no", status=403, code="AccessDenied")
TARGET = TargetState(etag="old", size_bytes=1, modified_at=1)


def kinds(commands: list[do.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def are_durable(commands: list[do.Command]) -> bool:
    """Whether all records but those of parts are on disk before anything else is done."""
    written = [c for c in commands if isinstance(c, do.AppendJournal)]
    return all(c.durable for c in written if not isinstance(c.record, PartStored))


def sent(number: int, crc64: int | None = None, **changes: object) -> on.PartSent:
    crc = number if crc64 is None else crc64
    event = on.PartSent(number=number, size_bytes=PART_BYTES, crc64=crc, etag=f"E{number}", stored_crc64=crc)
    return structs.replace(event, **changes)


def listed(number: int, crc64: int | None = None, size_bytes: int = PART_BYTES) -> on.ListedPart:
    crc = number if crc64 is None else crc64
    return on.ListedPart(number=number, size_bytes=size_bytes, etag=f"E{number}", crc64=crc)


def whole(*crcs: int) -> int:
    return combine_all((crc, PART_BYTES) for crc in crcs)


def begun(**settings: object) -> UploadMachine:
    """A machine with an UploadId whose first parts are in flight."""
    machine = UploadMachine(JOB, with_settings(**settings))
    machine.handle(on.Started(now=100))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.UploadInitiated(upload_id="u"))
    return machine


def completing(**settings: object) -> UploadMachine:
    """A machine that waits for the answer to Complete."""
    machine = begun(**settings)
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    machine.handle(on.SourceInspected(source=SOURCE))
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["AppendJournal", "Complete"]
    return machine


def view_of(machine: UploadMachine, *numbers: int, **changes: object) -> JournalView:
    intent = machine._standing.intent
    assert intent is not None
    parts = {
        n: PartStored(number=n, offset=(n - 1) * PART_BYTES, size_bytes=PART_BYTES, crc64=n, etag=f"E{n}")
        for n in numbers
    }
    return structs.replace(JournalView(intent=intent, upload_id="u", parts=parts), **changes)


def resumed(
    view: JournalView, source: Source | None = SOURCE, *, resolve_only: bool = False, **settings: object
) -> UploadMachine:
    """A machine that goes on from a journal and has found the key as it was."""
    total_bytes = view.intent.total_bytes if source is None else source.size_bytes
    job = resumed_job(view.intent, source, total_bytes)
    machine = UploadMachine(job, with_settings(**settings), FromJournal(view), resolve_only=resolve_only)
    commands = machine.handle(on.Started(now=200))
    if kinds(commands) == ["InspectTarget"]:
        machine.handle(on.TargetInspected(target=view.intent.target))
    return machine


def ended(machine: UploadMachine, commands: list[do.Command] | None = None) -> Outcome:
    """Hand in that all is quiet, if that is waited for; there is one report."""
    commands = commands or []
    if machine.state is State.STOPPING:
        commands = machine.handle(on.RequestsStopped())
    assert kinds(commands)[-1] == "Report"
    assert machine.outcome is not None
    return machine.outcome


def error_of(outcome: Outcome) -> PenstockError:
    error = outcome.to_error()
    assert error is not None
    return error


def test_an_upload_goes_from_its_start_to_its_object() -> None:
    machine = UploadMachine(JOB, with_settings(parallel=2))
    assert machine.handle(on.Started(now=1)) == [do.InspectTarget()]
    intent, initiate = machine.handle(on.TargetInspected(target=None, server_time=50))
    assert isinstance(intent, do.AppendJournal)
    assert isinstance(intent.record, Intent)
    assert (intent.durable, intent.record.started_at, intent.record.server_clock) == (True, 50, True)
    assert initiate == do.Initiate(options=JOB.options, forbid_overwrite=True)
    commands = machine.handle(on.UploadInitiated(upload_id="u"))
    assert kinds(commands) == ["AppendJournal", "SendPart", "SendPart"]
    assert machine.progress.in_flight_bytes == 2 * PART_BYTES
    assert kinds(machine.handle(sent(2))) == ["AppendJournal", "SendPart"]
    assert kinds(machine.handle(sent(1))) == ["AppendJournal", "SendPart"]
    assert kinds(machine.handle(sent(4))) == ["AppendJournal"]
    assert machine.progress.acknowledged_bytes == 3 * PART_BYTES
    assert kinds(machine.handle(sent(3))) == ["AppendJournal", "InspectSource"]
    assert kinds(machine.handle(on.SourceInspected(source=SOURCE))) == ["InspectTarget"]
    announcement, complete = machine.handle(on.TargetInspected(target=None))
    assert isinstance(announcement, do.AppendJournal)
    assert announcement.durable
    assert complete == do.Complete(
        upload_id="u",
        parts=tuple(do.PartTag(n, f"E{n}") for n in (1, 2, 3, 4)),
        forbid_overwrite=True,
        crc64=whole(1, 2, 3, 4),
    )
    commands = machine.handle(on.CompleteSucceeded(etag="X-4", crc64=whole(1, 2, 3, 4), version_id="v"))
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    outcome = ended(machine, commands)
    assert (outcome.kind, outcome.committed) == (OutcomeKind.COMMITTED, Committed.YES)
    assert outcome.stored is not None
    assert (outcome.stored.etag, outcome.stored.version_id, outcome.stored.by_evidence) == ("X-4", "v", False)
    assert machine.progress.fraction == 1.0
    assert machine.handle(on.AbortRequested()) == []


@pytest.mark.parametrize("present", [subset for k in range(5) for subset in combinations((1, 2, 3, 4), k)])
def test_resume_sends_exactly_the_parts_that_are_not_stored(present: tuple[int, ...]) -> None:
    machine = resumed(view_of(begun(), 1, 2, 3, 4), parallel=10)
    commands = machine.handle(on.PartsListed(parts=tuple(listed(n) for n in present), final=True))
    numbers = [command.number for command in commands if isinstance(command, do.SendPart)]
    assert numbers == [n for n in (1, 2, 3, 4) if n not in present]
    assert all(command.upload_id == "u" for command in commands if isinstance(command, do.SendPart))
    assert machine.progress.resumed_bytes == len(present) * PART_BYTES
    assert machine.progress.acknowledged_bytes == 4 * PART_BYTES, "what was shown before does not fall"


def test_all_pages_of_the_part_list_are_read() -> None:
    machine = resumed(view_of(begun(), 1, 2, 3, 4))
    page = machine.handle(on.PartsListed(parts=(listed(1), listed(2)), final=False))
    assert page == [do.ListParts(upload_id="u", after=2)]
    assert kinds(machine.handle(on.PartsListed(parts=(listed(3), listed(4)), final=True))) == [
        "InspectSource"
    ]


def test_a_part_list_that_promises_more_and_gives_nothing_ends_the_transfer_and_not_the_upload() -> None:
    machine = resumed(view_of(begun(), 1))
    machine.handle(on.PartsListed(parts=(listed(1),), final=False))
    assert kinds(machine.handle(on.PartsListed(parts=(), final=False))) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.kind, outcome.upload_id) == (OutcomeKind.FAILED, "u")


def test_a_stored_part_without_a_record_is_compared_and_not_sent() -> None:
    machine = resumed(view_of(begun(), 1), parallel=8)
    commands = machine.handle(on.PartsListed(parts=(listed(1), listed(2), listed(3)), final=True))
    assert [command.number for command in commands if isinstance(command, do.HashPart)] == [2, 3]
    assert machine.handle(on.PartHashed(number=3, crc64=99)) == []
    commands = machine.handle(on.PartHashed(number=2, crc64=2))
    assert [command.number for command in commands if isinstance(command, do.SendPart)] == [3, 4]
    assert kinds(commands).count("AppendJournal") == 1


def test_where_oss_lists_no_checksum_the_md5_is_compared() -> None:
    machine = resumed(view_of(begun()))
    part = on.ListedPart(number=1, size_bytes=PART_BYTES, etag="AB12")
    [command] = machine.handle(on.PartsListed(parts=(part,), final=True))
    assert isinstance(command, do.HashPart)
    assert command.with_md5
    machine.handle(on.PartHashed(number=1, crc64=5, md5="AB12"))
    assert machine.progress.parts_done == 1


@pytest.mark.parametrize("error", [LOST, DENIED, NotFound("none", status=404, code="NoSuchBucket")])
def test_an_error_of_list_parts_never_begins_a_new_upload(error: PenstockError) -> None:
    machine = resumed(view_of(begun(), 1))
    assert kinds(machine.handle(on.ListPartsFailed(error=error))) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.kind, outcome.error, outcome.upload_id) == (OutcomeKind.FAILED, error, "u")
    assert outcome.resume_token is not None
    assert decode(outcome.resume_token).upload_id == "u"


def test_an_upload_that_is_gone_is_lost_and_not_begun_again() -> None:
    machine = resumed(view_of(begun(), 1))
    assert kinds(machine.handle(on.ListPartsFailed(error=GONE))) == ["ConfirmGone"]
    machine.handle(on.CancelConfirmed())
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["StopRequests"]
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal", "Report"]
    outcome = ended(machine, commands)
    assert isinstance(outcome.error, UploadLost)
    assert (outcome.upload_id, outcome.resume_token) == (None, None)


def test_a_part_that_finds_the_upload_gone_waits_for_the_others_and_then_asks() -> None:
    machine = begun(parallel=2)
    assert machine.handle(on.PartFailed(number=1, error=GONE, is_final=True)) == []
    assert kinds(machine.handle(on.PartFailed(number=2, error=GONE, is_final=True))) == ["ConfirmGone"]


# --- stopping


def test_an_abort_before_anything_was_sent_says_so() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    assert machine.handle(on.AbortRequested(reason="deadline")) == [do.StopRequests(reason="deadline")]
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal", "Report"]
    error = error_of(ended(machine, commands))
    assert isinstance(error, Aborted)
    assert (error.code, error.committed, error.reason) == (NOT_SENT, Committed.NO, "deadline")
    assert error.upload_id is None
    assert decode(error.resume_token or "").unbegun


def test_an_abort_during_initiate_leaves_an_intent_to_search_by() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None))
    machine.handle(on.AbortRequested())
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["Report"]
    outcome = ended(machine, commands)
    assert outcome.upload_id is None
    assert outcome.resume_token is not None
    assert decode(outcome.resume_token).upload_id is None


def test_an_upload_id_that_arrives_while_stopping_is_kept() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None))
    machine.handle(on.AbortRequested())
    assert kinds(machine.handle(on.UploadInitiated(upload_id="u"))) == ["AppendJournal"]
    assert ended(machine).upload_id == "u"


def test_after_an_abort_answers_count_and_nothing_is_sent() -> None:
    machine = begun(parallel=3)
    assert kinds(machine.handle(on.AbortRequested(reason="first"))) == ["StopRequests"]
    assert machine.handle(on.AbortRequested(reason="second")) == []
    assert kinds(machine.handle(sent(1))) == ["AppendJournal"]
    assert machine.handle(on.PartFailed(number=2, error=LOST, is_final=False, sent_bytes=10)) == []
    error = error_of(ended(machine))
    assert isinstance(error, Aborted)
    assert (error.code, error.committed, error.upload_id) == (STOPPED_IN_FLIGHT, Committed.NO, "u")
    assert (error.acknowledged_bytes, error.in_doubt_bytes) == (PART_BYTES, 10 + PART_BYTES)
    assert (error.reason, bool(error.advice)) == ("first", True)


def test_a_drain_starts_nothing_new_and_ends_when_all_parts_have_landed() -> None:
    machine = begun(parallel=2)
    assert machine.handle(on.DrainRequested()) == []
    assert kinds(machine.handle(sent(1))) == ["AppendJournal"]
    assert kinds(machine.handle(on.PartFailed(number=2, error=LOST, is_final=False))) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.kind, outcome.reason) == (OutcomeKind.ABORTED, "drain")
    assert outcome.progress.acknowledged_bytes == PART_BYTES


def test_a_drain_that_takes_too_long_becomes_an_abort() -> None:
    machine = begun(parallel=2)
    assert machine.handle(on.DrainTimedOut()) == []
    machine.handle(on.DrainRequested())
    assert kinds(machine.handle(on.DrainTimedOut())) == ["StopRequests"]
    assert ended(machine).progress.in_doubt_bytes == 2 * PART_BYTES


def test_a_drain_during_complete_may_still_succeed() -> None:
    machine = completing()
    assert machine.handle(on.DrainRequested()) == []
    assert kinds(machine.handle(on.CompleteSucceeded(etag="X", crc64=whole(1, 2, 3, 4))))[-1] == "Report"
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.COMMITTED


def test_a_drain_during_complete_asks_nothing_more_if_there_is_no_answer() -> None:
    machine = completing()
    assert machine.handle(on.DrainRequested()) == []
    assert kinds(machine.handle(on.CompleteUnanswered(error=LOST, request_sent=True))) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.kind, outcome.committed, outcome.reason) == (
        OutcomeKind.ABORTED,
        Committed.UNKNOWN,
        "drain",
    )


def test_success_that_arrives_after_the_abort_is_success() -> None:
    machine = completing()
    machine.handle(on.AbortRequested())
    assert machine.handle(on.CompleteSucceeded(etag="X", crc64=whole(1, 2, 3, 4))) == []
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    assert ended(machine, commands).kind is OutcomeKind.COMMITTED


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, Committed.UNKNOWN),
        (on.CompleteUnanswered(error=LOST, request_sent=True), Committed.UNKNOWN),
        (on.CompleteUnanswered(error=LOST, request_sent=False), Committed.NO),
        (on.CompleteFailed(error=GONE), Committed.UNKNOWN),
        (on.CompleteFailed(error=DENIED), Committed.NO),
    ],
)
def test_an_abort_during_complete_tells_what_is_known(answer: on.Event | None, expected: Committed) -> None:
    machine = completing()
    machine.handle(on.AbortRequested())
    written = machine.handle(answer) if answer is not None else []
    taken_back = [] if expected is Committed.UNKNOWN else [NotCompleted()]
    assert [c.record for c in written if isinstance(c, do.AppendJournal)] == taken_back
    assert kinds(written) == ["AppendJournal"] * len(taken_back)
    outcome = ended(machine)
    assert (outcome.kind, outcome.committed) == (OutcomeKind.ABORTED, expected)
    assert outcome.resume_token is not None
    token = decode(outcome.resume_token)
    assert (token.whole_crc64 is not None) == (expected is Committed.UNKNOWN)


def test_a_failing_part_is_sent_again_and_then_fails_the_transfer() -> None:
    machine = begun(parallel=1, part_attempts=2)
    assert kinds(machine.handle(on.PartFailed(number=1, error=LOST, is_final=False))) == ["SendPart"]
    assert kinds(machine.handle(on.PartFailed(number=1, error=LOST, is_final=False))) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.kind, outcome.error, outcome.upload_id) == (OutcomeKind.FAILED, LOST, "u")


def test_bytes_in_doubt_are_so_until_their_part_is_acknowledged() -> None:
    machine = begun(parallel=1, part_attempts=2)
    machine.handle(on.PartFailed(number=1, error=LOST, is_final=False, sent_bytes=10))
    assert (machine.progress.in_doubt_bytes, machine.progress.acknowledged_bytes) == (10, 0)
    machine.handle(sent(1))
    assert (machine.progress.in_doubt_bytes, machine.progress.acknowledged_bytes) == (0, PART_BYTES)


def test_a_final_failure_is_not_repeated_and_keeps_the_upload() -> None:
    machine = begun(parallel=1)
    unreadable = SourceUnreadable("no")
    assert kinds(machine.handle(on.PartFailed(number=1, error=unreadable, is_final=True))) == ["StopRequests"]
    outcome = ended(machine)
    assert outcome.to_error() is unreadable
    assert outcome.resume_token is not None


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (sent(1, stored_crc64=99), ChecksumMismatch),
        (sent(1, size_bytes=PART_BYTES - 1), TransferError),
    ],
)
def test_an_altered_or_short_part_is_not_acknowledged(event: on.PartSent, error: type[PenstockError]) -> None:
    machine = begun(parallel=1, part_attempts=1)
    assert kinds(machine.handle(event)) == ["StopRequests"]
    assert machine.progress.acknowledged_bytes == 0
    assert isinstance(error_of(ended(machine)), error)


# --- cancel


def test_a_cancel_is_quiet_first_then_cleans_up_and_makes_sure() -> None:
    machine = begun()
    assert kinds(machine.handle(on.CancelRequested())) == ["StopRequests"]
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal", "AbortUpload"]
    assert kinds(machine.handle(on.AbortUploadFailed(error=LOST))) == ["Wait"]
    assert kinds(machine.handle(on.Waited())) == ["AbortUpload"]
    assert kinds(machine.handle(on.UploadAborted())) == ["ConfirmGone"]
    # A part that was still arriving keeps the upload alive: it is aborted again.
    assert kinds(machine.handle(on.UploadStillListed(part_count=1))) == ["Wait"]
    assert kinds(machine.handle(on.Waited())) == ["AbortUpload"]
    assert kinds(machine.handle(on.AbortUploadFailed(error=GONE))) == ["ConfirmGone"]
    commands = machine.handle(on.CancelConfirmed())
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    outcome = ended(machine, commands)
    assert (outcome.kind, outcome.clean_up) == (OutcomeKind.CANCELLED, CleanUp.VERIFIED)
    assert (outcome.upload_id, outcome.resume_token, outcome.error) == (None, None, None)
    assert isinstance(outcome.to_error(), Aborted)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([], CleanUp.FAILED),
        ([on.AbortUploadFailed(error=LOST)], CleanUp.FAILED),
        ([on.UploadAborted()], CleanUp.PENDING),
        ([on.UploadAborted(), on.ConfirmGoneFailed(error=LOST)], CleanUp.PENDING),
    ],
)
def test_a_clean_up_that_does_not_come_through_is_reported_as_that(
    events: list[on.Event], expected: CleanUp
) -> None:
    machine = begun()
    machine.handle(on.CancelRequested())
    machine.handle(on.RequestsStopped())
    for event in events:
        machine.handle(event)
    commands = machine.handle(on.CleanUpTimedOut())
    assert kinds(commands) == ["Report"], "the journal stays, for uploads clean"
    outcome = ended(machine, commands)
    assert (outcome.clean_up, outcome.upload_id, outcome.resume_token) == (expected, "u", None)


def test_a_clean_up_without_permission_is_not_repeated() -> None:
    machine = begun()
    machine.handle(on.CancelRequested())
    machine.handle(on.RequestsStopped())
    outcome = ended(machine, machine.handle(on.AbortUploadFailed(error=DENIED)))
    assert (outcome.clean_up, outcome.error) == (CleanUp.FAILED, DENIED)


def test_a_cancel_that_comes_after_the_commit_reports_the_commit() -> None:
    machine = completing()
    machine.handle(on.CancelRequested())
    assert kinds(machine.handle(on.RequestsStopped())) == ["AppendJournal", "AbortUpload"]
    machine.handle(on.AbortUploadFailed(error=GONE))
    assert kinds(machine.handle(on.CancelConfirmed())) == ["InspectTarget"]
    ours = TargetState(etag="X", size_bytes=4 * PART_BYTES, modified_at=150, crc64=whole(1, 2, 3, 4))
    outcome = ended(machine, machine.handle(on.TargetInspected(target=ours)))
    assert outcome.kind is OutcomeKind.COMMITTED
    assert outcome.stored is not None
    assert outcome.stored.by_evidence


def test_a_cancel_of_what_a_journal_describes_needs_no_start() -> None:
    view = view_of(begun(), 1)
    machine = UploadMachine(JOB, with_settings(), FromJournal(view))
    machine.handle(on.CancelRequested())
    assert kinds(machine.handle(on.RequestsStopped())) == ["AppendJournal", "AbortUpload"]


def test_a_cancel_during_initiate_finds_the_upload_that_may_have_been_made() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.CancelRequested())
    assert kinds(machine.handle(on.RequestsStopped())) == ["AppendJournal", "FindUploads"]
    old = on.FoundUpload(upload_id="older", initiated_at=50)
    young = on.FoundUpload(upload_id="u", initiated_at=101)
    assert machine.handle(on.UploadsFound(uploads=(old, young))) == [do.ListParts(upload_id="u")]
    assert machine.handle(on.PartsListed(parts=(), final=True)) == [do.AbortUpload(upload_id="u")]


def test_a_cancel_that_cannot_tell_which_upload_is_its_own_names_them_and_is_pending() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.CancelRequested())
    machine.handle(on.RequestsStopped())
    twins = tuple(on.FoundUpload(upload_id=name, initiated_at=101) for name in ("u", "v"))
    commands = machine.handle(on.UploadsFound(uploads=twins))
    while kinds(commands) == ["ListParts"]:
        commands = machine.handle(on.PartsListed(parts=(), final=True))
    outcome = ended(machine, commands)
    assert (outcome.clean_up, set(outcome.unclaimed_uploads)) == (CleanUp.PENDING, {"u", "v"})


def test_a_cancel_that_did_not_even_find_the_upload_in_time_has_failed() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.CancelRequested())
    machine.handle(on.RequestsStopped())
    outcome = ended(machine, machine.handle(on.CleanUpTimedOut()))
    assert (outcome.kind, outcome.clean_up) == (OutcomeKind.CANCELLED, CleanUp.FAILED)


def test_a_cancel_touches_no_upload_that_holds_parts_it_never_sent() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.CancelRequested())
    commands = machine.handle(on.RequestsStopped())
    while kinds(commands)[-1] != "Report":
        if kinds(commands) == ["Wait"]:
            commands = machine.handle(on.Waited())
        assert kinds(commands)[-1] == "FindUploads"
        machine.handle(on.UploadsFound(uploads=(on.FoundUpload(upload_id="theirs", initiated_at=101),)))
        commands = machine.handle(on.PartsListed(parts=(listed(1),), final=True))
        assert "AbortUpload" not in kinds(commands)
    outcome = ended(machine, commands)
    assert (outcome.kind, outcome.clean_up) == (OutcomeKind.CANCELLED, CleanUp.VERIFIED)


def test_a_cancel_removes_none_of_several_uploads_that_may_be_its_own_and_names_them() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.CancelRequested())
    machine.handle(on.RequestsStopped())
    found = tuple(on.FoundUpload(upload_id=name, initiated_at=101) for name in ("x", "y"))
    machine.handle(on.UploadsFound(uploads=found))
    machine.handle(on.PartsListed(parts=(), final=True))
    outcome = ended(machine, machine.handle(on.PartsListed(parts=(), final=True)))
    assert (outcome.clean_up, set(outcome.unclaimed_uploads)) == (CleanUp.PENDING, {"x", "y"})


def test_a_cancel_removes_the_upload_of_an_initiate_that_arrives_after_its_connection_was_cut() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.CancelRequested())
    assert kinds(machine.handle(on.RequestsStopped()))[-1] == "FindUploads"
    assert kinds(machine.handle(on.UploadsFound(uploads=()))) == ["Wait"]
    assert kinds(machine.handle(on.Waited())) == ["FindUploads"]
    machine.handle(on.UploadsFound(uploads=(on.FoundUpload(upload_id="late", initiated_at=101),)))
    commands = machine.handle(on.PartsListed(parts=(), final=True))
    assert do.AbortUpload(upload_id="late") in commands


# --- Initiate without an answer


def lost_initiate(**settings: object) -> UploadMachine:
    machine = UploadMachine(JOB, with_settings(**settings))
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    assert kinds(machine.handle(on.InitiateFailed(error=LOST, request_sent=True))) == ["FindUploads"]
    return machine


def test_an_initiate_without_answer_adopts_the_one_empty_young_upload() -> None:
    machine = lost_initiate(parallel=1)
    machine.handle(on.UploadsFound(uploads=(on.FoundUpload(upload_id="u", initiated_at=100),)))
    commands = machine.handle(on.PartsListed(parts=(), final=True))
    assert kinds(commands) == ["AppendJournal", "SendPart"]
    assert machine.upload_id == "u"


def test_an_initiate_without_answer_may_still_be_on_its_way() -> None:
    machine = lost_initiate(parallel=1)
    assert kinds(machine.handle(on.UploadsFound(uploads=()))) == ["Wait"]
    assert kinds(machine.handle(on.Waited())) == ["FindUploads"]
    machine.handle(on.UploadsFound(uploads=(on.FoundUpload(upload_id="u", initiated_at=100),)))
    assert kinds(machine.handle(on.PartsListed(parts=(), final=True))) == ["AppendJournal", "SendPart"]
    assert machine.upload_id == "u"


def test_an_initiate_that_oss_could_not_serve_may_have_been_carried_out_all_the_same() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    busy = ServiceUnavailable("later", status=503, code="ServiceUnavailable")
    assert kinds(machine.handle(on.InitiateFailed(error=busy, request_sent=False))) == ["FindUploads"]


def test_a_start_that_only_the_local_clock_tells_may_be_as_wrong_as_oss_allows() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=10_000))
    machine.handle(on.InspectTargetFailed(error=DENIED))
    machine.handle(on.InitiateFailed(error=LOST, request_sent=True))
    found = [on.FoundUpload(upload_id=str(at), initiated_at=at) for at in (9_000, 9_200)]
    assert machine.handle(on.UploadsFound(uploads=tuple(found))) == [do.ListParts(upload_id="9200")]


def test_an_initiate_without_answer_that_left_nothing_in_its_time_is_sent_again() -> None:
    machine = lost_initiate()
    waited_s = 0.0
    while kinds(commands := machine.handle(on.UploadsFound(uploads=()))) == ["Wait"]:
        assert isinstance(commands[0], do.Wait)
        waited_s += commands[0].seconds
        machine.handle(on.Waited())
    assert kinds(commands) == ["Initiate"]
    assert waited_s == pytest.approx(INITIATE_SETTLE_S)


def test_uploads_that_cannot_be_told_apart_are_left_alone_and_named() -> None:
    machine = lost_initiate()
    found = tuple(on.FoundUpload(upload_id=name, initiated_at=100) for name in ("x", "y"))
    machine.handle(on.UploadsFound(uploads=found))
    machine.handle(on.PartsListed(parts=(), final=True))
    assert kinds(machine.handle(on.PartsListed(parts=(), final=True))) == ["Initiate"]
    machine.handle(on.UploadInitiated(upload_id="z"))
    machine.handle(on.AbortRequested())
    assert set(ended(machine).unclaimed_uploads) == {"x", "y"}


def test_a_refused_initiate_leaves_nothing_behind() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None))
    machine.handle(on.InitiateFailed(error=DENIED, request_sent=False))
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    assert error_of(ended(machine, commands)) is DENIED


# --- the source


def test_a_touched_source_whose_stored_parts_are_equal_goes_on() -> None:
    touched = structs.replace(SOURCE, mtime_ns=9, ctime_ns=9)
    machine = resumed(view_of(begun(), 1, 2), source=touched, parallel=9)
    commands = machine.handle(on.PartsListed(parts=(listed(1), listed(2)), final=True))
    assert kinds(commands) == ["HashPart", "HashPart"]
    machine.handle(on.PartHashed(number=1, crc64=1))
    commands = machine.handle(on.PartHashed(number=2, crc64=2))
    assert kinds(commands) == ["AppendJournal"] * 3 + ["SendPart"] * 2
    records = [command.record for command in commands if isinstance(command, do.AppendJournal)]
    view = journal_view([view_of(begun()).intent, Upload(upload_id="u"), *records])
    assert view is not None
    assert (view.intent.source, set(view.parts)) == (touched, {1, 2})


def changed_source(**settings: object) -> tuple[UploadMachine, list[do.Command]]:
    """Parts 1 and 2 are stored, size and mtime are as before, part 2 has other bytes now."""
    changed = structs.replace(SOURCE, ctime_ns=9)
    machine = resumed(view_of(begun(), 1, 2), source=changed, parallel=9, **settings)
    machine.handle(on.PartsListed(parts=(listed(1), listed(2)), final=True))
    machine.handle(on.PartHashed(number=1, crc64=1))
    return machine, machine.handle(on.PartHashed(number=2, crc64=77))


def test_a_changed_source_is_refused_and_the_matching_parts_are_named() -> None:
    machine, commands = changed_source()
    assert kinds(commands) == ["StopRequests"]
    outcome = ended(machine)
    error = error_of(outcome)
    assert isinstance(error, SourceChanged)
    assert (error.matching_parts, error.differing_parts) == ((1,), (2,))
    assert outcome.upload_id == "u"


def test_keep_matching_sends_only_what_differs_or_is_missing() -> None:
    machine, commands = changed_source(keep_matching=True)
    assert [c.number for c in commands if isinstance(c, do.SendPart)] == [2, 3, 4]
    assert machine.progress.acknowledged_bytes == 2 * PART_BYTES, "what was shown does not fall"
    assert machine.progress.parts_done == 1


def test_without_trust_in_the_identity_every_stored_part_is_compared() -> None:
    machine = resumed(view_of(begun(), 1, 2), trust_identity=False)
    commands = machine.handle(on.PartsListed(parts=(listed(1), listed(2)), final=True))
    assert kinds(commands) == ["HashPart", "HashPart"]


@pytest.mark.parametrize("keep_matching", [False, True])
def test_a_source_that_grew_is_refused_unless_the_matching_parts_are_to_be_kept(keep_matching: bool) -> None:
    grown = structs.replace(SOURCE, size_bytes=6 * PART_BYTES, mtime_ns=9, ctime_ns=9)
    machine = resumed(view_of(begun(), 1), source=grown, keep_matching=keep_matching, parallel=9)
    machine.handle(on.PartsListed(parts=(listed(1),), final=True))
    commands = machine.handle(on.PartHashed(number=1, crc64=1))
    if keep_matching:
        assert [c.number for c in commands if isinstance(c, do.SendPart)] == [2, 3, 4, 5, 6]
        assert machine.progress.total_bytes == 6 * PART_BYTES
    else:
        error = error_of(ended(machine))
        assert isinstance(error, SourceChanged)
        assert error.matching_parts == (1,)


def sent_and_then_changed(*, source: Source, keep_matching: bool) -> tuple[UploadMachine, list[do.Command]]:
    machine = begun(keep_matching=keep_matching, parallel=9)
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    return machine, machine.handle(on.SourceInspected(source=source))


def test_a_source_that_changed_while_it_was_sent_is_never_completed_as_a_mixture() -> None:
    machine, commands = sent_and_then_changed(source=structs.replace(SOURCE, ctime_ns=9), keep_matching=False)
    assert kinds(commands) == ["HashPart"] * 4
    for number in (1, 2, 3):
        machine.handle(on.PartHashed(number=number, crc64=number))
    machine.handle(on.PartHashed(number=4, crc64=44))
    error = error_of(ended(machine))
    assert isinstance(error, SourceChanged)
    assert (error.matching_parts, error.differing_parts) == ((1, 2, 3), (4,))


def test_a_source_that_changed_while_it_was_sent_is_made_whole_with_keep_matching() -> None:
    changed = structs.replace(SOURCE, ctime_ns=9)
    machine, _ = sent_and_then_changed(source=changed, keep_matching=True)
    for number in (1, 2, 3):
        machine.handle(on.PartHashed(number=number, crc64=number))
    commands = machine.handle(on.PartHashed(number=4, crc64=44))
    assert [c.number for c in commands if isinstance(c, do.SendPart)] == [4]
    assert kinds(machine.handle(sent(4, crc64=44))) == ["AppendJournal", "InspectSource"]
    machine.handle(on.SourceInspected(source=changed))
    _, complete = machine.handle(on.TargetInspected(target=None))
    assert isinstance(complete, do.Complete)
    assert complete.crc64 == whole(1, 2, 3, 44)


def test_what_was_acknowledged_falls_only_as_far_as_the_source_became_shorter() -> None:
    shrunk = structs.replace(SOURCE, size_bytes=SOURCE.size_bytes - 7, ctime_ns=9)
    machine, _ = sent_and_then_changed(source=shrunk, keep_matching=True)
    assert machine.progress.parts_done == 3
    assert machine.progress.acknowledged_bytes == shrunk.size_bytes


def test_a_source_that_shrank_while_it_was_sent_is_made_whole_with_keep_matching() -> None:
    shrunk = structs.replace(SOURCE, size_bytes=2 * PART_BYTES, ctime_ns=9)
    machine, commands = sent_and_then_changed(source=shrunk, keep_matching=True)
    assert [c.number for c in commands if isinstance(c, do.HashPart)] == [1, 2]
    machine.handle(on.PartHashed(number=1, crc64=1))
    assert kinds(machine.handle(on.PartHashed(number=2, crc64=2)))[-1] == "InspectSource"
    machine.handle(on.SourceInspected(source=shrunk))
    _, complete = machine.handle(on.TargetInspected(target=None))
    assert isinstance(complete, do.Complete)
    assert [tag.number for tag in complete.parts] == [1, 2]


def test_an_object_of_a_revision_that_was_given_up_is_no_success() -> None:
    machine = completing(keep_matching=True, settle_s=0.0)
    machine.handle(on.CompleteUnanswered(error=LOST, request_sent=True))
    machine.handle(on.UploadStillListed())
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["AppendJournal", "ListParts"]
    parts = tuple(listed(number) for number in (1, 2, 3, 4))
    machine.handle(on.PartsListed(parts=parts, final=True))
    changed = structs.replace(SOURCE, ctime_ns=9)
    machine.handle(on.SourceInspected(source=changed))
    for number, crc64 in ((1, 1), (2, 2), (3, 3), (4, 44)):
        machine.handle(on.PartHashed(number=number, crc64=crc64))
    machine.handle(sent(4, crc64=44))
    assert kinds(machine.handle(on.SourceInspected(source=changed))) == ["InspectTarget"]
    # The Complete that seemed to have no effect had it in the end.
    machine.handle(on.TargetInspected(target=OURS))
    assert isinstance(error_of(ended(machine)), TargetChanged)


def test_a_source_that_never_rests_is_given_up() -> None:
    machine, _ = sent_and_then_changed(source=structs.replace(SOURCE, ctime_ns=9), keep_matching=True)
    for ctime_ns in range(10, 20):
        for number in (1, 2, 3, 4):
            machine.handle(on.PartHashed(number=number, crc64=number))
        machine.handle(on.SourceInspected(source=structs.replace(SOURCE, ctime_ns=ctime_ns)))
    assert isinstance(error_of(ended(machine)), SourceChanged)


def test_a_source_that_is_gone_before_completion_fails_and_keeps_the_upload() -> None:
    machine = begun(parallel=9)
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    machine.handle(on.InspectSourceFailed(error=SourceUnreadable("gone")))
    outcome = ended(machine)
    assert (type(outcome.error), outcome.upload_id) == (SourceUnreadable, "u")


def test_bytes_that_are_in_no_file_are_not_inspected() -> None:
    job = structs.replace(JOB, source=None)
    machine = UploadMachine(job, with_settings(protect_target=False, parallel=9))
    machine.handle(on.Started(now=1))
    machine.handle(on.UploadInitiated(upload_id="u"))
    for number in (1, 2, 3):
        machine.handle(sent(number))
    assert kinds(machine.handle(sent(4))) == ["AppendJournal", "AppendJournal", "Complete"]


def test_an_empty_source_is_one_empty_part() -> None:
    source = structs.replace(SOURCE, size_bytes=0)
    machine = UploadMachine(
        structs.replace(JOB, source=source, total_bytes=0), with_settings(protect_target=False)
    )
    machine.handle(on.Started(now=1))
    commands = machine.handle(on.UploadInitiated(upload_id="u"))
    assert commands[-1] == do.SendPart(upload_id="u", number=1, offset=0, size_bytes=0)
    machine.handle(on.PartSent(number=1, size_bytes=0, crc64=0, etag="E"))
    assert kinds(machine.handle(on.SourceInspected(source=source)))[-1] == "Complete"


# --- the target


def test_a_target_that_somebody_wrote_to_is_not_overwritten() -> None:
    machine = begun(parallel=9)
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    machine.handle(on.SourceInspected(source=SOURCE))
    assert kinds(machine.handle(on.TargetInspected(target=TARGET))) == ["StopRequests"]
    outcome = ended(machine)
    assert isinstance(outcome.error, TargetChanged)
    assert (outcome.upload_id, outcome.error.upload_id) == ("u", "u")
    assert outcome.error.resume_token == outcome.resume_token


def test_a_resume_sees_at_once_that_the_target_has_changed() -> None:
    view = view_of(begun(), 1)
    machine = UploadMachine(JOB, with_settings(), FromJournal(view))
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=TARGET))
    assert isinstance(error_of(ended(machine)), TargetChanged)


def over_an_object() -> UploadMachine:
    """A machine that has sent all over what was there at the start, and looks at the key once more."""
    machine = UploadMachine(JOB, with_settings(parallel=9))
    machine.handle(on.Started(now=1))
    _, initiate = machine.handle(on.TargetInspected(target=TARGET))
    assert isinstance(initiate, do.Initiate)
    assert not initiate.forbid_overwrite
    machine.handle(on.UploadInitiated(upload_id="u"))
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    assert kinds(machine.handle(on.SourceInspected(source=SOURCE))) == ["InspectTarget"]
    return machine


@pytest.mark.parametrize("found", [None, structs.replace(TARGET, modified_at=2)])
def test_an_object_that_was_written_again_or_removed_meanwhile_is_another_one(
    found: TargetState | None,
) -> None:
    machine = over_an_object()
    machine.handle(on.TargetInspected(target=found))
    assert isinstance(error_of(ended(machine)), TargetChanged)


def test_a_permission_to_look_that_was_lost_since_does_not_take_the_protection_away() -> None:
    machine = UploadMachine(JOB, with_settings(), FromJournal(view_of(begun(), 1)))
    machine.handle(on.Started(now=200))
    assert kinds(machine.handle(on.InspectTargetFailed(error=DENIED))) == ["StopRequests"]
    assert error_of(ended(machine)) is DENIED


def test_an_object_that_was_there_at_the_start_may_be_overwritten() -> None:
    machine = over_an_object()
    _, complete = machine.handle(on.TargetInspected(target=structs.replace(TARGET, crc64=5)))
    assert isinstance(complete, do.Complete)
    assert not complete.forbid_overwrite


def test_without_permission_to_look_the_upload_goes_on_unprotected() -> None:
    machine = UploadMachine(JOB, with_settings(parallel=9))
    machine.handle(on.Started(now=1))
    _, initiate = machine.handle(on.InspectTargetFailed(error=DENIED))
    assert isinstance(initiate, do.Initiate)
    assert not initiate.forbid_overwrite
    machine.handle(on.UploadInitiated(upload_id="u"))
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    assert kinds(machine.handle(on.SourceInspected(source=SOURCE))) == ["AppendJournal", "Complete"]


def test_a_target_that_cannot_be_looked_at_for_another_reason_stops_the_upload() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    assert kinds(machine.handle(on.InspectTargetFailed(error=LOST))) == ["StopRequests"]


def test_a_complete_refused_because_the_key_is_taken_is_a_changed_target() -> None:
    machine = completing()
    taken = ServiceError("exists", status=409, code="FileAlreadyExists")
    assert kinds(machine.handle(on.CompleteFailed(error=taken))) == ["ConfirmGone"]
    machine.handle(on.UploadStillListed())
    machine.handle(on.TargetInspected(target=TARGET))
    outcome = ended(machine)
    assert isinstance(outcome.error, TargetChanged)
    assert (outcome.committed, outcome.upload_id) == (Committed.NO, "u")


# --- Complete without an answer


COMPLETING = Completing(part_count=4, total_bytes=4 * PART_BYTES, crc64=whole(1, 2, 3, 4))
OURS = TargetState(etag="X", size_bytes=4 * PART_BYTES, modified_at=150, crc64=whole(1, 2, 3, 4))


@pytest.mark.parametrize(
    "event",
    [
        on.CompleteUnanswered(error=LOST, request_sent=True),
        on.CompleteFailed(error=GONE),
        on.CompleteFailed(error=ServiceError("oops", status=500, code="InternalError")),
    ],
)
def test_a_complete_without_a_clear_answer_is_resolved_by_evidence(event: on.Event) -> None:
    machine = completing()
    assert kinds(machine.handle(event)) == ["ConfirmGone"]
    assert kinds(machine.handle(on.CancelConfirmed())) == ["InspectTarget"]
    outcome = ended(machine, machine.handle(on.TargetInspected(target=OURS)))
    assert (outcome.kind, outcome.committed) == (OutcomeKind.COMMITTED, Committed.YES)


def made_elsewhere(when: str) -> UploadMachine:
    """A machine that finds its object there while OSS still has its upload: another run was quicker."""
    if when == "after an unanswered Complete":
        machine = completing()
        machine.handle(on.CompleteUnanswered(error=LOST, request_sent=True))
        machine.handle(on.UploadStillListed(part_count=4))
    else:
        machine = begun(parallel=9)
        for number in (1, 2, 3, 4):
            machine.handle(sent(number))
        machine.handle(on.SourceInspected(source=SOURCE))
    assert kinds(machine.handle(on.TargetInspected(target=OURS))) == ["StopRequests"]
    return machine


@pytest.mark.parametrize("when", ["right before Complete", "after an unanswered Complete"])
def test_an_upload_whose_object_another_run_has_made_is_removed(when: str) -> None:
    machine = made_elsewhere(when)
    commands = machine.handle(on.RequestsStopped())
    assert commands[0] == do.AppendJournal(record=End(kind=EndKind.CANCEL_PENDING), durable=True)
    assert commands[1] == do.AbortUpload(upload_id="u")
    machine.handle(on.UploadAborted())
    commands = machine.handle(on.CancelConfirmed())
    assert kinds(commands) == ["AppendJournal", "DeleteJournal", "Report"]
    outcome = ended(machine, commands)
    assert (outcome.kind, outcome.upload_id, outcome.error) == (OutcomeKind.COMMITTED, None, None)
    assert outcome.stored is not None
    assert outcome.stored.by_evidence


def test_an_upload_that_cannot_be_removed_beside_its_object_is_named_and_its_journal_stays() -> None:
    machine = made_elsewhere("right before Complete")
    machine.handle(on.RequestsStopped())
    commands = machine.handle(on.AbortUploadFailed(error=DENIED))
    assert kinds(commands) == ["Report"]
    outcome = ended(machine, commands)
    assert (outcome.kind, outcome.unclaimed_uploads) == (OutcomeKind.COMMITTED, ("u",))


def test_resolving_alone_removes_no_upload_beside_its_object() -> None:
    view = structs.replace(view_of(begun(), 1, 2, 3, 4), completing=COMPLETING)
    machine = resumed(view, resolve_only=True)
    machine.handle(on.UploadStillListed(part_count=4))
    commands = machine.handle(on.TargetInspected(target=OURS))
    assert kinds(commands) == ["Report"]
    assert ended(machine, commands).kind is OutcomeKind.COMMITTED


def test_a_complete_that_was_never_sent_fails_and_is_not_in_doubt() -> None:
    machine = completing()
    machine.handle(on.CompleteUnanswered(error=LOST, request_sent=False))
    outcome = ended(machine)
    assert (outcome.kind, outcome.committed, outcome.upload_id) == (OutcomeKind.FAILED, Committed.NO, "u")


def test_a_complete_without_effect_is_sent_again_and_no_byte_is() -> None:
    machine = completing(settle_s=0.1)
    machine.handle(on.CompleteUnanswered(error=LOST, request_sent=True))
    for _ in range(2):
        machine.handle(on.UploadStillListed())
        commands = machine.handle(on.TargetInspected(target=None))
        if kinds(commands) == ["Wait"]:
            machine.handle(on.Waited())
    assert kinds(commands) == ["AppendJournal", "ListParts"]
    commands = machine.handle(on.PartsListed(parts=tuple(listed(n) for n in (1, 2, 3, 4)), final=True))
    assert kinds(commands) == ["InspectSource"]


def test_a_crash_during_complete_is_resolved_and_never_uploaded_again() -> None:
    machine = resumed(structs.replace(view_of(begun(), 1, 2, 3, 4), completing=COMPLETING))
    assert machine.state is State.RESOLVING
    machine.handle(on.CancelConfirmed())
    outcome = ended(machine, machine.handle(on.TargetInspected(target=OURS)))
    assert outcome.kind is OutcomeKind.COMMITTED


def test_resolving_alone_sends_nothing_and_says_that_it_can_be_resumed() -> None:
    view = structs.replace(view_of(begun(), 1, 2, 3, 4), completing=COMPLETING)
    machine = resumed(view, resolve_only=True, settle_s=0.0)
    machine.handle(on.UploadStillListed())
    outcome = ended(machine, machine.handle(on.TargetInspected(target=None)))
    assert (outcome.kind, outcome.committed, outcome.upload_id) == (OutcomeKind.ABORTED, Committed.NO, "u")


REFUSED = ServiceError("no", status=403, code="AccessDenied")


@pytest.mark.parametrize(
    "event",
    [on.CompleteFailed(error=REFUSED), on.CompleteUnanswered(error=LOST, request_sent=False)],
    ids=["refused", "never sent"],
)
@pytest.mark.parametrize("stopping", [False, True])
def test_a_complete_that_made_nothing_is_taken_back_in_the_journal(event: on.Event, stopping: bool) -> None:
    machine = completing()
    if stopping:
        machine.handle(on.AbortRequested())
    commands = machine.handle(event)
    assert [c.record for c in commands if isinstance(c, do.AppendJournal)] == [NotCompleted()]
    assert kinds(commands)[1:] == ([] if stopping else ["StopRequests"])
    view = journal_view([machine._standing.intent, Upload(upload_id="u"), COMPLETING, NotCompleted()])
    assert view is not None
    assert view.completing is None
    assert kinds(UploadMachine(JOB, with_settings(), FromJournal(view)).handle(on.Started(now=1))) == [
        "InspectTarget"
    ]


def test_a_key_that_is_taken_takes_complete_back_only_once_the_object_is_not_ours() -> None:
    taken = ServiceError("exists", status=409, code="FileAlreadyExists")
    for target, is_taken_back in ((TARGET, True), (OURS, False)):
        machine = completing()
        assert kinds(machine.handle(on.CompleteFailed(error=taken))) == ["ConfirmGone"]
        machine.handle(on.UploadStillListed())
        commands = machine.handle(on.TargetInspected(target=target))
        assert (do.AppendJournal(record=NotCompleted(), durable=False) in commands) is is_taken_back


def test_a_complete_that_evidence_says_made_nothing_is_taken_back_in_the_journal() -> None:
    view = structs.replace(view_of(begun(), 1, 2, 3, 4), completing=COMPLETING)
    machine = resumed(view, resolve_only=True, settle_s=0.0)
    machine.handle(on.UploadStillListed())
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["AppendJournal", "Report"]


@pytest.mark.parametrize(
    "wrong",
    [
        {4: None},
        {5: {"number": 5, "offset": 4 * PART_BYTES}},
        {4: {"size_bytes": 7}},
        {1: {"offset": PART_BYTES}, 2: {"offset": 0}},
    ],
    ids=["one is missing", "one too many", "another length", "exchanged"],
)
def test_count_and_sizes_are_checked_before_completion(wrong: dict[int, dict[str, int] | None]) -> None:
    machine = begun(parallel=9)
    for number in (1, 2, 3, 4):
        machine.handle(sent(number))
    machine.handle(on.SourceInspected(source=SOURCE))
    stored = machine._ledger.stored
    for number, changes in wrong.items():
        part = stored.pop(number, stored[1])
        if changes is not None:
            stored[number] = structs.replace(part, **changes)
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["StopRequests"]
    outcome = ended(machine)
    assert (type(outcome.error), outcome.upload_id) == (IncompleteUpload, "u")


def test_parts_that_oss_disowns_at_completion_are_sent_again() -> None:
    machine = completing()
    invalid = ServiceError("part", status=400, code="InvalidPart")
    assert kinds(machine.handle(on.CompleteFailed(error=invalid))) == ["AppendJournal", "ListParts"]
    page = (listed(1), listed(2, crc64=99), listed(3), listed(4))
    commands = machine.handle(on.PartsListed(parts=page, final=True))
    assert [c.number for c in commands if isinstance(c, do.SendPart)] == [2]


@pytest.mark.parametrize("cancelled", [False, True])
def test_an_object_that_is_not_what_was_read_is_an_error_and_is_named_as_made(cancelled: bool) -> None:
    machine = completing()
    machine.handle(on.CompleteSucceeded(etag="X", crc64=1))
    if cancelled:
        machine.handle(on.CancelRequested())
    commands = machine.handle(on.RequestsStopped())
    outcome = ended(machine, commands)
    assert isinstance(outcome.error, ChecksumMismatch)
    assert (outcome.kind, outcome.committed, outcome.upload_id) == (OutcomeKind.FAILED, Committed.YES, None)


def test_a_failed_callback_is_an_error_although_the_object_was_made() -> None:
    machine = completing()
    machine.handle(on.CompleteFailed(error=ServiceError("cb", status=203, code="CallbackFailed")))
    outcome = ended(machine)
    assert (outcome.kind, outcome.committed) == (OutcomeKind.FAILED, Committed.YES)


# --- by token, by key, after the end


def test_a_token_is_enough_to_go_on_elsewhere() -> None:
    aborted = begun()
    aborted.handle(sent(1))
    aborted.handle(on.AbortRequested())
    text = ended(aborted).resume_token
    assert text is not None
    elsewhere = structs.replace(SOURCE, path="/other/f", device=77, inode=88)
    machine = UploadMachine(
        structs.replace(JOB, source=elsewhere), with_settings(parallel=9), FromToken(decode(text))
    )
    assert machine.progress.acknowledged_bytes == PART_BYTES
    machine.handle(on.Started(now=900))
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["ListParts"]
    assert kinds(machine.handle(on.PartsListed(parts=(listed(1),), final=True))) == ["HashPart"]
    commands = machine.handle(on.PartHashed(number=1, crc64=1))
    assert kinds(commands) == ["AppendJournal"] * 3 + ["SendPart"] * 3
    assert machine.progress.resumed_bytes == PART_BYTES


def test_a_token_says_all_that_the_intent_promised() -> None:
    intent = structs.replace(
        view_of(begun()).intent,
        options=ObjectOptions(ownership_token="mine"),
        started_at=50,
        server_clock=True,
        target=TARGET,
        target_known=True,
        forbid_overwrite=True,
        acknowledged_bytes=PART_BYTES,
    )
    token = decode(encode(token_of(intent, "u", 7)))
    elsewhere = structs.replace(SOURCE, path="/other/f", device=77, inode=88)
    machine = UploadMachine(structs.replace(JOB, source=elsewhere), with_settings(), FromToken(token))
    assert machine._standing.intent == structs.replace(intent, source=elsewhere)


def from_token(text: str | None, **settings: object) -> UploadMachine:
    """A machine that goes on from a token, where nothing else is known."""
    assert text is not None
    return UploadMachine(JOB, with_settings(**settings), FromToken(decode(text)))


def test_a_token_does_not_vouch_for_another_file() -> None:
    aborted = begun()
    aborted.handle(on.AbortRequested())
    machine = from_token(ended(aborted).resume_token)
    machine.handle(on.Started(now=900))
    machine.handle(on.TargetInspected(target=None))
    commands = machine.handle(on.PartsListed(parts=(listed(1), listed(2)), final=True))
    assert kinds(commands) == ["HashPart", "HashPart"]
    machine.handle(on.PartHashed(number=1, crc64=1))
    assert kinds(machine.handle(on.PartHashed(number=2, crc64=99))) == ["StopRequests"]
    error = error_of(ended(machine))
    assert isinstance(error, SourceChanged)
    assert (error.matching_parts, error.differing_parts) == ((1,), (2,))


def test_a_token_tells_of_a_complete_that_was_not_answered() -> None:
    aborted = completing()
    aborted.handle(on.AbortRequested())
    machine = from_token(ended(aborted).resume_token)
    assert kinds(machine.handle(on.Started(now=900))) == ["ConfirmGone"]
    machine.handle(on.AbortRequested())
    assert ended(machine).committed is Committed.UNKNOWN


def test_a_token_without_an_upload_id_has_the_key_searched_before_anything_is_begun() -> None:
    aborted = UploadMachine(JOB, with_settings())
    aborted.handle(on.Started(now=1))
    aborted.handle(on.TargetInspected(target=None, server_time=100))
    aborted.handle(on.AbortRequested())
    machine = from_token(ended(aborted).resume_token)
    machine.handle(on.Started(now=900))
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["FindUploads"]


def test_a_cancel_soon_after_a_resume_by_token_leaves_a_journal_that_leads_to_the_upload() -> None:
    aborted = begun()
    aborted.handle(on.AbortRequested())
    machine = from_token(ended(aborted).resume_token)
    machine.handle(on.Started(now=900))
    machine.handle(on.CancelRequested())
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal"] * 3 + ["AbortUpload"]
    assert are_durable(commands)
    view = journal_view(c.record for c in commands if isinstance(c, do.AppendJournal))
    assert view is not None
    assert (view.upload_id, view.end) == ("u", End(kind=EndKind.CANCEL_PENDING))


def adopting(
    uploads: dict[str, tuple[on.ListedPart, ...]], **settings: object
) -> tuple[UploadMachine, list[do.Command]]:
    job = structs.replace(JOB, part_bytes=None)
    machine = UploadMachine(job, with_settings(parallel=9, **settings), FromKey())
    machine.handle(on.Started(now=900))
    machine.handle(on.TargetInspected(target=None, server_time=900))
    found = tuple(on.FoundUpload(upload_id=name, initiated_at=n) for n, name in enumerate(uploads))
    commands = machine.handle(on.UploadsFound(uploads=found))
    while commands and isinstance(commands[-1], do.ListParts):
        commands = machine.handle(on.PartsListed(parts=uploads[commands[-1].upload_id], final=True))
    return machine, commands


def test_the_unfinished_upload_of_a_key_is_adopted_when_its_parts_match() -> None:
    machine, commands = adopting({"u": (listed(1), listed(3))})
    assert [c.number for c in commands if isinstance(c, do.HashPart)] == [1, 3]
    assert machine.resume_token is None, "nothing proves yet that it is ours"
    machine.handle(on.PartHashed(number=1, crc64=1))
    commands = machine.handle(on.PartHashed(number=3, crc64=3))
    assert kinds(commands) == ["AppendJournal"] * 4 + ["SendPart"] * 2
    assert are_durable(commands)
    assert [c.number for c in commands if isinstance(c, do.SendPart)] == [2, 4]
    assert machine.resume_token is not None


@pytest.mark.parametrize(
    ("theirs", "made_at"), [((1, 2, 3, 4), 905), ((1, 2, 3, 9), 905), ((1, 2, 3, 4), 800)]
)
def test_who_is_second_to_complete_an_adopted_upload_finds_the_object_by_reading_its_own_file(
    theirs: tuple[int, ...], made_at: int
) -> None:
    machine, _ = adopting({"u": (listed(1), listed(3))})
    machine.handle(on.PartHashed(number=1, crc64=1))
    machine.handle(on.PartHashed(number=3, crc64=3))
    assert machine.handle(on.PartFailed(number=2, error=GONE, is_final=True)) == []
    assert kinds(machine.handle(on.PartFailed(number=4, error=GONE, is_final=True))) == ["ConfirmGone"]
    assert kinds(machine.handle(on.CancelConfirmed())) == ["InspectTarget"]
    made = TargetState(
        etag="T", size_bytes=SOURCE.size_bytes, modified_at=made_at, crc64=whole(*theirs), ownership_token="x"
    )
    commands = machine.handle(on.TargetInspected(target=made))
    if made_at == 905:
        assert [c.number for c in commands if isinstance(c, do.HashPart)] == [2, 4]
        machine.handle(on.PartHashed(number=2, crc64=2))
        commands = machine.handle(on.PartHashed(number=4, crc64=4))
    outcome = ended(machine, commands)
    if theirs == (1, 2, 3, 4) and made_at == 905:
        assert outcome.committed is Committed.YES
        assert outcome.stored is not None
        assert outcome.stored.by_evidence
    else:
        assert isinstance(outcome.error, UploadLost)


def test_a_file_that_cannot_be_read_any_more_proves_nothing() -> None:
    machine, _ = adopting({"u": (listed(1), listed(2), listed(3))})
    for number in (1, 2, 3):
        machine.handle(on.PartHashed(number=number, crc64=number))
    machine.handle(on.PartFailed(number=4, error=GONE, is_final=True))
    machine.handle(on.CancelConfirmed())
    made = TargetState(etag="T", size_bytes=SOURCE.size_bytes, modified_at=905, crc64=7)
    assert kinds(machine.handle(on.TargetInspected(target=made))) == ["HashPart"]
    machine.handle(on.HashPartFailed(number=4, error=SourceUnreadable("gone")))
    assert isinstance(ended(machine).error, SourceUnreadable)


def test_an_upload_of_the_key_whose_parts_are_all_others_is_passed_over() -> None:
    machine, commands = adopting({"older": (listed(1),), "newer": (listed(1, crc64=99),)})
    assert kinds(commands) == ["HashPart"]
    assert kinds(machine.handle(on.PartHashed(number=1, crc64=1))) == ["HashPart"]
    machine.handle(on.PartHashed(number=1, crc64=1))
    assert machine.upload_id == "older"


def test_a_key_without_an_upload_of_this_source_is_nothing_to_resume() -> None:
    machine, _ = adopting({"theirs": (listed(1, crc64=99),), "empty": ()})
    commands = machine.handle(on.PartHashed(number=1, crc64=1))
    assert kinds(commands) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.kind, outcome.upload_id, outcome.resume_token) == (OutcomeKind.FAILED, None, None)


def test_an_upload_that_matches_in_part_only_is_refused_or_repaired() -> None:
    machine, _ = adopting({"u": (listed(1), listed(2, crc64=99))})
    machine.handle(on.PartHashed(number=1, crc64=1))
    machine.handle(on.PartHashed(number=2, crc64=2))
    error = error_of(ended(machine))
    assert isinstance(error, SourceChanged)
    assert (error.matching_parts, error.differing_parts) == ((1,), (2,))
    machine, _ = adopting({"u": (listed(1), listed(2, crc64=99))}, keep_matching=True)
    machine.handle(on.PartHashed(number=1, crc64=1))
    commands = machine.handle(on.PartHashed(number=2, crc64=2))
    assert [c.number for c in commands if isinstance(c, do.SendPart)] == [2, 3, 4]


def test_a_cancel_before_the_adoption_removes_nothing() -> None:
    machine, _ = adopting({"theirs": (listed(1),)})
    machine.handle(on.CancelRequested())
    outcome = ended(machine)
    assert (outcome.clean_up, outcome.unclaimed_uploads) == (CleanUp.PENDING, ("theirs",))


@pytest.mark.parametrize("kind", [EndKind.CANCELLED, EndKind.CANCEL_PENDING, EndKind.FAILED])
def test_what_has_ended_is_not_resumed(kind: EndKind) -> None:
    view = structs.replace(view_of(begun(), 1), end=End(kind=kind))
    machine = UploadMachine(JOB, with_settings(), FromJournal(view))
    outcome = ended(machine, machine.handle(on.Started(now=1)))
    assert (outcome.kind, outcome.resume_token) == (OutcomeKind.FAILED, None)


# --- the journal refuses


def test_a_journal_that_refuses_the_intent_stops_before_initiate() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.TargetInspected(target=None))
    full = TransferError("full")
    assert kinds(machine.handle(on.JournalFailed(error=full))) == ["StopRequests"]
    outcome = ended(machine)
    assert (outcome.error, outcome.request_started, outcome.resume_token) == (full, False, None)


def test_a_journal_that_refuses_a_part_puts_the_next_part_back() -> None:
    machine = begun(parallel=1)
    assert kinds(machine.handle(sent(1))) == ["AppendJournal", "SendPart"]
    machine.handle(on.JournalFailed(error=TransferError("full")))
    outcome = ended(machine)
    assert outcome.progress.in_doubt_bytes == 0
    assert outcome.progress.acknowledged_bytes == PART_BYTES


def test_a_journal_that_refuses_completing_leaves_nothing_in_doubt() -> None:
    machine = completing()
    machine.handle(on.JournalFailed(error=TransferError("full")))
    assert ended(machine).committed is Committed.NO


def test_a_journal_that_refuses_the_end_does_not_hide_success() -> None:
    machine = completing()
    machine.handle(on.CompleteSucceeded(etag="X", crc64=whole(1, 2, 3, 4)))
    commands = machine.handle(on.JournalFailed(error=TransferError("full")))
    assert kinds(commands) == ["Report"]
    assert ended(machine, commands).kind is OutcomeKind.COMMITTED
    assert machine.handle(on.JournalFailed(error=TransferError("full"))) == []


def test_a_full_disk_does_not_keep_a_cancel_from_cleaning_up() -> None:
    machine = begun()
    machine.handle(on.CancelRequested())
    machine.handle(on.RequestsStopped())
    assert kinds(machine.handle(on.JournalFailed(error=TransferError("full")))) == ["AbortUpload"]


# --- the rest


def test_late_and_repeated_answers_change_nothing() -> None:
    machine = begun(parallel=1)
    machine.handle(sent(1))
    progress = machine.progress
    assert machine.handle(sent(1)) == []
    assert machine.handle(on.PartFailed(number=1, error=LOST, is_final=True)) == []
    assert machine.handle(on.RequestsStopped()) == []
    assert machine.handle(on.Started(now=5)) == []
    assert machine.progress == progress


def test_a_part_size_that_oss_refuses_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput):
        UploadMachine(structs.replace(JOB, part_bytes=1), UploadSettings(), Fresh())


def test_ten_thousand_parts_are_sent_and_completed() -> None:
    machine = UploadMachine(
        structs.replace(JOB, source=None, total_bytes=MAX_PARTS * PART_BYTES),
        with_settings(protect_target=False),
    )
    machine.handle(on.Started(now=1))
    commands = machine.handle(on.UploadInitiated(upload_id="u"))
    while not any(isinstance(command, do.Complete) for command in commands):
        sending = [command for command in commands if isinstance(command, do.SendPart)]
        commands = [answer for command in sending for answer in machine.handle(sent(command.number))]
    complete = commands[-1]
    assert isinstance(complete, do.Complete)
    assert len(complete.parts) == MAX_PARTS
    assert machine.progress.acknowledged_bytes == MAX_PARTS * PART_BYTES
