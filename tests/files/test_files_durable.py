"""What a power loss leaves, operation by operation."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_model import DiskModel

from penstock.files.durable import make_private_directory
from penstock.files.journal_file import JournalFile
from penstock.files.target import DownloadTarget


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DiskModel:
    model = DiskModel(tmp_path)
    model.watch(monkeypatch)
    return model


def watching(
    model: DiskModel, monkeypatch: pytest.MonkeyPatch, check: Callable[[dict[str, bytes]], None]
) -> None:
    """Check every state that a power loss could leave, after every operation."""
    for name in ("open", "write", "fsync", "replace", "close"):
        original = getattr(os, name)

        def checked(*args: object, _original: Callable[..., object] = original, **rest: object) -> object:
            result = _original(*args, **rest)
            for state in model.after_a_power_loss():
                check(state)
            return result

        monkeypatch.setattr(os, name, checked)


def test_a_download_is_at_every_moment_all_old_or_all_new(
    disk: DiskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pwrite")  # the model sees writes that follow each other
    with DownloadTarget.create(tmp_path / "target") as target:
        target.write_at(0, b"old")
        target.commit()

    def check(state: dict[str, bytes]) -> None:
        assert state["target"] in (b"old", b"newbytes")

    watching(disk, monkeypatch, check)
    with DownloadTarget.create(tmp_path / "target") as target:
        target.write_at(0, b"new")
        target.write_at(3, b"bytes")
        target.commit()
    assert {state["target"] for state in disk.after_a_power_loss()} == {b"newbytes"}


@pytest.mark.parametrize("total_bytes", [8, 5], ids=["as begun", "shorter"])
def test_what_is_kept_of_a_download_is_found_after_a_power_loss_and_then_has_its_name(
    disk: DiskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total_bytes: int
) -> None:
    monkeypatch.delattr(os, "pwrite")
    target = DownloadTarget.begin(tmp_path / "target", "job", 8)
    target.write_at(0, b"new")
    target.write_at(3, b"bytes")
    target.sync()
    kept = target.temporary.name
    assert [state.get(kept) for state in disk.after_a_power_loss()] == [b"newbytes"] * 8
    target.publish(total_bytes)
    expected = b"newbytes"[:total_bytes]
    assert [state.get("target") for state in disk.after_a_power_loss()] == [expected] * 8


def test_a_journal_keeps_after_a_power_loss_all_that_was_durable_and_no_gap(
    disk: DiskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = b"INTENT;UPLOAD;PART1;PART2;COMPLETING;"
    durable_bytes = 0

    def check(state: dict[str, bytes]) -> None:
        kept = state.get("job.journal", b"")
        assert everything.startswith(kept)
        assert len(kept) >= durable_bytes

    watching(disk, monkeypatch, check)
    with JournalFile.create(tmp_path / "job.journal") as journal:
        assert all("job.journal" in state for state in disk.after_a_power_loss()), "its name is on disk"
        for record in (b"INTENT;", b"UPLOAD;", b"PART1;", b"PART2;", b"COMPLETING;"):
            is_durable = not record.startswith(b"PART")
            journal.append(record, durable=is_durable)
            if is_durable:
                durable_bytes = everything.index(record) + len(record)
                check(next(disk.after_a_power_loss()))
    assert durable_bytes == len(everything)


def test_a_short_write_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:3]))
    with JournalFile.create(tmp_path / "job.journal") as journal:
        journal.append(b"more than three bytes", durable=True)
        assert journal.read_all() == b"more than three bytes"


def test_private_directories_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_directory(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    make_private_directory(tmp_path / "a" / "b")
