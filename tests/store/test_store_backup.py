from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_box import PART, Box, bucket_named

from penstock.errors import StoreError
from penstock.server.store import LocalStore, backup, faults

LARGE = b"large" * PART


def fill(box: Box) -> str:
    box.put("small", b"small")
    box.put("large", LARGE)
    box.put("gone", LARGE)
    box.delete("gone")
    box.set_versioning("Enabled")
    box.put("large", LARGE + b"!")
    box.delete("small")
    upload_id = box.begin("open")
    box.part("open", upload_id, 1, LARGE)
    return upload_id


@pytest.mark.parametrize("link", [True, False])
def test_a_backup_is_a_store_of_its_own(box: Box, tmp_path: Path, link: bool) -> None:
    upload_id = fill(box)
    done = box.store.backup(tmp_path / "backup", link=link)
    assert (done.blob_count, done.linked_count) == (3, 3 if link else 0)
    assert done.blob_bytes == 3 * len(LARGE) + 1
    before = box.versions()
    box.delete("large", before[0].version_id)
    box.store.collect_garbage()
    with LocalStore.open(tmp_path / "backup", "none") as store:
        report = store.check(scrub=True)
        assert report.sound, report
        assert (report.blob_count, report.orphans, report.garbage_count) == (3, (), 0)
        restored = Box(store)
        assert restored.versions() == before
        assert restored.read("large") == LARGE + b"!"
        assert restored.read("large", "null") == LARGE
        restored.complete("open", upload_id, None)
        restored.delete("large", "null")
        store.collect_garbage()
    assert box.read("large", "null") == LARGE
    assert box.store.head_upload(box.name, "open", upload_id)


def test_a_backup_beside_writers_holds_one_instant(box: Box, tmp_path: Path) -> None:
    stop = threading.Event()
    written = threading.Event()

    def write() -> int:
        # First "a", then "b": so whoever sees a "b" must see an "a" that is as new.
        number = 0
        while not stop.is_set():
            for key in ("a", "b"):
                box.put(key, number.to_bytes(4, "big") * PART)
            number += 1
            written.set()
        return number

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            assert written.wait(10)
            for turn in range(6):
                box.store.backup(tmp_path / f"backup{turn}")
        finally:
            stop.set()
        assert writing.result()
    for turn in range(6):
        with LocalStore.open(tmp_path / f"backup{turn}", "none") as store:
            report = store.check(scrub=True)
            assert report.sound, report
            assert (report.blob_count, report.orphans) == (2, ())
            first, second = (int.from_bytes(Box(store).read(key)[:4], "big") for key in ("a", "b"))
            assert second <= first <= second + 1


def test_a_backup_copies_where_the_file_system_cannot_link(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put("key", LARGE)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    done = box.store.backup(tmp_path / "backup")
    assert (done.blob_count, done.linked_count) == (1, 0)
    with LocalStore.open(tmp_path / "backup", "none") as store:
        assert Box(store).read("key") == LARGE


def test_a_backup_that_fails_leaves_nothing_behind(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.put("key", LARGE)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "backups").mkdir()
    with monkeypatch.context() as patched:
        patched.setattr(backup, "_copy", fail)
        with pytest.raises(StoreError, match="No space left"):
            box.store.backup(tmp_path / "backups" / "new", link=False)
    assert list((tmp_path / "backups").iterdir()) == []
    with pytest.raises(StoreError, match="exists already"):
        box.store.backup(tmp_path / "backups")
    box.delete("key")
    box.store.collect_garbage()
    assert box.store.check().blob_count == 0


def test_a_backup_of_an_empty_store_is_empty(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "strict") as store:
        done = store.backup(tmp_path / "deep" / "backup")
    assert done.blob_count == 0
    with LocalStore.open(tmp_path / "deep" / "backup", "strict") as store:
        assert store.list_buckets().buckets == ()
        store.create_bucket(bucket_named("box"))
        with pytest.raises(faults.KeyMissing):
            Box(store).read("key")


@pytest.mark.parametrize("inside", ["in", "blobs/in", "../data/in"])
def test_a_backup_does_not_lie_within_its_store(tmp_path: Path, inside: str) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        with pytest.raises(StoreError, match="within the store"):
            store.backup(tmp_path / "data" / inside)
        store.backup(tmp_path / "database")
    assert not (tmp_path / "data" / "in").exists()


@pytest.mark.parametrize("link", [True, False])
def test_a_backup_is_for_its_owner_only(box: Box, tmp_path: Path, link: bool) -> None:
    box.put("key", LARGE)
    box.store.backup(tmp_path / "backup", link=link)
    files = [path for path in (tmp_path / "backup").rglob("*") if path.is_file()]
    assert len(files) == 2
    assert [path for path in files if path.stat().st_mode & 0o077] == []
