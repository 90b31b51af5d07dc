from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from penstock.errors import InvalidInput, TransferError
from penstock.files import target as target_module
from penstock.files.lock import try_lock
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


def test_two_that_make_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "object"
    with DownloadTarget.create(path) as first, DownloadTarget.create(path) as second:
        first.write_at(0, b"first")
        second.write_at(0, b"second")
        first.commit()
        assert path.read_bytes() == b"first"
        with DownloadTarget.create(path) as third:
            third.write_at(0, b"third")
            second.commit()
            assert path.read_bytes() == b"second"
            third.commit()
    assert path.read_bytes() == b"third"
    assert list(tmp_path.iterdir()) == [path]


def test_a_finished_file_cannot_be_taken_for_one_left_behind_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace = tmp_path / "object", os.replace

    def replace_after_another(source: Path, target: Path) -> None:
        monkeypatch.setattr(os, "replace", replace)
        with DownloadTarget.create(path) as other:
            assert other.temporary != source
        replace(source, target)

    monkeypatch.setattr(os, "replace", replace_after_another)
    with DownloadTarget.create(path) as target:
        target.write_at(0, b"whole")
        target.commit()
    assert path.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_nobody_has_any_more_is_taken_over_and_not_written_through_to(tmp_path: Path) -> None:
    path = tmp_path / "object"
    left = DownloadTarget.create(path)
    left.write_at(0, b"what a killed process left")
    kept = tmp_path / "a second name of it"
    kept.hardlink_to(left.temporary)
    left.close()
    with DownloadTarget.create(path) as target:
        assert target.temporary == left.temporary
        target.write_at(0, b"new")
        target.commit()
    assert path.read_bytes() == b"new"
    assert kept.read_bytes() == b"what a killed process left"
    assert set(tmp_path.iterdir()) == {path, kept}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_what_was_left_of_a_file_that_may_only_be_read_is_removed_too(tmp_path: Path) -> None:
    path = tmp_path / "object"
    path.write_bytes(b"old")
    path.chmod(0o400)
    left = DownloadTarget.create(path)
    left.close()
    with DownloadTarget.create(path) as target:
        assert target.temporary == left.temporary
        target.commit()
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_others_have_or_that_are_no_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "object"
    with DownloadTarget.create(path) as first:
        names = first.temporary
    (tmp_path / "elsewhere").write_bytes(b"untouched")
    names.symlink_to(tmp_path / "elsewhere")
    with DownloadTarget.create(path) as target:
        assert target.temporary != names
        target.write_at(0, b"new")
        target.commit()
    assert (tmp_path / "elsewhere").read_bytes() == b"untouched"


def test_more_at_a_time_than_there_are_names_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "object"
    made = [DownloadTarget.create(path) for _ in range(40)]
    assert len({one.temporary for one in made}) == 40
    for one in made:
        one.discard()
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_taken_for_left_behind_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[Path] = []

    def remove_first(descriptor: int) -> bool:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        return try_lock(descriptor)

    monkeypatch.setattr(target_module, "try_lock", remove_first)
    with DownloadTarget.create(tmp_path / "object") as target:
        assert [target.temporary] == removed == list(tmp_path.iterdir())


def test_where_there_are_no_locks_every_one_has_a_name_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> bool:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(target_module, "try_lock", refuse)
    with (
        DownloadTarget.create(tmp_path / "object") as first,
        DownloadTarget.create(tmp_path / "object") as two,
    ):
        assert first.temporary != two.temporary
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_outlives_the_close_reaches_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, entered, go_on = os.pwrite, threading.Event(), threading.Event()

    def hang(descriptor: int, data: memoryview, offset: int) -> int:
        entered.set()
        go_on.wait(20)
        return real(descriptor, data[:1], offset)

    target = DownloadTarget.create(tmp_path / "object")
    monkeypatch.setattr(os, "pwrite", hang)
    thread = threading.Thread(target=target.write_at, args=(0, b"left behind"))
    thread.start()
    entered.wait(20)
    target.discard()
    with (tmp_path / "other").open("w+b") as other:  # it would get the number of a descriptor that is free
        assert os.fstat(other.fileno()).st_ino != os.fstat(target._descriptor).st_ino
        go_on.set()
        thread.join(20)
        assert other.read() == b""
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(target._descriptor)
    with pytest.raises(TransferError, match="closed"):
        target.write_at(0, b"more")


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
