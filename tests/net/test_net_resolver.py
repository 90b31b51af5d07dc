from __future__ import annotations

import socket
import threading
import time

import pytest
from scripted_peer import PATIENCE_S, Peer, answering

from penstock.errors import ConnectFailed, NameNotResolved, TimedOut
from penstock.net import HttpRequest, Latch, NetSettings, Origin, Tripped
from penstock.net.dial import dial
from penstock.net.resolver import Address, Resolver
from penstock.net.wire import Wire, new_wire

V4, V6 = socket.AF_INET, socket.AF_INET6


def entry(family, host, port=80):
    return (family, socket.SOCK_STREAM, 6, "", (host, port) if family == V4 else (host, port, 0, 0))


@pytest.fixture
def answers(monkeypatch):
    """What the system's resolver answers, and what it was asked."""

    class Answers:
        def __init__(self):
            self.asked = []
            self.entries = [entry(V4, "192.0.2.1")]
            self.error = None
            self.go = threading.Event()
            self.go.set()

    answers = Answers()

    def getaddrinfo(host, port, *args, **kwargs):
        answers.asked.append(host)
        answers.go.wait(PATIENCE_S)
        if answers.error is not None:
            raise answers.error
        return answers.entries

    monkeypatch.setattr("socket.getaddrinfo", getaddrinfo)
    return answers


def test_families_take_turns_beginning_with_the_systems_first(answers):
    answers.entries = [
        entry(V6, "::a"), entry(V6, "::b"), entry(V6, "::c"), entry(V4, "1.1.1.1"), entry(V6, "::a"),
    ]  # fmt: skip
    found = Resolver().resolve("h", 80, Latch(), 5)
    assert [address.sockaddr[0] for address in found] == ["::a", "1.1.1.1", "::b", "::c"]


def test_an_answer_is_remembered_for_a_while(answers):
    resolver = Resolver(cache_s=60)
    for _ in range(3):
        resolver.resolve("h", 80, Latch(), 5)
    assert answers.asked == ["h"]
    resolver.forget("h", 80)
    resolver.resolve("h", 80, Latch(), 5)
    assert answers.asked == ["h", "h"]


def test_an_answer_is_not_remembered_for_ever(answers):
    resolver = Resolver(cache_s=0)
    for _ in range(2):
        resolver.resolve("h", 80, Latch(), 5)
    assert answers.asked == ["h", "h"]


def test_an_error_is_not_remembered(answers):
    resolver = Resolver()
    answers.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(NameNotResolved) as caught:
        resolver.resolve("no.such.host", 80, Latch(), 5)
    assert "no.such.host" in str(caught.value)
    assert "not known" in str(caught.value)
    assert caught.value.host == "no.such.host:80"
    answers.error = None
    assert resolver.resolve("no.such.host", 80, Latch(), 5)


def test_a_name_that_cannot_be_encoded_is_not_resolved():
    with pytest.raises(NameNotResolved):
        Resolver().resolve("a" * 70 + ".example", 80, Latch(), 5)


def test_many_callers_share_one_look_up_and_one_may_leave(answers, call, eventually):
    answers.go.clear()
    resolver, leaving = Resolver(), Latch()
    left = call(lambda: resolver.resolve("h", 80, leaving, 30))
    callers = [call(lambda: resolver.resolve("h", 80, Latch(), 30)) for _ in range(5)]
    eventually(lambda: bool(resolver._lookups) and resolver._lookups["h", 80]._waiters == 6)
    leaving.trip()
    assert isinstance(left.join().error, Tripped)
    assert resolver.abandoned == 0
    answers.go.set()
    for caller in callers:
        assert caller.join().value == (Address(V4, ("192.0.2.1", 80)),)
    assert answers.asked == ["h"]


def test_a_resolver_that_hangs_times_out_and_does_not_hold_up_others(answers, eventually):
    resolver = Resolver()
    answers.go.clear()
    for host in ("a", "b"):
        with pytest.raises(TimedOut):
            resolver.resolve(host, 80, Latch(), 0.05)
    assert resolver.abandoned == 2
    answers.go.set()
    assert resolver.resolve("c", 80, Latch(), 5)
    eventually(lambda: resolver.abandoned == 0)


# Connecting


def reach(addresses, limit_s=10.0, **settings):
    return dial(addresses, "h:1", Latch(), NetSettings(**settings), limit_s)


def test_the_next_address_is_tried_when_one_refuses():
    with Peer(answering()) as closed:
        refused = closed.port
    with Peer(answering()) as peer:
        wire = reach([Address(V4, ("127.0.0.1", refused)), Address(V4, ("127.0.0.1", peer.port))])
        assert wire.sock.getpeername()[1] == peer.port
        wire.close()


def test_an_error_names_every_address():
    with Peer(answering()) as closed:
        refused = closed.port
    with pytest.raises(ConnectFailed) as caught:
        reach([Address(V4, ("127.0.0.1", refused)), Address(V4, ("127.0.0.2", refused))])
    assert "127.0.0.1: Connection refused; 127.0.0.2: Connection refused" in str(caught.value)


@pytest.fixture
def unanswering_port():
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


def test_the_next_address_is_tried_when_one_does_not_answer(unanswering_port):
    with Peer(answering()) as peer:
        wire = reach([Address(V4, ("127.0.0.1", unanswering_port)), Address(V4, ("127.0.0.1", peer.port))])
        assert wire.sock.getpeername()[1] == peer.port
        wire.close()


def test_no_answer_from_anywhere_times_out(unanswering_port):
    with pytest.raises(TimedOut, match=r"127\.0\.0\.1"):
        reach([Address(V4, ("127.0.0.1", unanswering_port))], limit_s=0.1)


def test_a_family_that_this_machine_lacks_is_passed_over(monkeypatch):
    with Peer(answering()) as peer:
        wire = reach([Address(9999, ("x", 1)), Address(V4, ("127.0.0.1", peer.port))])
        wire.close()


def test_connections_are_made_from_the_address_that_was_set(transports):
    sources = []

    def script(connection):
        sources.append(connection.sock.getpeername()[0])
        answering()(connection)

    with Peer(script) as peer:
        transport = transports(source_address="127.0.0.9")
        transport.send(HttpRequest(peer.origin(), "GET", "/"), Latch())
    assert sources == ["127.0.0.9"]


def test_a_source_address_that_is_not_ours_is_refused(transports):
    with Peer(answering()) as peer, pytest.raises(ConnectFailed, match="Cannot assign requested address"):
        transports(source_address="192.0.2.1").send(HttpRequest(peer.origin(), "GET", "/"), Latch())


def test_ipv6_is_spoken(transport):
    try:
        peer = Peer(answering(200, b"six"), family=V6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with peer:
        response = transport.send(HttpRequest(Origin("http", "::1", peer.port), "GET", "/"), Latch())
        assert response.read() == b"six"
        assert peer.requests[0][1]["host"] == f"[::1]:{peer.port}"


@pytest.mark.parametrize(
    ("settings", "most"), [({}, 262_144), ({"not_sent_low_water_bytes": 100_000}, 100_000)]
)
def test_little_unsent_data_is_left_to_the_kernel(settings, most):
    with Peer(answering()) as peer:
        wire = reach([Address(V4, ("127.0.0.1", peer.port))], **settings)
        assert wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == most
        assert wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        wire.close()


def test_one_send_never_holds_the_socket_for_long():
    """The kernel locks the socket during a send, and a cut would have to wait for it."""
    body = memoryview(bytes(64 << 20))
    with Peer(lambda connection: connection.read_to_end()) as peer:
        wire = reach([Address(V4, ("127.0.0.1", peer.port))], not_sent_low_water_bytes=262_144)
        sent = 0
        while sent < len(body):
            count = wire.send(body[sent:])
            assert count <= 8 << 20
            sent += count
        wire.close()


def test_a_wire_does_not_begin_under_a_tripped_latch():
    latch = Latch()
    latch.trip()
    wire = new_wire(V4)
    with pytest.raises(Tripped):
        wire.begin(latch)
    wire.close()
    assert wire.sock.fileno() == -1


def test_a_trip_just_before_connect_is_seen_where_shutdown_has_no_effect_yet(monkeypatch, unanswering_port):
    """Some systems refuse to shut down a socket that does not connect yet."""
    latch = Latch()

    class Unready(socket.socket):
        def connect_ex(self, address):
            latch.trip()
            return super().connect_ex(address)

        def shutdown(self, how):
            raise OSError("Socket is not connected")

    def unready_wire(family, **_):
        sock = Unready(family)
        sock.setblocking(False)
        return Wire(sock)

    monkeypatch.setattr("penstock.net.dial.new_wire", unready_wire)
    monkeypatch.setattr("penstock.net.dial._WAIT_S", 3600.0)
    began = time.monotonic()
    with pytest.raises(Tripped):
        dial([Address(V4, ("127.0.0.1", unanswering_port))], "h:1", latch, NetSettings(), 3.0)
    assert time.monotonic() - began < 3.0
