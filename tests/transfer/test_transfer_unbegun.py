"""An upload that is stopped before Initiate was sent leaves an INTENT, and to resume it is to begin it."""

from __future__ import annotations

import pytest
from msgspec import structs
from upload_world import LOST, PART_BYTES, with_settings

from penstock.errors import Committed, PenstockError, SourceChanged
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.copy import CopyMachine
from penstock.transfer.job import Beginning, Fresh, FromJournal, FromToken, UploadJob, resumed_job
from penstock.transfer.journal import (
    Intent,
    JournalView,
    ObjectOptions,
    Record,
    Source,
    TargetState,
    TransferKind,
    Upload,
    journal_view,
)
from penstock.transfer.outcome import CleanUp, Outcome, OutcomeKind
from penstock.transfer.token import decode
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
    options=ObjectOptions(content_type="text/plain", ownership_token="mine"),
)
TARGET = TargetState(etag="old", size_bytes=1, modified_at=1)


def kinds(commands: list[do.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def stopped(*events: on.Event, job: UploadJob = JOB) -> tuple[list[Record], Outcome, bool]:
    """What such an upload wrote, how it ended, and whether its journal was left."""
    machine = UploadMachine(job, with_settings())
    commands: list[do.Command] = []
    for event in (on.Started(now=100), *events, on.AbortRequested(), on.RequestsStopped()):
        commands += machine.handle(event)
    written = [one.record for one in commands if isinstance(one, do.AppendJournal)]
    assert all(one.durable for one in commands if isinstance(one, do.AppendJournal))
    assert machine.outcome is not None
    return written, machine.outcome, "DeleteJournal" not in kinds(commands)


def view_of(written: list[Record]) -> JournalView:
    view = journal_view(written)
    assert view is not None
    return view


WAYS: dict[str, tuple[on.Event, ...]] = {
    "while the target is looked at": (),
    "while Initiate waits for a connection": (
        on.TargetInspected(target=None, server_time=100),
        on.AbortRequested(),
        on.InitiateFailed(error=LOST, request_sent=False),
    ),
}


@pytest.mark.parametrize("events", WAYS.values(), ids=WAYS)
def test_a_stop_before_initiate_leaves_an_intent_and_a_token(events: tuple[on.Event, ...]) -> None:
    written, outcome, is_left = stopped(*events)
    assert is_left
    assert view_of(written).unbegun
    assert (outcome.kind, outcome.committed) == (OutcomeKind.ABORTED, Committed.NO)
    token = decode(outcome.resume_token or "")
    assert token.unbegun
    assert (token.job_id, token.upload_id, token.ownership_token) == ("job", None, "mine")


def resumed(beginning: Beginning, job: UploadJob | None = None) -> UploadMachine:
    if job is None:
        assert isinstance(beginning, FromJournal)
        job = resumed_job(beginning.view.intent, SOURCE, SOURCE.size_bytes)
    return UploadMachine(job, with_settings(), beginning)


def test_to_resume_it_is_to_begin_it_and_no_upload_is_searched_for() -> None:
    view = view_of(stopped()[0])
    machine = resumed(FromJournal(view=view))
    assert kinds(machine.handle(on.Started(now=200))) == ["InspectTarget"]
    intent, initiate = machine.handle(on.TargetInspected(target=None, server_time=201))
    assert isinstance(intent, do.AppendJournal)
    assert isinstance(intent.record, Intent)
    assert (intent.durable, intent.record.unbegun, intent.record.started_at) == (True, False, 201)
    assert initiate == do.Initiate(options=JOB.options, forbid_overwrite=True)


def test_a_kill_after_that_is_searched_for_as_after_any_initiate() -> None:
    written = stopped()[0]
    machine = resumed(FromJournal(view=view_of(written)))
    machine.handle(on.Started(now=200))
    intent = machine.handle(on.TargetInspected(target=None, server_time=201))[0]
    assert isinstance(intent, do.AppendJournal)
    machine = resumed(FromJournal(view=view_of([*written, intent.record])))
    machine.handle(on.Started(now=300))
    assert kinds(machine.handle(on.TargetInspected(target=None, server_time=301))) == ["FindUploads"]


def test_an_upload_id_that_was_had_after_it_is_gone_on_with() -> None:
    written = stopped()[0]
    intent = structs.replace(view_of(written).intent, unbegun=False)
    view = view_of([*written, intent, Upload(upload_id="u")])
    assert not view.unbegun
    machine = resumed(FromJournal(view=view))
    assert kinds(machine.handle(on.Started(now=300))) == ["ListParts"]


def test_an_initiate_that_may_have_arrived_is_never_taken_for_unsent() -> None:
    for answer in (on.InitiateFailed(error=LOST, request_sent=True), on.AbortRequested()):
        written, outcome, is_left = stopped(
            on.TargetInspected(target=None, server_time=100), on.AbortRequested(), answer
        )
        assert is_left
        assert not view_of(written).unbegun
        assert not decode(outcome.resume_token or "").unbegun


def test_a_token_read_while_initiate_is_under_way_does_not_call_it_unsent() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    assert decode(machine.resume_token or "").unbegun
    machine.handle(on.TargetInspected(target=None, server_time=1))
    assert not decode(machine.resume_token or "").unbegun


def test_the_token_alone_begins_it_elsewhere_with_the_same_proof() -> None:
    token = decode(stopped()[1].resume_token or "")
    elsewhere = structs.replace(JOB, options=ObjectOptions(), source=None)
    machine = resumed(FromToken(token=token), elsewhere)
    assert kinds(machine.handle(on.Started(now=200))) == ["InspectTarget"]
    _, initiate = machine.handle(on.TargetInspected(target=TARGET, server_time=201))
    assert isinstance(initiate, do.Initiate)
    assert initiate.options.ownership_token == "mine"


def test_what_was_begun_elsewhere_with_its_token_and_is_complete_is_not_sent_again() -> None:
    view = view_of(stopped()[0])
    machine = resumed(FromJournal(view=view))
    machine.handle(on.Started(now=200))
    made = TargetState(
        etag="e", size_bytes=SOURCE.size_bytes, modified_at=150, crc64=7, ownership_token="mine"
    )
    commands = machine.handle(on.TargetInspected(target=made, server_time=201))
    assert kinds(commands) == ["DeleteJournal", "Report"]
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.COMMITTED


def test_what_was_forbidden_to_be_overwritten_stays_so() -> None:
    written, outcome, _ = stopped(job=structs.replace(JOB, forbid_overwrite=True))
    assert decode(outcome.resume_token or "").forbid_overwrite
    machine = resumed(FromJournal(view=view_of(written)))
    machine.handle(on.Started(now=200))
    _, initiate = machine.handle(on.TargetInspected(target=TARGET, server_time=201))
    assert isinstance(initiate, do.Initiate)
    assert initiate.forbid_overwrite


def test_bytes_that_are_in_no_file_leave_a_token_and_no_journal() -> None:
    written, outcome, is_left = stopped(job=structs.replace(JOB, source=None))
    assert not written
    assert not is_left
    assert decode(outcome.resume_token or "").unbegun


def test_a_cancel_of_it_asks_nothing_and_leaves_nothing() -> None:
    machine = resumed(FromJournal(view=view_of(stopped()[0])))
    assert kinds(machine.handle(on.CancelRequested())) == ["StopRequests"]
    assert kinds(machine.handle(on.RequestsStopped())) == ["DeleteJournal", "Report"]
    assert machine.outcome is not None
    assert machine.outcome.clean_up is CleanUp.VERIFIED


def test_a_failure_leaves_nothing_to_go_on_with() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.InspectTargetFailed(error=PenstockError("no network")))
    assert kinds(machine.handle(on.RequestsStopped())) == ["DeleteJournal", "Report"]
    assert machine.outcome is not None
    assert machine.outcome.resume_token is None


@pytest.mark.parametrize("is_refused", [False, True], ids=["offline", "refused"])
def test_a_resume_that_fails_before_it_begins_keeps_it_for_the_next(is_refused: bool) -> None:
    machine = resumed(FromJournal(view=view_of(stopped()[0])))
    machine.handle(on.Started(now=200))
    if is_refused:
        machine.handle(on.TargetInspected(target=None, server_time=201))
        machine.handle(on.InitiateFailed(error=PenstockError("no permission"), request_sent=False))
    else:
        machine.handle(on.InspectTargetFailed(error=PenstockError("no network")))
    commands = machine.handle(on.RequestsStopped())
    assert kinds(commands) == ["AppendJournal", "Report"]
    assert isinstance(commands[0], do.AppendJournal)
    assert view_of([commands[0].record]).unbegun
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.FAILED
    assert decode(machine.outcome.resume_token or "").unbegun


def test_a_disk_that_refuses_the_intent_does_not_hide_the_end() -> None:
    machine = UploadMachine(JOB, with_settings())
    machine.handle(on.Started(now=1))
    machine.handle(on.AbortRequested())
    assert kinds(machine.handle(on.RequestsStopped())) == ["AppendJournal", "Report"]
    assert kinds(machine.handle(on.JournalFailed(error=PenstockError("the disk is full")))) == ["Report"]


def test_a_copy_begins_only_if_its_source_is_what_its_description_was_taken_from() -> None:
    source = Source(path="oss://from/key", size_bytes=4 * PART_BYTES, etag="E")
    job = structs.replace(JOB, source=source, kind=TransferKind.COPY)
    view = view_of(stopped(job=job)[0])
    same = CopyMachine(job, with_settings(), FromJournal(view=view))
    assert kinds(same.handle(on.Started(now=2))) == ["InspectTarget"]
    changed = structs.replace(job, source=structs.replace(source, etag="F"))
    other = CopyMachine(changed, with_settings(), FromJournal(view=view))
    other.handle(on.Started(now=2))
    other.handle(on.RequestsStopped())
    assert other.outcome is not None
    assert isinstance(other.outcome.error, SourceChanged)
    first = CopyMachine(changed, with_settings(), Fresh())
    assert kinds(first.handle(on.Started(now=2))) == ["InspectTarget"]
