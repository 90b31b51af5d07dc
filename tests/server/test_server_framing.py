"""How requests are cut out of a byte stream: the parsers alone."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.http.body_reader import BodyReader
from penstock.server.http.chunked import ChunkedDecoder, ChunksInvalid
from penstock.server.http.head import HeadInvalid, read_head
from penstock.server.http.response import Response
from penstock.server.http.wire import response_head


def head(*lines: str, first: str = "PUT /b/k?x=1 HTTP/1.1") -> bytes:
    return "\r\n".join([first, "Host: h", *lines, "", ""]).encode()


def test_a_head_is_taken_apart() -> None:
    found = read_head(head("Content-Length: 5", "X-Oss-Meta-K: \u4e2d ", "Expect: 100-Continue"))
    assert (found.method, found.path, found.query) == ("PUT", "/b/k", "x=1")
    assert found.headers["x-oss-meta-k"] == "\u4e2d"
    assert (found.body_bytes, found.keep_alive, found.expects_continue) == (5, True, True)


def test_chunks_win_over_a_length_and_the_connection_ends() -> None:
    found = read_head(head("Content-Length: 5", "Transfer-Encoding: chunked"))
    assert (found.body_bytes, found.keep_alive) == (None, False)


def test_no_length_at_all_is_an_empty_body() -> None:
    assert read_head(head()).body_bytes == 0


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 5", "Content-Length: 5"],
        ["Content-Length: 5", "Content-Length: 6"],
        ["Content-Length: -1"],
        ["Content-Length: 5, 5"],
        ["Content-Length: 0x10"],
        ["Content-Length: 99999999999999999999"],
        ["Transfer-Encoding: gzip"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["Transfer-Encoding: chun\u212aed"],
        ["Transfer-Encoding: \x0bchunked"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding:"],
        ["Transfer-Encoding:", " chunked"],
        ["Transfer-Encoding : chunked"],
        ["Content-Length:"],
        ["Content-Length: +5"],
        ["Content-Length: 1_0"],
        ["Content-Length : 5"],
        ["Content-Length\t: 5"],
        ["Expect: 100-continue", "Expect: 100-continue"],
        ["Expect: x 100-continue"],
        ["X: a\nTransfer-Encoding: chunked"],
        ["X: a\rTransfer-Encoding: chunked"],
        ["X\x00: a"],
        [": a"],
        ["X"],
        ["Host: other"],
        ["Bad Name: x"],
        ["X: a\x00b"],
        [" folded"],
    ],
)
def test_doubtful_heads_are_refused(lines: list[str]) -> None:
    with pytest.raises(HeadInvalid):
        read_head(head(*lines))


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\r\nHost: h\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\n Host: h\r\nHost: h\r\n\r\n",
        b"PUT / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_not_http_1_is_refused(data: bytes) -> None:
    with pytest.raises(HeadInvalid):
        read_head(data)


@pytest.mark.parametrize(
    ("lines", "version", "kept"),
    [
        ([], "1.1", True),
        (["Connection: close"], "1.1", False),
        (["Connection: Keep-Alive"], "1.0", True),
        ([], "1.0", False),
    ],
)
def test_connections_are_kept_as_the_client_says(lines: list[str], version: str, kept: bool) -> None:
    assert read_head(head(*lines, first=f"GET / HTTP/{version}")).keep_alive is kept


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://h/b/k?x", "/b/k", "x"),
        ("https://H/b//k", "/b//k", ""),
        ("http://h", "/", ""),
        ("http://h?x", "/", "x"),
    ],
)
def test_a_proxy_style_target_is_understood(target: str, path: str, query: str) -> None:
    found = read_head(head(first=f"GET {target} HTTP/1.1"))
    assert (found.path, found.query) == (path, query)


@pytest.mark.parametrize(
    "target",
    [
        "http://other/b",
        "http://h:80/b",
        "http://h@other/b",
        "ftp://h/b",
        "h:80",
        "*",
        "b/k",
        "/b#k",
        "http:///b",
    ],
)
def test_a_target_that_others_may_read_otherwise_is_refused(target: str) -> None:
    with pytest.raises(HeadInvalid):
        read_head(head(first=f"GET {target} HTTP/1.1"))


def test_a_length_beside_chunks_is_refused_where_framing_is_strict() -> None:
    both = head("Content-Length: 5", "Transfer-Encoding: chunked")
    with pytest.raises(HeadInvalid):
        read_head(both, strict_framing=True)
    assert read_head(head("Transfer-Encoding: chunked"), strict_framing=True).body_bytes is None


def test_a_host_may_be_a_name_an_address_or_empty() -> None:
    for host in ("a.b-c_d.example.com", "127.0.0.1:9000", "[::1]:9000", ".localhost", ""):
        assert read_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).headers["host"] == host
    for host in ("a b", "a,b", "a/b", "a@b", "a:b", "[::1", "a\\b", "a?b", "a#b", "\u0430"):
        with pytest.raises(HeadInvalid):
            read_head(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())


@given(st.binary(max_size=400))
def test_no_bytes_do_anything_but_parse_or_be_refused(data: bytes) -> None:
    try:
        read_head(data + b"\r\n\r\n")
    except HeadInvalid:
        pass


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    decoder, body, rest = ChunkedDecoder(), b"", b""
    for piece in pieces:
        if decoder.done:
            rest += piece
            continue
        views, left = feed_all(decoder, piece)
        body += b"".join(views)
        rest += left
    return body, rest, decoder.done


def feed_all(decoder: ChunkedDecoder, data: bytes) -> tuple[list[memoryview], bytes]:
    """Feeds until the body is at its end or all was taken; gives what it found, and what is left."""
    found, left = decoder.feed(memoryview(data))
    while left < len(data) and not decoder.done:
        more, size = decoder.feed(memoryview(data)[left:])
        found, left = found + more, left + size
    return found, data[left:]


@given(
    st.lists(st.binary(min_size=1, max_size=50), max_size=8),
    st.lists(st.integers(0, 400), max_size=10),
    st.binary(max_size=20),
)
def test_chunks_are_joined_however_the_bytes_arrive(
    chunks: list[bytes], cuts: list[int], following: bytes
) -> None:
    wire = b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    wire += b"0\r\nX-Trailer: 1\r\n\r\n"
    end = len(wire)
    wire += following
    places = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    pieces = [wire[start:stop] for start, stop in pairwise(places)] or [wire]
    assert decode(pieces) == (b"".join(chunks), following, True)
    assert decode([wire[: end - 1]])[2] is False


@pytest.mark.parametrize(
    "data",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n",
        b"0x5\r\nhello\r\n",
        b"\r\nhello",
        b"g\r\n",
        b"FFFFFFFFFFFFFFFF\r\n",
        b"5" + b" " * 2000 + b"\r\n",
        b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"5 \r\nhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5\r\r\nhello\r\n",
        b"5\x00\r\nhello\r\n",
        b"1_0\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        (b"1;" + b"x" * 1000 + b"\r\nx\r\n") * 20,
        b"0\r\nGET / HTTP/1.1\r\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX: a\x00b\r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\n\n",
    ],
)
def test_bad_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(ChunksInvalid):
        feed_all(ChunkedDecoder(), data)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_decode_or_be_refused(data: bytes) -> None:
    try:
        views, left = feed_all(ChunkedDecoder(), data)
    except ChunksInvalid:
        return
    assert sum(map(len, views)) + len(left) <= len(data)


def test_many_small_chunks_are_read_a_share_at_a_time_and_joined() -> None:
    data = b"1\r\nx\r\n" * 5000 + b"0\r\n\r\n"
    reader = BodyReader(None)
    rest, turns, body = data, 0, b""
    while not reader.done:
        pieces, size = reader.feed(memoryview(rest))
        assert len(pieces) <= 32
        rest, turns, body = rest[size:], turns + 1, body + b"".join(pieces)
    assert (body, rest) == (b"x" * 5000, b"")
    assert turns > 5


def test_an_answer_cannot_be_split_by_a_header() -> None:
    written = response_head(
        Response(200, {"x-oss-meta-a": "1\r\nx-evil: 2", "etag": '"E"'}, b"abc"), keep_alive=True
    )
    assert b"\r\nx-evil" not in written
    assert b'ETag: "E"\r\n' in written
    assert b"Content-Length: 3\r\n" in written
    assert b"Content-Length" not in response_head(Response(204), keep_alive=False)
