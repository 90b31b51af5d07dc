"""What the long job feeds with any bytes, fed with its seeds and with bytes that are a little off."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))  # for targets, which the long job uses too

from targets import SEEDS, TARGETS

names = pytest.mark.parametrize("name", TARGETS)


@names
def test_seeds_are_taken(name: str) -> None:
    assert SEEDS[name]
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@names
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_bytes_are_taken(name: str, data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS[name]))
    pieces = bytearray(seed)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(pieces)))
        end = data.draw(st.integers(at, min(at + 8, len(pieces))))
        pieces[at:end] = data.draw(st.binary(max_size=8))
    TARGETS[name](bytes(pieces))
