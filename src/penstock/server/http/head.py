"""
Reads the head of a request and says how its body will end. No I/O.

OSS clients in use send both ``Transfer-Encoding: chunked`` and ``Content-Length`` on every upload; then
the chunks count and the connection is not used again, so that nobody between can be confused by it; where
even that is too much, both together are refused. Everything else that is doubtful is refused always.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers; OSS allows 8 KiB of user metadata beside the signature and the rest."""

END = b"\r\n\r\n"

_ONCE = frozenset({"content-length", "transfer-encoding", "host", "authorization", "expect"})
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?")


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
        takes_chunks: False if the client knows no chunks (HTTP/1.0).
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body_bytes: int | None
    keep_alive: bool
    expects_continue: bool
    takes_chunks: bool = True


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


def read_head(data: bytes, *, strict_framing: bool = False) -> Head:
    """
    The head that these bytes are, up to and with the empty line.

    Args:
        data: As they came.
        strict_framing: Refuse a length beside chunks, which some clients of OSS send.

    Raises:
        HeadInvalid: Not HTTP/1, or the end of the body or what is asked for is in doubt.
    """
    if data[:1] in (b"\r", b"\n"):
        # The parser would pass over any number of them.
        raise HeadInvalid("not a request of HTTP/1.1: it begins with the end of a line")
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
    version = parser.get_http_version()
    if version not in ("1.0", "1.1"):
        raise HeadInvalid(f"a request of HTTP/{version}, which is not spoken here")
    if version == "1.0" and "transfer-encoding" in headers:
        raise HeadInvalid("a request of HTTP/1.0 in chunks, which it does not know")
    if version == "1.1" and "host" not in headers:
        raise HeadInvalid("a request without a Host header")
    host = headers.get("host", "")
    if not _HOST.fullmatch(host):
        raise HeadInvalid(f"a request to {host[:80]!r}, which is not a host")
    body_bytes, both = _framing(headers)
    if both and strict_framing:
        raise HeadInvalid("a request with both Content-Length and Transfer-Encoding")
    expects = headers.get("expect")
    if expects is not None and expects.lower() != "100-continue":
        raise HeadInvalid(f"a request that expects {expects[:40]!r}; only 100-continue is understood")
    path, _, query = _origin_form(_text(collector.url), host).partition("?")
    keep_alive = "close" not in headers.get("connection", "").lower() and not both
    if version == "1.0":
        keep_alive = keep_alive and "keep-alive" in headers.get("connection", "").lower()
    return Head(
        method=parser.get_method().decode("ascii"),
        path=path,
        query=query,
        headers=headers,
        body_bytes=body_bytes,
        keep_alive=keep_alive,
        expects_continue=version == "1.1" and expects is not None,
        takes_chunks=version == "1.1",
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
        elif name in _ONCE:
            raise HeadInvalid(f"a request with two headers {name}")
        else:
            headers[name] = f"{headers[name]}, {value}"
    return headers


def _framing(headers: dict[str, str]) -> tuple[int | None, bool]:
    """Length of the body (None: chunks), and whether both ways to say it were used."""
    encoding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 19):
        raise HeadInvalid(f"a request whose Content-Length is {length[:40]!r}")
    if encoding is not None:
        # Beyond ASCII there are other letters whose lower case is a plain one.
        if not encoding.isascii() or encoding.lower() != "chunked":
            raise HeadInvalid(f"a request in the encoding {encoding[:40]!r}; only chunked is understood")
        return None, length is not None
    return int(length or 0), False


def _origin_form(target: str, host: str) -> str:
    """The target as it is without a proxy: path and query."""
    if not target.startswith("/"):
        # A client that takes this server for a proxy sends the whole URL. Were its host another one than in
        # the header, whoever stands between might have judged the one, and the other be served.
        scheme, separator, rest = target.partition("://")
        authority = re.split("[/?]", rest, maxsplit=1)[0]
        if not separator or scheme.lower() not in ("http", "https") or authority.lower() != host.lower():
            raise HeadInvalid(f"a request for {target[:80]!r}, which is no path here")
        target = rest[len(authority) :]
        target = target if target.startswith("/") else f"/{target}"
    if "#" in target:
        raise HeadInvalid("a request for a fragment of something")
    return target
