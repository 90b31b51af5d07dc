from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_box import PART, Box, bucket_named

from penstock.server.store import Attributes, CopySource, LocalStore, ObjectKind, faults

LARGE = b"large" * PART


@pytest.fixture
def enabled(box: Box) -> Box:
    box.set_versioning("Enabled")
    return box


def shown(box: Box) -> list[tuple[str, str | None, bool, ObjectKind]]:
    return [(one.key, one.version_id, one.latest, one.kind) for one in box.versions()]


def test_a_bucket_that_never_had_versioning_shows_no_version_ids(box: Box) -> None:
    assert box.put("key", b"one").version_id is None
    assert box.store.head_object(box.name, "key").version_id is None
    assert box.read("key", "null") == b"one"
    assert shown(box) == [("key", None, True, ObjectKind.NORMAL)]
    with pytest.raises(faults.VersionMissing):
        box.read("key", "CAEQ")
    gone = box.delete("key")
    assert (gone.existed, gone.version_id, gone.marker) == (True, None, False)


def test_version_ids_look_like_those_of_the_service_and_never_come_twice(enabled: Box) -> None:
    made = [enabled.put("key", b"x").version_id or "" for _ in range(50)]
    assert len(set(made)) == 50
    assert all(re.fullmatch(r"CAEQ[A-Za-z0-9._]{60}", one) for one in made)


def test_overwriting_keeps_what_was_there(enabled: Box) -> None:
    first, second = enabled.put("key", b"one"), enabled.put("key", LARGE)
    assert enabled.read("key") == LARGE
    assert enabled.read("key", first.version_id) == b"one"
    assert enabled.read("key", second.version_id) == LARGE
    assert shown(enabled) == [
        ("key", second.version_id, True, ObjectKind.NORMAL),
        ("key", first.version_id, False, ObjectKind.NORMAL),
    ]
    assert enabled.keys() == ["key"]


def test_what_was_there_before_versioning_becomes_the_null_version(box: Box) -> None:
    box.put("key", b"old")
    box.set_versioning("Enabled")
    assert box.store.head_object(box.name, "key").version_id == "null"
    new = box.put("key", b"new")
    assert [one.version_id for one in box.versions()] == [new.version_id, "null"]
    assert box.read("key", "null") == b"old"


def test_deleting_hides_and_deleting_the_marker_brings_back(enabled: Box) -> None:
    made = enabled.put("key", LARGE)
    hidden = enabled.delete("key")
    assert (hidden.existed, hidden.marker) == (True, True)
    assert hidden.version_id not in (None, "null", made.version_id)
    with pytest.raises(faults.KeyMissing) as caught:
        enabled.read("key")
    assert caught.value.marker_version_id == hidden.version_id
    assert enabled.keys() == []
    assert enabled.read("key", made.version_id) == LARGE
    assert shown(enabled) == [
        ("key", hidden.version_id, True, ObjectKind.MARKER),
        ("key", made.version_id, False, ObjectKind.NORMAL),
    ]
    shown_again = enabled.delete("key", hidden.version_id)
    assert (shown_again.marker, shown_again.version_id) == (True, hidden.version_id)
    assert enabled.read("key") == LARGE
    assert enabled.store.head_object(enabled.name, "key").latest


def test_markers_pile_up_and_are_made_even_where_nothing_was(enabled: Box) -> None:
    first, second = enabled.delete("key"), enabled.delete("key")
    assert (first.existed, second.existed) == (False, False)
    assert shown(enabled) == [
        ("key", second.version_id, True, ObjectKind.MARKER),
        ("key", first.version_id, False, ObjectKind.MARKER),
    ]
    assert enabled.store.stat_bucket(enabled.name).marker_count == 2
    assert enabled.store.stat_bucket(enabled.name).object_count == 0


def test_a_marker_can_be_deleted_and_nothing_else(enabled: Box) -> None:
    enabled.put("key", b"one")
    marker = enabled.delete("key").version_id
    store = enabled.store
    upload_id = enabled.begin("other")
    source = CopySource(enabled.name, "key", marker)
    calls: list[Callable[[], object]] = [
        lambda: enabled.read("key", marker),
        lambda: store.head_object(enabled.name, "key", marker),
        lambda: store.update_object(enabled.name, "key", lambda kept: kept, marker),
        lambda: store.copy_object(source, enabled.name, "copy", lambda _: Attributes()),
        lambda: store.copy_part(source, enabled.name, "other", upload_id, 1),
    ]
    for call in calls:
        with pytest.raises(faults.VersionIsMarker) as caught:
            call()
        assert caught.value.version_id == marker


def test_a_version_that_never_was_is_missing_and_deleting_it_is_no_fault(enabled: Box) -> None:
    enabled.put("key", b"one")
    for key in ("key", "other"):
        with pytest.raises(faults.VersionMissing):
            enabled.read(key, "CAEQnever")
        with pytest.raises(faults.VersionMissing):
            enabled.read(key, "null")
        gone = enabled.delete(key, "CAEQnever")
        assert (gone.existed, gone.version_id, gone.marker) == (False, "CAEQnever", False)
    assert len(enabled.versions()) == 1


def test_deleting_the_latest_version_makes_the_one_before_the_latest(enabled: Box) -> None:
    ids = [enabled.put("key", str(number).encode()).version_id for number in range(4)]
    enabled.delete("key", ids[3])
    assert enabled.read("key") == b"2"
    enabled.delete("key", ids[1])
    assert enabled.read("key") == b"2"
    enabled.delete("key", ids[2])
    assert enabled.read("key") == b"0"
    enabled.delete("key", ids[0])
    with pytest.raises(faults.KeyMissing) as caught:
        enabled.read("key")
    assert caught.value.marker_version_id is None
    assert enabled.versions() == []


def test_the_bytes_of_a_version_go_when_it_goes(enabled: Box) -> None:
    first, second = enabled.put("key", LARGE), enabled.put("key", LARGE + b"!")
    enabled.delete("key")
    enabled.store.collect_garbage()
    assert enabled.store.check().blob_count == 2
    enabled.delete("key", first.version_id)
    enabled.store.collect_garbage()
    assert enabled.store.check().blob_count == 1
    assert enabled.read("key", second.version_id) == LARGE + b"!"


def test_while_suspended_a_write_replaces_the_null_version_only(enabled: Box) -> None:
    kept = enabled.put("key", b"kept")
    enabled.set_versioning("Suspended")
    assert enabled.put("key", LARGE).version_id == "null"
    assert enabled.put("key", b"second").version_id == "null"
    assert [one.version_id for one in enabled.versions()] == ["null", kept.version_id]
    assert enabled.read("key") == b"second"
    assert enabled.read("key", kept.version_id) == b"kept"
    enabled.set_versioning("Enabled")
    new = enabled.put("key", b"new")
    enabled.set_versioning("Suspended")
    enabled.put("key", b"third")
    assert [one.version_id for one in enabled.versions()] == ["null", new.version_id, kept.version_id]
    assert enabled.read("key", "null") == b"third"
    enabled.store.collect_garbage()
    assert enabled.store.check().blob_count == 0


def test_while_suspended_a_delete_replaces_the_null_version_by_a_null_marker(enabled: Box) -> None:
    kept = enabled.put("key", b"kept")
    enabled.set_versioning("Suspended")
    enabled.put("key", b"gone")
    for existed in (True, False):
        hidden = enabled.delete("key")
        assert (hidden.version_id, hidden.marker, hidden.existed) == ("null", True, existed)
    assert shown(enabled) == [
        ("key", "null", True, ObjectKind.MARKER),
        ("key", kept.version_id, False, ObjectKind.NORMAL),
    ]
    with pytest.raises(faults.VersionIsMarker):
        enabled.read("key", "null")
    enabled.delete("key", "null")
    assert enabled.read("key") == b"kept"


def test_versioning_is_never_switched_off_again(enabled: Box) -> None:
    for impossible in ("", "enabled", "Off"):
        with pytest.raises(ValueError, match="cannot become"):
            enabled.set_versioning(impossible)
    enabled.set_versioning("Suspended")
    with pytest.raises(ValueError, match="cannot become"):
        enabled.set_versioning("")


@pytest.mark.parametrize("versioning", ["Enabled", "Suspended"])
def test_forbidding_to_overwrite_means_nothing_where_there_are_versions(
    box: Box, versioning: Literal["Enabled", "Suspended"]
) -> None:
    box.put("key", b"one")
    box.set_versioning(versioning)
    box.put("key", b"two", forbid_overwrite=True)
    upload_id = box.begin("key")
    part = box.part("key", upload_id, 1, b"three")
    box.complete("key", upload_id, [part], forbid_overwrite=True)
    assert box.read("key") == b"three"


def test_every_way_of_writing_makes_a_version(enabled: Box) -> None:
    store, name = enabled.store, enabled.name
    enabled.put("source", LARGE)
    ids = [enabled.put("key", b"put").version_id]
    ids.append(store.copy_object(CopySource(name, "source"), name, "key", lambda _: Attributes()).version_id)
    ids.append(store.put_symlink(name, "key", "source", Attributes()).version_id)
    upload_id = enabled.begin("key")
    enabled.part("key", upload_id, 1, LARGE)
    ids.append(enabled.complete("key", upload_id, None).version_id)
    ids.append(enabled.put("key", b"last").version_id)
    found = [one for one in enabled.versions() if one.key == "key"]
    assert [one.version_id for one in found] == ids[::-1]
    assert [one.kind.value for one in found] == ["Normal", "Multipart", "Symlink", "Normal", "Normal"]
    assert enabled.read("key", ids[1]) == LARGE
    assert store.head_object(name, "key", ids[2]).attributes.symlink_target == "source"
    assert enabled.read("key", ids[3]) == LARGE


def test_an_old_version_is_copied_over_the_latest(enabled: Box) -> None:
    old = enabled.put("key", LARGE)
    enabled.put("key", b"new")
    source = CopySource(enabled.name, "key", old.version_id)
    back = enabled.store.copy_object(source, enabled.name, "key", lambda _: Attributes())
    assert enabled.read("key") == LARGE
    assert len({back.version_id, *(one.version_id for one in enabled.versions())}) == 3
    upload_id = enabled.begin("part")
    part = enabled.store.copy_part(source, enabled.name, "part", upload_id, 1, offset=5, length=5)
    enabled.complete("part", upload_id, [part])
    assert enabled.read("part") == b"large"


def test_the_null_version_copied_onto_itself_keeps_its_bytes(box: Box) -> None:
    box.put("key", LARGE)
    box.set_versioning("Suspended")
    copied = box.store.copy_object(
        CopySource(box.name, "key"), box.name, "key", lambda _: Attributes(content_type="text/plain")
    )
    box.store.collect_garbage()
    assert copied.version_id == "null"
    assert box.read("key") == LARGE
    assert len(box.versions()) == 1


def test_appending_makes_no_version_and_only_the_latest_grows(enabled: Box) -> None:
    first = enabled.append("log", 0, LARGE)
    second = enabled.append("log", len(LARGE), b"more")
    assert first.version_id == second.version_id
    assert len(enabled.versions()) == 1
    enabled.put("log", b"put")
    with pytest.raises(faults.NotAppendable):
        enabled.append("log", 3, b"no")
    assert enabled.read("log", first.version_id) == LARGE + b"more"
    enabled.delete("log")
    with pytest.raises(faults.NotAppendable):
        enabled.append("log", 0, b"no")


def test_a_version_that_was_copied_does_not_grow_with_its_copy(enabled: Box) -> None:
    log = enabled.append("log", 0, LARGE)
    enabled.store.copy_object(CopySource(enabled.name, "log"), enabled.name, "copy", lambda _: Attributes())
    enabled.append("log", len(LARGE), b"more")
    assert enabled.read("copy") == LARGE
    assert enabled.read("log", log.version_id) == LARGE + b"more"


def test_access_and_tags_are_those_of_the_version(enabled: Box) -> None:
    store, name = enabled.store, enabled.name
    old, new = enabled.put("key", b"one", tags={"of": "old"}), enabled.put("key", b"two")
    store.update_object(name, "key", lambda _: Attributes(acl="public-read"), old.version_id)
    store.update_object(name, "key", lambda _: Attributes(tags={"of": "new"}))
    assert store.head_object(name, "key", old.version_id).attributes == Attributes(acl="public-read")
    assert store.head_object(name, "key", new.version_id).attributes == Attributes(tags={"of": "new"})
    with pytest.raises(faults.VersionMissing):
        store.update_object(name, "key", lambda kept: kept, "CAEQnever")


def test_a_bucket_with_versions_or_markers_is_not_empty(enabled: Box) -> None:
    made = enabled.put("key", b"one")
    marker = enabled.delete("key")
    with pytest.raises(faults.BucketNotEmpty):
        enabled.store.delete_bucket(enabled.name)
    enabled.delete("key", made.version_id)
    with pytest.raises(faults.BucketNotEmpty):
        enabled.store.delete_bucket(enabled.name)
    enabled.delete("key", marker.version_id)
    enabled.store.delete_bucket(enabled.name)


def test_many_versions_are_deleted_in_one_call(enabled: Box) -> None:
    ids = [enabled.put(key, LARGE).version_id for key in ("a", "a", "b")]
    done = enabled.store.delete_objects(
        enabled.name, [("a", ids[0]), ("a", ids[1]), ("b", None), ("b", "CAEQnever"), ("c", "null")]
    )
    assert [(one.existed, one.marker) for one in done] == [
        (True, False),
        (True, False),
        (True, True),
        (False, False),
        (False, False),
    ]
    assert [one.key for one in enabled.versions()] == ["b", "b"]


def test_times_of_versions_do_not_go_back_when_the_clock_does(tmp_path: Path) -> None:
    now = [1000.0]
    with LocalStore.open(tmp_path, "none", clock=lambda: now[0]) as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        box.set_versioning("Enabled")
        for moment in (1000.0, 500.0, 2000.0, 1.0):
            now[0] = moment
            box.put("key", b"x")
        assert [one.modified_ms for one in box.versions()] == [2_000_000, 2_000_000, 1_000_000, 1_000_000]


def test_everything_about_versions_is_there_after_a_crash(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path / "data", "none") as store:
        store.create_bucket(bucket_named("box"))
        box = Box(store)
        box.put("key", LARGE)
        box.set_versioning("Enabled")
        box.put("key", b"new")
        box.delete("key")
        before = box.versions()
        shutil.copytree(tmp_path / "data", tmp_path / "crashed")
    with LocalStore.open(tmp_path / "crashed", "none") as store:
        box = Box(store)
        assert box.versions() == before
        assert store.head_bucket("box").versioning == "Enabled"
        assert store.check(scrub=True).sound


# -- against a naive model


@dataclass
class Version:
    version_id: str | None
    data: bytes | None
    """None for a marker."""


@dataclass
class Model:
    """What a bucket holds, in the plainest form: the versions of each key, oldest first."""

    versioning: str = ""
    keys: dict[str, list[Version]] = field(default_factory=dict)

    def write(self, key: str, version_id: str | None, data: bytes | None) -> None:
        kept = self.keys.setdefault(key, [])
        if not self.versioning:
            kept.clear()
        elif self.versioning == "Suspended":
            kept[:] = [one for one in kept if one.version_id is not None]
        if self.versioning or data is not None:
            kept.append(Version(version_id if self.versioning == "Enabled" else None, data))

    def remove(self, key: str, version_id: str | None) -> None:
        kept = self.keys.get(key, [])
        kept[:] = [one for one in kept if one.version_id != version_id]

    def listed(self) -> list[tuple[str, str | None, bool, bytes | None]]:
        null = "null" if self.versioning else None
        return [
            (key, one.version_id or null, one is self.keys[key][-1], one.data)
            for key in sorted(self.keys, key=str.encode)
            for one in reversed(self.keys[key])
        ]


KEYS = ["a", "a/b", "a/c", "b", "é"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "delete", "remove", "remove null", "Enabled", "Suspended"]),
        st.sampled_from(KEYS),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=STEPS,
    page=st.integers(1, 5),
    prefix=st.sampled_from(["", "a", "a/"]),
    delimiter=st.sampled_from(["", "/"]),
)
def test_any_sequence_of_calls_leaves_what_the_model_says(
    store: LocalStore,
    steps: list[tuple[str, str, int]],
    page: int,
    prefix: str,
    delimiter: str,
) -> None:
    model = Model()
    store.create_bucket(bucket_named(Box.name))
    box = Box(store)
    try:
        for turn, (step, key, which) in enumerate(steps):
            data = str(turn).encode()
            if step == "put":
                model.write(key, box.put(key, data).version_id, data)
            elif step == "delete":
                model.write(key, box.delete(key).version_id, None)
            elif step == "remove":
                ids = [one.version_id for one in model.keys.get(key, []) if one.version_id is not None]
                if ids:
                    box.delete(key, ids[which % len(ids)])
                    model.remove(key, ids[which % len(ids)])
            elif step == "remove null":
                box.delete(key, "null")
                model.remove(key, None)
            else:
                model.versioning = step
                box.set_versioning(step)
        assert_like(box, model)
        assert list_in_pages(box, page, prefix, delimiter) == expected_pages(model, prefix, delimiter)
    finally:
        for one in box.versions():
            box.delete(one.key, one.version_id or "null")
        store.delete_bucket(box.name)


def assert_like(box: Box, model: Model) -> None:
    expected = model.listed()
    found = box.versions()
    assert [
        (one.key, one.version_id, one.latest, None if one.kind is ObjectKind.MARKER else True)
        for one in found
    ] == [(key, version_id, latest, data and True) for key, version_id, latest, data in expected]
    for key, version_id, latest, data in expected:
        if data is not None:
            assert box.read(key, version_id or "null") == data
            if latest:
                assert box.read(key) == data
        elif latest:
            with pytest.raises(faults.KeyMissing):
                box.read(key)
    assert box.keys() == [key for key, _, latest, data in expected if latest and data is not None]


def list_in_pages(box: Box, limit: int, prefix: str, delimiter: str) -> list[object]:
    """Every page, as far as it goes, in the order in which entries came."""
    found: list[tuple[str, str, object]] = []
    key_marker = version_id_marker = ""
    for _ in range(200):
        page = box.store.list_object_versions(
            box.name,
            prefix=prefix,
            delimiter=delimiter,
            key_marker=key_marker,
            version_id_marker=version_id_marker,
            limit=limit,
        )
        assert len(page.versions) + len(page.common_prefixes) <= limit
        found += [(one.key, "version", (one.key, one.version_id)) for one in page.versions]
        found += [(one, "group", one) for one in page.common_prefixes]
        if page.next_key_marker is None:
            return [entry for _, _, entry in sorted(found, key=lambda one: one[0].encode())]
        key_marker, version_id_marker = page.next_key_marker, page.next_version_id_marker
    raise AssertionError("the listing does not end")


def expected_pages(model: Model, prefix: str, delimiter: str) -> list[object]:
    entries: list[object] = []
    for key, version_id, _, _ in model.listed():
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        entry: object = (key, version_id) if cut < 0 else key[: cut + 1]
        if cut < 0 or entry not in entries:
            entries.append(entry)
    return entries


def test_a_page_begins_with_what_is_left_when_its_marker_is_gone(enabled: Box) -> None:
    ids = [enabled.put("key", b"x").version_id or "" for _ in range(5)][::-1]
    enabled.put("later", b"x")
    page = enabled.store.list_object_versions(enabled.name, limit=2)
    assert [one.version_id for one in page.versions] == ids[:2]
    for one in page.versions:
        enabled.delete(one.key, one.version_id)
    rest = enabled.store.list_object_versions(
        enabled.name,
        key_marker=page.next_key_marker or "",
        version_id_marker=page.next_version_id_marker,
        limit=10,
    )
    assert [one.version_id for one in rest.versions][:3] == ids[2:]
    assert rest.versions[-1].key == "later"
    without = enabled.store.list_object_versions(enabled.name, key_marker="key")
    assert [one.key for one in without.versions] == ["later"]
