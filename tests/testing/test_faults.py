"""The fault kit does to real requests what it says, and lets go of them."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.parse

import pytest

import penstock
from penstock.testing import CuttingProxy, FullBacklog, Moment, SilentPeer

KIB = 1024
BODY = bytes(range(256)) * 4 * KIB  # 1 MiB


def test_a_request_meets_only_the_fault_that_was_set_for_it(oss_client, oss_bucket, oss_faults):
    oss_faults.on("PutObject", bucket="another-bucket").answer(403, "AccessDenied", times=None)
    fault = oss_faults.on("PutObject", bucket=oss_bucket, key="bad").answer(403, "AccessDenied", times=None)
    oss_client.put_object(oss_bucket, "good", b"1")
    with pytest.raises(penstock.Forbidden):
        oss_client.put_object(oss_bucket, "bad", b"1")
    assert oss_client.object_exists(oss_bucket, "good")
    assert not oss_client.object_exists(oss_bucket, "bad")
    assert fault.hits == 1
    assert fault.reached


def test_nth_and_times_choose_which_of_many(oss_client, oss_bucket, oss_faults):
    oss_faults.on("PutObject", nth=2).answer(403, "AccessDenied", times=2)
    ended = []
    for _ in range(5):
        try:
            oss_client.put_object(oss_bucket, "k", b"1")
            ended.append("stored")
        except penstock.Forbidden:
            ended.append("refused")
    assert ended == ["stored", "refused", "refused", "stored", "stored"]


def test_a_part_is_chosen_by_its_number(oss_client, oss_bucket, oss_faults):
    upload_id = oss_client.initiate_multipart_upload(oss_bucket, "k").upload_id
    fault = oss_faults.on("UploadPart", number=2).answer(403, "AccessDenied")
    oss_client.upload_part(oss_bucket, "k", upload_id, 1, b"1")
    with pytest.raises(penstock.Forbidden):
        oss_client.upload_part(oss_bucket, "k", upload_id, 2, b"2")
    assert fault.hits == 1
    assert [one.number for one in oss_faults.asked("UploadPart")] == [1, 2]
    assert {one.upload_id for one in oss_faults.asked("UploadPart")} == {upload_id}


@pytest.mark.parametrize("size", [10, 1024 * KIB], ids=["small", "large"])
@pytest.mark.parametrize("at", ["head", "store", "answer"])
def test_a_stalled_request_goes_on_when_released(oss_client, oss_bucket, oss_faults, at, size):
    fault = oss_faults.on("PutObject").stall(at=at)
    call = oss_client.submit(oss_client.put_object, oss_bucket, "k", BODY[:size])
    fault.reached.wait()
    assert not call.done()
    asked = oss_faults.asked("PutObject")[0]
    assert asked.status is None
    assert asked.received_bytes == (0 if at == "head" else size)
    oss_faults.wait_until(lambda: oss_faults.count() == 1)
    assert oss_client.object_exists(oss_bucket, "k") is (at == "answer")
    fault.release()
    assert call.result(20).etag
    assert asked.status == 200


def test_a_request_stalls_after_some_of_its_body(oss_client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").stall(after_bytes=100 * KIB)
    call = oss_client.submit(oss_client.put_object, oss_bucket, "k", BODY * 16)
    fault.reached.wait()
    received = oss_faults.requests[0].received_bytes
    assert 100 * KIB <= received < len(BODY)
    assert not call.done()
    fault.release()
    call.result(20)
    assert oss_faults.requests[0].received_bytes == 16 * len(BODY)


def test_a_delayed_request_is_served_later(oss_client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").delay(0.1)
    begun = time.monotonic()
    oss_client.put_object(oss_bucket, "k", b"1")
    assert time.monotonic() - begun >= 0.1
    assert fault.hits == 1


@pytest.mark.parametrize("after_bytes", [None, 300 * KIB])
@pytest.mark.parametrize("reset", [True, False])
def test_a_cut_request_stores_nothing(oss_server, oss_client, oss_bucket, oss_faults, after_bytes, reset):
    fault = oss_faults.on("PutObject").cut(after_bytes=after_bytes, reset=reset)
    with pytest.raises(penstock.ConnectionLost):
        oss_client._requester.call(*_put(oss_bucket, BODY), max_attempts=1)
    assert fault.hits == 1
    assert not oss_client.object_exists(oss_bucket, "k")


def _put(bucket, data):
    from penstock.client.sending.body import MemoryBody
    from penstock.protocol.operations.objects import PutObject, PutObjectResult

    return PutObject(bucket=bucket, key="k"), PutObjectResult, MemoryBody(data)


@pytest.mark.parametrize("reset", [True, False])
@pytest.mark.parametrize("where", ["request", "answer"])
def test_a_cut_is_a_reset_or_an_end_in_order(oss_server, oss_bucket, oss_faults, where, reset):
    matcher = oss_faults.on("PutObject")
    matcher.cut(reset=reset) if where == "request" else matcher.drop_answer(reset=reset)
    with socket.create_connection(("127.0.0.1", urllib.parse.urlsplit(oss_server.endpoint).port)) as sock:
        sock.settimeout(20)
        sock.sendall(f"PUT /{oss_bucket}/k HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n".encode())
        try:
            was_reset = sock.recv(1) != b""
        except ConnectionResetError:
            was_reset = True
    assert was_reset is reset


def test_a_dropped_answer_leaves_the_object_behind(oss_client, oss_bucket, oss_faults):
    oss_faults.on("PutObject").drop_answer()
    with pytest.raises(penstock.ConnectionLost) as caught:
        oss_client._requester.call(*_put(oss_bucket, BODY), max_attempts=1)
    assert caught.value.request_sent
    assert oss_client.object_exists(oss_bucket, "k")
    assert oss_faults.asked("PutObject")[0].status is None


def test_an_answer_is_cut_in_its_middle(oss_client, oss_bucket, oss_faults):
    oss_client.put_object(oss_bucket, "k", BODY)
    fault = oss_faults.on("GetObject").cut_answer(after_bytes=10 * KIB)
    assert oss_client.get_object(oss_bucket, "k").read() == BODY
    assert fault.hits == 1
    _, again = oss_faults.asked("GetObject")
    assert 0 < int(again.headers["range"].removeprefix("bytes=").rstrip("-")) < 10 * KIB


def test_an_answer_to_head_carries_its_error_too(oss_client, oss_bucket, oss_faults):
    oss_faults.on("HeadObject").answer(
        403, "InvalidObjectState", fields={"Why": "frozen"}, headers={"x-oss-ec": "0017-00000104"}
    )
    with pytest.raises(penstock.ServiceError) as caught:
        oss_client.head_object(oss_bucket, "k")
    assert caught.value.code == "InvalidObjectState"
    assert caught.value.fields["Why"] == "frozen"
    assert caught.value.ec == "0017-00000104"


def test_an_early_answer_comes_before_the_body(oss_client, oss_bucket, oss_faults):
    oss_faults.on("PutObject").answer(403, "AccessDenied", before_body=True)
    with pytest.raises(penstock.Forbidden):
        oss_client.put_object(oss_bucket, "k", BODY * 8)
    assert oss_faults.requests[0].received_bytes == 0


def test_an_altered_answer_says_something_else(oss_client, oss_bucket, oss_faults):
    oss_faults.on("PutObject").alter_answer({"x-oss-hash-crc64ecma": "1"})
    with pytest.raises(penstock.ChecksumMismatch):
        oss_client.put_object(oss_bucket, "k", b"1")
    assert oss_client.get_object(oss_bucket, "k").read() == b"1"


def test_a_forgotten_upload_is_really_gone_and_forgetting_is_not_counted(oss_client, oss_bucket, oss_faults):
    upload_id = oss_client.initiate_multipart_upload(oss_bucket, "k").upload_id
    fault = oss_faults.on("UploadPart").forget_upload()
    with pytest.raises(penstock.NoSuchUpload):
        oss_client.upload_part(oss_bucket, "k", upload_id, 1, b"1")
    assert list(oss_client.iter_multipart_uploads(oss_bucket)) == []
    assert fault.reached
    assert oss_faults.count("AbortMultipartUpload") == 0


def test_what_a_fault_still_holds_at_the_end_is_cut_and_not_carried_out(oss_client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").stall(at="store", times=1)
    oss_faults.on("PutObject").answer(403, "AccessDenied")
    call = oss_client.submit(oss_client.put_object, oss_bucket, "k", b"1")
    fault.reached.wait()
    fault.end()
    with pytest.raises(penstock.Forbidden):  # the second attempt, after the first one was cut
        call.result(20)
    assert not oss_client.object_exists(oss_bucket, "k")


def test_released_faults_are_gone(oss_client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").stall()
    call = oss_client.submit(oss_client.put_object, oss_bucket, "k", b"1")
    fault.reached.wait()
    oss_faults.release_all()
    call.result(20)
    oss_client.put_object(oss_bucket, "k", b"2")
    assert fault.hits == 1


def test_a_request_that_makes_no_sense_is_recorded_without_an_operation(oss_server, oss_faults):
    port = urllib.parse.urlsplit(oss_server.endpoint).port
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PATCH", "/bucket/key")
    assert connection.getresponse().status == 405
    connection.close()
    assert [one.operation for one in oss_faults.requests] == [""]


def test_waiting_for_what_does_not_come_fails(oss_faults):
    with pytest.raises(TimeoutError, match="nothing of the kind"):
        oss_faults.wait_until(lambda: oss_faults.count() == 1, timeout_s=0.01)
    with pytest.raises(TimeoutError, match="a request was held at its head"):
        oss_faults.on("PutObject").stall().reached.wait(0.01)


def test_a_moment_lets_through_all_that_wait():
    moment = Moment("nothing")
    through = threading.Semaphore(0)

    def wait():
        moment.wait()
        through.release()

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert not moment
    moment.happen()
    moment.happen()
    for thread in threads:
        thread.join(20)
    assert moment
    assert sum(through.acquire(timeout=0) for _ in range(4)) == 3


def _client_of(oss_server, endpoint, tmp_path, **settings):
    (key_id, secret), *_ = oss_server.users.items()
    return penstock.Client(
        endpoint,
        region=oss_server.region,
        credentials=penstock.Credentials(key_id, secret),
        network=penstock.NetSettings(proxy="", **settings),
        retry=penstock.RetryPolicy(max_attempts=2, base_delay_s=0.01),
        state_dir=tmp_path,
    )


def test_a_silent_peer_takes_some_bytes_and_counts_them(oss_server, tmp_path, eventually):
    with (
        SilentPeer(receive_buffer_bytes=4096) as peer,
        _client_of(oss_server, peer.endpoint(), tmp_path) as client,
    ):
        sent = [0]
        call = client.submit(
            client.put_object, "bucket", "k", BODY * 8, progress=lambda so_far, total: sent.append(so_far)
        )
        peer.peek()
        eventually(lambda: sent[-1] > 100_000)
        assert peer.connections == 1
        call.abort()
        assert call.outcome(20).aborted
        received, was_reset = peer.read_to_end()
        assert 0 < received <= 64 * KIB
        assert was_reset


def test_a_full_backlog_lets_nobody_in(oss_server, tmp_path):
    with (
        FullBacklog() as peer,
        _client_of(oss_server, peer.endpoint(), tmp_path, connect_timeout_s=0.05) as client,
        pytest.raises(penstock.TimedOut),
    ):
        client.list_buckets()


def test_a_proxy_cuts_once_and_then_passes_everything_on(oss_server, oss_bucket, tmp_path):
    port = urllib.parse.urlsplit(oss_server.endpoint).port
    with (
        CuttingProxy(port, cut_after_sent_bytes=100_000) as proxy,
        _client_of(oss_server, proxy.endpoint(), tmp_path) as client,
    ):
        client.put_object(oss_bucket, "k", BODY)
        proxy.cut.wait()
        assert client.get_object(oss_bucket, "k").read() == BODY


def test_a_proxy_cuts_answers(oss_server, oss_client, oss_bucket, tmp_path):
    oss_client.put_object(oss_bucket, "k", BODY)
    port = urllib.parse.urlsplit(oss_server.endpoint).port
    with (
        CuttingProxy(port, cut_after_received_bytes=100_000) as proxy,
        _client_of(oss_server, proxy.endpoint(), tmp_path) as client,
    ):
        assert client.get_object(oss_bucket, "k").read() == BODY
        assert proxy.cut
