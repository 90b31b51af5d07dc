"""What a power loss leaves, operation by operation."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from disk_model import DiskModel

from penstock.files import durable
from penstock.files.durable import make_private_directory, write_durably
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


def test_a_file_is_at_every_moment_all_old_or_all_new(
    disk: DiskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    write_durably(path, b"old bytes")

    def check(state: dict[str, bytes]) -> None:
        assert state["state"] in (b"old bytes", b"new and longer bytes")

    watching(disk, monkeypatch, check)
    write_durably(path, b"new and longer bytes")
    assert {state["state"] for state in disk.after_a_power_loss()} == {b"new and longer bytes"}
    assert path.read_bytes() == b"new and longer bytes"
    assert disk.operations[-4:] == ["write", "fsync", "rename to state", "fsync directory"]


def test_a_download_is_at_every_moment_all_old_or_all_new(
    disk: DiskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_durably(tmp_path / "target", b"old")
    monkeypatch.delattr(os, "pwrite")

    def check(state: dict[str, bytes]) -> None:
        assert state["target"] in (b"old", b"newbytes")

    watching(disk, monkeypatch, check)
    with DownloadTarget.create(tmp_path / "target") as target:
        target.write_at(0, b"new")
        target.write_at(3, b"bytes")
        target.commit()
    assert {state["target"] for state in disk.after_a_power_loss()} == {b"newbytes"}


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


def test_a_write_that_fails_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    write_durably(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable, "sync", fail)
    with pytest.raises(OSError, match="No space"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_short_write_is_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real_write(descriptor, data[:3]))
    write_durably(tmp_path / "state", b"more than three bytes")
    assert (tmp_path / "state").read_bytes() == b"more than three bytes"


def test_private_directories_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_private_directory(tmp_path / "a" / "b")
        write_durably(tmp_path / "a" / "b" / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a" / "b" / "file").stat().st_mode & 0o777 == 0o600
    make_private_directory(tmp_path / "a" / "b")
