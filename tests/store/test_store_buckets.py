from __future__ import annotations

import msgspec
import pytest
from store_box import PART, Box, bucket_named

from penstock.server.store import LocalStore, faults


def test_a_bucket_is_known_once_made(store: LocalStore) -> None:
    made = store.create_bucket(bucket_named("one", owner="me"))
    assert made.created_ms > 0
    assert store.head_bucket("one") == made
    with pytest.raises(faults.BucketExists) as caught:
        store.create_bucket(bucket_named("one", owner="you"))
    assert caught.value.owner == "me"
    assert store.head_bucket("one") == made


def test_a_change_keeps_name_and_time(store: LocalStore) -> None:
    made = store.create_bucket(bucket_named("one"))
    changed = store.update_bucket(
        "one",
        lambda old: msgspec.structs.replace(
            old, name="two", created_ms=0, acl="public-read", tags={"a": "b"}, versioning="Enabled"
        ),
    )
    assert changed == msgspec.structs.replace(made, acl="public-read", tags={"a": "b"}, versioning="Enabled")
    assert store.head_bucket("one") == changed


def test_a_bucket_with_an_object_is_not_deleted(box: Box) -> None:
    box.put("key", b"")
    with pytest.raises(faults.BucketNotEmpty):
        box.store.delete_bucket(box.name)
    box.store.delete_object(box.name, "key")
    box.store.delete_bucket(box.name)
    with pytest.raises(faults.BucketMissing):
        box.store.head_bucket(box.name)
    with pytest.raises(faults.BucketMissing):
        box.store.delete_bucket(box.name)


def test_a_bucket_made_again_has_nothing_of_the_old_one(box: Box) -> None:
    box.store.put_config(box.name, "cors", b"<old/>")
    box.store.delete_bucket(box.name)
    box.store.create_bucket(bucket_named(box.name))
    assert box.keys() == []
    with pytest.raises(faults.ConfigMissing):
        box.store.get_config(box.name, "cors")


def test_buckets_are_listed_by_name_a_page_at_a_time(store: LocalStore) -> None:
    for name in ("b2", "a1", "b1", "b_", "c1"):
        store.create_bucket(bucket_named(name, owner="me" if name != "b2" else "you"))

    def names(**options: object) -> tuple[list[str], str | None]:
        page = store.list_buckets(**options)  # type: ignore[arg-type]
        return [bucket.name for bucket in page.buckets], page.next_marker

    assert names() == (["a1", "b1", "b2", "b_", "c1"], None)
    assert names(limit=2) == (["a1", "b1"], "b1")
    assert names(limit=2, marker="b1") == (["b2", "b_"], "b_")
    assert names(prefix="b") == (["b1", "b2", "b_"], None)
    assert names(prefix="b", owner="me", limit=2) == (["b1", "b_"], None)
    assert names(limit=0) == ([], None)


def test_configurations_are_kept_by_name(box: Box) -> None:
    with pytest.raises(faults.ConfigMissing):
        box.store.get_config(box.name, "cors")
    assert not box.store.delete_config(box.name, "cors")
    box.store.put_config(box.name, "cors", b"\0one")
    box.store.put_config(box.name, "website", b"other")
    box.store.put_config(box.name, "cors", b"two")
    assert box.store.get_config(box.name, "cors") == b"two"
    assert box.store.delete_config(box.name, "cors")
    with pytest.raises(faults.ConfigMissing):
        box.store.get_config(box.name, "cors")
    with pytest.raises(faults.BucketMissing):
        box.store.put_config("nowhere", "cors", b"")


def test_a_bucket_knows_how_much_it_holds(box: Box) -> None:
    empty = box.store.stat_bucket(box.name)
    assert (empty.object_count, empty.object_bytes, empty.upload_count) == (0, 0, 0)
    box.put("one", b"12345")
    box.put("two", bytes(PART), storage_class="IA")
    box.put("two", bytes(PART + 1), storage_class="IA")
    box.begin("empty")
    upload_id = box.begin("open")
    box.part("open", upload_id, 1, b"123")
    box.part("open", upload_id, 2, b"1234")
    stat = box.store.stat_bucket(box.name)
    assert (stat.class_counts, stat.class_bytes) == (
        {"IA": 1, "Standard": 1},
        {"IA": PART + 1, "Standard": 5},
    )
    assert (stat.object_count, stat.object_bytes) == (2, PART + 6)
    assert (stat.upload_count, stat.part_count, stat.part_bytes) == (2, 2, 7)
