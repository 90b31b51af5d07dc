"""A real server and raw sockets: framing, keep-alive, early answers, cut and slow clients, large bodies."""

from __future__ import annotations

import os
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme
from server_desk import Answer, Wire, receive

from penstock.errors import InvalidInput, StoreError
from penstock.protocol.crc64 import crc64
from penstock.server.connection import Patience
from penstock.server.exchange import Exchange
from penstock.server.http.response import Response
from penstock.server.http.stream import Stream
from penstock.server.interceptor import ConnectionCut, Interceptor, Seen
from penstock.server.local_oss import LocalOss
from penstock.server.store.blobs import LocalStagedBlob

Serve = Callable[..., tuple[LocalOss, Wire]]


def chunks(data: bytes, size: int = 0xFFF4) -> bytes:
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def eventually(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for what another thread will bring about."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        pause.wait(0.005)


@pytest.mark.parametrize("size", [0, 3, 0xFFF4, 300_000, 2_000_000])
def test_chunked_puts_arrive_whole(wire: Wire, size: int) -> None:
    data = os.urandom(size)
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", **{"transfer-encoding": "chunked"}) + chunks(data))
    assert receive(connection).headers["x-oss-hash-crc64ecma"] == str(crc64(data))
    assert wire.ask("GET", "/photos/a").body == data


@pytest.mark.parametrize("size", [0, 5, 200_000])
def test_chunks_with_a_length_beside_them_are_taken_and_the_connection_closed(wire: Wire, size: int) -> None:
    data = os.urandom(size)
    connection = wire.connect()
    both = {"transfer-encoding": "chunked", "content-length": str(size), "expect": "100-continue"}
    connection.sendall(wire.head("PUT", "/photos/a", **both))
    assert receive(connection).status == 100
    connection.sendall(chunks(data))
    answer = receive(connection)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert connection.recv(1) == b""
    assert wire.ask("GET", "/photos/a").body == data


def test_initiating_with_an_empty_chunked_body_or_none_works(wire: Wire) -> None:
    connection = wire.connect()
    connection.sendall(
        wire.head("POST", "/photos/a?uploads", **{"transfer-encoding": "chunked"}) + b"0\r\n\r\n"
    )
    assert receive(connection).element("UploadId")
    connection.sendall(wire.head("POST", "/photos/a?uploads"))
    assert receive(connection).element("UploadId")


def test_a_bucket_may_be_separated_from_its_key_by_an_encoded_slash(wire: Wire) -> None:
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos%2Fa", **{"content-length": "1"}) + b"x")
    assert receive(connection).status == 200
    assert wire.ask("GET", "/photos/a").body == b"x"


@pytest.mark.parametrize("size", [0, 10, 70_000, 1_000_000])
def test_pipelined_requests_are_answered_in_order(wire: Wire, size: int) -> None:
    data = os.urandom(size)
    connection = wire.connect()
    put = wire.head("PUT", "/photos/a", **{"content-length": str(size)})
    chunked = wire.head("PUT", "/photos/b", **{"transfer-encoding": "chunked"})
    sender = threading.Thread(
        target=connection.sendall,
        args=(put + data + chunked + chunks(data) + b"\r\n" + wire.head("GET", "/photos/a") * 2,),
    )
    sender.start()
    assert [receive(connection).status for _ in range(2)] == [200, 200]
    assert [receive(connection).body for _ in range(2)] == [data, data]
    sender.join()


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: nonsense\r\n",
        b"Transfer-Encoding: gzip\r\n",
    ],
)
def test_doubtful_framing_is_answered_with_400_and_the_end(wire: Wire, lines: bytes) -> None:
    connection = wire.connect()
    connection.sendall(b"PUT /photos/a HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\nhello")
    answer = receive(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "BadRequest", "close")
    assert connection.recv(1) == b""


@pytest.mark.parametrize("first", [b"", b"fff4\r\n" + b"x" * 0xFFF4 + b"\r\n" + b"8000\r\n" + b"x" * 0x8000])
def test_bad_chunks_are_answered_with_400_and_commit_nothing(wire: Wire, first: bytes) -> None:
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", **{"transfer-encoding": "chunked"}) + first + b"zz\r\n")
    if first:
        connection.sendall(b"zz\r\n")
    assert receive(connection).status == 400
    assert wire.ask("HEAD", "/photos/a").status == 404


def test_a_head_without_end_is_refused(wire: Wire) -> None:
    connection = wire.connect()
    connection.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert receive(connection).status == 400


def test_100_continue_comes_after_the_head_was_accepted_only(wire: Wire) -> None:
    connection = wire.connect()
    expect = {"content-length": "5", "expect": "100-continue"}
    connection.sendall(wire.head("PUT", "/photos/a", **expect))
    assert receive(connection).status == 100
    connection.sendall(b"hello")
    assert receive(connection).status == 200
    connection.sendall(wire.head("PUT", "/nowhere/a", **expect))
    answer = receive(connection)
    assert (answer.status, answer.code, answer.headers["connection"]) == (404, "NoSuchBucket", "close")


def test_a_large_upload_that_is_refused_is_answered_while_it_is_sent(wire: Wire) -> None:
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/nowhere/a", **{"content-length": str(10**12)}))
    block = b"x" * 100_000
    for _ in range(20):
        connection.sendall(block)
    assert receive(connection).code == "NoSuchBucket"


@pytest.mark.parametrize("size", [1000, 1_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_cut_short_commits_nothing(wire: Wire, size: int, chunked: bool) -> None:
    wire.ask("PUT", "/photos/a", b"old")
    connection = wire.connect()
    framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(size)}
    body = chunks(b"x" * size)[:-5] if chunked else b"x" * (size - 1)
    connection.sendall(wire.head("PUT", "/photos/a", **framing) + body)
    connection.shutdown(socket.SHUT_WR)
    answer = receive(connection)
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    assert wire.ask("GET", "/photos/a").body == b"old"


def test_a_reset_in_the_middle_of_a_part_leaves_the_upload_without_it(serve: Serve) -> None:
    oss, wire = serve()
    wire.ask("PUT", "/photos/")
    upload = wire.ask("POST", "/photos/a?uploads").element("UploadId")
    connection = wire.connect()
    target = f"/photos/a?partNumber=1&uploadId={upload}"
    connection.sendall(wire.head("PUT", target, **{"content-length": "500000"}) + b"x" * 300_000)
    staging = oss.directory / "staging"
    eventually(lambda: any(staging.iterdir()))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    eventually(lambda: not any(staging.iterdir()))
    assert "<Part>" not in wire.ask("GET", f"/photos/a?uploadId={upload}").body.decode()
    assert wire.ask("DELETE", f"/photos/a?uploadId={upload}").status == 204


def test_an_abort_while_a_part_arrives_must_be_asked_again(serve: Serve) -> None:
    oss, wire = serve()
    wire.ask("PUT", "/photos/")
    upload = wire.ask("POST", "/photos/a?uploads").element("UploadId")
    target = f"/photos/a?uploadId={upload}"
    assert wire.ask("PUT", f"{target}&partNumber=1", b"x" * 100_000).status == 200
    arriving = wire.connect()
    arriving.sendall(wire.head("PUT", f"{target}&partNumber=2", content_length="500000") + bytes(300_000))
    eventually(lambda: any((oss.directory / "staging").iterdir()))
    assert wire.ask("DELETE", target).status == 204
    assert "<PartNumber>" not in wire.ask("GET", target).body.decode()
    arriving.sendall(bytes(200_000))
    assert receive(arriving).status == 200
    assert "<PartNumber>2</PartNumber>" in wire.ask("GET", target).body.decode()
    assert wire.ask("DELETE", target).status == 204
    assert wire.ask("GET", target).code == "NoSuchUpload"


def test_who_sends_nothing_more_is_told_and_cut(serve: Serve) -> None:
    _, wire = serve(patience=Patience(idle_s=0.2, head_s=0.2, body_s=0.2, linger_s=0.2))
    wire.ask("PUT", "/photos/")
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", **{"content-length": "1000000"}) + b"x" * 100_000)
    answer = receive(connection)
    assert (answer.status, answer.code) == (400, "RequestTimeout")
    for begun in (b"", b"GET / HT"):
        idle = wire.connect()
        idle.sendall(begun)
        assert idle.recv(1) == b""
    assert wire.ask("HEAD", "/photos/a").status == 404


def test_who_takes_nothing_of_an_answer_is_cut(serve: Serve) -> None:
    _, wire = serve(patience=Patience(body_s=0.2))
    wire.ask("PUT", "/photos/")
    wire.ask("PUT", "/photos/a", b"x" * 30_000_000)
    lazy = socket.socket()
    wire.open.append(lazy)
    lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    lazy.settimeout(10)
    lazy.connect((wire.host, wire.port))
    lazy.sendall(wire.head("GET", "/photos/a"))
    watch = select.poll()
    watch.register(lazy, select.POLLRDHUP)
    eventually(lambda: bool(watch.poll(0)))
    with pytest.raises((EOFError, ConnectionResetError)):
        receive(lazy)


@pytest.mark.parametrize("size", [1, 65_536, 65_537, 5_000_000])
def test_large_objects_come_back_in_whole_and_in_ranges(wire: Wire, size: int) -> None:
    data = os.urandom(size)
    assert wire.ask("PUT", "/photos/a", data).status == 200
    connection = wire.connect()
    for first, last in ((0, size - 1), (size // 2, size - 1), (0, 0)):
        connection.sendall(wire.head("GET", "/photos/a", range=f"bytes={first}-{last}"))
        answer = receive(connection)
        assert (answer.status, answer.body) == (206, data[first : last + 1])
    connection.sendall(wire.head("HEAD", "/photos/a"))
    assert receive(connection, "HEAD").headers["content-length"] == str(size)


def test_an_object_of_many_parts_is_sent_as_one(wire: Wire) -> None:
    upload = wire.ask("POST", "/photos/a?uploads").element("UploadId")
    parts = [os.urandom(150_000), os.urandom(110_000), os.urandom(10)]
    listed = ""
    for number, data in enumerate(parts, 1):
        etag = wire.ask("PUT", f"/photos/a?partNumber={number}&uploadId={upload}", data).headers["etag"]
        listed += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    assert wire.ask("POST", f"/photos/a?uploadId={upload}", document).status == 200
    whole = b"".join(parts)
    assert wire.ask("GET", "/photos/a").body == whole
    assert wire.ask("GET", "/photos/a", range="bytes=100000-259999").body == whole[100_000:260_000]


def test_an_overwrite_does_not_tear_a_read(wire: Wire) -> None:
    old, new = b"o" * 8_000_000, b"n" * 100_000
    wire.ask("PUT", "/photos/a", old)
    reader = wire.connect()
    reader.sendall(wire.head("GET", "/photos/a"))
    begun = reader.recv(1000)
    wire.ask("PUT", "/photos/a", new)
    rest = bytearray(begun)
    size = len(old) + begun.index(b"\r\n\r\n") + 4
    while len(rest) < size:
        piece = reader.recv(1 << 20)
        assert piece
        rest += piece
    assert rest.endswith(old)
    assert wire.ask("GET", "/photos/a").body == new


def test_the_speed_limit_of_the_caller_is_kept(wire: Wire) -> None:
    data = b"x" * 150_000
    limit = {"x-oss-traffic-limit": "819200"}
    began = time.monotonic()
    assert wire.ask("PUT", "/photos/a", data, **limit).status == 200
    put_s = time.monotonic() - began
    began = time.monotonic()
    assert wire.ask("GET", "/photos/a", **limit).body == data
    assert put_s > 1.0
    assert time.monotonic() - began > 1.0


def test_many_clients_at_once_each_get_their_own(wire: Wire) -> None:
    failures: list[object] = []

    def work(number: int) -> None:
        data = os.urandom(1000 if number % 2 else 200_000)
        connection = wire.connect()
        for turn in range(8):
            target = f"/photos/{number}-{turn}"
            connection.sendall(wire.head("PUT", target, **{"content-length": str(len(data))}) + data)
            put = receive(connection)
            connection.sendall(wire.head("GET", target))
            if put.status != 200 or receive(connection).body != data:
                failures.append((number, turn, put))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_over_tls_everything_is_the_same(serve: Serve, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    key.write_bytes(issued.private_key_pem.bytes())
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    oss, wire = serve(tls=(certificate, key))
    assert oss.endpoint.startswith("https://")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    data = os.urandom(3_000_000)
    with context.wrap_socket(wire.connect(), server_hostname="127.0.0.1") as secure:
        for request in (
            wire.head("PUT", "/photos/", **{"content-length": "0"}),
            wire.head("PUT", "/photos/a", **{"content-length": str(len(data))}) + data,
        ):
            secure.sendall(request)
            assert receive(secure).status == 200
        secure.sendall(wire.head("GET", "/photos/a"))
        assert receive(secure).body == data
    with pytest.raises(InvalidInput):
        LocalOss.start(tmp_path / "other", users={"a": "b"}, tls=(key, certificate))


# -- starting and stopping


def test_stopping_lets_a_request_under_way_end(serve: Serve) -> None:
    oss, wire = serve()
    wire.ask("PUT", "/photos/")
    idle, busy = wire.connect(), wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", **{"content-length": "200000"}) + b"x" * 100_000)
    eventually(lambda: any((oss.directory / "staging").iterdir()))
    stopping = threading.Thread(target=oss.stop, args=(20.0,))
    stopping.start()
    assert idle.recv(1) == b""
    busy.sendall(b"x" * 100_000)
    answer = receive(busy)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    stopping.join()
    with LocalOss.start(oss.directory, users={"ak": "sk"}) as again:
        host, port = again.endpoint.partition("://")[2].split(":")
        other = Wire(host, int(port))
        assert other.ask("HEAD", "/photos/a").headers["content-length"] == "200000"
        for connection in other.open:
            connection.close()


def test_stopping_cuts_who_does_not_end(serve: Serve) -> None:
    oss, wire = serve()
    wire.ask("PUT", "/photos/")
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", **{"content-length": "200000"}) + b"x" * 100_000)
    eventually(lambda: any((oss.directory / "staging").iterdir()))
    oss.stop(drain_s=0.05)
    with pytest.raises((EOFError, ConnectionResetError)):
        receive(busy)
    oss.stop()


def test_a_port_or_directory_that_is_taken_is_told(serve: Serve, tmp_path: Path) -> None:
    oss, wire = serve()
    with pytest.raises(InvalidInput, match=str(wire.port)):
        LocalOss.start(tmp_path / "other", users={"a": "b"}, port=wire.port)
    with pytest.raises(StoreError):
        LocalOss.start(oss.directory, users={"a": "b"})


def test_a_temporary_directory_is_gone_afterwards() -> None:
    with LocalOss.start(users={"a": "b"}) as oss:
        assert oss.directory.is_dir()
    assert not oss.directory.exists()


# -- the seam for faults


class Bend(Interceptor):
    """Does what it is told at one point, once."""

    def __init__(self) -> None:
        self.point = ""
        self.seen: list[Seen] = []
        self.act: Callable[[Response | None], Response | None] = lambda response: response

    def bend(self, point: str, act: Callable[[Response | None], Response | None]) -> None:
        self.point, self.act = point, act

    def _at(self, point: str, seen: Seen, response: Response | None = None) -> Response | None:
        if point != self.point:
            return response
        self.point = ""
        self.seen.append(seen)
        return self.act(response)

    async def on_head(self, seen: Seen) -> Response | None:
        return self._at("head", seen)

    async def on_body(self, seen: Seen) -> None:
        self._at("body", seen)

    async def before_store(self, seen: Seen) -> Response | None:
        return self._at("store", seen)

    async def before_response(self, seen: Seen, response: Response) -> Response:
        return self._at("response", seen, response) or response


def cut(**options: object) -> Callable[[Response | None], Response | None]:
    def act(_: Response | None) -> Response | None:
        raise ConnectionCut(**options)  # type: ignore[arg-type]

    return act


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize(
    ("point", "stored"), [("head", False), ("body", False), ("store", False), ("response", True)]
)
def test_a_connection_can_be_cut_at_every_point(serve: Serve, point: str, stored: bool, size: int) -> None:
    bend = Bend()
    _, wire = serve(interceptor=bend)
    wire.ask("PUT", "/photos/")
    bend.bend(point, cut(reset=True))
    with pytest.raises((EOFError, ConnectionError)):
        wire.ask("PUT", "/photos/a", b"x" * size)
    assert wire.ask("HEAD", "/photos/a").status == (200 if stored else 404)
    assert bend.seen[0].request.path == "/photos/a"


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize(("point", "stored"), [("head", False), ("store", False), ("response", True)])
def test_another_answer_can_be_given_at_every_point(
    serve: Serve, point: str, stored: bool, size: int
) -> None:
    bend = Bend()
    _, wire = serve(interceptor=bend)
    wire.ask("PUT", "/photos/")
    bend.bend(point, lambda _: Response(503, {}, b"<Error><Code>ServiceUnavailable</Code></Error>"))
    answer = wire.ask("PUT", "/photos/a", b"x" * size)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert wire.ask("HEAD", "/photos/a").status == (200 if stored else 404)


@pytest.mark.parametrize("size", [1000, 300_000])
def test_an_answer_can_be_cut_short(serve: Serve, size: int) -> None:
    bend = Bend()
    _, wire = serve(interceptor=bend)
    wire.ask("PUT", "/photos/")
    wire.ask("PUT", "/photos/a", b"x" * size)
    bend.bend("response", cut(reset=False, after_bytes=800))
    with pytest.raises(EOFError, match=f"of {size} bytes"):
        wire.ask("GET", "/photos/a")


def test_completing_goes_on_when_its_client_is_gone(serve: Serve) -> None:
    """The request is whole when the client leaves; the object is made all the same."""
    bend = Bend()
    _, wire = serve(interceptor=bend)
    wire.ask("PUT", "/photos/")
    key = quote("a b")
    upload = wire.ask("POST", f"/photos/{key}?uploads").element("UploadId")
    part: Answer = wire.ask("PUT", f"/photos/{key}?partNumber=1&uploadId={upload}", b"whole")
    listed = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    gone = threading.Event()

    def leave(_: Response | None) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        gone.set()

    bend.bend("store", leave)
    connection = wire.connect()
    head = wire.head("POST", f"/photos/{key}?uploadId={upload}", **{"content-length": str(len(document))})
    connection.sendall(head + document)
    assert gone.wait(10)
    eventually(lambda: wire.ask("HEAD", f"/photos/{key}").status == 200)
    assert wire.ask("GET", f"/photos/{key}").body == b"whole"


def test_a_client_that_resets_in_mid_body_is_cut_short_after_the_write_under_way(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writing, go_on, closed = threading.Event(), threading.Event(), threading.Event()
    plain_write, plain_close = LocalStagedBlob.write, Exchange.close

    def slow_write(blob: LocalStagedBlob, data: bytes | bytearray | memoryview) -> None:
        writing.set()
        assert go_on.wait(10)
        plain_write(blob, data)

    def watched_close(exchange: Exchange) -> None:
        plain_close(exchange)
        closed.set()

    monkeypatch.setattr(LocalStagedBlob, "write", slow_write)
    monkeypatch.setattr(Exchange, "close", watched_close)
    lost = threading.Event()
    plain_lost = Stream.connection_lost

    def watched_lost(stream: Stream, exc: Exception | None) -> None:
        plain_lost(stream, exc)
        lost.set()

    monkeypatch.setattr(Stream, "connection_lost", watched_lost)
    _, wire = serve()
    assert wire.ask("PUT", "/photos/").status == 200
    lost.clear()
    closed.clear()
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", content_length="5000000") + bytes(1000))
    assert writing.wait(10)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert lost.wait(10)
    wire.ask("GET", "/photos/")  # the loop has had its turn by then
    go_on.set()
    assert closed.wait(10)
    assert wire.ask("GET", "/photos/a").code == "NoSuchKey"
    assert not caplog.records


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("framing", [{"content_length": "9"}, {"transfer_encoding": "chunked"}])
def test_a_body_that_a_reader_announces_is_not_waited_for(
    wire: Wire, method: str, framing: dict[str, str]
) -> None:
    assert wire.ask("PUT", "/photos/a", b"hello").status == 200
    connection = wire.connect()
    connection.sendall(wire.head(method, "/photos/a", **framing))
    answer = receive(connection, method)
    assert (answer.status, answer.body) == (200, b"hello" if method == "GET" else b"")
    assert answer.headers["connection"] == "close"
    connection.sendall(b"whatever")
    assert connection.recv(10) == b""
