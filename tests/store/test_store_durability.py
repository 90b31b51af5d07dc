from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from store_box import KINDS, PART, Box, bucket_named

from penstock.errors import StoreError
from penstock.server.store import LocalStore, blobs, faults
from penstock.server.store.schema import Durability
from penstock.server.store.writer import Call

LARGE = b"large" * PART


def fill(box: Box) -> str:
    """A bit of everything; gives the id of the upload that stays open."""
    box.put("small", b"small")
    box.put("large", LARGE)
    box.put("overwritten", LARGE)
    box.put("overwritten", b"new")
    box.append("log", 0, LARGE)
    box.append("log", len(LARGE), b"more")
    upload_id = box.begin("done")
    box.part("done", upload_id, 1, LARGE)
    box.part("done", upload_id, 2, b"end")
    box.complete("done", upload_id, None)
    upload_id = box.begin("open")
    box.part("open", upload_id, 1, LARGE)
    return upload_id


def assert_filled(box: Box, upload_id: str) -> None:
    assert box.keys() == ["done", "large", "log", "overwritten", "small"]
    assert box.read("small") == b"small"
    assert box.read("large") == LARGE
    assert box.read("overwritten") == b"new"
    assert box.read("log") == LARGE + b"more"
    assert box.read("done") == LARGE + b"end"
    box.store.collect_garbage()
    report = box.store.check(scrub=True)
    assert report.sound, report
    assert (report.blob_count, report.orphans) == (4, ())
    box.complete("open", upload_id, None)
    assert box.read("open") == LARGE


@pytest.mark.parametrize("durability", KINDS)
def test_everything_is_there_after_closing_and_opening(tmp_path: Path, durability: Durability) -> None:
    with LocalStore.open(tmp_path / "data", durability) as store:
        store.create_bucket(bucket_named("box"))
        upload_id = fill(Box(store))
    with LocalStore.open(tmp_path / "data", durability) as store:
        assert_filled(Box(store), upload_id)


@pytest.mark.parametrize("durability", KINDS)
def test_everything_acknowledged_is_there_after_a_crash(tmp_path: Path, durability: Durability) -> None:
    with LocalStore.open(tmp_path / "data", durability) as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        upload_id = fill(box)
        store.collect_garbage()
        with store.stage() as half_way:
            half_way.write(LARGE)
            shutil.copytree(tmp_path / "data", tmp_path / "crashed")
    assert len(list((tmp_path / "crashed" / "staging").iterdir())) == 1
    with LocalStore.open(tmp_path / "crashed", durability) as store:
        assert list((tmp_path / "crashed" / "staging").iterdir()) == []
        assert_filled(Box(store), upload_id)


def test_a_strict_store_flushes_file_and_directory_before_anyone_sees_the_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalStore.open(tmp_path, "strict") as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        flushed: list[str] = []

        def flush_file(descriptor: int) -> None:
            assert os.fstat(descriptor).st_size == len(LARGE)
            assert box.keys() == []
            flushed.append("file")

        def flush_directory(path: Path) -> None:
            assert box.keys() == []
            flushed.append(path.relative_to(tmp_path).parts[0])

        monkeypatch.setattr(blobs, "sync_file", flush_file)
        monkeypatch.setattr(blobs, "sync_directory", flush_directory)
        box.put("key", LARGE)
        assert flushed == ["file", "blobs", "blobs", "blobs"]
        assert box.keys() == ["key"]


def test_bytes_published_but_not_committed_are_orphans(box: Box) -> None:
    with box.store.stage() as staged:
        staged.write(LARGE)
        staged.seal()
        assert box.store.check().orphans == ()
        assert box.store.sweep_orphans(0) == ()
        box.store._files.settle(staged.blob_id)  # as after a restart
        (orphan,) = box.store.check().orphans
        assert box.store.sweep_orphans(3600) == ()
        assert box.store.sweep_orphans(0) == (orphan,)
        assert box.store.check().orphans == ()


def test_the_file_of_a_refused_write_is_removed_at_once(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path, "none") as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        box.put("key", b"small")
        with pytest.raises(faults.AlreadyExists):
            box.put("key", LARGE, forbid_overwrite=True)
        with pytest.raises(faults.UploadMissing):
            box.part("key", "0" * 32, 1, LARGE)
        assert [path for path in tmp_path.rglob("*") if path.is_file() and len(path.name) == 32] == []


def test_what_is_needed_is_never_swept(box: Box) -> None:
    box.put("key", LARGE)
    upload_id = box.begin("open")
    box.part("open", upload_id, 1, LARGE)
    assert box.store.sweep_orphans(0) == ()
    assert box.read("key") == LARGE


def test_garbage_that_was_being_read_is_removed_soon_after(
    box: Box, tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    store = box.store
    assert isinstance(store, LocalStore)
    store._garbage._again_s = 0.001
    box.put("key", LARGE)
    lease = store._horizon.lease()
    box.store.delete_object("box", "key")
    store._horizon.release(lease)
    eventually(lambda: not [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()])


def test_garbage_left_by_a_crash_is_removed_at_the_next_start(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path, "none") as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        box.put("key", LARGE)
        with store.get_object("box", "key"):
            pass
        lease = store._horizon.lease()
        box.store.delete_object("box", "key")
        store.collect_garbage()
        files = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        assert len(files) == 1
        shutil.copytree(tmp_path, tmp_path.with_name("crashed"))
        store._horizon.release(lease)
    with LocalStore.open(tmp_path.with_name("crashed"), "none") as store:
        store.collect_garbage()
        assert [path for path in (tmp_path.with_name("crashed") / "blobs").rglob("*") if path.is_file()] == []


def test_a_check_finds_what_the_disk_lost(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path, "none") as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        for key in ("gone", "short", "rotten", "fine"):
            box.put(key, LARGE)
        files = sorted(path for path in (tmp_path / "blobs").rglob("*") if path.is_file())
        gone, short, rotten, _ = files
        gone.unlink()
        os.truncate(short, 10)
        with rotten.open("r+b") as file:
            file.write(b"\xff")
        report = store.check()
        assert (report.missing, report.wrong_size, report.damaged) == ((gone.name,), (short.name,), ())
        report = store.check(scrub=True)
        assert report.damaged == (rotten.name,)
        assert not report.sound
        with pytest.raises(StoreError, match="opening"):
            box.read("gone")
        with pytest.raises(StoreError, match="ends at 10"):
            box.read("short")
        assert box.keys() == ["fine", "gone", "rotten", "short"]


def test_a_second_process_is_told_who_has_the_directory(tmp_path: Path) -> None:
    with (
        LocalStore.open(tmp_path, "none"),
        pytest.raises(StoreError, match=f"in use by process {os.getpid()} "),
    ):
        LocalStore.open(tmp_path, "none")
    LocalStore.open(tmp_path, "none").close()


def test_a_directory_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="data directory"):
        LocalStore.open(tmp_path / "file", "none")
    (tmp_path / "other").mkdir()
    other = apsw.Connection(str(tmp_path / "other" / "metadata.sqlite3"))
    other.execute("PRAGMA user_version = 77")
    other.close()
    with pytest.raises(StoreError, match="version 77"):
        LocalStore.open(tmp_path / "other", "none")
    (tmp_path / "rubbish").mkdir()
    (tmp_path / "rubbish" / "metadata.sqlite3").write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreError, match="metadata"):
        LocalStore.open(tmp_path / "rubbish", "none")


def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = LocalStore.open(tmp_path, "none")
    store.create_bucket(bucket_named("box"))
    box = Box(store)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        box.put("key", LARGE)
    with pytest.raises(StoreError, match="closed"):
        box.read("key")
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("call", ["write", "sync_file", "rename"])
def test_a_full_disk_loses_nothing_and_is_outlived(
    box: Box, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    box.put("key", LARGE)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(box.store._files, "_sync", True)
        patched.setattr({"write": os, "sync_file": blobs, "rename": Path}[call], call, fail)
        with pytest.raises(StoreError, match="No space left") as caught:
            box.put("key", LARGE + LARGE)
        assert "Free some space" in caught.value.advice
    assert box.read("key") == LARGE
    report = box.store.check()
    assert (report.blob_count, report.orphans) == (1, ())
    box.put("key", LARGE + LARGE)
    assert box.read("key") == LARGE + LARGE


def test_full_metadata_loses_nothing_and_is_outlived(box: Box) -> None:
    box.put("key", LARGE)

    def limit(pages: int) -> Callable[[apsw.Connection], None]:
        return lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchall() and None

    box.store._writer.run("limiting", limit(1))
    stored = 0
    with pytest.raises(StoreError, match="FullError") as caught:
        for stored in range(1000):
            box.put(f"small{stored}", bytes(30_000))
    assert "Free some space" in caught.value.advice
    with pytest.raises(StoreError, match="FullError"):
        box.put("key", bytes(30_000))
    assert box.read("key") == LARGE
    assert len(box.keys()) == 1 + stored
    box.store._writer.run("limiting", limit(1_000_000))
    box.put("key", bytes(30_000))
    assert box.read("key") == bytes(30_000)


def test_calls_that_share_a_transaction_with_one_that_fails_succeed(box: Box) -> None:
    gate = threading.Event()
    writer = box.store._writer
    first = writer.submit("waiting", lambda _: gate.wait(10))

    def give_up(db: apsw.Connection) -> None:
        db.execute("ROLLBACK")
        raise apsw.FullError("as if the disk were full")

    def insert(name: str) -> Callable[[apsw.Connection], None]:
        return lambda db: (
            db.execute("INSERT INTO bucket_config (bucket, name, value) VALUES (1, ?, x'')", (name,)) and None
        )

    before = writer.submit("before", insert("before"))
    culprit = writer.submit("culprit", give_up)
    twice = writer.submit("twice", insert("before"))
    after = writer.submit("after", insert("after"))
    gate.set()
    first.wait()
    before.wait()
    after.wait()
    with pytest.raises(StoreError, match="culprit"):
        culprit.wait()
    with pytest.raises(StoreError, match="twice"):
        twice.wait()
    assert (culprit.rolled_back, twice.rolled_back) == (True, True)
    assert box.store.get_config(box.name, "before") == b""
    assert box.store.get_config(box.name, "after") == b""


def test_bytes_stay_if_nobody_can_know_whether_the_commit_happened(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        """A connection whose commits happen, and are then said to have failed."""

        def __init__(self, real: apsw.Connection) -> None:
            self.real = real

        def execute(self, sql: str, *values: object) -> apsw.Cursor:
            done = self.real.execute(sql, *values)  # type: ignore[arg-type]
            if sql == "COMMIT":
                raise apsw.IOError("as if the disk did not answer")
            return done

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    writer = box.store._writer
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_connection", Failing(writer._connection))
        with pytest.raises(StoreError, match="storing box/key"):
            box.put("key", LARGE)
    assert box.read("key") == LARGE


def test_bytes_stay_if_their_caller_is_interrupted_while_it_waits(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Call.wait

    def interrupted(call: Call[object]) -> None:
        real(call)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Call, "wait", interrupted)
        box.put("key", LARGE)
    assert box.read("key") == LARGE


WRITING = """
import sys
from penstock.server.store import Attributes, BucketRecord, LocalStore

store = LocalStore.open(sys.argv[1], "strict")
store.create_bucket(BucketRecord(name="box", owner="", region="", acl="private", storage_class="Standard",
                                 redundancy="LRS", created_ms=0))
for number in range(1_000_000):
    size = 1000 if number % 2 else 100_000
    key = f"key{number % 7}"
    upload_id = store.create_upload("box", key, Attributes()).upload_id if number % 3 == 0 else None
    with store.stage() as staged:
        staged.write(number.to_bytes(4, "big") * size)
        if upload_id is None:
            store.put_object("box", key, staged, Attributes())
        else:
            store.put_part("box", key, upload_id, 1, staged)
            store.complete_upload("box", key, upload_id, None)
    print(number, flush=True)
"""


@pytest.mark.parametrize("kill_after", [1, 20, 45])
def test_a_killed_server_has_every_write_that_it_acknowledged(tmp_path: Path, kill_after: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        acknowledged = -1
        for line in process.stdout:
            acknowledged = int(line)
            if acknowledged == kill_after:
                process.send_signal(signal.SIGKILL)
    assert acknowledged >= kill_after

    last = {number % 7: number for number in range(acknowledged + 1)}
    # The one that was under way may have happened too.
    under_way = acknowledged + 1
    with LocalStore.open(tmp_path / "data", "strict") as store:
        box = Box(store)
        for slot in range(7):
            allowed = {last.get(slot)} | ({under_way} if under_way % 7 == slot else set())
            try:
                data = box.read(f"key{slot}")
            except faults.KeyMissing:
                assert None in allowed
                continue
            number = int.from_bytes(data[:4], "big")
            assert number in allowed
            assert data == number.to_bytes(4, "big") * (1000 if number % 2 else 100_000)
        assert list((tmp_path / "data" / "staging").iterdir()) == []
        report = store.check(scrub=True)
        assert report.sound, report
        assert len(report.orphans) <= 1
