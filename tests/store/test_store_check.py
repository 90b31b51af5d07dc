from __future__ import annotations

import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from store_box import PART, Box, bucket_named

from penstock.server.store import CopySource, LocalStore, NeedyRow, check

LARGE = b"large" * PART


def change(store: LocalStore, sql: str) -> None:
    """Damages the metadata, past the triggers that keep it in order."""

    def run(db: apsw.Connection) -> None:
        db.execute(sql)

    store._writer.run("damaging", run)


@pytest.fixture
def damaged(tmp_path: Path) -> Box:
    """A box in a store that a test may damage; it is not looked at afterwards."""
    store = LocalStore.open(tmp_path / "damaged", "none")
    store.create_bucket(bucket_named(Box.name))
    box = Box(store)
    box.put("small", b"small")
    box.put("large", LARGE)
    upload_id = box.begin("done")
    for number in (1, 2):
        box.part("done", upload_id, number, LARGE)
    box.complete("done", upload_id, None)
    box.part("open", box.begin("open"), 1, LARGE)
    box.append("log", 0, b"small piece")
    assert store.check(scrub=True).sound
    for trigger in ("segment_leaves_blob", "object_leaves_segset", "segset_unused", "blob_unused"):
        change(store, f"DROP TRIGGER {trigger}")
    return box


FAULTS: dict[str, tuple[str, ...]] = {
    "counts 9 segments and has": ("UPDATE blob SET refs = 9",),
    "counts 9 holders and has 1": ("UPDATE segset SET refs = 9",),
    "which has no row": ("DELETE FROM blob",),
    "has pieces and no row": ("DELETE FROM segset",),
    "object 'large' of bucket number 1 needs segment set": ("DELETE FROM segset",),
    "upload .* needs segment set": ("DELETE FROM segset",),
    "object 'small' is in bucket number 1": ("DELETE FROM bucket",),
    "upload .* is in bucket number 1": ("DELETE FROM bucket",),
    "object 'small' of bucket number 1 has pieces of another length": (
        "UPDATE object SET size = 4 WHERE key = CAST('small' AS BLOB)",
    ),
    "object 'large' of bucket number 1 has pieces of another length": (
        "UPDATE segment SET length = length - 1 WHERE blob IS NOT NULL",
    ),
    "part 1 of segment set .* has pieces of another length": ("UPDATE segment SET length = length - 1",),
    "has a piece beyond the end of blob": ("UPDATE segment SET offset = 1",),
    "object 'small' of bucket number 1 has versions and none is the latest": (
        "UPDATE object SET latest = 0",
    ),
    "object 'small' of bucket number 1 has more than one null version": (
        "INSERT INTO object SELECT NULL, bucket, key, -1, NULL, 0, kind, size, etag, crc64, modified_ms,"
        " attributes, segset, inline, NULL FROM object",
    ),
    "is listed as garbage and still needed": ("INSERT INTO gc (blob) SELECT id FROM blob",),
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_check_finds_metadata_that_contradicts_itself(damaged: Box, words: str) -> None:
    with damaged.store as store:
        for sql in FAULTS[words]:
            change(store, sql)
        report = store.check()
    assert not report.sound
    assert any(re.search(words, fault) for fault in report.faults), report.faults


@pytest.mark.parametrize(
    ("words", "sql"),
    [
        ("object 'small'", "UPDATE object SET inline = CAST('rotte' AS BLOB) WHERE inline IS NOT NULL"),
        ("object 'done'", "UPDATE object SET crc64 = '1' WHERE kind = 'Multipart'"),
        ("object 'log'", "UPDATE object SET crc64 = '1' WHERE kind = 'Appendable'"),
        ("part 1", "UPDATE segment SET data = CAST('rotten bits' AS BLOB) WHERE data IS NOT NULL"),
    ],
)
def test_only_a_scrub_finds_rows_whose_bytes_are_not_what_they_were(
    damaged: Box, words: str, sql: str
) -> None:
    with damaged.store as store:
        change(store, sql)
        assert store.check().sound
        (fault,) = store.check(scrub=True).faults
    assert fault.startswith(words)
    assert fault.endswith("is not what its CRC-64 says")


def test_a_check_names_everything_that_needs_bytes_which_are_gone(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "other", "none") as store:
        store.create_bucket(bucket_named(Box.name))
        other = Box(store)
        other.put("fine", LARGE)
        other.put("gone", LARGE)
        blob = newest_blob(tmp_path / "other")
        other.set_versioning("Enabled")
        upload_id = other.begin("open")
        store.copy_object(CopySource(Box.name, "gone"), other.name, "copy", lambda found: found.attributes)
        store.copy_part(CopySource(Box.name, "gone"), other.name, "open", upload_id, 1)
        new = other.put("gone", b"new")
        blob.unlink()
        report = store.check()
        assert report.missing == (blob.name,)
        copied = store.head_object(other.name, "copy").version_id
        assert report.needy == (
            NeedyRow(bucket="box", key="copy", version_id=copied),
            NeedyRow(bucket="box", key="gone", version_id="null"),
            NeedyRow(bucket="box", key="open", upload_id=upload_id),
        )
        assert new.version_id != "null"


def newest_blob(directory: Path) -> Path:
    return max(path for path in (directory / "blobs").rglob("*") if path.is_file())


def test_a_file_that_the_disk_does_not_give_is_damaged(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    box.put("key", LARGE)

    def fail(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        assert len(box.store.check(scrub=True).damaged) == 1
    assert box.store.check(scrub=True).damaged == ()


def test_a_repair_removes_what_no_row_needs_and_nothing_else(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named(Box.name))
        box = Box(store)
        box.put("key", LARGE)
        lease = store._horizon.lease()
        box.put("gone", LARGE)
        box.delete("gone")
        with store.stage() as left_behind:
            left_behind.write(LARGE)
            left_behind.seal()
            shutil.copytree(tmp_path / "data", tmp_path / "crashed")
        store._horizon.release(lease)
    with LocalStore.open(tmp_path / "crashed", "none") as store:
        before = store.check()
        assert before.sound
        assert len(before.orphans) == 1
        done = store.repair()
        assert done.orphans == before.orphans
        assert store.repair() == type(done)(orphans=(), garbage_count=0)
        after = store.check(scrub=True)
        assert (after.orphans, after.garbage_count, after.blob_count) == ((), 0, 1)
        assert Box(store).read("key") == LARGE
        assert Box(store).keys() == ["key"]


def test_a_repair_leaves_rows_alone_whose_bytes_are_gone(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named(Box.name))
        box = Box(store)
        box.put("key", LARGE)
        newest_blob(tmp_path / "data").unlink()
        store.repair()
        assert box.keys() == ["key"]
        assert len(store.check().missing) == 1


def test_garbage_that_waits_for_a_reader_is_counted_and_stays(box: Box) -> None:
    box.put("key", LARGE)
    lease = box.store._horizon.lease()
    box.delete("key")
    box.store.collect_garbage()
    assert box.store.check().garbage_count == 1
    assert box.store.check().orphans == ()
    assert box.store.repair().garbage_count == 0
    box.store._horizon.release(lease)
    assert box.store.repair().garbage_count <= 1
    assert box.store.check().garbage_count == 0


def test_what_somebody_else_left_among_the_blobs_is_neither_looked_at_nor_removed(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named(Box.name))
        Box(store).put("key", LARGE)
        shard = newest_blob(tmp_path / "data").parent
        # File managers leave such a file in every folder that they show.
        others = [folder / ".DS_Store" for folder in (shard, shard.parent, shard.parent.parent)]
        for path in others:
            path.touch()
        store.repair()
        assert store.check().sound
        assert store.check().orphans == ()
        assert all(path.exists() for path in others)


def test_checks_and_repairs_beside_writers_find_nothing_wrong(box: Box) -> None:
    stop = threading.Event()

    def write(name: str) -> int:
        count = 0
        while not stop.is_set():
            box.put(name, LARGE)
            upload_id = box.begin(name)
            box.part(name, upload_id, 1, LARGE)
            box.part(name, upload_id, 1, LARGE)
            box.complete(name, upload_id, None)
            box.delete(name)
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(write, f"key{number}") for number in range(3)]
        try:
            for _ in range(10):
                report = box.store.check(scrub=True)
                assert report.sound, report
                assert report.orphans == ()
                assert box.store.repair().orphans == ()
        finally:
            stop.set()
        assert all(writer.result() for writer in writers)


def test_a_check_goes_through_more_blobs_than_a_batch(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "_BATCH", 3)
    for number in range(7):
        box.put(f"key{number}", LARGE)
    assert box.store.check().blob_count == 7
