"""Writes the head of an answer. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from penstock.server.http.response import ObjectBody, Response

_SPELLING = {"etag": "ETag", "content-md5": "Content-MD5"}
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = frozenset({204, 304})


def response_head(response: Response, *, keep_alive: bool) -> bytes:
    """
    Status line and headers, with the empty line.

    Control characters in values, which could begin a header of their own, become spaces.
    """
    lines = [_status_line(response.status)]
    headers = response.headers
    for name, value in headers.items():
        if not value.isprintable():
            value = _UNSAFE.sub(" ", value)
        lines.append(f"{_spelled(name)}: {value}\r\n")
    if response.chunked:
        lines.append("Transfer-Encoding: chunked\r\n")
    elif response.status not in _BODILESS and "content-length" not in headers:
        lines.append(f"Content-Length: {body_bytes(response)}\r\n")
    lines.append("Connection: keep-alive\r\n\r\n" if keep_alive else "Connection: close\r\n\r\n")
    return "".join(lines).encode("utf-8", "replace")


def framed(response: Response) -> bytes | ObjectBody | None:
    """The body as it goes over the wire."""
    body = response.body
    if not response.chunked or isinstance(body, ObjectBody):
        return body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n"


def body_bytes(response: Response) -> int:
    """Length of the body that will be sent."""
    match response.body:
        case ObjectBody(length=length):
            return length
        case None:
            return 0
        case data:
            return len(data)


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Status"
    return f"HTTP/1.1 {status} {phrase}\r\n"


@lru_cache(maxsize=512)
def _spelled(name: str) -> str:
    if name.startswith("x-oss-"):
        return name
    return _SPELLING.get(name) or "-".join(word.capitalize() for word in name.split("-"))
