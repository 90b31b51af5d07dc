from __future__ import annotations

import ssl

import pytest
import trustme
from scripted_peer import Peer, answering

from penstock.errors import ConnectionLost, InvalidInput, MalformedResponse, TimedOut, TlsFailed
from penstock.net import HttpRequest, Latch, NetSettings, Origin
from penstock.net.tls import new_context


def secured(context, script=None):
    def secured_script(connection):
        connection.handshake(context)
        (script or answering(200, b"ok"))(connection)

    return secured_script


def ask(transport, origin):
    return transport.send(HttpRequest(origin, "GET", "/"), Latch())


def test_a_trusted_server_is_spoken_to(transport, server_tls):
    with Peer(secured(server_tls)) as peer:
        for host in ("localhost", "127.0.0.1"):
            assert ask(transport, peer.origin("https", host)).read() == b"ok"


def test_an_untrusted_certificate_is_refused_with_advice(transports, server_tls):
    transport = transports(ca_file=None)
    with Peer(secured(server_tls)) as peer:
        with pytest.raises(TlsFailed) as caught:
            ask(transport, peer.origin("https", "localhost"))
        assert "certificate" in str(caught.value)
        assert "ca_file" in caught.value.advice
        assert caught.value.host == peer.origin("https", "localhost").address
        assert transport.open_connections == 0
        assert peer.requests == []


def test_a_certificate_for_another_name_is_refused(transport, authority, server_tls):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = server_tls.sslsocket_class
    authority.issue_cert("other.example.com").configure_cert(context)
    with Peer(secured(context)) as peer, pytest.raises(TlsFailed) as caught:
        ask(transport, peer.origin("https", "localhost"))
    assert "another name" in caught.value.advice


def test_any_certificate_is_accepted_where_that_was_asked_for(transports, server_tls):
    with Peer(secured(server_tls)) as peer:
        transport = transports(ca_file=None, verify_tls=False)
        assert ask(transport, peer.origin("https", "localhost")).read() == b"ok"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_names_trusted_certificates(transports, server_tls, monkeypatch, ca_file, name):
    for other in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, ca_file)
    with Peer(secured(server_tls)) as peer:
        assert ask(transports(ca_file=None), peer.origin("https", "localhost")).read() == b"ok"


def test_a_file_of_certificates_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match=r"gone\.pem"):
        new_context(NetSettings(ca_file=str(tmp_path / "gone.pem")))
    (tmp_path / "empty.pem").write_text("no certificate")
    with pytest.raises(InvalidInput):
        new_context(NetSettings(ca_file=str(tmp_path / "empty.pem")))


def test_https_to_a_port_that_speaks_http(transport):
    def script(connection):
        connection.read_exactly(10)
        connection.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        connection.hold()

    with Peer(script) as peer, pytest.raises(TlsFailed) as caught:
        ask(transport, peer.origin("https", "localhost"))
    assert "use http" in caught.value.advice


def test_http_to_a_port_that_speaks_tls(transport, server_tls):
    with Peer(secured(server_tls)) as peer, pytest.raises((MalformedResponse, ConnectionLost)):
        ask(transport, peer.origin("http", "localhost"))


def test_a_peer_that_hangs_up_during_the_handshake(transport):
    with Peer(lambda connection: connection.read_exactly(10)) as peer, pytest.raises(TlsFailed):
        ask(transport, peer.origin("https", "localhost"))


def test_a_handshake_that_is_not_answered_times_out(transports):
    transport = transports(connect_timeout_s=0.3)
    with Peer(lambda connection: connection.hold()) as peer, pytest.raises(TimedOut) as caught:
        ask(transport, peer.origin("https", "localhost"))
    assert "TLS" in str(caught.value)
    assert transport.open_connections == 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_keep_connections(transport, authority, server_tls, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = server_tls.sslsocket_class
    context.maximum_version = version
    authority.issue_cert("localhost").configure_cert(context)
    with Peer(secured(context)) as peer:
        for _ in range(3):
            assert ask(transport, peer.origin("https", "localhost")).read() == b"ok"
        assert len(peer.connections) == 1


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_body_that_ends_with_the_connection_needs_the_end_of_tls(transport, server_tls, goodbye):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        if goodbye:
            connection.sock.unwrap()

    with Peer(secured(server_tls, script)) as peer:
        response = ask(transport, peer.origin("https", "localhost"))
        if goodbye:
            assert response.read() == b"hello"
        else:
            with pytest.raises(ConnectionLost):
                response.read()


def test_a_large_download_arrives_unchanged(transport, server_tls):
    data = bytes(range(256)) * 40_000
    with Peer(secured(server_tls, answering(200, data))) as peer:
        for _ in range(2):
            assert ask(transport, peer.origin("https", "localhost")).read() == data
        assert len(peer.connections) == 1


def test_a_proxy_may_itself_be_spoken_to_over_tls(transports, server_tls, authority: trustme.CA):
    with Peer(secured(server_tls)) as proxy:
        transport = transports(proxy=f"https://localhost:{proxy.port}")
        assert ask(transport, Origin("http", "bucket.invalid", 80)).read() == b"ok"
        assert proxy.requests[0][0] == "GET http://bucket.invalid/ HTTP/1.1"
