"""What is tried again, what never is, and what a call says that failed."""

from __future__ import annotations

import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import penstock
from penstock.client.sending.retry import RetryBudget, RetryPolicy, may_retry

DATA = bytes(range(256)) * 4096  # 1 MiB
YES, NO, UNKNOWN = penstock.Committed.YES, penstock.Committed.NO, penstock.Committed.UNKNOWN


@given(
    attempt=st.integers(1, 10_000),
    fraction=st.floats(0, 1, exclude_max=True),
    base=st.floats(0, 60),
    most=st.floats(0, 60),
)
def test_a_wait_is_never_longer_than_allowed(attempt, fraction, base, most):
    policy = RetryPolicy(base_delay_s=base, max_delay_s=most)
    assert 0 <= policy.delay_s(attempt, fraction) <= min(most, base * 2 ** min(attempt - 1, 30))


def test_waits_may_double_and_stay_random():
    policy = RetryPolicy(base_delay_s=1, max_delay_s=5)
    assert [policy.delay_s(attempt, 0.999999) for attempt in (1, 2, 3, 4)] == pytest.approx(
        [1, 2, 4, 5], 1e-5
    )
    assert policy.delay_s(4, 0.0) == 0


def test_a_budget_runs_dry_and_fills_up_by_successes():
    budget = RetryBudget(tokens=11)
    assert [budget.take() for _ in range(3)] == [True, True, False]
    for _ in range(3):
        budget.give_back()
    assert not budget.take()
    budget.give_back()
    assert budget.take()
    for _ in range(100):
        budget.give_back()
    assert [budget.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("code", ["ServiceUnavailable", "InternalError"])
def test_what_oss_fails_at_is_tried_again(client, oss_bucket, oss_faults, code):
    oss_faults.on("PutObject").answer(503 if code.startswith("S") else 500, code, times=2)
    client.put_object(oss_bucket, "k", DATA)
    assert oss_faults.count("PutObject") == 3
    assert client.get_object(oss_bucket, "k").read() == DATA


def test_it_is_given_up_after_so_many_attempts(make_client, oss_bucket, oss_faults):
    client = make_client(retry=RetryPolicy(max_attempts=3, base_delay_s=0.001))
    oss_faults.on("PutObject").answer(503, "ServiceUnavailable", times=None)
    call = client.submit(client.put_object, oss_bucket, "k", b"1")
    outcome = call.outcome(20)
    assert isinstance(outcome.error, penstock.ServiceUnavailable)
    assert outcome.committed == NO
    assert not outcome.aborted
    assert oss_faults.count() == 3


def test_retries_can_be_turned_off(make_client, oss_bucket, oss_faults):
    client = make_client(retry=RetryPolicy(max_attempts=1))
    oss_faults.on("ListObjectsV2").answer(503, "ServiceUnavailable")
    with pytest.raises(penstock.ServiceUnavailable):
        client.list_objects_v2(oss_bucket)
    assert oss_faults.count() == 1


def test_a_service_that_keeps_failing_is_not_flooded(client, oss_bucket, oss_faults):
    client._requester._budget = RetryBudget(tokens=3 * RetryBudget.COST)
    oss_faults.on().answer(503, "ServiceUnavailable", times=None)
    for _ in range(4):
        with pytest.raises(penstock.ServiceUnavailable):
            client.list_objects_v2(oss_bucket)
    assert oss_faults.count() == 4 + 3


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 412])
def test_what_oss_refuses_is_not_tried_again(client, oss_bucket, oss_faults, status):
    oss_faults.on("PutObject").answer(status, "SomethingNew", times=None)
    with pytest.raises(penstock.ServiceError) as caught:
        client.put_object(oss_bucket, "k", b"1")
    assert (caught.value.status, caught.value.code) == (status, "SomethingNew")
    assert oss_faults.count() == 1


def upload_id(client, bucket):
    return client.initiate_multipart_upload(bucket, "k").upload_id


NOT_REPEATABLE = {
    "AppendObject": lambda c, b: c.append_object(b, "k", 0, b"1"),
    "InitiateMultipartUpload": lambda c, b: c.initiate_multipart_upload(b, "k"),
    "CompleteMultipartUpload": lambda c, b: c.complete_multipart_upload(b, "k", upload_id(c, b), None),
    "PutObject": lambda c, b: c.put_object(b, "k", b"1", forbid_overwrite=True),
    "CopyObject": lambda c, b: c.copy_object(b, "copy", b, "source", forbid_overwrite=True),
    "PutSymlink": lambda c, b: c.put_symlink(b, "link", "source", forbid_overwrite=True),
}


@pytest.mark.parametrize("name", NOT_REPEATABLE)
def test_what_may_not_happen_twice_is_not_sent_again_once_handed_over(client, oss_bucket, oss_faults, name):
    client.put_object(oss_bucket, "source", b"1")  # and a connection is kept
    oss_faults.on(name).drop_answer(times=None)
    outcome = client.submit(NOT_REPEATABLE[name], client, oss_bucket).outcome(20)
    assert isinstance(outcome.error, penstock.ConnectionLost)
    assert outcome.error.request_sent
    assert outcome.committed == UNKNOWN
    assert len([one for one in oss_faults.asked(name) if one.key != "source"]) == 1


@pytest.mark.parametrize("name", ["AppendObject", "InitiateMultipartUpload", "CompleteMultipartUpload"])
def test_what_may_not_happen_twice_is_not_sent_again_after_a_failure_of_oss(
    client, oss_bucket, oss_faults, name
):
    oss_faults.on(name).answer(500, "InternalError", times=None)
    with pytest.raises(penstock.ServiceUnavailable):
        NOT_REPEATABLE[name](client, oss_bucket)
    assert len([one for one in oss_faults.asked(name) if one.key != "source"]) == 1


def test_what_may_not_happen_twice_is_sent_again_while_a_part_of_it_was_missing(
    client, oss_bucket, oss_faults
):
    fault = oss_faults.on("AppendObject").cut(after_bytes=100_000)
    client.append_object(oss_bucket, "k", 0, DATA * 32)
    assert fault.hits == 1
    assert client.head_object(oss_bucket, "k").content_bytes == 32 * len(DATA)


def test_a_lost_answer_is_asked_for_again_where_that_is_harmless(client, oss_bucket, oss_faults):
    oss_faults.on("PutObject").drop_answer(times=2)
    client.put_object(oss_bucket, "k", DATA)
    assert oss_faults.count("PutObject") == 3


def test_an_abort_of_an_upload_whose_answer_was_lost_is_done_when_the_upload_is_gone(
    client, oss_bucket, oss_faults
):
    upload_id = client.initiate_multipart_upload(oss_bucket, "k").upload_id
    oss_faults.on("AbortMultipartUpload").drop_answer()
    client.abort_multipart_upload(oss_bucket, "k", upload_id)
    assert oss_faults.count("AbortMultipartUpload") == 2
    assert list(client.iter_multipart_uploads(oss_bucket)) == []


@pytest.mark.parametrize("before", ["nothing", "a refusal"])
def test_an_abort_of_an_upload_that_is_not_there_is_an_error_unless_it_was_removed_here(
    client, oss_bucket, oss_faults, before
):
    upload_id = client.initiate_multipart_upload(oss_bucket, "k").upload_id
    client.abort_multipart_upload(oss_bucket, "k", upload_id)
    if before == "a refusal":
        oss_faults.on("AbortMultipartUpload").answer(503, "ServiceUnavailable")
    with pytest.raises(penstock.NoSuchUpload):
        client.abort_multipart_upload(oss_bucket, "k", upload_id)


def test_a_doubt_is_not_forgotten_when_a_later_attempt_is_refused(client, oss_bucket, oss_faults):
    oss_faults.on("PutObject", nth=1).drop_answer()
    oss_faults.on("PutObject").answer(403, "AccessDenied")
    outcome = client.submit(client.put_object, oss_bucket, "k", b"1").outcome(20)
    assert isinstance(outcome.error, penstock.Forbidden)
    assert client.object_exists(oss_bucket, "k")
    assert outcome.committed == UNKNOWN


def test_a_doubt_is_not_forgotten_when_a_later_attempt_does_not_connect(
    make_client, oss_server, oss_bucket, oss_faults
):
    oss_faults.on("PutObject").drop_answer()
    client = make_client()
    connect = client._transport._connector.connect
    tried = []

    def refuse_the_second(origin, latch, on_close):
        tried.append(origin)
        if len(tried) > 1:
            raise penstock.ConnectFailed("refused", host="h")
        return connect(origin, latch, on_close)

    client._transport._connector.connect = refuse_the_second
    outcome = client.submit(client.put_object, oss_bucket, "k", b"1").outcome(20)
    assert isinstance(outcome.error, penstock.ConnectFailed)
    assert outcome.error.request_sent
    assert outcome.committed == UNKNOWN
    assert len(tried) == 4


def test_a_doubt_is_not_forgotten_when_the_silent_second_try_is_stopped(client, oss_bucket, oss_faults):
    client.put_object(oss_bucket, "k", b"before")  # keeps the connection that the next request goes over
    oss_faults.on("PutObject", nth=1).drop_answer()
    second = oss_faults.on("PutObject").stall(after_bytes=0)
    more_than_a_connection_holds = bytes(32 << 20)
    call = client.submit(client.put_object, oss_bucket, "k", more_than_a_connection_holds)
    second.reached.wait(20)
    call.abort()
    outcome = call.outcome(20)
    assert outcome.aborted
    assert client.head_object(oss_bucket, "k").content_bytes == len(more_than_a_connection_holds)
    assert outcome.committed == UNKNOWN


def test_a_doubt_is_not_forgotten_when_the_silent_second_try_is_stopped_before_it_connects(
    client, oss_bucket, oss_faults, monkeypatch
):
    client.put_object(oss_bucket, "source", b"1")  # keeps the connection that the next request goes over
    oss_faults.on("CopyObject").drop_answer()
    connect = client._transport._connector.connect

    def stop_and_connect(*arguments):
        client.disable_requests()
        return connect(*arguments)

    monkeypatch.setattr(client._transport._connector, "connect", stop_and_connect)
    outcome = client.submit(client.copy_object, oss_bucket, "copy", oss_bucket, "source").outcome(20)
    assert outcome.aborted
    assert (outcome.error.code, outcome.committed) == (penstock.STOPPED_IN_FLIGHT, UNKNOWN)


def test_a_question_that_was_never_answered_leaves_nothing_in_doubt(client, oss_bucket, oss_faults):
    oss_faults.on("ListObjectsV2").drop_answer(times=None)
    outcome = client.submit(client.list_objects_v2, oss_bucket).outcome(20)
    assert isinstance(outcome.error, penstock.ConnectionLost)
    assert outcome.error.request_sent
    assert outcome.committed == penstock.Committed.NO


def test_nobody_listens(make_client):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = make_client(f"http://127.0.0.1:{taken.getsockname()[1]}")
        outcome = client.submit(client.put_object, "bucket", "k", b"1").outcome(20)
    assert isinstance(outcome.error, penstock.ConnectFailed)
    assert outcome.committed == NO
    assert not outcome.error.request_sent


@pytest.fixture
def late_client(make_client):
    """A client whose clock is two hours slow."""
    client = make_client()
    client._requester.signer._now = lambda: int(time.time()) - 7200
    return client


def test_a_wrong_clock_is_corrected_and_stays_so(late_client, oss_bucket, oss_faults):
    late_client.put_object(oss_bucket, "k", DATA)
    assert [one.status for one in oss_faults.requests] == [403, 200]
    late_client.put_object(oss_bucket, "k", DATA)
    assert [one.status for one in oss_faults.requests] == [403, 200, 200]
    assert abs(late_client.presign_get(oss_bucket, "k", expires_s=100).expires_at - time.time() - 100) < 5


def test_a_wrong_clock_is_corrected_once_in_a_call(client, oss_bucket, oss_faults):
    skew = {"ServerTime": "2026-01-01T00:00:00.000Z"}
    oss_faults.on("PutObject").answer(403, "RequestTimeTooSkewed", fields=skew, times=None)
    with pytest.raises(penstock.Forbidden) as caught:
        client.put_object(oss_bucket, "k", b"1")
    assert caught.value.code == "RequestTimeTooSkewed"
    assert oss_faults.count() == 2


def test_a_body_that_is_spent_is_not_sent_again(late_client, client, oss_bucket, oss_faults):
    with pytest.raises(penstock.Forbidden):
        late_client.put_object(oss_bucket, "k", (block for block in [DATA]))
    assert oss_faults.count() == 1
    oss_faults.on("PutObject").answer(503, "ServiceUnavailable", times=None)
    with pytest.raises(penstock.ServiceUnavailable):
        client.put_object(oss_bucket, "k", (block for block in [DATA]), length=len(DATA))
    assert oss_faults.count() == 2


@pytest.mark.parametrize("kind", ["bytes", "path", "file", "list"])
def test_a_body_that_can_be_had_again_is_sent_again_whole(client, oss_bucket, oss_faults, new_file, kind):
    file = new_file(3_000_000)
    oss_faults.on("PutObject").cut(after_bytes=1_000_000, times=2)
    sent = []
    with file.path.open("rb") as opened:
        body = {
            "bytes": file.data,
            "path": file.path,
            "file": opened,
            "list": [file.data[:9], file.data[9:]],
        }[kind]
        client.put_object(oss_bucket, "k", body, progress=lambda so_far, total: sent.append(so_far))
    assert client.get_object(oss_bucket, "k").read() == file.data
    assert sent == sorted(sent)
    assert sent[-1] == len(file.data)


STORING = {
    "PutObject": lambda c, b: c.put_object(b, "k", DATA),
    "AppendObject": lambda c, b: c.append_object(b, "k", 0, DATA),
    "UploadPart": lambda c, b: c.upload_part(b, "k", upload_id(c, b), 1, DATA),
}


@pytest.mark.parametrize("name", STORING)
def test_bytes_that_were_stored_otherwise_are_noticed(client, oss_bucket, oss_faults, name):
    oss_faults.on(name).alter_answer({"x-oss-hash-crc64ecma": "17"})
    outcome = client.submit(STORING[name], client, oss_bucket).outcome(20)
    assert isinstance(outcome.error, penstock.ChecksumMismatch)
    assert outcome.error.actual == 17
    assert outcome.committed == YES


def test_an_append_notices_that_the_whole_is_not_what_it_should_be(client, oss_bucket):
    first = client.append_object(oss_bucket, "k", 0, b"one")
    with pytest.raises(penstock.ChecksumMismatch):
        client.append_object(oss_bucket, "k", 3, b"two", crc64_before=first.crc64 ^ 1)


def test_bytes_that_were_read_otherwise_are_noticed(client, oss_bucket, oss_faults, tmp_path):
    client.put_object(oss_bucket, "k", DATA)
    oss_faults.on("GetObject").alter_answer({"x-oss-hash-crc64ecma": "17"}, times=None)
    body = client.get_object(oss_bucket, "k")
    with pytest.raises(penstock.ChecksumMismatch):
        body.read()
    with pytest.raises(penstock.ChecksumMismatch):
        client.get_object_to_file(oss_bucket, "k", tmp_path / "down")
    assert not (tmp_path / "down").exists()


def test_a_download_goes_on_where_it_was_cut(client, oss_bucket, oss_faults):
    client.put_object(oss_bucket, "k", DATA)
    oss_faults.on("GetObject", nth=1).cut_answer(after_bytes=100_000)
    oss_faults.on("GetObject").cut_answer(after_bytes=200_000)
    body = client.get_object(oss_bucket, "k")
    assert body.read(10) + body.read() == DATA
    ranges = [one.headers.get("range") for one in oss_faults.asked("GetObject")]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(one.startswith("bytes=") for one in ranges[1:])


def test_a_download_does_not_go_on_with_another_revision(client, oss_bucket, oss_faults):
    client.put_object(oss_bucket, "k", DATA)
    oss_faults.on("GetObject", nth=1).cut_answer(after_bytes=100_000)
    body = client.get_object(oss_bucket, "k")
    client.put_object(oss_bucket, "k", DATA[::-1])
    with pytest.raises(penstock.PreconditionFailed), body:
        body.read()


@pytest.mark.parametrize(
    ("error", "repeatable", "expected"),
    [
        (penstock.ConnectFailed("m"), False, True),
        (penstock.NameNotResolved("m"), False, True),
        (penstock.TlsFailed("m"), True, False),
        (penstock.MalformedResponse("m"), True, False),
        (penstock.TimedOut("m", request_sent=True), True, True),
        (penstock.TimedOut("m", request_sent=True), False, False),
        (penstock.ConnectionLost("m", request_sent=False), False, True),
        (penstock.SourceEndedEarly("m"), True, False),
        (penstock.InvalidInput("m"), True, False),
    ],
)
def test_what_may_be_tried_again(error, repeatable, expected):
    assert may_retry(error, repeatable=repeatable) is expected
