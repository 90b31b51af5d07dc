"""Who may ask: signatures of both versions, clocks, regions, access lists."""

from __future__ import annotations

import base64

import pytest
from server_desk import KEYS, NOW, Desk

from penstock.errors import CredentialsMissing, InvalidInput
from penstock.protocol.percent import format_query
from penstock.protocol.signature_v1 import presigned_query_v1
from penstock.protocol.signing import Credentials
from penstock.server.guard.keys import DEVELOPMENT_SECRET, check_keys, decide_keys, is_loopback

STRANGER = Credentials("nobody", "sk")
WRONG_SECRET = Credentials("ak", "not the secret")


@pytest.mark.parametrize("v1", [False, True])
def test_every_user_may_ask_with_either_version(bucket: Desk, v1: bool) -> None:
    assert bucket("PUT", "/photos/a", b"x", v1=v1).status == 200
    assert bucket("GET", "/photos/a", v1=v1, keys=Credentials("second", "other-secret")).status == 200
    assert bucket("GET", "/photos/?prefix=a&max-keys=5", v1=v1).status == 200


@pytest.mark.parametrize("v1", [False, True])
def test_an_unknown_access_key_is_told_so(bucket: Desk, v1: bool) -> None:
    answer = bucket("GET", "/photos/a", v1=v1, keys=STRANGER)
    assert (answer.status, answer.code) == (403, "InvalidAccessKeyId")
    assert answer.element("EC") == "0002-00000902"


@pytest.mark.parametrize("v1", [False, True])
def test_a_missing_bucket_comes_before_the_unknown_access_key(desk: Desk, v1: bool) -> None:
    answer = desk("GET", "/nowhere/a", v1=v1, keys=STRANGER)
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("v1", [False, True])
def test_a_wrong_secret_is_shown_what_was_to_be_signed(bucket: Desk, v1: bool) -> None:
    answer = bucket("PUT", "/photos/a", b"x", v1=v1, keys=WRONG_SECRET)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert answer.element("StringToSign")
    assert "not the secret" not in answer.body.decode()
    assert bucket("HEAD", "/photos/a").status == 404


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("off_by", [-16 * 60, 16 * 60])
def test_a_clock_that_is_off_is_told_the_time(bucket: Desk, v1: bool, off_by: int) -> None:
    answer = bucket("GET", "/photos/", v1=v1, signed_at=NOW + off_by)
    assert (answer.status, answer.code) == (403, "RequestTimeTooSkewed")
    assert answer.element("ServerTime").startswith("2026-11-22T")
    assert bucket("GET", "/photos/", v1=v1, signed_at=NOW + off_by * 14 // 16).status == 200


def test_another_region_is_refused_and_the_right_one_named(bucket: Desk) -> None:
    answer = bucket("GET", "/photos/", region="cn-beijing")
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert answer.element("Region") == "cn-hangzhou"


def test_a_signed_url_is_good_until_it_expires(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    url = bucket.presigned("GET", "photos", "a", expires_s=60)
    assert bucket("GET", url, keys=None).body == b"x"
    assert bucket("PUT", url, b"y", keys=None).code == "SignatureDoesNotMatch"
    bucket.clock[0] += 61
    expired = bucket("GET", url, keys=None)
    assert (expired.status, expired.code) == (403, "AccessDenied")
    assert expired.element("Message") == "Request has expired."


def test_a_signed_url_of_version_1_is_good_until_it_expires(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    signed = presigned_query_v1(
        method="GET",
        bucket="photos",
        key="a",
        query=[],
        headers={},
        credentials=KEYS,
        expires_at=NOW + 60,
    )
    url = f"/photos/a?{format_query(signed)}"
    assert bucket("GET", url, keys=None).body == b"x"
    bucket.clock[0] += 61
    assert bucket("GET", url, keys=None).code == "AccessDenied"


def test_a_signed_url_carries_its_speed_limit_and_callback_in_the_query(bucket: Desk) -> None:
    url = bucket.presigned("PUT", "photos", "a", **{"x-oss-traffic-limit": "1"})
    assert bucket("PUT", url, b"x", keys=None).code == "InvalidArgument"
    callback = base64.b64encode(b"not json").decode()
    url = bucket.presigned("PUT", "photos", "a", callback=callback)
    assert bucket("PUT", url, b"x", keys=None).code == "InvalidArgument"


def test_header_and_url_cannot_both_be_signed(bucket: Desk) -> None:
    url = bucket.presigned("GET", "photos", "a")
    assert bucket("GET", url, authorization="OSS ak:abc", keys=None).code == "InvalidArgument"


def test_a_token_that_was_never_issued_is_refused(bucket: Desk) -> None:
    answer = bucket("GET", "/photos/", keys=Credentials("ak", "sk", "a-token"))
    assert (answer.status, answer.code) == (403, "InvalidSecurityToken")


def test_who_does_not_sign_may_do_nothing_in_a_private_bucket(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    for method, target in (("GET", "/photos/a"), ("PUT", "/photos/b"), ("GET", "/photos/"), ("GET", "/")):
        answer = bucket(method, target, keys=None)
        assert (answer.status, answer.code) == (403, "AccessDenied"), (method, target)


def test_who_does_not_sign_may_read_what_is_public(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    assert bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"}).status == 200
    assert bucket("GET", "/photos/a", keys=None).body == b"x"
    assert bucket("GET", "/photos/", keys=None).status == 200
    assert bucket("PUT", "/photos/b", b"x", keys=None).code == "AccessDenied"
    assert bucket("DELETE", "/photos/a", keys=None).code == "AccessDenied"
    assert bucket("PUT", "/photos/?acl", keys=None, **{"x-oss-acl": "private"}).code == "AccessDenied"


def test_who_does_not_sign_may_write_where_everybody_may(bucket: Desk) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"})
    assert bucket("PUT", "/photos/b", b"x", keys=None).status == 200
    assert bucket("DELETE", "/photos/b", keys=None).status == 204
    assert bucket("DELETE", "/photos/", keys=None).code == "AccessDenied"


def test_the_objects_own_access_list_goes_before_the_buckets(bucket: Desk) -> None:
    bucket("PUT", "/photos/open", b"x", **{"x-oss-object-acl": "public-read"})
    assert bucket("GET", "/photos/open", keys=None).body == b"x"
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read"})
    bucket("PUT", "/photos/closed", b"x", **{"x-oss-object-acl": "private"})
    assert bucket("GET", "/photos/closed", keys=None).code == "AccessDenied"


def test_keys_come_from_the_environment_else_for_loopback_only() -> None:
    own = decide_keys({"OSS_ACCESS_KEY_ID": "a", "OSS_ACCESS_KEY_SECRET": "b"}, "0.0.0.0")
    assert (dict(own.users), own.development) == ({"a": "b"}, False)
    assert decide_keys({}, "127.0.0.1").development
    with pytest.raises(CredentialsMissing):
        decide_keys({"OSS_ACCESS_KEY_ID": "a"}, "127.0.0.1")
    with pytest.raises(CredentialsMissing):
        decide_keys({}, "0.0.0.0")
    with pytest.raises(InvalidInput):
        check_keys({"penstock": DEVELOPMENT_SECRET}, "192.168.1.4")
    with pytest.raises(InvalidInput):
        check_keys({}, "127.0.0.1")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("example.com", False)],
)
def test_loopback_is_recognised(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback
