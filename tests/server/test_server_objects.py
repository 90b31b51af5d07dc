"""Objects: made, read, conditions, ranges, append, copy, delete, symbolic links."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_desk import NOW, USERS, Desk, read

from penstock.errors import ServiceError
from penstock.protocol.crc64 import crc64
from penstock.protocol.dates import to_http
from penstock.server.app import App
from penstock.server.guard.gate import Gate
from penstock.server.handlers.ranges import wanted_range


def md5_64(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def test_put_answers_with_etag_md5_and_crc_of_the_bytes(bucket: Desk) -> None:
    answer = bucket("PUT", "/photos/a.txt", b"hello")
    assert answer.status == 200
    assert answer.headers["etag"] == f'"{hashlib.md5(b"hello").hexdigest().upper()}"'
    assert answer.headers["content-md5"] == md5_64(b"hello")
    assert answer.headers["x-oss-hash-crc64ecma"] == str(crc64(b"hello"))
    request_id = answer.headers["x-oss-request-id"]
    assert len(request_id) == 24
    assert request_id == request_id.upper()


def test_get_gives_back_bytes_type_and_metadata_in_lower_case(bucket: Desk) -> None:
    bucket(
        "PUT",
        "/photos/a.txt",
        b"hello",
        content_type="text/plain",
        cache_control="no-store",
        **{"x-oss-meta-colour": "blau"},
    )
    answer = bucket("GET", "/photos/a.txt")
    assert (answer.status, answer.body) == (200, b"hello")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-oss-meta-colour"] == "blau"
    assert answer.headers["x-oss-object-type"] == "Normal"
    assert answer.headers["x-oss-storage-class"] == "Standard"


def test_head_has_the_length_and_no_body(bucket: Desk) -> None:
    bucket("PUT", "/photos/a.txt", b"hello")
    answer = bucket("HEAD", "/photos/a.txt")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "5"
    meta = bucket("HEAD", "/photos/a.txt?objectMeta")
    assert meta.headers["content-length"] == "5"
    assert "x-oss-object-type" not in meta.headers


def test_an_error_of_head_travels_in_a_header(bucket: Desk) -> None:
    answer = bucket("HEAD", "/photos/nothing")
    assert (answer.status, answer.body) == (404, b"")
    assert b"<Code>NoSuchKey</Code>" in base64.b64decode(answer.headers["x-oss-err"])


def test_a_missing_key_is_named_in_the_error(bucket: Desk) -> None:
    answer = bucket("GET", "/photos/nothing")
    assert (answer.status, answer.code) == (404, "NoSuchKey")
    assert answer.element("Key") == "nothing"
    assert answer.element("EC") == "0026-00000001"
    assert answer.element("RequestId") == answer.headers["x-oss-request-id"]


def test_a_missing_bucket_is_told_before_the_access_key_is_looked_at(desk: Desk) -> None:
    answer = desk("GET", "/nowhere/key")
    assert (answer.status, answer.code) == (404, "NoSuchBucket")
    assert answer.element("EC") == "0015-00000101"


@pytest.mark.parametrize("key", ["a b", "a%2Fb", "%2Bplus", "a+b", "%E4%B8%AD%E6%96%87", "100%25"])
def test_keys_come_back_as_they_were_meant(bucket: Desk, key: str) -> None:
    assert bucket("PUT", f"/photos/{key.replace(' ', '%20')}", b"x").status == 200
    listed = bucket("GET", "/photos/?encoding-type=url").body.decode()
    meant = {
        "a b": "a%20b",
        "a%2Fb": "a%2Fb",
        "%2Bplus": "%2Bplus",
        "a+b": "a%20b",
        "%E4%B8%AD%E6%96%87": "%E4%B8%AD%E6%96%87",
        "100%25": "100%25",
    }
    assert f"<Key>{meant[key]}</Key>" in listed


def test_a_wrong_content_md5_stores_nothing(bucket: Desk) -> None:
    answer = bucket("PUT", "/photos/a", b"hello", **{"content-md5": md5_64(b"other")})
    assert (answer.status, answer.code) == (400, "InvalidDigest")
    assert bucket("HEAD", "/photos/a").status == 404
    assert bucket("PUT", "/photos/a", b"hello", **{"content-md5": md5_64(b"hello")}).status == 200


def test_a_wrong_crc_stores_nothing(bucket: Desk) -> None:
    answer = bucket("PUT", "/photos/a", b"hello", **{"x-oss-hash-crc64ecma": "1"})
    assert (answer.status, answer.code) == (400, "InvalidCRC64")
    assert bucket("HEAD", "/photos/a").status == 404


def test_a_put_that_says_nothing_of_its_length_is_refused(bucket: Desk) -> None:
    request = bucket.request("PUT", "/photos/a")
    headers = {name: value for name, value in request.headers.items() if name != "content-length"}
    answer = read(
        bucket.app.handle(type(request)("PUT", "/photos/a", "", headers, 0, received_at_s=float(NOW)))
    )
    assert (answer.status, answer.code) == (411, "MissingContentLength")


def test_a_body_beyond_five_gib_is_refused_before_it_is_sent(bucket: Desk) -> None:
    exchange = bucket.app.open(bucket.request("PUT", "/photos/a", 5 * 1024**3 + 1))
    assert exchange.response is not None
    assert read(exchange.response).code == "EntityTooLarge"
    exchange.close()


def test_a_body_that_ends_early_commits_nothing(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"old")
    exchange = bucket.app.open(bucket.request("PUT", "/photos/a", 100_000))
    exchange.receive([b"x" * 70_000])
    assert read(exchange.cut_short(stalled=False)).code == "IncompleteBody"
    exchange.close()
    assert bucket("GET", "/photos/a").body == b"old"


def test_forbid_overwrite_keeps_what_is_there(bucket: Desk) -> None:
    forbid = {"x-oss-forbid-overwrite": "true"}
    assert bucket("PUT", "/photos/a", b"1", **forbid).status == 200
    answer = bucket("PUT", "/photos/a", b"2", **forbid)
    assert (answer.status, answer.code) == (409, "FileAlreadyExists")
    assert bucket("GET", "/photos/a").body == b"1"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x-oss-object-acl": "everyone"}, "InvalidArgument"),
        ({"x-oss-storage-class": "Cheap"}, "InvalidStorageClass"),
        ({"x-oss-tagging": "&".join(f"k{n}=v" for n in range(11))}, "InvalidTag"),
        ({"x-oss-tagging": "a=b%40"}, "InvalidTag"),
        ({"x-oss-meta-big": "x" * 9000}, "InvalidArgument"),
        ({"x-oss-server-side-encryption": "ROT13"}, "InvalidEncryptionAlgorithmError"),
        ({"x-oss-traffic-limit": "1"}, "InvalidArgument"),
        ({"x-oss-callback": "nonsense"}, "InvalidArgument"),
    ],
)
def test_what_oss_does_not_know_is_refused_before_anything_is_stored(
    bucket: Desk, headers: Mapping[str, str], code: str
) -> None:
    answer = bucket("PUT", "/photos/a", b"x", **headers)
    assert (answer.status, answer.code) == (400, code)
    assert bucket("HEAD", "/photos/a").status == 404


@pytest.mark.parametrize("key", ["%5Cfirst", "%2Ffirst", "x" * 1024])
def test_keys_that_oss_does_not_allow_are_refused(bucket: Desk, key: str) -> None:
    assert bucket("PUT", f"/photos/{key}", b"x").code == "InvalidObjectName"


# -- conditions


def test_conditions_by_etag(bucket: Desk) -> None:
    etag = bucket("PUT", "/photos/a", b"x").headers["etag"]
    assert bucket("GET", "/photos/a", **{"if-match": etag}).status == 200
    assert bucket("GET", "/photos/a", **{"if-match": '"other"'}).status == 412
    unchanged = bucket("GET", "/photos/a", **{"if-none-match": etag})
    assert (unchanged.status, unchanged.body) == (304, b"")
    assert bucket("HEAD", "/photos/a", **{"if-none-match": etag}).status == 304
    assert bucket("GET", "/photos/a", **{"if-none-match": '"other"'}).status == 200


def test_conditions_by_time(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    modified = bucket("HEAD", "/photos/a").headers["last-modified"]
    earlier, later = to_http(1_000_000_000), to_http(4_000_000_000)
    assert bucket("GET", "/photos/a", **{"if-modified-since": modified}).status == 304
    assert bucket("GET", "/photos/a", **{"if-modified-since": earlier}).status == 200
    assert bucket("GET", "/photos/a", **{"if-unmodified-since": earlier}).status == 412
    assert bucket("GET", "/photos/a", **{"if-unmodified-since": later}).status == 200


# -- ranges


@pytest.mark.parametrize(
    ("text", "status", "body", "content_range"),
    [
        ("bytes=0-0", 206, b"0", "bytes 0-0/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-10", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-9", 206, b"56789", "bytes 5-9/10"),
        ("bytes=0-1,4-5", 206, b"01", "bytes 0-1/10"),
        ("bytes=5-10", 200, b"0123456789", None),
        ("bytes=5-2000", 200, b"0123456789", None),
        ("bytes=-11", 200, b"0123456789", None),
        ("bytes=-0", 200, b"0123456789", None),
        ("bytes=10-", 200, b"0123456789", None),
        ("bytes=10-20", 200, b"0123456789", None),
        ("bytes=10-20,0-1", 200, b"0123456789", None),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_ranges(bucket: Desk, text: str, status: int, body: bytes, content_range: str | None) -> None:
    bucket("PUT", "/photos/a", b"0123456789")
    answer = bucket("GET", "/photos/a", range=text)
    assert (answer.status, answer.body) == (status, body)
    assert answer.headers.get("content-range") == content_range
    assert answer.headers["content-length"] == str(len(body))


@pytest.mark.parametrize(
    ("text", "status", "body"),
    [
        ("bytes=5-9", 206, b"56789"),
        ("bytes=5-2000", 206, b"56789"),
        ("bytes=5-", 206, b"56789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=-2000", 206, b"0123456789"),
        ("bytes=4-2", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=10-20", 416, b""),
        ("bytes=10-", 416, b""),
        ("bytes=-0", 416, b""),
        ("bytes=0-1,4-5", 416, b""),
    ],
)
def test_ranges_are_those_of_http_where_the_standard_is_asked_for(
    bucket: Desk, text: str, status: int, body: bytes
) -> None:
    bucket("PUT", "/photos/a", b"0123456789")
    answer = bucket("GET", "/photos/a", range=text, **{"x-oss-range-behavior": "standard"})
    assert answer.status == status
    assert answer.code == "InvalidRange" if status == 416 else answer.body == body


@given(st.integers(0, 200), st.integers(0, 300), st.integers(0, 300))
def test_every_range_is_what_slicing_gives(size: int, first: int, last: int) -> None:
    data = bytes(index % 256 for index in range(size))

    def cut(text: str, *, strict: bool) -> bytes | None:
        try:
            found = wanted_range(text, size, strict=strict)
        except ServiceError:
            return b"" if strict else None
        assert found is None or found.length > 0
        return None if found is None else data[found.offset : found.offset + found.length]

    middle, tail = f"bytes={first}-{last}", f"bytes=-{last}"
    assert cut(middle, strict=True) == (None if last < first < size else data[first : last + 1])
    assert cut(middle, strict=False) == (data[first : last + 1] if first <= last < size else None)
    assert cut(tail, strict=True) == (data[-last:] if last else b"")
    assert cut(tail, strict=False) == (data[-last:] if 0 < last <= size else None)


def test_the_answers_headers_can_be_chosen_in_signed_requests(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    target = "/photos/a?response-content-type=text%2Fcsv&response-content-disposition=attachment"
    answer = bucket("GET", target)
    assert answer.headers["content-type"] == "text/csv"
    assert answer.headers["content-disposition"] == "attachment"
    assert bucket("GET", target, keys=None).status == 400
    injected = bucket("GET", "/photos/a?response-content-type=a%0D%0Ax-oss-evil%3A1")
    assert (injected.status, injected.code) == (400, "InvalidArgument")


# -- append


def test_append_goes_on_where_it_ended(bucket: Desk) -> None:
    first = bucket("POST", "/photos/log?append&position=0", b"abc")
    assert first.headers["x-oss-next-append-position"] == "3"
    second = bucket("POST", "/photos/log?append=&position=3", b"def")
    assert second.headers["x-oss-next-append-position"] == "6"
    assert second.headers["x-oss-hash-crc64ecma"] == str(crc64(b"abcdef"))
    head = bucket("HEAD", "/photos/log")
    assert head.headers["x-oss-object-type"] == "Appendable"
    assert head.headers["x-oss-next-append-position"] == "6"
    assert bucket("GET", "/photos/log").body == b"abcdef"


def test_append_elsewhere_is_told_the_right_position(bucket: Desk) -> None:
    bucket("POST", "/photos/log?append&position=0", b"abc")
    answer = bucket("POST", "/photos/log?append&position=1", b"x")
    assert (answer.status, answer.code) == (409, "PositionNotEqualToLength")
    assert answer.headers["x-oss-next-append-position"] == "3"


def test_append_needs_a_position_and_an_appendable_object(bucket: Desk) -> None:
    missing = bucket("POST", "/photos/log?append", b"x")
    assert (missing.status, missing.code) == (400, "MissingArgument")
    assert bucket("POST", "/photos/log?append&position=-1", b"x").code == "InvalidArgument"
    bucket("PUT", "/photos/plain", b"x")
    answer = bucket("POST", "/photos/plain?append&position=1", b"x")
    assert (answer.status, answer.code) == (409, "ObjectNotAppendable")


# -- copy


def test_copy_keeps_or_replaces_what_is_said_of_the_object(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", content_type="text/plain", **{"x-oss-tagging": "k=v"})
    source = {"x-oss-copy-source": "/photos/a"}
    answer = bucket("PUT", "/photos/b", **source, **{"x-oss-meta-new": "1"})
    assert answer.status == 200
    assert "<CopyObjectResult>" in answer.body.decode()
    kept = bucket("HEAD", "/photos/b").headers
    assert kept["content-type"] == "text/plain"
    assert kept["x-oss-tagging-count"] == "1"
    assert "x-oss-meta-new" not in kept
    replace = {"x-oss-metadata-directive": "REPLACE", "x-oss-tagging-directive": "Replace"}
    bucket("PUT", "/photos/c", **source, **replace, **{"x-oss-meta-new": "1"})
    replaced = bucket("HEAD", "/photos/c").headers
    assert replaced["content-type"] == "text/plain"
    assert replaced["x-oss-meta-new"] == "1"
    assert "x-oss-tagging-count" not in replaced
    assert bucket("GET", "/photos/c").body == b"x"


def test_a_copy_onto_itself_changes_the_metadata(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-meta-old": "1"})
    bucket("PUT", "/photos/a", **{"x-oss-copy-source": "/photos/a", "x-oss-meta-new": "2"})
    headers = bucket("HEAD", "/photos/a").headers
    assert "x-oss-meta-old" not in headers
    assert headers["x-oss-meta-new"] == "2"


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("/photos/put%2Fa%20b", "put%2Fa%20b"),
        ("/photos/put/a%20b", "put%2Fa%20b"),
        ("/photos/put%2Fa+b%2Bc", "put%2Fa%20b%2Bc"),
        ("/photos/put/中 文", "put%2F%E4%B8%AD%20%E6%96%87"),
    ],
)
def test_copy_sources_are_read_in_every_spelling_that_clients_use(
    bucket: Desk, source: str, key: str
) -> None:
    bucket("PUT", f"/photos/{key}", b"this one")
    assert bucket("PUT", "/photos/copy", **{"x-oss-copy-source": source}).status == 200
    assert bucket("GET", "/photos/copy").body == b"this one"


def test_conditions_on_the_source_of_a_copy(bucket: Desk) -> None:
    etag = bucket("PUT", "/photos/a", b"x").headers["etag"]
    source = {"x-oss-copy-source": "/photos/a"}
    assert bucket("PUT", "/photos/b", **source, **{"x-oss-copy-source-if-match": etag}).status == 200
    refused = bucket("PUT", "/photos/c", **source, **{"x-oss-copy-source-if-match": '"other"'})
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert bucket("PUT", "/photos/c", **source, **{"x-oss-copy-source-if-none-match": etag}).status == 304
    assert bucket("HEAD", "/photos/c").status == 404
    assert bucket("PUT", "/photos/c", **{"x-oss-copy-source": "/photos/none"}).code == "NoSuchKey"


# -- delete


def test_deleting_what_is_not_there_is_a_success(bucket: Desk) -> None:
    assert bucket("DELETE", "/photos/none").status == 204


def delete_many(desk: Desk, document: str, query: str = "") -> tuple[int, str]:
    body = document.encode()
    answer = desk("POST", f"/photos/?delete{query}", body, **{"content-md5": md5_64(body)})
    return answer.status, answer.body.decode()


def test_many_objects_are_deleted_at_once_and_named_unless_quiet(bucket: Desk) -> None:
    for key in ("a", "b", "c"):
        bucket("PUT", f"/photos/{key}", b"x")
    document = (
        "<Delete><Quiet>{}</Quiet><Object><Key>{}</Key></Object><Object><Key>none</Key></Object></Delete>"
    )
    status, body = delete_many(bucket, document.format("false", "a"))
    assert status == 200
    assert "<Deleted><Key>a</Key></Deleted><Deleted><Key>none</Key></Deleted>" in body
    assert "<Deleted>" not in delete_many(bucket, document.format("true", "b"))[1]
    assert bucket("HEAD", "/photos/b").status == 404
    assert bucket("HEAD", "/photos/c").status == 200


def test_keys_with_control_characters_can_be_deleted(bucket: Desk) -> None:
    bucket("PUT", "/photos/a%01b", b"x")
    document = "<Delete><Object><Key>a&#01;b</Key></Object></Delete>"
    status, body = delete_many(bucket, document, "&encoding-type=url")
    assert status == 200
    assert "<Key>a%01b</Key>" in body
    assert bucket("HEAD", "/photos/a%01b").status == 404


def test_deletion_lists_must_be_whole(bucket: Desk) -> None:
    assert "MalformedXML" in delete_many(bucket, "<Delete>")[1]
    assert "MalformedXML" in delete_many(bucket, "<Delete></Delete>")[1]
    many = "<Object><Key>k</Key></Object>" * 1001
    assert "MalformedXML" in delete_many(bucket, f"<Delete>{many}</Delete>")[1]
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    assert bucket("POST", "/photos/?delete", body).code == "MissingArgument"
    assert bucket("POST", "/photos/?delete", body, **{"content-md5": md5_64(b"")}).code == "InvalidDigest"


# -- symbolic links


def test_a_symbolic_link_is_followed_by_readers(bucket: Desk) -> None:
    bucket("PUT", "/photos/real", b"bytes", content_type="text/plain")
    made = bucket("PUT", "/photos/link?symlink", **{"x-oss-symlink-target": "real"})
    assert made.status == 200
    answer = bucket("GET", "/photos/link")
    assert answer.body == b"bytes"
    assert answer.headers["x-oss-object-type"] == "Symlink"
    assert bucket("GET", "/photos/link?symlink").headers["x-oss-symlink-target"] == "real"
    assert bucket("GET", "/photos/real?symlink").code == "NotSymlink"


def test_a_symbolic_link_to_nothing_or_to_a_link_cannot_be_read(bucket: Desk) -> None:
    bucket("PUT", "/photos/link?symlink", **{"x-oss-symlink-target": "none"})
    bucket("PUT", "/photos/again?symlink", **{"x-oss-symlink-target": "link"})
    assert bucket("GET", "/photos/link").code == "SymlinkTargetNotExist"
    assert bucket("GET", "/photos/again").code == "InvalidTargetType"


def test_an_archived_object_cannot_be_read(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-storage-class": "Archive"})
    answer = bucket("GET", "/photos/a")
    assert (answer.status, answer.code) == (403, "InvalidObjectState")
    assert bucket("HEAD", "/photos/a").headers["x-oss-storage-class"] == "Archive"


# -- callbacks


def callback_header(**fields: str) -> dict[str, str]:
    return {"x-oss-callback": base64.b64encode(json.dumps(fields).encode()).decode()}


def with_post(desk: Desk, post: object) -> Desk:
    from dataclasses import replace

    service = replace(desk.service, post=post)  # type: ignore[arg-type]
    return Desk(App(service, Gate(USERS), ()), service, desk.clock)


def test_a_callback_gets_the_facts_and_its_answer_is_handed_on(bucket: Desk) -> None:
    posted = []

    def post(url: str, headers: Mapping[str, str], body: bytes, left_s: float) -> tuple[int, bytes]:
        posted.append((url, headers["Content-Type"], body))
        return 200, b'{"ok":true}'

    header = callback_header(
        callbackUrl="http://app.test/done",
        callbackBody="o=${object}&s=${size}&u=${x:user}",
        callbackBodyType="application/x-www-form-urlencoded",
    )
    own = base64.b64encode(json.dumps({"x:user": "a b", "overlooked": 1}).encode()).decode()
    answer = with_post(bucket, post)(
        "PUT", "/photos/k%20y", b"12345", **header, **{"x-oss-callback-var": own}
    )
    assert (answer.status, answer.body) == (200, b'{"ok":true}')
    assert answer.headers["content-type"] == "application/json"
    assert posted == [("http://app.test/done", "application/x-www-form-urlencoded", b"o=k%20y&s=5&u=a%20b")]


@pytest.mark.parametrize("outcome", [(301, b""), (200, b"not json"), None])
def test_a_failed_callback_is_told_and_the_object_stays(
    bucket: Desk, outcome: tuple[int, bytes] | None
) -> None:
    def post(url: str, headers: Mapping[str, str], body: bytes, left_s: float) -> tuple[int, bytes]:
        if outcome is None:
            raise TimeoutError("no answer")
        return outcome

    header = callback_header(callbackUrl="http://app.test/done", callbackBody="x")
    answer = with_post(bucket, post)("PUT", "/photos/a", b"x", **header)
    assert (answer.status, answer.code) == (203, "CallbackFailed")
    assert answer.element("EC") == "0007-00000203"
    assert bucket("GET", "/photos/a").body == b"x"


@pytest.mark.parametrize(
    ("fields", "own"),
    [
        ({"callbackBody": "a\ud800"}, {}),
        ({"callbackHost": "\udfff"}, {}),
        ({"callbackUrl": "http://app.test/\ud800"}, {}),
        ({"callbackUrl": "http://[::1"}, {}),
        ({"callbackUrl": "http://app.test/;http://a]b/"}, {}),
        ({}, {"x:user": "\ud800"}),
        ({}, {"x:user": {"deep": ["\ud800"]}}),
    ],
)
def test_a_callback_that_could_never_be_sent_is_refused_before_anything_is_stored(
    bucket: Desk, fields: dict[str, str], own: dict[str, object]
) -> None:
    header = callback_header(**{"callbackUrl": "http://app.test/", "callbackBody": "${x:user}", **fields})
    header["x-oss-callback-var"] = base64.b64encode(json.dumps(own).encode()).decode()
    answer = with_post(bucket, lambda *_: (200, b"{}"))("PUT", "/photos/a", b"x", **header)
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert bucket("HEAD", "/photos/a").status == 404


def test_a_copy_keeps_what_its_bytes_cannot_be_read_without(bucket: Desk) -> None:
    key = "x-oss-meta-client-side-encryption-key"
    bucket("PUT", "/photos/a", b"x", **{key: "wrapped", "x-oss-meta-old": "1"})
    replace = {"x-oss-copy-source": "/photos/a", "x-oss-metadata-directive": "replace"}
    bucket("PUT", "/photos/b", **replace, **{"x-oss-meta-new": "2"})
    head = bucket("HEAD", "/photos/b").headers
    assert (head[key], head["x-oss-meta-new"]) == ("wrapped", "2")
    assert "x-oss-meta-old" not in head
    bucket("PUT", "/photos/c", **replace, **{key: "wrapped again"})
    assert bucket("HEAD", "/photos/c").headers[key] == "wrapped again"


def test_a_symbolic_link_is_removed_by_its_name(bucket: Desk) -> None:
    assert bucket("PUT", "/photos/link?symlink", **{"x-oss-symlink-target": "t"}).status == 200
    assert bucket("DELETE", "/photos/link?symlink").status == 204
    assert bucket("GET", "/photos/link?symlink").code == "NoSuchKey"
