"""Code of the caller's that raises an error stops its transfer, and nothing else: every verb still works."""

from __future__ import annotations

import io
import pickle
import threading

import pytest

import penstock

PART = 102_400
SIZE = 5 * PART + 7
PATIENCE_S = 20.0


class Mistake(Exception):
    """What a callback of these tests raises."""


def raising(when):
    """A progress callback that raises as soon as ``when`` holds of what it is told."""

    def progress(told):
        if when(told):
            raise Mistake("mine")

    return progress


def after_two_parts(told):
    return told.parts_done >= 2


@pytest.fixture
def open_uploads(client, oss_bucket):
    return lambda: [one.upload_id for one in client.iter_multipart_uploads(oss_bucket)]


@pytest.fixture
def broken(client, oss_bucket, new_file):
    """An upload in parts that its own callback has stopped after two of them."""
    file = new_file(SIZE)
    transfer = client.upload(
        file.path, f"oss://{oss_bucket}/k", part_bytes=PART, parallel=1, progress=raising(after_two_parts)
    )
    assert transfer.wait_until_quiet(PATIENCE_S)
    return transfer


def test_the_result_is_the_callbacks_own_error_and_the_outcome_tells_what_oss_has(broken):
    with pytest.raises(Mistake):
        broken.result(0)
    outcome = broken.outcome(0)
    assert outcome.committed is penstock.Committed.NO
    assert outcome.value is None
    assert isinstance(outcome.error, penstock.UnexpectedError)
    assert isinstance(outcome.error.__cause__, Mistake)
    assert "Mistake('mine')" in str(outcome.error)
    assert outcome.error.upload_id == broken.upload_id is not None
    assert outcome.error.resume_token == broken.resume_token
    assert str(pickle.loads(pickle.dumps(outcome.error))) == str(outcome.error)
    assert broken.resolve().committed is penstock.Committed.NO


def test_what_a_callback_broke_off_can_be_cancelled(broken, client, open_uploads):
    assert open_uploads() == [broken.upload_id]
    assert broken.cancel(PATIENCE_S) is penstock.CleanUp.VERIFIED
    assert open_uploads() == []
    assert list(client.unfinished_uploads()) == []
    with pytest.raises(Mistake):
        broken.result(0)


def test_what_a_callback_broke_off_goes_on_without_it(broken, client, oss_bucket):
    assert client.resume(broken.resume_token).result(PATIENCE_S).size_bytes == SIZE
    assert client.object_exists(oss_bucket, "k")


def test_a_callback_that_raises_while_a_cancel_cleans_up_does_not_keep_it_from_cleaning_up(
    client, oss_bucket, oss_faults, new_file, open_uploads
):
    stopping = threading.Event()
    stalled = oss_faults.on("UploadPart", number=3).stall(times=1)
    transfer = client.upload(
        new_file(SIZE).path,
        f"oss://{oss_bucket}/k",
        part_bytes=PART,
        parallel=1,
        progress=raising(lambda told: stopping.is_set()),
    )
    stalled.reached.wait()
    stopping.set()
    transfer.cancel_soon()
    stalled.end()
    assert transfer.cancel(PATIENCE_S) is penstock.CleanUp.VERIFIED
    assert open_uploads() == []


@pytest.mark.parametrize("error", [Mistake("mine"), penstock.InvalidInput("mine")])
@pytest.mark.parametrize("part_bytes", [None, PART])
def test_an_object_that_is_there_is_told_as_committed_though_a_callback_raised(
    client, oss_bucket, new_file, error, part_bytes
):
    def progress(told):
        if told.acknowledged_bytes == told.total_bytes:
            raise error

    url = f"oss://{oss_bucket}/k"
    transfer = client.upload(new_file(SIZE).path, url, part_bytes=part_bytes, progress=progress)
    with pytest.raises(type(error), match="mine"):
        transfer.result(PATIENCE_S)
    outcome = transfer.outcome(0)
    made = client.object_exists(oss_bucket, "k")
    assert made is (part_bytes is None)
    assert outcome.committed is (penstock.Committed.YES if made else penstock.Committed.NO)
    assert (outcome.value is not None) is made
    assert outcome.error.__cause__ is error
    assert not outcome.aborted
    if made:
        with pytest.raises(penstock.TransferError, match="complete before"):
            transfer.cancel()
    else:
        assert transfer.cancel() is penstock.CleanUp.VERIFIED


def test_a_single_request_whose_callback_raised_when_all_was_sent_is_in_doubt_and_resolves(
    client, oss_bucket, oss_faults
):
    oss_faults.on("PutObject").stall(at="answer", times=1)
    sent = []

    def progress(told):
        sent.append(told.in_flight_bytes)
        if told.in_flight_bytes == told.total_bytes:
            oss_faults.wait_until(lambda: oss_faults.count("PutObject") == 1)
            raise Mistake

    transfer = client.upload(b"small", f"oss://{oss_bucket}/k", progress=progress)
    outcome = transfer.outcome(PATIENCE_S)
    assert outcome.committed is penstock.Committed.UNKNOWN
    oss_faults.end()
    resolved = transfer.resolve()
    assert resolved.committed is not penstock.Committed.UNKNOWN
    assert (resolved.committed is penstock.Committed.YES) is client.object_exists(oss_bucket, "k")
    assert isinstance(resolved.error.__cause__, Mistake)


@pytest.mark.parametrize("part_bytes", [None, PART])
def test_a_source_that_raises_what_is_no_system_error_stops_its_upload(
    client, oss_bucket, part_bytes, assert_quiet, open_uploads
):
    class Odd(io.BytesIO):
        def read(self, size=-1):
            raise Mistake("read")

    transfer = client.upload(Odd(bytes(SIZE)), f"oss://{oss_bucket}/k", part_bytes=part_bytes)
    with pytest.raises(Mistake, match="read"):
        transfer.result(PATIENCE_S)
    assert transfer.outcome(0).committed is penstock.Committed.NO
    assert transfer.cancel(PATIENCE_S) is penstock.CleanUp.VERIFIED
    assert open_uploads() == []
    assert_quiet(client, len(client._transport._pool))


def test_a_source_that_raises_when_it_is_read_again_leaves_the_first_attempt_in_doubt(
    client, oss_bucket, oss_faults
):
    oss_faults.on("PutObject").drop_answer()

    class ReadOnce(io.BytesIO):
        def read(self, size=-1):
            if oss_faults.count("PutObject"):
                raise Mistake("read again")
            return super().read(size)

    transfer = client.upload(ReadOnce(b"small"), f"oss://{oss_bucket}/k")
    with pytest.raises(Mistake, match="again"):
        transfer.result(PATIENCE_S)
    assert transfer.outcome(0).committed is penstock.Committed.UNKNOWN
    assert transfer.resolve().committed is penstock.Committed.YES


def test_one_callback_that_raises_keeps_its_group_neither_from_cancelling_nor_from_telling(
    client, oss_bucket, oss_faults, new_file, open_uploads
):
    file = new_file(SIZE)
    group = client.group(parallel=2)
    bad = group.upload(
        file.path,
        f"oss://{oss_bucket}/bad",
        part_bytes=PART,
        parallel=1,
        progress=raising(after_two_parts),
    )
    assert bad.wait_until_quiet(PATIENCE_S)
    stalled = oss_faults.on("UploadPart", number=2).stall(times=1)
    group.upload(file.path, f"oss://{oss_bucket}/good", part_bytes=PART, parallel=1)
    stalled.reached.wait()
    stalled.end()
    assert group.cancel(PATIENCE_S) is penstock.CleanUp.VERIFIED
    assert open_uploads() == []
    first, second = group.outcomes(PATIENCE_S)
    assert isinstance(first.error.__cause__, Mistake)
    assert isinstance(second.error, penstock.Aborted)


def test_leaving_a_group_raises_the_callbacks_own_error(client, oss_bucket):
    with pytest.raises(Mistake), client.group() as group:
        group.upload(b"1", f"oss://{oss_bucket}/k", progress=raising(lambda told: True))


def test_an_option_that_is_none_is_told_by_the_transfer_of_a_group(client, oss_bucket):
    group = client.group()
    transfer = group.upload(b"1", f"oss://{oss_bucket}/k", colour="blue")
    with pytest.raises(TypeError, match="colour"):
        transfer.result(PATIENCE_S)
    (outcome,) = group.outcomes(PATIENCE_S)
    assert outcome.committed is penstock.Committed.NO
    assert isinstance(outcome.error.__cause__, TypeError)
    assert group.cancel() is penstock.CleanUp.VERIFIED


def test_two_threads_that_cancel_the_same_upload_are_told_the_same(
    client, oss_bucket, oss_faults, new_file, open_uploads
):
    """The upload was aborted before, so that each of them has to clean up."""
    stalled = oss_faults.on("UploadPart", number=2).stall(times=1)
    transfer = client.upload(new_file(SIZE).path, f"oss://{oss_bucket}/k", part_bytes=PART, parallel=1)
    stalled.reached.wait()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).aborted
    stalled.end()
    cleaning = oss_faults.on("AbortMultipartUpload").stall(times=1)
    told = []

    def cancel():
        try:
            told.append(transfer.cancel(PATIENCE_S))
        except penstock.PenstockError as error:
            told.append(error)

    threads = [threading.Thread(target=cancel) for _ in range(2)]
    threads[0].start()
    cleaning.reached.wait()
    threads[1].start()
    with pytest.raises(TimeoutError, match="still runs"):
        transfer.cancel(0.01)
    cleaning.release()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert told == [penstock.CleanUp.VERIFIED] * 2
    assert oss_faults.count("AbortMultipartUpload") == 1
    assert open_uploads() == []
