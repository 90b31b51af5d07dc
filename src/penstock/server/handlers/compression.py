"""
Text that is sent compressed to those who take it so (``Accept-Encoding: gzip``).

OSS does so with objects of certain types from 1 KiB on, and then tells neither their length nor their ETag.
"""

from __future__ import annotations

import gzip
from typing import Final

import msgspec

from penstock.protocol.operations.headers import ObjectDescription
from penstock.protocol.operations.objects import GetObject
from penstock.server.call import Reply
from penstock.server.store.interface import OpenObject

LEAST_BYTES: Final = 1024
MOST_BYTES: Final = 10 * 1024 * 1024
"""Larger objects are sent as they are."""

_TYPES = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/rss+xml",
        "application/x-javascript",
        "application/xml",
        "text/cache-manifest",
        "text/css",
        "text/html",
        "text/javascript",
        "text/plain",
        "text/xml",
    }
)
_LEVEL = 1


def compressible(asked: GetObject, described: ObjectDescription) -> bool:
    """Whether an object is sent compressed to this reader."""
    size = described.content_bytes or 0
    kind = (described.content_type or "").partition(";")[0].strip().lower()
    return (
        LEAST_BYTES <= size <= MOST_BYTES
        and kind in _TYPES
        and not described.content_encoding
        and _takes_gzip(asked.accept_encoding or "")
    )


def compressed(described: ObjectDescription, opened: OpenObject, bytes_per_s: float | None) -> Reply:
    """The answer that carries all of an object compressed; of its length nothing is said."""
    data = opened.read(0, described.content_bytes or 0)
    result = msgspec.structs.replace(
        described, content_bytes=None, content_encoding="gzip", etag=None, content_md5=None
    )
    return Reply(
        result,
        headers={"vary": "Accept-Encoding"},
        body=gzip.compress(data, _LEVEL, mtime=0),
        bytes_per_s=bytes_per_s,
        chunked=True,
    )


def _takes_gzip(accepted: str) -> bool:
    for item in accepted.lower().split(","):
        coding, _, parameter = item.partition(";")
        if coding.strip() == "gzip":
            return parameter.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
