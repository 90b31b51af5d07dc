from __future__ import annotations

import base64
import pickle

import pytest
from scripted_peer import Peer, answering

from penstock.errors import InvalidInput, ProxyRefused, TimedOut
from penstock.net import HttpRequest, Latch, Origin
from penstock.net.proxy import is_exempt, parse_proxy, proxy_for

SECRET = "hunter2:&/"
CREDENTIALS = "Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://p:3128", Origin("http", "p", 3128)),
        ("http://p", Origin("http", "p", 80)),
        ("https://p", Origin("https", "p", 443)),
        ("p:3128", Origin("http", "p", 3128)),
        ("http://[::1]:3128/", Origin("http", "::1", 3128)),
    ],
)
def test_a_proxy_url_is_read(url, origin):
    assert parse_proxy(url).origin == origin
    assert parse_proxy(url).authorization == ""


def test_user_and_password_are_decoded_and_not_shown():
    proxy = parse_proxy("http://user:hunter2%3A%26%2F@p:3128")
    assert proxy.authorization == CREDENTIALS
    assert "hunter2" not in repr(proxy)
    assert CREDENTIALS not in repr(proxy)


@pytest.mark.parametrize(
    "url", ["socks5://u:hunter2@p:1", "http://u:hunter2@:1", "http://u:hunter2@p:99999", "http://"]
)
def test_what_is_no_proxy_url_is_refused_without_showing_the_password(url):
    with pytest.raises(InvalidInput) as caught:
        parse_proxy(url)
    assert "hunter2" not in str(caught.value)


HTTP = Origin("http", "bucket.oss.example.com", 80)
HTTPS = Origin("https", "bucket.oss.example.com", 443)


@pytest.mark.parametrize(
    ("origin", "environment", "host"),
    [
        (HTTP, {"http_proxy": "a"}, "a"),
        (HTTP, {"HTTP_PROXY": "a"}, "a"),
        (HTTP, {"HTTP_PROXY": "a", "http_proxy": "b"}, "b"),
        (HTTP, {"HTTP_PROXY": "a", "http_proxy": ""}, None),
        (HTTP, {"https_proxy": "a"}, None),
        (HTTPS, {"HTTPS_PROXY": "a", "http_proxy": "b"}, "a"),
        (HTTPS, {"http_proxy": "b"}, None),
        (HTTPS, {"ALL_PROXY": "c"}, "c"),
        (HTTP, {"HTTP_PROXY": "a", "REQUEST_METHOD": "GET"}, None),
        (HTTP, {"http_proxy": "a", "REQUEST_METHOD": "GET"}, "a"),
        (HTTPS, {"HTTPS_PROXY": "a", "REQUEST_METHOD": "GET"}, "a"),
        (HTTP, {"http_proxy": "a", "no_proxy": "example.com"}, None),
        (HTTP, {"http_proxy": "a", "NO_PROXY": "example.org"}, "a"),
        (HTTP, {}, None),
    ],
)
def test_the_environment_chooses_the_proxy(origin, environment, host):
    proxy = proxy_for(origin, None, environment)
    assert (proxy.origin.host if proxy else None) == host


def test_a_setting_goes_before_the_environment():
    assert proxy_for(HTTP, "", {"http_proxy": "a"}) is None
    proxy = proxy_for(HTTP, "b", {"http_proxy": "a", "no_proxy": "*"})
    assert proxy is not None
    assert proxy.origin.host == "b"


@pytest.mark.parametrize(
    ("host", "port", "exempt", "expected"),
    [
        ("example.com", 80, "example.com", True),
        ("a.example.com", 80, "example.com", True),
        ("a.example.com", 80, ".example.com", True),
        ("a.example.com", 80, "*.example.com", True),
        ("A.Example.COM.", 80, "example.com", True),
        ("notexample.com", 80, "example.com", False),
        ("example.com", 80, "a.example.com", False),
        ("example.com", 80, "x, example.com", True),
        ("example.com", 80, "x example.com", True),
        ("example.com", 80, "*", True),
        ("example.com", 80, "", False),
        ("example.com", 80, " , . ", False),
        ("example.com", 9000, "example.com:9000", True),
        ("example.com", 9001, "example.com:9000", False),
        ("10.1.2.3", 80, "10.0.0.0/8", True),
        ("11.1.2.3", 80, "10.0.0.0/8", False),
        ("127.0.0.1", 9000, "127.0.0.1", True),
        ("127.0.0.1", 9000, "127.0.0.1:80", False),
        ("127.0.0.1", 9000, "localhost", False),
        ("10.1.2.3", 80, "2.3", False),
        ("::1", 80, "::1", True),
        ("::1", 80, "[::1]:80", True),
        ("::1", 80, "[::1]", True),
        ("fd00::5", 80, "fd00::/8", True),
    ],
)
def test_who_is_exempt(host, port, exempt, expected):
    assert is_exempt(Origin("http", host, port), exempt) is expected


def test_plain_http_goes_through_the_proxy_in_absolute_form(transports):
    with Peer(answering(200, b"hi")) as proxy:
        transport = transports(proxy=f"http://user:hunter2%3A%26%2F@127.0.0.1:{proxy.port}")
        origin = Origin("http", "bucket.invalid", 8080)
        for _ in range(2):
            assert transport.send(HttpRequest(origin, "GET", "/k?a"), Latch()).read() == b"hi"
        line, headers, _ = proxy.requests[0]
        assert line == "GET http://bucket.invalid:8080/k?a HTTP/1.1"
        assert headers["host"] == "bucket.invalid:8080"
        assert headers["proxy-authorization"] == CREDENTIALS
        assert len(proxy.connections) == 1


def tunnelling(server_tls, proxy_tls=None):
    def script(connection):
        if proxy_tls is not None:
            connection.handshake(proxy_tls)
        head = connection.read_until(b"\r\n\r\n").decode()
        connection.peer.requests.append((head.split("\r\n")[0], {"head": head}, b""))
        connection.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        connection.handshake(server_tls)
        answering(200, b"secret")(connection)

    return script


def test_https_goes_through_a_way_that_the_proxy_opens(transports, server_tls):
    with Peer(tunnelling(server_tls)) as proxy:
        transport = transports(proxy=f"http://user:hunter2%3A%26%2F@127.0.0.1:{proxy.port}")
        origin = Origin("https", "localhost", 8443)
        body = bytes(1_000_000)
        for _ in range(2):
            assert transport.send(HttpRequest(origin, "PUT", "/k", body=body), Latch()).read() == b"secret"
        (connect, sent, _), first, second = proxy.requests
        assert connect == "CONNECT localhost:8443 HTTP/1.1"
        assert f"Proxy-Authorization: {CREDENTIALS}\r\n" in sent["head"]
        assert "proxy-authorization" not in first[1]
        assert first[0] == second[0] == "PUT /k HTTP/1.1"
        assert first[2] == body


@pytest.mark.parametrize(("status", "word"), [(407, "user:password"), (403, "NO_PROXY"), (502, "NO_PROXY")])
def test_a_proxy_that_refuses_is_named_and_its_password_is_not(transports, status, word):
    with Peer(answering(status, b"<html>")) as proxy:
        transport = transports(proxy=f"http://user:hunter2@127.0.0.1:{proxy.port}")
        with pytest.raises(ProxyRefused) as caught:
            transport.send(HttpRequest(Origin("https", "h", 443), "GET", "/"), Latch())
        assert str(status) in str(caught.value)
        assert word in caught.value.advice
        assert "hunter2" not in str(caught.value) + repr(caught.value) + repr(pickle.dumps(caught.value))
        assert transport.open_connections == 0


@pytest.mark.parametrize("reply", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\ntoo much"])
def test_a_proxy_that_does_not_speak_http(transports, reply):
    def script(connection):
        connection.read_until(b"\r\n\r\n")
        connection.send(reply)

    with Peer(script) as proxy:
        transport = transports(proxy=f"http://127.0.0.1:{proxy.port}")
        with pytest.raises(ProxyRefused):
            transport.send(HttpRequest(Origin("https", "h", 443), "GET", "/"), Latch())


def test_a_proxy_that_does_not_answer_times_out(transports):
    with Peer(lambda connection: connection.hold()) as proxy:
        transport = transports(proxy=f"http://127.0.0.1:{proxy.port}", connect_timeout_s=0.3)
        with pytest.raises(TimedOut):
            transport.send(HttpRequest(Origin("https", "h", 443), "GET", "/"), Latch())


def test_the_environment_is_used_where_nothing_is_set(transports, monkeypatch):
    with Peer(answering(200, b"via proxy")) as proxy, Peer(answering(200, b"direct")) as peer:
        for name in ("HTTP_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY", "REQUEST_METHOD"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        transport = transports(proxy=None)
        request = HttpRequest(Origin("http", "bucket.invalid", 80), "GET", "/")
        assert transport.send(request, Latch()).read() == b"via proxy"
        assert transport.send(HttpRequest(peer.origin(), "GET", "/"), Latch()).read() == b"direct"
