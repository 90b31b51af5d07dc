"""What the first official SDK (oss2) asks of versions, configurations, archives and temporary keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from penstock.server.local_oss import LocalOss

oss2 = pytest.importorskip("oss2")

pytestmark = [
    pytest.mark.judge,
    # What the SDK and its own dependencies warn of is theirs to mend.
    pytest.mark.filterwarnings("default"),
]


@pytest.fixture
def server() -> Iterator[LocalOss]:
    with LocalOss.start(
        users={"judge-id": "judge-secret"}, durability="none", restore_s=0.5, lifecycle_every_s=0
    ) as running:
        yield running


@pytest.fixture(params=["v1", "v4"])
def bucket(server: LocalOss, request: pytest.FixtureRequest) -> Iterator[object]:
    auth = {"v1": oss2.Auth, "v4": oss2.AuthV4}[request.param]("judge-id", "judge-secret")
    made = oss2.Bucket(auth, server.endpoint, "judged", region=server.region)
    made.create_bucket()
    yield made
    made.session.session.close()


def test_versions(bucket: object) -> None:
    status = oss2.models.BucketVersioningConfig()
    status.status = oss2.BUCKET_VERSIONING_ENABLE
    bucket.put_bucket_versioning(status)
    assert bucket.get_bucket_versioning().status == "Enabled"
    first = bucket.put_object("a", b"1").versionid
    second = bucket.put_object("a", b"22").versionid
    marker = bucket.delete_object("a")
    assert marker.delete_marker
    listed = bucket.list_object_versions()
    assert [one.versionid for one in listed.versions] == [second, first]
    assert [one.versionid for one in listed.delete_marker] == [marker.versionid]
    assert bucket.get_object("a", params={"versionId": first}).read() == b"1"
    with pytest.raises(oss2.exceptions.NoSuchKey):
        bucket.get_object("a")
    gone = oss2.models.BatchDeleteObjectVersionList()
    for version in (first, second, marker.versionid):
        gone.append(oss2.models.BatchDeleteObjectVersion("a", version))
    assert len(bucket.delete_object_versions(gone).delete_versions) == 3
    bucket.delete_bucket()


def test_cors_lifecycle_referer_website_and_policy(bucket: object, server: LocalOss) -> None:
    rule = oss2.models.CorsRule(allowed_origins=["*"], allowed_methods=["GET"], allowed_headers=["*"])
    bucket.put_bucket_cors(oss2.models.BucketCors([rule]))
    assert bucket.get_bucket_cors().rules[0].allowed_methods == ["GET"]
    bucket.delete_bucket_cors()
    with pytest.raises(oss2.exceptions.NoSuchCors):
        bucket.get_bucket_cors()

    expiry = oss2.models.LifecycleRule("old", "log/", expiration=oss2.models.LifecycleExpiration(days=3))
    bucket.put_bucket_lifecycle(oss2.models.BucketLifecycle([expiry]))
    assert bucket.get_bucket_lifecycle().rules[0].expiration.days == 3
    assert server.run_lifecycle().expired == 0

    bucket.put_bucket_referer(oss2.models.BucketReferer(False, ["http://example.com"]))
    assert bucket.get_bucket_referer().referers == ["http://example.com"]
    bucket.put_bucket_website(oss2.models.BucketWebsite("index.html", "error.html"))
    assert bucket.get_bucket_website().index_file == "index.html"

    text = json.dumps(
        {
            "Version": "1",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Action": ["oss:GetObject"],
                    "Principal": ["*"],
                    "Resource": ["acs:oss:*:*:judged/*"],
                }
            ],
        }
    )
    bucket.put_bucket_policy(text)
    assert json.loads(bucket.get_bucket_policy().policy) == json.loads(text)


def test_retention(bucket: object) -> None:
    worm = bucket.init_bucket_worm(1).worm_id
    bucket.put_object("kept", b"x")
    with pytest.raises(oss2.exceptions.ServerError) as refused:
        bucket.delete_object("kept")
    assert refused.value.code == "FileImmutable"
    assert bucket.get_bucket_worm().state == "InProgress"
    bucket.complete_bucket_worm(worm)
    assert bucket.get_bucket_worm().state == "Locked"


def test_archives_are_restored(bucket: object) -> None:
    bucket.put_object("cold", b"bytes", headers={"x-oss-storage-class": "Archive"})
    with pytest.raises(oss2.exceptions.ServerError) as frozen:
        bucket.get_object("cold")
    assert frozen.value.code == "InvalidObjectState"
    assert bucket.restore_object("cold").status == 202
    with pytest.raises(oss2.exceptions.RestoreAlreadyInProgress):
        bucket.restore_object("cold")
    deadline = time.monotonic() + 20
    while "true" in bucket.head_object("cold").headers.get("x-oss-restore", "true"):
        assert time.monotonic() < deadline
    assert bucket.get_object("cold").read() == b"bytes"


def test_encryption_is_told(bucket: object) -> None:
    rule = oss2.models.ServerSideEncryptionRule()
    rule.sse_algorithm = oss2.SERVER_SIDE_ENCRYPTION_AES256
    bucket.put_bucket_encryption(rule)
    assert bucket.get_bucket_encryption().sse_algorithm == "AES256"
    assert bucket.put_object("a", b"x").headers["x-oss-server-side-encryption"] == "AES256"
