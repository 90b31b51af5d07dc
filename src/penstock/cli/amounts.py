"""Sizes and durations, as people write and read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmgtpe])?(?:ib?|b)?", re.IGNORECASE)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w|M|y)?")
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "M": 2592000, "y": 31536000}


def size_bytes(text: str) -> int:
    """
    The bytes of ``8M``, ``100Ki``, ``1.5GiB`` or ``4096``; 1K is 1,024.

    Raises:
        ValueError: It is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size; write 8M, 512K, 1.5G or a number of bytes")
    power = "bkmgtpe".index((match[2] or "b").lower())
    return int(float(match[1]) * 1024**power)


def duration_s(text: str) -> float:
    """
    The seconds of ``90``, ``15m``, ``7d``, ``1.5h``; ``m`` is a minute and ``M`` a month of 30 days.

    Raises:
        ValueError: It is none.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write 90s, 15m, 12h, 7d or 2w")
    return float(match[1]) * _SECONDS[match[2] or "s"]


def size_option(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Callback of an option that takes a size; gives bytes."""
    try:
        return None if text is None else size_bytes(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def duration_option(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Callback of an option that takes a duration; gives seconds."""
    try:
        return None if text is None else duration_s(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def bytes_text(count: float) -> str:
    """Such as ``58.7 MiB``; bytes without a fraction."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count /= 1024
        unit += 1
    return f"{count:.0f} B" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


def share_text(part: int, whole: int) -> str:
    """Such as ``28.1/58.7 MiB``: both in the unit of the whole."""
    text = bytes_text(whole)
    unit = _UNITS.index(text.split()[1])
    shown = f"{part / 1024**unit:.1f}" if unit else str(part)
    return f"{shown}/{text}"


def clock_text(seconds: float) -> str:
    """Such as ``0:07``, ``12:30`` or ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def time_text(seconds: float) -> str:
    """Such as ``0.6 ms``, ``48 ms`` or ``3.1 s``."""
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def age_text(seconds: float) -> str:
    """Such as ``12 s``, ``5 min``, ``3 h`` or ``211 d``."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds // unit))} {name}"
    return f"{int(seconds // 86400)} d"


def moment_text(moment: datetime | float | None) -> str:
    """A time as ``2026-11-22 16:46:18Z``; a dash for none."""
    if moment is None:
        return "-".ljust(20)
    if not isinstance(moment, datetime):
        moment = datetime.fromtimestamp(moment, UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def count_text(count: int, noun: str) -> str:
    """Such as ``1 part`` or ``1,204 uploads``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
