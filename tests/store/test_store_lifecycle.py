from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from store_box import PART, Box, bucket_named

from penstock.server.store import Attributes, LocalStore, ObjectKind, faults, lifecycle

LARGE = b"large" * PART


class Clock:
    """Seconds since 1970, set by hand."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    @property
    def now_ms(self) -> int:
        return int(self.now_s * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(tmp_path: Path, clock: Clock) -> Iterator[Box]:
    """A box whose time is the clock's."""
    with LocalStore.open(tmp_path / "timed", "none", clock=clock) as store:
        store.create_bucket(bucket_named(Box.name))
        yield Box(store)
        store.collect_garbage()
        report = store.check(scrub=True)
        assert report.sound, report


def test_objects_expire_by_age_and_prefix(timed: Box, clock: Clock) -> None:
    timed.put("logs/old", LARGE)
    timed.put("keep/old", b"x")
    clock.now_s += 1
    timed.put("logs/new", b"x")
    assert timed.store.expire_objects(timed.name, clock.now_ms, prefix="logs/") == 1
    assert timed.keys() == ["keep/old", "logs/new"]
    assert timed.store.expire_objects(timed.name, clock.now_ms) == 1
    assert timed.store.expire_objects(timed.name, clock.now_ms + 1) == 1
    assert timed.keys() == []
    assert timed.store.expire_objects(timed.name, clock.now_ms + 1) == 0


def test_objects_expire_only_if_they_carry_every_tag(timed: Box, clock: Clock) -> None:
    timed.put("both", b"x", tags={"a": "1", "b": "2", "c": "3"})
    timed.put("one", b"x", tags={"a": "1"})
    timed.put("other", b"x", tags={"a": "2", "b": "2"})
    timed.put("none", b"x")
    wanted = {"a": "1", "b": "2"}
    assert timed.store.expire_objects(timed.name, clock.now_ms + 1, tags=wanted) == 1
    assert timed.keys() == ["none", "one", "other"]


def test_in_a_bucket_with_versions_an_expired_object_is_hidden_once(timed: Box, clock: Clock) -> None:
    timed.set_versioning("Enabled")
    made = timed.put("key", LARGE)
    assert timed.store.expire_objects(timed.name, clock.now_ms + 1) == 1
    assert timed.store.expire_objects(timed.name, clock.now_ms + 1) == 0
    assert [one.kind for one in timed.versions()] == [ObjectKind.MARKER, ObjectKind.NORMAL]
    assert timed.read("key", made.version_id) == LARGE


def test_versions_expire_by_the_time_since_when_they_are_not_the_latest(timed: Box, clock: Clock) -> None:
    timed.set_versioning("Enabled")
    ids = []
    for moment in (1000.0, 2000.0, 3000.0):
        clock.now_s = moment
        ids.append(timed.put("key", LARGE).version_id)
    clock.now_s = 4000.0
    timed.delete("key")
    # Superseded at 2000, 3000 and 4000 seconds.
    assert timed.store.expire_versions(timed.name, 2_000_000) == 0
    assert timed.store.expire_versions(timed.name, 2_000_001, prefix="other") == 0
    assert timed.store.expire_versions(timed.name, 2_000_001) == 1
    assert [one.version_id for one in timed.versions()][1:] == [ids[2], ids[1]]
    assert timed.store.expire_versions(timed.name, 9_000_000) == 2
    assert [one.kind for one in timed.versions()] == [ObjectKind.MARKER]


def test_a_version_that_is_the_latest_again_does_not_expire(timed: Box, clock: Clock) -> None:
    timed.set_versioning("Enabled")
    timed.put("key", b"x")
    timed.delete("key", timed.delete("key").version_id)
    assert timed.store.expire_versions(timed.name, clock.now_ms + 1) == 0
    assert timed.read("key") == b"x"


def test_markers_that_hide_nothing_are_removed(timed: Box, clock: Clock) -> None:
    timed.set_versioning("Enabled")
    timed.put("hidden", b"x")
    for key in ("hidden", "nothing", "prefix/nothing"):
        timed.delete(key)
    assert timed.store.remove_lone_markers(timed.name, clock.now_ms) == 0
    assert timed.store.remove_lone_markers(timed.name, clock.now_ms + 1, prefix="prefix/") == 1
    assert timed.store.remove_lone_markers(timed.name, clock.now_ms + 1) == 1
    assert {one.key for one in timed.versions()} == {"hidden"}


def test_uploads_are_aborted_by_the_time_they_were_opened(timed: Box, clock: Clock) -> None:
    old, other = timed.begin("logs/key"), timed.begin("key")
    timed.part("logs/key", old, 1, LARGE)
    clock.now_s += 1
    new = timed.begin("logs/key")
    timed.part("logs/key", old, 2, LARGE)
    assert timed.store.abort_uploads(timed.name, clock.now_ms, prefix="logs/") == 1
    with pytest.raises(faults.UploadMissing):
        timed.part("logs/key", old, 3, LARGE)
    open_ids = {one.upload_id for one in timed.store.list_uploads(timed.name).uploads}
    assert open_ids == {other, new}
    timed.store.collect_garbage()
    assert timed.store.check().blob_count == 0


def test_every_call_names_a_bucket_that_must_exist(timed: Box, clock: Clock) -> None:
    store = timed.store
    for call in (store.expire_objects, store.expire_versions, store.remove_lone_markers, store.abort_uploads):
        with pytest.raises(faults.BucketMissing):
            call("nowhere", clock.now_ms)


def test_more_than_a_batch_goes_and_other_buckets_stay(
    timed: Box, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "BATCH", 4)
    timed.store.create_bucket(bucket_named("other"))
    other = Box(timed.store)
    other.name = "other"
    other.put("key00", b"x")
    other.begin("key00")
    timed.set_versioning("Enabled")
    for number in range(11):
        timed.put(f"key{number:02}", b"x")
        timed.put("key05", str(number).encode())
        timed.begin("upload")
    moment = clock.now_ms + 1
    assert timed.store.expire_versions(timed.name, moment) == 11
    assert timed.store.expire_objects(timed.name, moment) == 11
    assert timed.store.expire_versions(timed.name, moment) == 11
    assert timed.store.remove_lone_markers(timed.name, moment) == 11
    assert timed.store.abort_uploads(timed.name, moment) == 11
    assert timed.versions() == []
    assert other.keys() == ["key00"]
    assert len(timed.store.list_uploads("other").uploads) == 1


def test_what_is_overwritten_while_old_objects_expire_stays(timed: Box, clock: Clock) -> None:
    keys = [f"key{number:03}" for number in range(300)]
    for key in keys:
        timed.put(key, b"old")
    moment = clock.now_ms + 1
    clock.now_s += 10
    start = threading.Barrier(2)

    def overwrite() -> None:
        start.wait(10)
        for key in reversed(keys):
            timed.put(key, b"new")

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(overwrite)
        start.wait(10)
        timed.store.expire_objects(timed.name, moment)
        writing.result()
    assert timed.keys() == keys
    assert {timed.read(key) for key in keys} == {b"new"}


def test_an_upload_that_grows_is_completed_or_aborted_and_never_half(timed: Box, clock: Clock) -> None:
    for turn in range(20):
        key = f"key{turn}"
        upload_id = timed.begin(key)
        start = threading.Barrier(2)

        def send(key: str = key, upload_id: str = upload_id, start: threading.Barrier = start) -> bool:
            start.wait(10)
            try:
                parts = [timed.part(key, upload_id, number, LARGE) for number in (1, 2)]
                timed.complete(key, upload_id, parts)
            except faults.UploadMissing:
                return False
            return True

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            start.wait(10)
            aborted = timed.store.abort_uploads(timed.name, clock.now_ms + 1)
            assert aborted == (0 if sending.result() else 1)
        if aborted:
            with pytest.raises(faults.KeyMissing):
                timed.read(key)
        else:
            assert timed.read(key) == LARGE * 2
    timed.store.collect_garbage()
    assert timed.store.check().blob_count == 2 * len(timed.keys())
    assert timed.store.list_uploads(timed.name).uploads == ()


def test_an_expired_log_begins_anew(timed: Box, clock: Clock) -> None:
    timed.append("log", 0, b"one")
    timed.store.expire_objects(timed.name, clock.now_ms + 1)
    with timed.store.stage() as staged:
        staged.write(b"two")
        timed.store.append_object(timed.name, "log", 0, staged, Attributes())
    assert timed.read("log") == b"two"
