"""The heads of HTTP/1.1 messages, as pure functions: a request's to bytes, bytes to a response's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum

import msgspec

from penstock.errors import InvalidInput, MalformedResponse
from penstock.net.proxy import Proxy
from penstock.net.request import HttpRequest, Origin

MAX_HEAD_BYTES = 65_536
"""The longest response head that is read."""

_UNFIT_FOR_TARGET = re.compile(r"[\x00-\x20\x7f]")
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?\r\n")
_FIELD = re.compile(r"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\r\n\0]*)\r\n", re.MULTILINE)
_LENGTH_NEEDED = frozenset({"PUT", "POST", "PATCH"})
_NO_BODY_STATUSES = frozenset({204, 304})


class Framing(Enum):
    """How the end of a response's body is known."""

    LENGTH = "length"
    CHUNKED = "chunked"
    UNTIL_CLOSE = "until close"


class ResponseHead(msgspec.Struct, frozen=True):
    """
    The parsed head of a response.

    Attributes:
        status: HTTP status.
        reason: The words after it, perhaps none.
        headers: By lower-case name; what came several times is joined with commas.
        framing: How the end of the body is known.
        body_bytes: Length of the body; None unless the framing is `Framing.LENGTH`.
        keep_alive: The connection may serve again.
    """

    status: int
    reason: str
    headers: Mapping[str, str]
    framing: Framing
    body_bytes: int | None
    keep_alive: bool


def render_head(
    request: HttpRequest, body_bytes: int | None, *, chunked: bool, via_proxy: bool, proxy_authorization: str
) -> bytes:
    """
    The head of a request, with Host and either Content-Length or Transfer-Encoding added where missing.

    Args:
        request: What to ask.
        body_bytes: Length of the body, None if there is none or it is chunked.
        chunked: The body follows in chunks.
        via_proxy: Name the whole URL, as a plain-HTTP proxy wants it.
        proxy_authorization: Value of Proxy-Authorization, or an empty string.

    Raises:
        InvalidInput: A line break or the like in a header or in the target.
    """
    lines = [f"{name}: {value}\r\n" for name, value in request.headers]
    fields = "".join(lines)
    if fields.count("\n") != len(lines) or fields.count("\r") != len(lines) or "\0" in fields:
        raise InvalidInput(
            f"A header of {request.method} {request.origin.address} holds a line break or a NUL.",
            advice="Percent-encode or remove it.",
        )
    if _UNFIT_FOR_TARGET.search(request.target) or not request.target:
        raise InvalidInput(
            f"The target {request.target!r} for {request.origin.address} is empty or holds a blank.",
            advice="Percent-encode the path and the query.",
        )
    known = f"\r\n{fields}".lower()
    added = "" if "\r\nhost:" in known else f"Host: {request.origin.host_header}\r\n"
    if chunked:
        if "\r\ntransfer-encoding:" not in known:
            added += "Transfer-Encoding: chunked\r\n"
    elif "\r\ncontent-length:" not in known and (body_bytes is not None or request.method in _LENGTH_NEEDED):
        added += f"Content-Length: {body_bytes or 0}\r\n"
    if proxy_authorization:
        added += f"Proxy-Authorization: {proxy_authorization}\r\n"
    prefix = f"http://{request.origin.host_header}" if via_proxy else ""
    head = f"{request.method} {prefix}{request.target} HTTP/1.1\r\n{added}{fields}\r\n"
    return head.encode("utf-8", "surrogateescape")


def render_connect(origin: Origin, proxy: Proxy) -> bytes:
    """The head that asks a proxy for a way to an origin."""
    allowed = f"Proxy-Authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
    return f"CONNECT {origin.address} HTTP/1.1\r\nHost: {origin.address}\r\n{allowed}\r\n".encode()


def parse_head(data: bytes, method: str, peer: Origin) -> ResponseHead:
    """
    Reads a response head.

    Args:
        data: All of it, from the status line through the empty line.
        method: Method of the request it answers.
        peer: Who answered, for errors.

    Raises:
        MalformedResponse: It is not HTTP/1, or says two things at once.
    """
    text = data.decode("utf-8", "surrogateescape")
    start = _STATUS_LINE.match(text)
    if start is None:
        raise _malformed(peer, f"the answer begins with {text[:60]!r}", _advice_for(text))
    pairs = _FIELD.findall(text, start.end())
    if len(pairs) != text.count("\n") - 2:
        raise _malformed(peer, "a header line of the answer is malformed")
    headers = {name.lower(): value for name, value in pairs}
    if len(headers) != len(pairs) or " \r" in text or "\t\r" in text:
        headers = _joined(pairs)
    status = int(start[2])
    framing, body_bytes = _framing(status, method, headers, peer)
    return ResponseHead(
        status, start[3] or "", headers, framing, body_bytes, _keeps_alive(start[1], headers, framing)
    )


def _joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Headers of which some came several times, or have blanks at their end."""
    headers: dict[str, str] = {}
    for name, value in pairs:
        name = name.lower()
        value = value.rstrip(" \t")
        if name in headers and not (name == "content-length" and headers[name] == value):
            value = f"{headers[name]}, {value}"
        headers[name] = value
    return headers


def _framing(
    status: int, method: str, headers: Mapping[str, str], peer: Origin
) -> tuple[Framing, int | None]:
    if method == "HEAD" or status in _NO_BODY_STATUSES or status < 200:
        return Framing.LENGTH, 0
    if method == "CONNECT" and status < 300:
        return Framing.LENGTH, 0
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.strip().lower() != "chunked":
            raise _malformed(peer, f"the answer has the unknown Transfer-Encoding {coding[:60]!r}")
        return Framing.CHUNKED, None
    length = headers.get("content-length")
    if length is None:
        return Framing.UNTIL_CLOSE, None
    if not (length.isascii() and length.isdigit() and len(length) <= 19):
        raise _malformed(peer, f"the answer has the Content-Length {length[:60]!r}")
    return Framing.LENGTH, int(length)


def _keeps_alive(minor: str, headers: Mapping[str, str], framing: Framing) -> bool:
    if framing is Framing.UNTIL_CLOSE:
        return False
    if "content-length" in headers and "transfer-encoding" in headers:
        return False  # the two ends may disagree on where this answer stops
    words = headers.get("connection")
    if words is None:
        return minor == "1"
    words = words.lower()
    return "close" not in words and (minor == "1" or "keep-alive" in words)


def _advice_for(text: str) -> str:
    if text.startswith(("\x15\x03", "\x16\x03")):
        return "The port speaks TLS: use https."
    return "Check the endpoint: something that is not an HTTP server listens there."


def _malformed(peer: Origin, what: str, advice: str = "") -> MalformedResponse:
    return MalformedResponse(
        f"Asked {peer.address}, and {what}.",
        host=peer.address,
        advice=advice or "A proxy or server in between may be broken; try without it.",
    )
