"""Callbacks to servers that do not answer, or take their time, hold up nobody else."""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace

import pytest
from server_desk import USERS, Desk, Wire, receive

from penstock.server import callback
from penstock.server.app import App
from penstock.server.guard.gate import Gate
from penstock.server.local_oss import LocalOss
from penstock.server.postman import MAX_ANSWER_BYTES, Postman

Serve = Callable[..., tuple[LocalOss, Wire]]


def header(url: str, body: str = "x") -> dict[str, str]:
    asked = {"callbackUrl": url, "callbackBody": body}
    return {"x-oss-callback": base64.b64encode(json.dumps(asked).encode()).decode()}


@contextlib.contextmanager
def peer(serve_one: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does this with each connection; gives its URL."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=200)
    threads: list[threading.Thread] = []
    taken: list[socket.socket] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                taken.append(connection)
                threads.append(threading.Thread(target=serve_quietly, args=(connection,)))
                threads[-1].start()

    def serve_quietly(connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            serve_one(connection)

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/done"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for connection in taken:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for connection in taken:
            connection.close()


def test_servers_that_do_not_answer_keep_nobody_from_being_served(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callback, "CALLBACK_TIMEOUT_S", 30)
    answer, asked = threading.Event(), threading.Semaphore(0)

    def wait(connection: socket.socket) -> None:
        connection.recv(65_536)
        asked.release()
        answer.wait(30)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

    _, wire = serve()
    wire.ask("PUT", "/photos/")
    with peer(wait) as url:
        waiting = [wire.connect() for _ in range(70)]
        for number, connection in enumerate(waiting):
            connection.sendall(
                wire.head("PUT", f"/photos/{number}", content_length="1", **header(url)) + b"x"
            )
        for _ in range(64):
            assert asked.acquire(timeout=20)
        assert wire.ask("PUT", "/photos/other", b"other").status == 200
        assert wire.ask("GET", "/photos/other").body == b"other"
        assert wire.ask("GET", "/photos/0").body == b"x"
        assert select.select(waiting, [], [], 0)[0] == []
        answer.set()
        assert [receive(connection).body for connection in waiting] == [b"{}"] * 70


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(b"", id="of a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", id="of a body"),
    ],
)
def test_an_answer_that_drips_is_given_up_in_time(begin: bytes) -> None:
    pause = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.sendall(begin)
        while True:
            connection.sendall(b"H")
            pause.wait(0.02)

    postman = Postman()
    with peer(drip) as url:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            postman.post(url, {}, b"x", 0.3)
        assert time.monotonic() - began < 4
    postman.close()


def test_an_answer_that_does_not_end_is_given_up() -> None:
    def flood(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        while True:
            connection.sendall(bytes(100_000))

    postman = Postman()
    with peer(flood) as url, pytest.raises(OSError, match="too long"):
        postman.post(url, {}, b"x", 20)
    postman.close()


def test_what_is_posted_arrives_with_its_headers() -> None:
    received: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        data = b""
        while not data.endswith(b"a=b"):
            data += connection.recv(65_536)
        received.append(data)
        body = b"y" * MAX_ANSWER_BYTES
        connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    postman = Postman()
    with peer(answer) as url:
        status, body = postman.post(f"{url}?q=1", {"Host": "named.test"}, b"a=b", 20)
    postman.close()
    assert (status, len(body)) == (201, MAX_ANSWER_BYTES)
    assert received[0].startswith(b"POST /done?q=1 HTTP/1.1\r\n")
    assert b"\r\nHost: named.test\r\n" in received[0]
    assert received[0].count(b"Host:") == 1


@pytest.mark.parametrize("url", ["ftp://h/", "http://", "http://h:99999/", "http://h/a b", "nonsense"])
def test_what_is_no_url_is_told(url: str) -> None:
    postman = Postman()
    with pytest.raises(ValueError):
        postman.post(url, {}, b"x", 1)
    postman.close()


def test_all_urls_of_a_callback_share_its_time(bucket: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(callback, "time", SimpleNamespace(monotonic=lambda: now[0]))
    asked = []

    def post(url: str, headers: Mapping[str, str], body: bytes, left_s: float) -> tuple[int, bytes]:
        asked.append((url, left_s))
        now[0] += 3
        raise TimeoutError

    desk = Desk(App(replace(bucket.service, post=post), Gate(USERS), ()), bucket.service, bucket.clock)
    answer = desk("PUT", "/photos/a", b"x", **header("http://a.test;http://b.test;http://c.test"))
    assert (answer.status, answer.code) == (203, "CallbackFailed")
    assert asked == [("http://a.test", 5.0), ("http://b.test", 2.0)]


def test_a_callback_of_half_a_character_is_refused_before_anything_is_stored(bucket: Desk) -> None:
    assert bucket("PUT", "/photos/a", b"x", **header("http://a.test", "\ud800")).code == "InvalidArgument"
    assert bucket("HEAD", "/photos/a").status == 404
