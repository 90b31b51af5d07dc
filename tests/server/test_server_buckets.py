"""Buckets, listings, access lists, tags, and what is not there."""

from __future__ import annotations

import base64

import pytest
from server_desk import Credentials, Desk, read

from penstock.server.http.request import Request


def test_buckets_are_made_listed_and_deleted(desk: Desk) -> None:
    assert desk("PUT", "/photos/").headers["location"] == "/photos"
    assert desk("PUT", "/videos/", b"").status == 200
    listed = desk("GET", "/").body.decode()
    assert listed.index("<Name>photos</Name>") < listed.index("<Name>videos</Name>")
    assert "<ExtranetEndpoint>http://127.0.0.1:9000</ExtranetEndpoint>" in listed
    assert "<Location>oss-cn-hangzhou</Location>" in listed
    assert "<Name>photos" not in desk("GET", "/?prefix=v").body.decode()
    assert desk("DELETE", "/photos/").status == 204
    assert desk("DELETE", "/photos/").code == "NoSuchBucket"


def test_two_slashes_list_the_buckets_too(desk: Desk) -> None:
    desk("PUT", "/photos/")
    assert "<Name>photos</Name>" in desk("GET", "//").body.decode()


def test_ones_own_bucket_may_be_made_again_but_not_another(bucket: Desk) -> None:
    assert bucket("PUT", "/photos/", **{"x-oss-acl": "public-read"}).status == 200
    assert bucket("GET", "/photos/?acl").element("Grant") == "public-read"
    body = b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>"
    answer = bucket("PUT", "/photos/", body)
    assert (answer.status, answer.code) == (409, "BucketAlreadyExists")


@pytest.mark.parametrize("name", ["ab", "Photos", "-photos", "pho_tos", "x" * 64])
def test_bad_names_are_refused(desk: Desk, name: str) -> None:
    assert desk("PUT", f"/{name}/").code == "InvalidBucketName"


def test_the_class_of_the_bucket_is_that_of_its_objects(desk: Desk) -> None:
    body = b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>"
    desk("PUT", "/cold/", body)
    desk("PUT", "/cold/a", b"x")
    assert desk("HEAD", "/cold/a").headers["x-oss-storage-class"] == "IA"


def test_a_bucket_says_what_it_is_and_holds(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"12345")
    bucket("POST", "/photos/b?uploads")
    info = bucket("GET", "/photos/?bucketInfo")
    assert (info.element("Name"), info.element("Grant")) == ("photos", "private")
    assert info.element("ExtranetEndpoint") == "http://127.0.0.1:9000"
    stat = bucket("GET", "/photos/?stat")
    assert (stat.element("Storage"), stat.element("ObjectCount")) == ("5", "1")
    assert stat.element("MultipartUploadCount") == "1"
    assert "oss-cn-hangzhou" in bucket("GET", "/photos/?location").body.decode()


def test_the_bucket_may_stand_in_front_of_the_host(bucket: Desk) -> None:
    for host in ("photos.oss.localhost:9000", "photos.localhost"):
        assert bucket("PUT", "/a", b"x", host=host).status == 200
        assert bucket("GET", "/a", host=host).body == b"x"
        assert bucket("GET", "/?prefix=a", host=host).element("Key") == "a"
    assert "<Name>photos" in bucket("GET", "/", host="oss.localhost:9000").body.decode()


def test_objects_are_listed_in_pages_by_bytes(bucket: Desk) -> None:
    keys = ["a", "a/1", "a/2", "b", "\u00e9", "\u4e2d"]
    for key in keys:
        bucket("PUT", f"/photos/{'%' + '%'.join(f'{byte:02X}' for byte in key.encode())}", b"x")
    found, marker = [], ""
    while True:
        page = bucket("GET", f"/photos/?max-keys=2&encoding-type=url&marker={marker}")
        found += [piece.partition("</Key>")[0] for piece in page.body.decode().split("<Key>")[1:]]
        if page.element("IsTruncated") == "false":
            break
        marker = page.element("NextMarker")
    assert found == ["a", "a%2F1", "a%2F2", "b", "%C3%A9", "%E4%B8%AD"]


def test_a_delimiter_folds_keys_into_prefixes(bucket: Desk) -> None:
    for key in ("a", "dir/1", "dir/2", "z"):
        bucket("PUT", f"/photos/{key}", b"x")
    page = bucket("GET", "/photos/?delimiter=%2F")
    text = page.body.decode()
    assert text.count("<Contents>") == 2
    assert "<CommonPrefixes><Prefix>dir/</Prefix></CommonPrefixes>" in text
    inside = bucket("GET", "/photos/?delimiter=%2F&prefix=dir%2F").body.decode()
    assert inside.count("<Contents>") == 2


def test_listing_version_2_goes_on_with_its_token(bucket: Desk) -> None:
    for key in "abc":
        bucket("PUT", f"/photos/{key}", b"x")
    page = bucket("GET", "/photos/?list-type=2&max-keys=2&fetch-owner=true")
    assert (page.element("KeyCount"), page.element("IsTruncated")) == ("2", "true")
    assert "<Owner>" in page.body.decode()
    token = page.element("NextContinuationToken")
    rest = bucket("GET", f"/photos/?list-type=2&continuation-token={token.replace('=', '%3D')}")
    assert (rest.element("Key"), rest.element("KeyCount")) == ("c", "1")
    assert "<Owner>" not in rest.body.decode()
    assert bucket("GET", "/photos/?list-type=2&start-after=b").element("Key") == "c"
    assert bucket("GET", "/photos/?list-type=2&continuation-token=%21").code == "InvalidArgument"


@pytest.mark.parametrize("query", ["max-keys=1001", "max-keys=-1", "max-keys=x", "encoding-type=rot13"])
def test_parameters_out_of_range_are_refused_by_name(bucket: Desk, query: str) -> None:
    answer = bucket("GET", f"/photos/?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.element("ArgumentName") == query.partition("=")[0]


def test_nothing_is_listed_where_no_key_is_asked_for(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    page = bucket("GET", "/photos/?max-keys=0")
    assert (page.status, page.element("IsTruncated")) == (200, "false")
    assert "<Contents>" not in page.body.decode()


def test_access_lists_of_objects(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    assert bucket("GET", "/photos/a?acl").element("Grant") == "default"
    assert bucket("PUT", "/photos/a?acl", **{"x-oss-object-acl": "public-read"}).status == 200
    assert bucket("GET", "/photos/a?acl").element("Grant") == "public-read"
    assert bucket("PUT", "/photos/a?acl", **{"x-oss-object-acl": "all"}).code == "InvalidArgument"
    assert bucket("PUT", "/photos/none?acl", **{"x-oss-object-acl": "private"}).code == "NoSuchKey"
    assert bucket("PUT", "/photos/a?acl").code == "MissingArgument"


OTHER = Credentials("other", "other-account-secret")
STRANGER = Credentials("nobody", "sk")


def tagging(*tags: tuple[str, str]) -> bytes:
    listed = "".join(f"<Tag><Key>{name}</Key><Value>{value}</Value></Tag>" for name, value in tags)
    return f"<Tagging><TagSet>{listed}</TagSet></Tagging>".encode()


def test_tags_are_replaced_read_and_removed(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-tagging": "old=1"})
    assert bucket("PUT", "/photos/a?tagging", tagging(("new", "2"))).status == 200
    assert "<Key>new</Key><Value>2</Value>" in bucket("GET", "/photos/a?tagging").body.decode()
    assert bucket("DELETE", "/photos/a?tagging").status == 204
    assert "<Tag>" not in bucket("GET", "/photos/a?tagging").body.decode()
    many = tagging(*((f"k{number}", "v") for number in range(11)))
    assert bucket("PUT", "/photos/a?tagging", many).code == "InvalidTag"
    assert bucket("PUT", "/photos/a?tagging", tagging(("k", "1"), ("k", "2"))).code == "InvalidTag"
    assert bucket("PUT", "/photos/?tagging", many).status == 200
    assert "<Key>k10</Key>" in bucket("GET", "/photos/?tagging").body.decode()
    assert bucket("DELETE", "/photos/?tagging").status == 204


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("resource", ["replication", "cname", "metaQuery", "accessPoint"])
def test_what_is_not_implemented_is_named_and_nothing_else_is_done(
    bucket: Desk, method: str, resource: str
) -> None:
    answer = bucket(method, f"/photos/?{resource}")
    assert (answer.status, answer.code) == (400, "NotImplemented")
    assert "comp=fly" in bucket("POST", "/photos/?comp=fly").element("Message")
    assert resource in answer.element("Message")
    assert bucket("GET", "/photos/?bucketInfo").status == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PATCH", "/photos/a"),
        ("POST", "/photos/a"),
        ("POST", "/photos/"),
        ("DELETE", "/photos/?stat"),
        ("DELETE", "/"),
        ("PUT", "/photos/a?objectMeta"),
    ],
)
def test_a_method_that_makes_no_sense_is_not_allowed(bucket: Desk, method: str, target: str) -> None:
    answer = bucket(method, target)
    assert (answer.status, answer.code) == (405, "MethodNotAllowed")
    assert bucket("GET", "/photos/?bucketInfo").status == 200


def test_processing_is_refused_by_name(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    answer = bucket("GET", "/photos/a?x-oss-process=image%2Fresize")
    assert (answer.status, answer.code) == (400, "NotImplemented")


@pytest.mark.parametrize("path", ["/photos/%zz", "/photos/%ff"])
def test_paths_that_are_not_encoded_utf_8_are_refused(bucket: Desk, path: str) -> None:
    request = Request("GET", path, "", {"host": "127.0.0.1"})
    answer = read(bucket.app.handle(request))
    assert (answer.status, answer.code) == (400, "InvalidObjectName")


def test_what_nobody_foresaw_is_answered_with_500(
    bucket: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(bucket.service.store, "head_object", broken)
    answer = bucket("HEAD", "/photos/a")
    assert answer.status == 500
    assert b"InternalError" in base64.b64decode(answer.headers["x-oss-err"])
    assert "a bug" in caplog.text


def test_an_access_list_makes_its_bucket(desk: Desk) -> None:
    assert desk("PUT", "/fresh/?acl", keys=STRANGER, **{"x-oss-acl": "private"}).code == "InvalidAccessKeyId"
    assert desk("PUT", "/fresh/?acl", keys=None, **{"x-oss-acl": "private"}).code == "AccessDenied"
    assert desk("GET", "/fresh/?acl").code == "NoSuchBucket"
    assert desk("PUT", "/fresh/?acl", **{"x-oss-acl": "public-read"}).status == 200
    assert desk("GET", "/fresh/?acl").element("Grant") == "public-read"
    assert desk("PUT", "/fresh/?acl", keys=OTHER, **{"x-oss-acl": "private"}).code == "AccessDenied"


def test_buckets_are_listed_by_all_of_several_tags(desk: Desk) -> None:
    for name, tags in (("one", [("env", "t")]), ("two", [("env", "t"), ("team", "d")]), ("three", [])):
        assert desk("PUT", f"/{name}/").status == 200
        if tags:
            assert desk("PUT", f"/{name}/?tagging", tagging(*tags)).status == 200
    found = desk("GET", "/?tagging=%22env%22%3A%22t%22%2C%22team%22%3A%22d%22").body.decode()
    assert "<Name>two</Name>" in found
    assert found.count("<Name>") == 1
    assert desk("GET", "/?tagging=%22env%22%3A%22t%22").body.count(b"<Name>") == 2
    assert desk("GET", "/?tagging=env").code == "InvalidArgument"


def test_a_bucket_that_holds_nothing_was_never_counted(bucket: Desk) -> None:
    assert bucket("GET", "/photos/?stat").element("LastModifiedTime") == "0"
    bucket("PUT", "/photos/a", b"x")
    assert bucket("GET", "/photos/?stat").element("LastModifiedTime") == str(int(bucket.clock[0]))
