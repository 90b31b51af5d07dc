from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import JournalLocked, JournalUnreadable, TransferError
from penstock.files import durable, journal_file
from penstock.files.journal_file import SYNC_EVERY_APPENDS, JournalFile, lock_path, read_journal

KILLED = """
import os, signal, sys
from pathlib import Path
from penstock.files.journal_file import JournalFile
journal = JournalFile.create(Path(sys.argv[1]))
for number in range(5):
    journal.append(b"%d" % number, durable=False)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journals" / "job.journal"


@pytest.fixture
def syncs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the journal was at each of its syncs."""
    seen: list[int] = []

    def sync(descriptor: int) -> None:
        seen.append(os.fstat(descriptor).st_size)
        durable.sync(descriptor)

    monkeypatch.setattr(journal_file, "sync", sync)
    return seen


@pytest.fixture
def kept_names(monkeypatch: pytest.MonkeyPatch) -> dict[Path, set[str]]:
    """What each directory held when it was last synced."""
    kept: dict[Path, set[str]] = {}

    def sync_directory(directory: Path) -> None:
        kept[directory] = {child.name for child in directory.iterdir()}

    monkeypatch.setattr(durable, "sync_directory", sync_directory)
    monkeypatch.setattr(journal_file, "sync_directory", sync_directory)
    return kept


def test_what_was_appended_is_read_again_after_a_reopening(path: Path) -> None:
    with JournalFile.create(path) as journal:
        journal.append(b"one", durable=True)
        journal.append(b"two", durable=False)
        assert journal.read_all() == b"onetwo"
    with JournalFile.open(path) as journal:
        journal.append(b"three", durable=False)
        assert journal.read_all() == b"onetwothree" == read_journal(path)


def test_a_journal_is_private_to_its_user(path: Path) -> None:
    with JournalFile.create(path):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_first_journal_and_the_directories_above_it_keep_their_names(
    path: Path, tmp_path: Path, kept_names: dict[Path, set[str]]
) -> None:
    JournalFile.create(path).close()
    assert "state" in kept_names[tmp_path]
    assert "journals" in kept_names[tmp_path / "state"]
    assert path.name in kept_names[path.parent]


def test_a_durable_append_is_synced_before_it_returns(path: Path, syncs: list[int]) -> None:
    with JournalFile.create(path) as journal:
        assert syncs == [0], "an empty journal is on disk before anything else"
        journal.append(b"abc", durable=True)
        assert syncs == [0, 3]
        journal.append(b"def", durable=False)
        assert syncs == [0, 3]
        journal.append(b"ghi", durable=True)
        assert syncs == [0, 3, 9]


def test_other_appends_are_synced_in_groups_and_at_the_close(path: Path, syncs: list[int]) -> None:
    with JournalFile.create(path) as journal:
        for _ in range(SYNC_EVERY_APPENDS + 1):
            journal.append(b"x", durable=False)
        assert syncs == [0, SYNC_EVERY_APPENDS]
    assert syncs == [0, SYNC_EVERY_APPENDS, SYNC_EVERY_APPENDS + 1]


def test_a_torn_tail_is_cut_off_before_going_on(path: Path, syncs: list[int]) -> None:
    with JournalFile.create(path) as journal:
        journal.append(b"whole|torn", durable=True)
    with JournalFile.open(path) as journal:
        journal.truncate(6)
        assert syncs[-1] == 6
        journal.truncate(100)
        journal.append(b"next", durable=True)
    assert read_journal(path) == b"whole|next"


def test_a_journal_that_exists_is_not_created_again(path: Path) -> None:
    JournalFile.create(path).close()
    with pytest.raises(TransferError, match="File exists"):
        JournalFile.create(path)
    JournalFile.open(path).close()


def test_a_missing_journal_is_not_made_by_opening_it(path: Path) -> None:
    with pytest.raises(JournalUnreadable, match="there is no journal"):
        JournalFile.open(path)
    with pytest.raises(JournalUnreadable):
        read_journal(path)
    assert not path.parent.exists()


def test_a_journal_has_one_writer(path: Path) -> None:
    with JournalFile.create(path, command="penstock cp"):
        with pytest.raises(JournalLocked, match="penstock cp"):
            JournalFile.open(path)
        assert read_journal(path) == b""


def test_a_deleted_journal_leaves_nothing_behind(path: Path, kept_names: dict[Path, set[str]]) -> None:
    journal = JournalFile.create(path)
    journal.append(b"x", durable=False)
    journal.delete()
    assert path.name not in kept_names[path.parent]
    journal.close()
    assert list(path.parent.iterdir()) == []


def test_a_killed_process_leaves_what_it_appended_and_no_lock(path: Path) -> None:
    process = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert process.returncode == -9
    with JournalFile.open(path) as journal:
        assert journal.read_all() == b"01234"


def test_a_full_disk_leaves_no_half_frame_to_hide_the_next(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with JournalFile.create(path) as journal:
        journal.append(b"first", durable=True)
        with monkeypatch.context() as full:
            full.setattr(journal_file, "write_all", half)
            with pytest.raises(TransferError, match="No space left") as refused:
                journal.append(b"second", durable=True)
        assert str(path) in refused.value.message
        assert "room" in refused.value.advice
        journal.append(b"third", durable=True)
    assert read_journal(path) == b"firstthird"


def test_after_a_failed_sync_nothing_more_is_promised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with JournalFile.create(path) as journal:
        with monkeypatch.context() as broken:
            broken.setattr(journal_file, "sync", fail)
            with pytest.raises(TransferError, match="Input/output"):
                journal.append(b"x", durable=True)
        with pytest.raises(TransferError, match="takes nothing more"):
            journal.append(b"y", durable=True)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(TransferError, match=r"Not a directory|File exists"):
        JournalFile.create(tmp_path / "file" / "job.journal")


def test_a_lock_is_let_go_when_the_journal_cannot_be_made(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(directory: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(journal_file, "sync_directory", fail)
        with pytest.raises(TransferError):
            JournalFile.create(path)
    path.unlink()
    JournalFile.create(path).close()
    assert lock_path(path).exists()
