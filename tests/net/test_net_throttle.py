"""A limit holds for all that is under it together, may change at any time, and hangs nobody."""

from __future__ import annotations

import math
import threading
import time

import pytest
from scripted_peer import PATIENCE_S, Peer, answering

from penstock.errors import InvalidInput
from penstock.net import Flight, HttpRequest, Latch, Tripped
from penstock.net import throttle as module
from penstock.net.throttle import Bandwidth, Throttle

MIB = 1 << 20
PROMPT_S = 1.0
HELD_S = module._HELD_S


@pytest.fixture
def patient_trickle(monkeypatch):
    """Nothing trickles, so that only a wake or a trip ends the waiting."""
    monkeypatch.setattr(module, "TRICKLE_S", 3600.0)


@pytest.fixture
def quick_trickle(monkeypatch):
    monkeypatch.setattr(module, "TRICKLE_S", 0.05)


def drawn_in(throttle, seconds, wanted=65_536):
    """How much one flow gets, and how long that took."""
    begun, total = time.monotonic(), 0
    while time.monotonic() - begun < seconds:
        total += throttle.take(wanted, Latch())
    return total, time.monotonic() - begun


def test_without_a_limit_all_is_granted_at_once():
    throttle = Throttle(Bandwidth(), Bandwidth())
    assert not throttle.limited
    assert throttle.take(1 << 40, Latch()) == 1 << 40


@pytest.mark.parametrize("bytes_s", [1000.0, MIB, 50 * MIB])
def test_no_more_flows_than_the_limit_allows(bytes_s):
    total, elapsed_s = drawn_in(Throttle(Bandwidth(bytes_s)), 0.5)
    assert total <= bytes_s * (elapsed_s + HELD_S) + 1
    assert total >= bytes_s * 0.2


def test_many_flows_share_a_limit_and_none_is_forgotten():
    throttle = Throttle(Bandwidth(MIB))
    totals = [0] * 8
    begun = time.monotonic()

    def draw(number):
        totals[number], _ = drawn_in(throttle, 1.0)

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sum(totals) <= MIB * (time.monotonic() - begun + HELD_S) + 8
    assert min(totals) >= max(totals) / 4


@pytest.mark.parametrize("order", [(None, 100_000, 10_000_000), (10_000_000, None, 100_000)])
def test_the_tightest_limit_decides(order):
    total, elapsed_s = drawn_in(Throttle(*map(Bandwidth, order)), 0.3)
    assert 100_000 * 0.1 <= total <= 100_000 * (elapsed_s + HELD_S) + 1


def test_what_a_tighter_limit_kept_back_is_left_to_others_under_the_wider_one():
    wide = Bandwidth(1_000_000)
    narrow = Throttle(Bandwidth(1000), wide)
    begun = time.monotonic()
    for _ in range(5):
        narrow.take(1_000_000, Latch())
    total, _ = drawn_in(Throttle(wide), 0.5)
    assert total >= 1_000_000 * (time.monotonic() - begun) * 0.5


def test_a_closed_gate_lets_a_byte_through_now_and_then(quick_trickle):
    throttle = Throttle(Bandwidth(0))
    begun = time.monotonic()
    assert [throttle.take(1000, Latch()) for _ in range(3)] == [1, 1, 1]
    assert 0.15 <= time.monotonic() - begun < PROMPT_S


def test_a_limit_that_is_lifted_wakes_all_who_wait(patient_trickle, call, eventually):
    bandwidth = Bandwidth(0)
    callers = [call(lambda: Throttle(bandwidth).take(1000, Latch())) for _ in range(4)]
    eventually(lambda: len(bandwidth._line) == 4)
    begun = time.perf_counter()
    bandwidth.bytes_s = None
    assert [caller.join().value for caller in callers] == [1000] * 4
    assert time.perf_counter() - begun < PROMPT_S
    assert not bandwidth._line


def test_a_limit_that_is_raised_holds_for_those_who_wait_already(patient_trickle, call, eventually):
    bandwidth = Bandwidth(0.001)
    caller = call(lambda: Throttle(bandwidth).take(1000, Latch()))
    eventually(lambda: len(bandwidth._line) == 1)
    bandwidth.bytes_s = 1_000_000
    assert caller.join().value >= 1


@pytest.mark.parametrize("ahead", [0, 1])
def test_a_trip_ends_the_waiting_wherever_in_the_line(patient_trickle, call, trip, eventually, ahead):
    bandwidth, first, latch = Bandwidth(0), Latch(), Latch()
    others = [call(lambda: Throttle(bandwidth).take(1, first)) for _ in range(ahead)]
    eventually(lambda: len(bandwidth._line) == ahead)
    caller = call(lambda: Throttle(Bandwidth(10**9), bandwidth).take(1000, latch))
    eventually(lambda: len(bandwidth._line) == ahead + 1)
    assert trip(latch, caller) < PROMPT_S
    assert len(bandwidth._line) == ahead
    first.trip()
    for other in others:
        assert isinstance(other.join().error, Tripped)


def test_what_was_granted_and_not_moved_goes_back():
    throttle = Throttle(Bandwidth(10_000))
    granted = throttle.take(10_000, Latch())
    throttle.charge(-granted)
    begun = time.monotonic()
    assert throttle.take(granted, Latch()) > 0
    assert time.monotonic() - begun < 0.02 + HELD_S


def test_what_was_moved_without_permission_is_paid_for(patient_trickle):
    throttle = Throttle(Bandwidth(10_000))
    throttle.charge(3000)
    begun = time.monotonic()
    throttle.take(1, Latch())
    assert time.monotonic() - begun >= 0.2


def test_something_new_waits_until_the_gate_is_open(call, trip, eventually):
    bandwidth, latch = Bandwidth(0), Latch()
    stopped = call(lambda: Throttle(Bandwidth(1), bandwidth).wait_until_open(latch))
    let_in = call(lambda: Throttle(bandwidth).wait_until_open(Latch()))
    eventually(lambda: len(bandwidth._line) == 2)
    assert trip(latch, stopped) < PROMPT_S
    assert let_in.thread.is_alive()
    bandwidth.bytes_s = 5
    assert let_in.join().error is None
    Throttle(bandwidth, Bandwidth()).wait_until_open(Latch())


@pytest.mark.parametrize("bytes_s", [-1, math.nan, math.inf, "1", True])
def test_what_is_no_speed_is_refused(bytes_s):
    bandwidth = Bandwidth(7)
    with pytest.raises(InvalidInput):
        bandwidth.bytes_s = bytes_s
    assert bandwidth.bytes_s == 7


# --- over real sockets


def put(peer, body, secure, **fields):
    origin = peer.origin("https" if secure else "http", "localhost")
    return HttpRequest(origin, "PUT", "/", (), body, **fields)


def served(tls=None):
    """A script that answers one request, over TLS if there is a context for it."""

    def script(connection):
        if tls is not None:
            connection.handshake(tls)
        answering()(connection)

    return script


def pieces_of(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("shape", ["bytes", "pieces", "chunks"])
def test_a_body_leaves_at_the_speed_of_its_limit_and_whole(transport, server_tls, secure, shape):
    body = bytes(range(256)) * 1200
    given = body if shape == "bytes" else pieces_of(body, 100_000)
    length = len(body) if shape == "pieces" else None
    with Peer(served(server_tls if secure else None)) as peer:
        begun = time.monotonic()
        throttle = Throttle(Bandwidth(MIB))
        flight = Flight()
        request = put(peer, given, secure, body_bytes=length)
        transport.send(request, Latch(), flight, throttle=throttle).close()
        elapsed_s = time.monotonic() - begun
    assert peer.requests[0][2] == body
    assert flight.complete
    assert flight.sent_bytes == len(body)
    assert elapsed_s >= len(body) / MIB - HELD_S
    assert elapsed_s < 5 * len(body) / MIB + PROMPT_S


@pytest.mark.parametrize("secure", [False, True])
def test_a_limit_set_within_a_request_slows_it_and_lifting_it_lets_it_go(
    transport, server_tls, call, secure, eventually, quick_trickle
):
    body = bytes(64 * MIB)
    bandwidth, sent = Bandwidth(), []

    def close_the_gate(so_far):
        sent.append(so_far)
        if len(sent) == 1:
            bandwidth.bytes_s = 0

    with Peer(served(server_tls if secure else None)) as peer:
        flight = Flight()
        request = put(peer, body, secure)
        caller = call(
            lambda: transport.send(request, Latch(), flight, close_the_gate, Throttle(bandwidth)).close()
        )
        # What TLS had encrypted when the gate was closed still leaves; after that it is a byte at a time.
        eventually(lambda: len(sent) > 2 and sent[-1] - sent[-2] == 1)
        before = sent[-1]
        eventually(lambda: sent[-1] > before)
        assert sent[-1] - before < 1000
        assert not flight.complete
        bandwidth.bytes_s = None
        assert caller.join().error is None
        assert flight.complete
        assert len(peer.requests[0][2]) == len(body)


def test_a_request_that_a_limit_holds_back_stops_at_once(transport, call, trip, patient_trickle):
    moved = threading.Event()
    with Peer(answering()) as peer:
        bandwidth, latch, flight = Bandwidth(), Latch(), Flight()

        def sent(so_far):
            bandwidth.bytes_s = 0
            moved.set()

        request = put(peer, pieces_of(bytes(4 * MIB), 65_536), False, body_bytes=4 * MIB)
        caller = call(lambda: transport.send(request, latch, flight, sent, Throttle(bandwidth)))
        assert moved.wait(PATIENCE_S)
        assert trip(latch, caller) < PROMPT_S
        assert not flight.complete
        assert not bandwidth._line
        assert transport.open_connections == 0


@pytest.mark.parametrize("head_with_body", [False, True])
def test_an_answer_is_read_no_faster_than_its_limit_allows(transport, head_with_body):
    data = bytes(range(256)) * (100 if head_with_body else 1200)

    def answer(connection):
        connection.read_request()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        if head_with_body:
            connection.send(head + data)
        else:
            connection.send(head)
            connection.send(data)

    with Peer(answer) as peer:
        request = HttpRequest(peer.origin("http", "localhost"), "GET", "/")
        with transport.send(request, Latch()) as response:
            bandwidth = Bandwidth(256_000)
            response.limit(Throttle(bandwidth), Latch())
            begun = time.monotonic()
            got = bytearray(len(data))
            count = 0
            while received := response.readinto(memoryview(got)[count:]):
                count += received
        elapsed_s = time.monotonic() - begun
    assert got == data
    assert elapsed_s >= len(data) / 256_000 - HELD_S
    assert elapsed_s < 5 * len(data) / 256_000 + PROMPT_S


def test_reading_an_answer_that_a_limit_holds_back_stops_at_once(transport, call, trip, patient_trickle):
    def answer(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000))
        connection.read_to_end()

    with Peer(answer) as peer:
        latch, bandwidth = Latch(), Bandwidth(0)
        request = HttpRequest(peer.origin("http", "localhost"), "GET", "/")
        response = transport.send(request, latch)
        response.limit(Throttle(bandwidth), latch)
        caller = call(lambda: response.readinto(bytearray(1000)))
        assert trip(latch, caller) < PROMPT_S
        assert not bandwidth._line
        assert transport.open_connections == 0
