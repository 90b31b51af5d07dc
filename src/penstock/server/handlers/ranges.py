"""Ranges of bytes as OSS reads them. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from penstock.protocol.error_table import fault

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


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

    OSS gives all of the object, with status 200, where a range makes no sense or begins beyond the end;
    with ``x-oss-range-behavior: standard`` the latter is refused instead.

    Args:
        text: Value of ``Range``.
        size_bytes: Length of the object.
        strict: Whether the standard behaviour was asked for.

    Raises:
        ServiceError: InvalidRange.
    """
    found = _RANGE.fullmatch(text.strip()) if text else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size_bytes)
        if length:
            return ByteRange(size_bytes - length, length)
    elif int(first) < size_bytes:
        end = min(int(last), size_bytes - 1) if last else size_bytes - 1
        return ByteRange(int(first), end - int(first) + 1) if end >= int(first) else None
    if strict:
        raise fault("InvalidRange", ActualObjectSize=size_bytes, RangeHeader=text or "")
    return None


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
