from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from penstock.errors import InvalidInput, TransferError
from penstock.files import target as target_module
from penstock.files.target import DownloadTarget, check_target


def test_the_target_appears_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "object"
    with DownloadTarget.create(path) as target:
        target.write_at(3, b"stock")
        assert not path.exists()
        target.write_at(0, memoryview(b"pen"))
        target.commit()
    assert path.read_bytes() == b"penstock"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_write_each_at_its_own_place(tmp_path: Path) -> None:
    path = tmp_path / "object"
    with DownloadTarget.create(path) as target:
        threads = [
            threading.Thread(target=target.write_at, args=(n * 1000, bytes([n]) * 1000))
            for n in reversed(range(8))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        target.commit()
    assert path.read_bytes() == b"".join(bytes([n]) * 1000 for n in range(8))


def test_leaving_without_a_commit_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), DownloadTarget.create(path) as target:
        target.write_at(0, b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_mode_of_an_existing_file_is_kept_and_a_new_one_obeys_the_umask(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        for path in (old, new):
            with DownloadTarget.create(path) as target:
                target.commit()
    finally:
        os.umask(before)
    assert old.stat().st_mode & 0o777 == 0o640
    assert new.stat().st_mode & 0o777 == 0o640


def test_a_symbolic_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    with DownloadTarget.create(link) as target:
        target.write_at(0, b"new")
        target.commit()
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is a directory"):
        DownloadTarget.create(tmp_path)


def test_a_missing_directory_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file") as refused:
        DownloadTarget.create(tmp_path / "missing" / "object")
    assert refused.value.advice == "Make the directory first."


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InvalidInput, match="Not a directory"):
        DownloadTarget.create(tmp_path / "file" / "object")


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidInput, match="not a regular file"):
        DownloadTarget.create(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_permission_is_refused_with_advice(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(0o500)
    with pytest.raises(InvalidInput, match="Permission"):
        DownloadTarget.create(locked / "object")


def test_a_full_disk_is_said_and_the_old_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"old")

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(target_module, "sync", fail)
    with DownloadTarget.create(path) as target, pytest.raises(TransferError, match="No space left"):
        target.commit()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_begun_is_found_again_by_its_job_alone(tmp_path: Path) -> None:
    path = tmp_path / "object"
    begun = DownloadTarget.begin(path, "job", 8)
    begun.write_at(3, b"stock")
    begun.close()
    assert DownloadTarget.reopen(path, "other") is None
    found = DownloadTarget.reopen(path, "job")
    assert found is not None
    assert found.size_bytes == 8
    buffer = bytearray(5)
    assert found.read_at(3, memoryview(buffer)) == 5
    assert buffer == b"stock"
    found.write_at(0, b"pen")
    found.sync()
    found.publish(8)
    assert path.read_bytes() == b"penstock"
    assert list(tmp_path.iterdir()) == [path]
    assert DownloadTarget.reopen(path, "job") is None


def test_beginning_again_forgets_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "object"
    with DownloadTarget.begin(path, "job", 4) as begun:
        begun.write_at(0, b"old!")
        begun.close()
        again = DownloadTarget.begin(path, "job", 4)
        buffer = bytearray(4)
        again.read_at(0, memoryview(buffer))
        again.close()
    assert bytes(buffer) == bytes(4)


def test_publishing_cuts_to_the_length_and_keeps_the_mode_of_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"old")
    path.chmod(0o440)
    begun = DownloadTarget.begin(path, "job", 3)
    assert begun.temporary.stat().st_mode & 0o777 == 0o640, "a later process must be able to write to it"
    begun.write_at(0, b"new and more")
    begun.publish(3)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o440


def test_a_publishing_that_fails_keeps_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"old")

    def fail(source: Path, target: Path) -> None:
        raise OSError(13, "Permission denied")

    begun = DownloadTarget.begin(path, "job", 3)
    begun.write_at(0, b"new")
    monkeypatch.setattr(target_module.os, "replace", fail)
    with pytest.raises(TransferError, match="Permission denied"):
        begun.publish(3)
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    found = DownloadTarget.reopen(path, "job")
    assert found is not None
    found.publish(3)
    assert path.read_bytes() == b"new"


def test_a_job_is_discarded_open_or_not(tmp_path: Path) -> None:
    path = tmp_path / "object"
    assert not DownloadTarget.discard_job(path, "job")
    begun = DownloadTarget.begin(path, "job", 3)
    assert DownloadTarget.discard_job(path, "job")
    begun.close()
    assert list(tmp_path.iterdir()) == []


def test_a_name_as_long_as_names_may_be_has_room_beside_it(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127)
    with DownloadTarget.begin(path, "0123456789abcdef01234567", 1) as begun:
        begun.write_at(0, b"x")
        begun.commit()
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("path", ["folder", "missing/object", "file/object"])
def test_a_path_that_no_file_can_be_made_at_is_refused_before_anything_is_made(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidInput):
        check_target(tmp_path / path)
    assert sorted(tmp_path.iterdir()) == before
    check_target(tmp_path / "folder" / "object")
