"""A request may see a stop before the transfer has heard of it; then it was a stop all the same."""

from __future__ import annotations

import threading

import pytest

import penstock
from penstock.client.sending.requester import Requester
from penstock.net.latch import Latch

PART = 102_400
SIZE = 4 * PART + 7
PATIENCE_S = 20.0


class Parked:
    """
    Holds the next request of a kind until the switch is off, and the news of it until the transfer has ended.

    A busy machine does the same: whoever wakes those who wait may lose the processor to a request that looks
    at the switch by itself.
    """

    def __init__(self, monkeypatch, kind):
        self.arrived, self._off = threading.Event(), threading.Event()
        self._telling = None
        call, wake_all = Requester.call, Latch._wake_all
        turn = threading.Lock()

        def park(requester, request, *args, **options):
            if type(request).__name__ == kind and turn.acquire(blocking=False):
                self.arrived.set()
                assert self._off.wait(PATIENCE_S)
            return call(requester, request, *args, **options)

        def wake_late(latch, until):
            if threading.get_ident() == self._telling:
                self._off.set()
                self._transfer.outcome(PATIENCE_S)
            wake_all(latch, until)

        monkeypatch.setattr(Requester, "call", park)
        monkeypatch.setattr(Latch, "_wake_all", wake_late)

    def stop(self, client, transfer):
        assert self.arrived.wait(PATIENCE_S)
        self._transfer, self._telling = transfer, threading.get_ident()
        client.disable_requests()
        self._telling = None
        client.enable_requests()
        return transfer.outcome(0)


@pytest.mark.parametrize(
    "kind", ["HeadObject", "InitiateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]
)
def test_an_upload(client, oss_bucket, new_file, monkeypatch, kind):
    file = new_file(SIZE)
    parked = Parked(monkeypatch, kind)
    transfer = client.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART)
    _assert_stopped_and_resumed(client, parked, transfer)
    assert client.get_object(oss_bucket, "k").read() == file.data


@pytest.mark.parametrize("kind", ["ListParts", "HeadObject", "UploadPart"])
def test_an_upload_that_goes_on(client, oss_bucket, oss_faults, new_file, monkeypatch, kind):
    file = new_file(SIZE)
    fault = oss_faults.on("UploadPart").stall(times=1)
    transfer = client.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART)
    fault.reached.wait()
    transfer.abort()
    token = transfer.outcome(PATIENCE_S).error.resume_token
    fault.end()
    parked = Parked(monkeypatch, kind)
    _assert_stopped_and_resumed(client, parked, client.resume(token))
    assert client.get_object(oss_bucket, "k").read() == file.data


def test_an_upload_that_looks_for_what_initiate_has_left(
    client, oss_bucket, oss_faults, new_file, monkeypatch
):
    file = new_file(SIZE)
    fault = oss_faults.on("InitiateMultipartUpload").drop_answer()
    parked = Parked(monkeypatch, "ListMultipartUploads")
    transfer = client.upload(file.path, f"oss://{oss_bucket}/k", part_bytes=PART)
    assert parked.arrived.wait(PATIENCE_S)
    fault.end()
    _assert_stopped_and_resumed(client, parked, transfer)
    assert client.get_object(oss_bucket, "k").read() == file.data


@pytest.mark.parametrize("kind", ["UploadPartCopy", "InitiateMultipartUpload", "CompleteMultipartUpload"])
def test_a_copy(client, oss_bucket, new_file, monkeypatch, kind):
    file = new_file(SIZE)
    client.put_object(oss_bucket, "from", file.data)
    parked = Parked(monkeypatch, kind)
    transfer = client.copy(f"oss://{oss_bucket}/from", f"oss://{oss_bucket}/k", part_bytes=PART)
    _assert_stopped_and_resumed(client, parked, transfer)
    assert client.get_object(oss_bucket, "k").read() == file.data


def _assert_stopped_and_resumed(client, parked, transfer):
    outcome = parked.stop(client, transfer)
    assert isinstance(outcome.error, penstock.Aborted)
    assert outcome.error.reason == "disabled"
    assert outcome.aborted
    assert outcome.error.resume_token is not None
    client.resume(outcome.error.resume_token).result(PATIENCE_S)
    assert list(client.unfinished_uploads()) == []
