from __future__ import annotations

import threading

import pytest

from penstock.net import Errands, Latch, Tripped


@pytest.fixture
def errands():
    return Errands(2, "test-errand")


def test_an_errand_returns_its_value(errands):
    assert errands.run(lambda: 42, Latch(), 5) == 42


def test_an_errand_raises_its_error(errands):
    with pytest.raises(ZeroDivisionError):
        errands.run(lambda: 1 // 0, Latch(), 5)


def test_an_errand_runs_on_a_daemon_thread_of_that_name(errands):
    thread = errands.run(threading.current_thread, Latch(), 5)
    assert thread.daemon
    assert thread.name.startswith("test-errand")


def test_an_idle_thread_is_used_again(errands, eventually):
    for _ in range(20):
        errands.run(lambda: None, Latch(), 5)
        eventually(lambda: errands._idle == errands.threads)
    assert errands.threads == 1


def test_an_idle_thread_ends_after_a_while(errands, eventually, monkeypatch):
    monkeypatch.setattr("penstock.net.errand._IDLE_S", 0.01)
    thread = errands.run(threading.current_thread, Latch(), 5)
    eventually(lambda: errands.threads == 0)
    thread.join(5)
    assert not thread.is_alive()
    assert errands.run(lambda: 1, Latch(), 5) == 1


def test_a_tripped_latch_leaves_the_errand_behind_and_counts_it(errands, call, eventually):
    latch, hung = Latch(), threading.Event()
    caller = call(lambda: errands.run(hung.wait, latch, None))
    eventually(lambda: errands.threads == 1 and not errands._queue)
    latch.trip("enough")
    assert isinstance(caller.join().error, Tripped)
    eventually(lambda: errands.abandoned == 1)
    hung.set()
    eventually(lambda: errands.abandoned == 0)
    assert errands.threads == 1


def test_a_tripped_latch_starts_no_errand(errands):
    latch = Latch()
    latch.trip()
    with pytest.raises(Tripped):
        errands.run(lambda: pytest.fail("it ran"), latch, 5)
    assert errands.threads == 0


def test_a_time_out_leaves_the_errand_behind(errands, eventually):
    hung = threading.Event()
    with pytest.raises(TimeoutError):
        errands.run(hung.wait, Latch(), 0.02)
    assert errands.abandoned == 1
    hung.set()
    eventually(lambda: errands.abandoned == 0)


def test_no_more_threads_than_the_cap_and_the_rest_waits(errands, call, eventually):
    hung = threading.Event()
    callers = [call(lambda: errands.run(hung.wait, Latch(), None)) for _ in range(5)]
    eventually(lambda: len(errands._queue) == 3)
    assert errands.threads == 2
    hung.set()
    for caller in callers:
        assert caller.join().value is True


def test_an_errand_that_nobody_wants_any_more_does_not_begin(errands, call, eventually):
    hung, ran = threading.Event(), []
    blockers = [call(lambda: errands.run(hung.wait, Latch(), None)) for _ in range(2)]
    eventually(lambda: errands.threads == 2 and not errands._queue)
    latch = Latch()
    waiting = call(lambda: errands.run(lambda: ran.append(1), latch, None))
    eventually(lambda: len(errands._queue) == 1)
    latch.trip()
    assert isinstance(waiting.join().error, Tripped)
    hung.set()
    for blocker in blockers:
        blocker.join()
    assert errands.run(lambda: "next", Latch(), 5) == "next"
    assert ran == []
    assert errands.abandoned == 0


def test_many_may_wait_for_one_errand_and_some_may_leave(errands, call, eventually):
    hung = threading.Event()
    errand = errands.start(lambda: hung.wait() and "done")
    leaving = Latch()
    staying = [call(lambda: errand.result(Latch(), None)) for _ in range(3)]
    left = call(lambda: errand.result(leaving, None))
    eventually(lambda: errand._waiters == 4)
    leaving.trip()
    assert isinstance(left.join().error, Tripped)
    assert errands.abandoned == 0
    hung.set()
    assert [caller.join().value for caller in staying] == ["done"] * 3
    assert errand.result(Latch(), 0) == "done"


def test_waiting_again_for_an_abandoned_errand_adopts_it(errands, call, eventually):
    hung = threading.Event()
    errand = errands.start(hung.wait)
    with pytest.raises(TimeoutError):
        errand.result(Latch(), 0.01)
    eventually(lambda: errands.abandoned == 1)
    again = call(lambda: errand.result(Latch(), None))
    eventually(lambda: errands.abandoned == 0)
    hung.set()
    assert again.join().value is True


def test_errands_from_many_threads_all_come_back(call):
    errands = Errands(4, "many")
    callers = [
        call(lambda start=start: [errands.run(lambda n=n: n, Latch(), 20) for n in range(start, start + 100)])
        for start in range(0, 1000, 100)
    ]
    assert sorted(n for caller in callers for n in caller.join().value) == list(range(1000))
    assert errands.threads <= 4
    assert errands.abandoned == 0
