"""How clients in use cut their requests: lengths, chunks, both or neither; waiting, or leaving in between."""

from __future__ import annotations

import hashlib
import os
import socket
import struct

import pytest
from quirk_client import ask, by_v1, head, http_date
from server_desk import Answer, Wire, receive

from penstock.protocol.crc64 import crc64


def chunks(data: bytes, *sizes: int) -> bytes:
    """In chunks of these sizes, the last of them for all that is left."""
    pieces, at, turn = b"", 0, 0
    while at < len(data):
        piece = data[at : at + sizes[min(turn, len(sizes) - 1)]]
        pieces += b"%x\r\n%b\r\n" % (len(piece), piece)
        at, turn = at + len(piece), turn + 1
    return pieces + b"0\r\n\r\n"


def chunked(wire: Wire, method: str, target: str, data: bytes, *sizes: int) -> Answer:
    return ask(wire, method, target, chunks(data, *sizes), {"Transfer-Encoding": "chunked"})


def both(wire: Wire, method: str, target: str, data: bytes) -> Answer:
    """As the SDK for C: a length and chunks, and it waits for 100 where there is a body."""
    date = http_date()
    headers = {"Host": f"{wire.host}:{wire.port}", "Date": date, "Content-Length": str(len(data))}
    headers |= {"Transfer-Encoding": "chunked", "Authorization": by_v1(method, target, date)}
    connection = wire.connect()
    if not data:
        connection.sendall(head(f"{method} {target} HTTP/1.1", headers) + b"0\r\n\r\n")
        return receive(connection)
    headers["Expect"] = "100-continue"
    connection.sendall(head(f"{method} {target} HTTP/1.1", headers))
    assert receive(connection).status == 100
    connection.sendall(chunks(data, 0x4000))
    return receive(connection)


def complete(etag: str) -> bytes:
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    return f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()


@pytest.mark.parametrize("size", [0, 3, 0xFFF4, 0xFFF4 + 1, 1_000_000])
def test_parts_and_appends_come_in_chunks_of_the_cpp_sdk(wire: Wire, size: int) -> None:
    data = os.urandom(size)
    upload = ask(wire, "POST", "/photos/a?uploads").element("UploadId")
    part = chunked(wire, "PUT", f"/photos/a?partNumber=1&uploadId={upload}", data, 0xFFF4)
    assert part.headers["x-oss-hash-crc64ecma"] == str(crc64(data))
    assert ask(wire, "POST", f"/photos/a?uploadId={upload}", complete(part.headers["etag"])).status == 200
    assert ask(wire, "GET", "/photos/a").body == data
    appended = chunked(wire, "POST", "/photos/b?append&position=0", data, 0xFFF4)
    assert appended.headers["x-oss-next-append-position"] == str(size)


def test_every_call_may_have_both_a_length_and_chunks(wire: Wire) -> None:
    data = os.urandom(150_000)
    assert both(wire, "PUT", "/videos/", b"").status == 200
    assert (
        both(wire, "PUT", "/videos/a", data).headers["etag"] == f'"{hashlib.md5(data).hexdigest().upper()}"'
    )
    assert both(wire, "PUT", "/videos/empty", b"").headers["x-oss-hash-crc64ecma"] == "0"
    assert both(wire, "POST", "/videos/b?append&position=0", data).status == 200
    upload = both(wire, "POST", "/videos/c?uploads", b"").element("UploadId")
    part = both(wire, "PUT", f"/videos/c?partNumber=1&uploadId={upload}", data)
    done = both(wire, "POST", f"/videos/c?uploadId={upload}", complete(part.headers["etag"]))
    assert (done.status, done.headers["connection"]) == (200, "close")
    for key in ("a", "b", "c"):
        assert ask(wire, "GET", f"/videos/{key}").body == data


@pytest.mark.parametrize("sizes", [(7, 10_000, 2), (1,), (1, 70_000, 3), (65_536,)])
def test_streams_of_unknown_length_come_in_chunks_of_any_size(wire: Wire, sizes: tuple[int, ...]) -> None:
    data = os.urandom(80_003)
    assert chunked(wire, "PUT", "/photos/a", data, *sizes).status == 200
    assert ask(wire, "GET", "/photos/a").body == data


def test_chunks_may_come_cut_anywhere(wire: Wire) -> None:
    data, date = os.urandom(2000), http_date()
    body = chunks(data, 300)
    connection = wire.connect()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = {"Host": "127.0.0.1", "Date": date, "Transfer-Encoding": "chunked"}
    headers["Authorization"] = by_v1("PUT", "/photos/a", date)
    connection.sendall(head("PUT /photos/a HTTP/1.1", headers))
    for at in range(0, len(body), 7):
        connection.sendall(body[at : at + 7])
    assert receive(connection).headers["x-oss-hash-crc64ecma"] == str(crc64(data))


def test_an_upload_begins_with_no_body_said_in_every_way(wire: Wire) -> None:
    ways: list[tuple[bytes | None, dict[str, str]]] = [
        (b"", {}),
        (None, {}),
        (b"0\r\n\r\n", {"Transfer-Encoding": "chunked"}),
        (b"0\r\n\r\n", {"Transfer-Encoding": "Chunked"}),
    ]
    ids = {ask(wire, "POST", "/photos/a?uploads", *way).element("UploadId") for way in ways}
    assert len(ids) == 4
    assert "" not in ids


def test_a_copy_and_a_completion_of_all_say_nothing_of_a_body(wire: Wire) -> None:
    ask(wire, "PUT", "/photos/a", b"x")
    assert ask(wire, "PUT", "/photos/b", None, {"x-oss-copy-source": "/photos/a"}).status == 200
    upload = ask(wire, "POST", "/photos/c?uploads", None).element("UploadId")
    part = f"/photos/c?partNumber=1&uploadId={upload}"
    assert ask(wire, "PUT", part, None, {"x-oss-copy-source": "/photos/a"}).status == 200
    every = {"x-oss-complete-all": "yes"}
    assert ask(wire, "POST", f"/photos/c?uploadId={upload}", None, every).status == 200
    assert ask(wire, "GET", "/photos/c").body == b"x"


def test_reads_may_say_that_they_have_no_body_and_what_its_type_were(wire: Wire) -> None:
    ask(wire, "PUT", "/photos/a", b"x")
    xml = {"Content-Type": "application/xml"}
    assert ask(wire, "GET", "/photos/a", b"", xml).body == b"x"
    assert ask(wire, "HEAD", "/photos/a?objectMeta", b"", xml).headers["content-length"] == "1"
    assert ask(wire, "DELETE", "/photos/a", b"", xml).status == 204


@pytest.mark.parametrize("spelling", ["100-continue", "100-Continue", "100-CONTINUE"])
@pytest.mark.parametrize("size", [1, 200_000])
def test_who_waits_is_told_to_go_on(wire: Wire, spelling: str, size: int) -> None:
    data, date = os.urandom(size), http_date()
    headers = {"Host": "127.0.0.1", "Date": date, "Expect": spelling, "Content-Length": str(size)}
    headers["Authorization"] = by_v1("PUT", "/photos/a", date)
    connection = wire.connect()
    connection.sendall(head("PUT /photos/a HTTP/1.1", headers))
    assert receive(connection).status == 100
    connection.sendall(data)
    assert receive(connection).headers["x-oss-hash-crc64ecma"] == str(crc64(data))


@pytest.mark.parametrize("size", [0, 100, 300_000])
@pytest.mark.parametrize("reset", [False, True])
def test_who_leaves_before_the_last_chunk_has_stored_nothing(wire: Wire, size: int, reset: bool) -> None:
    ask(wire, "PUT", "/photos/a", b"old")
    date = http_date()
    headers = {"Host": "127.0.0.1", "Date": date, "Transfer-Encoding": "chunked"}
    headers["Authorization"] = by_v1("PUT", "/photos/a", date)
    connection = wire.connect()
    whole = chunks(os.urandom(size), 0xFFF4)
    connection.sendall(head("PUT /photos/a HTTP/1.1", headers) + whole[: -len(b"0\r\n\r\n")])
    if reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    else:
        connection.shutdown(socket.SHUT_WR)
        assert receive(connection).code == "IncompleteBody"
    assert ask(wire, "GET", "/photos/a").body == b"old"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "Content-Encoding": "aws-chunked"},
        {"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"},
        {"Content-Encoding": "gzip, aws-chunked"},
    ],
)
def test_the_chunks_of_s3_are_refused_and_not_stored_as_they_are(wire: Wire, headers: dict[str, str]) -> None:
    body = b"2\r\nhi\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    answer = ask(wire, "PUT", "/photos/a", body, headers)
    assert (answer.status, answer.code) == (400, "NotImplemented")
    assert answer.element("Header").lower() in ("x-amz-content-sha256", "content-encoding")
    assert ask(wire, "HEAD", "/photos/a").status == 404
