"""Uploads in parts, with the rules of OSS that mocks leave out."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest
from server_desk import Answer, Desk

from penstock.protocol.crc64 import crc64
from penstock.server.store import LocalStore

PART = b"p" * 102_400


def initiate(desk: Desk, key: str = "big", query: str = "uploads", **headers: str) -> str:
    answer = desk("POST", f"/photos/{key}?{query}", **headers)
    assert answer.status == 200
    return answer.element("UploadId")


def send(desk: Desk, upload: str, number: int, data: bytes = PART, key: str = "big") -> str:
    answer = desk("PUT", f"/photos/{key}?partNumber={number}&uploadId={upload}", data)
    assert answer.status == 200, answer.body
    assert answer.headers["x-oss-hash-crc64ecma"] == str(crc64(data))
    return answer.headers["etag"]


def document(*parts: tuple[int, str]) -> bytes:
    listed = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def complete(desk: Desk, upload: str, *parts: tuple[int, str], key: str = "big", **headers: str) -> Answer:
    return desk("POST", f"/photos/{key}?uploadId={upload}", document(*parts), **headers)


def test_parts_become_one_object_with_the_etag_of_oss(bucket: Desk) -> None:
    upload = initiate(bucket, **{"content-type": "video/mp4", "x-oss-meta-a": "b"})
    parts = [(1, PART), (2, b"q" * 150_000), (9, b"tail")]
    etags = [(number, send(bucket, upload, number, data)) for number, data in parts]
    assert bucket("HEAD", "/photos/big").status == 404
    answer = complete(bucket, upload, *etags)
    whole = b"".join(data for _, data in parts)
    joined = "".join(hashlib.md5(data).hexdigest().upper() for _, data in parts)
    etag = f'"{hashlib.md5(joined.encode()).hexdigest().upper()}-3"'
    assert answer.status == 200
    assert answer.element("ETag").replace("&quot;", '"') == etag
    assert answer.headers["x-oss-hash-crc64ecma"] == str(crc64(whole))
    assert answer.element("Location").endswith("/photos/big")
    got = bucket("GET", "/photos/big")
    assert got.body == whole
    assert got.headers["x-oss-object-type"] == "Multipart"
    assert got.headers["content-type"] == "video/mp4"
    assert got.headers["x-oss-meta-a"] == "b"
    part = bucket("GET", "/photos/big", range="bytes=102398-252402")
    assert (part.status, part.body) == (206, whole[102398:252403])


def test_neither_complete_nor_abort_can_be_repeated(bucket: Desk) -> None:
    upload = initiate(bucket)
    etag = send(bucket, upload, 1)
    assert complete(bucket, upload, (1, etag)).status == 200
    for again in (
        complete(bucket, upload, (1, etag)),
        bucket("DELETE", f"/photos/big?uploadId={upload}"),
        bucket("GET", f"/photos/big?uploadId={upload}"),
        bucket("PUT", f"/photos/big?partNumber=1&uploadId={upload}", b"x"),
    ):
        assert (again.status, again.code) == (404, "NoSuchUpload")
    other = initiate(bucket)
    assert bucket("DELETE", f"/photos/big?uploadId={other}").status == 204
    assert bucket("DELETE", f"/photos/big?uploadId={other}").code == "NoSuchUpload"


def test_small_parts_are_refused_on_completion_and_the_upload_stays_open(bucket: Desk) -> None:
    upload = initiate(bucket)
    small, last = send(bucket, upload, 1, b"small"), send(bucket, upload, 2, b"last")
    refused = complete(bucket, upload, (1, small), (2, last))
    assert (refused.status, refused.code) == (400, "EntityTooSmall")
    large = send(bucket, upload, 1)
    assert complete(bucket, upload, (1, large), (2, last)).status == 200


def test_completing_checks_order_etags_and_the_document(bucket: Desk) -> None:
    upload = initiate(bucket)
    one, two = send(bucket, upload, 1), send(bucket, upload, 2)
    assert complete(bucket, upload, (2, two), (1, one)).code == "InvalidPartOrder"
    assert complete(bucket, upload, (1, one), (1, one)).code == "InvalidPartOrder"
    assert complete(bucket, upload, (1, '"00000000000000000000000000000000"')).code == "InvalidPart"
    assert complete(bucket, upload, (1, one), (3, one)).code == "InvalidPart"
    assert complete(bucket, upload).code == "MalformedXML"
    assert bucket("POST", f"/photos/big?uploadId={upload}", b"<Nonsense/>").code == "MalformedXML"
    assert bucket("POST", f"/photos/big?uploadId={upload}").code == "MalformedXML"
    assert complete(bucket, upload, (1, one)).status == 200


def test_complete_all_takes_what_is_there_and_no_list(bucket: Desk) -> None:
    upload = initiate(bucket)
    send(bucket, upload, 3)
    etag = send(bucket, upload, 1, PART + b"1")
    yes = {"x-oss-complete-all": "yes"}
    both = complete(bucket, upload, (1, etag), **yes)
    assert (both.status, both.element("EC")) == (400, "0042-00000216")
    assert bucket("POST", f"/photos/big?uploadId={upload}", **yes).status == 200
    assert bucket("GET", "/photos/big").body == PART + b"1" + PART


@pytest.mark.parametrize("number", ["0", "10001", "-1"])
def test_part_numbers_go_from_one_to_ten_thousand(bucket: Desk, number: str) -> None:
    upload = initiate(bucket)
    answer = bucket("PUT", f"/photos/big?partNumber={number}&uploadId={upload}", b"x")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.element("EC") == "0017-00000220"


def test_the_same_part_number_replaces_and_is_not_appended(bucket: Desk) -> None:
    upload = initiate(bucket)
    send(bucket, upload, 1, b"first")
    etag = send(bucket, upload, 1, b"second")
    assert complete(bucket, upload, (1, etag)).status == 200
    assert bucket("GET", "/photos/big").body == b"second"


def test_two_uploads_of_one_key_share_nothing(bucket: Desk) -> None:
    first, second = initiate(bucket), initiate(bucket)
    one, two = send(bucket, first, 1, b"1"), send(bucket, second, 1, b"2")
    assert complete(bucket, second, (1, two)).status == 200
    assert bucket("GET", "/photos/big").body == b"2"
    assert complete(bucket, first, (1, one)).status == 200
    assert bucket("GET", "/photos/big").body == b"1"


def test_an_existing_object_is_untouched_until_completion(bucket: Desk) -> None:
    bucket("PUT", "/photos/big", b"old")
    upload = initiate(bucket)
    etag = send(bucket, upload, 1)
    assert bucket("GET", "/photos/big").body == b"old"
    forbid = complete(bucket, upload, (1, etag), **{"x-oss-forbid-overwrite": "true"})
    assert (forbid.status, forbid.code) == (409, "FileAlreadyExists")
    assert complete(bucket, upload, (1, etag)).status == 200
    refused = bucket("POST", "/photos/big?uploads", **{"x-oss-forbid-overwrite": "true"})
    assert refused.code == "FileAlreadyExists"


def test_an_abort_removes_the_parts_that_are_there_and_not_one_that_is_arriving(bucket: Desk) -> None:
    upload = initiate(bucket)
    there = bucket("PUT", f"/photos/big?partNumber=2&uploadId={upload}", PART)
    part = bucket.app.open(bucket.request("PUT", f"/photos/big?partNumber=1&uploadId={upload}", len(PART)))
    part.receive([PART[:50_000]])
    assert bucket("DELETE", f"/photos/big?uploadId={upload}").status == 204
    assert "<PartNumber>" not in bucket("GET", f"/photos/big?uploadId={upload}").body.decode()
    part.receive([PART[50_000:]])
    arrived = part.finish()
    assert arrived.status == 200
    part.close()
    listed = bucket("GET", f"/photos/big?uploadId={upload}").body.decode()
    assert "<PartNumber>1</PartNumber>" in listed
    assert "<PartNumber>2</PartNumber>" not in listed
    whole = complete(bucket, upload, (1, arrived.headers["etag"]), (2, there.headers["etag"]))
    assert (whole.status, whole.code) == (400, "InvalidPart")
    assert bucket("DELETE", f"/photos/big?uploadId={upload}").status == 204
    assert bucket("GET", f"/photos/big?uploadId={upload}").code == "NoSuchUpload"


def test_sequential_uploads_take_their_parts_in_order_and_once(bucket: Desk) -> None:
    upload = initiate(bucket, query="uploads&sequential")
    target = f"/photos/big?uploadId={upload}&partNumber="
    early = bucket("PUT", f"{target}2", PART)
    assert (early.status, early.code) == (400, "PartNotSequential")
    assert bucket("PUT", f"{target}1", PART).status == 200
    again = bucket("PUT", f"{target}1", PART)
    assert (again.status, again.code) == (409, "PartAlreadyExist")


def test_parts_are_listed_in_pages_with_their_checksums(bucket: Desk) -> None:
    upload = initiate(bucket)
    for number in (5, 1, 3):
        send(bucket, upload, number, b"%d" % number)
    first = bucket("GET", f"/photos/big?uploadId={upload}&max-parts=2&part-number-marker=")
    text = first.body.decode()
    assert first.element("IsTruncated") == "true"
    assert first.element("NextPartNumberMarker") == "3"
    assert text.index("<PartNumber>1<") < text.index("<PartNumber>3<")
    assert f"<HashCrc64ecma>{crc64(b'1')}</HashCrc64ecma>" in text
    rest = bucket("GET", f"/photos/big?uploadId={upload}&part-number-marker=3")
    assert rest.element("IsTruncated") == "false"
    assert rest.body.decode().count("<Part>") == 1


def test_a_range_of_an_object_becomes_a_part(bucket: Desk) -> None:
    bucket("PUT", "/photos/source", PART + b"0123456789")
    upload = initiate(bucket)
    target = f"/photos/big?partNumber=1&uploadId={upload}"
    source = {"x-oss-copy-source": "/photos/source"}
    answer = bucket("PUT", target, **source, **{"x-oss-copy-source-range": "bytes=102400-102404"})
    assert answer.status == 200
    assert "<CopyPartResult>" in answer.body.decode()
    etag = answer.headers["etag"]
    assert etag == f'"{hashlib.md5(b"01234").hexdigest().upper()}"'
    open_end = bucket("PUT", target, **source, **{"x-oss-copy-source-range": "bytes=102405-"})
    assert complete(bucket, upload, (1, open_end.headers["etag"])).status == 200
    assert bucket("GET", "/photos/big").body == b"56789"


def test_copying_a_part_does_not_touch_the_object_of_that_key(bucket: Desk) -> None:
    bucket("PUT", "/photos/source", b"source")
    bucket("PUT", "/photos/big", b"old")
    upload = initiate(bucket)
    target = f"/photos/big?partNumber=1&uploadId={upload}"
    assert bucket("PUT", target, **{"x-oss-copy-source": "/photos/source"}).status == 200
    assert bucket("GET", "/photos/big").body == b"old"


def test_open_uploads_are_listed_and_keep_the_bucket_from_being_deleted(bucket: Desk) -> None:
    upload = initiate(bucket, "a%20b")
    listed = bucket("GET", "/photos/?uploads&encoding-type=url")
    assert listed.element("UploadId") == upload
    assert listed.element("Key") == "a%20b"
    assert bucket("DELETE", "/photos/").code == "BucketNotEmpty"
    bucket("DELETE", f"/photos/a%20b?uploadId={upload}")
    assert bucket("DELETE", "/photos/").status == 204


def test_encoding_type_is_echoed_and_applied_to_keys(bucket: Desk) -> None:
    answer = bucket("POST", "/photos/a%20b?uploads&encoding-type=url")
    assert (answer.element("EncodingType"), answer.element("Key")) == ("url", "a%20b")
    assert bucket("POST", "/photos/a?uploads&encoding-type=rot13").code == "InvalidArgument"


def test_encryption_is_decided_when_an_upload_begins_and_not_later(bucket: Desk) -> None:
    kms = {"x-oss-server-side-encryption": "KMS"}
    begun = bucket("POST", "/photos/a?uploads", **kms)
    assert begun.headers["x-oss-server-side-encryption-key-id"]
    upload = begun.element("UploadId")
    part = f"/photos/a?partNumber=1&uploadId={upload}"
    assert bucket("PUT", part, b"x", **kms).code == "InvalidArgument"
    assert bucket("PUT", part, b"x").headers["x-oss-server-side-encryption"] == "KMS"
    whole = {"x-oss-complete-all": "yes"}
    assert bucket("POST", f"/photos/a?uploadId={upload}", **whole, **kms).code == "InvalidArgument"
    assert bucket("POST", f"/photos/a?uploadId={upload}", **whole).status == 200
    assert bucket("HEAD", "/photos/a").headers["x-oss-server-side-encryption"] == "KMS"


def test_a_page_of_uploads_names_its_last_one_also_at_the_end(bucket: Desk) -> None:
    upload_id = bucket("POST", "/photos/a%01b?uploads").element("UploadId")
    page = bucket("GET", "/photos/?uploads&encoding-type=url")
    assert page.element("IsTruncated") == "false"
    assert (page.element("NextKeyMarker"), page.element("NextUploadIdMarker")) == ("a%01b", upload_id)


def test_parts_are_listed_with_how_their_sender_encrypts(bucket: Desk) -> None:
    said = {
        "key": "wrapped-key",
        "start": "wrapped-start",
        "cek-alg": "AES/CTR/NoPadding",
        "wrap-alg": "RSA/NONE/PKCS1Padding",
        "data-size": "300",
        "part-size": "100",
    }
    headers = {f"x-oss-meta-client-side-encryption-{name}": value for name, value in said.items()}
    upload_id = bucket("POST", "/photos/a?uploads", **headers).element("UploadId")
    page = bucket("GET", f"/photos/a?uploadId={upload_id}")
    names = ("Key", "Start", "CekAlg", "WrapAlg", "DataSize", "PartSize")
    assert [page.element(f"ClientEncryption{name}") for name in names] == list(said.values())
    plain = bucket("POST", "/photos/b?uploads").element("UploadId")
    assert "ClientEncryption" not in bucket("GET", f"/photos/b?uploadId={plain}").body.decode()


def test_the_access_list_of_a_completed_object_is_there_with_the_object(
    bucket: Desk, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    upload = initiate(bucket)
    part = (1, send(bucket, upload, 1))
    complete_upload = store.complete_upload
    seen: list[int] = []

    def complete_then_others(*given: Any, **named: Any) -> Any:
        made = complete_upload(*given, **named)
        seen.append(bucket("GET", "/photos/big", keys=None).status)
        assert bucket("PUT", "/photos/big", b"another's").status == 200
        return made

    monkeypatch.setattr(store, "complete_upload", complete_then_others)
    assert complete(bucket, upload, part, **{"x-oss-object-acl": "private"}).status == 200
    assert seen == [403]
    assert bucket("GET", "/photos/big?acl").element("Grant") == "default"


def test_an_object_that_was_uploaded_in_sequence_tells_its_md5(bucket: Desk) -> None:
    whole = PART + b"tail"
    for query, md5 in (
        ("uploads&sequential", base64.b64encode(hashlib.md5(whole).digest()).decode()),
        ("uploads", None),
    ):
        upload = initiate(bucket, query=query)
        parts = [(1, send(bucket, upload, 1)), (2, send(bucket, upload, 2, b"tail"))]
        assert complete(bucket, upload, *parts).status == 200
        for method in ("GET", "HEAD"):
            assert bucket(method, "/photos/big").headers.get("content-md5") == md5
        assert "content-md5" not in bucket("GET", "/photos/big", range="bytes=0-1").headers
