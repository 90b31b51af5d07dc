"""
How a source is cut into parts. The same arguments always give the same plan: a resumed upload relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from penstock.errors import InvalidInput
from penstock.protocol.limits import MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES

AUTOMATIC_PART_BYTES = 8 * 1024 * 1024
"""The part size that is tried first when the caller names none."""

PART_ALIGNMENT_BYTES = 64 * 1024
"""Automatic part sizes are a multiple of this."""

MAX_IN_FLIGHT_BYTES = 256 * 1024 * 1024
"""`suggested_parallel` keeps about this much at risk of being sent again after a stop."""


class Part(Struct, frozen=True):
    """
    One range of the source.

    Attributes:
        number: 1 to 10,000, as OSS counts.
        offset: First byte, from 0.
        size_bytes: Length; 0 only in the plan of an empty source.
    """

    number: int
    offset: int
    size_bytes: int


class Plan(Struct, frozen=True):
    """
    All parts of a source, computed when asked for, so that a plan costs the same at any length.

    Every part is ``part_bytes`` long except the last, which may be shorter. Offsets rise and sizes sum to
    ``total_bytes``. An empty source has one part of length 0. Made by `part_plan`.
    """

    total_bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        return max(1, -(-self.total_bytes // self.part_bytes))

    def part(self, number: int) -> Part:
        """
        The part with this number.

        Raises:
            InvalidInput: The plan has no such part.
        """
        if not 1 <= number <= self.count:
            raise InvalidInput(f"part {number} was asked for in a plan of {self.count} parts")
        offset = (number - 1) * self.part_bytes
        return Part(number, offset, min(self.part_bytes, self.total_bytes - offset))

    def parts(self) -> Iterator[Part]:
        """All parts, in order."""
        return (self.part(number) for number in range(1, self.count + 1))


def part_plan(total_bytes: int, part_bytes: int | None = None) -> Plan:
    """
    Cut ``total_bytes`` into parts that OSS will accept.

    Args:
        total_bytes: Length of the source in bytes, >= 0.
        part_bytes: Wanted part length, `MIN_PART_BYTES` to `MAX_PART_BYTES`. None chooses: 8 MiB, doubled
            until `MAX_PARTS` parts are enough, and never more than `MAX_PART_BYTES`.

    Raises:
        InvalidInput: ``part_bytes`` is no whole number, is out of range, or gives more than `MAX_PARTS`
            parts; or the source is longer than an object may be.

    Example:
        >>> [part.size_bytes for part in part_plan(250 * 1024, 100 * 1024).parts()]
        [102400, 102400, 51200]

    Source:
        OSS limits: 10,000 parts, each of 100 KB (the last excepted) to 5 GB; an object of at most 48.8 TB.
    """
    if total_bytes < 0:
        raise InvalidInput(f"a source cannot be {total_bytes} bytes long")
    if total_bytes > MAX_OBJECT_BYTES:
        raise InvalidInput(
            f"the source has {total_bytes} bytes, an object holds at most {MAX_OBJECT_BYTES}",
            advice="Cut the source and upload it as several objects.",
        )
    if not isinstance(part_bytes, int | None):
        raise InvalidInput(
            f"a part of {part_bytes!r} bytes was asked for, which is no whole number",
            advice="Leave the part size out to have one chosen.",
        )
    if part_bytes is None:
        return Plan(total_bytes, _automatic_part_bytes(total_bytes))
    if not MIN_PART_BYTES <= part_bytes <= MAX_PART_BYTES:
        raise InvalidInput(
            f"a part of {part_bytes} bytes was asked for, OSS accepts {MIN_PART_BYTES} to {MAX_PART_BYTES}",
            advice="Leave the part size out to have one chosen.",
        )
    plan = Plan(total_bytes, part_bytes)
    if plan.count > MAX_PARTS:
        raise InvalidInput(
            f"{total_bytes} bytes in parts of {part_bytes} make {plan.count} parts, OSS accepts {MAX_PARTS}",
            advice=f"Use parts of at least {-(-total_bytes // MAX_PARTS)} bytes, or leave the part size out.",
        )
    return plan


def _automatic_part_bytes(total_bytes: int) -> int:
    part_bytes = AUTOMATIC_PART_BYTES
    while part_bytes * MAX_PARTS < total_bytes:
        part_bytes *= 2
    return min(part_bytes, MAX_PART_BYTES // PART_ALIGNMENT_BYTES * PART_ALIGNMENT_BYTES)


def suggested_parallel(plan: Plan, most: int = 4) -> int:
    """
    How many parts to send at the same time when the caller does not say.

    A stop loses the parts in flight, so the number falls for large parts. At least 1, at most ``most``, and
    never more than there are parts.
    """
    return max(1, min(most, plan.count, MAX_IN_FLIGHT_BYTES // plan.part_bytes))
