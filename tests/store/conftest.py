from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.server.store import LocalStore

sys.path.insert(0, str(Path(__file__).parent))  # for store_box, which the tests here share

from store_box import Box, bucket_named


@pytest.fixture(params=["local"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], LocalStore]:
    """Opens the store under test, each time the same one; a further kind of store is one more parameter."""
    return lambda: LocalStore.open(tmp_path / "data", "none")


@pytest.fixture
def store(open_store: Callable[[], LocalStore]) -> Iterator[LocalStore]:
    """An open store, which must be in order at the end of every test."""
    with open_store() as opened:
        yield opened
        report = opened.check(scrub=True)
        assert report.sound, report


@pytest.fixture
def box(store: LocalStore) -> Box:
    store.create_bucket(bucket_named(Box.name))
    return Box(store)
