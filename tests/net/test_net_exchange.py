from __future__ import annotations

import threading

import pytest
from scripted_peer import Peer, answering

from penstock.errors import (
    ConnectFailed,
    ConnectionLost,
    MalformedResponse,
    SourceEndedEarly,
    SourceGrew,
    TimedOut,
)
from penstock.net import Flight, HttpRequest, Latch

KIB = 1024
MIB = 1024 * KIB


def test_a_request_arrives_and_its_answer_comes_back(transport):
    with Peer(answering(201, b"hello", "X-Thing: 1\r\n")) as peer:
        flight = Flight()
        request = HttpRequest(peer.origin(), "PUT", "/k?x=1", [("X-A", "b")], b"body")
        with transport.send(request, Latch(), flight) as response:
            assert response.status == 201
            assert response.reason == "Whatever"
            assert response.headers["x-thing"] == "1"
            assert response.body_bytes == 5
            assert response.read() == b"hello"
            assert response.read() == b""
        assert peer.requests[0][0] == "PUT /k?x=1 HTTP/1.1"
        assert peer.requests[0][1]["x-a"] == "b"
        assert peer.requests[0][2] == b"body"
        assert (flight.started, flight.complete, flight.sent_bytes) == (True, True, 4)
        assert (flight.connection_reused, flight.tries) == (False, 1)
        assert transport.requests_started == 1


@pytest.mark.parametrize("size", [0, 1, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 300 * KIB, 9 * MIB])
@pytest.mark.parametrize("secure", [False, True])
def test_bytes_of_every_size_arrive_unchanged(transport, server_tls, size, secure):
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)

    def script(connection):
        if secure:
            connection.handshake(server_tls)
        answering(200, body)(connection)

    with Peer(script) as peer:
        origin = peer.origin("https" if secure else "http", "localhost" if secure else "127.0.0.1")
        for source in (body, memoryview(body)):
            flight = Flight()
            response = transport.send(HttpRequest(origin, "PUT", "/", body=source), Latch(), flight)
            assert response.read() == body
            assert flight.sent_bytes == size
        assert [request[2] for request in peer.requests] == [body] * 2
        assert transport.open_connections == 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "pieces",
    [
        [],
        [b""],
        [b"a"],
        [b"a", b"", b"bc"],
        [b"x" * 300 * KIB, b"y", b"z" * 20 * KIB],
        [b"x" * 16 * KIB] * 5,
        [b"y", b"z" * 70 * KIB],
    ],
)
def test_pieces_arrive_in_order(transport, pieces, known):
    whole = b"".join(pieces)
    with Peer(answering()) as peer:
        flight, seen = Flight(), []
        request = HttpRequest(
            peer.origin(), "PUT", "/", body=iter(pieces), body_bytes=len(whole) if known else None
        )
        transport.send(request, Latch(), flight, seen.append)
        assert peer.requests[0][2] == whole
        assert flight.sent_bytes == len(whole)
        assert seen == sorted(set(seen))
        assert (seen or [0])[-1] == len(whole)


def test_pieces_may_share_one_buffer(transport):
    buffer = bytearray(64 * KIB)

    def pieces():
        for step in range(5):
            buffer[:] = bytes([step]) * len(buffer)
            yield memoryview(buffer)
        buffer[:] = b"!" * len(buffer)

    with Peer(answering()) as peer:
        transport.send(
            HttpRequest(peer.origin(), "PUT", "/", body=pieces(), body_bytes=5 * 64 * KIB), Latch()
        )
        assert peer.requests[0][2] == b"".join(bytes([step]) * 64 * KIB for step in range(5))


@pytest.mark.parametrize("missing", [1, 100 * KIB])
@pytest.mark.parametrize("size", [10 * KIB, 300 * KIB])
def test_a_source_that_ends_early_resets_the_connection(transport, size, missing):
    ended = threading.Event()

    def script(connection):
        connection.read_to_end()
        ended.set()

    with Peer(script) as peer:
        flight = Flight()
        request = HttpRequest(
            peer.origin(), "PUT", "/", body=iter([b"a" * 1000] * (size // 1000)), body_bytes=size + missing
        )
        with pytest.raises(SourceEndedEarly):
            transport.send(request, Latch(), flight)
        assert not flight.complete
        assert transport.open_connections == 0
        assert ended.wait(20)
        assert peer.connections[0].ended == "reset"


@pytest.mark.parametrize("size", [10, 300 * KIB])
def test_a_source_that_grew_is_never_delivered_whole(transport, size):
    arrived: list[int] = []

    def script(connection):
        connection.read_until(b"\r\n\r\n")
        arrived.append(connection.read_to_end())

    with Peer(script) as peer:
        flight = Flight()
        request = HttpRequest(peer.origin(), "PUT", "/", body=iter([b"a" * size, b"b"]), body_bytes=size)
        with pytest.raises(SourceGrew):
            transport.send(request, Latch(), flight)
        assert not flight.complete
        peer.wait_for(lambda: peer.connections == [] or not peer._threads[0].is_alive() or bool(arrived))
    assert all(count < size for count in arrived)


def test_an_error_of_the_source_is_passed_on_and_resets_the_connection(transport):
    def pieces():
        yield b"a" * 100 * KIB
        raise OSError("the disk is gone")

    with Peer(lambda connection: connection.read_to_end()) as peer:
        with pytest.raises(OSError, match="the disk is gone"):
            transport.send(HttpRequest(peer.origin(), "PUT", "/", body=pieces()), Latch())
        assert transport.open_connections == 0


def test_an_error_of_the_progress_callback_is_passed_on_and_resets_the_connection(transport):
    with Peer(lambda connection: connection.read_to_end()) as peer:
        with pytest.raises(ZeroDivisionError):
            transport.send(
                HttpRequest(peer.origin(), "PUT", "/", body=b"abc"), Latch(), Flight(), lambda sent: 1 // 0
            )
        assert transport.open_connections == 0


def test_progress_is_shown_while_a_slow_peer_takes_a_large_body(transport):
    go = threading.Event()
    body = bytes(8 * MIB)

    def script(connection):
        connection.read_until(b"\r\n\r\n")
        connection.read_exactly(MIB)
        assert go.wait(20)
        connection.read_exactly(7 * MIB)
        connection.answer()

    def on_sent(sent):
        seen.append(sent)
        go.set()

    seen: list[int] = []
    with Peer(script, receive_buffer_bytes=64 * KIB) as peer:
        transport.send(HttpRequest(peer.origin(), "PUT", "/", body=body), Latch(), Flight(), on_sent)
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == len(body)


# Answers


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def replying(*pieces: bytes, close: bool = False):
    def script(connection):
        while True:
            connection.read_request()
            for piece in pieces:
                connection.send(piece)
            if close:
                return

    return script


def fetch(transport, peer, method="GET", **more):
    return transport.send(HttpRequest(peer.origin(), method, "/", **more), Latch())


@pytest.mark.parametrize(
    "wire",
    [
        b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
        b"5;name=value\r\nhello\r\n0006\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
        b"B\r\nhello world\r\n000\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_chunks_are_joined_however_they_arrive(transport, wire, step):
    pieces = [wire[start : start + step] for start in range(0, len(wire), step)]
    with Peer(replying(CHUNKED, *pieces)) as peer:
        for _ in range(2):
            assert fetch(transport, peer).read() == b"hello world"
        assert transport.open_connections == 1
        assert len(peer.connections) == 1


@pytest.mark.parametrize("size", [1, 3, 65_535, 65_536, 300_000])
def test_large_chunks_are_read(transport, size):
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    wire = b"".join(b"%x\r\n%s\r\n" % (len(data), data) for _ in range(3)) + b"0\r\n\r\n"
    with Peer(replying(CHUNKED + wire)) as peer:
        assert fetch(transport, peer).read() == data * 3
        assert transport.open_connections == 1


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n",
        b"-5\r\nhello\r\n",
        b"\r\nhello",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5" * 2000,
        b"1" * 16 + b"\r\n",
        b"0\r\n" + b"a: b\r\n" * 200,
        b"5\nhello\r\n",
    ],
)
def test_chunks_that_are_none_are_refused(transport, wire):
    with Peer(replying(CHUNKED + wire)) as peer:
        response = fetch(transport, peer)
        with pytest.raises(MalformedResponse):
            response.read()
        assert transport.open_connections == 0


@pytest.mark.parametrize(
    "wire",
    [
        CHUNKED + b"5\r\nhel",
        CHUNKED + b"5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello",
    ],
)
def test_a_body_that_is_cut_short_is_an_error(transport, wire):
    with Peer(replying(wire, close=True)) as peer:
        response = fetch(transport, peer)
        with pytest.raises(ConnectionLost):
            response.read()
        assert transport.open_connections == 0


def test_a_body_without_a_length_ends_with_the_connection(transport):
    with Peer(replying(b"HTTP/1.1 200 OK\r\n\r\nhello", b" world", close=True)) as peer:
        assert fetch(transport, peer).read() == b"hello world"
        assert transport.open_connections == 0


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_an_answer_without_a_body_frees_the_connection(transport, method, status):
    with Peer(replying(b"HTTP/1.1 %d X\r\nContent-Length: 5\r\n\r\n" % status)) as peer:
        for _ in range(2):
            response = fetch(transport, peer, method)
            assert response.headers["content-length"] == "5"
            assert response.read() == b""
        assert len(peer.connections) == 1


def test_interim_answers_are_passed_over(transport):
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    with Peer(replying(interim + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")) as peer:
        response = fetch(transport, peer)
        assert (response.status, response.read()) == (200, b"ok")


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n" * 50, b"HTTP/1.1 101 Switching\r\n\r\n"]
)
def test_an_answer_that_never_becomes_final_is_refused(transport, interim):
    with Peer(replying(interim)) as peer, pytest.raises(MalformedResponse):
        fetch(transport, peer)


def test_a_head_that_comes_byte_by_byte_is_read(transport):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    with Peer(replying(*[head[at : at + 1] for at in range(len(head))])) as peer:
        assert fetch(transport, peer).read() == b"ok"


def test_a_head_that_is_too_long_is_refused(transport):
    with Peer(replying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000)) as peer:
        with pytest.raises(MalformedResponse, match="longer than"):
            fetch(transport, peer)
        assert transport.open_connections == 0


def test_garbage_is_refused_with_advice(transport):
    with Peer(replying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")) as peer, pytest.raises(MalformedResponse) as caught:
        fetch(transport, peer)
    assert caught.value.host == peer.origin().address
    assert caught.value.request_sent
    assert caught.value.advice


def test_reading_in_every_way_gives_the_same_bytes(transport):
    data = bytes(range(256)) * 2000
    with Peer(answering(200, data)) as peer:
        assert b"".join(fetch(transport, peer)) == data
        assert fetch(transport, peer).read(300) == data[:300]
        response = fetch(transport, peer)
        pieces = []
        while piece := response.read(100_001):
            pieces.append(piece)
        assert b"".join(pieces) == data
        assert {len(piece) for piece in pieces[:-1]} == {100_001}
        target = bytearray(len(data) + 10)
        response, count = fetch(transport, peer), 0
        while got := response.readinto(memoryview(target)[count:]):
            count += got
        assert bytes(target[:count]) == data


def test_a_response_that_is_not_read_to_its_end_costs_its_connection(transport):
    with Peer(answering(200, bytes(2 * MIB))) as peer:
        fetch(transport, peer).close()
        with fetch(transport, peer) as response:
            response.read(10)
        fetch(transport, peer)
        import gc

        gc.collect()
        assert transport.open_connections == 0


# Peers that misbehave


def test_nobody_listens(transport):
    with Peer(answering()) as peer:
        origin = peer.origin()
    with pytest.raises(ConnectFailed) as caught:
        transport.send(HttpRequest(origin, "GET", "/"), Latch())
    assert caught.value.host == origin.address
    assert str(caught.value).startswith(
        f"Tried to connect to {origin.address}: 127.0.0.1: Connection refused"
    )
    assert not caught.value.request_sent
    assert transport.requests_started == 0


@pytest.mark.parametrize("ending", ["fin", "reset"])
def test_a_peer_that_goes_away_instead_of_answering(transport, ending):
    def script(connection):
        connection.read_request()
        if ending == "reset":
            connection.reset()

    with Peer(script) as peer:
        flight = Flight()
        with pytest.raises(ConnectionLost) as caught:
            transport.send(HttpRequest(peer.origin(), "PUT", "/", body=b"x"), Latch(), flight)
        assert caught.value.request_sent
        assert flight.complete
        assert flight.tries == 1
        assert transport.open_connections == 0


def test_a_peer_that_goes_away_in_the_middle_of_the_body(transport):
    def script(connection):
        connection.read_exactly(100_000)
        connection.reset()

    with Peer(script) as peer:
        flight = Flight()
        with pytest.raises(ConnectionLost) as caught:
            transport.send(HttpRequest(peer.origin(), "PUT", "/", body=bytes(64 * MIB)), Latch(), flight)
        assert not caught.value.request_sent
        assert not flight.complete
        assert 0 < flight.sent_bytes < 64 * MIB


def test_a_peer_that_never_answers_times_out(transports):
    with Peer(lambda connection: connection.hold()) as peer:
        transport = transports(read_timeout_s=0.3)
        with pytest.raises(TimedOut) as caught:
            fetch(transport, peer)
        assert caught.value.request_sent
        assert transport.open_connections == 0


def test_a_request_may_have_its_own_time_out(transport):
    with Peer(lambda connection: connection.hold()) as peer, pytest.raises(TimedOut):
        fetch(transport, peer, read_timeout_s=0.3)


@pytest.mark.parametrize("secure", [False, True])
def test_a_peer_that_stops_reading_times_out(transports, server_tls, secure):
    def script(connection):
        if secure:
            connection.handshake(server_tls)
        connection.hold()

    with Peer(script, receive_buffer_bytes=64 * KIB) as peer:
        transport = transports(read_timeout_s=0.3)
        flight = Flight()
        origin = peer.origin("https" if secure else "http", "localhost")
        with pytest.raises(TimedOut) as caught:
            transport.send(HttpRequest(origin, "PUT", "/", body=bytes(64 * MIB)), Latch(), flight)
        assert not caught.value.request_sent
        assert not flight.complete
        assert 0 < flight.sent_bytes < 64 * MIB


@pytest.mark.parametrize("secure", [False, True])
def test_a_body_that_stops_coming_times_out(transports, server_tls, secure):
    def script(connection):
        if secure:
            connection.handshake(server_tls)
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        connection.hold()

    with Peer(script) as peer:
        transport = transports(read_timeout_s=0.3)
        origin = peer.origin("https" if secure else "http", "localhost")
        response = transport.send(HttpRequest(origin, "GET", "/"), Latch())
        with pytest.raises(TimedOut):
            response.read()


# Early answers


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("then", ["hold", "close"])
def test_an_error_that_comes_before_the_body_is_out_is_returned(transport, server_tls, secure, then):
    def script(connection):
        if secure:
            connection.handshake(server_tls)
        connection.read_until(b"\r\n\r\n")
        connection.answer(403, b"<Error/>")
        if then == "hold":
            connection.hold()

    with Peer(script, receive_buffer_bytes=64 * KIB) as peer:
        flight = Flight()
        origin = peer.origin("https" if secure else "http", "localhost")
        response = transport.send(HttpRequest(origin, "PUT", "/", body=bytes(64 * MIB)), Latch(), flight)
        assert response.status == 403
        assert response.read() == b"<Error/>"
        assert not flight.complete
        assert transport.open_connections == 0


def test_a_success_before_the_body_is_out_is_no_success(transport):
    def script(connection):
        connection.read_until(b"\r\n\r\n")
        connection.answer(200)
        connection.hold()

    with Peer(script, receive_buffer_bytes=64 * KIB) as peer:
        with pytest.raises(MalformedResponse, match="before it had the whole request"):
            transport.send(HttpRequest(peer.origin(), "PUT", "/", body=bytes(64 * MIB)), Latch())
        assert transport.open_connections == 0


def test_a_100_continue_in_the_middle_of_the_body_stops_nothing(transport):
    def script(connection):
        head = connection.read_until(b"\r\n\r\n")
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        connection.read_exactly(length)
        connection.answer(200, b"done")

    with Peer(script, receive_buffer_bytes=64 * KIB) as peer:
        assert fetch(transport, peer, "PUT", body=bytes(16 * MIB)).read() == b"done"
        assert transport.open_connections == 1


# Kept connections


def test_a_connection_serves_again(transport):
    with Peer(answering(200, b"x" * 100_000)) as peer:
        for expected in (False, True, True):
            flight = Flight()
            transport.send(HttpRequest(peer.origin(), "GET", "/"), Latch(), flight).read()
            assert flight.connection_reused is expected
        assert len(peer.connections) == 1


def test_the_connection_used_last_is_used_next(transport):
    with Peer(answering(200, bytes(200_000))) as peer:
        first, second = fetch(transport, peer), fetch(transport, peer)
        first.read()
        second.read()
        fetch(transport, peer).read()
        assert len(peer.connections) == 2
        assert [len(transport._pool), transport.open_connections] == [2, 2]


def test_no_more_connections_are_kept_than_allowed(transports):
    transport = transports(max_idle_per_origin=2)
    with Peer(answering(200, bytes(200_000))) as peer:
        responses = [fetch(transport, peer) for _ in range(5)]
        for response in responses:
            response.read()
        assert transport.open_connections == 2


def test_a_connection_that_waited_too_long_is_not_used(transports):
    transport = transports(idle_s=0.0)
    with Peer(answering()) as peer:
        fetch(transport, peer)
        fetch(transport, peer)
        assert len(peer.connections) == 2
        assert transport.open_connections == 1


def test_origins_do_not_share_connections(transport):
    with Peer(answering()) as peer, Peer(answering()) as other:
        fetch(transport, peer)
        fetch(transport, other)
        assert (len(peer.connections), len(other.connections)) == (1, 1)


def test_connection_close_is_honoured(transport):
    with Peer(answering(200, b"x", "Connection: close\r\n")) as peer:
        assert fetch(transport, peer).read() == b"x"
        assert transport.open_connections == 0


def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(transport):
    closed = threading.Event()

    def script(connection):
        connection.read_request()
        connection.answer()
        connection.sock.close()
        closed.set()

    with Peer(script) as peer:
        fetch(transport, peer)
        assert closed.wait(20)
        flight = Flight()
        transport.send(HttpRequest(peer.origin(), "POST", "/", body=b"x"), Latch(), flight)
        assert flight.tries == 1
        assert len(peer.connections) == 2


def test_a_kept_connection_on_which_something_unasked_came_is_not_used(transport):
    spoken = threading.Event()

    def script(connection):
        connection.read_request()
        connection.answer()
        connection.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        spoken.set()
        connection.hold()

    with Peer(script) as peer:
        fetch(transport, peer)
        assert spoken.wait(20)
        fetch(transport, peer)
        assert len(peer.connections) == 2


def dying_once(connection):
    """Serves one request; the first connection dies when the second request has come."""
    while True:
        connection.read_request()
        if connection is connection.peer.connections[0] and len(connection.peer.requests) > 1:
            connection.reset()
            return
        connection.answer()


@pytest.mark.parametrize(
    ("method", "body", "replayable"),
    [("PUT", b"x", None), ("GET", None, None), ("POST", b"x", True), ("PUT", [b"x"], True)],
)
def test_a_request_that_may_be_repeated_is_repeated_once_on_a_dead_kept_connection(
    transport, method, body, replayable
):
    with Peer(dying_once) as peer:
        fetch(transport, peer)
        flight = Flight()
        request = HttpRequest(peer.origin(), method, "/", body=body, replayable=replayable)
        assert transport.send(request, Latch(), flight).status == 200
        assert flight.tries == 2
        assert not flight.connection_reused
        assert flight.complete
        assert len(peer.requests) == 3
        assert transport.requests_started == 3


@pytest.mark.parametrize(
    ("method", "body", "replayable"),
    [("POST", b"x", None), ("PUT", b"x", False), ("PUT", iter([b"x"]), True), ("PUT", [b"x"], None)],
)
def test_a_request_that_may_not_be_repeated_is_not(transport, method, body, replayable):
    with Peer(dying_once) as peer:
        fetch(transport, peer)
        flight = Flight()
        request = HttpRequest(peer.origin(), method, "/", body=body, body_bytes=1, replayable=replayable)
        with pytest.raises(ConnectionLost):
            transport.send(request, Latch(), flight)
        assert flight.tries == 1
        assert len(peer.requests) == 2


def test_nothing_is_repeated_once_some_of_the_answer_came(transport):
    def script(connection):
        connection.read_request()
        connection.answer()
        connection.read_request()
        connection.send(b"HTTP/1.1 200")
        connection.reset()

    with Peer(script) as peer:
        fetch(transport, peer)
        with pytest.raises(ConnectionLost):
            fetch(transport, peer, "PUT", body=b"x")
        assert len(peer.connections) == 1


def test_closing_the_transport_closes_kept_connections_and_later_those_in_use(transport):
    with Peer(answering(200, bytes(300_000))) as peer:
        fetch(transport, peer).read()
        response = fetch(transport, peer)
        transport.close()
        assert transport.open_connections == 1
        assert len(response.read()) == 300_000
        assert transport.open_connections == 0


def test_many_threads_share_one_transport(transport, call):
    with Peer(answering(200, b"z" * 100)) as peer:

        def work():
            return [fetch(transport, peer, "PUT", body=b"x" * 5000).read() for _ in range(40)]

        callers = [call(work) for _ in range(8)]
        assert all(caller.join().value == [b"z" * 100] * 40 for caller in callers)
        assert len(peer.requests) == 320
        assert len(peer.connections) <= 8
        assert transport.open_connections == len(peer.connections)
