"""Ranges of bytes as OSS reads them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_FIRST_OF_MANY = re.compile(r"(bytes=[0-9]{0,18}-[0-9]{0,18})[ \t]*,.*")


class ByteRange(NamedTuple):
    """``length`` bytes from ``offset``; at least one."""

    offset: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        """The value of ``Content-Range``."""
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size_bytes}"


def wanted_range(text: str | None, size_bytes: int, *, strict: bool = False) -> ByteRange | None:
    """
    The range that a reader wants; None for all of the object.

    OSS gives all of the object, with status 200, where a range makes no sense or reaches beyond the object,
    and the first range where several are asked for. With ``x-oss-range-behavior: standard`` a range is cut to
    what there is, and refused where that is nothing, as several are. (Knowledge base article 39571, and
    "HTTP status code 416", of the OSS documentation.)

    Args:
        text: Value of ``Range``.
        size_bytes: Length of the object.
        strict: Whether the standard behaviour was asked for.

    Raises:
        ServiceError: InvalidRange.
    """
    given = text.strip() if text else ""
    many = _FIRST_OF_MANY.fullmatch(given)
    if many is not None and strict:
        raise _not_satisfiable(given, size_bytes)
    found = _RANGE.fullmatch(many[1] if many is not None else given)
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first) < size_bytes:
        return None
    # Both ends as they are meant; the end is the byte after the last.
    offset = int(first) if first else size_bytes - int(last)
    end = size_bytes if not first or not last else int(last) + 1
    if not strict:
        return ByteRange(offset, end - offset) if 0 <= offset < end <= size_bytes else None
    offset, end = max(offset, 0), min(end, size_bytes)
    if offset >= end:
        raise _not_satisfiable(given, size_bytes)
    return ByteRange(offset, end - offset)


def _not_satisfiable(given: str, size_bytes: int) -> ServiceError:
    return fault("InvalidRange", ActualObjectSize=size_bytes, RangeHeader=given)


def source_range(text: str | None) -> tuple[int, int | None] | None:
    """
    Offset and length (None: to the end) of the range that a part is copied from; None for all.

    What is not a range stands for all of the source, as OSS has it.
    """
    found = _RANGE.fullmatch(text.strip()) if text else None
    if found is None or not found[1]:
        return None
    first = int(found[1])
    if not found[2]:
        return first, None
    return (first, int(found[2]) - first + 1) if int(found[2]) >= first else None
