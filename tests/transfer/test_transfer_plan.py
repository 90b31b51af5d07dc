from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies

from penstock.errors import InvalidInput
from penstock.protocol.limits import MAX_OBJECT_BYTES, MAX_PART_BYTES, MAX_PARTS, MIN_PART_BYTES
from penstock.transfer.plan import PART_ALIGNMENT_BYTES, Part, part_plan, suggested_parallel

MIB = 1024 * 1024


@given(
    total_bytes=strategies.integers(0, 100 * MIB),
    part_bytes=strategies.integers(MIN_PART_BYTES, MAX_PART_BYTES),
)
def test_parts_cover_the_source_without_gap_or_overlap(total_bytes: int, part_bytes: int) -> None:
    plan = part_plan(total_bytes, part_bytes)
    parts = list(plan.parts())
    assert [part.number for part in parts] == list(range(1, plan.count + 1))
    assert parts[0].offset == 0
    for before, after in pairwise(parts):
        assert after.offset == before.offset + before.size_bytes
        assert before.size_bytes == part_bytes
    assert sum(part.size_bytes for part in parts) == total_bytes
    assert all(part.size_bytes for part in parts) or parts == [Part(1, 0, 0)]


@given(total_bytes=strategies.integers(0, MAX_OBJECT_BYTES))
def test_an_automatic_plan_is_accepted_for_every_length_that_an_object_may_have(total_bytes: int) -> None:
    plan = part_plan(total_bytes)
    assert 1 <= plan.count <= MAX_PARTS
    assert MIN_PART_BYTES <= plan.part_bytes <= MAX_PART_BYTES
    assert plan.part_bytes % PART_ALIGNMENT_BYTES == 0
    last = plan.part(plan.count)
    assert last.offset + last.size_bytes == total_bytes


def test_ten_thousand_parts_are_allowed_and_one_more_is_not() -> None:
    assert part_plan(MAX_PARTS * MIN_PART_BYTES, MIN_PART_BYTES).count == MAX_PARTS
    with pytest.raises(InvalidInput, match="10001 parts") as refused:
        part_plan(MAX_PARTS * MIN_PART_BYTES + 1, MIN_PART_BYTES)
    assert str(MIN_PART_BYTES + 1) in refused.value.advice


def test_the_part_size_grows_only_when_it_must() -> None:
    assert part_plan(MAX_PARTS * 8 * MIB).part_bytes == 8 * MIB
    assert part_plan(MAX_PARTS * 8 * MIB + 1).part_bytes == 16 * MIB
    assert part_plan(MAX_OBJECT_BYTES).part_bytes == MAX_PART_BYTES


@pytest.mark.parametrize(
    ("total_bytes", "part_bytes"),
    [(-1, None), (MAX_OBJECT_BYTES + 1, None), (1, MIN_PART_BYTES - 1), (1, MAX_PART_BYTES + 1), (1, 0)],
)
def test_what_oss_refuses_is_refused_before_anything_is_sent(
    total_bytes: int, part_bytes: int | None
) -> None:
    with pytest.raises(InvalidInput):
        part_plan(total_bytes, part_bytes)


@pytest.mark.parametrize("number", [0, 4, -1])
def test_a_part_that_is_not_in_the_plan_is_refused(number: int) -> None:
    with pytest.raises(InvalidInput):
        part_plan(3 * MIN_PART_BYTES, MIN_PART_BYTES).part(number)


def test_parallelism_falls_with_the_size_of_parts_and_never_below_one() -> None:
    assert suggested_parallel(part_plan(1)) == 1
    assert suggested_parallel(part_plan(100 * 8 * MIB)) == 4
    assert suggested_parallel(part_plan(100 * 8 * MIB), most=16) == 16
    assert suggested_parallel(part_plan(MAX_OBJECT_BYTES)) == 1
