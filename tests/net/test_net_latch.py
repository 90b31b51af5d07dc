from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from penstock.net import Gate, Latch, Tripped


def test_the_first_trip_wins_and_keeps_its_reason():
    latch = Latch()
    assert not latch.tripped
    assert latch.reason is None
    latch.check()
    assert latch.trip("deadline") is True
    assert latch.trip("abort") is False
    assert latch.reason == "deadline"
    with pytest.raises(Tripped) as caught:
        latch.check()
    assert caught.value.reason == "deadline"


def test_a_trip_reaches_all_below_and_nothing_above():
    client = Latch()
    transfer = Latch(client)
    request = Latch(transfer)
    sibling = Latch(client)
    transfer.trip("abort")
    assert request.tripped
    assert request.reason == "abort"
    assert not client.tripped
    assert not sibling.tripped


def test_a_latch_may_have_several_parents():
    client, scope = Latch(), Latch()
    request = Latch(client, scope)
    scope.trip("scope")
    assert request.reason == "scope"


def test_a_child_of_a_tripped_parent_is_born_tripped():
    parent = Latch()
    parent.trip("closed")
    assert Latch(Latch(), parent).reason == "closed"


def test_a_closed_child_is_left_alone():
    parent = Latch()
    child = Latch(parent)
    child.close()
    parent.trip()
    assert not child.tripped
    assert child.trip()


def test_a_dropped_child_is_forgotten_at_once():
    parent = Latch()
    gc.disable()
    try:
        for _ in range(1000):
            Latch(parent)
        assert not parent._children
    finally:
        gc.enable()


def test_a_wake_is_called_once():
    latch, calls = Latch(), []
    latch.attach(lambda: calls.append(1))
    latch.trip()
    latch.trip()
    assert calls == [1]


def test_a_wake_is_called_at_once_on_a_tripped_latch():
    latch, calls = Latch(), []
    latch.trip()
    attachment = latch.attach(lambda: calls.append(1))
    assert calls == [1]
    assert attachment.detach() is False


def test_a_detached_wake_is_not_called():
    latch, calls = Latch(), []
    with latch.attach(lambda: calls.append(1)):
        pass
    attachment = latch.attach(lambda: calls.append(2))
    assert attachment.detach() is True
    latch.trip()
    assert calls == []


def test_a_wake_that_fails_is_reported_and_the_others_are_called(monkeypatch):
    reported = []
    monkeypatch.setattr("sys.unraisablehook", reported.append)
    latch, calls = Latch(), []
    child = Latch(latch)
    for _ in range(3):
        latch.attach(lambda: calls.append(1))
        latch.attach(lambda: 1 // 0)
    assert latch.trip()
    assert calls == [1, 1, 1]
    assert child.tripped
    assert [type(report.exc_value) for report in reported] == [ZeroDivisionError] * 3


@pytest.fixture
def left(monkeypatch):
    """What is left to other threads by trips that have no patience at all."""
    left = []
    monkeypatch.setattr("penstock.net.latch._PATIENCE_S", 0.0)
    monkeypatch.setattr("penstock.net.latch._waking", [])
    monkeypatch.setattr("penstock.net.latch._thread.start_new_thread", lambda *begun: left.append(begun))
    return left


def test_a_trip_has_taken_effect_below_before_anybody_is_woken(left):
    client, calls = Latch(), []
    group = Latch(client)
    request = Latch(group)
    request.attach(lambda: calls.append(1))
    assert client.trip("disabled")
    assert calls == []
    assert (group.reason, request.reason) == ("disabled", "disabled")
    assert Latch(request).tripped
    with pytest.raises(Tripped, match="disabled"):
        request.check()
    assert request.wait(None) is True
    assert request.trip("abort") is False
    request.attach(lambda: calls.append(2))
    assert 2 in calls
    for work, arguments in left:
        work(*arguments)
    assert sorted(calls) == [1, 2]


def test_a_trip_leaves_to_another_thread_what_takes_longer_than_an_abort_may(eventually):
    latch, threads = Latch(), []

    def wake():
        time.sleep(0.001)
        threads.append(threading.get_ident())

    for _ in range(50):
        latch.attach(wake)
    latch.trip()
    assert threads.count(threading.get_ident()) <= 5
    eventually(lambda: len(threads) == 50)


def test_what_left_a_tripped_parent_before_it_was_woken_stays_tripped(left):
    parent = Latch()
    child = Latch(parent)
    parent.trip("closed")
    child.close()
    assert child.reason == "closed"


def test_a_trip_wakes_all_by_itself_where_there_are_no_more_threads(monkeypatch):
    def refuse(*begun):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("penstock.net.latch._PATIENCE_S", 0.0)
    monkeypatch.setattr("penstock.net.latch._thread.start_new_thread", refuse)
    parent, calls = Latch(), []
    children = [Latch(parent) for _ in range(3)]
    for child in children:
        child.attach(lambda: calls.append(1))
    parent.trip()
    assert calls == [1, 1, 1]


def test_an_interrupt_inside_a_wake_spares_nobody():
    latch, calls = Latch(), []
    interrupts = [KeyboardInterrupt()]

    def interrupted() -> None:
        if interrupts:
            raise interrupts.pop()
        calls.append("after the interrupt")

    latch.attach(lambda: calls.append("other"))
    latch.attach(interrupted)
    child = Latch(latch)
    with pytest.raises(KeyboardInterrupt):
        latch.trip()
    assert sorted(calls) == ["after the interrupt", "other"]
    assert child.tripped


def test_a_wake_may_trip_its_own_latch_again():
    latch = Latch()
    latch.attach(latch.trip)
    assert latch.trip()


def test_wait_sleeps_for_its_time():
    began = time.monotonic()
    assert Latch().wait(0.02) is False
    assert time.monotonic() - began >= 0.02


@pytest.mark.parametrize("timeout_s", [0, -1.0])
def test_wait_for_no_time_returns_at_once(timeout_s):
    assert Latch().wait(timeout_s) is False


def test_wait_on_a_tripped_latch_returns_at_once():
    latch = Latch()
    latch.trip()
    assert latch.wait(None) is True


@pytest.mark.parametrize("timeout_s", [None, 60.0, 1e12])
def test_wait_ends_when_the_latch_is_tripped(call, timeout_s):
    parent = Latch()
    latch = Latch(parent)
    caller = call(lambda: latch.wait(timeout_s))
    while not latch._wakes:
        assert caller.thread.is_alive()
    parent.trip()
    assert caller.join().value is True
    assert not latch._wakes


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_signal_handler_may_trip_the_latch_that_its_own_thread_waits_on():
    latch = Latch()
    before = signal.signal(signal.SIGALRM, lambda *_: latch.trip("signal"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        assert latch.wait(20.0) is True
        assert latch.reason == "signal"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX signals")
def test_a_signal_handler_may_trip_while_its_thread_is_inside_any_latch_code():
    root = [Latch()]
    trips = []

    def handler(*_: object) -> None:
        trips.append(root[0].trip("signal"))

    before = signal.signal(signal.SIGALRM, handler)
    deadline = time.monotonic() + 20
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        while len(trips) < 200 and time.monotonic() < deadline:
            parent = Latch()
            root[0] = parent
            for _ in range(50):
                child = Latch(parent)
                with child.attach(lambda: None):
                    child.wait(0)
                parent_tripped = parent.tripped
                assert child.tripped or not parent_tripped
                child.close()
            parent.trip("own")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(trips) >= 200


def test_no_attachment_is_lost_when_threads_attach_while_another_trips():
    for _ in range(200):
        parent = Latch()
        start = threading.Barrier(3)
        woken: list[int] = []

        def attach(
            number: int, parent: Latch = parent, start: threading.Barrier = start, woken=woken
        ) -> None:
            start.wait()
            for step in range(20):
                Latch(parent).attach(lambda step=step: None)
                parent.attach(lambda number=number, step=step: woken.append(number * 100 + step))

        threads = [threading.Thread(target=attach, args=(number,)) for number in range(2)]
        for thread in threads:
            thread.start()
        start.wait()
        first = parent.trip()
        for thread in threads:
            thread.join()
        assert first
        assert sorted(woken) == [*range(20), *range(100, 120)]


def test_only_one_of_many_simultaneous_trips_is_the_first():
    for _ in range(100):
        latch = Latch()
        start = threading.Barrier(4)
        firsts: list[bool] = []

        def trip(latch: Latch = latch, start: threading.Barrier = start, firsts=firsts) -> None:
            start.wait()
            firsts.append(latch.trip())
            assert latch.tripped

        threads = [threading.Thread(target=trip) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(firsts) == [False, False, False, True]


def test_a_gate_may_be_opened_before_and_again():
    gate = Gate()
    assert gate.wait(0) is False
    gate.open()
    gate.open()
    assert gate.wait(None) is True
    assert gate.wait(0) is True


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_latch_works_in_a_forked_child():
    latch = Latch()
    pid = os.fork()
    if pid == 0:
        latch.trip()
        os._exit(0 if latch.wait(None) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert not latch.tripped


def test_a_program_does_not_end_before_those_who_sleep_are_woken():
    program = """
import time
from penstock.net import Latch, latch

def wake_slowly():
    time.sleep(0.2)
    print("woken")

latch._PATIENCE_S = 0.0
switch = Latch()
switch.attach(wake_slowly)
switch.trip()
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=20.0
    )
    assert (ended.stdout, ended.stderr) == ("woken\n", "")
