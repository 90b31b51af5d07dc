"""
An abort lands in every state.

Blocked calls have no tick here (`no_ticks`), so a wake that is lost shows as a call that does not end.
"""

from __future__ import annotations

import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from scripted_peer import PATIENCE_S, Peer, answering

from penstock.net import Flight, HttpRequest, Latch, NetSettings, Origin, Tripped
from penstock.net.connection import Connection
from penstock.net.dial import dial
from penstock.net.resolver import Address

MIB = 1 << 20
PROMPT_S = 1.0
"""A ceiling that holds on a crowded machine; the figure of the promise is measured, not tested."""

pytestmark = pytest.mark.usefixtures("no_ticks", "both_ways_of_cutting")


def origin_of(peer, secure):
    return peer.origin("https" if secure else "http", "localhost")


def test_before_anything_was_done(transport):
    latch, flight = Latch(), Flight()
    latch.trip("enough")
    with pytest.raises(Tripped):
        transport.send(HttpRequest(Origin("http", "127.0.0.1", 1), "PUT", "/"), latch, flight)
    assert not flight.started
    assert transport.requests_started == 0


def test_while_the_resolver_hangs(transport, call, trip, monkeypatch, eventually):
    asked, over = threading.Event(), threading.Event()

    def hang(*args, **kwargs):
        asked.set()
        over.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", hang)
    latch, flight = Latch(), Flight()
    caller = call(lambda: transport.send(HttpRequest(Origin("http", "h", 80), "PUT", "/"), latch, flight))
    assert asked.wait(PATIENCE_S)
    assert trip(latch, caller) < PROMPT_S
    assert transport.abandoned_lookups == 1
    assert not flight.started
    over.set()
    eventually(lambda: transport.abandoned_lookups == 0)


@pytest.fixture
def unanswering_port():
    """A port whose queue of connections is full, so that another SYN gets no answer."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    fillers = []
    for _ in range(4):
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(listener.getsockname())
        fillers.append(filler)
    yield listener.getsockname()[1]
    for sock in (*fillers, listener):
        sock.close()


def test_while_connecting(transport, call, trip, unanswering_port, eventually):
    latch, flight = Latch(), Flight()
    request = HttpRequest(Origin("http", "127.0.0.1", unanswering_port), "PUT", "/")
    caller = call(lambda: transport.send(request, latch, flight))
    eventually(lambda: bool(latch._wakes) and syn_sent_to(unanswering_port) > 0)
    assert trip(latch, caller) < PROMPT_S
    assert not flight.started
    assert transport.open_connections == 0


def syn_sent_to(port: int) -> int:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "02" and row[2].endswith(f":{port:04X}") for row in rows) - 2


def test_while_connecting_to_several_addresses(call, trip, unanswering_port, eventually):
    latch = Latch()
    addresses = [Address(socket.AF_INET, (f"127.0.0.{last}", unanswering_port)) for last in (1, 1, 1)]
    caller = call(lambda: dial(addresses, "h:1", latch, NetSettings(), 60.0))
    eventually(lambda: len(latch._wakes) == 3)
    assert trip(latch, caller) < PROMPT_S


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_while_the_proxy_does_not_answer(transports, call, trip, scheme):
    asked = threading.Event()

    def script(connection):
        connection.read_until(b"\r\n\r\n")
        asked.set()
        connection.hold()

    with Peer(script) as proxy:
        transport = transports(proxy=f"http://127.0.0.1:{proxy.port}")
        latch, flight = Latch(), Flight()
        caller = call(lambda: transport.send(HttpRequest(Origin(scheme, "h", 9), "GET", "/"), latch, flight))
        assert asked.wait(PATIENCE_S)
        assert trip(latch, caller) < PROMPT_S
        assert flight.started is (scheme == "http")
        assert transport.open_connections == 0


def test_while_the_tls_handshake_is_not_answered(transport, call, trip):
    greeted = threading.Event()

    def script(connection):
        connection.read_exactly(100)
        greeted.set()
        connection.hold()

    with Peer(script) as peer:
        latch, flight = Latch(), Flight()
        caller = call(lambda: transport.send(HttpRequest(origin_of(peer, True), "GET", "/"), latch, flight))
        assert greeted.wait(PATIENCE_S)
        assert trip(latch, caller) < PROMPT_S
        assert not flight.started
        assert transport.open_connections == 0


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("shape", ["bytes", "pieces"])
def test_while_sending_to_a_peer_that_stopped_reading(
    transport, server_tls, call, trip, secure, shape, eventually
):
    begun, go_on = threading.Event(), threading.Event()
    arrived: list[int] = []

    def script(connection):
        if secure:
            connection.handshake(server_tls)
        connection.read_exactly(1000)
        begun.set()
        assert go_on.wait(PATIENCE_S)
        arrived.append(connection.read_to_end())

    with Peer(script, receive_buffer_bytes=64 * 1024) as peer:
        latch, flight = Latch(), Flight()
        whole = bytes(64 * MIB)
        body = (
            whole
            if shape == "bytes"
            else (memoryview(whole)[at : at + MIB] for at in range(0, 64 * MIB, MIB))
        )
        request = HttpRequest(origin_of(peer, secure), "PUT", "/", body=body, body_bytes=len(whole))
        caller = call(lambda: transport.send(request, latch, flight))
        assert begun.wait(PATIENCE_S)
        wait_until_blocked(caller.thread)
        assert trip(latch, caller) < PROMPT_S
        assert flight.started
        assert not flight.complete
        assert transport.open_connections == 0
        go_on.set()
        peer.wait_for(lambda: bool(arrived) or bool(peer.failures))
        eventually(lambda: bool(peer.connections[0].ended))
        assert peer.connections[0].ended == "reset"
        assert arrived[0] <= 2 * MIB  # what fits into the two kernels' buffers; nothing is drained


def wait_until_blocked(thread: threading.Thread) -> None:
    """Waits until a thread sleeps in the kernel and stays there."""
    quiet, deadline = 0, time.monotonic() + PATIENCE_S
    before = ""
    while quiet < 3:
        assert time.monotonic() < deadline, "the thread never blocked"
        fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rpartition(")")[2].split()
        now = f"{fields[0]} {fields[11]} {fields[12]}"
        quiet = quiet + 1 if fields[0] == "S" and now == before else 0
        before = now
        threading.Event().wait(0.01)


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("kept", [False, True])
def test_while_waiting_for_the_answer(transport, server_tls, call, trip, secure, kept):
    asked = threading.Event()

    def script(connection):
        if secure:
            connection.handshake(server_tls)
        if kept:
            connection.read_request()
            connection.answer()
        connection.read_request()
        asked.set()
        connection.hold()

    with Peer(script) as peer:
        latch, flight = Latch(), Flight()
        request = HttpRequest(origin_of(peer, secure), "PUT", "/", body=b"x" * 100_000)
        if kept:
            transport.send(request, Latch())
        caller = call(lambda: transport.send(request, latch, flight))
        assert asked.wait(PATIENCE_S)
        wait_until_blocked(caller.thread)
        assert trip(latch, caller) < PROMPT_S
        assert flight.complete
        assert flight.sent_bytes == 100_000
        assert flight.connection_reused is kept
        assert flight.tries == 1
        assert transport.open_connections == 0


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked", "X: y"])
def test_while_reading_the_body(transport, server_tls, call, trip, secure, framing):
    def script(connection):
        if secure:
            connection.handshake(server_tls)
        connection.read_request()
        connection.send(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n400\r\nhello".encode())
        connection.hold()

    with Peer(script) as peer:
        latch = Latch()
        response = transport.send(HttpRequest(origin_of(peer, secure), "GET", "/"), latch)
        caller = call(response.read)
        wait_until_blocked(caller.thread)
        assert trip(latch, caller) < PROMPT_S
        assert transport.open_connections == 0


def test_between_two_reads_of_the_body(transport):
    with Peer(answering(200, bytes(4 * MIB))) as peer:
        latch = Latch()
        response = transport.send(HttpRequest(peer.origin(), "GET", "/"), latch)
        assert len(response.read(1000)) == 1000
        latch.trip()
        with pytest.raises(Tripped):
            response.read()
        assert transport.open_connections == 0


def test_between_two_pieces_of_the_source(transport):
    latch = Latch()

    def pieces():
        yield b"a" * 1000
        latch.trip()
        yield b"b" * 1000
        pytest.fail("more was asked for")

    with Peer(lambda connection: connection.read_to_end()) as peer:
        flight = Flight()
        with pytest.raises(Tripped):
            transport.send(HttpRequest(peer.origin(), "PUT", "/", body=pieces()), latch, flight)
        assert flight.sent_bytes <= 1000
        assert transport.open_connections == 0


def test_from_the_progress_callback(transport):
    latch = Latch()
    with Peer(lambda connection: connection.read_to_end()) as peer:
        flight = Flight()
        request = HttpRequest(peer.origin(), "PUT", "/", body=bytes(8 * MIB))
        with pytest.raises(Tripped):
            transport.send(request, latch, flight, lambda sent: latch.trip() and None)
        assert not flight.complete


@pytest.mark.parametrize("state", ["sending", "waiting"])
def test_from_a_signal_handler_of_the_blocked_thread(transport, state):
    def script(connection):
        connection.hold()

    with Peer(script, receive_buffer_bytes=64 * 1024) as peer:
        latch, flight = Latch(), Flight()
        before = signal.signal(signal.SIGALRM, lambda *_: latch.trip("signal"))
        body = bytes(64 * MIB) if state == "sending" else b"x"
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(Tripped) as caught:
                transport.send(HttpRequest(peer.origin(), "PUT", "/", body=body), latch, flight)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert caught.value.reason == "signal"
        assert flight.complete is (state == "waiting")
        assert transport.open_connections == 0


@pytest.mark.parametrize("state", ["TLS handshake", "sending", "waiting"])
def test_an_interrupt_is_passed_on_and_resets_the_connection(transport, state, eventually):
    def interrupt(*_):
        raise KeyboardInterrupt

    over = threading.Event()

    def script(connection):
        assert over.wait(PATIENCE_S)
        connection.read_to_end()

    with Peer(script, receive_buffer_bytes=64 * 1024) as peer:
        flight = Flight()
        before = signal.signal(signal.SIGALRM, interrupt)
        body = bytes(64 * MIB) if state == "sending" else b"x"
        request = HttpRequest(origin_of(peer, state == "TLS handshake"), "PUT", "/", body=body)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(KeyboardInterrupt):
                transport.send(request, Latch(), flight)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert transport.open_connections == 0
        assert flight.started is (state != "TLS handshake")
        over.set()
        eventually(lambda: bool(peer.connections[0].ended))
        assert peer.connections[0].ended == "reset"


def test_an_answer_that_is_here_is_returned_although_the_latch_trips(transport):
    latch = Latch()

    def script(connection):
        connection.read_request()
        connection.answer(200, b"stored")
        connection.hold()

    with Peer(script) as peer:
        response = transport.send(HttpRequest(peer.origin(), "PUT", "/", body=b"x"), latch)
        latch.trip()
        assert response.read() == b"stored"


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_that_was_cut_is_not_kept_although_its_answer_is_here_whole(
    transport, server_tls, secure
):
    latch = Latch()

    def script(connection):
        if secure:
            connection.handshake(server_tls)
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nstored\r\n0\r\n\r\n")
        connection.hold()

    with Peer(script) as peer:
        response = transport.send(HttpRequest(origin_of(peer, secure), "PUT", "/", body=b"x"), latch)
        latch.trip()
        assert response.read() == b"stored"
        assert transport.open_connections == 0


@pytest.mark.parametrize("secure", [False, True])
def test_a_kept_connection_is_untouched_by_the_latch_of_an_earlier_request(transport, server_tls, secure):
    def script(connection):
        if secure:
            connection.handshake(server_tls)
        answering()(connection)

    with Peer(script) as peer:
        request = HttpRequest(origin_of(peer, secure), "PUT", "/", body=b"x")
        earlier = Latch()
        transport.send(request, earlier)
        assert not earlier._wakes
        earlier.trip()
        transport.send(request, Latch())
        assert len(peer.connections) == 1


def test_a_connection_whose_latch_has_tripped_is_not_kept_though_its_cut_is_still_on_its_way(
    transport, monkeypatch
):
    latch = Latch()
    receive = Connection._receive

    def receive_as_it_trips(*args, **options):
        count = receive(*args, **options)
        latch.trip()
        return count

    monkeypatch.setattr(Connection, "_receive", receive_as_it_trips)
    monkeypatch.setattr(Latch, "_wake_all", lambda latch, until: None)
    with Peer(answering(body=b"stored")) as peer:
        response = transport.send(HttpRequest(peer.origin(), "PUT", "/", body=b"x"), latch)
        assert response.read() == b"stored"
        assert transport.open_connections == 0


def test_between_choosing_a_kept_connection_and_using_it(transport, monkeypatch):
    with Peer(answering()) as peer:
        request = HttpRequest(peer.origin(), "PUT", "/", body=b"x")
        transport.send(request, Latch())
        latch, take = Latch(), transport._pool.take
        monkeypatch.setattr(transport._pool, "take", lambda origin: latch.trip() and take(origin))
        with pytest.raises(Tripped):
            transport.send(request, latch)
        assert transport.requests_started == 1
        assert transport.open_connections == 0


def test_one_trip_ends_many_requests(transport, call):
    with Peer(lambda connection: connection.hold()) as peer:
        client = Latch()
        callers = [
            call(lambda: transport.send(HttpRequest(peer.origin(), "GET", "/"), Latch(client)))
            for _ in range(20)
        ]
        peer.wait_for(lambda: len(peer.connections) == 20)
        client.trip("enough")
        for caller in callers:
            assert isinstance(caller.join().error, Tripped)
        assert transport.open_connections == 0


# At any instant


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("behaviour", ["reads", "stops", "silent"])
def test_a_trip_at_any_instant_is_never_lost(transport, server_tls, call, secure, behaviour, eventually):
    """100 aborts, spread over connect, handshake, sending and waiting (x 6 kinds of peer)."""

    def script(connection):
        if secure:
            connection.handshake(server_tls)
        if behaviour == "reads":
            connection.read_to_end()
        elif behaviour == "silent":
            connection.read_until(b"\r\n\r\n")
        connection.hold()

    with Peer(script, receive_buffer_bytes=64 * 1024) as peer:
        body = b"x" if behaviour == "silent" else bytes(32 * MIB)
        request = HttpRequest(origin_of(peer, secure), "PUT", "/", body=body)
        warm = Latch()
        caller = call(lambda: transport.send(request, warm))
        peer.wait_for(lambda: len(peer.connections) == 1)
        warm.trip()
        caller.join()
        peer_side = len(peer.connections)
        latencies = []
        before = descriptors() - peer_side
        for step in range(100):
            latch = Latch()
            caller = call(lambda latch=latch: transport.send(request, latch))
            threading.Event().wait(0.02 * (step * 0.618 % 1) ** 2)
            tripped_at = time.perf_counter()
            latch.trip()
            assert isinstance(caller.join().error, Tripped)
            latencies.append(caller.ended_at - tripped_at)
            assert not latch._wakes
        assert sorted(latencies)[50] < PROMPT_S
        assert transport.open_connections == 0
        eventually(lambda: not transport._open)
    assert descriptors() <= before + 1
