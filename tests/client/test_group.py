"""Transfers in groups: so many at a time, stopped together, and each told how it ended."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

import penstock
from penstock.client.aio_group import AsyncGroup
from penstock.testing.moment import Moment

MIB = 1 << 20
PART = 102_400
PATIENCE_S = 20.0
DATA = bytes(range(256)) * 1600


@pytest.fixture
def held(oss_faults):
    """All parts are held after some bytes until the test lets them go."""
    return oss_faults.on("UploadPart").stall(after_bytes=1)


def add(group, bucket, count, **options):
    return [
        group.upload(DATA, f"oss://{bucket}/{number}", part_bytes=PART, parallel=1, **options)
        for number in range(count)
    ]


def cancel(group, faults):
    """Cancel; the parts that the server holds end when it is asked to forget their uploads."""
    done = []
    thread = threading.Thread(target=lambda: done.append(group.cancel(PATIENCE_S)))
    thread.start()
    faults.wait_until(lambda: done or faults.count("AbortMultipartUpload") > 0)
    faults.end()
    thread.join(PATIENCE_S)
    return done[0]


def uploads_begun(faults):
    return faults.count("InitiateMultipartUpload")


def test_all_are_transferred_and_leaving_waits_for_them(client, oss_bucket, tmp_path):
    client.put_object(oss_bucket, "there", DATA)
    with client.group(parallel=2) as group:
        uploads = add(group, oss_bucket, 4)
        group.download(f"oss://{oss_bucket}/there", tmp_path / "f")
        group.copy(f"oss://{oss_bucket}/there", f"oss://{oss_bucket}/copied")
        group.upload(b"small", f"oss://{oss_bucket}/small")
    assert all(transfer.done() for transfer in group.transfers)
    assert [outcome.committed for outcome in group.outcomes()] == ["yes"] * 7
    assert group.transfers[:4] == uploads
    assert group.progress.acknowledged_bytes == group.progress.total_bytes == 6 * len(DATA) + 5
    assert (tmp_path / "f").read_bytes() == DATA
    assert {found.key for found in client.iter_objects(oss_bucket)} == {*"0123", "there", "copied", "small"}


def test_no_more_run_at_a_time_than_asked_for(client, oss_bucket, oss_faults, held):
    group = client.group(parallel=2)
    add(group, oss_bucket, 5)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
    assert uploads_begun(oss_faults) == 2
    assert sum(thread.name == "penstock-transfer" for thread in threading.enumerate()) == 4
    held.release()
    assert [outcome.committed for outcome in group.outcomes(PATIENCE_S)] == ["yes"] * 5


def test_aborting_a_group_keeps_what_runs_and_sends_nothing_of_what_waits(
    client, oss_bucket, oss_faults, held, assert_quiet
):
    group = client.group(parallel=2)
    transfers = add(group, oss_bucket, 5)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
    group.abort()
    waited = [transfer for transfer in transfers if transfer.done()]
    assert waited[-3:] == transfers[2:]
    outcomes = group.outcomes(PATIENCE_S)
    assert_quiet(client)
    assert all(outcome.aborted for outcome in outcomes)
    assert [outcome.error.code for outcome in outcomes[2:]] == [penstock.NOT_SENT] * 3
    assert uploads_begun(oss_faults) == 2
    oss_faults.end()
    for outcome in outcomes[:2]:
        assert client.resume(outcome.error.resume_token, DATA).result(PATIENCE_S).size_bytes == len(DATA)


def test_a_group_that_was_stopped_stays_stopped(client, oss_bucket, oss_faults):
    group = client.group()
    group.abort()
    group.abort()
    (transfer,) = add(group, oss_bucket, 1)
    assert transfer.done()
    assert transfer.outcome(0).error.code == penstock.NOT_SENT
    assert oss_faults.requests == []


def test_one_that_waits_can_be_stopped_alone_and_the_others_go_on(client, oss_bucket, oss_faults, held):
    group = client.group(parallel=1)
    first, second, third, last = add(group, oss_bucket, 4)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 1)
    second.abort()
    assert second.outcome(0).error.code == penstock.NOT_SENT
    assert third.cancel(PATIENCE_S) == "verified"
    held.release()
    assert first.result(PATIENCE_S)
    assert last.result(PATIENCE_S)
    assert {found.key for found in client.iter_objects(oss_bucket)} == {"0", "3"}


def test_what_is_asked_of_one_that_waits_holds_when_it_begins(client, oss_bucket, oss_faults, held):
    group = client.group(parallel=1)
    first, second = add(group, oss_bucket, 2)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 1)
    second.bandwidth_limit_bytes_s = 0
    held.release()
    assert first.result(PATIENCE_S)
    oss_faults.wait_until(lambda: uploads_begun(oss_faults) == 2)
    assert second.bandwidth_limit_bytes_s == 0
    assert oss_faults.count("UploadPart") == 4
    second.bandwidth_limit_bytes_s = None
    assert second.result(PATIENCE_S)


def test_draining_finishes_what_is_in_flight_and_begins_nothing(client, oss_bucket, oss_faults, held):
    group = client.group(parallel=2)
    transfers = add(group, oss_bucket, 4)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
    group.drain(PATIENCE_S)
    assert [transfer.done() for transfer in transfers] == [False, False, True, True]
    held.release()
    outcomes = group.outcomes(PATIENCE_S)
    assert [outcome.error.acknowledged_bytes for outcome in outcomes] == [PART, PART, 0, 0]
    assert oss_faults.count("UploadPart") == 2
    assert uploads_begun(oss_faults) == 2
    (late,) = add(group, oss_bucket, 1)
    assert late.outcome(0).error.code == penstock.NOT_SENT


def test_cancelling_leaves_nothing_but_what_was_complete(client, oss_bucket, oss_faults):
    group = client.group(parallel=2)
    complete = group.upload(DATA, f"oss://{oss_bucket}/complete", part_bytes=PART)
    complete.result(PATIENCE_S)
    oss_faults.on("UploadPart").stall(after_bytes=1)
    add(group, oss_bucket, 4)
    oss_faults.wait_until(lambda: uploads_begun(oss_faults) == 3)
    assert cancel(group, oss_faults) == "verified"
    assert list(client.iter_multipart_uploads(oss_bucket)) == []
    assert [found.key for found in client.iter_objects(oss_bucket)] == ["complete"]
    assert [outcome.committed for outcome in group.outcomes(0)] == ["yes", "no", "no", "no", "no"]


def test_leaving_by_an_exception_aborts_all(client, oss_bucket, oss_faults, held, assert_quiet):
    with pytest.raises(LookupError), client.group(parallel=2) as group:
        add(group, oss_bucket, 4)
        oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 2)
        raise LookupError
    assert all(transfer.done() for transfer in group.transfers)
    assert_quiet(client)
    assert all(outcome.aborted for outcome in group.outcomes(0))
    assert list(client.iter_objects(oss_bucket)) == []


def test_one_that_fails_keeps_no_other_from_going_on_and_is_told_at_the_end(client, oss_bucket, tmp_path):
    with pytest.raises(penstock.SourceUnreadable) as caught, client.group(parallel=1) as group:
        group.upload(tmp_path / "missing", f"oss://{oss_bucket}/missing")
        group.download(f"oss://{oss_bucket}/nowhere", tmp_path / "f")
        group.upload(DATA, f"oss://{oss_bucket}/fine")
    assert "2 of 3" in caught.value.__notes__[0]
    missing, nowhere, fine = group.outcomes()
    assert isinstance(missing.error, penstock.SourceUnreadable)
    assert isinstance(nowhere.error, penstock.NoSuchKey)
    assert fine.committed == "yes"


def test_disabling_the_client_stops_the_group_for_good(client, oss_bucket, oss_faults, held):
    group = client.group(parallel=1)
    transfers = add(group, oss_bucket, 3)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 1)
    client.disable_requests()
    client.enable_requests()
    assert [outcome.error.reason for outcome in group.outcomes(PATIENCE_S)] == ["disabled"] * 3
    assert all(transfer.done() for transfer in transfers)
    assert uploads_begun(oss_faults) == 1


def test_a_scope_around_stops_a_group(client, oss_bucket, oss_faults, held):
    with penstock.abort_scope() as scope:
        group = client.group(parallel=1)
        add(group, oss_bucket, 2)
        oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 1)
        scope.abort("enough")
        assert [outcome.error.reason for outcome in group.outcomes(PATIENCE_S)] == ["enough"] * 2


def test_aborting_from_a_callback_of_one_stops_all(client, oss_bucket):
    group = client.group(parallel=2)
    add(group, oss_bucket, 4, progress=lambda progress: group.abort("callback"))
    assert all(outcome.aborted for outcome in group.outcomes(PATIENCE_S))


def test_an_abort_at_any_moment_tells_each_transfer_one_end(client, oss_bucket, eventually):
    """The turn of one comes at the moment in which all are stopped, at many different moments."""
    for tries in range(12):
        group = client.group(parallel=2)
        transfers = [group.upload(b"x", f"oss://{oss_bucket}/{number}") for number in range(6)]
        transfers[tries % 6].add_done_callback(lambda _, group=group: group.abort())
        for outcome, transfer in zip(group.outcomes(PATIENCE_S), transfers, strict=True):
            assert outcome.committed == ("yes" if outcome.error is None else outcome.error.committed)
            assert transfer.done()
        eventually(lambda group=group: group._running == 0)


def test_a_transfer_in_doubt_can_be_resolved_through_the_group(client, oss_bucket, oss_faults):
    lost = oss_faults.on("CompleteMultipartUpload").stall(at="answer")
    group = client.group()
    (transfer,) = add(group, oss_bucket, 1)
    lost.reached.wait()
    group.abort()
    assert transfer.outcome(PATIENCE_S).committed == "unknown"
    oss_faults.end()
    assert transfer.resolve().committed == "yes"


def test_it_is_known_how_long_things_are_before_they_begin(client, oss_bucket, new_file, held):
    group = client.group(parallel=1)
    add(group, oss_bucket, 2)
    group.upload(new_file(1000).path, f"oss://{oss_bucket}/file")
    assert group.progress.total_bytes == 2 * len(DATA) + 1000
    assert "0 ended" in repr(group)
    group.abort()


def test_waiting_for_a_group_can_be_limited(client, oss_bucket, held):
    group = client.group()
    add(group, oss_bucket, 1)
    with pytest.raises(TimeoutError):
        group.outcomes(0.01)
    group.abort()


def test_a_group_of_none_at_a_time_is_refused(client):
    with pytest.raises(penstock.InvalidInput):
        client.group(parallel=0)


def test_closing_the_client_ends_what_waits_in_a_group(make_client, oss_bucket, oss_faults, held):
    client = make_client()
    group = client.group(parallel=1)
    add(group, oss_bucket, 2)
    oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == 1)
    client.close()
    assert [outcome.error.reason for outcome in group.outcomes(PATIENCE_S)] == ["closed"] * 2


def test_many_uploads_at_once(client, oss_bucket, new_file, tmp_path):
    pairs = [(b"%d" % number, f"oss://{oss_bucket}/{number}") for number in range(20)]
    pairs.insert(7, (tmp_path / "missing", f"oss://{oss_bucket}/missing"))
    outcomes = client.upload_many(pairs, parallel_files=4)
    assert [number for number, outcome in enumerate(outcomes) if outcome.error is not None] == [7]
    assert len(list(client.iter_objects(oss_bucket))) == 20


def test_pairs_that_cannot_be_had_stop_those_that_run(client, oss_bucket, oss_faults, held, assert_quiet):
    def pairs():
        yield DATA, f"oss://{oss_bucket}/k"
        oss_faults.wait_until(lambda: oss_faults.count("UploadPart") >= 1)
        raise LookupError

    with pytest.raises(LookupError):
        client.upload_many(pairs(), part_bytes=PART)
    assert_quiet(client)


# --- asyncio


@pytest.fixture
def async_client(oss_server, tmp_path):
    key_id = next(iter(oss_server.users))
    return penstock.AsyncClient(
        oss_server.endpoint,
        region=oss_server.region,
        credentials=penstock.Credentials(key_id, oss_server.users[key_id]),
        network=penstock.NetSettings(proxy=""),
        state_dir=tmp_path / "state",
    )


def test_a_group_for_asyncio(async_client, oss_bucket, tmp_path):
    async def main():
        async with async_client:
            async with async_client.group(parallel=2, bandwidth_limit_bytes_s=50 * MIB) as group:
                await group.upload(DATA, f"oss://{oss_bucket}/a")
                await group.upload(DATA, f"oss://{oss_bucket}/b", part_bytes=PART)
                assert group.bandwidth_limit_bytes_s == 50 * MIB
            async with async_client.group() as group:
                await group.download(f"oss://{oss_bucket}/a", tmp_path / "f")
                await group.copy(f"oss://{oss_bucket}/b", f"oss://{oss_bucket}/c")
            assert [outcome.committed for outcome in await group.outcomes()] == ["yes"] * 2
            assert group.progress.fraction == 1.0
            async_client.bandwidth_limit_bytes_s = 50 * MIB
            outcomes = await async_client.upload_many([(b"x", f"oss://{oss_bucket}/x")])
            assert [outcome.committed for outcome in outcomes] == ["yes"]

    asyncio.run(main())
    assert (tmp_path / "f").read_bytes() == DATA


def test_cancelling_a_task_that_waits_for_a_group_aborts_all(async_client, oss_bucket, oss_faults, held):
    groups: list[AsyncGroup] = []
    began = Moment("parts of the group are in flight")

    async def wait():
        async with async_client.group(parallel=2) as group:
            groups.append(group)
            for number in range(4):
                await group.upload(DATA, f"oss://{oss_bucket}/{number}", part_bytes=PART)
            await asyncio.to_thread(lambda: oss_faults.wait_until(lambda: oss_faults.count("UploadPart") > 1))
            began.happen()

    async def main():
        async with async_client:
            task = asyncio.create_task(wait())
            await asyncio.to_thread(began.wait)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert all(transfer.done() for transfer in groups[0].transfers)
            assert all(outcome.aborted for outcome in await groups[0].outcomes())

    asyncio.run(main())


def test_the_verbs_of_an_asyncio_group(async_client, oss_bucket, oss_faults, held):
    async def begun(count):
        group = async_client.group(parallel=1)
        for number in range(2):
            await group.upload(DATA, f"oss://{oss_bucket}/{count}-{number}", part_bytes=PART, parallel=1)
        await asyncio.to_thread(
            lambda: oss_faults.wait_until(lambda: oss_faults.count("UploadPart") == count)
        )
        return group

    async def main():
        async with async_client:
            group = await begun(1)
            group.abort()
            first = await group.outcomes()
            assert first[0].error.resume_token
            group = await begun(2)
            group.drain(0.01)
            assert [outcome.aborted for outcome in await group.outcomes()] == [True, True]
            held.release()
            async with async_client.group() as group:
                await group.resume(first[0].error.resume_token, DATA)
            assert await group.cancel(PATIENCE_S) == "verified"
            assert [outcome.committed for outcome in await group.outcomes()] == ["yes"]

    asyncio.run(main())
    gc.collect()


def test_a_transfer_for_which_there_is_no_thread_fails_and_the_others_go_on(client, oss_bucket, monkeypatch):
    start, refusals = threading.Thread.start, [1, 1]

    def start_or_refuse(thread):
        if thread.name == "penstock-transfer" and refusals:
            refusals.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_refuse)
    group = client.group(parallel=1)
    add(group, oss_bucket, 4)
    assert [outcome.committed for outcome in group.outcomes(PATIENCE_S)] == ["no", "no", "yes", "yes"]
    assert "can't start new thread" in str(group.outcomes()[0].error)


@pytest.mark.parametrize("verb", ["abort", "drain"])
def test_what_waits_is_not_begun_although_it_is_woken_late(
    client, oss_bucket, oss_faults, monkeypatch, new_file, verb
):
    held = oss_faults.on("UploadPart").stall(after_bytes=1)
    file = new_file(3 * PART)
    group = client.group(parallel=1)
    for number in range(3):
        group.upload(file.path, f"oss://{oss_bucket}/{number}", part_bytes=PART, parallel=1)
    held.reached.wait()
    later = []
    with monkeypatch.context() as slow:
        slow.setattr("penstock.net.latch._PATIENCE_S", 0.0)
        slow.setattr("penstock.net.latch._thread.start_new_thread", lambda *begun: later.append(begun))
        getattr(group, verb)()
    held.end()  # so that the first one ends by itself
    unsent = [outcome.error for outcome in group.outcomes(PATIENCE_S)][1:]
    assert [(error.code, error.resume_token) for error in unsent] == [(penstock.NOT_SENT, None)] * 2
    assert [outcome.error.reason for outcome in group.outcomes()] == [verb] * 3
    assert uploads_begun(oss_faults) == 1
    assert [left.url for left in client.unfinished_uploads()] == [f"oss://{oss_bucket}/0"]
    for work, arguments in later:
        work(*arguments)
