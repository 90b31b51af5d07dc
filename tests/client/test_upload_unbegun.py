"""Stopped before OSS was asked for an UploadId: an INTENT is on disk, and to resume it is to start it."""

from __future__ import annotations

import asyncio
import os

import pytest

import penstock

PART = 102_400
SIZE = 5 * PART + 7
PATIENCE_S = 20.0


class Scene:
    """An upload, or a copy, that was aborted while it looked at its target."""

    def __init__(self, client, bucket, faults, new_file):
        self.client, self.bucket, self.faults = client, bucket, faults
        self.file = new_file(SIZE)
        self.url = f"oss://{bucket}/k"

    def stopped(self, begin=None, **options):
        fault = self.faults.on("HeadObject", key="k").stall(times=1)
        begin = begin or (lambda: self.client.upload(self.file.path, self.url, part_bytes=PART, **options))
        transfer = begin()
        fault.reached.wait()
        transfer.abort()
        outcome = transfer.outcome(PATIENCE_S)
        assert outcome.error.code == penstock.NOT_SENT
        assert outcome.error.advice
        fault.end()
        self.faults.requests.clear()
        return transfer

    def assert_whole(self):
        assert self.client.get_object(self.bucket, "k").read() == self.file.data
        assert self.open_uploads() == []
        assert list(self.client.unfinished_uploads()) == []

    def open_uploads(self):
        return list(self.client.iter_multipart_uploads(self.bucket))


@pytest.fixture
def scene(client, oss_bucket, oss_faults, new_file):
    return Scene(client, oss_bucket, oss_faults, new_file)


@pytest.mark.parametrize("how", ["address", "address and file", "token", "token and file", "token elsewhere"])
def test_resume_is_start(scene, make_client, tmp_path, how):
    transfer = scene.stopped(metadata={"colour": "blue"})
    assert scene.open_uploads() == []
    (kept,) = scene.client.unfinished_uploads()
    assert kept.url == scene.url
    assert kept.view.unbegun
    client = make_client(state_dir=tmp_path / "elsewhere") if how == "token elsewhere" else scene.client
    what = scene.url if how.startswith("address") else transfer.resume_token
    scene.faults.requests.clear()
    source = scene.file.path if "file" in how or "elsewhere" in how else None
    resumed = client.resume(what, source)
    assert resumed.result(PATIENCE_S).size_bytes == SIZE
    assert scene.faults.count("InitiateMultipartUpload") == 1
    assert scene.faults.count("ListMultipartUploads") == 0
    if client is scene.client:
        assert resumed.transfer_id == transfer.transfer_id
        assert client.head_object(scene.bucket, "k").metadata["colour"] == "blue"
        scene.assert_whole()


def test_a_file_that_was_changed_meanwhile_is_uploaded_as_it_is(scene):
    scene.stopped()
    scene.file.data = os.urandom(SIZE + PART)
    scene.file.path.write_bytes(scene.file.data)
    scene.client.resume(scene.url).result(PATIENCE_S)
    scene.assert_whole()


def test_a_resume_right_after_an_abort_waits_for_its_end(scene):
    fault = scene.faults.on("HeadObject").stall(times=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART)
    fault.reached.wait()
    transfer.abort()
    resumed = scene.client.resume(scene.url)
    assert transfer.done()
    fault.end()
    resumed.result(PATIENCE_S)
    scene.assert_whole()


def test_an_intent_is_resumed_by_a_program_that_is_killed_and_its_upload_is_found_again(
    scene, here, programs, oss_faults
):
    """The first run was stopped before Initiate; the second is killed when Initiate was not answered yet."""
    scene.client = here
    scene.stopped()
    fault = oss_faults.on("InitiateMultipartUpload").stall(at="answer", times=1)
    programs.killed(fault, "client.resume(url).result()", url=scene.url)
    (left,) = scene.open_uploads()
    resumed = here.resume(scene.url)
    resumed.result(PATIENCE_S)
    assert resumed.upload_id == left.upload_id
    scene.assert_whole()


@pytest.mark.parametrize("by", ["handle", "address", "token"])
def test_a_cancel_asks_oss_nothing_and_leaves_nothing(scene, by):
    transfer = scene.stopped()
    if by == "handle":
        assert transfer.cancel(PATIENCE_S) is penstock.CleanUp.VERIFIED
        assert transfer.resume_token is None
    else:
        what = scene.url if by == "address" else transfer.resume_token
        assert scene.client.cancel_upload(what).clean_up is penstock.CleanUp.VERIFIED
    assert scene.faults.count() == 0
    assert list(scene.client.unfinished_uploads()) == []
    with pytest.raises(penstock.InvalidInput):
        scene.client.resume(scene.url)


def test_bytes_leave_a_token_that_begins_with_the_same_bytes(scene):
    transfer = scene.stopped(lambda: scene.client.upload(scene.file.data, scene.url, part_bytes=PART))
    assert list(scene.client.unfinished_uploads()) == []
    with pytest.raises(penstock.InvalidInput, match="source"):
        scene.client.resume(transfer.resume_token)
    scene.client.resume(transfer.resume_token, scene.file.data).result(PATIENCE_S)
    scene.assert_whole()


def test_what_must_not_be_overwritten_is_not_overwritten_by_the_resume_either(scene):
    scene.client.put_object(scene.bucket, "k", b"precious")
    transfer = scene.stopped(forbid_overwrite=True)
    outcome = scene.client.resume(transfer.resume_token).outcome(PATIENCE_S)
    assert outcome.error.code == "FileAlreadyExists"
    assert scene.client.get_object(scene.bucket, "k").read() == b"precious"
    assert scene.open_uploads() == []


def test_a_copy_begins_when_it_is_resumed(scene):
    scene.client.put_object(scene.bucket, "from", scene.file.data)
    source = f"oss://{scene.bucket}/from"
    scene.stopped(lambda: scene.client.copy(source, scene.url, part_bytes=PART))
    scene.client.resume(scene.url).result(PATIENCE_S)
    scene.assert_whole()


def test_a_resume_that_fails_can_be_repeated(scene):
    scene.stopped()
    fault = scene.faults.on("InitiateMultipartUpload").answer(403, "InvalidAccessKeyId", times=1)
    error = scene.client.resume(scene.url).outcome(PATIENCE_S).error
    assert error.code == "InvalidAccessKeyId"
    fault.end()
    scene.client.resume(scene.url).result(PATIENCE_S)
    scene.assert_whole()


def test_a_member_of_a_group_is_resumed_by_the_group(scene):
    group = scene.client.group()
    transfer = scene.stopped(lambda: group.upload(scene.file.path, scene.url, part_bytes=PART))
    with scene.client.group() as again:
        again.resume(transfer.resume_token)
    scene.assert_whole()


def test_a_cancelled_task_leaves_it_to_be_resumed(scene, oss_env):
    async def main():
        fault = scene.faults.on("HeadObject").stall(times=1)
        state = scene.client._journals._state.root
        async with penstock.AsyncClient(state_dir=state) as client:
            transfer = await client.upload(scene.file.path, scene.url, part_bytes=PART)
            task = asyncio.ensure_future(transfer.result())
            await asyncio.to_thread(fault.reached.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            fault.end()
            await (await client.resume(scene.url)).result()

    asyncio.run(main())
    scene.assert_whole()


@pytest.mark.parametrize("verb", ["resume", "cancel_upload", "resolve_upload"])
@pytest.mark.parametrize("what", [None, 5, b"pstk1-"])
def test_what_is_no_text_names_nothing_to_go_on_with(client, verb, what):
    with pytest.raises(penstock.InvalidInput) as refused:
        getattr(client, verb)(what)
    assert "begin it again" in refused.value.advice


def test_one_token_in_two_places_makes_one_object_and_leaves_no_upload(scene, make_client, tmp_path):
    """Who is second finds, right before Complete, that the object is there; its own parts are removed."""
    token = scene.stopped().resume_token
    first, second = (make_client(state_dir=tmp_path / name) for name in ("first", "second"))
    held = scene.faults.on("UploadPart", number=1).stall(times=1)
    slow = second.resume(token, scene.file.path)
    held.reached.wait()
    made = first.resume(token, scene.file.path).result(PATIENCE_S)
    assert len(scene.open_uploads()) == 1
    held.end()
    found = slow.result(PATIENCE_S)
    assert (found.etag, found.crc64, found.by_evidence) == (made.etag, made.crc64, True)
    assert scene.open_uploads() == []
    assert list(second.unfinished_uploads()) == []
