"""Downloads: what arrives is exact, what was there before stays until then, and nothing is fetched twice."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import threading
import time
from dataclasses import replace

import pytest

import penstock
from penstock.files import target as target_module
from penstock.protocol.crc64 import crc64
from penstock.testing.fault import Fault

PART = 102_400
PARTS = 8
SIZE = (PARTS - 1) * PART + 777
PATIENCE_S = 20.0


class Scene:
    """An object, a file that is there already, and a client."""

    def __init__(self, client, bucket, faults, folder):
        self.client = client
        self.bucket = bucket
        self.faults = faults
        self.folder = folder
        self.folder.mkdir()
        self.url = f"oss://{bucket}/dir/k"
        self.data = os.urandom(SIZE)
        client.put_object(bucket, "dir/k", self.data)
        self.path = folder / "file"
        self.path.write_bytes(b"old")

    def download(self, **options):
        return self.client.download(self.url, self.path, **{"part_bytes": PART, "parallel": 1, **options})

    def stopped(self, fetched: int, how="abort", **options):
        """A download that was stopped when so many ranges had come."""
        fault = self.faults.on("GetObject", nth=fetched + 1).stall(times=1)
        transfer = self.download(**options)
        fault.reached.wait()
        getattr(transfer, how)()
        assert transfer.outcome(PATIENCE_S).error is not None
        fault.end()
        self.faults.requests.clear()
        return transfer

    def ranges(self) -> list[int]:
        """Numbers of the ranges that were asked for, in order."""
        asked = [one.headers["range"] for one in self.faults.asked("GetObject")]
        return [int(re.fullmatch(r"bytes=(\d+)-\d+", text)[1]) // PART + 1 for text in asked]

    def beside(self) -> list[str]:
        """What lies beside the file."""
        return [one.name for one in self.folder.iterdir() if one != self.path]

    def is_untouched(self) -> bool:
        return self.path.read_bytes() == b"old"

    def is_complete(self) -> bool:
        return self.path.read_bytes() == self.data and not self.beside()


class FlippedBit(Fault):
    """Answers with one bit of the body changed; for bodies that are sent with the head."""

    async def before_response(self, asked, response):
        body = bytearray(response.body)
        body[0] ^= 1
        return replace(response, body=bytes(body))


class AnotherRange(Fault):
    """Answers with so many bytes, however many were asked for."""

    def __init__(self, length):
        super().__init__("another range was answered", times=None)
        self._length = length

    async def before_response(self, asked, response):
        response.discard()
        headers = {**response.headers, "content-length": str(self._length)}
        return replace(response, headers=headers, body=bytes(self._length))


@pytest.fixture
def scene(client, oss_bucket, oss_faults, tmp_path):
    return Scene(client, oss_bucket, oss_faults, tmp_path / "folder")


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 5 * PART + 3])
@pytest.mark.parametrize("part_bytes", [None, PART])
def test_any_size_arrives_as_it_was(client, oss_bucket, tmp_path, size, part_bytes):
    data = os.urandom(size)
    client.put_object(oss_bucket, "k", data)
    done = client.download(f"oss://{oss_bucket}/k", tmp_path / "f", part_bytes=part_bytes).result(PATIENCE_S)
    assert (done.size_bytes, done.crc64) == (size, crc64(data))
    assert done.etag == client.head_object(oss_bucket, "k").etag
    assert (tmp_path / "f").read_bytes() == data
    assert list(client.unfinished_uploads()) == []


def test_a_small_object_is_one_get_and_no_journal(scene, monkeypatch):
    monkeypatch.setattr(scene.client._journals, "create", lambda job_id: pytest.fail("a journal was made"))
    scene.faults.requests.clear()
    scene.client.download(scene.url, scene.path).result(PATIENCE_S)
    assert [one.operation for one in scene.faults.requests] == ["HeadObject", "GetObject"]
    assert "range" not in scene.faults.requests[1].headers
    assert scene.is_complete()


def test_ranges_come_in_parallel_and_each_is_bound_to_the_etag(scene):
    etag = scene.client.head_object(scene.bucket, "dir/k").etag
    fault = scene.faults.on("GetObject").stall(times=3)
    transfer = scene.download(parallel=3)
    scene.faults.wait_until(lambda: scene.faults.count("GetObject") == 3)
    fault.release()
    transfer.result(PATIENCE_S)
    asked = scene.faults.asked("GetObject")
    assert sorted(scene.ranges()) == list(range(1, PARTS + 1))
    assert {one.headers["if-match"] for one in asked} == {f'"{etag}"'}
    assert scene.is_complete()


def test_the_file_that_was_there_stays_until_the_new_one_is_complete(scene):
    fault = scene.faults.on("GetObject", nth=PARTS).stall(times=1)
    transfer = scene.download()
    fault.reached.wait()
    assert scene.is_untouched()
    fault.release()
    transfer.result(PATIENCE_S)
    assert scene.is_complete()


@pytest.mark.parametrize("how", ["token", "address", "again", "another client"])
@pytest.mark.parametrize("fetched", [0, 3, PARTS - 1])
def test_a_resume_fetches_exactly_what_is_missing(scene, make_client, how, fetched):
    transfer = scene.stopped(fetched)
    error = transfer.outcome(0).error
    assert isinstance(error, penstock.Aborted)
    assert (error.committed, error.acknowledged_bytes) == ("no", fetched * PART)
    assert error.in_doubt_bytes == 0
    assert scene.is_untouched()
    assert len(scene.beside()) == 1
    match how:
        case "token":
            resumed = scene.client.resume(error.resume_token)
        case "address":
            resumed = scene.client.resume(scene.url)
        case "again":
            resumed = scene.download(resume=True)
        case _:
            resumed = make_client().resume(error.resume_token)
    assert resumed.result(PATIENCE_S).crc64 == crc64(scene.data)
    assert sorted(scene.ranges()) == list(range(fetched + 1, PARTS + 1))
    assert resumed.progress.resumed_bytes == fetched * PART
    assert scene.is_complete()
    assert list(scene.client.unfinished_uploads()) == []


def test_a_download_may_be_stopped_again_and_again(scene):
    transfer = scene.stopped(1)
    for fetched in (1, 2, 1):
        fault = scene.faults.on("GetObject", nth=fetched + 1).stall(times=1)
        transfer = scene.client.resume(transfer.resume_token, parallel=1)
        fault.reached.wait()
        transfer.abort()
        transfer.outcome(PATIENCE_S)
        fault.end()
    assert transfer.progress.acknowledged_bytes == 5 * PART
    scene.faults.requests.clear()
    scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert sorted(scene.ranges()) == [6, 7, 8]
    assert scene.is_complete()


def test_acknowledged_bytes_never_go_back(scene):
    shown = []
    transfer = scene.stopped(3, progress=lambda progress: shown.append(progress.acknowledged_bytes))
    note = shown.append
    resumed = scene.client.resume(
        transfer.resume_token, progress=lambda progress: note(progress.acknowledged_bytes)
    )
    resumed.result(PATIENCE_S)
    assert shown == sorted(shown)
    assert shown[-1] == SIZE


def test_a_download_that_was_begun_anew_leaves_an_older_one_alone(scene):
    scene.stopped(2)
    (older,) = scene.beside()
    scene.download().result(PATIENCE_S)
    assert scene.path.read_bytes() == scene.data
    assert scene.beside() == [older]


@pytest.mark.parametrize("disabled", [False, True])
def test_a_cancel_leaves_nothing_of_it(scene, disabled):
    transfer = scene.stopped(3)
    if disabled:
        scene.client.disable_requests()
    assert transfer.cancel() is penstock.CleanUp.VERIFIED
    assert scene.is_untouched()
    assert scene.beside() == []
    assert list(scene.client.unfinished_uploads()) == []
    assert scene.faults.requests == []


def test_a_cancel_of_one_that_runs_leaves_nothing_of_it(scene):
    fault = scene.faults.on("GetObject", nth=3).stall(times=1)
    transfer = scene.download()
    fault.reached.wait()
    assert transfer.cancel() is penstock.CleanUp.VERIFIED
    assert scene.beside() == []
    with pytest.raises(penstock.Aborted, match="nothing of it was kept"):
        transfer.result(0)
    assert list(scene.client.unfinished_uploads()) == []


def test_a_cancel_of_what_is_complete_says_so_and_removes_nothing(scene):
    transfer = scene.download()
    transfer.result(PATIENCE_S)
    with pytest.raises(penstock.TransferError, match="Delete the file if"):
        transfer.cancel()
    assert scene.is_complete()


def test_an_unfinished_download_is_removed_by_its_address(scene, make_client):
    scene.stopped(2)
    outcome = make_client().cancel_upload(scene.url)
    assert outcome.clean_up is penstock.CleanUp.VERIFIED
    assert scene.beside() == []
    assert scene.faults.requests == [], "nothing of it is at OSS"


def test_an_object_that_changes_under_way_is_refused(scene):
    fault = scene.faults.on("GetObject", nth=4).stall(times=1)
    transfer = scene.download()
    fault.reached.wait()
    scene.client.put_object(scene.bucket, "dir/k", os.urandom(SIZE))
    fault.release()
    with pytest.raises(penstock.SourceChanged, match="begin a new one"):
        transfer.result(PATIENCE_S)
    assert scene.is_untouched()


def test_an_object_that_changed_between_the_runs_is_refused(scene):
    transfer = scene.stopped(3)
    scene.client.put_object(scene.bucket, "dir/k", os.urandom(SIZE))
    with pytest.raises(penstock.SourceChanged, match="its ETag was"):
        scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert scene.ranges() == []
    assert scene.is_untouched()
    assert transfer.cancel() is penstock.CleanUp.VERIFIED
    assert scene.beside() == []


def test_bytes_that_are_not_those_of_the_object_never_become_the_file(scene):
    scene.faults.on("HeadObject").alter_answer({"x-oss-hash-crc64ecma": str(crc64(scene.data) ^ 1)})
    with pytest.raises(penstock.ChecksumMismatch, match="was not touched") as caught:
        scene.download().result(PATIENCE_S)
    assert caught.value.actual == crc64(scene.data)
    assert scene.is_untouched()
    assert scene.beside() == []
    assert list(scene.client.unfinished_uploads()) == []


def test_a_bit_that_is_changed_on_its_way_is_noticed(scene):
    scene.faults.add(scene.faults.on("GetObject", nth=PARTS), FlippedBit("a bit was changed", times=1))
    with pytest.raises(penstock.ChecksumMismatch):
        scene.download().result(PATIENCE_S)
    assert scene.is_untouched()
    assert scene.beside() == []
    scene.download().result(PATIENCE_S)
    assert scene.is_complete()


@pytest.mark.parametrize("length", [PART - 1, PART + 1])
def test_a_range_of_another_length_is_not_taken_for_the_one_that_was_asked_for(scene, length):
    scene.faults.add(scene.faults.on("GetObject"), AnotherRange(length))
    transfer = scene.download()
    with pytest.raises(penstock.MalformedResponse, match="were asked for"):
        transfer.result(PATIENCE_S)
    assert transfer.progress.acknowledged_bytes == 0
    scene.faults.end()
    scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert scene.is_complete()


def test_a_connection_that_is_cut_within_a_range_is_taken_up_again(scene):
    scene.faults.on("GetObject", nth=2).cut_answer(after_bytes=50_000, times=1)
    scene.download().result(PATIENCE_S)
    assert scene.ranges() == [1, 2, 2, 3, 4, 5, 6, 7, 8]
    assert scene.is_complete()


def test_a_range_that_cannot_be_had_ends_the_download_and_keeps_the_others(scene):
    scene.faults.on("GetObject", nth=3).cut_answer(after_bytes=1_000, times=3)
    transfer = scene.download()
    with pytest.raises(penstock.NetworkError):
        transfer.result(PATIENCE_S)
    assert scene.ranges() == [1, 2, 3, 3, 3]
    scene.faults.requests.clear()
    scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert sorted(scene.ranges()) == [3, 4, 5, 6, 7, 8]
    assert scene.is_complete()


def test_a_full_disk_leaves_the_old_file_and_can_be_gone_on_with(scene, monkeypatch):
    real = os.pwrite
    written = []

    def pwrite(descriptor, data, offset):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(offset)
        return real(descriptor, data, offset)

    monkeypatch.setattr(target_module.os, "pwrite", pwrite)
    transfer = scene.download()
    with pytest.raises(penstock.TransferError, match="No space left") as caught:
        transfer.result(PATIENCE_S)
    assert caught.value.resume_token
    assert scene.is_untouched()
    monkeypatch.undo()
    scene.faults.requests.clear()
    scene.client.resume(caught.value.resume_token).result(PATIENCE_S)
    assert sorted(scene.ranges()) == [4, 5, 6, 7, 8]
    assert scene.is_complete()


@pytest.mark.parametrize("what", ["sync", "rename"])
def test_a_disk_that_fails_at_the_end_leaves_the_old_file(scene, monkeypatch, what):
    def fail(*_):
        raise OSError(5, "Input/output error")

    if what == "sync":
        monkeypatch.setattr(target_module, "sync", fail)
    else:
        monkeypatch.setattr(target_module.os, "replace", fail)
    transfer = scene.download()
    with pytest.raises(penstock.TransferError, match="Input/output error"):
        transfer.result(PATIENCE_S)
    assert scene.is_untouched()
    monkeypatch.undo()
    scene.faults.requests.clear()
    scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert scene.ranges() == [], "all of it was there"
    assert scene.is_complete()


def test_bytes_that_the_disk_lost_are_fetched_again(scene):
    transfer = scene.stopped(4)
    (name,) = scene.beside()
    with (scene.folder / name).open("r+b") as partial:
        partial.seek(PART + 5)
        partial.write(bytes(100))
    resumed = scene.client.resume(transfer.resume_token)
    resumed.result(PATIENCE_S)
    assert sorted(scene.ranges()) == [2, 5, 6, 7, 8]
    assert resumed.progress.resumed_bytes == 3 * PART
    assert scene.is_complete()


@pytest.mark.parametrize(("length", "missing"), [(None, PARTS), (0, PARTS), (2 * PART, PARTS - 2)])
def test_a_partial_file_that_is_gone_or_cut_costs_only_what_it_held(scene, length, missing):
    transfer = scene.stopped(4)
    (name,) = scene.beside()
    if length is None:
        (scene.folder / name).unlink()
    else:
        os.truncate(scene.folder / name, length)
    scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert len(scene.ranges()) == missing
    assert scene.is_complete()


@pytest.mark.parametrize("state", ["asked", "coming", "waiting to try again", "comparing", "writing"])
def test_a_download_is_stopped_in_every_state(
    make_client, oss_bucket, oss_faults, tmp_path, state, monkeypatch, open_descriptors, eventually
):
    client = make_client(retry=penstock.RetryPolicy(base_delay_s=60.0, max_delay_s=60.0))
    scene = Scene(client, oss_bucket, oss_faults, tmp_path / "folder")
    reached, hang = threading.Event(), threading.Event()
    before = open_descriptors()
    match state:
        case "asked":
            fault = oss_faults.on("GetObject", nth=3).stall(times=1)
            transfer = scene.download()
            fault.reached.wait()
        case "coming":
            client.bandwidth_limit_bytes_s = 2 * PART
            seen = scene.download(progress=lambda progress: progress.in_flight_bytes and reached.set())
            assert reached.wait(PATIENCE_S)
            transfer = seen
        case "waiting to try again":
            fault = oss_faults.on("GetObject", nth=3).answer(503, "ServiceUnavailable", times=None)
            transfer = scene.download()
            fault.reached.wait()
        case _:
            transfer = scene.stopped(4)
            before = open_descriptors()

            def hanging(call):
                def hang_first(*args):
                    reached.set()
                    hang.wait(PATIENCE_S)
                    return call(*args)

                return hang_first

            name = "preadv" if state == "comparing" else "pwrite"
            monkeypatch.setattr(target_module.os, name, hanging(getattr(os, name)))
            transfer = client.resume(transfer.resume_token)
            assert reached.wait(PATIENCE_S)
    transfer.abort()
    assert transfer.wait_until_quiet(1.0)
    hang.set()
    error = transfer.outcome(0).error
    assert isinstance(error, penstock.Aborted)
    assert scene.is_untouched()
    assert len(scene.beside()) == 1
    kept = client._transport.open_connections
    eventually(lambda: open_descriptors() <= before + 2 * kept)
    monkeypatch.undo()
    oss_faults.end()
    client.bandwidth_limit_bytes_s = None
    client.resume(error.resume_token).result(PATIENCE_S)
    assert scene.is_complete()


def test_a_switch_that_is_turned_off_stops_downloads_and_keeps_them(scene):
    fault = scene.faults.on("GetObject", nth=4).stall(times=1)
    transfer = scene.download()
    fault.reached.wait()
    scene.client.disable_requests()
    error = transfer.outcome(PATIENCE_S).error
    assert (error.code, error.reason) == (penstock.STOPPED_IN_FLIGHT, "disabled")
    scene.client.enable_requests()
    scene.faults.requests.clear()
    scene.client.resume(error.resume_token).result(PATIENCE_S)
    assert sorted(scene.ranges()) == [4, 5, 6, 7, 8]


def test_a_drain_lets_ranges_in_flight_finish(scene):
    fault = scene.faults.on("GetObject", nth=3).stall(times=1)
    transfer = scene.download()
    fault.reached.wait()
    transfer.drain(PATIENCE_S)
    fault.release()
    error = transfer.outcome(PATIENCE_S).error
    assert (error.reason, error.acknowledged_bytes) == ("drain", 3 * PART)
    assert scene.ranges() == [1, 2, 3]


def test_nothing_is_kept_of_a_download_without_a_journal(scene):
    transfer = scene.stopped(3, journal=False)
    assert transfer.resume_token is None
    assert scene.beside() == []
    assert scene.is_untouched()


def test_a_download_goes_on_only_where_its_journal_is(scene, make_client, tmp_path):
    transfer = scene.stopped(2)
    elsewhere = make_client(state_dir=tmp_path / "elsewhere")
    for source in (None, b"data"):
        with pytest.raises(penstock.InvalidInput, match="download"):
            elsewhere.resume(transfer.resume_token, source)
    with pytest.raises(penstock.InvalidInput, match="nothing about it is in doubt"):
        elsewhere.resolve_upload(transfer.resume_token)
    assert scene.faults.requests == []


def test_a_download_takes_no_source(scene):
    transfer = scene.stopped(2)
    with pytest.raises(penstock.InvalidInput, match="Leave the source out"):
        scene.client.resume(transfer.resume_token, b"data")


def test_an_upload_to_a_key_goes_before_a_download_of_it(scene, new_file):
    scene.stopped(2)
    fault = scene.faults.on("UploadPart", nth=2).stall(times=1, after_bytes=1)
    upload = scene.client.upload(new_file(SIZE).path, scene.url, part_bytes=PART, parallel=1)
    fault.reached.wait()
    upload.abort()
    upload.outcome(PATIENCE_S)
    fault.end()
    assert scene.client.cancel_upload(scene.url).transfer == "upload"
    assert len(scene.beside()) == 1
    assert scene.client.cancel_upload(scene.url).transfer == "download"
    assert scene.beside() == []


def test_only_one_carries_out_a_download(scene, make_client):
    transfer = scene.stopped(2)
    fault = scene.faults.on("GetObject").stall(times=1)
    first = scene.client.resume(transfer.resume_token, parallel=1)
    fault.reached.wait()
    with pytest.raises(penstock.JournalLocked, match=str(os.getpid())):
        make_client().resume(transfer.resume_token)
    fault.release()
    first.result(PATIENCE_S)
    assert scene.is_complete()


def test_a_folder_gets_the_last_part_of_the_key(scene):
    scene.client.download(scene.url, scene.folder).result(PATIENCE_S)
    assert (scene.folder / "k").read_bytes() == scene.data


@pytest.mark.parametrize("key", ["a/..", "a/."])
def test_a_key_without_a_name_is_not_put_into_a_folder(client, tmp_path, key):
    with pytest.raises(penstock.InvalidInput, match="Name the file"):
        client.download(f"oss://bucket/{key}", tmp_path)


def test_what_cannot_be_is_refused_before_anything_is_asked(scene):
    scene.faults.requests.clear()
    for url, path in (
        ("oss://bucket", scene.path),
        ("no address", scene.path),
        (scene.url, scene.folder / "missing" / "file"),
    ):
        with pytest.raises(penstock.InvalidInput):
            scene.client.download(url, path)
    with pytest.raises(penstock.InvalidInput, match="at a time"):
        scene.download(parallel=0)
    assert scene.faults.requests == []
    with pytest.raises(penstock.InvalidInput, match="a part of 5 bytes"):
        scene.download(part_bytes=5)


def test_what_is_not_there_is_said_at_once(scene):
    with pytest.raises(penstock.NoSuchKey):
        scene.client.download(f"oss://{scene.bucket}/missing", scene.path)
    assert scene.is_untouched()
    assert list(scene.client.unfinished_uploads()) == []


def test_a_symbolic_link_stays_and_its_file_is_replaced(scene):
    link = scene.folder / "link"
    link.symlink_to(scene.path)
    scene.path.chmod(0o640)
    scene.client.download(scene.url, link, part_bytes=PART).result(PATIENCE_S)
    assert link.is_symlink()
    assert scene.path.read_bytes() == scene.data
    assert scene.path.stat().st_mode & 0o777 == 0o640


def test_downloads_awaited_and_a_cancelled_task_stops_one(scene, oss_env):
    async def main():
        async with penstock.AsyncClient() as client:
            fault = scene.faults.on("GetObject", nth=4).stall(times=1)
            transfer = await client.download(scene.url, scene.path, part_bytes=PART, parallel=1)
            waiting = asyncio.create_task(transfer.result())
            await asyncio.to_thread(fault.reached.wait)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert transfer.done()
            assert scene.is_untouched()
            fault.end()
            resumed = await client.resume(transfer.resume_token)
            assert (await resumed.result()).crc64 == crc64(scene.data)

    asyncio.run(main())
    assert scene.is_complete()


def test_a_cancelled_task_stops_a_download_that_only_looks_at_its_object(scene, oss_env):
    async def main():
        async with penstock.AsyncClient() as client:
            fault = scene.faults.on("HeadObject").stall(times=1)
            task = asyncio.create_task(client.download(scene.url, scene.path))
            await asyncio.to_thread(fault.reached.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert scene.is_untouched()
    assert scene.faults.count("GetObject") == 0


def test_no_descriptor_is_left_by_stopped_downloads(scene, open_descriptors, eventually):
    scene.stopped(1).cancel()
    before = open_descriptors()
    for _ in range(5):
        scene.stopped(1)
    eventually(lambda: open_descriptors() <= before)


# A partial file that cannot be made


@pytest.mark.parametrize("part_bytes", [None, PART])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE, errno.ENAMETOOLONG])
def test_a_download_whose_partial_file_cannot_be_made_says_so_at_once(
    client, oss_bucket, tmp_path, monkeypatch, number, part_bytes
):
    client.put_object(oss_bucket, "small", b"small")
    real = os.open

    def refused(path, *args, **options):
        if str(path).endswith(".penstock-part"):
            raise OSError(number, os.strerror(number))
        return real(path, *args, **options)

    monkeypatch.setattr(target_module.os, "open", refused)
    path = tmp_path / "file"
    began = time.monotonic()
    transfer = client.download(f"oss://{oss_bucket}/small", path, part_bytes=part_bytes)
    outcome = transfer.outcome(PATIENCE_S)
    assert time.monotonic() - began < PATIENCE_S / 4
    assert isinstance(outcome.error, penstock.PenstockError)
    assert os.strerror(number) in str(outcome.error)
    assert not isinstance(outcome.error, penstock.UnexpectedError)
    assert list(client.unfinished_uploads()) == []
    assert not path.exists()


def test_a_mistake_while_a_download_cleans_up_ends_it_at_once(client, scene, monkeypatch):
    fault = scene.faults.on("GetObject", nth=1).stall(times=1)
    transfer = scene.download(journal=False)
    fault.reached.wait()

    real = target_module.DownloadTarget.discard

    def broken(self):
        monkeypatch.setattr(target_module.DownloadTarget, "discard", real)
        raise ZeroDivisionError

    monkeypatch.setattr(target_module.DownloadTarget, "discard", broken)
    began = time.monotonic()
    transfer.abort()
    outcome = transfer.outcome(PATIENCE_S)
    fault.end()
    assert time.monotonic() - began < PATIENCE_S / 4
    assert isinstance(outcome.error.__cause__, ZeroDivisionError)
    assert outcome.committed is penstock.Committed.NO
