"""What an upload reports is what OSS has: never a mixture, never a loss, never the wrong word for it."""

from __future__ import annotations

import asyncio
import functools
import io
import os
import threading
import urllib.parse

import pytest

import penstock
from penstock.client.transfers import single_request, uploads
from penstock.files.journal_file import JournalFile
from penstock.protocol.crc64 import crc64
from penstock.testing import CuttingProxy

PART = 102_400
PATIENCE_S = 20.0
PARTS = 5
SIZE = (PARTS - 1) * PART + 1000
YES, NO, UNKNOWN = penstock.Committed.YES, penstock.Committed.NO, penstock.Committed.UNKNOWN


@pytest.fixture
def url(oss_bucket):
    return f"oss://{oss_bucket}/k"


@pytest.fixture
def file(new_file):
    return new_file(SIZE)


def open_uploads(client, bucket):
    return [one.upload_id for one in client.iter_multipart_uploads(bucket)]


def stopped_after(client, faults, url, source, count, **options):
    """An upload that was aborted when its first ``count`` parts were acknowledged."""
    fault = faults.on("UploadPart", number=count + 1).stall(after_bytes=1)
    transfer = client.upload(source, url, part_bytes=PART, parallel=1, **options)
    fault.reached.wait()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).error.acknowledged_bytes == count * PART
    faults.end()
    faults.requests.clear()
    return transfer


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 17])
@pytest.mark.parametrize("kind", ["path", "text", "bytes", "file", "BytesIO", "file from its middle"])
def test_any_size_from_any_source_arrives_as_it_was(client, oss_bucket, url, new_file, kind, size):
    file = new_file(size)
    with file.path.open("rb") as opened, file.path.open("rb") as from_middle:
        from_middle.seek(size // 2)
        source = {
            "path": file.path,
            "text": str(file.path),
            "bytes": file.data,
            "file": opened,
            "BytesIO": io.BytesIO(file.data),
            "file from its middle": from_middle,
        }[kind]
        stored = client.upload(source, url, part_bytes=PART, metadata={"a": "b"}).result(PATIENCE_S)
    expected = file.data[size // 2 :] if kind == "file from its middle" else file.data
    assert client.get_object(oss_bucket, "k").read() == expected
    assert stored.crc64 == crc64(expected)
    assert stored.size_bytes == len(expected)
    assert client.head_object(oss_bucket, "k").metadata["a"] == "b"
    assert list(client.unfinished_uploads()) == []


def test_a_small_source_goes_in_one_request(client, oss_bucket, url, oss_faults, file):
    seen = []
    transfer = client.upload(file.path, url, progress=seen.append)
    assert transfer.result(PATIENCE_S).size_bytes == SIZE
    assert [one.operation for one in oss_faults.requests] == ["PutObject"]
    assert transfer.upload_id is None
    assert transfer.resume_token is None
    assert seen[-1].acknowledged_bytes == SIZE


def test_a_small_source_is_acknowledged_when_it_is_stored_and_not_when_it_is_sent(
    client, url, oss_faults, file
):
    oss_faults.on("PutObject").answer(503, "ServiceUnavailable")
    seen = []
    client.upload(file.path, url, progress=seen.append).result(PATIENCE_S)
    assert [one.acknowledged_bytes for one in seen] == [0] * (len(seen) - 1) + [SIZE]
    assert max(one.in_flight_bytes for one in seen) == SIZE


def test_a_target_that_is_a_folder_gets_the_name_of_the_file(client, oss_bucket, file):
    client.upload(file.path, f"oss://{oss_bucket}/a/b/").result(PATIENCE_S)
    assert client.get_object(oss_bucket, "a/b/source.bin").read() == file.data


def test_what_the_object_shall_be_is_said_when_it_is_begun(client, oss_bucket, url, file):
    options = {
        "content_type": "text/x-test",
        "cache_control": "no-store",
        "tags": {"t": "v"},
        "storage_class": "IA",
        "acl": "public-read",
    }
    client.upload(file.path, url, part_bytes=PART, **options).result(PATIENCE_S)
    described = client.head_object(oss_bucket, "k")
    assert (described.content_type, described.cache_control) == ("text/x-test", "no-store")
    assert described.storage_class == "IA"
    assert client.get_object_tagging(oss_bucket, "k") == {"t": "v"}


def test_the_options_survive_a_lost_initiate_and_a_resume(client, oss_bucket, url, oss_faults, file):
    transfer = stopped_after(
        client, oss_faults, url, file.path, 2, content_type="text/x-test", metadata={"a": "b"}
    )
    client.resume(transfer.resume_token).result(PATIENCE_S)
    described = client.head_object(oss_bucket, "k")
    assert described.content_type == "text/x-test"
    assert described.metadata["a"] == "b"


# Answers that are lost


def test_a_lost_answer_to_complete_is_a_success_and_nothing_is_sent_again(
    client, oss_bucket, url, oss_faults, file
):
    oss_faults.on("CompleteMultipartUpload").drop_answer(times=None)
    transfer = client.upload(file.path, url, part_bytes=PART)
    stored = transfer.result(PATIENCE_S)
    assert stored.by_evidence
    assert stored.crc64 == crc64(file.data)
    assert oss_faults.count("CompleteMultipartUpload") == 1
    assert oss_faults.count("UploadPart") == PARTS
    assert client.get_object(oss_bucket, "k").read() == file.data
    assert list(client.unfinished_uploads()) == []


@pytest.mark.parametrize(
    ("completed", "then"),
    [(True, "resolve"), (True, "resume"), (True, "resolve_upload"), (True, "cancel"), (False, "cancel")],
)
def test_a_stop_within_complete_is_unknown_until_it_is_looked_at(
    client, oss_bucket, url, oss_faults, file, then, completed
):
    fault = oss_faults.on("CompleteMultipartUpload").stall(at="answer" if completed else "store", times=1)
    transfer = client.upload(file.path, url, part_bytes=PART)
    fault.reached.wait()
    transfer.abort()
    outcome = transfer.outcome(PATIENCE_S)
    assert outcome.committed == UNKNOWN
    assert outcome.error.code == penstock.STOPPED_IN_FLIGHT
    fault.end()
    sent = oss_faults.count("UploadPart")
    token = outcome.error.resume_token
    if then == "resolve":
        assert transfer.resolve().committed == YES
        assert transfer.result(0).by_evidence
    elif then == "resolve_upload":
        assert client.resolve_upload(token).committed == YES
    elif then == "resume":
        assert client.resume(token).result(PATIENCE_S).by_evidence
    elif completed:
        with pytest.raises(penstock.TransferError, match="complete"):
            transfer.cancel()
        assert transfer.outcome(0).committed == YES
    else:
        assert transfer.cancel() == penstock.CleanUp.VERIFIED
        assert transfer.outcome(0).committed == NO
    assert oss_faults.count("UploadPart") == sent
    assert client.object_exists(oss_bucket, "k") is completed
    assert open_uploads(client, oss_bucket) == []
    assert list(client.unfinished_uploads()) == []


@pytest.mark.slow
def test_a_complete_without_effect_is_known_as_such_after_the_settle_time(
    client, oss_bucket, url, oss_faults, file
):
    fault = oss_faults.on("CompleteMultipartUpload").stall(at="store", times=1)
    transfer = client.upload(file.path, url, part_bytes=PART)
    fault.reached.wait()
    transfer.abort()
    transfer.outcome(PATIENCE_S)
    fault.end()
    assert transfer.resolve().committed == NO
    assert client.resume(transfer.resume_token).result(60).size_bytes == SIZE
    assert oss_faults.count("UploadPart") == PARTS


def test_after_a_refused_complete_a_resume_does_not_wait(client, oss_bucket, url, oss_faults, file):
    oss_faults.on("CompleteMultipartUpload").answer(403, "AccessDenied")
    with pytest.raises(penstock.Forbidden):
        client.upload(file.path, url, part_bytes=PART).result(PATIENCE_S)
    (left,) = client.unfinished_uploads()
    assert left.view.completing is None
    oss_faults.requests.clear()
    client.resume(url).result(PATIENCE_S)
    asked = [one.operation for one in oss_faults.requests]
    assert asked == ["HeadObject", "ListParts", "HeadObject", "CompleteMultipartUpload"]
    assert client.get_object(oss_bucket, "k").read() == file.data


@pytest.mark.parametrize("then", ["is ours", "is not there", "is like ours", "cannot be seen"])
def test_a_single_request_that_was_stopped_in_doubt_is_resolved(
    client, oss_bucket, url, oss_faults, monkeypatch, then
):
    monkeypatch.setattr(single_request, "SETTLE_S", 0.15)
    fault = oss_faults.on("PutObject").stall(at="answer" if then == "is ours" else "store", times=1)
    transfer = client.upload(b"small", url)
    fault.reached.wait()
    transfer.abort()
    error = transfer.outcome(PATIENCE_S).error
    assert (error.committed, error.in_doubt_bytes) == (UNKNOWN, 5)
    assert (transfer.progress.in_flight_bytes, transfer.progress.in_doubt_bytes) == (0, 5)
    assert transfer.cancel() == penstock.CleanUp.PENDING
    fault.end()
    if then == "is like ours":
        client.put_object(oss_bucket, "k", b"small")
    elif then == "cannot be seen":
        oss_faults.on("HeadObject").answer(403, "AccessDenied", times=None)
    resolved = transfer.resolve()
    assert resolved.committed == {"is ours": YES, "cannot be seen": UNKNOWN}.get(then, NO)
    assert transfer.progress.in_doubt_bytes == (5 if then == "cannot be seen" else 0)
    if then == "is ours":
        assert resolved.value.by_evidence
        assert resolved.value.crc64 == crc64(b"small")
    elif then != "cannot be seen":
        assert resolved.error.in_doubt_bytes == 0
        assert oss_faults.count("HeadObject") > 1, "it was asked again until the settle time was over"


@pytest.mark.parametrize("operation", ["PutObject", "CompleteMultipartUpload"])
def test_a_transfer_of_asyncio_that_was_stopped_in_doubt_is_resolved(
    oss_env, oss_bucket, url, oss_faults, operation
):
    fault = oss_faults.on(operation).stall(at="answer", times=1)
    part_bytes = None if operation == "PutObject" else PART

    async def main():
        async with penstock.AsyncClient() as client:
            transfer = await client.upload(b"small", url, part_bytes=part_bytes)
            await asyncio.to_thread(fault.reached.wait)
            transfer.abort()
            assert (await transfer.outcome()).committed == UNKNOWN
            fault.end()
            question = oss_faults.on("HeadObject").stall(times=1)
            task = asyncio.ensure_future(transfer.resolve())
            await asyncio.to_thread(question.reached.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            question.end()
            assert (await transfer.outcome()).committed == UNKNOWN
            return await transfer.resolve()

    assert asyncio.run(main()).committed == YES


def test_what_an_asyncio_program_left_is_resolved_and_cancelled_by_its_token(
    client, url, oss_env, oss_faults, file, monkeypatch
):
    monkeypatch.setattr(uploads, "UploadSettings", functools.partial(uploads.UploadSettings, settle_s=0.1))
    token = stopped_after(client, oss_faults, url, file.path, 2).resume_token

    async def main():
        async with penstock.AsyncClient(state_dir=client._journals._state.root) as asynchronous:
            resolved = await asynchronous.resolve_upload(token)
            asynchronous.disable_requests()
            return resolved, await asynchronous.cancel_upload(token)

    resolved, cancelled = asyncio.run(main())
    assert resolved.committed == NO
    assert cancelled.clean_up == penstock.CleanUp.VERIFIED


def test_a_second_attempt_that_is_stopped_midway_does_not_deny_what_the_first_one_made(
    client, oss_bucket, url, oss_faults, new_file
):
    file = new_file(4 << 20)
    oss_faults.on("PutObject", nth=1).drop_answer()
    second = oss_faults.on("PutObject").stall(after_bytes=1)
    transfer = client.upload(file.path, url)
    second.reached.wait()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).committed == UNKNOWN
    second.end()
    resolved = transfer.resolve()
    assert resolved.committed == YES
    assert resolved.value.crc64 == crc64(file.data)


def test_a_second_attempt_of_a_part_that_is_stopped_midway_leaves_the_first_one_in_doubt(
    client, url, oss_faults, new_file
):
    file = new_file(4 << 20)
    oss_faults.on("UploadPart", nth=1).drop_answer()
    second = oss_faults.on("UploadPart").stall(after_bytes=1)
    transfer = client.upload(file.path, url, part_bytes=4 << 20)
    second.reached.wait()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).error.in_doubt_bytes == 4 << 20


def test_a_lost_answer_to_initiate_leaves_no_orphan(client, oss_bucket, url, oss_faults, file):
    oss_faults.on("InitiateMultipartUpload").drop_answer()
    transfer = client.upload(file.path, url, part_bytes=PART)
    assert transfer.result(PATIENCE_S).size_bytes == SIZE
    assert oss_faults.count("InitiateMultipartUpload") == 1
    assert client.get_object(oss_bucket, "k").read() == file.data
    assert open_uploads(client, oss_bucket) == []


def test_an_initiate_that_never_reached_oss_is_sent_again(client, oss_bucket, url, oss_faults, file):
    oss_faults.on("InitiateMultipartUpload").answer(503, "ServiceUnavailable", times=1)
    assert client.upload(file.path, url, part_bytes=PART).result(PATIENCE_S).size_bytes == SIZE
    assert oss_faults.count("InitiateMultipartUpload") == 2
    assert open_uploads(client, oss_bucket) == []


def test_lost_answers_to_parts_cost_only_those_parts(client, oss_bucket, url, oss_faults, file):
    oss_faults.on("UploadPart", number=2).drop_answer()
    oss_faults.on("UploadPart", number=3).cut(after_bytes=1)
    oss_faults.on("UploadPart", number=4).answer(500, "InternalError")
    oss_faults.on("UploadPart", number=5).alter_answer({"x-oss-hash-crc64ecma": "1"})
    client.upload(file.path, url, part_bytes=PART).result(PATIENCE_S)
    assert [oss_faults.count("UploadPart", number=number) for number in range(1, 6)] == [1, 2, 2, 2, 2]
    assert client.get_object(oss_bucket, "k").read() == file.data


def test_a_part_that_never_gets_through_ends_the_upload_and_keeps_it(
    client, oss_bucket, url, oss_faults, file
):
    oss_faults.on("UploadPart", number=3).answer(500, "InternalError", times=None)
    transfer = client.upload(file.path, url, part_bytes=PART, parallel=1)
    outcome = transfer.outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.ServiceUnavailable)
    assert not outcome.aborted
    assert outcome.committed == NO
    assert transfer.progress.acknowledged_bytes == 2 * PART
    oss_faults.end()
    oss_faults.requests.clear()
    client.resume(transfer.resume_token).result(PATIENCE_S)
    assert sorted(one.number for one in oss_faults.asked("UploadPart")) == [3, 4, 5]


@pytest.mark.parametrize(
    ("operation", "part_bytes"), [("CompleteMultipartUpload", PART), ("PutObject", None)]
)
def test_a_whole_that_differs_from_the_source_is_noticed(
    client, url, oss_faults, file, operation, part_bytes
):
    oss_faults.on(operation).alter_answer({"x-oss-hash-crc64ecma": "1"})
    outcome = client.upload(file.path, url, part_bytes=part_bytes).outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.ChecksumMismatch)
    assert outcome.committed == YES


def test_an_upload_over_connections_that_break(client, make_client, oss_server, oss_bucket, url, file):
    port = urllib.parse.urlsplit(oss_server.endpoint).port
    with CuttingProxy(port, cut_after_sent_bytes=150_000, times=3) as proxy:
        broken = make_client(proxy.endpoint())
        broken.upload(file.path, url, part_bytes=PART, parallel=2).result(PATIENCE_S)
        assert proxy.cut
    assert client.get_object(oss_bucket, "k").read() == file.data


# Uploads that go away


@pytest.mark.parametrize("when", ["between", "during"])
def test_an_upload_that_oss_forgot_is_lost_and_not_begun_anew(
    client, oss_bucket, url, oss_faults, file, when
):
    if when == "between":
        transfer = stopped_after(client, oss_faults, url, file.path, 2)
        oss_faults.forget(oss_bucket, "k", transfer.upload_id)
        transfer = client.resume(transfer.resume_token)
        begun = 0
    else:
        oss_faults.on("UploadPart", number=3).forget_upload()
        transfer = client.upload(file.path, url, part_bytes=PART, parallel=1)
        begun = 1
    outcome = transfer.outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.UploadLost)
    assert outcome.committed == NO
    assert outcome.error.advice
    assert oss_faults.count("InitiateMultipartUpload") == begun
    assert not client.object_exists(oss_bucket, "k")


def test_an_error_of_list_parts_never_begins_a_new_upload(client, oss_bucket, url, oss_faults, file):
    transfer = stopped_after(client, oss_faults, url, file.path, 2)
    for status, code in ((403, "AccessDenied"), (500, "InternalError"), (404, "NoSuchBucket")):
        oss_faults.on("ListParts").answer(status, code, times=4)
        outcome = client.resume(transfer.resume_token).outcome(PATIENCE_S)
        assert isinstance(outcome.error, penstock.ServiceError)
        oss_faults.end()
    assert oss_faults.count("InitiateMultipartUpload") == 0
    assert open_uploads(client, oss_bucket) == [transfer.upload_id]
    client.resume(transfer.resume_token).result(PATIENCE_S)


@pytest.mark.parametrize(
    ("written", "never"),
    [(0, "InitiateMultipartUpload"), (1, "UploadPart"), (PARTS + 2, "CompleteMultipartUpload")],
    ids=["no INTENT", "no UPLOAD", "no COMPLETING"],
)
def test_what_the_disk_refuses_to_journal_is_not_done(
    client, oss_bucket, url, oss_faults, file, monkeypatch, written, never
):
    append = JournalFile.append
    frames = []

    def append_until_full(journal, frame, *, durable):
        if len(frames) == written:
            raise penstock.TransferError("the disk is full")
        frames.append(frame)
        append(journal, frame, durable=durable)

    with monkeypatch.context() as full:
        full.setattr(JournalFile, "append", append_until_full)
        outcome = client.upload(file.path, url, part_bytes=PART, parallel=1).outcome(PATIENCE_S)
    assert (outcome.committed, outcome.error.message) == (NO, "the disk is full")
    assert oss_faults.count(never) == 0
    if outcome.error.resume_token is not None:
        client.resume(outcome.error.resume_token, file.path).result(PATIENCE_S)
    assert open_uploads(client, oss_bucket) == []


# Sources that change


def rewritten_in_secret(path, offset):
    """Change bytes, and put back size and times: only ctime tells."""
    status = path.stat()
    with path.open("r+b") as opened:
        opened.seek(offset)
        opened.write(os.urandom(1000))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replaced(path, offset):
    """Another file of the same size and time gets the name."""
    status = path.stat()
    other = path.with_suffix(".other")
    other.write_bytes(path.read_bytes())
    rewritten_in_secret(other, offset)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


@pytest.mark.parametrize("change", [rewritten_in_secret, replaced])
@pytest.mark.parametrize("offset", [0, PART, 3 * PART], ids=["part 1", "part 2", "part 4"])
def test_a_source_that_changed_since_is_never_mixed(
    client, oss_bucket, url, oss_faults, file, offset, change
):
    transfer = stopped_after(client, oss_faults, url, file.path, 3)
    change(file.path, offset)
    differing = {0: (1,), PART: (2,), 3 * PART: ()}[offset]
    resumed = client.resume(transfer.resume_token)
    if differing:
        error = resumed.outcome(PATIENCE_S).error
        assert isinstance(error, penstock.SourceChanged)
        assert error.differing_parts == differing
        assert set(error.matching_parts) == {1, 2, 3} - set(differing)
        assert oss_faults.count("UploadPart") == 0
        assert not client.object_exists(oss_bucket, "k")
        resumed = client.resume(transfer.resume_token, keep_matching=True)
    resumed.result(PATIENCE_S)
    assert resumed.upload_id == transfer.upload_id
    assert sorted(one.number for one in oss_faults.asked("UploadPart")) == sorted({4, 5, *differing})
    assert client.get_object(oss_bucket, "k").read() == file.path.read_bytes()


def test_a_journal_knows_which_revision_of_the_source_was_sent(client, url, oss_faults, file):
    stopped_after(client, oss_faults, url, file.path, 1)
    (left,) = client.unfinished_uploads()
    assert left.view.intent.server_clock
    source, status = left.view.intent.source, file.path.stat()
    assert (source.path, source.size_bytes) == (str(file.path), status.st_size)
    assert (source.mtime_ns, source.ctime_ns) == (status.st_mtime_ns, status.st_ctime_ns)
    assert (source.device, source.inode) == (status.st_dev, status.st_ino)


def test_a_source_that_was_only_touched_is_compared_and_gone_on_with(
    client, oss_bucket, url, oss_faults, file
):
    transfer = stopped_after(client, oss_faults, url, file.path, 3)
    file.path.touch()
    client.resume(transfer.resume_token).result(PATIENCE_S)
    assert oss_faults.count("UploadPart") == 2
    assert client.get_object(oss_bucket, "k").read() == file.data


@pytest.mark.parametrize("size", [SIZE - 2 * PART, SIZE + 2 * PART])
def test_a_source_of_another_length_is_refused_and_can_be_kept_in_part(
    client, oss_bucket, url, oss_faults, file, size
):
    transfer = stopped_after(client, oss_faults, url, file.path, 2)
    os.truncate(file.path, size)
    assert isinstance(client.resume(transfer.resume_token).outcome(PATIENCE_S).error, penstock.SourceChanged)
    resumed = client.resume(transfer.resume_token, keep_matching=True)
    assert resumed.result(PATIENCE_S).size_bytes == size
    assert oss_faults.count("UploadPart", number=1) == oss_faults.count("UploadPart", number=2) == 0
    assert client.get_object(oss_bucket, "k").read() == file.path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "change", "offset", "number"),
    [
        ("path", rewritten_in_secret, 0, 3),
        ("path", rewritten_in_secret, 4 * PART, 3),
        ("path", replaced, 0, 3),
        # Nothing is read any more: only the look before Complete can tell.
        ("path", rewritten_in_secret, 0, PARTS),
        ("path", replaced, 0, PARTS),
        ("open file from its middle", rewritten_in_secret, 0, 3),
        ("open file from its middle", rewritten_in_secret, 4 * PART, 3),
    ],
)
def test_a_source_that_changes_under_an_upload_is_never_mixed(
    client, oss_bucket, url, oss_faults, file, kind, change, offset, number
):
    fault = oss_faults.on("UploadPart", number=number).stall(at="store", times=1)
    with file.path.open("rb") as opened:
        opened.seek(1)
        source = file.path if kind == "path" else opened
        transfer = client.upload(source, url, part_bytes=PART, parallel=1)
        fault.reached.wait()
        change(file.path, offset)
        fault.release()
        outcome = transfer.outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.SourceChanged)
    assert not client.object_exists(oss_bucket, "k")
    assert oss_faults.count("CompleteMultipartUpload") == 0


def test_a_source_that_is_gone_at_resume_is_told_at_once(client, url, oss_faults, file):
    transfer = stopped_after(client, oss_faults, url, file.path, 2)
    file.path.unlink()
    with pytest.raises(penstock.SourceUnreadable):
        client.resume(transfer.resume_token)
    file.path.write_bytes(file.data)
    assert client.resume(transfer.resume_token).result(PATIENCE_S).size_bytes == SIZE


# Targets that change


@pytest.mark.parametrize("before", [None, b"old"])
def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(
    client, oss_bucket, url, oss_faults, file, before
):
    if before is not None:
        client.put_object(oss_bucket, "k", before)
    transfer = stopped_after(client, oss_faults, url, file.path, 2)
    client.put_object(oss_bucket, "k", b"theirs")
    outcome = client.resume(transfer.resume_token).outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.TargetChanged)
    assert client.get_object(oss_bucket, "k").read() == b"theirs"
    client.resume(transfer.resume_token, protect_target=False).result(PATIENCE_S)
    assert client.get_object(oss_bucket, "k").read() == file.data


def test_a_target_that_is_written_in_the_last_moment_is_not_overwritten(
    client, oss_bucket, url, oss_faults, file
):
    fault = oss_faults.on("CompleteMultipartUpload").stall(at="store", times=1)
    transfer = client.upload(file.path, url, part_bytes=PART)
    fault.reached.wait()
    client.put_object(oss_bucket, "k", b"theirs")
    fault.release()
    assert isinstance(transfer.outcome(PATIENCE_S).error, penstock.TargetChanged)
    assert client.get_object(oss_bucket, "k").read() == b"theirs"


@pytest.mark.parametrize("part_bytes", [PART, None])
def test_an_object_that_was_there_before_is_replaced_unless_forbidden(
    client, oss_bucket, url, file, part_bytes
):
    client.put_object(oss_bucket, "k", b"old")
    outcome = client.upload(file.path, url, part_bytes=part_bytes, forbid_overwrite=True).outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.Conflict)
    assert client.get_object(oss_bucket, "k").read() == b"old"
    client.upload(file.path, url, part_bytes=part_bytes).result(PATIENCE_S)
    assert client.get_object(oss_bucket, "k").read() == file.data


# One outcome


def test_a_stop_at_any_moment_has_one_true_outcome(client, oss_bucket, new_file):
    """Stops that come later and later, from the first request to after the last."""
    file = new_file(SIZE)
    outcomes = set()
    for number in range(40):
        url = f"oss://{oss_bucket}/{number}"
        transfer = client.upload(file.path, url, part_bytes=PART)
        threading.Event().wait(number * 0.001)
        transfer.abort()
        outcome = transfer.outcome(PATIENCE_S)
        exists = client.object_exists(oss_bucket, str(number))
        outcomes.add(outcome.committed)
        assert (outcome.value is None) is (outcome.error is not None)
        if outcome.committed == YES:
            assert exists
            assert outcome.error is None
        elif outcome.committed == NO:
            assert not exists
            assert outcome.aborted
        if outcome.error is not None and outcome.error.resume_token is not None:
            client.resume(outcome.error.resume_token).result(PATIENCE_S)
            assert client.get_object(oss_bucket, str(number)).read() == file.data
    assert open_uploads(client, oss_bucket) == []
    assert NO in outcomes


@pytest.mark.slow
def test_ten_thousand_parts(client, oss_bucket, url, oss_faults, tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as opened:
        opened.truncate(10_000 * PART)
    transfer = client.upload(path, url, part_bytes=PART, parallel=8)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") > 5000, timeout_s=300)
    transfer.abort()
    acknowledged = transfer.outcome(PATIENCE_S).error.acknowledged_bytes // PART
    oss_faults.requests.clear()
    resumed = client.resume(transfer.resume_token, parallel=8)
    assert resumed.result(300).size_bytes == 10_000 * PART
    assert 10_000 - acknowledged - 8 <= oss_faults.count("UploadPart") <= 10_000 - acknowledged
    assert client.head_object(oss_bucket, "k").content_bytes == 10_000 * PART
