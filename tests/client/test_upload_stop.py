"""An upload stops when told to, keeps what OSS has, and goes on with exactly what is missing."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partialmethod
from pathlib import Path

import pytest

import penstock
from penstock.client.running.journals import Journals
from penstock.client.transfers import driver, uploads
from penstock.client.transfers.upload_calls import UploadCalls
from penstock.files.journal_file import JournalFile
from penstock.protocol import limits
from penstock.transfer.journal import End, EndKind, frame

PART = 102_400
PARTS = 9
SIZE = (PARTS - 1) * PART + 1000
PATIENCE_S = 20.0
PROMPT_S = 1.0
ALL = frozenset(range(1, PARTS + 1))


class Scene:
    """A file, its upload with some parts that do not get through, and what the server saw of it."""

    def __init__(self, client, bucket, faults, new_file):
        self.client, self.bucket, self.faults = client, bucket, faults
        self.file = new_file(SIZE)
        self.url = f"oss://{bucket}/k"

    def begin(self, *, stored=frozenset(), parallel=PARTS, client=None, **options):
        """Start the upload; the parts that shall not be stored are held until they are stopped."""
        for number in ALL - stored:
            self.faults.on("UploadPart", number=number).stall(after_bytes=1, times=1)
        client = client or self.client
        return client.upload(self.file.path, self.url, part_bytes=PART, parallel=parallel, **options)

    def stopped(self, stored=frozenset(), **options):
        """An upload that was aborted when just these parts were acknowledged."""
        transfer = self.begin(stored=stored, **options)
        self.faults.wait_until(lambda: self.faults.count("UploadPart") == PARTS)
        self.wait_for_parts(transfer, len(stored))
        transfer.abort()
        outcome = transfer.outcome(PATIENCE_S)
        assert outcome.aborted
        self.faults.end()
        self.faults.requests.clear()
        return transfer

    def wait_for_parts(self, transfer, count):
        deadline = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while transfer.progress.parts_done < count:
            assert time.monotonic() < deadline
            pause.wait(0.001)
        assert transfer.progress.parts_done == count

    def cancel(self, transfer):
        """Cancel; what the server holds of the upload ends when it is asked to forget it."""
        done = []
        thread = threading.Thread(target=lambda: done.append(transfer.cancel(PATIENCE_S)))
        thread.start()
        asked = self.faults.count("AbortMultipartUpload")
        self.faults.wait_until(lambda: done or self.faults.count("AbortMultipartUpload") > asked)
        self.faults.end()
        thread.join(PATIENCE_S)
        return done[0]

    def sent_numbers(self):
        return sorted(one.number for one in self.faults.asked("UploadPart"))

    def assert_committed(self, stored):
        assert self.client.get_object(self.bucket, "k").read() == self.file.data
        assert stored.size_bytes == SIZE
        assert self.open_uploads() == []
        assert list(self.client.unfinished_uploads()) == []

    def open_uploads(self):
        return [one.upload_id for one in self.client.iter_multipart_uploads(self.bucket)]


@pytest.fixture
def scene(client, oss_bucket, oss_faults, new_file):
    return Scene(client, oss_bucket, oss_faults, new_file)


SUBSETS = {
    "none": frozenset(),
    "the first": frozenset({1}),
    "the last": frozenset({PARTS}),
    "some in the middle": frozenset({3, 4, 7}),
    "all but the first": ALL - {1},
    "all but the last": ALL - {PARTS},
}


@pytest.mark.parametrize("stored", SUBSETS.values(), ids=SUBSETS)
def test_resume_sends_exactly_what_is_missing(scene, stored):
    stopped = scene.stopped(stored)
    error = stopped.outcome(0).error
    assert error.code == penstock.STOPPED_IN_FLIGHT
    assert error.committed == penstock.Committed.NO
    assert error.upload_id == stopped.upload_id
    sizes = {number: PART if number < PARTS else 1000 for number in ALL}
    assert error.acknowledged_bytes == sum(sizes[number] for number in stored)
    assert error.resume_token.startswith("pstk1-")
    resumed = scene.client.resume(error.resume_token)
    result = resumed.result(PATIENCE_S)
    assert resumed.upload_id == stopped.upload_id
    assert scene.sent_numbers() == sorted(ALL - stored)
    assert scene.faults.count("InitiateMultipartUpload") == 0
    assert resumed.progress.resumed_bytes == error.acknowledged_bytes
    scene.assert_committed(result)


def test_all_parts_stored_and_only_complete_is_missing(scene):
    # The last look at the target, right before Complete.
    fault = scene.faults.on("HeadObject", nth=2).answer(403, "AccessDenied")
    transfer = scene.begin(stored=ALL)
    assert isinstance(transfer.outcome(PATIENCE_S).error, penstock.Forbidden)
    assert fault.hits == 1
    scene.faults.requests.clear()
    result = scene.client.resume(transfer.resume_token).result(PATIENCE_S)
    assert scene.sent_numbers() == []
    scene.assert_committed(result)


@pytest.mark.parametrize("how", ["by address", "by token elsewhere", "by address elsewhere", "with bytes"])
def test_resume_finds_the_upload_in_other_ways_too(scene, make_client, tmp_path, how):
    stored = frozenset({2, 5})
    stopped = scene.stopped(stored)
    token = stopped.resume_token
    elsewhere = make_client(state_dir=tmp_path / "another machine")
    moved = tmp_path / "moved.bin"
    moved.write_bytes(scene.file.data)
    resumed = {
        "by address": lambda: scene.client.resume(scene.url),
        "by token elsewhere": lambda: elsewhere.resume(token, moved),
        "by address elsewhere": lambda: elsewhere.resume(scene.url, moved),
        "with bytes": lambda: elsewhere.resume(token, scene.file.data),
    }[how]()
    assert resumed.result(PATIENCE_S).size_bytes == SIZE
    assert resumed.upload_id == stopped.upload_id
    assert scene.sent_numbers() == sorted(ALL - stored)
    assert scene.client.get_object(scene.bucket, "k").read() == scene.file.data
    assert scene.open_uploads() == []


def test_an_upload_is_found_although_the_lists_have_several_pages(scene, monkeypatch):
    monkeypatch.setattr(limits, "MAX_LIST_UPLOADS", 2)
    monkeypatch.setattr(UploadCalls, "_parts_page", partialmethod(UploadCalls._parts_page, max_parts=2))
    stored = frozenset({1, 2, 3, 4, 5})
    scene.stopped(stored, journal=False)
    for key in ("k", "k", "k", "k-longer"):
        scene.client.initiate_multipart_upload(scene.bucket, key)
    scene.faults.requests.clear()
    scene.client.resume(scene.url, scene.file.path).result(PATIENCE_S)
    assert scene.faults.count("ListMultipartUploads") >= 2
    assert scene.sent_numbers() == sorted(ALL - stored)


def test_an_upload_that_was_found_by_its_key_is_journaled_and_found_again(scene):
    stopped = scene.stopped(frozenset({1, 2}), journal=False)
    assert list(scene.client.unfinished_uploads()) == []
    held = scene.faults.on("UploadPart").stall(after_bytes=1)
    resumed = scene.client.resume(scene.url, scene.file.path)
    held.reached.wait()
    resumed.abort()
    assert resumed.outcome(PATIENCE_S).aborted
    (left,) = scene.client.unfinished_uploads()
    assert (left.view.upload_id, set(left.view.parts)) == (stopped.upload_id, {1, 2})


def test_a_journal_is_read_again_once_it_is_locked(scene, monkeypatch):
    """Another process may have ended the transfer after it was looked for."""
    scene.stopped(frozenset({1}))
    open_journal = Journals.open

    def open_late(journals, path):
        with JournalFile.open(path) as file:
            file.append(frame(End(kind=EndKind.CANCELLED)), durable=True)
        return open_journal(journals, path)

    monkeypatch.setattr(Journals, "open", open_late)
    assert "cancelled" in scene.client.resume(scene.url).outcome(PATIENCE_S).error.message
    assert scene.sent_numbers() == []


def test_a_token_without_a_journal_needs_to_be_told_the_source(scene, make_client, tmp_path):
    token = scene.stopped().resume_token
    with pytest.raises(penstock.InvalidInput, match="source"):
        make_client(state_dir=tmp_path / "another machine").resume(token)
    for broken in (token[:-3], token + "x", "pstk1-", token.replace("pstk1", "pstk9"), "", "oss://"):
        with pytest.raises(penstock.InvalidInput):
            scene.client.resume(broken, b"1")


def test_a_transfer_may_be_stopped_again_and_again(scene):
    token, acknowledged = None, 0
    for stored in (frozenset({1, 2}), frozenset({1, 2, 3, 4, 5})):
        if token is None:
            transfer = scene.begin(stored=stored)
        else:
            for number in ALL - stored:
                scene.faults.on("UploadPart", number=number).stall(after_bytes=1, times=1)
            transfer = scene.client.resume(token, parallel=PARTS)
        scene.wait_for_parts(transfer, len(stored))
        transfer.abort()
        error = transfer.outcome(PATIENCE_S).error
        assert error.acknowledged_bytes > acknowledged
        token, acknowledged = error.resume_token, error.acknowledged_bytes
        scene.faults.end()
    scene.faults.requests.clear()
    scene.assert_committed(scene.client.resume(token).result(PATIENCE_S))
    assert scene.sent_numbers() == [6, 7, 8, 9]


@pytest.mark.parametrize("journal", [True, False])
def test_acknowledged_bytes_never_go_back(scene, journal):
    shown = []
    transfer = scene.begin(stored=frozenset({1, 2, 3}), progress=shown.append, journal=journal)
    scene.wait_for_parts(transfer, 3)
    transfer.abort()
    transfer.outcome(PATIENCE_S)
    at_the_end = transfer.progress.acknowledged_bytes
    scene.faults.end()
    scene.faults.on("UploadPart", number=5).answer(503, "ServiceUnavailable")
    scene.faults.on("UploadPart", number=6).drop_answer()
    again = []
    resumed = scene.client.resume(transfer.resume_token, scene.file.path, progress=again.append)
    assert resumed.progress.acknowledged_bytes >= at_the_end > 0
    resumed.result(PATIENCE_S)
    for seen in (shown, again):
        acknowledged = [progress.acknowledged_bytes for progress in seen]
        assert acknowledged == sorted(acknowledged)
        assert all(progress.total_bytes == SIZE for progress in seen)
    assert again[0].acknowledged_bytes >= at_the_end
    assert again[-1].acknowledged_bytes == SIZE
    assert resumed.progress.in_doubt_bytes == 0
    assert resumed.progress.fraction == 1.0


def by_handle(scene, transfer, scope):
    transfer.abort()
    return "abort"


def by_switch(scene, transfer, scope):
    scene.client.disable_requests()
    return "disabled"


def by_toggle(scene, transfer, scope):
    scene.client.disable_requests()
    scene.client.enable_requests()
    return "disabled"


def by_scope(scene, transfer, scope):
    scope.abort("scope")
    return "scope"


@pytest.mark.parametrize("way", [by_handle, by_switch, by_toggle, by_scope])
def test_a_stalled_upload_is_quiet_at_once(scene, way, assert_quiet, eventually):
    with penstock.abort_scope() as scope:
        transfer = scene.begin(stored=frozenset({1}))
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == PARTS)
    scene.wait_for_parts(transfer, 1)
    asked = scene.faults.count()
    began = time.perf_counter()
    reason = way(scene, transfer, scope)
    returned_after = time.perf_counter() - began
    outcome = transfer.outcome(PATIENCE_S)
    quiet_after = time.perf_counter() - began
    assert returned_after < PROMPT_S
    assert quiet_after < PROMPT_S
    assert outcome.error.reason == reason
    assert transfer.done()
    assert_quiet(scene.client, scene.client._transport.open_connections)
    eventually(lambda: "penstock-deadlines" not in [thread.name for thread in threading.enumerate()])
    assert scene.faults.count() == asked
    assert len(scene.open_uploads()) == 1 if scene.client.requests_enabled else True


@pytest.mark.parametrize(
    ("operation", "committed", "code"),
    [
        ("HeadObject", "no", penstock.NOT_SENT),
        ("InitiateMultipartUpload", "no", penstock.STOPPED_IN_FLIGHT),
        ("UploadPart", "no", penstock.STOPPED_IN_FLIGHT),
        ("CompleteMultipartUpload", "unknown", penstock.STOPPED_IN_FLIGHT),
    ],
)
@pytest.mark.parametrize("at", ["head", "answer"])
def test_an_upload_is_stopped_in_each_of_its_requests(scene, operation, committed, code, at, assert_quiet):
    fault = scene.faults.on(operation).stall(at=at, times=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=1)
    fault.reached.wait()
    asked = scene.faults.count()
    transfer.abort()
    outcome = transfer.outcome(PATIENCE_S)
    assert (outcome.committed, outcome.error.code) == (committed, code)
    assert outcome.error.advice
    assert scene.faults.count() == asked
    assert_quiet(scene.client, len(scene.client._transport._pool))
    fault.release()
    (kept,) = scene.client.unfinished_uploads()
    assert kept.view.unbegun is (operation == "HeadObject")
    result = scene.client.resume(outcome.error.resume_token).result(PATIENCE_S)
    assert scene.faults.count("InitiateMultipartUpload") == 1
    acknowledged = 0 if operation == "InitiateMultipartUpload" else None
    assert acknowledged in (None, outcome.error.acknowledged_bytes)
    if operation == "CompleteMultipartUpload":
        assert len(scene.sent_numbers()) == PARTS
    scene.assert_committed(result)


def test_an_initiate_that_is_carried_out_only_after_the_resume_has_looked_is_adopted_too(scene):
    fault = scene.faults.on("InitiateMultipartUpload").stall(times=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART)
    fault.reached.wait()
    transfer.abort()
    resumed = scene.client.resume(transfer.outcome(PATIENCE_S).error.resume_token)
    scene.faults.wait_until(lambda: scene.faults.count("ListMultipartUploads") == 1)
    fault.release()
    scene.assert_committed(resumed.result(PATIENCE_S))
    assert scene.faults.count("InitiateMultipartUpload") == 1


def test_an_upload_is_stopped_while_it_waits_to_try_a_part_again(make_client, scene, assert_quiet):
    waiting = threading.Event()

    class Announced(penstock.RetryPolicy):
        def delay_s(self, attempt, fraction):
            waiting.set()
            return 60.0

    client = make_client(retry=Announced())
    scene.faults.on("UploadPart").answer(503, "ServiceUnavailable", times=None)
    transfer = client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=1)
    assert waiting.wait(PATIENCE_S)
    transfer.abort()
    assert transfer.outcome(PROMPT_S).aborted
    assert_quiet(client, len(client._transport._pool))


def test_an_upload_is_stopped_while_its_source_hangs(client, oss_bucket, oss_faults, assert_quiet):
    import io

    reading, over = threading.Event(), threading.Event()

    class Hung(io.BytesIO):
        def read(self, size=-1):
            reading.set()
            over.wait(PATIENCE_S)
            return super().read(size)

    transfer = client.upload(Hung(bytes(SIZE)), f"oss://{oss_bucket}/k", part_bytes=PART, parallel=3)
    assert reading.wait(PATIENCE_S)
    transfer.abort()
    assert transfer.outcome(PROMPT_S).aborted
    assert client._errands.abandoned >= 1
    over.set()


def test_parts_are_hashed_no_further_after_a_stop(scene, monkeypatch):
    stopped = scene.stopped(frozenset({1, 2, 3}))
    source = scene.file.path
    source.touch()
    reading, over = threading.Event(), threading.Event()

    def hang(self, offset, buffer):
        reading.set()
        over.wait(PATIENCE_S)
        return 0

    monkeypatch.setattr("penstock.files.source.SourceFile.read_at", hang)
    resumed = scene.client.resume(stopped.resume_token)
    assert reading.wait(PATIENCE_S)
    resumed.abort()
    outcome = resumed.outcome(PROMPT_S)
    assert outcome.aborted
    assert outcome.error.code == penstock.NOT_SENT
    over.set()


def test_an_upload_is_stopped_by_its_own_progress_callback(scene, assert_quiet):
    handle = []
    ready = threading.Event()

    def progress(progress):
        ready.wait(PATIENCE_S)
        if progress.parts_done >= 3:
            handle[0].abort("enough")

    handle.append(
        scene.client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=1, progress=progress)
    )
    ready.set()
    error = handle[0].outcome(PATIENCE_S).error
    assert error.reason == "enough"
    assert error.acknowledged_bytes == 3 * PART
    assert_quiet(scene.client, len(scene.client._transport._pool))


def test_an_upload_has_not_ended_while_a_callback_of_it_runs(scene):
    inside, leave = threading.Event(), threading.Event()

    def progress(reading):
        if threading.current_thread().name.startswith("penstock-part"):
            inside.set()
            leave.wait(PATIENCE_S)

    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=1, progress=progress)
    assert inside.wait(PATIENCE_S)
    transfer.abort()
    assert not transfer.wait_until_quiet(0.05)
    leave.set()
    assert transfer.outcome(PATIENCE_S).aborted


@pytest.mark.parametrize("when", ["in flight", "acknowledged"])
def test_a_mistake_in_a_progress_callback_ends_the_upload_and_comes_back(scene, when, assert_quiet):
    def progress(progress):
        if (progress.in_flight_bytes if when == "in flight" else progress.parts_done) > 0:
            raise ZeroDivisionError

    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART, progress=progress)
    with pytest.raises(ZeroDivisionError):
        transfer.result(PATIENCE_S)
    assert_quiet(scene.client, len(scene.client._transport._pool))
    scene.assert_committed(scene.client.resume(transfer.resume_token).result(PATIENCE_S))


def test_leaving_a_transfer_by_an_exception_never_commits(scene, assert_quiet):
    with pytest.raises(ZeroDivisionError), scene.begin(stored=ALL - {4}) as transfer:
        scene.wait_for_parts(transfer, PARTS - 1)
        raise ZeroDivisionError
    assert transfer.outcome(0).error.reason == "exception"
    assert_quiet(scene.client, len(scene.client._transport._pool))
    assert not scene.client.object_exists(scene.bucket, "k")


def test_leaving_a_transfer_waits_for_its_end(scene):
    with scene.client.upload(scene.file.path, scene.url, part_bytes=PART) as transfer:
        pass
    assert transfer.done()
    scene.assert_committed(transfer.result(0))


def test_a_deadline_stops_an_upload_and_keeps_it(scene):
    for number in ALL - {1}:
        scene.faults.on("UploadPart", number=number).stall(times=1)
    with pytest.raises(penstock.Aborted) as caught, penstock.abort_scope(deadline_s=0.5):
        scene.client.upload(scene.file.path, scene.url, part_bytes=PART).result(PATIENCE_S)
    assert caught.value.reason == "deadline"
    scene.faults.end()
    scene.assert_committed(scene.client.resume(caught.value.resume_token).result(PATIENCE_S))


def test_closing_a_client_stops_its_uploads_and_keeps_them(make_client, scene):
    client = make_client()
    transfer = scene.begin(client=client)
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == PARTS)
    client.close()
    assert transfer.done()
    assert transfer.outcome(0).error.reason == "closed"
    scene.faults.end()
    scene.assert_committed(scene.client.resume(scene.url).result(PATIENCE_S))


def test_a_timeout_of_waiting_stops_nothing(scene):
    transfer = scene.begin(stored=ALL - {2})
    with pytest.raises(TimeoutError, match="still runs"):
        transfer.result(0.01)
    assert not transfer.done()
    scene.faults.release_all()
    scene.assert_committed(transfer.result(PATIENCE_S))


def test_a_cancelled_task_stops_the_upload_it_waits_for(scene, oss_env):
    for number in ALL - {1}:
        scene.faults.on("UploadPart", number=number).stall(times=1)

    async def main():
        async with penstock.AsyncClient(state_dir=scene.client._journals._state.root) as client:
            transfer = await client.upload(scene.file.path, scene.url, part_bytes=PART)
            task = asyncio.ensure_future(transfer.result())
            await asyncio.to_thread(scene.faults.wait_until, lambda: scene.faults.count("UploadPart") >= 3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as cancelled:
                await task
            assert transfer.done()
            assert cancelled.value.__cause__.resume_token == transfer.resume_token
            scene.faults.end()
            resumed = await client.resume(transfer.resume_token)
            return await resumed.result()

    scene.assert_committed(asyncio.run(main()))


# Draining


def test_a_drain_lets_parts_in_flight_finish_and_begins_no_other(scene):
    for number in (1, 2):
        scene.faults.on("UploadPart", number=number).stall(at="store", times=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=2)
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == 2)
    transfer.drain(timeout_s=PATIENCE_S)
    assert not transfer.done()
    scene.faults.release_all()
    error = transfer.outcome(PATIENCE_S).error
    assert error.reason == "drain"
    assert error.acknowledged_bytes == 2 * PART
    assert error.in_doubt_bytes == 0
    assert scene.sent_numbers() == [1, 2]
    scene.assert_committed(scene.client.resume(error.resume_token).result(PATIENCE_S))
    assert scene.sent_numbers() == sorted(ALL)


def test_a_drain_that_takes_too_long_is_an_abort(scene, assert_quiet):
    transfer = scene.begin()
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == PARTS)
    transfer.drain(timeout_s=0.05)
    error = transfer.outcome(PATIENCE_S).error
    assert error.reason == "drain"
    assert error.acknowledged_bytes == 0
    assert_quiet(scene.client, len(scene.client._transport._pool))


@pytest.mark.parametrize("finishes", [True, False])
def test_a_drain_of_a_single_request(client, oss_bucket, oss_faults, finishes):
    fault = oss_faults.on("PutObject").stall(at="store")
    transfer = client.upload(b"small", f"oss://{oss_bucket}/k")
    fault.reached.wait()
    transfer.drain(PATIENCE_S if finishes else 0.05)
    if finishes:
        fault.release()
        assert transfer.result(PATIENCE_S).size_bytes == 5
    else:
        assert transfer.outcome(PATIENCE_S).error.reason == "drain"


# Cancelling


@pytest.mark.parametrize("disabled", [False, True])
@pytest.mark.parametrize("aborted_before", [False, True])
def test_a_cancel_leaves_nothing(scene, disabled, aborted_before):
    transfer = scene.begin(stored=frozenset({1, 2}))
    scene.wait_for_parts(transfer, 2)
    if disabled:
        scene.client.disable_requests()
    if aborted_before:
        transfer.abort()
        transfer.outcome(PATIENCE_S)
    assert scene.cancel(transfer) == penstock.CleanUp.VERIFIED
    assert transfer.cancel() == penstock.CleanUp.VERIFIED
    scene.client.enable_requests()
    assert scene.open_uploads() == []
    assert list(scene.client.unfinished_uploads()) == []
    assert not scene.client.object_exists(scene.bucket, "k")
    assert transfer.resume_token is None
    assert scene.faults.asked("ListParts")[-1].status == 404
    error = transfer.outcome(0).error
    assert isinstance(error, penstock.Aborted)
    assert error.resume_token is None
    with pytest.raises(penstock.PenstockError):
        scene.client.resume(scene.url, scene.file.path).result(PATIENCE_S)


@pytest.mark.parametrize("at", ["head", "answer"])
def test_a_cancel_after_an_abort_during_initiate_leaves_nothing(scene, at):
    """The UploadId was never seen here, and may exist."""
    fault = scene.faults.on("InitiateMultipartUpload").stall(at=at)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART)
    fault.reached.wait()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).aborted
    assert len(scene.open_uploads()) == (1 if at == "answer" else 0)
    fault.end()
    assert transfer.cancel(PATIENCE_S) == penstock.CleanUp.VERIFIED
    assert scene.open_uploads() == []
    assert list(scene.client.unfinished_uploads()) == []


def test_a_cancel_goes_on_until_parts_that_still_arrive_are_gone_too(scene):
    late = scene.faults.on("UploadPart", number=2).stall(at="store", times=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=2)
    late.reached.wait()
    cleaned = []
    thread = threading.Thread(target=lambda: cleaned.append(transfer.cancel()))
    thread.start()
    scene.faults.wait_until(lambda: scene.faults.count("AbortMultipartUpload") >= 1)
    late.release()
    thread.join(PATIENCE_S)
    assert cleaned == [penstock.CleanUp.VERIFIED]
    assert scene.open_uploads() == []


def test_a_cancel_that_oss_refuses_says_so_and_can_be_repeated(scene):
    refused = scene.faults.on("AbortMultipartUpload").answer(403, "AccessDenied", times=None)
    transfer = scene.begin(stored=frozenset({1}))
    scene.wait_for_parts(transfer, 1)
    assert transfer.cancel() == penstock.CleanUp.FAILED
    assert refused.hits >= 1
    assert transfer.outcome(0).error.upload_id == transfer.upload_id
    (left,) = scene.client.unfinished_uploads()
    assert (left.url, left.view.upload_id) == (scene.url, transfer.upload_id)
    assert scene.open_uploads() == [transfer.upload_id]
    scene.faults.end()
    assert scene.client.cancel_upload(scene.url).clean_up == penstock.CleanUp.VERIFIED
    assert scene.open_uploads() == []
    assert list(scene.client.unfinished_uploads()) == []


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (404, "NoSuchBucket")])
def test_a_cancel_that_oss_does_not_confirm_is_pending(scene, monkeypatch, status, code):
    monkeypatch.setattr(driver, "CLEAN_UP_S", 0.3)
    transfer = scene.stopped(frozenset({1}))
    scene.faults.on("ListParts").answer(status, code, times=None)
    assert transfer.cancel() == penstock.CleanUp.PENDING
    (left,) = scene.client.unfinished_uploads()
    assert left.view.end.kind == "cancel pending"
    scene.faults.end()
    assert scene.client.cancel_upload(scene.url).clean_up == penstock.CleanUp.VERIFIED


def test_a_cancel_asks_nothing_before_all_is_quiet(scene):
    """One of two callbacks that are under way holds the clean-up up."""
    over, first = threading.Event(), threading.Semaphore(1)

    def hold(progress):
        is_sending = threading.current_thread().name == "penstock-part" and progress.in_flight_bytes
        if is_sending and first.acquire(blocking=False):
            over.wait(PATIENCE_S)

    scene.faults.on("UploadPart").stall(after_bytes=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART, parallel=2, progress=hold)
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == 2)
    transfer.cancel_soon()
    with pytest.raises(TimeoutError):
        scene.faults.wait_until(lambda: scene.faults.count("AbortMultipartUpload") > 0, timeout_s=0.1)
    assert not transfer.done()
    over.set()
    assert scene.cancel(transfer) == penstock.CleanUp.VERIFIED


def test_a_cancel_is_heard_before_anything_that_its_stop_brings_about(scene):
    transfer = scene.begin(stored=frozenset({1}))
    scene.wait_for_parts(transfer, 1)
    # Whoever stops is kept from going on until the transfer has ended.
    transfer._driver._stop.attach(lambda: transfer.wait_until_quiet(PATIENCE_S) and None)
    stopping = threading.Thread(target=transfer.cancel_soon)
    stopping.start()
    scene.faults.wait_until(lambda: scene.faults.count("AbortMultipartUpload") > 0)
    scene.faults.end()
    stopping.join(PATIENCE_S)
    assert transfer._ended.result(PATIENCE_S).clean_up == penstock.CleanUp.VERIFIED


def test_a_cancel_that_is_waited_for_too_briefly_says_so_and_goes_on(scene):
    scene.faults.on("AbortMultipartUpload").stall(times=1)
    transfer = scene.begin(stored=frozenset({1}))
    scene.wait_for_parts(transfer, 1)
    with pytest.raises(TimeoutError, match="still runs"):
        transfer.cancel(timeout_s=0.05)
    scene.faults.end()
    assert transfer.cancel(PATIENCE_S) == penstock.CleanUp.VERIFIED


@pytest.mark.parametrize(
    ("unanswered", "expected"), [("AbortMultipartUpload", "failed"), ("ListParts", "pending")]
)
def test_a_clean_up_has_a_deadline_of_its_own(scene, monkeypatch, assert_quiet, unanswered, expected):
    monkeypatch.setattr(driver, "CLEAN_UP_S", 0.1)
    scene.faults.on(unanswered).stall()
    transfer = scene.begin(stored=frozenset({1}))
    scene.wait_for_parts(transfer, 1)
    assert transfer.cancel(PATIENCE_S) == expected
    assert_quiet(scene.client, len(scene.client._transport._pool))
    (left,) = scene.client.unfinished_uploads()
    assert left.view.upload_id == transfer.outcome(0).error.upload_id


def test_what_is_to_be_cancelled_is_not_adopted_by_a_resume(scene):
    transfer = scene.stopped(frozenset({1, 2}))
    scene.faults.on("AbortMultipartUpload").answer(403, "AccessDenied")
    assert transfer.cancel(PATIENCE_S) == penstock.CleanUp.FAILED
    scene.faults.requests.clear()
    with pytest.raises(penstock.TransferError, match="no unfinished upload"):
        scene.client.resume(scene.url, scene.file.path).result(PATIENCE_S)
    assert scene.sent_numbers() == []
    assert scene.open_uploads() == [transfer.upload_id]
    assert scene.client.cancel_upload(scene.url).clean_up == penstock.CleanUp.VERIFIED
    assert scene.open_uploads() == []


@pytest.mark.parametrize("verb", ["cancel_upload", "resolve_upload"])
def test_a_journal_that_makes_no_sense_is_let_go_of(scene, monkeypatch, verb):
    scene.stopped(frozenset({1}))

    def refuse(*args, **options):
        raise penstock.InvalidInput("no such plan")

    with monkeypatch.context() as broken:
        broken.setattr(uploads, "UploadMachine", refuse)
        with pytest.raises(penstock.InvalidInput, match="no such plan"):
            getattr(scene.client, verb)(scene.url)
    assert scene.client.cancel_upload(scene.url).clean_up == penstock.CleanUp.VERIFIED


def test_a_cancel_of_what_is_complete_says_so_and_removes_nothing(scene):
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART)
    result = transfer.result(PATIENCE_S)
    with pytest.raises(penstock.TransferError, match="complete"):
        transfer.cancel()
    scene.assert_committed(result)


def test_a_cancel_while_complete_is_under_way_finds_out_which_was_quicker(scene):
    scene.faults.on("CompleteMultipartUpload").stall(at="answer", times=1)
    transfer = scene.client.upload(scene.file.path, scene.url, part_bytes=PART)
    scene.faults.wait_until(lambda: scene.faults.count("CompleteMultipartUpload") == 1)
    scene.faults.wait_until(lambda: scene.client.object_exists(scene.bucket, "k"))
    with pytest.raises(penstock.TransferError, match="complete"):
        transfer.cancel()
    assert transfer.outcome(0).committed == penstock.Committed.YES
    assert transfer.outcome(0).value.by_evidence


def test_cancel_touches_only_its_own_upload(scene):
    other = scene.client.initiate_multipart_upload(scene.bucket, "k").upload_id
    transfer = scene.begin()
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == PARTS)
    assert scene.cancel(transfer) == penstock.CleanUp.VERIFIED
    assert scene.open_uploads() == [other]


def test_who_is_second_with_an_upload_that_two_found_by_its_key_finds_the_object(
    scene, make_client, tmp_path
):
    scene.stopped(frozenset({1, 2}), journal=False)
    first, second = (make_client(state_dir=tmp_path / name) for name in ("first", "second"))
    missing = ALL - {1, 2}
    for number in missing:
        scene.faults.on("UploadPart", number=number).stall(times=1)
    slow = second.resume(scene.url, scene.file.path, parallel=PARTS)
    scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == len(missing))
    made = first.resume(scene.url, scene.file.path, parallel=PARTS).result(PATIENCE_S)
    scene.faults.end()
    found = slow.result(PATIENCE_S)
    assert (found.etag, found.crc64, found.by_evidence) == (made.etag, made.crc64, True)
    scene.assert_committed(found)
    assert list(second.unfinished_uploads()) == []


# Many at once


def test_toggling_the_switch_never_loses_a_part(client, oss_bucket, new_file):
    """The uploads may be stopped at any moment; what is reported as stored is whole."""
    files = [new_file(SIZE, f"{number}.bin") for number in range(4)]
    over = threading.Event()
    toggles = 0

    def toggle():
        nonlocal toggles
        pause = threading.Event()
        while not over.is_set():
            pause.wait(0.004)
            client.disable_requests()
            client.enable_requests()
            toggles += 1

    toggler = threading.Thread(target=toggle)
    toggler.start()
    committed = stopped = 0
    unfinished = []
    try:
        for round_ in range(6):
            transfers = [
                client.upload(file.path, f"oss://{oss_bucket}/{round_}/{number}", part_bytes=PART)
                for number, file in enumerate(files)
            ]
            for transfer in transfers:
                outcome = transfer.outcome(PATIENCE_S)
                if outcome.error is None:
                    committed += 1
                else:
                    assert isinstance(outcome.error, penstock.Aborted)
                    stopped += 1
                    unfinished.append(outcome.error)
    finally:
        over.set()
        toggler.join()
    assert toggles
    assert stopped
    for error in unfinished:
        client.resume(error.resume_token).result(PATIENCE_S)
    for round_ in range(6):
        for number, file in enumerate(files):
            assert client.get_object(oss_bucket, f"{round_}/{number}").read() == file.data
    assert list(client.iter_multipart_uploads(oss_bucket)) == []


def test_many_transfers_of_a_client_are_stopped_by_one_switch(
    client, oss_bucket, oss_faults, new_file, assert_quiet
):
    oss_faults.on("UploadPart").stall(after_bytes=1)
    file = new_file(SIZE)
    transfers = [
        client.upload(file.path, f"oss://{oss_bucket}/{number}", part_bytes=PART, parallel=4)
        for number in range(8)
    ]
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 32)
    began = time.perf_counter()
    client.disable_requests()
    assert all(transfer.outcome(PATIENCE_S).aborted for transfer in transfers)
    assert time.perf_counter() - began < PROMPT_S
    assert_quiet(client, len(client._transport._pool))


def test_no_descriptor_is_left_by_stopped_uploads(scene, open_descriptors, eventually):
    sockets_too = []
    for _ in range(4):
        transfer = scene.begin()
        scene.faults.wait_until(lambda: scene.faults.count("UploadPart") == PARTS)
        assert scene.cancel(transfer) == penstock.CleanUp.VERIFIED
        scene.faults.requests.clear()
        files = [link for link in Path("/proc/self/fd").iterdir() if _leads_to(link, scene.file.path.parent)]
        sockets_too.append(scene.client._transport.open_connections)
        assert files == []
    assert max(sockets_too) <= 2


def _leads_to(link, folder):
    try:
        return str(link.readlink()).startswith(str(folder))
    except OSError:
        return False
