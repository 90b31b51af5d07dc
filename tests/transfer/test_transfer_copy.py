"""The copy machine where it differs from that of an upload."""

from __future__ import annotations

import random

import msgspec
import pytest
from msgspec import structs
from upload_world import PART_BYTES, with_settings

from penstock.errors import ChecksumMismatch, SourceChanged
from penstock.protocol.crc64 import combine_all
from penstock.protocol.limits import GIB, MAX_PARTS
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.copy import COPY_PART_BYTES, CopyMachine, copy_plan
from penstock.transfer.job import Beginning, FromJournal, FromKey, FromToken, UploadJob, resumed_job
from penstock.transfer.journal import (
    Intent,
    JournalView,
    PartStored,
    Source,
    TransferKind,
    journal_view,
)
from penstock.transfer.outcome import OutcomeKind
from penstock.transfer.token import decode

WHOLE = combine_all((number, PART_BYTES) for number in (1, 2, 3, 4))
SOURCE = Source(path="oss://from/key", size_bytes=4 * PART_BYTES, etag="E", crc64=WHOLE)
JOB = UploadJob(
    job_id="job",
    endpoint="oss.test",
    region="r",
    bucket="b",
    key="k",
    source=SOURCE,
    total_bytes=4 * PART_BYTES,
    part_bytes=PART_BYTES,
    kind=TransferKind.COPY,
)


def kinds(commands: list[do.Command]) -> list[str]:
    return [type(command).__name__ for command in commands]


def made(number: int, crc64: int | None = None) -> on.PartSent:
    crc = number if crc64 is None else crc64
    return on.PartSent(number=number, size_bytes=PART_BYTES, crc64=crc, etag=f"P{number}", stored_crc64=crc)


def listed(*numbers: int, crc64: int | None = None) -> on.PartsListed:
    parts = tuple(
        on.ListedPart(
            number=number, size_bytes=PART_BYTES, etag=f"P{number}", crc64=number if crc64 is None else crc64
        )
        for number in numbers
    )
    return on.PartsListed(parts=parts, final=True)


def begun(source: Source = SOURCE) -> CopyMachine:
    machine = CopyMachine(structs.replace(JOB, source=source), with_settings(parallel=4))
    machine.handle(on.Started(now=100))
    machine.handle(on.TargetInspected(target=None, server_time=100))
    machine.handle(on.UploadInitiated(upload_id="u"))
    return machine


def view_of(machine: CopyMachine, *numbers: int) -> JournalView:
    intent = machine._standing.intent
    assert isinstance(intent, Intent)
    parts = {
        n: PartStored(number=n, offset=(n - 1) * PART_BYTES, size_bytes=PART_BYTES, crc64=n, etag=f"P{n}")
        for n in numbers
    }
    return JournalView(intent=intent, upload_id="u", parts=parts)


def resumed(beginning: Beginning, source: Source = SOURCE, **settings: object) -> CopyMachine:
    job = structs.replace(JOB, source=source)
    if isinstance(beginning, FromJournal):
        job = resumed_job(beginning.view.intent, source, source.size_bytes)
        assert job.kind is TransferKind.COPY
    machine = CopyMachine(job, with_settings(parallel=4, **settings), beginning)
    machine.handle(on.Started(now=200))
    machine.handle(on.TargetInspected(target=None, server_time=200))
    return machine


def sent(commands: list[do.Command]) -> list[int]:
    return [command.number for command in commands if isinstance(command, do.SendPart)]


def test_a_copy_says_so_in_its_journal_its_token_and_its_outcome() -> None:
    machine = begun()
    assert view_of(machine).intent.kind is TransferKind.COPY
    assert view_of(machine).intent.source == SOURCE
    assert machine.resume_token is not None
    token = decode(machine.resume_token)
    assert (token.kind, token.source, token.source_etag) == (TransferKind.COPY, "oss://from/key", "E")
    machine.handle(on.AbortRequested())
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert "the copy was stopped" in str(machine.outcome.to_error())


def test_a_resume_makes_only_what_is_not_listed_and_reads_nothing() -> None:
    # Part 3 was made by OSS, and nobody was there to write it down.
    machine = resumed(FromJournal(view_of(begun(), 1)))
    commands = machine.handle(listed(1, 3))
    assert "HashPart" not in kinds(commands)
    assert sent(commands) == [2, 4]


def test_a_resume_by_token_alone_trusts_the_etag() -> None:
    text = begun().resume_token
    assert text is not None
    machine = resumed(FromToken(decode(text)))
    commands = machine.handle(listed(1, 2, 3))
    assert "HashPart" not in kinds(commands)
    assert sent(commands) == [4]


def test_a_resume_by_key_alone_compares_what_it_finds() -> None:
    machine = resumed(FromKey())
    machine.handle(on.UploadsFound(uploads=(on.FoundUpload(upload_id="u", initiated_at=1),)))
    assert kinds(machine.handle(listed(1))) == ["HashPart"]
    assert sent(machine.handle(on.PartHashed(number=1, crc64=1))) == [2, 3, 4]


@pytest.mark.parametrize("from_token", [False, True], ids=["journal", "token"])
def test_a_source_that_changed_between_the_runs_is_refused_unread(from_token: bool) -> None:
    first = begun()
    assert first.resume_token is not None
    beginning = FromToken(decode(first.resume_token)) if from_token else FromJournal(view_of(first, 1))
    machine = resumed(beginning, structs.replace(SOURCE, etag="F"))
    assert kinds(machine.handle(listed(1))) == ["StopRequests"]
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert isinstance(machine.outcome.error, SourceChanged)
    assert "its ETag was E and is F" in machine.outcome.error.message


def test_parts_that_still_match_a_changed_source_are_kept_where_asked() -> None:
    machine = resumed(
        FromJournal(view_of(begun(), 1)), structs.replace(SOURCE, etag="F", crc64=5), keep_matching=True
    )
    assert kinds(machine.handle(listed(1, 2))) == ["HashPart", "HashPart"]
    machine.handle(on.PartHashed(number=1, crc64=77))
    assert sent(machine.handle(on.PartHashed(number=2, crc64=2))) == [1, 3, 4]


def test_a_source_that_changes_under_way_is_never_completed() -> None:
    machine = begun()
    for number in (1, 2, 3, 4):
        machine.handle(made(number))
    machine.handle(on.SourceInspected(source=structs.replace(SOURCE, etag="F")))
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert isinstance(machine.outcome.error, SourceChanged)


def test_parts_that_together_are_not_the_source_are_never_completed() -> None:
    machine = begun()
    for number in (1, 2, 3):
        machine.handle(made(number))
    machine.handle(made(4, crc64=99))
    machine.handle(on.SourceInspected(source=SOURCE))
    assert kinds(machine.handle(on.TargetInspected(target=None))) == ["StopRequests"]
    machine.handle(on.RequestsStopped())
    assert machine.outcome is not None
    assert isinstance(machine.outcome.error, ChecksumMismatch)
    assert machine.outcome.upload_id == "u", "it can still be cancelled"


@pytest.mark.parametrize("crc64", [WHOLE, None], ids=["known", "unknown"])
def test_a_copy_is_completed_under_the_checksum_of_its_source(crc64: int | None) -> None:
    source = structs.replace(SOURCE, crc64=crc64)
    machine = begun(source)
    for number in (1, 2, 3, 4):
        machine.handle(made(number))
    machine.handle(on.SourceInspected(source=source))
    commands = machine.handle(on.TargetInspected(target=None))
    assert kinds(commands) == ["AppendJournal", "Complete"]
    machine.handle(on.CompleteSucceeded(etag="N", crc64=WHOLE))
    assert machine.outcome is not None
    assert machine.outcome.kind is OutcomeKind.COMMITTED


def test_any_subset_of_stored_parts_is_never_made_again() -> None:
    rng = random.Random(1)
    for _ in range(50):
        stored = sorted(rng.sample([1, 2, 3, 4], rng.randint(1, 4)))
        known = [number for number in stored if rng.random() < 0.5]
        machine = resumed(FromJournal(view_of(begun(), *known)))
        commands = machine.handle(listed(*stored))
        assert sent(commands) == [number for number in (1, 2, 3, 4) if number not in stored]


def test_parts_of_a_copy_are_large_and_never_too_many() -> None:
    assert copy_plan(2 * GIB).part_bytes == COPY_PART_BYTES
    assert copy_plan(10_000 * GIB).count <= MAX_PARTS
    assert copy_plan(2 * GIB, PART_BYTES * 10).part_bytes == PART_BYTES * 10


def test_old_journals_and_tokens_are_those_of_uploads() -> None:
    view = journal_view([view_of(begun()).intent])
    assert view is not None
    old = {
        name: value
        for name, value in msgspec.to_builtins(view.intent).items()
        if name not in ("kind", "path", "version_id")
    }
    old["source"] = {k: v for k, v in old["source"].items() if k not in ("etag", "version_id", "crc64")}
    read = msgspec.convert(old, Intent)
    assert read.kind is TransferKind.UPLOAD
    assert (read.path, read.version_id) == ("", "")
