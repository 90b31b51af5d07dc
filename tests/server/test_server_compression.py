"""Text is sent compressed to those who say that they take it so."""

from __future__ import annotations

import gzip
import zlib

import pytest
from server_desk import Desk, Wire

TEXT = b"abc " * 1000


def test_text_is_sent_compressed_and_without_its_length(bucket: Desk) -> None:
    bucket("PUT", "/photos/a.txt", TEXT, content_type="text/plain; charset=utf-8")
    answer = bucket("GET", "/photos/a.txt", accept_encoding="br;q=1, gzip;q=0.5")
    assert gzip.decompress(answer.body) == TEXT
    assert len(answer.body) < len(TEXT) // 10
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert not {"content-length", "etag", "content-md5"} & answer.headers.keys()
    assert (
        answer.headers["x-oss-hash-crc64ecma"]
        == bucket("HEAD", "/photos/a.txt").headers["x-oss-hash-crc64ecma"]
    )


@pytest.mark.parametrize(
    ("size", "kind", "headers"),
    [
        (1023, "text/plain", {"accept_encoding": "gzip"}),
        (2000, "application/octet-stream", {"accept_encoding": "gzip"}),
        (2000, "text/plain", {"accept_encoding": "gzip;q=0"}),
        (2000, "text/plain", {"accept_encoding": "deflate"}),
        (2000, "text/plain", {}),
        (2000, "text/plain", {"accept_encoding": "gzip", "range": "bytes=0-1500"}),
    ],
)
def test_everything_else_is_sent_as_it_is(
    bucket: Desk, size: int, kind: str, headers: dict[str, str]
) -> None:
    bucket("PUT", "/photos/a", b"a" * size, content_type=kind)
    answer = bucket("GET", "/photos/a", **headers)
    assert answer.body == b"a" * int(answer.headers["content-length"])
    assert "content-encoding" not in answer.headers


def test_what_is_encoded_already_is_not_compressed_again(bucket: Desk) -> None:
    packed = gzip.compress(bytes(range(256)) * 8, 0)
    bucket("PUT", "/photos/a", packed, content_type="text/plain", content_encoding="gzip")
    assert bucket("GET", "/photos/a", accept_encoding="gzip").body == packed


def test_compressed_text_comes_in_chunks_and_the_connection_goes_on(wire: Wire) -> None:
    assert wire.ask("PUT", "/photos/a", TEXT, content_type="text/plain").status == 200
    connection = wire.connect()
    for _ in range(2):
        connection.sendall(wire.head("GET", "/photos/a", accept_encoding="gzip"))
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(65536)
            assert piece
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Length" not in head
        size, _, chunk = body.partition(b"\r\n")
        assert zlib.decompress(chunk[: int(size, 16)], 31) == TEXT


def test_who_knows_no_chunks_gets_no_compressed_text(wire: Wire) -> None:
    assert wire.ask("PUT", "/photos/a", TEXT, content_type="text/plain").status == 200
    connection = wire.connect()
    head = wire.head("GET", "/photos/a", accept_encoding="gzip")
    connection.sendall(head.replace(b" HTTP/1.1", b" HTTP/1.0", 1))
    data = b""
    while piece := connection.recv(65536):
        data += piece
    assert data.partition(b"\r\n\r\n")[2] == TEXT
