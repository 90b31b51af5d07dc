"""An upload outlives its process: killed at any point, it is gone on with by another one, and by one only."""

from __future__ import annotations

import signal
from contextlib import contextmanager

import pytest

import penstock
from penstock.files.journal_file import JournalFile

PART = 102_400
PARTS = 6
SIZE = (PARTS - 1) * PART + 1000
PATIENCE_S = 20.0

UPLOAD = """
    transfer = client.upload(source, url, part_bytes=102_400, parallel=1)
    print(transfer.result().size_bytes)
"""
RESUME = """
    transfer = client.resume(what)
    print(transfer.result().size_bytes, transfer.upload_id, transfer.progress.resumed_bytes)
    client.close()
"""


@pytest.fixture
def url(oss_bucket):
    return f"oss://{oss_bucket}/k"


@pytest.fixture
def file(new_file):
    return new_file(SIZE)


@contextmanager
def held(faults, operation, **which):
    fault = faults.on(operation, **which).stall(
        times=1, **({} if operation != "UploadPart" else {"after_bytes": 1})
    )
    yield fault
    fault.end()


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)


def open_uploads(client, bucket):
    return [one.upload_id for one in client.iter_multipart_uploads(bucket)]


@pytest.mark.parametrize("what", ["address", "token"])
def test_another_process_goes_on_with_an_upload_that_was_stopped_here(
    programs, here, oss_bucket, oss_faults, url, file, what
):
    with held(oss_faults, "UploadPart", number=4) as fault:
        transfer = here.upload(file.path, url, part_bytes=PART, parallel=1)
        fault.reached.wait()
        transfer.abort()
        assert transfer.outcome(PATIENCE_S).aborted
    oss_faults.requests.clear()
    said = programs.run(RESUME, what=url if what == "address" else transfer.resume_token)
    assert said == [str(SIZE), transfer.upload_id, str(3 * PART)]
    assert sorted(one.number for one in oss_faults.asked("UploadPart")) == [4, 5, 6]
    assert oss_faults.count("InitiateMultipartUpload") == 0
    assert here.get_object(oss_bucket, "k").read() == file.data
    assert list(here.unfinished_uploads()) == []


@pytest.mark.parametrize("stored", [0, 1, PARTS - 1])
def test_a_killed_upload_is_gone_on_with_under_the_same_id(
    programs, here, oss_bucket, oss_faults, url, file, stored
):
    with held(oss_faults, "UploadPart", number=stored + 1) as fault:
        process = programs.start(UPLOAD, source=str(file.path), url=url)
        fault.reached.wait()
        kill(process)
    (upload_id,) = open_uploads(here, oss_bucket)
    (left,) = here.unfinished_uploads()
    assert left.url == url
    oss_faults.requests.clear()
    transfer = here.resume(url)
    assert transfer.result(PATIENCE_S).size_bytes == SIZE
    assert transfer.upload_id == upload_id
    assert sorted(one.number for one in oss_faults.asked("UploadPart")) == list(range(stored + 1, PARTS + 1))
    assert here.get_object(oss_bucket, "k").read() == file.data
    assert list(here.unfinished_uploads()) == []


@pytest.mark.parametrize("at", ["head", "answer"])
@pytest.mark.parametrize("then", ["resume", "cancel"])
def test_a_kill_during_initiate_leaves_no_orphan(programs, here, oss_bucket, oss_faults, url, file, at, then):
    fault = oss_faults.on("InitiateMultipartUpload").stall(at=at, times=1)
    process = programs.start(UPLOAD, source=str(file.path), url=url)
    fault.reached.wait()
    kill(process)
    fault.end()
    before = open_uploads(here, oss_bucket)
    assert len(before) == (1 if at == "answer" else 0)
    if then == "cancel":
        assert here.cancel_upload(url).clean_up == penstock.CleanUp.VERIFIED
    else:
        transfer = here.resume(url)
        transfer.result(PATIENCE_S)
        assert before in ([], [transfer.upload_id])
        assert here.get_object(oss_bucket, "k").read() == file.data
    assert open_uploads(here, oss_bucket) == []
    assert list(here.unfinished_uploads()) == []


@pytest.mark.parametrize("then", ["resume", "resolve"])
def test_a_kill_during_complete_is_resolved_by_looking(
    programs, here, oss_bucket, oss_faults, url, file, then
):
    fault = oss_faults.on("CompleteMultipartUpload").stall(at="answer", times=1)
    process = programs.start(UPLOAD, source=str(file.path), url=url)
    fault.reached.wait()
    kill(process)
    fault.end()
    oss_faults.requests.clear()
    if then == "resume":
        assert here.resume(url).result(PATIENCE_S).by_evidence
    else:
        assert here.resolve_upload(url).committed == penstock.Committed.YES
    assert oss_faults.count("UploadPart") == oss_faults.count("CompleteMultipartUpload") == 0
    assert here.get_object(oss_bucket, "k").read() == file.data
    assert list(here.unfinished_uploads()) == []


def test_many_kills_with_one_journal_leave_one_upload(programs, here, oss_bucket, oss_faults, url, file):
    for number in range(1, 5):
        with held(oss_faults, "UploadPart", number=number) as fault:
            text = UPLOAD if number == 1 else "client.resume(url, parallel=1).result()"
            process = programs.start(text, source=str(file.path), url=url)
            fault.reached.wait()
            kill(process)
        assert len(open_uploads(here, oss_bucket)) == 1
    assert oss_faults.count("InitiateMultipartUpload") == 1
    here.resume(url).result(PATIENCE_S)
    assert here.get_object(oss_bucket, "k").read() == file.data
    assert open_uploads(here, oss_bucket) == []


def test_only_one_process_carries_out_an_upload(programs, here, oss_bucket, oss_faults, url, file):
    with held(oss_faults, "UploadPart", number=2) as fault:
        process = programs.start(UPLOAD, source=str(file.path), url=url)
        fault.reached.wait()
        for attempt in (lambda: here.resume(url), lambda: here.cancel_upload(url)):
            with pytest.raises(penstock.JournalLocked) as caught:
                attempt()
            assert str(process.pid) in str(caught.value)
    assert process.communicate(timeout=PATIENCE_S)[0].split() == [str(SIZE)]
    assert here.get_object(oss_bucket, "k").read() == file.data
    assert oss_faults.count("AbortMultipartUpload") == 0


def test_a_transfer_holds_its_journal_against_another_client_of_its_process(
    here, make_client, oss_env, oss_faults, url, file
):
    other = make_client(state_dir=oss_env["PENSTOCK_STATE_DIR"])
    with held(oss_faults, "UploadPart", number=1) as fault:
        transfer = here.upload(file.path, url, part_bytes=PART)
        fault.reached.wait()
        with pytest.raises(penstock.JournalLocked):
            other.resume(url)
        transfer.abort()
        transfer.outcome(PATIENCE_S)
    assert other.resume(url).result(PATIENCE_S).size_bytes == SIZE


def test_an_interrupted_upload_says_how_to_go_on_and_can_be_gone_on_with(
    programs, here, oss_bucket, oss_faults, url, file
):
    text = """
        transfer = client.upload(source, url, part_bytes=102_400, parallel=1)
        try:
            transfer.result()
        except KeyboardInterrupt:
            print(transfer.outcome(0).error.reason, transfer.resume_token)
    """
    with held(oss_faults, "UploadPart", number=3) as fault:
        process = programs.start(text, source=str(file.path), url=url)
        fault.reached.wait()
        asked = oss_faults.count()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert not err
    reason, token = out.split()
    assert reason == "interrupt"
    assert oss_faults.count() == asked
    oss_faults.requests.clear()
    here.resume(token).result(PATIENCE_S)
    assert oss_faults.count("UploadPart") == PARTS - 2


def test_a_handler_of_sigterm_may_stop_everything(programs, oss_faults, url, file):
    text = """
        import signal
        signal.signal(signal.SIGTERM, lambda number, frame: client.disable_requests())
        transfer = client.upload(source, url, part_bytes=102_400)
        outcome = transfer.outcome()
        print(outcome.error.code, outcome.error.reason)
    """
    with held(oss_faults, "UploadPart") as fault:
        process = programs.start(text, source=str(file.path), url=url)
        fault.reached.wait()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE_S)
    assert not err
    assert out.split() == [penstock.STOPPED_IN_FLIGHT, "disabled"]


def test_a_journal_tells_no_secret_and_is_private(here, oss_env, oss_faults, url, file):
    with held(oss_faults, "UploadPart", number=2) as fault:
        transfer = here.upload(file.path, url, part_bytes=PART, parallel=1)
        fault.reached.wait()
        transfer.abort()
        transfer.outcome(PATIENCE_S)
    (left,) = here.unfinished_uploads()
    held_bytes = left.path.read_bytes()
    assert oss_env["OSS_ACCESS_KEY_SECRET"].encode() not in held_bytes
    assert left.path.stat().st_mode & 0o777 == 0o600
    assert left.path.parent.stat().st_mode & 0o777 == 0o700
    token = transfer.resume_token
    assert oss_env["OSS_ACCESS_KEY_SECRET"] not in token
    assert str(file.path) not in repr(penstock.client.transfers.uploads.tokens.decode(token))


@pytest.mark.parametrize("verb", ["upload", "copy", "download"])
def test_a_crash_after_the_end_and_before_its_journal_is_gone_leaves_a_success(
    here, oss_bucket, oss_faults, url, file, tmp_path, monkeypatch, verb
):
    here.put_object(oss_bucket, "from", file.data)
    begins = {
        "upload": lambda: here.upload(file.path, url, part_bytes=PART),
        "copy": lambda: here.copy(f"oss://{oss_bucket}/from", url, part_bytes=PART),
        "download": lambda: here.download(f"oss://{oss_bucket}/from", tmp_path / "f", part_bytes=PART),
    }
    with monkeypatch.context() as crash:
        crash.setattr(JournalFile, "delete", JournalFile.close)
        made = begins[verb]().result(PATIENCE_S)
    oss_faults.requests.clear()
    (left,) = here.unfinished_uploads()
    stored = here.resume(left.url).result(PATIENCE_S)
    assert (stored.by_evidence, stored.crc64, stored.etag) == (True, made.crc64, made.etag)
    assert {one.operation for one in oss_faults.requests} <= {"HeadObject", "ListParts"}
    assert list(here.unfinished_uploads()) == []


def test_a_torn_journal_is_read_up_to_its_tear(here, oss_bucket, oss_faults, url, file):
    with held(oss_faults, "UploadPart", number=4) as fault:
        transfer = here.upload(file.path, url, part_bytes=PART, parallel=1)
        fault.reached.wait()
        transfer.abort()
        transfer.outcome(PATIENCE_S)
    (left,) = here.unfinished_uploads()
    whole = left.path.read_bytes()
    left.path.write_bytes(whole[:-7] + b"\x00\x01")
    oss_faults.requests.clear()
    here.resume(url).result(PATIENCE_S)
    # OSS still has all three parts; the one whose record was torn is compared, not sent.
    assert sorted(one.number for one in oss_faults.asked("UploadPart")) == [4, 5, 6]
    assert here.get_object(oss_bucket, "k").read() == file.data


def test_an_upload_without_a_journal_can_be_gone_on_with_by_its_token(
    here, oss_bucket, oss_faults, url, file
):
    with held(oss_faults, "UploadPart", number=2) as fault:
        transfer = here.upload(file.path, url, part_bytes=PART, parallel=1, journal=False)
        fault.reached.wait()
        transfer.abort()
        transfer.outcome(PATIENCE_S)
    assert list(here.unfinished_uploads()) == []
    oss_faults.requests.clear()
    here.resume(transfer.resume_token, file.path).result(PATIENCE_S)
    assert oss_faults.count("UploadPart") == PARTS - 1
    assert here.get_object(oss_bucket, "k").read() == file.data
