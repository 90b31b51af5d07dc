"""A disk that is full can be emptied, read, and served from."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import apsw
import pytest
from store_box import Box, bucket_named

from penstock.errors import StoreError
from penstock.server.store import LocalStore, room, schema
from penstock.server.store.records import CopySource
from penstock.server.store.room import Room

MIB = 1 << 20
PART = 100 * 1024


class Disk:
    """Says how large it is, and how much of it is free."""

    def __init__(self, total: int, free: int) -> None:
        self.total = total
        self.free = free

    def statvfs(self, path: object) -> object:
        return SimpleNamespace(f_frsize=1, f_blocks=self.total, f_bavail=self.free)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    made = Disk(8 * MIB, 8 * MIB)
    monkeypatch.setattr(room, "os", made)
    return made


@pytest.fixture
def box(disk: Disk, tmp_path: Path) -> Iterator[Box]:
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named("box"))
        yield Box(store)


def test_of_a_small_disk_less_is_kept_and_the_log_is_shorter(disk: Disk) -> None:
    small = Room(Path())
    assert (small.reserve_bytes, small.log_pages) == (MIB, 64)
    disk.total = 1 << 40
    large = Room(Path())
    assert (large.reserve_bytes, large.log_pages) == (64 * MIB, 4000)


@pytest.mark.parametrize("total", [1 << 16, 8 * MIB, 1 << 40])
def test_the_reserve_holds_twice_what_the_log_may_become(disk: Disk, total: int) -> None:
    disk.total = total
    found = Room(Path())
    assert 2 * found.log_pages * 4096 <= max(found.reserve_bytes, 2 * 4096)


def test_a_disk_that_is_nearly_full_takes_nothing_more(box: Box, disk: Disk) -> None:
    box.put("small", b"x")
    upload_id = box.begin("open")
    disk.free = MIB - 1
    store = box.store
    additions: list[Callable[[], object]] = [
        lambda: box.put("new", b"x"),
        lambda: box.put("new", bytes(PART)),
        lambda: box.append("new", 0, b"x"),
        lambda: box.part("open", upload_id, 1, b"x"),
        lambda: box.begin("new"),
        lambda: store.copy_object(CopySource("box", "small"), "box", "new", lambda source: source.attributes),
        lambda: store.copy_part(CopySource("box", "small"), "box", "open", upload_id, 1),
        lambda: store.create_bucket(bucket_named("another")),
        lambda: store.put_config("box", "cors", b"x"),
        lambda: store.put_account_config("1", "name", b"x"),
    ]
    for add in additions:
        with pytest.raises(StoreError, match="kept for removing") as refused:
            add()
        assert "free some space" in refused.value.advice
    assert box.read("small") == b"x"
    assert [one.key for one in store.list_objects("box").objects] == ["small"]


def test_a_disk_that_is_nearly_full_can_be_emptied(box: Box, disk: Disk) -> None:
    box.put("small", b"x")
    box.put("large", bytes(PART))
    first, second = box.begin("a"), box.begin("b")
    part = box.part("a", first, 1, b"x")
    disk.free = 0
    box.complete("a", first, [part])
    box.store.abort_upload("box", "b", second)
    for key in ("small", "large", "a"):
        box.delete(key)
    box.store.collect_garbage()
    box.store.delete_bucket("box")
    assert box.store.check().blob_count == 0


def test_large_bodies_stop_before_the_metadata_do(box: Box, disk: Disk) -> None:
    disk.free = 2 * MIB - 1
    with pytest.raises(StoreError, match="kept for removing"):
        box.put("large", bytes(PART))
    box.put("small", b"x")
    disk.free = 2 * MIB
    box.put("large", bytes(PART))


def test_a_body_is_refused_when_the_disk_fills_up_while_it_arrives(box: Box, disk: Disk) -> None:
    staged = box.store.stage()
    staged.write(bytes(2 * MIB))
    disk.free = 0
    with pytest.raises(StoreError, match="kept for removing"):
        staged.write(bytes(2 * MIB))
    assert list((box.store._directory / "staging").iterdir()) == []


def test_what_was_removed_from_the_metadata_can_be_used_again(box: Box, disk: Disk) -> None:
    keys = [f"{number:02}" for number in range(40)]
    for key in keys:
        box.put(key, bytes(30_000))
    disk.free = 0
    with pytest.raises(StoreError):
        box.put("new", bytes(30_000))
    for key in keys:
        box.delete(key)
    box.put("new", bytes(30_000))
    assert box.read("new") == bytes(30_000)


def test_a_store_on_a_full_disk_is_opened_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalStore.open(tmp_path / "data", "strict") as store:
        store.create_bucket(bucket_named("box"))
        Box(store).put("key", b"x")

    def fail(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", fail)
    with LocalStore.open(tmp_path / "data", "strict") as store:
        assert Box(store).read("key") == b"x"
        with pytest.raises(StoreError, match="in use"):
            LocalStore.open(tmp_path / "data", "strict")
        with LocalStore.join(tmp_path / "data", "strict") as other:
            # Who cannot say what it needs is taken to need everything.
            assert other._horizon.removable_id(5) == 0
        Box(store).delete("key")


def test_whoever_opens_a_store_is_told_that_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    LocalStore.open(tmp_path / "data", "strict").close()

    def fail(*_: object, **__: object) -> None:
        raise apsw.IOError("disk I/O error")

    monkeypatch.setattr(schema, "_check_version", fail)
    with pytest.raises(StoreError) as refused:
        LocalStore.open(tmp_path / "data", "strict")
    assert "data directory of this program" in refused.value.advice
    monkeypatch.setattr(schema, "_is_full", lambda _: True)
    with pytest.raises(StoreError) as refused:
        LocalStore.open(tmp_path / "data", "strict")
    assert "Free some space" in refused.value.advice
