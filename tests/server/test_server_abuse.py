"""Clients that take too long, send too much, or want out of the store are told or cut, and harm nobody."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
from server_desk import Wire, receive

from penstock.protocol.limits import MAX_CONFIGURATION_BYTES
from penstock.server.connection import Patience
from penstock.server.http.head import MAX_HEAD_BYTES
from penstock.server.local_oss import LocalOss
from penstock.server.store import blobs, room

Serve = Callable[..., tuple[LocalOss, Wire]]
SHORT = Patience(idle_s=5.0, head_s=0.3, body_s=0.3, linger_s=0.2, least_bytes_per_s=1000)


def trickle(connection: socket.socket, pieces: Iterator[bytes]) -> threading.Thread:
    """Sends a piece now and then until the other side has had enough."""
    pause = threading.Event()

    def send() -> None:
        try:
            for piece in pieces:
                connection.sendall(piece)
                pause.wait(0.03)
        except OSError:
            return

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def ends(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


# -- too slow


def test_a_head_that_trickles_is_cut_however_steadily_it_comes(serve: Serve) -> None:
    _, wire = serve(patience=SHORT)
    connection = wire.connect()
    began = time.monotonic()
    thread = trickle(connection, (b"X: %d\r\n" % n if n else b"GET / HTTP/1.1\r\n" for n in range(400)))
    assert ends(connection)
    assert time.monotonic() - began < 5
    connection.close()
    thread.join()


def test_a_connection_of_nothing_but_empty_lines_ends(serve: Serve) -> None:
    _, wire = serve(patience=SHORT)
    connection = wire.connect()
    thread = trickle(connection, iter([b"\r\n"] * 400))
    assert receive(connection).status == 400
    assert ends(connection)
    connection.close()
    thread.join()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b"1\r\nx\r\n"] * 400, id="chunks of one byte"),
        pytest.param([b"5;"] + [b"x"] * 400, id="an extension"),
        pytest.param([b"0\r\n"] + [b"X: y\r\n"] * 400, id="trailers"),
    ],
)
def test_chunks_that_trickle_are_cut_off(serve: Serve, pieces: list[bytes]) -> None:
    _, wire = serve(patience=SHORT)
    wire.ask("PUT", "/photos/")
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", **{"transfer-encoding": "chunked"}))
    thread = trickle(connection, iter(pieces))
    answer = receive(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "RequestTimeout", "close")
    connection.close()
    thread.join()
    assert wire.ask("HEAD", "/photos/a").status == 404


def test_a_small_body_that_trickles_is_cut_off(serve: Serve) -> None:
    _, wire = serve(patience=SHORT)
    wire.ask("PUT", "/photos/")
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", content_length="400"))
    thread = trickle(connection, iter([b"x"] * 399))
    answer = receive(connection)
    assert (answer.status, answer.code) == (400, "RequestTimeout")
    connection.close()
    thread.join()
    assert wire.ask("HEAD", "/photos/a").status == 404


def test_a_handshake_that_does_not_come_is_cut(serve: Serve, tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("127.0.0.1")
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    key.write_bytes(issued.private_key_pem.bytes())
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    _, wire = serve(patience=SHORT, tls=(certificate, key))
    for begun in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"):
        connection = wire.connect()
        connection.sendall(begun)
        while not ends(connection):
            pass


def test_many_who_wait_do_not_keep_others_from_being_served(serve: Serve) -> None:
    _, wire = serve(patience=Patience(linger_s=0.2))
    wire.ask("PUT", "/photos/")
    for number in range(100):
        slow = wire.connect()
        if number % 2:
            slow.sendall(b"GET / HTTP/1.1\r\nX: ")
        else:
            slow.sendall(wire.head("PUT", "/photos/slow", content_length="1000000") + b"x")
    assert wire.ask("PUT", "/photos/a", b"x" * 200_000).status == 200
    assert wire.ask("GET", "/photos/a").body == b"x" * 200_000


def test_chunks_of_one_byte_do_not_keep_others_from_being_served(wire: Wire) -> None:
    busy = wire.connect()
    body = b"1\r\nx\r\n" * 150_000 + b"0\r\n\r\n"
    busy.sendall(wire.head("PUT", "/photos/busy", **{"transfer-encoding": "chunked"}))
    sender = threading.Thread(target=busy.sendall, args=(body,))
    sender.start()
    other = wire.connect()
    served = 0
    while not select.select([busy], [], [], 0)[0]:
        other.sendall(wire.head("GET", "/photos/"))
        assert receive(other).status == 200
        served += 1
    assert receive(busy).status == 200
    assert served > 3
    sender.join()
    assert wire.ask("GET", "/photos/busy").body == b"x" * 150_000


# -- too much


def test_a_head_may_not_be_too_large(wire: Wire) -> None:
    line = b"X: " + b"x" * 1000 + b"\r\n"
    large = wire.connect()
    large.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n" + line * 60 + b"\r\n")
    assert receive(large).status == 403
    larger = wire.connect()
    larger.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n" + line * (MAX_HEAD_BYTES // 1000 + 1))
    assert receive(larger).code == "BadRequest"
    assert ends(larger)


def test_a_target_may_not_be_too_large(wire: Wire) -> None:
    connection = wire.connect()
    connection.sendall(b"GET /photos/" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    assert receive(connection).code == "BadRequest"
    assert ends(connection)


def test_user_metadata_ends_at_8_kib(wire: Wire) -> None:
    fits = {f"x-oss-meta-{n}": "v" * 1000 for n in range(8)}
    assert wire.ask("PUT", "/photos/a", b"x", **fits).status == 200
    refused = wire.ask("PUT", "/photos/b", b"x", **fits, **{"x-oss-meta-more": "v" * 300})
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert wire.ask("HEAD", "/photos/b").status == 404


@pytest.mark.parametrize("chunked", [False, True])
def test_a_document_that_is_too_large_is_refused_before_it_is_all_there(wire: Wire, chunked: bool) -> None:
    size = 2 * MAX_CONFIGURATION_BYTES + 100
    connection = wire.connect()
    framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(size)}
    connection.sendall(wire.head("PUT", "/photos/?cors", **framing))
    data = b"<CORSConfiguration>" + b"x" * (size // 2)
    thread = threading.Thread(
        target=connection.sendall, args=(b"%x\r\n%b" % (len(data), data) if chunked else data,)
    )
    thread.start()
    answer = receive(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "MalformedXML", "close")
    thread.join()
    assert wire.ask("GET", "/photos/?cors").code == "NoSuchCORSConfiguration"


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY b "x"><!ENTITY c "&b;&b;">]><CORSConfiguration>&c;</CORSConfiguration>',
            id="entities",
        ),
        pytest.param(
            b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><CORSConfiguration>&b;</CORSConfiguration>',
            id="a file",
        ),
        pytest.param(b"<CORSConfiguration>" + b"<CORSRule>" * 200_000, id="depth"),
        pytest.param(
            b"<CORSConfiguration>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</CORSConfiguration>",
            id="depth that ends",
        ),
        pytest.param(b"<CORSConfiguration" + b" a='b'" * 100_000 + b"/>", id="attributes"),
        pytest.param(b"\xff\xfe<\x00C\x00", id="half of another encoding"),
    ],
)
def test_a_document_that_blows_up_is_refused(wire: Wire, document: bytes) -> None:
    refused = wire.ask("PUT", "/photos/?cors", document)
    assert (refused.status, refused.code) == (400, "MalformedXML")
    assert wire.ask("GET", "/photos/?cors").code == "NoSuchCORSConfiguration"


def test_a_list_of_too_many_keys_or_parts_is_refused(wire: Wire) -> None:
    wire.ask("PUT", "/photos/a", b"x")
    keys = b"<Object><Key>a</Key></Object>" * 1001
    md5 = {"content-md5": "ZQ=="}
    assert wire.ask("POST", "/photos/?delete", b"<Delete>" + keys + b"</Delete>", **md5).status == 400
    assert wire.ask("HEAD", "/photos/a").status == 200
    upload = wire.ask("POST", "/photos/b?uploads").element("UploadId")
    part = b"<Part><PartNumber>1</PartNumber><ETag>e</ETag></Part>"
    document = b"<CompleteMultipartUpload>" + part * 20_000 + b"</CompleteMultipartUpload>"
    assert wire.ask("POST", f"/photos/b?uploadId={upload}", document).code in (
        "InvalidPart",
        "InvalidPartOrder",
    )


def test_a_document_of_brackets_only_is_refused(wire: Wire) -> None:
    refused = wire.ask("PUT", "/photos/?policy", b"[" * 10_000)
    assert (refused.status, refused.code) == (400, "InvalidPolicyDocument")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/photos/?max-keys={}"),
        ("PUT", "/photos/a?partNumber={}&uploadId=x"),
        ("POST", "/photos/a?append&position={}"),
    ],
)
def test_a_number_of_absurd_length_is_refused_in_the_words_of_oss(
    wire: Wire, method: str, target: str
) -> None:
    refused = wire.ask(method, target.format("9" * 5000))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert "at most 20 digits" in refused.element("Message")
    assert len(refused.body) < 3000


def test_absurd_numbers_in_metadata_and_documents_break_nothing(wire: Wire) -> None:
    size = {"x-oss-meta-client-side-encryption-data-size": "9" * 5000}
    upload = wire.ask("POST", "/photos/b?uploads", **size).element("UploadId")
    assert wire.ask("GET", f"/photos/b?uploadId={upload}").status == 200
    for number in (2**63, 10**19):
        assert wire.ask("POST", f"/photos/c?append&position={number}").status in (400, 409)
        assert wire.ask("GET", f"/photos/b?uploadId={upload}&part-number-marker={number}").status == 400
    rule = "<Rule><Status>Enabled</Status><Expiration><Days>{}</Days></Expiration></Rule>".format("9" * 5000)
    document = f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>".encode()
    refused = wire.ask("PUT", "/photos/?lifecycle", document)
    assert (refused.status, refused.code) == (400, "MalformedXML")
    assert "sys." not in refused.body.decode()


# -- no room


@pytest.mark.parametrize("size", [1000, 300_000, 3_000_000])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_is_told_and_nothing_is_lost(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, size: int, number: int
) -> None:
    oss, wire = serve(durability="strict")
    wire.ask("PUT", "/photos/")
    old, new = b"o" * 300_000, b"n" * size
    assert wire.ask("PUT", "/photos/a", old).status == 200
    upload = wire.ask("POST", "/photos/b?uploads").element("UploadId")
    part = f"/photos/b?partNumber=1&uploadId={upload}"
    assert wire.ask("PUT", part, old).status == 200
    targets = [("PUT", "/photos/a"), ("PUT", part), ("POST", "/photos/c?append&position=0")]

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    if size > 100_000:  # what is smaller is kept in the metadata
        with monkeypatch.context() as patched:
            patched.setattr(blobs.os, "write", fail)
            for method, target in targets:
                refused = wire.ask(method, target, new)
                assert (refused.status, refused.code) == (500, "InternalError")
                assert str(oss.directory) not in refused.body.decode()
            assert wire.ask("GET", "/photos/a").body == old
    assert wire.ask("GET", "/photos/a").body == old
    assert wire.ask("HEAD", "/photos/c").status == 404
    assert "<Size>300000</Size>" in wire.ask("GET", f"/photos/b?uploadId={upload}").body.decode()
    for method, target in targets:
        assert wire.ask(method, target, new).status == 200
    assert wire.ask("GET", "/photos/a").body == new


def test_a_full_disk_can_be_emptied(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    oss, wire = serve()
    wire.ask("PUT", "/photos/")
    for key, size in (("small", 1000), ("large", 300_000)):
        assert wire.ask("PUT", f"/photos/{key}", bytes(size)).status == 200
    with monkeypatch.context() as patched:
        patched.setattr(room.Room, "short_of", lambda *_: True)
        for size in (1000, 300_000):
            refused = wire.ask("PUT", "/photos/new", bytes(size))
            assert (refused.status, refused.code) == (500, "InternalError")
            assert str(oss.directory) not in refused.body.decode()
        assert wire.ask("GET", "/photos/large").body == bytes(300_000)
        for key in ("small", "large"):
            assert wire.ask("DELETE", f"/photos/{key}").status == 204
    assert wire.ask("PUT", "/photos/new", bytes(1000)).status == 200


# -- out of the store


@pytest.mark.parametrize(
    "key",
    [
        "..%2F..%2F..%2Fescaped",
        "../../../escaped",
        "%2e%2e/%2e%2e/escaped",
        "a/../../../../escaped",
        "..%5C..%5Cescaped",
        "C:%5Cescaped",
        "a%00escaped",
        ".",
        "..",
        "~/escaped",
        "$HOME/escaped",
        "con",
        "a" * 1023,
        "%F0%9F%98%80" * 255,
    ],
)
def test_a_key_is_never_a_path(serve: Serve, tmp_path: Path, key: str) -> None:
    oss, wire = serve()
    wire.ask("PUT", "/photos/")
    before = {path for path in tmp_path.rglob("*") if oss.directory not in path.parents}
    connection = wire.connect()
    connection.sendall(wire.head("PUT", f"/photos/{key}", content_length="200000") + b"x" * 200_000)
    assert receive(connection).status == 200
    assert wire.ask("GET", f"/photos/{key}").body == b"x" * 200_000
    assert {path for path in tmp_path.rglob("*") if oss.directory not in path.parents} == before
    assert not any("escaped" in path.name for path in tmp_path.rglob("*"))
    assert wire.ask("DELETE", f"/photos/{key}").status == 204


@pytest.mark.parametrize("bucket", ["..", ".", "%2E%2E", "..%2F..", "staging", "a.b", "Photos", "xn--%00"])
def test_a_bucket_is_never_a_path(serve: Serve, bucket: str) -> None:
    oss, wire = serve()
    before = {path.name for path in oss.directory.iterdir()}
    answer = wire.ask("PUT", f"/{bucket}/")
    assert answer.status in (200, 400)
    assert {path.name for path in oss.directory.iterdir()} == before
