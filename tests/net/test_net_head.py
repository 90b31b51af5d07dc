from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidInput, MalformedResponse
from penstock.net import HttpRequest, Origin
from penstock.net.head import Framing, parse_head, render_head
from penstock.net.payload import payload_of

ORIGIN = Origin("http", "example.com", 80)


def rendered(request: HttpRequest, *, via_proxy: bool = False, authorization: str = "") -> bytes:
    payload = payload_of(request)
    return render_head(
        request,
        payload.body_bytes,
        chunked=payload.chunked,
        via_proxy=via_proxy,
        proxy_authorization=authorization,
    )


def parsed(text: bytes, method: str = "GET"):
    return parse_head(text, method, Origin("http", "example.com", 80))


def test_a_get_has_host_and_no_length():
    assert rendered(HttpRequest(ORIGIN, "GET", "/a?b")) == b"GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\n"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (Origin("http", "h", 80), "h"),
        (Origin("https", "h", 443), "h"),
        (Origin("https", "h", 80), "h:80"),
        (Origin("http", "::1", 80), "[::1]"),
        (Origin("http", "::1", 9000), "[::1]:9000"),
    ],
)
def test_the_host_header_names_the_port_where_it_is_not_the_usual_one(origin, host):
    assert f"\r\nHost: {host}\r\n".encode() in rendered(HttpRequest(origin, "GET", "/"))


@pytest.mark.parametrize("body", [b"12345", bytearray(b"12345"), memoryview(b"12345")])
def test_the_length_of_bytes_is_announced(body):
    assert b"\r\nContent-Length: 5\r\n" in rendered(HttpRequest(ORIGIN, "PUT", "/", body=body))


def test_the_length_of_wide_items_is_counted_in_bytes():
    wide = memoryview(bytes(16)).cast("Q")
    assert b"\r\nContent-Length: 16\r\n" in rendered(HttpRequest(ORIGIN, "PUT", "/", body=wide))


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_an_upload_without_a_body_announces_length_zero(method):
    assert b"\r\nContent-Length: 0\r\n" in rendered(HttpRequest(ORIGIN, method, "/"))


def test_pieces_of_unknown_length_are_chunked():
    head = rendered(HttpRequest(ORIGIN, "PUT", "/", body=iter([b"a"])))
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert b"Content-Length" not in head


def test_headers_that_are_there_are_not_added_again():
    headers = [("host", "other"), ("CONTENT-LENGTH", "3")]
    head = rendered(HttpRequest(ORIGIN, "PUT", "/", headers, b"abc")).lower()
    assert head.count(b"host:") == 1
    assert head.count(b"content-length:") == 1


def test_a_header_value_that_looks_like_another_header_hides_nothing():
    head = rendered(HttpRequest(ORIGIN, "PUT", "/", [("x", "host: content-length: 9")], b"abc"))
    assert b"\r\nHost: example.com\r\n" in head
    assert b"\r\nContent-Length: 3\r\n" in head


def test_values_are_sent_as_utf_8():
    assert "x-oss-meta-a: ü中\r\n".encode() in rendered(
        HttpRequest(ORIGIN, "GET", "/", [("x-oss-meta-a", "ü中")])
    )


def test_a_proxy_is_given_the_whole_url_and_the_password():
    head = rendered(HttpRequest(ORIGIN, "GET", "/a"), via_proxy=True, authorization="Basic eA==")
    assert head.startswith(b"GET http://example.com/a HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic eA==\r\n" in head


@pytest.mark.parametrize("evil", ["a\r\nx: y", "a\nb", "a\rb", "a\0b"])
def test_a_line_break_in_a_header_is_refused(evil):
    with pytest.raises(InvalidInput):
        rendered(HttpRequest(ORIGIN, "GET", "/", [("x", evil)]))
    with pytest.raises(InvalidInput):
        rendered(HttpRequest(ORIGIN, "GET", "/", [(evil, "x")]))


@pytest.mark.parametrize("target", ["", "/a b", "/a\r\n", "/a\0"])
def test_a_target_that_is_not_encoded_is_refused(target):
    with pytest.raises(InvalidInput):
        rendered(HttpRequest(ORIGIN, "GET", target))


@pytest.mark.parametrize(("length", "body"), [("4", b"abc"), ("4", None), ("x", b"abc"), ("-3", b"abc")])
def test_a_length_that_contradicts_the_body_is_refused(length, body):
    with pytest.raises(InvalidInput):
        payload_of(HttpRequest(ORIGIN, "PUT", "/", [("Content-Length", length)], body))


def test_a_length_among_the_headers_counts_for_pieces():
    payload = payload_of(HttpRequest(ORIGIN, "PUT", "/", [("content-length", "7")], iter([b"a"])))
    assert payload.body_bytes == 7


def test_a_response_head_is_read():
    head = parsed(b'HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\nETag:\t"x" \r\nX-Empty:\r\n\r\n')
    assert (head.status, head.reason) == (404, "Not Found")
    assert head.headers == {"content-length": "12", "etag": '"x"', "x-empty": ""}
    assert (head.framing, head.body_bytes, head.keep_alive) == (Framing.LENGTH, 12, True)


@pytest.mark.parametrize("line", [b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK fine"])
def test_the_reason_may_be_missing_or_long(line):
    assert parsed(line + b"\r\n\r\n").status == 200


def test_repeated_headers_are_joined():
    head = parsed(b"HTTP/1.1 200 OK\r\nA: 1\r\na: 2\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n")
    assert head.headers["a"] == "1, 2"
    assert head.body_bytes == 3


@pytest.mark.parametrize(
    ("status", "method", "fields", "framing", "body_bytes"),
    [
        (200, "HEAD", b"Content-Length: 9\r\n", Framing.LENGTH, 0),
        (200, "HEAD", b"Transfer-Encoding: chunked\r\n", Framing.LENGTH, 0),
        (204, "GET", b"", Framing.LENGTH, 0),
        (304, "GET", b"Content-Length: 9\r\n", Framing.LENGTH, 0),
        (200, "CONNECT", b"", Framing.LENGTH, 0),
        (502, "CONNECT", b"Content-Length: 9\r\n", Framing.LENGTH, 9),
        (200, "GET", b"", Framing.UNTIL_CLOSE, None),
        (200, "GET", b"Transfer-Encoding: Chunked\r\n", Framing.CHUNKED, None),
        (200, "GET", b"Transfer-Encoding: chunked\r\nContent-Length: 9\r\n", Framing.CHUNKED, None),
    ],
)
def test_the_end_of_the_body_is_known(status, method, fields, framing, body_bytes):
    head = parsed(b"HTTP/1.1 %d X\r\n%s\r\n" % (status, fields), method)
    assert (head.framing, head.body_bytes) == (framing, body_bytes)


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        (1, b"", True),
        (1, b"Connection: Close\r\n", False),
        (0, b"", False),
        (0, b"Connection: Keep-Alive\r\n", True),
        (1, b"Transfer-Encoding: chunked\r\n", False),
    ],
)
def test_whether_the_connection_may_serve_again(version, fields, keep_alive):
    head = parsed(b"HTTP/1.%d 200 X\r\nContent-Length: 0\r\n%s\r\n" % (version, fields))
    assert head.keep_alive is keep_alive


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nname : value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: value\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: nul\0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(text):
    with pytest.raises(MalformedResponse) as caught:
        parsed(text)
    assert caught.value.host == "example.com:80"
    assert caught.value.advice


def test_an_answer_in_tls_is_named():
    with pytest.raises(MalformedResponse) as caught:
        parsed(b"\x15\x03\x03\x00\x02\x02\x46\r\n\r\n")
    assert "https" in caught.value.advice


TOKEN = st.text("abcXYZ019-_!#", min_size=1, max_size=12)
VALUE = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(TOKEN.map(lambda name: f"x-{name}"), VALUE), max_size=8))
def test_every_header_that_can_be_sent_can_be_read(pairs):
    request = HttpRequest(ORIGIN, "GET", "/", pairs)
    fields = rendered(request).partition(b"Host: example.com\r\n")[2]
    headers = parsed(b"HTTP/1.1 204 X\r\n" + fields).headers
    for name, _ in pairs:
        values = [value.strip(" \t") for other, value in pairs if other.lower() == name.lower()]
        assert headers[name.lower()] == ", ".join(values)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_a_head_or_refused(noise):
    try:
        head = parsed(b"HTTP/1.1 200 OK\r\n" + noise + b"\r\n\r\n")
    except MalformedResponse:
        return
    assert head.status == 200
