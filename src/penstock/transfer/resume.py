"""
Which stored parts may be skipped. ListParts says what exists, the local bytes say what should be, and the
journal says why the two should agree; trusted in this order.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from penstock.transfer.events import ListedPart
from penstock.transfer.journal import PartStored
from penstock.transfer.plan import Part, Plan


class Comparison(Struct, frozen=True):
    """A part of the plan, and what OSS says it has under its number; the sizes are equal."""

    part: Part
    listed: ListedPart


class Reconciled(Struct, frozen=True, kw_only=True):
    """
    Every part of the plan, in exactly one of three tuples; numbers rise in each.

    Attributes:
        kept: Stored and known to equal the source.
        to_compare: Stored with the right size; only the local bytes can tell whether they are the same.
        to_send: Not stored, or stored with other bytes.
        resized: Of ``to_send``, those that are stored with another size.
    """

    kept: tuple[PartStored, ...]
    to_compare: tuple[Comparison, ...]
    to_send: tuple[int, ...]
    resized: tuple[int, ...]


def reconcile(
    plan: Plan, listed: Mapping[int, ListedPart], known: Mapping[int, PartStored], *, source_unchanged: bool
) -> Reconciled:
    """
    Decide for every part of ``plan`` whether it is skipped, compared or sent.

    Parts that OSS has beyond the plan are left out: Complete does not name them, and OSS drops them.

    Args:
        listed: The whole part list of OSS, by number.
        known: Parts whose CRC-64 was once computed from the local bytes, by number.
        source_unchanged: The source is proven to be the revision that ``known`` was computed from.
    """
    kept: list[PartStored] = []
    to_compare: list[Comparison] = []
    to_send: list[int] = []
    resized: list[int] = []
    for part in plan.parts():
        there = listed.get(part.number)
        record = known.get(part.number)
        if there is None:
            to_send.append(part.number)
        elif there.size_bytes != part.size_bytes:
            to_send.append(part.number)
            resized.append(part.number)
        elif not source_unchanged or record is None or not _covers(record, part):
            to_compare.append(Comparison(part, there))
        elif _agrees(record, there):
            kept.append(_stored(part, record.crc64, there))
        else:
            to_send.append(part.number)
    return Reconciled(
        kept=tuple(kept), to_compare=tuple(to_compare), to_send=tuple(to_send), resized=tuple(resized)
    )


def compared(comparison: Comparison, crc64: int, md5: str) -> PartStored | None:
    """
    The stored part if the local bytes are the same, else None.

    Args:
        crc64: Of the local bytes.
        md5: Of the local bytes, upper-case hex; looked at only where OSS listed no CRC-64.
    """
    listed = comparison.listed
    same = crc64 == listed.crc64 if listed.crc64 is not None else bool(md5) and md5 == listed.etag.upper()
    return _stored(comparison.part, crc64, listed) if same else None


def _covers(record: PartStored, part: Part) -> bool:
    return (record.offset, record.size_bytes) == (part.offset, part.size_bytes)


def _agrees(record: PartStored, listed: ListedPart) -> bool:
    return record.crc64 == listed.crc64 if listed.crc64 is not None else record.etag == listed.etag


def _stored(part: Part, crc64: int, listed: ListedPart) -> PartStored:
    return PartStored(
        number=part.number, offset=part.offset, size_bytes=part.size_bytes, crc64=crc64, etag=listed.etag
    )
