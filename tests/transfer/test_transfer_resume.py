from __future__ import annotations

from hypothesis import given, strategies

from penstock.protocol.limits import MIN_PART_BYTES
from penstock.transfer.events import ListedPart
from penstock.transfer.journal import PartStored
from penstock.transfer.plan import Part, part_plan
from penstock.transfer.resume import Comparison, compared, reconcile

PLAN = part_plan(3 * MIN_PART_BYTES + 5, MIN_PART_BYTES)


def listed(
    number: int, *, crc64: int | None = 1, size_bytes: int | None = None, etag: str = "AA"
) -> ListedPart:
    size = PLAN.part(number).size_bytes if size_bytes is None else size_bytes
    return ListedPart(number=number, size_bytes=size, etag=etag, crc64=crc64)


def known(number: int, *, crc64: int = 1, etag: str = "AA") -> PartStored:
    part = PLAN.part(number)
    return PartStored(number=number, offset=part.offset, size_bytes=part.size_bytes, crc64=crc64, etag=etag)


@given(
    there=strategies.sets(strategies.integers(1, 6)),
    remembered=strategies.sets(strategies.integers(1, 4)),
    unchanged=strategies.booleans(),
)
def test_every_part_of_the_plan_is_kept_compared_or_sent(
    there: set[int], remembered: set[int], unchanged: bool
) -> None:
    found = {n: ListedPart(number=n, size_bytes=MIN_PART_BYTES, etag="AA", crc64=1) for n in there}
    result = reconcile(PLAN, found, {n: known(n) for n in remembered}, source_unchanged=unchanged)
    kept = [part.number for part in result.kept]
    to_compare = [comparison.part.number for comparison in result.to_compare]
    assert sorted([*kept, *to_compare, *result.to_send]) == [1, 2, 3, 4]
    assert set(kept) <= there & remembered
    assert unchanged or not kept
    assert set(to_compare) <= there
    assert set(result.resized) == there & {4}


def test_a_part_that_others_stored_over_ours_is_sent_again_without_reading_it_first() -> None:
    result = reconcile(PLAN, {2: listed(2, crc64=9)}, {2: known(2)}, source_unchanged=True)
    assert result.to_send == (1, 2, 3, 4)


def test_without_a_listed_checksum_the_etag_must_agree() -> None:
    found = {1: listed(1, crc64=None, etag="AA"), 2: listed(2, crc64=None, etag="BB")}
    result = reconcile(PLAN, found, {1: known(1), 2: known(2)}, source_unchanged=True)
    assert [part.number for part in result.kept] == [1]
    assert result.to_send == (2, 3, 4)


def test_a_changed_source_trusts_no_record() -> None:
    result = reconcile(PLAN, {1: listed(1)}, {1: known(1)}, source_unchanged=False)
    assert result.to_compare == (Comparison(PLAN.part(1), listed(1)),)


def test_a_record_of_another_cut_is_not_trusted() -> None:
    other = PartStored(number=1, offset=0, size_bytes=7, crc64=1, etag="AA")
    result = reconcile(PLAN, {1: listed(1)}, {1: other}, source_unchanged=True)
    assert [comparison.part.number for comparison in result.to_compare] == [1]


def test_local_bytes_are_compared_by_checksum_and_by_md5_only_where_there_is_none() -> None:
    part = Part(1, 0, 5)
    with_crc = Comparison(part, ListedPart(number=1, size_bytes=5, etag="AA", crc64=7))
    without = Comparison(part, ListedPart(number=1, size_bytes=5, etag="aa"))
    assert compared(with_crc, 7, "") == PartStored(number=1, offset=0, size_bytes=5, crc64=7, etag="AA")
    assert compared(with_crc, 8, "AA") is None
    assert compared(without, 8, "AA") is not None
    assert compared(without, 8, "") is None
    assert compared(without, 8, "AB") is None
    assert compared(Comparison(part, ListedPart(number=1, size_bytes=5, etag="")), 8, "") is None
