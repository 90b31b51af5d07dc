"""Versions and delete markers, by the calls that make, read, list and remove them."""

from __future__ import annotations

import base64
import hashlib

import pytest
from server_desk import Desk

ON = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
OFF = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"


@pytest.fixture
def versioned(bucket: Desk) -> Desk:
    assert bucket("PUT", "/photos/?versioning", ON).status == 200
    return bucket


def put(desk: Desk, key: str, body: bytes) -> str:
    return desk("PUT", f"/photos/{key}", body).headers["x-oss-version-id"]


def test_versioning_is_asked_for_switched_on_and_suspended(bucket: Desk) -> None:
    assert "<Status>" not in bucket("GET", "/photos/?versioning").body.decode()
    assert "x-oss-version-id" not in bucket("PUT", "/photos/a", b"x").headers
    assert bucket("PUT", "/photos/?versioning", ON).status == 200
    assert bucket("GET", "/photos/?versioning").element("Status") == "Enabled"
    assert bucket("GET", "/photos/?bucketInfo").element("Versioning") == "Enabled"
    assert bucket("PUT", "/photos/?versioning", OFF).status == 200
    assert bucket("PUT", "/photos/a", b"y").headers["x-oss-version-id"] == "null"
    wrong = b"<VersioningConfiguration><Status>On</Status></VersioningConfiguration>"
    assert bucket("PUT", "/photos/?versioning", wrong).code == "MalformedXML"


def test_every_version_can_be_read_described_and_removed(versioned: Desk) -> None:
    old, new = put(versioned, "a", b"old"), put(versioned, "a", b"new!")
    assert versioned("GET", "/photos/a").body == b"new!"
    assert versioned("GET", f"/photos/a?versionId={old}").body == b"old"
    head = versioned("HEAD", f"/photos/a?versionId={old}")
    assert (head.headers["content-length"], head.headers["x-oss-version-id"]) == ("3", old)
    assert versioned("DELETE", f"/photos/a?versionId={new}").headers["x-oss-version-id"] == new
    assert versioned("GET", "/photos/a").body == b"old"
    answer = versioned("GET", f"/photos/a?versionId={new}")
    assert (answer.status, answer.code) == (404, "NoSuchVersion")


def test_a_delete_marker_hides_the_object_and_says_so(versioned: Desk) -> None:
    version = put(versioned, "a", b"x")
    deleted = versioned("DELETE", "/photos/a")
    marker = deleted.headers["x-oss-version-id"]
    assert (deleted.status, deleted.headers["x-oss-delete-marker"]) == (204, "true")
    answer = versioned("GET", "/photos/a")
    assert (answer.status, answer.code) == (404, "NoSuchKey")
    assert (answer.headers["x-oss-delete-marker"], answer.headers["x-oss-version-id"]) == ("true", marker)
    of_marker = versioned("GET", f"/photos/a?versionId={marker}")
    assert (of_marker.status, of_marker.code) == (405, "MethodNotAllowed")
    assert (of_marker.headers["x-oss-delete-marker"], of_marker.headers["allow"]) == ("true", "DELETE")
    assert versioned("HEAD", "/photos/a").headers["x-oss-delete-marker"] == "true"
    assert versioned("GET", f"/photos/a?versionId={version}").body == b"x"
    removed = versioned("DELETE", f"/photos/a?versionId={marker}")
    assert removed.headers["x-oss-delete-marker"] == "true"
    assert versioned("GET", "/photos/a").body == b"x"


def test_versions_are_listed_in_pages_latest_first(versioned: Desk) -> None:
    ids = [put(versioned, "a", b"1"), put(versioned, "a", b"22"), put(versioned, "b", b"3")]
    versioned("DELETE", "/photos/b")
    whole = versioned("GET", "/photos/?versions").body.decode()
    assert whole.count("<Version>") == 3
    assert whole.count("<DeleteMarker>") == 1
    assert whole.index(ids[1]) < whole.index(ids[0])
    first = versioned("GET", "/photos/?versions&max-keys=1")
    assert (first.element("NextKeyMarker"), first.element("NextVersionIdMarker")) == ("a", ids[1])
    rest = versioned(
        "GET", f"/photos/?versions&key-marker=a&version-id-marker={first.element('NextVersionIdMarker')}"
    ).body.decode()
    assert f"<VersionId>{ids[1]}<" not in rest
    assert rest.count("<Version>") == 2
    assert versioned("GET", "/photos/?versions&version-id-marker=x").code == "InvalidArgument"
    assert versioned("GET", "/photos/?versions&max-keys=0").element("IsTruncated") == "false"


def test_objects_of_before_have_the_null_version(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"before")
    bucket("PUT", "/photos/?versioning", ON)
    put(bucket, "a", b"after")
    assert bucket("GET", "/photos/a?versionId=null").body == b"before"
    assert "<VersionId>null</VersionId>" in bucket("GET", "/photos/?versions").body.decode()


def test_many_versions_are_removed_at_once(versioned: Desk) -> None:
    version = put(versioned, "a", b"x")
    put(versioned, "b", b"y")
    body = (
        f"<Delete><Object><Key>a</Key><VersionId>{version}</VersionId></Object>"
        "<Object><Key>b</Key></Object></Delete>"
    )

    md5 = base64.b64encode(hashlib.md5(body.encode()).digest()).decode()
    text = versioned("POST", "/photos/?delete", body.encode(), content_md5=md5).body.decode()
    assert f"<Key>a</Key><VersionId>{version}</VersionId></Deleted>" in text
    assert "<Key>b</Key><DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>" in text
    assert versioned("DELETE", "/photos/").code == "BucketNotEmpty"


def test_tags_access_lists_and_copies_are_of_versions(versioned: Desk) -> None:
    old = put(versioned, "a", b"old")
    put(versioned, "a", b"new")
    tags = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"
    assert versioned("PUT", f"/photos/a?tagging&versionId={old}", tags).headers["x-oss-version-id"] == old
    assert "<Key>k</Key>" in versioned("GET", f"/photos/a?tagging&versionId={old}").body.decode()
    assert "<Key>k</Key>" not in versioned("GET", "/photos/a?tagging").body.decode()
    versioned("PUT", f"/photos/a?acl&versionId={old}", **{"x-oss-object-acl": "public-read"})
    assert versioned("GET", f"/photos/a?versionId={old}", keys=None).body == b"old"
    assert versioned("GET", "/photos/a", keys=None).status == 403
    copied = versioned("PUT", "/photos/b", **{"x-oss-copy-source": f"/photos/a?versionId={old}"})
    assert copied.headers["x-oss-copy-source-version-id"] == old
    assert versioned("GET", "/photos/b").body == b"old"


def test_forbidding_to_overwrite_means_nothing_where_versions_are_kept(versioned: Desk) -> None:
    put(versioned, "a", b"x")
    assert versioned("PUT", "/photos/a", b"y", **{"x-oss-forbid-overwrite": "true"}).status == 200
    assert versioned("POST", "/photos/a?uploads", **{"x-oss-forbid-overwrite": "true"}).status == 200
