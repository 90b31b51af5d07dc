"""Which records of an object are looked at: by their number, their split, or where they begin. Pure."""

from __future__ import annotations

import re
from enum import Enum

import msgspec

from penstock.protocol.error_table import fault
from penstock.server.select.limits import SPLIT_BYTES

_RANGE = re.compile(r"(line|split)-range=([0-9]{0,18})-([0-9]{0,18})")
_BYTES = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")


class Unit(Enum):
    """What a range counts."""

    LINE = "line"
    SPLIT = "split"
    BYTE = "byte"


class RecordRange(msgspec.Struct, frozen=True):
    """
    From ``first`` to ``last``, both included.

    Attributes:
        first: None for the last ``last`` of them.
        last: None for all from there on.
    """

    unit: Unit
    first: int | None
    last: int | None

    @property
    def from_end(self) -> bool:
        """Whether it can only be told once all were counted."""
        return self.first is None

    def settled(self, records: int, splits: int) -> RecordRange:
        """The same range, counted from the beginning."""
        if self.first is not None:
            return self
        total = records if self.unit is Unit.LINE else splits
        assert self.last is not None
        return RecordRange(self.unit, max(0, total - self.last), None)

    def _place(self, number: int, start: int) -> int:
        match self.unit:
            case Unit.LINE:
                return number
            case Unit.SPLIT:
                return split_of(start)
            case Unit.BYTE:
                return start

    def holds(self, number: int, start: int) -> bool:
        """Whether the record of this number, which begins at byte ``start``, is within."""
        place = self._place(number, start)
        return (self.first or 0) <= place and (self.last is None or place <= self.last)

    def is_past(self, number: int, start: int) -> bool:
        """Whether neither this record nor a later one is within."""
        return self.last is not None and self._place(number, start) > self.last


def split_of(start: int) -> int:
    """The split that a record which begins there is in: splits are about equally large."""
    return start // SPLIT_BYTES


def range_of(text: str | None) -> RecordRange | None:
    """
    The range that ``line-range=0-9`` or ``split-range=0-9`` means; None for all.

    Raises:
        ServiceError: InvalidRange.
    """
    if text is None or not text.strip():
        return None
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        raise _invalid(text)
    return _checked(Unit(match[1]), match[2], match[3], text)


def byte_range_of(text: str | None) -> RecordRange | None:
    """
    The range that a ``Range`` header means: the records that begin within.

    Raises:
        ServiceError: InvalidRange.
    """
    if text is None or not text.strip():
        return None
    match = _BYTES.fullmatch(text.strip())
    if match is None:
        raise _invalid(text)
    return _checked(Unit.BYTE, match[1], match[2], text)


def _checked(unit: Unit, first: str, last: str, text: str) -> RecordRange:
    if not first and not last:
        raise _invalid(text)
    found = RecordRange(unit, int(first) if first else None, int(last) if last else None)
    if found.first is not None and found.last is not None and found.last < found.first:
        raise _invalid(text)
    return found


def _invalid(text: str) -> Exception:
    return fault("InvalidRange", message=f"The range {text[:100]!r} is invalid.", status=400)
