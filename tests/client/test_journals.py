"""The journals of a user, beside the transfers that write them."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest
from msgspec import structs

import penstock
from penstock.client.running.journals import Journals
from penstock.errors import TransferError
from penstock.files.state_dir import StateDir
from penstock.transfer.journal import Intent, ObjectOptions, Upload, frame


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


def test_a_torn_tail_hides_nothing_that_is_written_after_it(state):
    with Journals(state).create("told") as told:
        told.append(frame(INTENT) + frame(Upload(upload_id="torn"))[:-1], durable=True)
    file, view = Journals(state).open(state.journal_path("told"))
    assert view.upload_id is None
    with file:
        file.append(frame(Upload(upload_id="u")), durable=True)
    assert Journals(state).of_job("told").view.upload_id == "u"


def test_of_several_transfers_to_a_key_the_one_that_began_last_at_this_endpoint_is_meant(state):
    for job_id, endpoint, started_at in [("a", "e", 1), ("b", "e", 3), ("c", "e", 2), ("d", "other", 4)]:
        intent = structs.replace(INTENT, job_id=job_id, endpoint=endpoint, started_at=started_at)
        with Journals(state).create(job_id) as journal:
            journal.append(frame(intent), durable=True)
    assert Journals(state).of_target("e", "bucket", "key").view.intent.job_id == "b"
    assert Journals(state).of_target("third", "bucket", "key") is None


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A state directory that this user may not enter, whoever that is: root may enter all there are."""
    directory = tmp_path / "closed"

    def refusing(real):
        def call(path, *args, **options):
            inside = isinstance(path, str | os.PathLike) and Path(path).is_relative_to(directory)
            if inside and Path(path) != directory:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return real(path, *args, **options)

        return call

    (directory / "journals").mkdir(parents=True)
    (directory / "running").mkdir()
    for module, name in [(os, "stat"), (os, "open"), (os, "listdir"), (os, "scandir"), (os, "mkdir")]:
        monkeypatch.setattr(module, name, refusing(getattr(module, name)))
    monkeypatch.setattr(io, "open", refusing(io.open))
    return directory


CALLS = {
    "upload": lambda client, url: client.upload(bytes(300_000), url, part_bytes=102_400),
    "unfinished": lambda client, url: list(client.unfinished_uploads()),
    "resume": lambda client, url: client.resume(url, b"1"),
    "cancel": lambda client, url: client.cancel_upload(url),
    "download": lambda client, url: client.download(url, "to", part_bytes=102_400),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_state_directory_that_may_not_be_entered_is_told_with_advice(
    make_client, oss_bucket, tmp_path, closed, monkeypatch, call
):
    monkeypatch.chdir(tmp_path)
    client = make_client(state_dir=closed)
    client.put_object(oss_bucket, "k", b"1")
    with pytest.raises(TransferError, match="ermission") as refused:
        call(client, f"oss://{oss_bucket}/k")
    assert "PENSTOCK_STATE_DIR" in refused.value.advice


def test_what_runs_cannot_be_told_from_a_directory_that_may_not_be_entered(closed):
    with pytest.raises(TransferError, match="ermission") as refused:
        penstock.running_transfers(closed)
    assert refused.value.advice


def test_what_needs_no_journal_needs_no_state_directory(make_client, oss_bucket, closed):
    client = make_client(state_dir=closed)
    url = f"oss://{oss_bucket}/k"
    assert client.upload(b"small", url).result(20).size_bytes == 5
    assert (
        client.upload(bytes(300_000), url, part_bytes=102_400, journal=False).result(20).size_bytes == 300_000
    )
