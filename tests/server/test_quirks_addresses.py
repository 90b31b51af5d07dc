"""How clients in use write hosts, paths, queries, sources of copies and names of headers."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable

import pytest
from quirk_client import ask, by_v1, by_v4, head, http_date
from server_desk import Answer, Wire, receive

from penstock.server.local_oss import LocalOss

Serve = Callable[..., tuple[LocalOss, Wire]]


def raw(wire: Wire, data: bytes, method: str = "GET") -> Answer:
    connection = wire.connect()
    connection.sendall(data)
    return receive(connection, method)


# -- hosts


@pytest.mark.parametrize(
    "host",
    ["photos.localhost", "photos.oss.localhost", "PHOTOS.oss.localhost", "photos.oss.localhost."],
)
@pytest.mark.parametrize("port", ["", ":9000"])
def test_a_bucket_may_stand_in_front_of_a_named_host(wire: Wire, host: str, port: str) -> None:
    put = ask(wire, "PUT", "/a/b", b"x", resource="/photos/a/b", host=host + port)
    assert put.status == 200
    listed = ask(wire, "GET", "/?prefix=a", resource="/photos/", host=host + port)
    assert "<Key>a/b</Key>" in listed.body.decode()
    assert ask(wire, "GET", "/photos/a/b").body == b"x"


@pytest.mark.parametrize("host", ["localhost", "localhost:9000", "oss.localhost", "127.0.0.1", "[::1]:9000"])
def test_a_bucket_may_stand_in_the_path_of_any_host(wire: Wire, host: str) -> None:
    assert ask(wire, "PUT", "/photos/a", b"x", host=host).status == 200
    assert "<Name>photos</Name>" in ask(wire, "GET", "/", host=host).body.decode()


def test_a_client_may_put_a_dot_and_no_bucket_in_front_of_the_host(wire: Wire) -> None:
    listed = ask(wire, "GET", "/", host=".oss.localhost").body.decode()
    assert "<Name>photos</Name>" in listed


def test_where_addressing_is_strict_only_an_ip_address_has_buckets_in_its_path(serve: Serve) -> None:
    _, wire = serve(strict_addressing=True)
    assert ask(wire, "PUT", "/photos/").status == 200
    assert ask(wire, "PUT", "/photos/a", b"x").status == 200
    for host in ("localhost", "localhost:9000", "oss.localhost", "oss-cn-hangzhou.aliyuncs.com"):
        for method, target in (
            ("GET", "/photos/a"),
            ("GET", "/photos/"),
            ("PUT", "/photos/b"),
            ("PUT", "/x-y-z/"),
        ):
            refused = ask(wire, method, target, b"", host=host)
            assert (refused.status, refused.code) == (403, "SecondLevelDomainForbidden")
            assert "third level domain" in refused.element("Message")
        assert ask(wire, "GET", "/", host=host).status == 200
    for host in ("127.0.0.1", "127.0.0.1:9000", "[::1]", "[::1]:9000"):
        assert ask(wire, "GET", "/photos/a", host=host).body == b"x"
    assert ask(wire, "GET", "/a", resource="/photos/a", host="photos.localhost").body == b"x"


def test_a_server_listens_on_ipv6_too(serve: Serve) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    oss, _ = serve(host="::1")
    _, _, port = oss.endpoint.rpartition(":")
    wire = Wire("::1", int(port))
    try:
        assert ask(wire, "PUT", "/photos/", host=f"[::1]:{port}").status == 200
        listed = ask(wire, "GET", "/", host=f"[::1]:{port}").body.decode()
        assert f"<ExtranetEndpoint>http://[::1]:{port}</ExtranetEndpoint>" in listed
    finally:
        for connection in wire.open:
            connection.close()


# -- paths


@pytest.mark.parametrize(
    ("path", "resource", "key"),
    [
        ("/photos/put%2Fa%20b", "/photos/put/a b", "put/a b"),
        ("/photos/put/a%20b", "/photos/put/a b", "put/a b"),
        ("/photos%2Fput%2Fa%20b", "/photos/put/a b", "put/a b"),
        ("/photos/put/a+b", "/photos/put/a b", "put/a b"),
        ("/photos/put/a%2Bb", "/photos/put/a+b", "put/a+b"),
        ("/photos/put%2Fa%2520x", "/photos/put/a%20x", "put/a%20x"),
        ("/photos/%e4%b8%ad%E6%96%87", "/photos/中文", "中文"),
        ("/photos/a//b/./../c", "/photos/a//b/./../c", "a//b/./../c"),
        ("/photos/a%3Fb%23c%26d", "/photos/a?b#c&d", "a?b#c&d"),
        ("/photos/~a*b'c(d)!", "/photos/~a*b'c(d)!", "~a*b'c(d)!"),
    ],
)
def test_a_key_is_the_same_however_its_path_is_written(
    wire: Wire, path: str, resource: str, key: str
) -> None:
    assert ask(wire, "PUT", path, b"x", resource=resource).status == 200
    listed = ask(wire, "GET", "/photos/").body.decode()
    assert f"<Key>{key.replace('&', '&amp;')}</Key>" in listed
    assert ask(wire, "GET", path, resource=resource).body == b"x"


@pytest.mark.parametrize("path", ["/photos", "/photos/", "/photos%2F"])
def test_a_bucket_is_the_same_with_and_without_a_slash(wire: Wire, path: str) -> None:
    resource = path.replace("%2F", "/")
    ask(wire, "PUT", "/photos/a", b"x")
    assert "<Key>a</Key>" in ask(wire, "GET", path, resource=resource).body.decode()
    by_version_4 = {"Host": "127.0.0.1", **by_v4("GET", resource)}
    assert raw(wire, head(f"GET {path} HTTP/1.1", by_version_4)).status == 200


@pytest.mark.parametrize("target", ["/", "//"])
def test_buckets_are_listed_with_one_slash_or_two(wire: Wire, target: str) -> None:
    assert "<Name>photos</Name>" in ask(wire, "GET", target, resource="/").body.decode()
    by_version_4 = {"Host": "127.0.0.1", **by_v4("GET", "/")}
    assert raw(wire, head(f"GET {target} HTTP/1.1", by_version_4)).status == 200


@pytest.mark.parametrize("target", ["//photos/a", "///", "//a"])
def test_a_key_in_no_bucket_is_refused(wire: Wire, target: str) -> None:
    for method in ("GET", "PUT", "HEAD", "DELETE"):
        refused = ask(wire, method, target)
        assert refused.status == 400
        assert method == "HEAD" or refused.code == "InvalidBucketName"


# -- queries


@pytest.mark.parametrize("uploads", ["uploads", "uploads="])
@pytest.mark.parametrize("append", ["append&position=0", "append=&position=0", "position=0&append"])
def test_a_parameter_without_a_value_may_have_an_equals_sign(wire: Wire, uploads: str, append: str) -> None:
    upload = ask(wire, "POST", f"/photos/a?{uploads}", resource="/photos/a?uploads").element("UploadId")
    parts = f"/photos/a?uploadId={upload}"
    answer = ask(wire, "GET", f"{parts}&part-number-marker=&max-parts=&encoding-type=", resource=parts)
    assert answer.status == 200
    signed = "/photos/b?append&position=0"
    assert ask(wire, "POST", f"/photos/b?{append}", b"x", resource=signed).status == 200
    listed = ask(wire, "GET", "/photos/?marker&prefix&delimiter=&max-keys=", resource="/photos/")
    assert "<Key>b</Key>" in listed.body.decode()


def test_keys_are_encoded_where_the_client_asks_for_it(wire: Wire) -> None:
    path, signed = "/photos/a%20%01b", "/photos/a \x01b"
    url = "encoding-type=url"
    begun = ask(wire, "POST", f"{path}?uploads&{url}", resource=f"{signed}?uploads")
    assert (begun.element("EncodingType"), begun.element("Key")) == ("url", "a%20%01b")
    upload = f"uploadId={begun.element('UploadId')}"
    part = ask(wire, "PUT", f"{path}?partNumber=1&{upload}", b"x", resource=f"{signed}?partNumber=1&{upload}")
    listed = ask(wire, "GET", f"{path}?{upload}&{url}", resource=f"{signed}?{upload}")
    assert (listed.element("EncodingType"), listed.element("Key")) == ("url", "a%20%01b")
    uploads = ask(wire, "GET", f"/photos/?uploads&{url}", resource="/photos/?uploads")
    assert "<Key>a%20%01b</Key>" in uploads.body.decode()
    document = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>".encode()
    done = ask(wire, "POST", f"{path}?{upload}&{url}", body, resource=f"{signed}?{upload}")
    assert (done.element("EncodingType"), done.element("Key")) == ("url", "a%20%01b")
    for target in (f"/photos/?{url}", f"/photos/?list-type=2&{url}"):
        assert "<Key>a%20%01b</Key>" in ask(wire, "GET", target, resource="/photos/").body.decode()


# -- headers


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("/photos/put%2Fa%20b", "put/a b"),
        ("/photos/put/a%20b", "put/a b"),
        ("photos/put/a%20b", "put/a b"),
        ("/photos/put%2Fa+b%2Bc", "put/a b+c"),
        ("/photos/put/中 文", "put/中 文"),
    ],
)
def test_the_source_of_a_copy_is_read_as_it_was_meant(wire: Wire, source: str, key: str) -> None:
    path = "/photos/" + "".join(f"%{byte:02X}" for byte in key.encode())
    assert ask(wire, "PUT", path, b"this one", resource=f"/photos/{key}").status == 200
    assert ask(wire, "PUT", "/photos/copy", None, {"x-oss-copy-source": source}).status == 200
    assert ask(wire, "GET", "/photos/copy").body == b"this one"


def test_names_of_headers_may_be_in_any_case_and_metadata_comes_back_in_lower_case(wire: Wire) -> None:
    md5 = hashlib.md5(b"x").digest()
    date = http_date()
    text = {"x-oss-meta-key": "V", "content-type": "text/plain"}
    signature = by_v1("PUT", "/photos/a", date, text)
    lines = {"HOST": "127.0.0.1", "dAtE": date, "CONTENT-type": "text/plain", "content-LENGTH": "1"}
    lines |= {"X-Oss-Meta-Key": "V", "aUTHORIZATION": signature}
    assert raw(wire, head("PUT /photos/a HTTP/1.1", lines) + b"x").headers["etag"] == f'"{md5.hex().upper()}"'
    connection = wire.connect()
    lines = {"host": "127.0.0.1", "date": date, "authorization": by_v1("HEAD", "/photos/a", date)}
    connection.sendall(head("HEAD /photos/a HTTP/1.1", lines))
    answer = connection.recv(65536)
    assert b"\r\nx-oss-meta-key: V\r\n" in answer
    assert b"\r\nETag: " in answer
