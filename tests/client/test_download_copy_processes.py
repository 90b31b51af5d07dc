"""Downloads and copies outlive their process: killed at any point, another one goes on with them."""

from __future__ import annotations

import os
import re

import pytest

import penstock

PART = 102_400
PATIENCE_S = 20.0

DOWNLOAD = """
    client.download(url, path, part_bytes=102_400, parallel=1, resume=True).result()
"""
COPY = """
    client.copy(url, target, part_bytes=102_400, parallel=1).result()
"""
RESUME = """
    transfer = client.resume(what)
    print(transfer.result().crc64, transfer.upload_id, transfer.progress.resumed_bytes)
    client.close()
"""


def ranges(faults) -> list[int]:
    asked = [one.headers["range"] for one in faults.asked("GetObject")]
    return [int(re.match(r"bytes=(\d+)", text)[1]) // PART + 1 for text in asked]


def test_ten_kills_of_a_download_cost_only_the_range_that_was_under_way(
    programs, here, oss_bucket, oss_faults, tmp_path
):
    data = os.urandom(22 * PART + 5)
    here.put_object(oss_bucket, "k", data)
    folder = tmp_path / "folder"
    folder.mkdir()
    path, url = folder / "file", f"oss://{oss_bucket}/k"
    path.write_bytes(b"old")
    for kill in range(10):
        fault = oss_faults.on("GetObject", nth=3).stall(times=1)
        programs.killed(fault, DOWNLOAD, url=url, path=str(path))
        assert path.read_bytes() == b"old"
        assert ranges(oss_faults) == [2 * kill + 1, 2 * kill + 2, 2 * kill + 3]
        oss_faults.requests.clear()
    (left,) = here.unfinished_uploads()
    assert (left.url, left.view.intent.kind) == (url, "download")
    transfer = here.resume(url)
    transfer.result(PATIENCE_S)
    assert sorted(ranges(oss_faults)) == [21, 22, 23]
    assert path.read_bytes() == data
    assert list(folder.iterdir()) == [path]
    assert list(here.unfinished_uploads()) == []


@pytest.mark.parametrize(
    "text",
    [
        "client.download(url, path).result()",
        "client.download(url, path, part_bytes=102_400, journal=False).result()",
        "client.get_object_to_file(bucket, key, path)",
    ],
    ids=["small", "without a journal", "in one call"],
)
def test_what_a_killed_download_left_that_nobody_goes_on_with_is_removed_by_the_next(
    programs, here, oss_bucket, oss_faults, tmp_path, text
):
    data = os.urandom(3 * PART)
    here.put_object(oss_bucket, "k", data)
    text += "; client.close()"
    folder = tmp_path / "folder"
    folder.mkdir()
    path, names = folder / "file", {"url": f"oss://{oss_bucket}/k", "bucket": oss_bucket, "key": "k"}
    for _ in range(2):
        fault = oss_faults.on("GetObject").stall(at="answer", times=1)
        programs.killed(fault, text, path=str(path), **names)
        (left,) = folder.iterdir()
        assert left != path
    # What another process has is in use, not left. (An object of its own: the server may still be busy with
    # requests of those that were killed.)
    here.put_object(oss_bucket, "another", data)
    names |= {"url": f"oss://{oss_bucket}/another", "key": "another"}
    fault = oss_faults.on("GetObject", key="another").stall(at="answer", times=1)
    other = programs.start(text, path=str(path), **names)
    fault.reached.wait()
    assert programs.run(text, path=str(path), **names) == []
    assert path.read_bytes() == data
    path.unlink()
    fault.release()
    assert programs.end_of(other) == []
    assert list(folder.iterdir()) == [path]
    assert path.read_bytes() == data


def test_another_process_goes_on_with_a_download_that_was_stopped_here(
    programs, here, oss_bucket, oss_faults, tmp_path
):
    data = os.urandom(6 * PART)
    stored = here.put_object(oss_bucket, "k", data)
    fault = oss_faults.on("GetObject", nth=4).stall(times=1)
    transfer = here.download(f"oss://{oss_bucket}/k", tmp_path / "file", part_bytes=PART, parallel=1)
    fault.reached.wait()
    transfer.abort()
    transfer.outcome(PATIENCE_S)
    fault.end()
    oss_faults.requests.clear()
    said = programs.run(RESUME, what=transfer.resume_token)
    assert said == [str(stored.crc64), "None", str(3 * PART)]
    assert sorted(ranges(oss_faults)) == [4, 5, 6]
    assert (tmp_path / "file").read_bytes() == data


def test_a_download_that_runs_in_another_process_is_locked(programs, here, oss_bucket, oss_faults, tmp_path):
    here.put_object(oss_bucket, "k", os.urandom(3 * PART))
    url = f"oss://{oss_bucket}/k"
    fault = oss_faults.on("GetObject", nth=2).stall(times=1)
    process = programs.start(DOWNLOAD, url=url, path=str(tmp_path / "file"))
    fault.reached.wait()
    with pytest.raises(penstock.JournalLocked, match=str(process.pid)):
        here.resume(url)
    with pytest.raises(penstock.JournalLocked, match=str(process.pid)):
        here.cancel_upload(url)
    fault.release()
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.parametrize("made", [0, 3])
def test_a_killed_copy_is_gone_on_with_under_the_same_id(programs, here, oss_bucket, oss_faults, made):
    data = os.urandom(5 * PART + 9)
    here.put_object(oss_bucket, "from", data)
    target = f"oss://{oss_bucket}/to"
    fault = oss_faults.on("UploadPartCopy", number=made + 1).stall(times=1)
    programs.killed(fault, COPY, url=f"oss://{oss_bucket}/from", target=target)
    (upload,) = here.iter_multipart_uploads(oss_bucket)
    oss_faults.requests.clear()
    said = programs.run(RESUME, what=target)
    assert said[1:] == [upload.upload_id, str(made * PART)]
    numbers = sorted(one.number for one in oss_faults.asked("UploadPartCopy"))
    assert numbers == list(range(made + 1, 7))
    assert here.get_object(oss_bucket, "to").read() == data
    assert list(here.iter_multipart_uploads(oss_bucket)) == []
    assert list(here.unfinished_uploads()) == []
