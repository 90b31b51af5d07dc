"""
Requests that others may read as two: each is refused, its connection closed, the second never carried out.

The bucket is one that anybody may write to, so that a request that got through would leave an object behind.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server_desk import Answer, Wire, receive

from penstock.server.local_oss import LocalOss

Serve = Callable[..., tuple[LocalOss, Wire]]

SECOND = b"PUT /photos/second HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"
HOST = b"Host: h\r\n"
CHUNKED = HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def first(lines: bytes, body: bytes = b"", line: bytes = b"PUT /photos/first HTTP/1.1") -> bytes:
    return line + b"\r\n" + lines + b"\r\n" + body


@pytest.fixture
def open_wire(wire: Wire) -> Wire:
    assert wire.ask("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"}).status == 200
    return wire


def answers(connection: socket.socket) -> list[Answer]:
    """All that is answered until the connection ends."""
    found = []
    while select.select([connection], [], [], 10)[0] and connection.recv(1, socket.MSG_PEEK):
        found.append(receive(connection))
    return found


def stored(wire: Wire) -> set[str]:
    listed = wire.ask("GET", "/photos/").body.decode()
    return {piece.partition("</Key>")[0] for piece in listed.split("<Key>")[1:]}


def is_refused(wire: Wire, data: bytes) -> None:
    connection = wire.connect()
    connection.sendall(data + SECOND)
    only = answers(connection)
    assert [(one.status, one.code, one.headers["connection"]) for one in only] == [
        (400, "BadRequest", "close")
    ]
    assert stored(wire) == set()


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"Content-Length: 5\r\nContent-Length: 5\r\n", id="the same length twice"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6\r\n", id="two lengths"),
        pytest.param(b"Content-Length: 5\r\ncontent-length: 6\r\n", id="two lengths in two spellings"),
        pytest.param(b"Content-Length: 5, 6\r\n", id="two lengths in one line"),
        pytest.param(b"Content-Length: +5\r\n", id="a length with a sign"),
        pytest.param(b"Content-Length: -1\r\n", id="a negative length"),
        pytest.param(b"Content-Length: 0x5\r\n", id="a hexadecimal length"),
        pytest.param(b"Content-Length: 5 5\r\n", id="a length with a space in it"),
        pytest.param(b"Content-Length:\r\n", id="an empty length"),
        pytest.param(b"Content-Length: 18446744073709551621\r\n", id="a length that overflows"),
        pytest.param(b"Content-Length : 5\r\n", id="a space before the colon"),
        pytest.param(b"Content-Length\t: 5\r\n", id="a tab before the colon"),
        pytest.param(b"Transfer-Encoding : chunked\r\n", id="chunks with a space before the colon"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", id="chunks twice"),
        pytest.param(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", id="two encodings"),
        pytest.param(b"Transfer-Encoding: identity\r\n", id="no encoding by name"),
        pytest.param(b"Transfer-Encoding: gzip, chunked\r\n", id="an encoding within chunks"),
        pytest.param(b"Transfer-Encoding: chunked, identity\r\n", id="an encoding around chunks"),
        pytest.param(b"Transfer-Encoding: xchunked\r\n", id="an unknown encoding"),
        pytest.param(b"Transfer-Encoding: \x0bchunked\r\n", id="a vertical tab before the encoding"),
        pytest.param(b"Transfer-Encoding: chunked\x00\r\n", id="NUL behind the encoding"),
        pytest.param("Transfer-Encoding: chun\u212aed\r\n".encode(), id="a letter whose lower case is k"),
        pytest.param(b"Transfer-Encoding:\r\n chunked\r\n", id="a folded encoding"),
        pytest.param(b"X: a\r\n b\r\n", id="a folded line"),
        pytest.param(b" X: a\r\n", id="a line that begins with a space"),
        pytest.param(b"X: a\nTransfer-Encoding: chunked\r\n", id="a line that ends with LF"),
        pytest.param(b"X: a\rTransfer-Encoding: chunked\r\n", id="a line that ends with CR"),
        pytest.param(b"X: a\x00b\r\n", id="NUL in a value"),
        pytest.param(b"X\x00: a\r\n", id="NUL in a name"),
        pytest.param(b": a\r\n", id="no name"),
        pytest.param(b"X\r\n", id="no colon"),
        pytest.param(b"\n" + SECOND[:-1], id="LF for an empty line"),
        pytest.param(b"Host: other\r\n", id="two hosts"),
        pytest.param(b"Expect: x, 100-continue\r\n", id="an expectation beside the known one"),
        pytest.param(b"Expect: 100-continue\r\nExpect: 100-continue\r\n", id="an expectation twice"),
    ],
)
def test_a_head_that_may_be_read_in_two_ways_is_refused(open_wire: Wire, lines: bytes) -> None:
    is_refused(open_wire, first(HOST + lines, b"hello"))


@pytest.mark.parametrize(
    "line",
    [
        b"PUT /photos/first HTTP/1.1\n",
        b"PUT /photos/first HTTP/1.1\nHost: h\n\n",
        b"PUT /photos/first HTTP/1.1\r\r\n",
        b"PUT /photos/fi rst HTTP/1.1",
        b"PUT /photos/fi\x00rst HTTP/1.1",
        b"PUT /photos/fi#rst HTTP/1.1",
        b"PUT\t/photos/first\tHTTP/1.1",
        b"PUT /photos/first",
        b"PUT /photos/first HTTP/1.10",
        b"PUT /photos/first HTTP/0.9",
        b"PUT /photos/first HTTP/2.0",
        b"PUT http://other/photos/first HTTP/1.1",
        b"PUT http://h@other/photos/first HTTP/1.1",
        b"PUT h:80 HTTP/1.1",
        b"CONNECT h:80 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"\nPUT /photos/first HTTP/1.1",
        b"\rPUT /photos/first HTTP/1.1",
        b" PUT /photos/first HTTP/1.1",
    ],
)
def test_a_first_line_that_may_be_read_in_two_ways_is_refused(open_wire: Wire, line: bytes) -> None:
    is_refused(open_wire, first(HOST, line=line))


def test_a_host_that_is_none_is_refused(open_wire: Wire) -> None:
    for host in (b"Host: h, other\r\n", b"Host: a@h\r\n", b"Host: h/photos\r\n", b"X: y\r\n"):
        is_refused(open_wire, first(host))


def test_chunks_are_unknown_to_http_1_0(open_wire: Wire) -> None:
    line = b"PUT /photos/first HTTP/1.0"
    is_refused(open_wire, line + b"\r\n" + CHUNKED + b"0\r\n\r\n")


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\n0\n\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"5\x00\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a\x00b\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
        (b"1;" + b"x" * 1000 + b"\r\nx\r\n") * 20 + b"0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: a\n\r\n",
        b"5\r\nhello\r\n0\r\nX : a\r\n\r\n",
        b"5\r\nhello\r\n0\r\nPUT /photos/second HTTP/1.1\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"X: a\r\n" * 5000 + b"\r\n",
    ],
)
def test_chunks_that_may_be_read_in_two_ways_are_refused(open_wire: Wire, body: bytes) -> None:
    is_refused(open_wire, first(CHUNKED[:-2], body))


def test_extensions_and_trailers_of_chunks_mean_nothing_and_do_no_harm(open_wire: Wire) -> None:
    connection = open_wire.connect()
    body = b'5;a;b="c"\r\nhello\r\n0 ;d=e\r\nContent-Length: 9\r\nx-oss-meta-a: b\r\n\r\n'
    connection.sendall(first(CHUNKED[:-2], body) + SECOND)
    assert [receive(connection).status for _ in range(2)] == [200, 200]
    assert open_wire.ask("GET", "/photos/first").body == b"hello"
    assert "x-oss-meta-a" not in open_wire.ask("HEAD", "/photos/first").headers


@pytest.mark.parametrize("length", [0, 3, 5, 500])
def test_with_both_lengths_the_chunks_count_and_nothing_behind_them_is_read(
    open_wire: Wire, length: int
) -> None:
    """Some clients send both. However the length is read by others, no second request comes out of it."""
    connection = open_wire.connect()
    both = HOST + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % length
    connection.sendall(first(both, b"5\r\nhello\r\n0\r\n\r\n") + SECOND)
    (only,) = answers(connection)
    assert (only.status, only.headers["connection"]) == (200, "close")
    assert stored(open_wire) == {"first"}
    assert open_wire.ask("GET", "/photos/first").body == b"hello"


def test_both_lengths_are_refused_where_framing_is_strict(serve: Serve) -> None:
    _, wire = serve(strict_framing=True)
    wire.ask("PUT", "/photos/", **{"x-oss-acl": "public-read-write"})
    both = HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    is_refused(wire, first(both, b"5\r\nhello\r\n0\r\n\r\n"))
    connection = wire.connect()
    connection.sendall(first(CHUNKED[:-2], b"5\r\nhello\r\n0\r\n\r\n"))
    assert receive(connection).status == 200


def test_what_follows_a_body_is_another_request_or_none(open_wire: Wire) -> None:
    connection = open_wire.connect()
    connection.sendall(first(HOST + b"Content-Length: 5\r\n", b"hello, and more\r\n\r\n") + SECOND)
    assert [one.status for one in answers(connection)] == [200, 400]
    assert stored(open_wire) == {"first"}


def test_nothing_is_read_behind_a_request_that_ends_the_connection(open_wire: Wire) -> None:
    connection = open_wire.connect()
    connection.sendall(first(HOST + b"Content-Length: 5\r\nConnection: close\r\n", b"hello") + SECOND)
    assert [one.status for one in answers(connection)] == [200]
    assert stored(open_wire) == {"first"}


def test_nothing_is_read_behind_a_body_that_was_refused_before_it_came(wire: Wire) -> None:
    """Who expects 100 and is refused may go on with the body or not; so what comes is nobody's request."""
    connection = wire.connect()
    expect = HOST + b"Content-Length: 71\r\nExpect: 100-continue\r\n"
    connection.sendall(first(expect) + SECOND)
    assert [(one.status, one.headers["connection"]) for one in answers(connection)] == [(403, "close")]
    assert stored(wire) == set()


def test_a_body_that_is_sent_before_100_is_not_taken_for_a_request(open_wire: Wire) -> None:
    connection = open_wire.connect()
    expect = HOST + b"Content-Length: %d\r\nExpect: 100-Continue\r\n" % len(SECOND)
    connection.sendall(first(expect, SECOND) + b"GET /photos/first HTTP/1.1\r\nHost: h\r\n\r\n")
    found = [one for one in (receive(connection), receive(connection)) if one.status != 100]
    found += [receive(connection)] if len(found) < 2 else []
    assert [one.status for one in found] == [200, 200]
    assert found[1].body == SECOND
    assert stored(open_wire) == {"first"}


def test_another_protocol_is_not_taken_up(open_wire: Wire) -> None:
    connection = open_wire.connect()
    upgrade = HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    connection.sendall(first(upgrade + b"Content-Length: 5\r\n", b"hello") + SECOND)
    assert [receive(connection).status for _ in range(2)] == [200, 200]
    assert stored(open_wire) == {"first", "second"}


def wire_is_idle(wire: Wire) -> bool:
    """The server has taken what was sent before: it has answered what was sent afterwards."""
    return wire.ask("GET", "/").status == 200


def test_a_few_empty_lines_before_a_request_are_passed_over_and_many_are_not(open_wire: Wire) -> None:
    connection = open_wire.connect()
    connection.sendall(b"\r\n\r\n" + SECOND + b"\r\n" + SECOND)
    assert [receive(connection).status for _ in range(2)] == [200, 200]
    for piece in (b"\r", b"\n\r", b"\n" + SECOND[:1], SECOND[1:]):
        connection.sendall(piece)
        assert wire_is_idle(open_wire)
    assert receive(connection).status == 200
    connection.sendall(b"\r\n" * 33)
    assert receive(connection).status == 400
    assert connection.recv(1) == b""


@pytest.mark.parametrize("piece", [b"", b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\xfc\r\n\r\n"])
def test_what_is_not_http_at_all_is_answered_or_left(serve: Serve, piece: bytes) -> None:
    _, wire = serve()
    connection = wire.connect()
    connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)
    assert [one.status for one in answers(connection)] == ([400] if piece.startswith(b"\x16") else [])
    assert wire.ask("GET", "/").status == 200


STREAM = (
    first(HOST + b"Content-Length: 5\r\n", b"hello")
    + b"\r\n"
    + first(CHUNKED[:-2], b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n")
    + SECOND
    + b"GET /photos/first HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
)
on_one_server = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@on_one_server
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_requests_are_the_same_however_their_bytes_arrive(open_wire: Wire, cuts: list[int]) -> None:
    connection = open_wire.connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for start, end in pairwise(sorted({0, *cuts, len(STREAM)})):
        connection.sendall(STREAM[start:end])
    found = answers(connection)
    connection.close()
    assert [(one.status, one.body) for one in found] == [(200, b"")] * 3 + [(200, b"hello")]


@on_one_server
@given(at=st.integers(0, len(STREAM)), size=st.integers(0, 6), instead=st.binary(max_size=6))
def test_requests_that_are_a_little_off_are_answered_and_the_connection_ends(
    open_wire: Wire, at: int, size: int, instead: bytes
) -> None:
    connection = open_wire.connect()
    connection.sendall(STREAM[:at] + instead + STREAM[at + size :])
    connection.shutdown(socket.SHUT_WR)
    found = answers(connection)
    connection.close()
    assert len(found) <= 5
    assert all(one.status < 500 for one in found)
    assert all(one.headers["connection"] == "keep-alive" for one in found[:-1])
