"""
A call is stopped in every state, in every way, and then nothing of it is left.

Each state is entered for real, and is known to be entered before the stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import math
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import penstock
from penstock.client.sending.deadline import ALARMS, AlarmClock
from penstock.client.sending.switch import Switch
from penstock.net.latch import Latch
from penstock.protocol.error_table import error_from_answer
from penstock.testing import FullBacklog, Moment, SilentPeer

MIB = 1 << 20
PATIENCE_S = 20.0
PROMPT_S = 1.0
"""A ceiling that holds on a crowded machine; the figures of the promise are measured, not tested."""


class State:
    """
    A call that is brought to a certain point.

    `enter` sets the scene; `run` makes the call, on the thread it is called on; `reached` returns once the
    call is where it shall be.
    """

    code = penstock.NOT_SENT
    committed = penstock.Committed.NO
    abandoned = 0
    kept = 0

    def __init__(self, request, scene):
        self.request = request
        self.scene = scene
        self.moment = Moment(f"the call came to {type(self).__name__}")
        self.enter()

    def fixture(self, name):
        return self.request.getfixturevalue(name)

    def client_of(self, *args, **options):
        return self.fixture("make_client")(*args, **options)

    def enter(self):
        raise NotImplementedError

    def run(self):
        return self.client.put_object("bucket", "k", b"small")

    def reached(self):
        self.moment.wait()


class Resolving(State):
    def enter(self):
        over = threading.Event()
        self.scene.callback(over.set)

        def hang(*args, **kwargs):
            self.moment.happen()
            over.wait(PATIENCE_S)
            raise OSError("no such name")

        # Made first: the server, if this is its first client, looks for its own address.
        self.client = self.client_of("http://oss.test", path_style=True)
        self.fixture("monkeypatch").setattr("socket.getaddrinfo", hang)


class Connecting(State):
    def enter(self):
        self.peer = self.scene.enter_context(FullBacklog())
        self.before = self.waiting_to_connect()
        self.client = self.client_of(self.peer.endpoint())

    def waiting_to_connect(self):
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[3] == "02" and row[2].endswith(f":{self.peer.port:04X}") for row in rows)

    def reached(self):
        self.fixture("eventually")(lambda: self.waiting_to_connect() > self.before)


class TlsHandshake(State):
    def enter(self):
        self.peer = self.scene.enter_context(SilentPeer())
        self.client = self.client_of(self.peer.endpoint("https"), network={"verify_tls": False})

    def reached(self):
        self.peer.peek()


class ProxyConnect(State):
    def enter(self):
        self.peer = self.scene.enter_context(SilentPeer())
        self.client = self.client_of("https://127.0.0.1:9", network={"proxy": self.peer.endpoint()})

    def reached(self):
        self.peer.peek()


class SendingToAStalledPeer(State):
    code = penstock.STOPPED_IN_FLIGHT

    def enter(self):
        self.peer = self.scene.enter_context(SilentPeer(receive_buffer_bytes=16_384))
        self.client = self.client_of(self.peer.endpoint())

    def run(self):
        return self.client.put_object("bucket", "k", bytes(32 * MIB))

    def reached(self):
        self.peer.peek()


class Served(State):
    """At the local server, with faults."""

    def enter(self):
        self.bucket = self.fixture("oss_bucket")
        self.faults = self.fixture("oss_faults")
        self.client = self.client_of()

    def run(self):
        return self.client.put_object(self.bucket, "k", bytes(MIB))


class WaitingForTheAnswer(Served):
    code = penstock.STOPPED_IN_FLIGHT
    committed = penstock.Committed.UNKNOWN

    def enter(self):
        super().enter()
        self.moment = self.faults.on("PutObject").stall(at="store").reached


class WaitingForAnAnswerThatChangesNothing(Served):
    code = penstock.STOPPED_IN_FLIGHT

    def enter(self):
        super().enter()
        self.moment = self.faults.on("ListObjectsV2").stall(at="answer").reached

    def run(self):
        return self.client.list_objects_v2(self.bucket)


class ReceivingTheAnswer(Served):
    code = penstock.STOPPED_IN_FLIGHT

    def enter(self):
        super().enter()
        self.client.put_object(self.bucket, "k", bytes(MIB))

    def run(self):
        # So slow that it takes ten seconds.
        with self.client.get_object(self.bucket, "k", traffic_limit_bits_per_s=819_200) as body:
            body.read(1)
            self.moment.happen()
            return body.read()


class BackingOff(Served):
    kept = 1

    def enter(self):
        super().enter()
        moment = self.moment

        class Announced(penstock.RetryPolicy):
            def delay_s(self, attempt, fraction):
                moment.happen()
                return 60.0

        self.client = self.client_of(retry=Announced())
        self.befall()

    def befall(self):
        self.faults.on("PutObject").answer(503, "ServiceUnavailable", times=None)


class BackingOffInDoubt(BackingOff):
    kept = 0
    code = penstock.STOPPED_IN_FLIGHT
    committed = penstock.Committed.UNKNOWN

    def befall(self):
        self.faults.on("PutObject").drop_answer(times=None)


class GettingCredentials(State):
    abandoned = 1

    def enter(self):
        over = threading.Event()
        self.scene.callback(over.set)

        def provide():
            self.moment.happen()
            over.wait(PATIENCE_S)
            return penstock.Credentials("late", "late")

        self.client = self.client_of(credentials=provide)


class ReadingAPipeThatNobodyWritesTo(Served):
    abandoned = 1

    def enter(self):
        super().enter()
        read_end, write_end = os.pipe()
        moment = self.moment

        class Pipe(io.FileIO):
            def read(self, size=-1):
                moment.happen()
                return super().read(size)

        self.source = self.scene.enter_context(Pipe(read_end, "rb"))
        # Its end lets the reader go that was left behind.
        eventually = self.fixture("eventually")
        self.scene.callback(lambda: eventually(lambda: not self.client._errands.abandoned))
        self.scene.callback(os.close, write_end)

    def run(self):
        return self.client.put_object(self.bucket, "k", self.source)


class ReadingAHungGenerator(Served):
    abandoned = 1

    def enter(self):
        super().enter()
        self.over = threading.Event()
        self.scene.callback(self.over.set)

    def blocks(self):
        self.moment.happen()
        self.over.wait(PATIENCE_S)
        yield b"late"

    def run(self):
        return self.client.put_object(self.bucket, "k", self.blocks(), length=4)


class Queued(Served):
    def enter(self):
        super().enter()
        self.client = self.client_of(max_workers=1)
        over = threading.Event()
        self.scene.callback(over.set)

        def occupy():
            self.moment.happen()
            over.wait(PATIENCE_S)

        self.client.submit(occupy)


STATES = [
    Resolving,
    Connecting,
    TlsHandshake,
    ProxyConnect,
    SendingToAStalledPeer,
    WaitingForTheAnswer,
    WaitingForAnAnswerThatChangesNothing,
    ReceivingTheAnswer,
    BackingOff,
    BackingOffInDoubt,
    GettingCredentials,
    ReadingAPipeThatNobodyWritesTo,
    ReadingAHungGenerator,
]


@pytest.fixture
def state(request):
    with contextlib.ExitStack() as scene:
        yield request.param(request, scene)


def by_call(state):
    call = state.client.submit(state.run)
    return call, call.abort, "abort"


def by_scope(state):
    with penstock.abort_scope() as outer, penstock.abort_scope():
        call = state.client.submit(state.run)
    return call, outer.abort, "abort"


def by_switch(state):
    call = state.client.submit(state.run)
    return call, state.client.disable_requests, "disabled"


def by_toggle(state):
    call = state.client.submit(state.run)

    def toggle():
        state.client.disable_requests()
        state.client.enable_requests()

    return call, toggle, "disabled"


@pytest.mark.parametrize("way", [by_call, by_scope, by_switch, by_toggle])
@pytest.mark.parametrize("state", [*STATES, Queued], indirect=True)
def test_a_call_is_stopped(state, way, assert_quiet):
    call, stop, reason = way(state)
    state.reached()
    started = state.client._transport.requests_started
    began = time.perf_counter()
    stop()
    assert time.perf_counter() - began < PROMPT_S
    outcome = call.outcome(PATIENCE_S)
    assert time.perf_counter() - began < PROMPT_S
    assert_stopped(state, outcome.error, reason)
    assert outcome.aborted
    assert outcome.committed == state.committed
    assert_quiet(state.client, state.kept)
    assert state.client._transport.requests_started == started


@pytest.mark.parametrize("state", STATES, indirect=True)
def test_a_cancelled_task_stops_its_call(state, assert_quiet):
    async def main():
        client = penstock.AsyncClient.__new__(penstock.AsyncClient)
        client.client = state.client
        task = asyncio.ensure_future(client._run(lambda client: state.run()))
        await asyncio.to_thread(state.reached)
        began = time.perf_counter()
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert time.perf_counter() - began < PROMPT_S
        assert_quiet(state.client, state.kept)
        return caught.value

    cancelled = asyncio.run(main())
    assert_stopped(state, cancelled.__cause__, "cancelled")
    assert cancelled.__notes__ == [f"penstock: committed={state.committed}"]


def assert_stopped(state, error, reason):
    assert isinstance(error, penstock.Aborted)
    assert error.code == state.code
    assert error.committed == state.committed
    assert error.reason == reason
    assert error.advice
    assert str(error).count("\n") == 1
    assert (error.in_doubt_bytes > 0) is (state.committed == penstock.Committed.UNKNOWN)
    errands = state.client._errands
    assert errands.abandoned == state.abandoned


@pytest.mark.parametrize("state", [WaitingForTheAnswer, SendingToAStalledPeer, BackingOff], indirect=True)
def test_a_deadline_stops_what_is_in_its_scope(state, assert_quiet):
    began = time.perf_counter()
    with pytest.raises(penstock.Aborted) as caught, penstock.abort_scope(deadline_s=0.2) as scope:
        state.run()
    assert 0.2 <= time.perf_counter() - began < 0.2 + PROMPT_S
    assert caught.value.reason == "deadline"
    assert scope.aborted
    assert_quiet(state.client, state.kept)


def test_a_deadline_that_was_met_stops_nothing(client, oss_bucket):
    with penstock.abort_scope(deadline_s=0.001):
        pass
    with penstock.abort_scope(deadline_s=60) as scope:
        client.put_object(oss_bucket, "k", b"1")
    assert not scope.aborted
    client.put_object(oss_bucket, "k", b"1")


def test_a_deadline_that_was_met_leaves_no_timer(monkeypatch, eventually):
    clock = AlarmClock()
    monkeypatch.setattr("penstock.client.sending.scope.ALARMS", clock)
    with penstock.abort_scope(deadline_s=3600):
        eventually(lambda: bool(clock._changed._waiters))
    eventually(lambda: clock._thread is None)


def test_the_shorter_of_two_deadlines_holds(client, oss_bucket, oss_faults, eventually):
    oss_faults.on("PutObject").stall()
    with penstock.abort_scope(deadline_s=60) as outer:
        eventually(lambda: bool(ALARMS._changed._waiters))  # for the longer one
        begun = time.monotonic()
        with pytest.raises(penstock.Aborted), penstock.abort_scope(deadline_s=0.05):
            client.put_object(oss_bucket, "k", b"1")
        assert time.monotonic() - begun < PATIENCE_S
    assert not outer.aborted


def test_an_inner_scope_leaves_the_outer_one_alone(client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").stall()
    with penstock.abort_scope() as outer:
        one = client.submit(client.put_object, oss_bucket, "one", b"1")
        with penstock.abort_scope() as inner:
            two = client.submit(client.put_object, oss_bucket, "two", b"1")
        oss_faults.wait_until(lambda: oss_faults.count("PutObject") == 2)
        inner.abort()
        assert two.outcome(PATIENCE_S).aborted
        fault.release()
        assert one.result(PATIENCE_S).etag
    assert not outer.aborted
    with pytest.raises(penstock.Aborted), inner:  # entered again it is stopped as before
        client.put_object(oss_bucket, "k", b"1")


def test_a_scope_stops_the_scopes_that_were_made_in_it(client, oss_bucket, oss_faults):
    with penstock.abort_scope() as outer:
        inner = penstock.abort_scope()
    outer.abort("outer")
    assert inner.aborted
    with pytest.raises(penstock.Aborted, match="outer"), inner:
        client.put_object(oss_bucket, "k", b"1")
    assert oss_faults.count("PutObject") == 0


def test_a_scope_that_is_stopped_before_it_is_entered_lets_nothing_through(client, oss_bucket, oss_faults):
    scope = penstock.abort_scope()
    scope.abort("too late")
    with pytest.raises(penstock.Aborted, match="too late"), scope:
        client.put_object(oss_bucket, "k", b"1")
    assert oss_faults.count("PutObject") == 0


def test_a_scope_holds_several_threads_at_a_time(client, oss_bucket, oss_faults):
    oss_faults.on("PutObject").stall()
    scope = penstock.abort_scope(deadline_s=60)

    def put(key):
        with scope:
            client.put_object(oss_bucket, key, b"1")

    # Each on a thread of its own, outside of every scope.
    with ThreadPoolExecutor(3) as threads:
        puts = [threads.submit(put, key) for key in "abc"]
        oss_faults.wait_until(lambda: oss_faults.count("PutObject") == 3)
        scope.abort()
        assert [type(one.exception(PATIENCE_S)) for one in puts] == [penstock.Aborted] * 3


@pytest.mark.parametrize("never_s", [math.inf, 1e10])
def test_a_deadline_that_never_comes_keeps_no_other_one_from_coming(client, oss_bucket, oss_faults, never_s):
    oss_faults.on("PutObject").stall()
    with penstock.abort_scope(deadline_s=never_s):
        with pytest.raises(penstock.Aborted) as caught, penstock.abort_scope(deadline_s=0.1):
            client.put_object(oss_bucket, "k", b"1")
        assert caught.value.reason == "deadline"


def test_a_deadline_that_is_no_number_is_refused(client):
    with (
        pytest.raises(penstock.InvalidInput, match="not a number"),
        penstock.abort_scope(deadline_s=math.nan),
    ):
        pytest.fail("it was entered")


def test_a_deadline_is_kept_after_one_for_which_there_was_no_thread(
    monkeypatch, client, oss_bucket, oss_faults
):
    oss_faults.on("PutObject").stall()
    clock = AlarmClock()
    monkeypatch.setattr("penstock.client.sending.scope.ALARMS", clock)
    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", _refuse)
        with pytest.raises(RuntimeError), penstock.abort_scope(deadline_s=0.1):
            pytest.fail("it was entered")
    with pytest.raises(penstock.Aborted), penstock.abort_scope(deadline_s=0.1):
        client.put_object(oss_bucket, "k", b"1")


def _refuse(thread):
    raise RuntimeError("can't start new thread")


def test_leaving_a_scope_by_an_exception_stops_what_was_begun_in_it(
    client, oss_bucket, oss_faults, assert_quiet
):
    fault = oss_faults.on("PutObject").stall()
    with pytest.raises(ZeroDivisionError), penstock.abort_scope():
        call = client.submit(client.put_object, oss_bucket, "k", b"1")
        fault.reached.wait()
        raise ZeroDivisionError
    assert call.outcome(PATIENCE_S).error.reason == "exception"
    assert_quiet(client)


def test_leaving_a_client_by_an_exception_stops_what_it_does(
    make_client, oss_bucket, oss_faults, assert_quiet
):
    fault = oss_faults.on("PutObject").stall()
    client = make_client()
    with pytest.raises(ZeroDivisionError), client:
        call = client.submit(client.put_object, oss_bucket, "k", b"1")
        fault.reached.wait()
        raise ZeroDivisionError
    assert call.outcome(PATIENCE_S).error.reason == "closed"
    assert_quiet(client)


def test_leaving_a_client_waits_for_what_was_submitted(make_client, oss_bucket, oss_faults):
    oss_faults.on("PutObject").delay(0.05)
    with make_client() as client:
        call = client.submit(client.put_object, oss_bucket, "k", b"1")
    assert call.result(0).etag


def test_a_call_is_stopped_from_its_own_progress_callback(client, oss_bucket, assert_quiet):
    calls = []

    def progress(sent, total):
        calls[0].abort("enough")

    ready = threading.Event()

    def put():
        ready.wait(PATIENCE_S)
        return client.put_object(oss_bucket, "k", bytes(32 * MIB), progress=progress)

    calls.append(client.submit(put))
    ready.set()
    error = calls[0].outcome(PATIENCE_S).error
    assert (error.code, error.committed) == (penstock.STOPPED_IN_FLIGHT, penstock.Committed.NO)
    assert_quiet(client)
    assert not client.object_exists(oss_bucket, "k")


def test_a_call_is_stopped_from_a_signal_handler(client, oss_bucket, oss_faults, assert_quiet):
    fault = oss_faults.on("PutObject").stall(at="store")
    before = signal.signal(signal.SIGUSR1, lambda number, frame: client.disable_requests())
    try:

        def send():
            fault.reached.wait()
            os.kill(os.getpid(), signal.SIGUSR1)

        sender = threading.Thread(target=send)
        sender.start()
        with pytest.raises(penstock.Aborted) as caught:
            client.put_object(oss_bucket, "k", b"1")  # blocks this very thread, which the signal interrupts
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value.committed == penstock.Committed.UNKNOWN
    assert_quiet(client)


def test_an_abort_may_be_repeated_and_comes_too_late_for_what_has_ended(client, oss_bucket):
    call = client.submit(client.put_object, oss_bucket, "k", b"1")
    assert call.result(PATIENCE_S).etag
    for _ in range(3):
        call.abort()
    assert not call.cancel()
    assert call.outcome(0).committed == penstock.Committed.YES
    assert not call.cancelled()


def test_cancel_of_a_call_is_its_abort(client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").stall()
    call = client.submit(client.put_object, oss_bucket, "k", b"1")
    fault.reached.wait()
    assert not call.cancel()  # it had begun
    assert call.outcome(PATIENCE_S).aborted


def test_an_answer_that_came_before_the_stop_is_told(client, oss_bucket, oss_faults, monkeypatch):
    """A refusal is no doubt: OSS has said that it stored nothing."""
    oss_faults.on("PutObject").answer(403, "AccessDenied")

    def stop_and_tell(*answer, **resource):
        client.disable_requests()
        return error_from_answer(*answer, **resource)

    monkeypatch.setattr("penstock.client.sending.requester.error_from_answer", stop_and_tell)
    outcome = client.submit(client.put_object, oss_bucket, "k", b"1").outcome(PATIENCE_S)
    assert isinstance(outcome.error, penstock.Forbidden)
    assert outcome.committed == penstock.Committed.NO


def test_many_threads_stop_one_call_and_it_ends_once(client, oss_bucket, oss_faults):
    fault = oss_faults.on("PutObject").stall()
    call = client.submit(client.put_object, oss_bucket, "k", b"1")
    ended = []
    call.add_done_callback(ended.append)
    fault.reached.wait()
    threads = [threading.Thread(target=call.abort, args=(f"by {n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert call.outcome(PATIENCE_S).error.reason.startswith("by ")
    assert ended == [call]


def test_a_call_of_a_disabled_client_ends_at_once_and_says_why(client, oss_bucket, oss_faults):
    client.disable_requests()
    client.disable_requests()
    assert not client.requests_enabled
    for attempt in (
        lambda: client.put_object(oss_bucket, "k", b"1"),
        lambda: client.submit(client.put_object, oss_bucket, "k", b"1").result(PATIENCE_S),
        lambda: client.get_object(oss_bucket, "k"),
    ):
        with pytest.raises(penstock.Aborted, match=r"enable_requests\(\)") as caught:
            attempt()
        assert caught.value.code == penstock.NOT_SENT
        assert caught.value.reason == "disabled"
    assert oss_faults.count() == 0
    client.enable_requests()
    assert client.requests_enabled
    client.put_object(oss_bucket, "k", b"1")


def test_enabling_again_revives_nothing_that_has_not_even_been_woken(monkeypatch):
    monkeypatch.setattr("penstock.net.latch._PATIENCE_S", 0.0)
    monkeypatch.setattr("penstock.net.latch._thread.start_new_thread", lambda *never_begun: None)
    switch = Switch()
    request = Latch(switch.generation)
    switch.turn_off()
    switch.turn_on()
    assert request.reason == "disabled"
    assert not Latch(switch.generation).tripped


@pytest.mark.parametrize("at", ["head", "answer"])
def test_a_stopped_call_of_an_upload_names_the_upload(client, oss_bucket, oss_faults, at):
    upload_id = client.initiate_multipart_upload(oss_bucket, "k").upload_id
    fault = oss_faults.on("UploadPart").stall(at=at)
    call = client.submit(client.upload_part, oss_bucket, "k", upload_id, 1, b"1")
    fault.reached.wait()
    call.abort()
    assert call.outcome(PATIENCE_S).error.upload_id == upload_id


def test_a_connection_that_was_stopped_is_never_used_again(client, oss_bucket, oss_faults):
    client.put_object(oss_bucket, "k", b"1")
    assert len(client._transport._pool) == 1
    fault = oss_faults.on("PutObject").stall(at="answer", times=1)
    call = client.submit(client.put_object, oss_bucket, "k", b"2")
    fault.reached.wait()
    call.abort()
    call.outcome(PATIENCE_S)
    assert len(client._transport._pool) == 0
    fault.release()
    assert client.get_object(oss_bucket, "k").read() in (b"1", b"2")


def test_no_descriptor_is_left_by_a_hundred_stopped_calls(
    client, oss_bucket, oss_faults, assert_quiet, eventually
):
    fault = oss_faults.on("PutObject").stall(after_bytes=1)
    descriptors = Path("/proc/self/fd")

    def stop_ten():
        began = oss_faults.count()
        calls = [client.submit(client.put_object, oss_bucket, "k", bytes(200_000)) for _ in range(10)]
        oss_faults.wait_until(lambda: oss_faults.count() == began + 10)
        client.disable_requests()
        assert all(call.outcome(PATIENCE_S).aborted for call in calls)
        client.enable_requests()
        assert_quiet(client)

    def client_side():
        gc.collect()
        ours = {str(link.readlink()) for link in descriptors.iterdir() if link.is_symlink()}
        port = f":{client.settings.endpoint.port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return sum(row[2].endswith(port) and f"socket:[{row[9]}]" in ours for row in rows)

    with contextlib.suppress(OSError):
        before = client_side()
    for _ in range(10):
        stop_ten()
    fault.release()
    eventually(lambda: client_side() <= before)


def test_a_stop_between_two_attempts_does_not_remember_the_first_one(
    client, oss_bucket, oss_faults, monkeypatch
):
    """OSS has refused the first attempt, so it is known that nothing was stored."""
    oss_faults.on("PutObject").answer(
        403, "RequestTimeTooSkewed", fields={"ServerTime": "2026-01-01T00:00:00.000Z"}
    )
    learn = client._requester.signer.learn_from

    def stop_and_learn(error):
        client.disable_requests()
        return learn(error)

    monkeypatch.setattr(client._requester.signer, "learn_from", stop_and_learn)
    with pytest.raises(penstock.Aborted) as caught:
        client.put_object(oss_bucket, "k", b"1")
    assert caught.value.committed == penstock.Committed.NO
    assert caught.value.code == penstock.NOT_SENT


def test_a_call_that_returned_is_never_called_an_abort(client, oss_bucket, oss_faults):
    """Whoever asks too late gets the result: whichever comes first wins, and only one does."""
    for _ in range(50):
        call = client.submit(client.put_object, oss_bucket, "k", b"1")
        oss_faults.wait_until(lambda: oss_faults.requests and oss_faults.requests[-1].status is not None)
        oss_faults.requests.clear()
        call.abort()
        outcome = call.outcome(PATIENCE_S)
        assert (outcome.value is None) is (outcome.error is not None)
        if outcome.error is None:
            assert outcome.committed == penstock.Committed.YES
        else:
            assert outcome.committed in (penstock.Committed.UNKNOWN, penstock.Committed.NO)
            if outcome.committed == penstock.Committed.NO:
                assert outcome.error.code == penstock.NOT_SENT


def test_the_bytes_that_still_arrive_after_an_abort_are_few(make_client, eventually):
    with SilentPeer(receive_buffer_bytes=16_384) as peer:
        client = make_client(peer.endpoint())
        sent = [0]
        call = client.submit(
            client.put_object,
            "bucket",
            "k",
            bytes(32 * MIB),
            progress=lambda so_far, total: sent.append(so_far),
        )
        eventually(lambda: sent[-1] > 100_000)  # more than the peer takes: the rest waits here
        call.abort()
        assert call.outcome(PATIENCE_S).aborted
        arrived, was_reset = peer.read_to_end()
    assert was_reset
    assert arrived <= 256 * 1024 + 2 * 16_384


@pytest.mark.parametrize("how", ["read", "copy_to"])
def test_whoever_stops_the_reader_of_a_body_stops_the_body(client, oss_bucket, assert_quiet, how):
    client.put_object(oss_bucket, "k", bytes(4 * MIB))
    body = client.get_object(oss_bucket, "k", traffic_limit_bits_per_s=819_200)
    reading = threading.Event()

    def read():
        body.read(1)
        reading.set()
        return body.read() if how == "read" else body.copy_to(io.BytesIO())

    call = client.submit(read)
    assert reading.wait(PATIENCE_S)
    call.abort("enough")
    assert call.outcome(PATIENCE_S).error.reason == "enough"
    assert_quiet(client)


def test_cancelling_a_task_that_reads_a_body_stops_the_body(client, oss_bucket, assert_quiet):
    client.put_object(oss_bucket, "k", bytes(4 * MIB))

    async def read():
        asynchronous = penstock.AsyncClient.__new__(penstock.AsyncClient)
        asynchronous.client = client
        body = await asynchronous.get_object(oss_bucket, "k", traffic_limit_bits_per_s=819_200)
        began = time.perf_counter()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(body.read(), 0.1)
        assert time.perf_counter() - began < 5  # to its end it takes 40 s

    asyncio.run(read())
    assert_quiet(client)


def test_a_download_stopped_after_it_was_returned(client, oss_bucket, assert_quiet):
    client.put_object(oss_bucket, "k", bytes(4 * MIB))
    with penstock.abort_scope() as scope:
        body = client.get_object(oss_bucket, "k", traffic_limit_bits_per_s=819_200)
    body.read(10)
    scope.abort()
    with pytest.raises(penstock.Aborted) as caught:
        body.read()
    assert caught.value.code == penstock.STOPPED_IN_FLIGHT
    assert_quiet(client)


def test_a_download_into_a_file_leaves_none_when_it_is_stopped(client, oss_bucket, tmp_path, assert_quiet):
    client.put_object(oss_bucket, "k", bytes(4 * MIB))
    (tmp_path / "down").write_bytes(b"old")
    read = client.get_object

    def slowly(bucket, key):
        body = read(bucket, key, traffic_limit_bits_per_s=819_200)
        body.read(10)
        client.disable_requests()
        return body

    client.get_object = slowly
    with pytest.raises(penstock.Aborted):
        client.get_object_to_file(oss_bucket, "k", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["down"]
    assert_quiet(client)


def test_a_cancelled_task_leaves_no_other_task_behind(oss_env, oss_bucket):
    """The block that was being made for it is not made any more."""
    ended = []

    async def blocks(asked):
        yield b"first"
        try:
            asked.set()
            await asyncio.Event().wait()
        finally:
            ended.append("the maker of blocks")

    async def main():
        asked = asyncio.Event()
        async with penstock.AsyncClient() as client:
            task = asyncio.ensure_future(client.put_object(oss_bucket, "k", blocks(asked)))
            await asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while len(asyncio.all_tasks()) > 1 and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0)
            assert len(asyncio.all_tasks()) == 1
            assert ended == ["the maker of blocks"]
            assert not await client.object_exists(oss_bucket, "k")

    asyncio.run(main())


def test_a_timeout_of_asyncio_is_an_abort(oss_env, oss_bucket, oss_faults):
    oss_faults.on("PutObject").stall(at="store")

    async def main():
        async with penstock.AsyncClient() as client:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await client.put_object(oss_bucket, "k", b"1")
            assert client.client._transport.open_connections == 0

    asyncio.run(main())


INTERRUPTED = {
    "a blocking call": """
        with penstock.Client() as client:
            client.put_object(bucket, "k", bytes(50_000_000))
    """,
    "a submitted call": """
        client = penstock.Client()
        call = client.submit(client.put_object, bucket, "k", bytes(50_000_000))
        try:
            call.result()
        finally:
            assert call.done(), "the call goes on"
            print(call.outcome(0).error.reason)
            client.close()
    """,
    "the end of a client": """
        try:
            with penstock.Client() as client:
                call = client.submit(client.put_object, bucket, "k", bytes(50_000_000))
                transfer = client.upload(bytes(50_000_000), f"oss://{bucket}/t", part_bytes=10_000_000)
        finally:
            assert call.done() and transfer.done(), "the call goes on"
    """,
    "a transfer": """
        with penstock.Client() as client:
            client.upload(bytes(50_000_000), f"oss://{bucket}/k", part_bytes=10_000_000).result()
    """,
    "a transfer that outlives its caller": """
        client = penstock.Client()
        transfer = client.upload(bytes(50_000_000), f"oss://{bucket}/k", part_bytes=10_000_000)
        try:
            transfer.result()
        finally:
            assert transfer.done(), "the call goes on"
            client.close()
    """,
    "a group that outlives its caller": """
        client = penstock.Client()
        group = client.group()
        for name in "ab":
            group.upload(bytes(50_000_000), f"oss://{bucket}/{name}", part_bytes=10_000_000)
        try:
            group.outcomes()
        finally:
            assert all(transfer.done() for transfer in group.transfers), "the call goes on"
            client.close()
    """,
    "a transfer as a context": """
        client = penstock.Client()
        with client.upload(bytes(50_000_000), f"oss://{bucket}/k", part_bytes=10_000_000):
            pass
    """,
    "an asyncio program": """
        async def main():
            async with penstock.AsyncClient() as client:
                await client.put_object(bucket, "k", bytes(50_000_000))
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("what", INTERRUPTED)
def test_control_c_stops(what, oss_env, oss_bucket, oss_faults):
    """A process that is interrupted ends soon, with the error that it should, and asks nothing more."""
    oss_faults.on("PutObject").stall(after_bytes=100_000)
    oss_faults.on("UploadPart").stall(after_bytes=100_000)
    head = """
        import asyncio, sys, threading
        import penstock
        bucket = sys.argv[1]
        threading.excepthook = lambda args: print("thread died:", args.exc_value)
        """
    program = textwrap.dedent(head) + textwrap.dedent(INTERRUPTED[what])
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", program, oss_bucket],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **oss_env},
    )
    try:
        # The last thing that it begins: then it waits.
        sent = "UploadPart" if "oss://" in program else "PutObject"
        oss_faults.wait_until(lambda: any(one.received_bytes for one in oss_faults.asked(sent)))
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert time.monotonic() - begun < 5.0
    assert "KeyboardInterrupt" in said, said
    assert "thread died" not in said
    assert "the call goes on" not in said
    assert process.returncode in (130, -signal.SIGINT, 1), said
    asked = oss_faults.count()
    oss_faults.release_all()
    assert oss_faults.count() == asked
