"""Those who ask for nothing keep nobody out: connections, descriptors, and requests under way."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from served import Served
from server_desk import Wire, receive

from penstock.server import descriptors
from penstock.server.http import waiting
from penstock.server.http.bounds import Limits, Patience
from penstock.server.http.response import Response
from penstock.server.interceptor import Interceptor, Seen
from penstock.server.local_oss import LocalOss

Serve = Callable[..., tuple[LocalOss, Wire]]
Eventually = Callable[[Callable[[], bool]], None]


class Heads(Interceptor):
    """Counts the heads that have arrived."""

    def __init__(self) -> None:
        self.arrived = threading.Semaphore(0)

    async def on_head(self, seen: Seen) -> Response | None:
        self.arrived.release()
        return None

    def await_some(self, count: int) -> None:
        for _ in range(count):
            assert self.arrived.acquire(timeout=10)


def ended(connection: socket.socket) -> bool:
    """Whether the other side has ended it; an answer that came before is passed over."""
    connection.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65_536):
            pass
    return True


# -- connections


def test_who_has_asked_nothing_for_the_longest_goes_first(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SPARED_S", 0.0)
    _, wire = serve(limits=Limits(connections=2))
    first, second = wire.connect(), wire.connect()
    for connection in (first, second):
        connection.sendall(wire.head("GET", "/"))
        assert receive(connection).status == 200
    assert wire.ask("GET", "/").status == 200
    assert ended(first)
    second.sendall(wire.head("GET", "/"))
    assert receive(second).status == 200


@pytest.mark.parametrize(
    "begun",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX: ", id="half of a head"),
        pytest.param(b"PUT /photos/a HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n", id="no body"),
    ],
)
def test_a_request_that_does_not_come_makes_room_for_one_that_does(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(waiting, "SPARED_S", 0.0)
    _, wire = serve(limits=Limits(connections=3))
    slow = [wire.connect() for _ in range(3)]
    for connection in slow:
        connection.sendall(begun)
    for _ in range(3):
        assert wire.ask("GET", "/").status == 200
    assert ended(slow[0])


def test_who_is_being_served_does_not_make_room(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    monkeypatch.setattr(waiting, "SPARED_S", 0.0)
    heads = Heads()
    _, wire = serve(limits=Limits(connections=1), interceptor=heads)
    assert wire.ask("PUT", "/photos/").status == 200
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", expect="100-continue", content_length="200000"))
    assert receive(busy).status == 100
    late = wire.connect()
    answer = receive(late)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert ended(late)
    busy.sendall(bytes(200_000))
    assert receive(busy).status == 200


def test_a_handshake_that_does_not_come_makes_room(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "SPARED_S", 0.0)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    key.write_bytes(issued.private_key_pem.bytes())
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    _, wire = serve(limits=Limits(connections=2), tls=(certificate, key))
    silent = [wire.connect() for _ in range(4)]
    # Two of four are over the limit, and those go that have been silent for longer.
    assert ended(silent[0])
    assert ended(silent[1])
    silent[2].settimeout(0)
    with pytest.raises(BlockingIOError):
        silent[2].recv(1)


# -- descriptors


@pytest.mark.parametrize(("files", "most"), [(20_000, 4096), (1024, 384), (256, 64), (3, 1)])
def test_there_are_no_more_connections_than_descriptors_for_them_and_their_files(
    files: int, most: int
) -> None:
    assert descriptors.within(Limits(), files).connections == most
    assert descriptors.within(Limits(connections=1), files).connections == 1


def test_a_low_limit_is_said(caplog: pytest.LogCaptureFixture) -> None:
    descriptors.warn_if_low(Limits(), 100_000)
    assert caplog.text == ""
    descriptors.warn_if_low(Limits(), 1024)
    assert "only 384 connections at once instead of 4096" in caplog.text


@pytest.mark.parametrize("soft_below_hard", [True, False])
def test_the_limit_of_descriptors_is_raised_as_far_as_the_system_lets_it(
    monkeypatch: pytest.MonkeyPatch, soft_below_hard: bool
) -> None:
    limit = [1024, 4096 if soft_below_hard else 1024]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limit))
    monkeypatch.setattr(resource, "setrlimit", lambda _, wanted: limit.__setitem__(slice(2), wanted))
    assert descriptors.raise_limit() == limit[1]


def test_where_there_is_no_hard_limit_the_most_that_is_taken_is_had(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = [256, resource.RLIM_INFINITY]

    def set_limit(_: int, wanted: tuple[int, int]) -> None:
        if wanted[0] > 10_240:
            raise ValueError("current limit exceeds maximum limit")
        limit[:] = wanted

    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limit))
    monkeypatch.setattr(resource, "setrlimit", set_limit)
    assert descriptors.raise_limit() == 10_240


@pytest.mark.parametrize("processes", [1, 2])
def test_more_connections_than_descriptors_hang_nobody(
    tmp_path: Path, eventually: Eventually, processes: int
) -> None:
    with Served(tmp_path, processes=processes, files=256) as served:
        wire = served.wire()
        assert wire.ask("PUT", "/photos/").status == 200
        kept = wire.connect()
        kept.sendall(wire.head("PUT", "/photos/a", expect="100-continue", content_length="200000"))
        assert receive(kept).status == 100
        idle = [wire.connect() for _ in range(400)]

        def served_again() -> bool:
            with contextlib.suppress(OSError, EOFError):
                return wire.ask("GET", "/photos/").status == 200
            return False

        eventually(served_again)
        kept.sendall(bytes(200_000))
        assert receive(kept).status == 200
        for connection in idle:
            connection.close()
        # It may take a moment until the process that takes the next connection knows that there is room.
        eventually(lambda: served_again() and wire.ask("GET", "/photos/a").body == bytes(200_000))
        assert len(served.errors()) < 2000
        assert "connections at once instead of 4096" in served.errors()


# -- requests under way


@pytest.mark.parametrize("length", ["10", "200000"])
def test_heads_that_nobody_signed_take_no_place_of_a_request(serve: Serve, length: str) -> None:
    heads = Heads()
    _, wire = serve(limits=Limits(requests=1), interceptor=heads, patience=Patience(linger_s=30))
    assert wire.ask("PUT", "/photos/").status == 200
    heads.await_some(1)
    for _ in range(3):
        connection = wire.connect()
        connection.sendall(f"PUT /photos/a HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n".encode())
    heads.await_some(3)
    assert wire.ask("GET", "/photos/").status == 200


def test_a_small_body_that_is_all_there_takes_its_place(serve: Serve) -> None:
    _, wire = serve(limits=Limits(requests=1))
    assert wire.ask("PUT", "/photos/").status == 200
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", expect="100-continue", content_length="200000"))
    assert receive(busy).status == 100
    refused = wire.ask("PUT", "/photos/b", b"small")
    assert (refused.status, refused.code) == (503, "ServiceUnavailable")
    busy.sendall(bytes(200_000))
    assert receive(busy).status == 200
    assert wire.ask("PUT", "/photos/b", b"small").status == 200


# -- heads that never end


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\n\n",
        b"GET / HTTP/1.1\nHost: h\n\r\n",
        b"GET / HTTP/1.1\rHost: h\r\r",
    ],
)
def test_a_head_that_ends_in_other_lines_is_answered_at_once(serve: Serve, head: bytes) -> None:
    _, wire = serve(patience=Patience(linger_s=0.2))
    for pieces in ([head], [head[:-1], head[-1:]]):
        connection = wire.connect()
        for piece in pieces:
            connection.sendall(piece)
        answer = receive(connection)
        assert (answer.status, answer.code) == (400, "BadRequest")
        assert ended(connection)
