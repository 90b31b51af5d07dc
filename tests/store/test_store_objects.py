from __future__ import annotations

import hashlib
import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from store_box import Box, bucket_named

from penstock.protocol.crc64 import crc64
from penstock.server.store import Attributes, CopySource, ObjectKind, ObjectRecord, faults
from penstock.server.store.blobs import INLINE_BYTES, PIECE_BYTES

SIZES = [0, 1, INLINE_BYTES - 1, INLINE_BYTES, INLINE_BYTES + 1, PIECE_BYTES, 3 * PIECE_BYTES + 17]
LARGE = b"large" * INLINE_BYTES


@pytest.mark.parametrize("size_bytes", SIZES)
def test_an_object_comes_back_byte_for_byte(box: Box, size_bytes: int) -> None:
    data = random.Random(size_bytes).randbytes(size_bytes)
    made = box.put("key", data)
    assert made.size_bytes == size_bytes
    assert made.etag == hashlib.md5(data).hexdigest().upper()
    assert made.crc64 == crc64(data)
    assert made.kind is ObjectKind.NORMAL
    assert box.store.head_object(box.name, "key") == made
    with box.store.get_object(box.name, "key") as found:
        assert found.record == made
        assert found.read() == data


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 400_000), max_size=8), st.data())
def test_any_cut_of_the_body_into_writes_gives_the_same_object(
    box: Box, cuts: list[int], data: st.DataObject
) -> None:
    body = random.Random(len(cuts)).randbytes(data.draw(st.integers(0, 2_500_000)))
    with box.store.stage(len(body)) as staged:
        start = 0
        for cut in cuts:
            staged.write(memoryview(body)[start : start + cut])
            start += cut
        staged.write(bytearray(body[start:]))
        assert (staged.size_bytes, staged.crc64) == (len(body), crc64(body))
        box.store.put_object(box.name, "cut", staged, Attributes())
    with box.store.get_object(box.name, "cut") as found:
        offset = data.draw(st.integers(0, len(body) + 10))
        length = data.draw(st.none() | st.integers(0, len(body) + 10))
        end = None if length is None else offset + length
        assert found.read() == body
        assert found.read(offset, length) == body[offset:end]


def test_attributes_come_back_as_they_were_given(box: Box) -> None:
    attributes = Attributes(
        content_type="text/plain",
        cache_control="no-cache",
        content_disposition="inline",
        content_encoding="gzip",
        content_language="zh",
        expires="Thu, 01 Jan 2099 00:00:00 GMT",
        user_metadata={"näme": "wert\u20ac"},
        storage_class="IA",
        acl="public-read",
        tags={"a": "1", "b": ""},
        extra={"server-side-encryption": "AES256"},
    )
    made = box.put("key", b"x", **msgspec.structs.asdict(attributes))
    assert made.attributes == attributes
    assert box.store.head_object(box.name, "key").attributes == attributes


def test_an_overwrite_replaces_bytes_and_attributes(box: Box) -> None:
    box.put("key", LARGE, content_type="a/a")
    box.put("key", b"small", content_type="b/b")
    assert box.read("key") == b"small"
    box.put("key", LARGE)
    assert box.read("key") == LARGE
    assert box.store.head_object(box.name, "key").attributes == Attributes()
    assert box.keys() == ["key"]


def test_the_file_of_an_overwritten_object_is_removed(box: Box) -> None:
    box.put("key", LARGE)
    box.put("key", b"small")
    box.store.collect_garbage()
    report = box.store.check()
    assert (report.blob_count, report.orphans) == (0, ())


def test_a_forbidden_overwrite_changes_nothing(box: Box) -> None:
    box.put("key", b"first", forbid_overwrite=True)
    with pytest.raises(faults.AlreadyExists):
        box.put("key", LARGE, forbid_overwrite=True)
    assert box.read("key") == b"first"
    assert box.store.check().orphans == ()


def test_an_unknown_bucket_or_key_is_said_to_be_missing(box: Box) -> None:
    with pytest.raises(faults.BucketMissing), box.store.stage() as staged:
        box.store.put_object("nowhere", "key", staged, Attributes())
    with pytest.raises(faults.BucketMissing):
        box.store.get_object("nowhere", "key")
    with pytest.raises(faults.KeyMissing):
        box.store.head_object(box.name, "key")
    with pytest.raises(faults.KeyMissing):
        box.store.get_object(box.name, "key")
    box.put("key", b"")
    with pytest.raises(faults.VersionMissing):
        box.store.head_object(box.name, "key", "CAEQ")
    assert box.store.head_object(box.name, "key", "null").key == "key"


def test_bytes_other_than_announced_never_become_an_object(box: Box) -> None:
    for announced, data in [(5, b"four"), (5, b"sixsix"), (len(LARGE) + 1, LARGE)]:
        with pytest.raises(faults.SizeMismatch) as caught, box.store.stage(announced) as staged:
            staged.write(data)
            box.store.put_object(box.name, "key", staged, Attributes())
        assert (caught.value.expected, caught.value.actual) == (announced, len(data))
    assert box.keys() == []
    assert box.store.check().orphans == ()


def test_digests_are_held_against_the_bytes(box: Box) -> None:
    with box.store.stage() as staged:
        staged.write(b"123456789")
        staged.verify(md5=hashlib.md5(b"123456789").digest(), crc64=0x995DC9BBDF1939FA)
        with pytest.raises(faults.DigestMismatch, match="md5"):
            staged.verify(md5=bytes(16))
        with pytest.raises(faults.DigestMismatch, match="crc64"):
            staged.verify(crc64=1)


def test_staged_bytes_can_be_used_only_once(box: Box) -> None:
    with box.store.stage() as staged:
        staged.write(LARGE)
        box.store.put_object(box.name, "key", staged, Attributes())
        with pytest.raises(ValueError, match="used up"):
            box.store.put_object(box.name, "again", staged, Attributes())
        with pytest.raises(ValueError, match="sealed"):
            staged.write(b"more")
    assert box.read("key") == LARGE


def test_the_time_of_a_key_never_goes_back(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([2_000.0, 1_000.0, 3_000.0])
    monkeypatch.setattr(box.store, "_clock", lambda: next(clock))
    assert [box.put("key", b"").modified_ms for _ in range(3)] == [2_000_000, 2_000_000, 3_000_000]


def test_deleting_removes_and_deleting_again_is_no_fault(box: Box) -> None:
    box.put("key", LARGE)
    assert box.store.delete_object(box.name, "key").existed
    assert not box.store.delete_object(box.name, "key").existed
    with pytest.raises(faults.KeyMissing):
        box.read("key")


def test_many_are_deleted_at_once(box: Box) -> None:
    for key in "abcd":
        box.put(key, LARGE)
    done = box.store.delete_objects(box.name, [("a", None), ("x", None), ("b", "null"), ("c", "other")])
    assert [(one.key, one.existed) for one in done] == [("a", True), ("x", False), ("b", True), ("c", False)]
    assert box.keys() == ["c", "d"]


@pytest.mark.parametrize("data", [b"", b"small", LARGE])
def test_a_copy_shares_the_bytes_and_outlives_its_source(box: Box, data: bytes) -> None:
    source = box.put("source", data, content_type="a/a", acl="public-read")
    box.store.create_bucket(bucket_named("other"))
    made = box.store.copy_object(
        CopySource(box.name, "source"), "other", "copy", lambda found: Attributes(tags={"of": found.key})
    )
    assert (made.bucket, made.key, made.etag, made.crc64) == ("other", "copy", source.etag, source.crc64)
    assert made.attributes == Attributes(tags={"of": "source"})
    assert box.store.check().blob_count == (1 if data == LARGE else 0)
    box.store.delete_object(box.name, "source")
    box.store.collect_garbage()
    with box.store.get_object("other", "copy") as found:
        assert found.read() == data
    box.store.delete_object("other", "copy")
    box.store.collect_garbage()
    report = box.store.check()
    assert (report.blob_count, report.orphans) == (0, ())


def test_copying_an_object_onto_itself_changes_its_attributes_only(box: Box) -> None:
    box.put("key", LARGE)
    source = CopySource(box.name, "key")
    box.store.copy_object(source, box.name, "key", lambda _: Attributes(content_type="b/b"))
    box.store.collect_garbage()
    assert box.read("key") == LARGE
    assert box.store.head_object(box.name, "key").attributes.content_type == "b/b"


def test_a_condition_on_the_source_can_refuse_a_copy(box: Box) -> None:
    class Refused(Exception):
        pass

    def refuse(found: ObjectRecord) -> Attributes:
        raise Refused(found.etag)

    made = box.put("key", b"x")
    with pytest.raises(Refused, match=made.etag):
        box.store.copy_object(CopySource(box.name, "key"), box.name, "copy", refuse)
    with pytest.raises(faults.KeyMissing):
        box.store.copy_object(CopySource(box.name, "none"), box.name, "copy", lambda _: Attributes())
    with pytest.raises(faults.AlreadyExists):
        box.store.copy_object(
            CopySource(box.name, "key"), box.name, "key", lambda _: Attributes(), forbid_overwrite=True
        )
    assert box.keys() == ["key"]


@pytest.mark.parametrize("pieces", [[b"a", b"", b"bc"], [LARGE, b"x", LARGE]])
def test_appends_join_and_their_crc_is_that_of_the_whole(box: Box, pieces: list[bytes]) -> None:
    whole = b""
    etags = set()
    for piece in pieces:
        made = box.append("log", len(whole), piece)
        whole += piece
        assert (made.size_bytes, made.crc64, made.kind) == (len(whole), crc64(whole), ObjectKind.APPENDABLE)
        assert box.store.head_object(box.name, "log") == made
        etags.add(made.etag)
    assert len(etags) == len(pieces)
    assert box.read("log") == whole


def test_a_long_log_is_read_to_its_end_after_every_append(box: Box) -> None:
    piece = bytes(INLINE_BYTES + 1)
    for number in range(70):
        box.append("log", number * len(piece), piece)
    for number in range(70, 73):
        assert len(box.read("log")) == number * len(piece)
        box.append("log", number * len(piece), piece)
    assert len(box.read("log")) == 73 * len(piece)


def test_an_append_elsewhere_than_at_the_end_is_told_the_end(box: Box) -> None:
    with pytest.raises(faults.PositionMismatch) as caught:
        box.append("log", 3, b"x")
    assert caught.value.actual == 0
    box.append("log", 0, LARGE)
    for position in (0, len(LARGE) + 1):
        with pytest.raises(faults.PositionMismatch) as caught:
            box.append("log", position, LARGE)
        assert caught.value.actual == len(LARGE)
    box.put("plain", b"")
    with pytest.raises(faults.NotAppendable):
        box.append("plain", 0, b"x")
    assert box.store.check().orphans == ()


def test_a_copy_of_an_appendable_object_does_not_grow_with_it(box: Box) -> None:
    box.append("log", 0, LARGE)
    made = box.store.copy_object(CopySource(box.name, "log"), box.name, "copy", lambda _: Attributes())
    assert made.kind is ObjectKind.NORMAL
    box.append("log", len(LARGE), b"more")
    assert box.read("copy") == LARGE
    assert box.read("log") == LARGE + b"more"
    box.store.delete_object(box.name, "copy")
    box.store.collect_garbage()
    assert box.read("log") == LARGE + b"more"


def test_a_symlink_keeps_its_target(box: Box) -> None:
    made = box.store.put_symlink(box.name, "link", "näme", Attributes(content_type="a/a"))
    assert (made.kind, made.size_bytes) == (ObjectKind.SYMLINK, 0)
    found = box.store.head_object(box.name, "link")
    assert (found.attributes.symlink_target, found.attributes.content_type) == ("näme", "a/a")
    with pytest.raises(faults.AlreadyExists):
        box.store.put_symlink(box.name, "link", "other", Attributes(), forbid_overwrite=True)


def test_changing_acl_and_tags_leaves_bytes_and_time_alone(box: Box) -> None:
    made = box.put("key", b"x", content_type="a/a")
    changed = box.store.update_object(
        box.name, "key", lambda old: msgspec.structs.replace(old, acl="private", tags={"a": "b"})
    )
    assert changed.attributes == Attributes(content_type="a/a", acl="private", tags={"a": "b"})
    assert msgspec.structs.replace(changed, attributes=made.attributes) == made
    assert box.store.head_object(box.name, "key") == changed
    with pytest.raises(faults.KeyMissing):
        box.store.update_object(box.name, "none", lambda old: old)


def test_a_read_in_progress_survives_overwrite_and_delete(box: Box) -> None:
    box.put("key", LARGE)
    with box.store.get_object(box.name, "key") as found:
        box.put("key", b"new")
        box.store.delete_object(box.name, "key")
        box.store.collect_garbage()
        assert found.read() == LARGE


def test_a_read_of_more_files_than_are_opened_at_once_survives_delete_too(box: Box) -> None:
    upload_id = box.begin("key")
    data = [bytes([number]) * 110_000 for number in range(1, 31)]
    parts = [box.part("key", upload_id, number, body) for number, body in enumerate(data, 1)]
    box.complete("key", upload_id, parts)
    with box.store.get_object(box.name, "key") as found:
        segments = found.segments()
        next(segments)
        box.store.delete_object(box.name, "key")
        assert box.store.collect_garbage() == 0
        segments.close()
        assert found.read() == b"".join(data)
    box.store.collect_garbage()
    report = box.store.check()
    assert (report.blob_count, report.orphans) == (0, ())


def test_keys_are_kept_as_they_are(box: Box) -> None:
    keys = [
        "a",
        "a/",
        "a/b",
        "a//b",
        " ",
        "ключ",
        "\U0001f600",
        "a\0b",
        "a\nb",
        "é",
        "e\u0301",
        "%2F",
        "x" * 1023,
    ]
    for key in keys:
        box.put(key, key.encode())
    assert box.keys() == sorted(keys, key=str.encode)
    assert [box.read(key) for key in keys] == [key.encode() for key in keys]
