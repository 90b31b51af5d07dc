"""
How single values are written in headers, queries and XML, and read back.

One `TextForm` a Python type and place; both ends use the same one, so that what the client writes is
what the server reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from penstock.protocol import dates, percent

_MOST_DIGITS = 20
"""A CRC-64 has so many; nothing that travels has more."""


class CopySource(msgspec.Struct, frozen=True):
    """The object that a copy reads: ``/bucket/key`` in ``x-oss-copy-source``."""

    bucket: str
    key: str
    version_id: str | None = None


class TextForm(msgspec.Struct, frozen=True):
    """A pair of directions: value to text, and text to value (raises ValueError for what is not one)."""

    to_text: Callable[[Any], str]
    from_text: Callable[[str], Any]


def _bool_from_text(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return lowered == "true"


def _int_from_text(text: str) -> int:
    stripped = text.strip()
    if not stripped.lstrip("-").isdecimal() or not stripped.isascii():
        raise ValueError(f"{text[:100]!r} is not a whole number")
    if len(stripped) > _MOST_DIGITS:
        raise ValueError(f"a number has at most {_MOST_DIGITS} digits")
    return int(stripped)


def _copy_source_to_text(source: CopySource) -> str:
    text = f"/{source.bucket}/{percent.encode(source.key)}"
    return f"{text}?versionId={source.version_id}" if source.version_id else text


def _copy_source_from_text(text: str) -> CopySource:
    # Clients send the key with %2F or with /, with + or %20 for a space, or as raw UTF-8.
    path, _, query = text.partition("?")
    version_id = query.removeprefix("versionId=") if query.startswith("versionId=") else None
    bucket, slash, key = percent.decode(path, plus_is_space=True).removeprefix("/").partition("/")
    if not slash or not bucket or not key:
        raise ValueError(f"{text!r} is not /bucket/key")
    return CopySource(bucket, key, version_id)


def _http_date_from_text(text: str) -> datetime:
    return datetime.fromtimestamp(dates.from_http(text), UTC)


def _iso_from_text(text: str) -> datetime:
    return datetime.fromtimestamp(dates.from_iso(text), UTC)


def _tags_to_text(tags: Mapping[str, str]) -> str:
    return "&".join(f"{percent.encode(name)}={percent.encode(value)}" for name, value in tags.items())


def _tags_from_text(text: str) -> dict[str, str]:
    tags: dict[str, str] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        decoded = percent.decode(name, plus_is_space=True)
        if decoded in tags:
            raise ValueError(f"the tag {decoded!r} is given twice")
        tags[decoded] = percent.decode(value, plus_is_space=True)
    return tags


TEXT = TextForm(str, str)
WHOLE = TextForm(str, _int_from_text)
TRUTH = TextForm(lambda value: "true" if value else "false", _bool_from_text)
HTTP_DATE = TextForm(lambda value: dates.to_http(int(value.timestamp())), _http_date_from_text)
ISO_DATE = TextForm(lambda value: dates.to_iso(int(value.timestamp())), _iso_from_text)
QUOTED = TextForm(lambda value: f'"{value}"', lambda text: text.strip().strip('"'))
COPY_SOURCE = TextForm(_copy_source_to_text, _copy_source_from_text)
TAGS = TextForm(_tags_to_text, _tags_from_text)
PERCENT = TextForm(percent.encode, percent.decode)
PRESENT = TextForm(lambda _: "", lambda _: True)
"""A query parameter that says yes by being there, with or without a value (``?sequential``)."""

_BY_TYPE: Mapping[object, TextForm] = {str: TEXT, int: WHOLE, bool: TRUTH, CopySource: COPY_SOURCE}


def form_of(kind: object, *, in_xml: bool) -> TextForm:
    """The form of a Python type: dates are RFC 1123 in headers and ISO 8601 in XML."""
    if kind is datetime:
        return ISO_DATE if in_xml else HTTP_DATE
    return _BY_TYPE[kind]
