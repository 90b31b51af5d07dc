"""
Texts that SelectObject reads as times.

A format is written as OSS writes it: ``YYYY`` year, ``MM`` month (after ``HH``: minutes), ``DD`` day, ``HH``
hours, ``SS`` seconds, ``mss`` milliseconds; ``?D`` is a day with one or two digits. What a format leaves out
is 1900-01-01 00:00. Times with a zone become UTC.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import cache
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_ZONE = r"(?P<zone>[+-][0-9]{2}:?[0-9]{2})"
_NAMED_MONTH = r"(?P<name>[A-Za-z]{3})"
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATE = r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"

_SPECIAL = {
    "ISO8601-0": rf"{_DATE}T(?P<hour>[0-9]{{2}}):(?P<minute>[0-9]{{2}}){_ZONE}",
    "ISO8601-1": rf"{_DATE}T{_CLOCK}{_ZONE}",
    "CommonLog": rf"(?P<day>[0-9]{{2}})/{_NAMED_MONTH}/(?P<year>[0-9]{{4}}):{_CLOCK} {_ZONE}",
    "RFC822": rf"[A-Za-z]{{3}}, (?P<day>[0-9]{{1,2}}) {_NAMED_MONTH} (?P<year>[0-9]{{4}}) {_CLOCK} GMT",
}
_AUTOMATIC: Final = (
    "YYYYMMDD",
    "YYYY/MM/DD",
    "DD/MM/YYYY",
    "YYYY-MM-DD",
    "DD-MM-YY",
    "DD.MM.YY",
    "HH:MM:SS.mss",
    "HH:MM:SS",
    "HH MM SS mss",
    "HH.MM.SS.mss",
    "HHMM",
    "HHMMSSmss",
    "YYYYMMDD HH:MM:SS.mss",
    "YYYY/MM/DD HH:MM:SS.mss",
    "DD/MM/YYYY HH:MM:SS.mss",
    "YYYYMMDD HH:MM:SS",
    "YYYY/MM/DD HH:MM:SS",
    "DD/MM/YYYY HH:MM:SS",
    "YYYY-MM-DD HH:MM:SS.mss",
    "DD-MM-YYYY HH:MM:SS.mss",
    "YYYY-MM-DD HH:MM:SS",
    "YYYYMMDDTHH:MM:SS",
    "YYYYMMDDTHH:MM:SS.mss",
    "DD-MM-YYYYTHH:MM:SS.mss",
    "DD-MM-YYYYTHH:MM:SS",
    "YYYYMMDDTHHMM",
    "YYYYMMDDTHHMMSS",
    "YYYYMMDDTHHMMSSMSS",
    "ISO8601-0",
    "ISO8601-1",
    "CommonLog",
    "RFC822",
    "?D/?M/YY",
    "?D/?M/YY ?H:?M",
    "?D/?M/YY ?H:?M:?S",
)
"""What is understood without a format; the first that fits counts."""

_AMBIGUOUS: Final = ("YYYYDDMM", "YYYY/DD/MM", "MM/DD/YYYY", "YYYY-DD-MM", "MM-DD-YYYY", "MM.DD.YYYY")
_KNOWN = {name.lower(): name for name in (*_AUTOMATIC, *_AMBIGUOUS)}
_PART = re.compile(r"YYYY|YY|\?D|DD|\?H|HH|\?M|MM|\?S|SS|mss|MSS|.")
_MOST_CHARACTERS: Final = 40


def is_format(name: str) -> bool:
    """Whether OSS knows this format."""
    return name.lower() in _KNOWN


def timestamp_of(text: str, format: str | None = None) -> datetime | None:
    """The time that a text says, without a zone; None if it says none, or not in this format."""
    text = text.strip()
    if len(text) > _MOST_CHARACTERS:
        return None
    names = _AUTOMATIC if format is None else (_KNOWN[format.lower()],)
    for name in names:
        match = _pattern(name).fullmatch(text)
        if match is not None and (found := _time(match.groupdict())) is not None:
            return found
    return None


def timestamp_text(value: datetime) -> str:
    """How a time is written in an answer."""
    text = value.isoformat(sep=" ", timespec="seconds")
    return f"{text}.{value.microsecond // 1000:03}" if value.microsecond else text


@cache
def _pattern(name: str) -> re.Pattern[str]:
    if name in _SPECIAL:
        return re.compile(_SPECIAL[name])
    pieces = []
    hours_seen = seconds_seen = False
    for part in _PART.findall(name):
        if part in ("YYYY", "YY"):
            pieces.append(rf"(?P<year>[0-9]{{{len(part)}}})")
        elif part in ("DD", "?D"):
            pieces.append(_digits("day", part))
        elif part in ("HH", "?H"):
            hours_seen = True
            pieces.append(_digits("hour", part))
        elif part in ("MM", "?M"):
            pieces.append(_digits("minute" if hours_seen else "month", part))
        elif part in ("SS", "?S"):
            seconds_seen = True
            pieces.append(_digits("second", part))
        elif part in ("mss", "MSS") and seconds_seen:
            pieces.append("(?P<millisecond>[0-9]{3})")
        else:
            pieces.append(re.escape(part))
    return re.compile("".join(pieces))


def _digits(name: str, part: str) -> str:
    return f"(?P<{name}>[0-9]{{{'1,2' if part.startswith('?') else '2'}}})"


def _time(found: dict[str, str]) -> datetime | None:
    year = found.get("year", "1900")
    month = found.get("month", "1")
    if "name" in found:
        if found["name"].lower() not in _MONTHS:
            return None
        month = str(_MONTHS.index(found["name"].lower()) + 1)
    try:
        moment = datetime(
            int(year) + (2000 if len(year) == 2 else 0),
            int(month),
            int(found.get("day", "1")),
            int(found.get("hour", "0")),
            int(found.get("minute", "0")),
            int(found.get("second", "0")),
            int(found.get("millisecond", "0")) * 1000,
        )
        if zone := found.get("zone"):
            ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
            moment = moment - ahead if zone[0] == "+" else moment + ahead
    except (ValueError, OverflowError):
        return None
    return moment
