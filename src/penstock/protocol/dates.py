"""
The three spellings of time on the wire, both ways, in whole seconds since 1970 (UTC).

==========  ==============================  ==========================================================
http        Sun, 22 Nov 2026 14:53:27 GMT   ``Date``, ``Last-Modified``, conditions; V1 signatures
iso_basic   20261122T145327Z                ``x-oss-date`` of V4 signatures
iso         2026-11-22T14:53:27.000Z        documents: ``LastModified``, ``Initiated`` ...
==========  ==============================  ==========================================================

None of them depends on the locale. Every function that reads raises `InvalidInput` for anything else.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from penstock.errors import InvalidInput

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)

_HTTP = re.compile(
    rf"(?:{'|'.join(_DAYS)}), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}}) "
    r"([0-9]{2}):([0-9]{2}):([0-9]{2}) GMT"
)
_ISO_BASIC = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?Z")


@lru_cache(maxsize=64)
def to_http(unix_s: int) -> str:
    """Write a time as ``Sun, 22 Nov 2026 14:53:27 GMT``."""
    at = _at(unix_s)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02} {_MONTHS[at.month - 1]} {at.year:04} "
        f"{at.hour:02}:{at.minute:02}:{at.second:02} GMT"
    )


@lru_cache(maxsize=64)
def to_iso_basic(unix_s: int) -> str:
    """Write a time as ``20261122T145327Z``; its first eight characters are the date."""
    at = _at(unix_s)
    return f"{at.year:04}{at.month:02}{at.day:02}T{at.hour:02}{at.minute:02}{at.second:02}Z"


@lru_cache(maxsize=64)
def to_iso(unix_s: int) -> str:
    """Write a time as ``2026-11-22T14:53:27.000Z``."""
    at = _at(unix_s)
    return f"{at.year:04}-{at.month:02}-{at.day:02}T{at.hour:02}:{at.minute:02}:{at.second:02}.000Z"


def from_http(text: str) -> int:
    """Read ``Sun, 22 Nov 2026 14:53:27 GMT``; the name of the day is not held against the date."""
    found = _HTTP.fullmatch(text)
    if found is None:
        raise _not_a_time(text, "Sun, 22 Nov 2026 14:53:27 GMT")
    day, month, year, hour, minute, second = found.groups()
    return _seconds(text, year, _MONTHS.index(month) + 1, day, hour, minute, second)


def from_iso_basic(text: str) -> int:
    """Read ``20261122T145327Z``."""
    found = _ISO_BASIC.fullmatch(text)
    if found is None:
        raise _not_a_time(text, "20261122T145327Z")
    return _seconds(text, *found.groups())


def from_iso(text: str) -> int:
    """Read ``2026-11-22T14:53:27.000Z``, with or without a fraction, which is cut off."""
    found = _ISO.fullmatch(text)
    if found is None:
        raise _not_a_time(text, "2026-11-22T14:53:27.000Z")
    return _seconds(text, *found.groups())


def _at(unix_s: int) -> datetime:
    try:
        return _EPOCH + timedelta(seconds=unix_s)
    except OverflowError:
        raise InvalidInput(f"{unix_s} seconds since 1970 is outside the years 1 to 9999") from None


def _seconds(text: str, *numbers: str | int) -> int:
    year, month, day, hour, minute, second = map(int, numbers)
    try:
        return (datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH) // _SECOND
    except ValueError as error:
        raise InvalidInput(f"{text!r} is not a time: {error}") from None


def _not_a_time(text: str, example: str) -> InvalidInput:
    return InvalidInput(f"{text!r} is not a time of the form {example!r}", advice="Times are in UTC.")
