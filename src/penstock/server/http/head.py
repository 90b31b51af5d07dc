"""
Reads the head of a request and says how its body will end. No I/O.

OSS clients in use send both ``Transfer-Encoding: chunked`` and ``Content-Length`` on every upload; then
the chunks count and the connection is not used again, so that nobody between can be confused by it.
Everything else that is doubtful is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import httptools

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; OSS allows 8 KiB of user metadata beside the signature and the rest."""

END = b"\r\n\r\n"


class HeadInvalid(Exception):
    """What came is not the head of an HTTP/1 request that can be trusted."""


@dataclass(frozen=True, slots=True)
class Head:
    """
    The head of one request.

    Attributes:
        headers: By lower-case name; what came more than once is joined with a comma.
        body_bytes: Length of the body; None if it comes in chunks.
        keep_alive: False if the connection ends with the answer.
        expects_continue: True if the client waits for ``100 Continue`` before it sends the body.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body_bytes: int | None
    keep_alive: bool
    expects_continue: bool


class _Collector:
    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


def read_head(data: bytes) -> Head:
    """
    The head that these bytes are, up to and with the empty line.

    Raises:
        HeadInvalid: Not HTTP/1, or the end of the body is in doubt.
    """
    collector = _Collector()
    parser = httptools.HttpRequestParser(collector)
    parser.set_dangerous_leniencies(lenient_chunked_length=True)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        # Another protocol is offered; it is not taken up.
        pass
    except httptools.HttpParserError as error:
        raise HeadInvalid(f"not a request of HTTP/1.1: {error}") from error
    if not collector.complete:
        raise HeadInvalid("not a request of HTTP/1.1: the head ends early")
    headers = _join(collector.headers)
    path, _, query = _text(collector.url).partition("?")
    body_bytes, both = _framing(headers)
    version = parser.get_http_version()
    if version not in ("1.0", "1.1"):
        raise HeadInvalid(f"HTTP/{version} is not spoken here")
    if version == "1.1" and "host" not in headers:
        raise HeadInvalid("there is no Host header")
    keep_alive = "close" not in headers.get("connection", "").lower() and not both
    if version == "1.0":
        keep_alive = keep_alive and "keep-alive" in headers.get("connection", "").lower()
    return Head(
        method=parser.get_method().decode("ascii"),
        path=_origin_form(path),
        query=query,
        headers=headers,
        body_bytes=body_bytes,
        keep_alive=keep_alive,
        expects_continue=version == "1.1" and headers.get("expect", "").lower() == "100-continue",
    )


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _join(pairs: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), _text(raw_value).strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in ("content-length", "transfer-encoding", "host", "authorization"):
            raise HeadInvalid(f"the header {name} is there twice")
        else:
            headers[name] = f"{headers[name]}, {value}"
    return headers


def _framing(headers: dict[str, str]) -> tuple[int | None, bool]:
    """Length of the body (None: chunks), and whether both ways to say it were used."""
    encoding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 19):
        raise HeadInvalid(f"Content-Length is {length[:40]!r}")
    if encoding is not None:
        if encoding.lower() != "chunked":
            raise HeadInvalid(f"Transfer-Encoding is {encoding[:40]!r}; only chunked is understood")
        return None, length is not None
    return int(length or 0), False


def _origin_form(path: str) -> str:
    # A client that takes this server for a proxy sends the whole URL.
    scheme, separator, rest = path.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        return "/" + rest.partition("/")[2]
    return path
