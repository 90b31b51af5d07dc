from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
import pytest
from store_box import PART, Box, bucket_named

from penstock.protocol.crc64 import crc64
from penstock.server.store import (
    Attributes,
    CopySource,
    ObjectKind,
    ObjectRecord,
    PartRecord,
    faults,
    uploads,
)
from penstock.server.store.uploads import Completion, StoredUpload, plan_completion


def body(number: int, size_bytes: int = PART) -> bytes:
    return bytes([number % 256]) * size_bytes


def test_a_completed_upload_is_its_parts_in_order(box: Box) -> None:
    upload_id = box.begin("key", content_type="a/a")
    assert re.fullmatch("[0-9A-F]{32}", upload_id)
    parts = [box.part("key", upload_id, number, body(number)) for number in (7, 2, 10_000)]
    parts.sort(key=lambda part: part.number)
    made = box.complete("key", upload_id, parts)
    whole = body(2) + body(7) + body(10_000)
    etags = "".join(hashlib.md5(body(number)).hexdigest().upper() for number in (2, 7, 10_000))
    assert made.etag == hashlib.md5(etags.encode()).hexdigest().upper() + "-3"
    assert (made.size_bytes, made.crc64, made.kind) == (len(whole), crc64(whole), ObjectKind.MULTIPART)
    assert made.attributes.content_type == "a/a"
    assert box.read("key") == whole
    with box.store.get_object(box.name, "key") as found:
        assert found.read(PART - 1, PART + 2) == whole[PART - 1 : 2 * PART + 1]
        assert found.read(3 * PART - 1) == whole[-1:]


def test_the_etag_is_the_one_that_oss_computed() -> None:
    # A real exchange of 2015 that the unit tests of aliyun-oss-python-sdk keep (unittests/test_multipart.py).
    etags = ["4DE8075FB607DF4D13FBC480EA488EFA", "AF947EC157726CEA88ED83B3C989063B"]
    parts = {
        number: PartRecord(number=number, size_bytes=PART, etag=etag, crc64=0, modified_ms=0)
        for number, etag in enumerate(etags, 1)
    }
    stored = StoredUpload(segset=1, revision=2, sequential=False, attributes=Attributes(), parts=parts)
    completion = plan_completion("id", stored, [(1, etags[0]), (2, etags[1])])
    assert completion.body.etag == "1C787C506EABFB9B45EAAA8DB039F4B2-2"


def test_any_range_of_an_object_of_many_parts_can_be_read_again_and_again(box: Box) -> None:
    for turn in range(2):
        upload_id = box.begin("key")
        parts = [box.part("key", upload_id, 1 + number, body(turn + number)) for number in range(70)]
        box.complete("key", upload_id, parts)
        for number in (0, 33, 69, 33):
            with box.store.get_object(box.name, "key") as found:
                assert found.read(number * PART, PART) == body(turn + number)
    box.store.copy_object(CopySource(box.name, "key"), box.name, "copy", lambda _: Attributes())
    box.store.delete_object(box.name, "key")
    box.store.collect_garbage()
    assert box.read("copy") == b"".join(body(1 + number) for number in range(70))


def test_nothing_is_visible_before_completion(box: Box) -> None:
    box.put("key", b"old")
    upload_id = box.begin("key")
    box.part("key", upload_id, 1, body(1))
    assert box.read("key") == b"old"
    box.complete("key", upload_id, None)
    assert box.read("key") == body(1)


def test_an_access_list_may_be_given_at_completion(box: Box) -> None:
    for acl, found in ((None, "public-read"), ("private", "private"), ("default", "default")):
        upload_id = box.begin("key", acl="public-read", content_type="text/plain")
        box.part("key", upload_id, 1, body(1))
        made = box.complete("key", upload_id, None, acl=acl)
        assert made == box.store.head_object(box.name, "key")
        assert (made.attributes.acl, made.attributes.content_type) == (found, "text/plain")


@pytest.mark.parametrize("count", [1, 3, 40])
def test_an_object_that_was_uploaded_in_sequence_has_the_md5_of_its_bytes(box: Box, count: int) -> None:
    for sequential in (True, False):
        upload_id = box.begin("key", sequential=sequential, content_type="text/plain")
        parts = [box.part("key", upload_id, number, body(number)) for number in range(1, count + 1)]
        made = box.complete("key", upload_id, parts)
        expected = hashlib.md5(b"".join(body(number) for number in range(1, count + 1))).hexdigest().upper()
        assert made.attributes.md5 == (expected if sequential else None)
        assert made == box.store.head_object(box.name, "key")
        assert made.attributes.content_type == "text/plain"


def test_the_md5_of_a_sequence_is_that_of_the_parts_that_were_listed(box: Box) -> None:
    upload_id = box.begin("key", sequential=True)
    parts = [box.part("key", upload_id, number, body(number, PART + number)) for number in range(1, 4)]
    made = box.complete("key", upload_id, parts[:2])
    assert made.attributes.md5 == hashlib.md5(box.read("key")).hexdigest().upper()
    change = {"tags": {"a": "b"}}
    changed = box.store.update_object(box.name, "key", lambda kept: msgspec.structs.replace(kept, **change))
    assert changed.attributes.md5 == made.attributes.md5


def test_a_part_that_comes_while_a_sequence_is_completed_does_not_spoil_the_md5(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = box.begin("key", sequential=True)
    for number in (1, 2):
        box.part("key", upload_id, number, body(number))
    judged = 0

    def judge_then_send(*asked: Any) -> Completion:
        nonlocal judged
        judged += 1
        found = plan_completion(*asked)
        if judged == 1:
            box.part("key", upload_id, 3, body(3))
        return found

    monkeypatch.setattr(uploads, "plan_completion", judge_then_send)
    made = box.complete("key", upload_id, None)
    assert judged == 2
    assert box.read("key") == body(1) + body(2) + body(3)
    assert made.attributes.md5 == hashlib.md5(box.read("key")).hexdigest().upper()


def test_no_md5_is_made_of_more_than_one_request_may_put(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.server.store.local.MAX_SINGLE_PUT_BYTES", 2 * PART - 1)
    upload_id = box.begin("key", sequential=True)
    for number in (1, 2):
        box.part("key", upload_id, number, body(number))
    assert box.complete("key", upload_id, None).attributes.md5 is None


def test_completing_all_takes_every_stored_part(box: Box) -> None:
    upload_id = box.begin("key")
    for number in (3, 1, 9):
        box.part("key", upload_id, number, body(number))
    assert box.complete("key", upload_id, None).size_bytes == 3 * PART
    assert box.read("key") == body(1) + body(3) + body(9)


def test_a_part_that_is_replaced_while_completion_is_judged_is_judged_again(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload_id = box.begin("key")
    box.part("key", upload_id, 1, body(1))
    times = 0

    def judge_then_replace(*asked: Any) -> Completion:
        nonlocal times
        times += 1
        judged = plan_completion(*asked)
        if times == 1:
            box.part("key", upload_id, 1, body(2))
        return judged

    monkeypatch.setattr(uploads, "plan_completion", judge_then_replace)
    made = box.complete("key", upload_id, None)
    assert times == 2
    assert (made.crc64, box.read("key")) == (crc64(body(2)), body(2))


def test_parts_that_are_not_listed_are_removed(box: Box) -> None:
    upload_id = box.begin("key")
    parts = [box.part("key", upload_id, number, body(number)) for number in range(1, 6)]
    box.complete("key", upload_id, [parts[1], parts[3]])
    assert box.read("key") == body(2) + body(4)
    box.store.collect_garbage()
    report = box.store.check()
    assert (report.blob_count, report.orphans) == (2, ())


def test_a_part_sent_again_replaces_the_one_before(box: Box) -> None:
    upload_id = box.begin("key")
    old = box.part("key", upload_id, 1, body(1))
    new = box.part("key", upload_id, 1, body(2, 5))
    with pytest.raises(faults.PartInvalid):
        box.complete("key", upload_id, [old])
    box.complete("key", upload_id, [new])
    assert box.read("key") == body(2, 5)
    box.store.collect_garbage()
    assert box.store.check().blob_count == 0


def test_a_completion_that_is_refused_leaves_the_upload_open(box: Box) -> None:
    upload_id = box.begin("key")
    one, two, three = (box.part("key", upload_id, number, body(number)) for number in (1, 2, 3))
    small = box.part("key", upload_id, 4, body(4, PART - 1))
    last = box.part("key", upload_id, 5, body(5))
    refusals = [
        (faults.NoParts, []),
        (faults.PartOrderInvalid, [(2, two.etag), (1, one.etag)]),
        (faults.PartOrderInvalid, [(1, one.etag), (1, one.etag)]),
        (faults.PartInvalid, [(1, one.etag), (6, one.etag)]),
        (faults.PartInvalid, [(1, two.etag)]),
        (faults.PartInvalid, [(1, one.etag.lower())]),
        (faults.PartTooSmall, [(3, three.etag), (4, small.etag), (5, last.etag)]),
        (faults.PartTooSmall, None),
    ]
    for fault, listed in refusals:
        with pytest.raises(fault):
            box.store.complete_upload(box.name, "key", upload_id, listed)
    assert len(box.store.list_parts(box.name, "key", upload_id).parts) == 5
    made = box.complete("key", upload_id, [one, small])
    assert made.size_bytes == 2 * PART - 1


def test_a_forbidden_overwrite_is_refused_at_completion(box: Box) -> None:
    upload_id = box.begin("key")
    box.part("key", upload_id, 1, body(1))
    box.put("key", b"first")
    with pytest.raises(faults.AlreadyExists):
        box.complete("key", upload_id, None, forbid_overwrite=True)
    assert box.read("key") == b"first"
    box.store.delete_object(box.name, "key")
    box.complete("key", upload_id, None, forbid_overwrite=True)


def test_neither_completing_nor_aborting_can_be_repeated(box: Box) -> None:
    first, second = box.begin("key"), box.begin("key")
    box.part("key", first, 1, body(1))
    box.part("key", second, 1, body(2))
    box.complete("key", first, None)
    box.store.abort_upload(box.name, "key", second)
    for upload_id in (first, second, "0" * 32):
        with pytest.raises(faults.UploadMissing):
            box.complete("key", upload_id, None)
        with pytest.raises(faults.UploadMissing):
            box.store.abort_upload(box.name, "key", upload_id)
        with pytest.raises(faults.UploadMissing):
            box.part("key", upload_id, 2, body(2))
        with pytest.raises(faults.UploadMissing):
            box.store.list_parts(box.name, "key", upload_id)
    box.store.collect_garbage()
    assert box.read("key") == body(1)
    report = box.store.check()
    assert (report.blob_count, report.orphans) == (1, ())


def test_an_upload_belongs_to_its_key(box: Box) -> None:
    upload_id = box.begin("key")
    with pytest.raises(faults.UploadMissing):
        box.part("other", upload_id, 1, b"")
    with pytest.raises(faults.UploadMissing):
        box.store.abort_upload(box.name, "other", upload_id)


@pytest.mark.parametrize("number", [-1, 0, 10_001])
def test_part_numbers_end_at_ten_thousand(box: Box, number: int) -> None:
    upload_id = box.begin("key")
    with pytest.raises(faults.PartNumberInvalid):
        box.part("key", upload_id, number, b"")
    with pytest.raises(faults.PartNumberInvalid):
        box.store.copy_part(CopySource(box.name, "none"), box.name, "key", upload_id, number)


def test_parts_are_listed_by_number_a_page_at_a_time(box: Box) -> None:
    upload_id = box.begin("key")
    parts = [box.part("key", upload_id, number, body(number, number)) for number in (5, 1, 300)]
    parts.sort(key=lambda part: part.number)
    whole = box.store.list_parts(box.name, "key", upload_id)
    assert (list(whole.parts), whole.next_number) == (parts, None)
    assert (whole.parts[1].crc64, whole.parts[1].size_bytes) == (crc64(body(5, 5)), 5)
    assert whole.upload == box.store.head_upload(box.name, "key", upload_id)
    page = box.store.list_parts(box.name, "key", upload_id, limit=2)
    assert (list(page.parts), page.next_number) == (parts[:2], 5)
    page = box.store.list_parts(box.name, "key", upload_id, after_number=5, limit=2)
    assert (list(page.parts), page.next_number) == (parts[2:], None)


def test_a_sequential_upload_takes_each_part_once_and_in_order(box: Box) -> None:
    upload_id = box.begin("key", sequential=True)
    with pytest.raises(faults.PartNotSequential) as caught:
        box.part("key", upload_id, 2, body(2))
    assert caught.value.expected == 1
    box.part("key", upload_id, 1, body(1))
    with pytest.raises(faults.PartAlreadyExists):
        box.part("key", upload_id, 1, body(1))
    with pytest.raises(faults.PartNotSequential):
        box.part("key", upload_id, 3, body(3))
    box.part("key", upload_id, 2, body(2))
    box.complete("key", upload_id, None)
    assert box.read("key") == body(1) + body(2)
    assert box.store.check().orphans == ()


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, None), (0, 1), (PART - 1, 2), (PART, PART), (5, None), (0, 3 * PART), (7, 0)],
)
@pytest.mark.parametrize("source", ["plain", "parts", "log"])
def test_a_copied_range_is_a_part_like_any_other(
    box: Box, source: str, offset: int, length: int | None
) -> None:
    whole = body(1) + body(2) + body(3)
    box.put("plain", whole)
    upload_id = box.begin("parts")
    for number in (1, 2, 3):
        box.part("parts", upload_id, number, body(number))
    box.complete("parts", upload_id, None)
    for number in (1, 2, 3):
        box.append("log", (number - 1) * PART, body(number))

    expected = whole[offset : None if length is None else offset + length]
    upload_id = box.begin("copy")
    part = box.store.copy_part(
        CopySource(box.name, source), box.name, "copy", upload_id, 1, offset=offset, length=length
    )
    assert (part.size_bytes, part.crc64) == (len(expected), crc64(expected))
    assert part.etag == hashlib.md5(expected).hexdigest().upper()
    tail = box.part("copy", upload_id, 2, b"tail")
    assert box.store.list_parts(box.name, "copy", upload_id).parts == (part, tail)
    assert box.store.check(scrub=True).blob_count == 7
    for key in ("plain", "parts", "log"):
        box.store.delete_object(box.name, key)
    box.store.collect_garbage()
    if len(expected) >= PART:
        box.complete("copy", upload_id, [part, tail])
        assert box.read("copy") == expected + b"tail"
    else:
        box.complete("copy", upload_id, [part])
        assert box.read("copy") == expected


def test_a_part_of_a_small_object_is_copied_with_its_bytes(box: Box) -> None:
    box.put("small", b"0123456789")
    upload_id = box.begin("copy")
    part = box.store.copy_part(
        CopySource(box.name, "small"), box.name, "copy", upload_id, 1, offset=2, length=3
    )
    box.store.delete_object(box.name, "small")
    box.complete("copy", upload_id, [part])
    assert box.read("copy") == b"234"


def test_a_range_beyond_the_source_is_refused(box: Box) -> None:
    box.put("source", b"0123456789")
    upload_id = box.begin("copy")
    for offset, length in [(0, 11), (10, 1), (11, None), (-1, 1)]:
        with pytest.raises(faults.RangeInvalid):
            box.store.copy_part(
                CopySource(box.name, "source"), box.name, "copy", upload_id, 1, offset=offset, length=length
            )
    with pytest.raises(faults.UploadMissing):
        box.store.copy_part(CopySource(box.name, "source"), box.name, "copy", "0" * 32, 1)


def test_a_source_that_is_replaced_while_it_is_copied_is_copied_anew(box: Box) -> None:
    box.put("source", body(1))
    upload_id = box.begin("copy")
    seen = []

    def replace_once(found: ObjectRecord) -> None:
        seen.append(found.etag)
        if len(seen) == 1:
            box.put("source", body(2))
            box.store.collect_garbage()

    part = box.store.copy_part(
        CopySource(box.name, "source"), box.name, "copy", upload_id, 1, check_source=replace_once
    )
    assert len(seen) == 2
    box.complete("copy", upload_id, [part])
    assert box.read("copy") == body(2)


def test_uploads_hold_a_bucket_until_they_end(box: Box) -> None:
    upload_id = box.begin("key")
    with pytest.raises(faults.BucketNotEmpty):
        box.store.delete_bucket(box.name)
    box.store.abort_upload(box.name, "key", upload_id)
    box.store.delete_bucket(box.name)
    with pytest.raises(faults.BucketMissing):
        box.begin("key")
    with pytest.raises(faults.BucketMissing):
        box.store.create_upload("box2", "key", Attributes())
    box.store.create_bucket(bucket_named(box.name))
    with pytest.raises(faults.UploadMissing):
        box.store.head_upload(box.name, "key", upload_id)


def test_parts_are_dropped_and_the_upload_stays_open(box: Box) -> None:
    upload_id = box.begin("key")
    old = [box.part("key", upload_id, number, body(number)) for number in (1, 2)]
    box.store.drop_parts(box.name, "key", upload_id)
    assert box.store.list_parts(box.name, "key", upload_id).parts == ()
    with pytest.raises(faults.PartInvalid):
        box.complete("key", upload_id, old)
    box.store.collect_garbage()
    assert box.store.check().blob_count == 0
    box.part("key", upload_id, 1, body(3))
    box.complete("key", upload_id, None)
    assert box.read("key") == body(3)
    with pytest.raises(faults.UploadMissing):
        box.store.drop_parts(box.name, "key", upload_id)


def test_parts_that_are_dropped_after_they_were_read_become_no_object(box: Box) -> None:
    upload_id = box.begin("key")
    box.part("key", upload_id, 1, body(1))
    stored = box.store._read("reading", lambda db: uploads.read(db, box.name, "key", upload_id))
    completion = plan_completion(upload_id, stored, None)
    box.store.drop_parts(box.name, "key", upload_id)
    made = box.store._write(
        "completing",
        lambda db: uploads.complete(
            db,
            box.name,
            "key",
            upload_id,
            stored=stored,
            completion=completion,
            now_ms=1,
            acl=None,
            forbid_overwrite=False,
        ),
    )
    assert made is None
    assert box.keys() == []
