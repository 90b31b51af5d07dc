"""The journals of a user, beside the transfers that write them."""

from __future__ import annotations

import pytest

from penstock.client.running.journals import Journals
from penstock.errors import TransferError
from penstock.files.state_dir import StateDir
from penstock.transfer.journal import Intent, ObjectOptions, frame


@pytest.fixture
def state(tmp_path):
    return StateDir(tmp_path)


def names_in(state):
    return sorted(path.name for path in (state.root / "journals").iterdir())


INTENT = Intent(
    job_id="told",
    endpoint="http://127.0.0.1:1",
    region="cn-hangzhou",
    bucket="bucket",
    key="key",
    source=None,
    total_bytes=1,
    part_bytes=102_400,
    options=ObjectOptions(),
    started_at=1,
)


def test_what_a_kill_left_before_its_first_record_is_removed_by_the_next_transfer(state):
    Journals(state).create("empty").close()
    assert names_in(state) == ["empty.journal", "empty.journal.lock"]
    with Journals(state).create("next"):
        assert names_in(state) == ["next.journal", "next.journal.lock"]


def test_a_journal_that_is_being_begun_stays(state):
    with Journals(state).create("begun") as begun, Journals(state).create("next"):
        assert begun.read_all() == b""
        assert "begun.journal" in names_in(state)


def test_journals_that_tell_something_stay_and_so_do_damaged_ones(state):
    with Journals(state).create("told") as told:
        told.append(frame(INTENT), durable=True)
    state.journal_path("damaged").write_bytes(b"\xff" * 100_000)
    with Journals(state).create("next"):
        assert {"told.journal", "damaged.journal"} <= set(names_in(state))
    with pytest.raises(TransferError):
        Journals(state).open(state.journal_path("damaged"))
