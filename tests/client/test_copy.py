"""Copies: made by OSS alone, exact, stopped and gone on with under the same UploadId."""

from __future__ import annotations

import asyncio
import os
import re

import msgspec
import pytest

import penstock
from penstock.client.sending.requester import Requester
from penstock.client.transfers import copies, single_request
from penstock.protocol.crc64 import crc64
from penstock.protocol.operations.multipart import UploadPartCopyResult

PART = 102_400
PARTS = 6
SIZE = (PARTS - 1) * PART + 777
PATIENCE_S = 20.0


class Scene:
    """An object to be copied, and a client."""

    def __init__(self, client, bucket, faults):
        self.client = client
        self.bucket = bucket
        self.faults = faults
        self.source = f"oss://{bucket}/dir/from"
        self.target = f"oss://{bucket}/to"
        self.data = os.urandom(SIZE)
        self.write_source(self.data)

    def write_source(self, data):
        self.client.put_object(
            self.bucket,
            "dir/from",
            data,
            content_type="text/x-test",
            cache_control="no-cache",
            metadata={"one": "1"},
            tags={"t": "v"},
        )

    def copy(self, **options):
        return self.client.copy(self.source, self.target, **{"part_bytes": PART, "parallel": 1, **options})

    def stopped(self, made: int, how="abort", **options):
        """A copy that was stopped when OSS had made so many parts."""
        fault = self.faults.on("UploadPartCopy", number=made + 1).stall(times=1)
        transfer = self.copy(**options)
        fault.reached.wait()
        getattr(transfer, how)()
        assert transfer.outcome(PATIENCE_S).error is not None
        fault.end()
        self.faults.requests.clear()
        return transfer

    def made(self) -> list[int]:
        """Numbers of the parts that OSS was asked to make, in order."""
        return [one.number for one in self.faults.asked("UploadPartCopy")]

    def open_uploads(self) -> list[str]:
        return [one.upload_id for one in self.client.iter_multipart_uploads(self.bucket)]

    def is_complete(self) -> bool:
        assert self.faults.count("GetObject") == 0, "bytes were read"
        same = self.client.get_object(self.bucket, "to").read() == self.data
        return same and not self.open_uploads() and not list(self.client.unfinished_uploads())


@pytest.fixture
def scene(client, oss_bucket, oss_faults):
    return Scene(client, oss_bucket, oss_faults)


def test_a_small_object_is_copied_in_one_request(scene):
    scene.faults.requests.clear()
    done = scene.client.copy(scene.source, scene.target).result(PATIENCE_S)
    assert [one.operation for one in scene.faults.requests] == ["HeadObject", "CopyObject"]
    assert (done.size_bytes, done.crc64) == (SIZE, crc64(scene.data))
    assert scene.is_complete()


def test_parts_are_made_in_parallel_and_each_is_bound_to_the_etag(scene):
    etag = scene.client.head_object(scene.bucket, "dir/from").etag
    fault = scene.faults.on("UploadPartCopy").stall(times=3)
    transfer = scene.copy(parallel=3)
    scene.faults.wait_until(lambda: scene.faults.count("UploadPartCopy") == 3)
    fault.release()
    done = transfer.result(PATIENCE_S)
    assert done.crc64 == crc64(scene.data)
    asked = scene.faults.asked("UploadPartCopy")
    assert sorted(scene.made()) == list(range(1, PARTS + 1))
    assert {one.headers["x-oss-copy-source-if-match"] for one in asked} == {f'"{etag}"'}
    assert scene.is_complete()


@pytest.mark.parametrize("part_bytes", [None, PART])
def test_a_copy_is_described_as_its_source_however_it_was_made(scene, part_bytes):
    scene.copy(part_bytes=part_bytes).result(PATIENCE_S)
    made = scene.client.head_object(scene.bucket, "to")
    assert (made.content_type, made.cache_control) == ("text/x-test", "no-cache")
    assert made.metadata["one"] == "1"
    assert scene.client.get_object_tagging(scene.bucket, "to") == {"t": "v"}


@pytest.mark.parametrize("part_bytes", [None, PART])
def test_a_copy_is_described_anew_where_asked(scene, part_bytes):
    scene.copy(
        part_bytes=part_bytes,
        replace_metadata=True,
        replace_tags=True,
        content_type="text/y",
        metadata={"two": "2"},
        tags={"u": "w"},
        storage_class="IA",
    ).result(PATIENCE_S)
    made = scene.client.head_object(scene.bucket, "to")
    assert (made.content_type, made.cache_control, made.storage_class) == ("text/y", None, "IA")
    assert "one" not in made.metadata
    assert made.metadata["two"] == "2"
    assert scene.client.get_object_tagging(scene.bucket, "to") == {"u": "w"}


def test_an_empty_object_is_copied_whole_also_where_parts_are_wanted(scene):
    scene.write_source(b"")
    assert scene.copy().result(PATIENCE_S).size_bytes == 0
    assert scene.client.head_object(scene.bucket, "to").content_bytes == 0


def test_above_the_limit_an_object_is_copied_in_parts(scene, monkeypatch):
    monkeypatch.setattr(copies, "SINGLE_COPY_BYTES", SIZE - 1)
    scene.copy(part_bytes=None).result(PATIENCE_S)
    assert scene.made() == [1], "one part of 64 MiB at most"
    assert scene.is_complete()


@pytest.mark.parametrize("how", ["token", "address", "another client", "token alone"])
@pytest.mark.parametrize("made", [0, 3, PARTS - 1])
def test_a_resume_has_exactly_what_is_missing_made_under_the_same_id(scene, make_client, tmp_path, how, made):
    transfer = scene.stopped(made)
    error = transfer.outcome(0).error
    assert (error.committed, error.acknowledged_bytes) == ("no", made * PART)
    assert error.upload_id == transfer.upload_id
    assert scene.open_uploads() == [transfer.upload_id]
    scene.faults.requests.clear()
    match how:
        case "token":
            resumed = scene.client.resume(error.resume_token)
        case "address":
            resumed = scene.client.resume(scene.target)
        case "another client":
            resumed = make_client().resume(error.resume_token)
        case _:
            resumed = make_client(state_dir=tmp_path / "elsewhere").resume(error.resume_token)
            for left in scene.client.unfinished_uploads():
                left.path.unlink()
    assert resumed.result(PATIENCE_S).crc64 == crc64(scene.data)
    assert resumed.upload_id == transfer.upload_id
    assert sorted(scene.made()) == list(range(made + 1, PARTS + 1))
    assert scene.faults.count("InitiateMultipartUpload") == 0
    assert scene.is_complete()


def test_a_part_whose_answer_was_lost_is_neither_made_again_nor_read(scene):
    scene.faults.on("UploadPartCopy", number=3).stall(at="answer", times=1)
    transfer = scene.copy()
    scene.faults.wait_until(lambda: 3 in scene.made())
    scene.faults.wait_until(
        lambda: 3 in [one.number for one in scene.client.iter_parts(scene.bucket, "to", transfer.upload_id)]
    )
    transfer.abort()
    error = transfer.outcome(PATIENCE_S).error
    assert error.acknowledged_bytes == 2 * PART
    assert error.in_doubt_bytes == PART
    scene.faults.end()
    scene.faults.requests.clear()
    scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert sorted(scene.made()) == [4, 5, 6]
    assert scene.is_complete()


def test_a_copy_is_found_by_its_key_alone_and_compared(scene, make_client, tmp_path):
    transfer = scene.stopped(2, journal=False)
    elsewhere = make_client(state_dir=tmp_path / "elsewhere")
    with pytest.raises(penstock.InvalidInput):
        elsewhere.resume(scene.target)
    resumed = elsewhere.resume(scene.target, scene.source, journal=False)
    resumed.result(PATIENCE_S)
    assert resumed.upload_id == transfer.upload_id
    assert sorted(scene.made()) == [3, 4, 5, 6]
    read = [one.headers["range"] for one in scene.faults.asked("GetObject")]
    assert sorted(int(re.match(r"bytes=(\d+)", text)[1]) for text in read) == [0, PART]


def test_a_source_that_changes_under_way_is_refused(scene):
    fault = scene.faults.on("UploadPartCopy", number=3).stall(times=1)
    transfer = scene.copy()
    fault.reached.wait()
    scene.write_source(os.urandom(SIZE))
    fault.release()
    with pytest.raises(penstock.SourceChanged, match="begin a new one"):
        transfer.result(PATIENCE_S)
    assert not scene.client.object_exists(scene.bucket, "to")
    assert transfer.cancel() is penstock.CleanUp.VERIFIED
    assert scene.open_uploads() == []


def test_a_source_that_changed_between_the_runs_is_refused_unread(scene):
    transfer = scene.stopped(3)
    scene.write_source(os.urandom(SIZE))
    with pytest.raises(penstock.SourceChanged, match="its ETag was"):
        scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert scene.faults.count("GetObject") == 0
    assert scene.made() == []


def test_parts_that_still_match_a_changed_source_are_kept_where_asked(scene):
    transfer = scene.stopped(3)
    changed = bytearray(scene.data)
    changed[PART + 1] ^= 1
    scene.write_source(bytes(changed))
    scene.client.resume(transfer.resume_token, keep_matching=True).result(PATIENCE_S)
    assert sorted(scene.made()) == [2, 4, 5, 6]
    etag = scene.client.head_object(scene.bucket, "dir/from").etag
    assert {one.headers["if-match"] for one in scene.faults.asked("GetObject")} == {f'"{etag}"'}
    assert scene.client.get_object(scene.bucket, "to").read() == bytes(changed)


@pytest.mark.parametrize("part_bytes", [None, PART])
def test_a_source_that_is_written_to_before_the_first_request_is_refused(scene, part_bytes):
    fault = scene.faults.on("CopyObject" if part_bytes is None else "InitiateMultipartUpload").stall(times=1)
    transfer = scene.copy(part_bytes=part_bytes)
    fault.reached.wait()
    scene.write_source(os.urandom(SIZE))
    fault.release()
    with pytest.raises(penstock.SourceChanged):
        transfer.result(PATIENCE_S)
    assert not scene.client.object_exists(scene.bucket, "to")


def test_parts_that_together_are_not_the_source_are_never_completed(scene):
    scene.faults.on("HeadObject", key="dir/from").alter_answer(
        {"x-oss-hash-crc64ecma": str(crc64(scene.data) ^ 1)}, times=None
    )
    transfer = scene.copy()
    with pytest.raises(penstock.ChecksumMismatch, match="was not made"):
        transfer.result(PATIENCE_S)
    assert scene.faults.count("CompleteMultipartUpload") == 0
    assert transfer.cancel() is penstock.CleanUp.VERIFIED


def test_a_whole_that_is_not_the_source_is_noticed(scene):
    scene.faults.on("CopyObject").alter_answer({"x-oss-hash-crc64ecma": str(crc64(scene.data) ^ 1)})
    outcome = scene.copy(part_bytes=None).outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.ChecksumMismatch)
    assert outcome.committed == penstock.Committed.YES


def test_a_checksum_that_the_answer_leaves_out_is_looked_up_in_the_list(scene, monkeypatch):
    real = Requester.call

    def call(self, request, expect, *args, **kwargs):
        result = real(self, request, expect, *args, **kwargs)
        if isinstance(result, UploadPartCopyResult):
            return msgspec.structs.replace(result, crc64=None)
        return result

    monkeypatch.setattr(Requester, "call", call)
    assert scene.copy().result(PATIENCE_S).crc64 == crc64(scene.data)
    assert scene.faults.count("ListParts") == PARTS
    assert scene.is_complete()


@pytest.mark.parametrize("aborted_before", [False, True])
def test_a_cancel_leaves_nothing(scene, aborted_before):
    if aborted_before:
        transfer = scene.stopped(3)
    else:
        fault = scene.faults.on("UploadPartCopy", number=4).stall(times=1)
        transfer = scene.copy()
        fault.reached.wait()
    assert transfer.cancel() is penstock.CleanUp.VERIFIED
    assert scene.open_uploads() == []
    assert list(scene.client.unfinished_uploads()) == []
    with pytest.raises(penstock.NoSuchUpload):
        scene.client.list_parts(scene.bucket, "to", transfer.upload_id)


def test_an_unfinished_copy_is_removed_by_its_token(scene, make_client):
    transfer = scene.stopped(3)
    outcome = make_client().cancel_upload(transfer.resume_token)
    assert (outcome.clean_up, outcome.transfer) == (penstock.CleanUp.VERIFIED, "copy")
    assert scene.open_uploads() == []


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(scene):
    transfer = scene.stopped(3)
    scene.client.put_object(scene.bucket, "to", b"theirs")
    with pytest.raises(penstock.TargetChanged):
        scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert scene.client.get_object(scene.bucket, "to").read() == b"theirs"


@pytest.mark.parametrize("part_bytes", [None, PART])
def test_nothing_is_overwritten_where_that_was_forbidden(scene, part_bytes):
    scene.client.put_object(scene.bucket, "to", b"theirs")
    with pytest.raises(penstock.ServiceError, match="FileAlreadyExists"):
        scene.copy(part_bytes=part_bytes, forbid_overwrite=True).result(PATIENCE_S)


def test_a_lost_answer_to_complete_is_a_success(scene):
    scene.faults.on("CompleteMultipartUpload").drop_answer()
    done = scene.copy().result(PATIENCE_S)
    assert done.by_evidence
    assert scene.is_complete()


def test_a_single_copy_that_was_stopped_in_doubt_is_resolved_by_looking(scene):
    fault = scene.faults.on("CopyObject").stall(at="answer", times=1)
    transfer = scene.client.copy(scene.source, scene.target)
    fault.reached.wait()
    transfer.abort()
    error = transfer.outcome(PATIENCE_S).error
    assert (error.committed, error.code) == ("unknown", penstock.STOPPED_IN_FLIGHT)
    assert "copy" in error.message
    outcome = transfer.resolve()
    assert outcome.committed == "yes"
    assert outcome.value.by_evidence


def test_an_older_object_that_is_like_a_single_copy_is_not_taken_for_it(scene, monkeypatch):
    scene.client.put_object(scene.bucket, "to", scene.data)
    signer = scene.client._requester.signer
    monkeypatch.setattr(single_request, "SETTLE_S", 0.01)
    monkeypatch.setattr(signer, "_clock_offset_s", 60)  # the object is a minute old, as it seems
    fault = scene.faults.on("CopyObject").stall(at="store", times=1)
    transfer = scene.client.copy(scene.source, scene.target)
    fault.reached.wait()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).committed == "unknown"
    fault.end()
    assert transfer.resolve().committed == "no"


def test_a_folder_gets_the_last_part_of_the_key(scene):
    scene.client.copy(scene.source, f"oss://{scene.bucket}/folder/").result(PATIENCE_S)
    assert scene.client.object_exists(scene.bucket, "folder/from")
    with pytest.raises(penstock.InvalidInput, match="Name the object"):
        scene.client.copy(f"oss://{scene.bucket}/dir/", f"oss://{scene.bucket}/folder/")


def test_a_copy_is_not_gone_on_with_from_another_source(scene):
    transfer = scene.stopped(2)
    with pytest.raises(penstock.InvalidInput, match="is a copy of"):
        scene.client.resume(transfer.resume_token, f"oss://{scene.bucket}/other")
    scene.client.resume(transfer.resume_token, scene.source).result(PATIENCE_S)
    assert scene.is_complete()


@pytest.mark.parametrize("source", ["a/path", b"bytes"], ids=["path", "bytes"])
@pytest.mark.parametrize("journaled", [True, False])
def test_a_copy_is_not_gone_on_with_from_a_file(scene, make_client, tmp_path, source, journaled):
    transfer = scene.stopped(2)
    client = scene.client if journaled else make_client(state_dir=tmp_path / "elsewhere")
    with pytest.raises(penstock.InvalidInput, match="is a copy"):
        client.resume(transfer.resume_token, source)
    assert scene.faults.count() == 0


def test_an_upload_is_not_gone_on_with_from_an_object(scene):
    fault = scene.faults.on("UploadPart", number=1).stall(times=1)
    transfer = scene.client.upload(scene.data, scene.target, part_bytes=PART, parallel=1)
    fault.reached.wait()
    transfer.abort()
    transfer.outcome(PATIENCE_S)
    fault.end()
    scene.faults.requests.clear()
    with pytest.raises(penstock.InvalidInput, match="is an upload"):
        scene.client.resume(transfer.resume_token, scene.source)
    assert scene.faults.count() == 0


def test_what_is_not_there_is_said_at_once(scene):
    with pytest.raises(penstock.NoSuchKey):
        scene.client.copy(f"oss://{scene.bucket}/missing", scene.target)
    with pytest.raises(penstock.InvalidInput, match="names no object"):
        scene.client.copy(f"oss://{scene.bucket}", scene.target)
    with pytest.raises(penstock.InvalidInput, match="at a time"):
        scene.copy(parallel=0)


def test_an_appendable_object_is_copied_in_one_request(scene, monkeypatch):
    monkeypatch.setattr(copies, "SINGLE_COPY_BYTES", 1)
    scene.client.append_object(scene.bucket, "log", 0, b"line")
    scene.faults.requests.clear()
    scene.client.copy(f"oss://{scene.bucket}/log", scene.target).result(PATIENCE_S)
    assert scene.faults.count("CopyObject") == 1


def test_copies_awaited_and_stopped(scene, oss_env):
    async def main():
        async with penstock.AsyncClient() as client:
            fault = scene.faults.on("UploadPartCopy", number=4).stall(times=1)
            transfer = await client.copy(scene.source, scene.target, part_bytes=PART, parallel=1)
            await asyncio.to_thread(fault.reached.wait)
            transfer.abort()
            assert (await transfer.outcome()).aborted
            fault.end()
            resumed = await client.resume(transfer.resume_token)
            assert (await resumed.result()).crc64 == crc64(scene.data)

    asyncio.run(main())
    assert scene.is_complete()
