"""Writes the head of an answer. No I/O."""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus

from penstock.server.http.response import ObjectBody, Response, StreamedBody

_SPELLING = {"etag": "ETag", "content-md5": "Content-MD5"}
_UNSAFE = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_BODILESS = frozenset({204, 304})

LAST_CHUNK = b"0\r\n\r\n"


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
    elif (
        response.status not in _BODILESS and "content-length" not in headers and not _is_open_ended(response)
    ):
        lines.append(f"Content-Length: {body_bytes(response)}\r\n")
    lines.append("Connection: keep-alive\r\n\r\n" if keep_alive else "Connection: close\r\n\r\n")
    return "".join(lines).encode("utf-8", "replace")


def _is_open_ended(response: Response) -> bool:
    """Whether the end of the body is the end of the connection."""
    return isinstance(response.body, StreamedBody) and not response.chunked


def framed(response: Response) -> bytes | ObjectBody | StreamedBody | None:
    """The body as it goes over the wire; one that is still to be made goes piece by piece."""
    body = response.body
    if not response.chunked or isinstance(body, ObjectBody | StreamedBody):
        return body
    return chunk(body or b"") + LAST_CHUNK


def chunk(data: bytes) -> bytes:
    """A chunk of a body; nothing for nothing, because an empty chunk is the last one."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def body_bytes(response: Response) -> int:
    """Length of the body that will be sent; of one that is made meanwhile, how much was sent so far."""
    match response.body:
        case ObjectBody(length=length):
            return length
        case StreamedBody(sent_bytes=sent):
            return sent
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
