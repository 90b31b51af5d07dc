"""The official SDK of the first generation (oss2) against the server."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

import pytest

from penstock.server.local_oss import LocalOss

oss2 = pytest.importorskip("oss2")
requests = pytest.importorskip("requests")

pytestmark = [
    pytest.mark.judge,
    # What the SDK and its own dependencies warn of is theirs to mend.
    pytest.mark.filterwarnings("default"),
]

DATA = os.urandom(1_500_000)


@pytest.fixture
def server() -> Iterator[LocalOss]:
    with LocalOss.start(users={"judge-id": "judge-secret"}, durability="none") as running:
        yield running


def auth(version: str, secret: str = "judge-secret") -> object:
    return {"v1": oss2.Auth, "v2": oss2.AuthV2, "v4": oss2.AuthV4}[version]("judge-id", secret)


@pytest.fixture(params=["v1", "v2", "v4"])
def bucket(server: LocalOss, request: pytest.FixtureRequest) -> Iterator[object]:
    made = oss2.Bucket(auth(request.param), server.endpoint, "judged", region=server.region)
    made.create_bucket()
    yield made
    made.session.session.close()


def test_objects_of_every_kind_of_body_come_back(bucket: object) -> None:
    for key, body, whole in (
        ("plain", DATA, DATA),
        ("empty", b"", b""),
        ("a b/\u4e2d+%\x0c", b"odd key", b"odd key"),
        ("stream", (DATA[at : at + 70_000] for at in range(0, len(DATA), 70_000)), DATA),
    ):
        put = bucket.put_object(key, body, headers={"x-oss-meta-Kind": "test"})
        assert put.etag == hashlib.md5(whole).hexdigest().upper()
        got = bucket.get_object(key)
        assert got.read() == whole
        assert got.headers["x-oss-meta-kind"] == "test"
        assert len(put.request_id) == 24
    assert bucket.get_object("plain", byte_range=(10, 20)).read() == DATA[10:21]
    assert sorted(one.key for one in oss2.ObjectIterator(bucket)) == sorted(
        ["plain", "empty", "a b/\u4e2d+%\x0c", "stream"]
    )
    keys = [one.key for one in oss2.ObjectIteratorV2(bucket, max_keys=2)]
    assert bucket.batch_delete_objects(keys).deleted_keys == keys
    assert not list(oss2.ObjectIterator(bucket))


def test_uploads_in_parts(bucket: object) -> None:
    upload = bucket.init_multipart_upload("big").upload_id
    parts = []
    for number, at in enumerate(range(0, len(DATA), 200_000), 1):
        piece = DATA[at : at + 200_000]
        sent = bucket.upload_part("big", upload, number, piece)
        parts.append(oss2.models.PartInfo(number, sent.etag, size=len(piece), part_crc=sent.crc))
    assert [one.part_number for one in oss2.PartIterator(bucket, "big", upload)] == list(range(1, 9))
    done = bucket.complete_multipart_upload("big", upload, parts)
    assert done.etag.endswith("-8")
    assert bucket.get_object("big").read() == DATA
    other = bucket.init_multipart_upload("big").upload_id
    assert [one.upload_id for one in oss2.MultipartUploadIterator(bucket)] == [other]
    bucket.abort_multipart_upload("big", other)
    with pytest.raises(oss2.exceptions.NoSuchUpload):
        bucket.abort_multipart_upload("big", other)


def test_appending_copying_and_linking(bucket: object) -> None:
    first = bucket.append_object("log", 0, b"abc")
    assert bucket.append_object("log", first.next_position, b"def", init_crc=first.crc).next_position == 6
    with pytest.raises(oss2.exceptions.PositionNotEqualToLength) as refused:
        bucket.append_object("log", 1, b"x")
    assert refused.value.next_position == 6
    bucket.copy_object(bucket.bucket_name, "log", "copy")
    bucket.put_symlink("copy", "link")
    assert bucket.get_object("link").read() == b"abcdef"
    assert bucket.get_symlink("link").target_key == "copy"


def test_signed_urls(bucket: object) -> None:
    url = bucket.sign_url("PUT", "a b", 60, headers={"content-type": "text/plain"})
    assert requests.put(url, data=b"by url", headers={"content-type": "text/plain"}, timeout=10).ok
    assert requests.put(url, data=b"by url", headers={"content-type": "other"}, timeout=10).status_code == 403
    assert requests.get(bucket.sign_url("GET", "a b", 60), timeout=10).content == b"by url"


def test_settings(bucket: object) -> None:
    bucket.put_object("a", b"x")
    bucket.put_object_acl("a", oss2.OBJECT_ACL_PUBLIC_READ)
    assert bucket.get_object_acl("a").acl == "public-read"
    rule = oss2.models.TaggingRule()
    rule.add("name", "value")
    bucket.put_object_tagging("a", oss2.models.Tagging(rule))
    assert bucket.get_object_tagging("a").tag_set.tagging_rule == {"name": "value"}
    assert bucket.get_bucket_info().name == "judged"
    assert bucket.get_bucket_stat().object_count == 1
    anonymous = oss2.Bucket(oss2.AnonymousAuth(), bucket.endpoint, "judged")
    assert anonymous.get_object("a").read() == b"x"
    anonymous.session.session.close()


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_refusals(server: LocalOss, version: str) -> None:
    wrong = oss2.Bucket(auth(version, "wrong"), server.endpoint, "judged", region=server.region)
    with pytest.raises(oss2.exceptions.SignatureDoesNotMatch):
        wrong.create_bucket()
    with pytest.raises(oss2.exceptions.NoSuchBucket):
        wrong.get_object("a")
    wrong.session.session.close()


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_a_clock_that_is_off_and_a_url_that_has_expired(version: str) -> None:
    ahead = [0.0]
    with LocalOss.start(users={"judge-id": "judge-secret"}, clock=lambda: time.time() + ahead[0]) as server:
        bucket = oss2.Bucket(auth(version), server.endpoint, "judged", region=server.region)
        bucket.create_bucket()
        url = bucket.sign_url("GET", "a", 60)
        ahead[0] = 20 * 60
        with pytest.raises(oss2.exceptions.ServerError) as refused:
            bucket.get_bucket_info()
        assert refused.value.code == "RequestTimeTooSkewed"
        assert requests.get(url, timeout=10).status_code == 403
        bucket.session.session.close()
