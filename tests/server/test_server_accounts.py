"""Several users and accounts, restricted users, and temporary keys."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from server_desk import KEYS, NOW, Answer, Credentials, Desk, read

from penstock.protocol import dates
from penstock.server.app import App
from penstock.server.call import Service
from penstock.server.guard.accounts import User
from penstock.server.guard.gate import Gate
from penstock.server.guard.policy import read_policy
from penstock.server.guard.sts import signature
from penstock.server.http.request import Request
from penstock.server.store import LocalStore

OTHER = Credentials("other", "other-account-secret")
ACCOUNT = "1000000000000001"


def policy(**statement: object) -> str:
    return json.dumps({"Version": "1", "Statement": [{"Effect": "Allow", **statement}]})


def assume(
    desk: Desk, *, secret: str = "sk", method: str = "GET", in_body: bool = False, **changes: str
) -> Answer:
    given = {
        "Action": "AssumeRole",
        "Version": "2015-04-01",
        "Format": "JSON",
        "AccessKeyId": "ak",
        "SignatureMethod": "HMAC-SHA1",
        "SignatureVersion": "1.0",
        "SignatureNonce": "1",
        "Timestamp": dates.to_iso(int(desk.clock[0])).replace(".000Z", "Z"),
        "RoleArn": f"acs:ram::{ACCOUNT}:role/uploader",
        "RoleSessionName": "session",
        "DurationSeconds": "900",
        **changes,
    }
    given["Signature"] = signature(method, given, secret)
    if not in_body:
        return read(desk.app.handle(Request(method, "/", urlencode(given), {"host": desk.host})))
    body = urlencode({name: value for name, value in given.items() if name != "Action"}).encode()
    return post_form(desk, f"Action={given['Action']}", body)


def post_form(desk: Desk, query: str, body: bytes) -> Answer:
    headers = {"host": desk.host, "content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
    return read(desk.app.handle(Request("POST", "/", query, headers, len(body)), body))


def credentials(answer: Answer) -> Credentials:
    issued = json.loads(answer.body)["Credentials"]
    return Credentials(issued["AccessKeyId"], issued["AccessKeySecret"], issued["SecurityToken"])


def test_each_account_has_its_own_buckets(bucket: Desk) -> None:
    assert bucket("PUT", "/theirs/", keys=OTHER).status == 200
    assert "<Name>theirs" not in bucket("GET", "/").body.decode()
    assert "<Name>photos" not in bucket("GET", "/", keys=OTHER).body.decode()
    assert bucket("GET", "/theirs/?bucketInfo", keys=OTHER).element("ID") == "2000000000000002"
    taken = bucket("PUT", "/photos/", keys=OTHER)
    assert (taken.status, taken.code) == (409, "BucketAlreadyExists")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/photos/a"),
        ("PUT", "/photos/a"),
        ("DELETE", "/photos/a"),
        ("GET", "/photos/"),
        ("DELETE", "/photos/"),
        ("GET", "/photos/?bucketInfo"),
        ("PUT", "/photos/?acl"),
        ("GET", "/photos/?policy"),
        ("POST", "/photos/a?uploads"),
    ],
)
def test_another_account_may_not_do_what_nobody_allowed(bucket: Desk, method: str, target: str) -> None:
    bucket("PUT", "/photos/a", b"x")
    answer = bucket(method, target, keys=OTHER, **{"x-oss-acl": "private"})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert bucket("GET", "/photos/a").body == b"x"


def test_access_lists_open_to_other_accounts_too(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    assert bucket("GET", "/photos/a", keys=OTHER).body == b"x"
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"})
    assert bucket("PUT", "/photos/b", b"y", keys=OTHER).status == 200
    assert bucket("PUT", "/photos/a", b"y", keys=OTHER).status == 403


def test_a_source_that_may_not_be_read_is_not_copied(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"secret")
    bucket("PUT", "/theirs/", keys=OTHER)
    copied = bucket("PUT", "/theirs/a", keys=OTHER, **{"x-oss-copy-source": "/photos/a"})
    assert (copied.status, copied.code) == (403, "AccessDenied")
    upload = bucket("POST", "/theirs/a?uploads", keys=OTHER).element("UploadId")
    part = bucket(
        "PUT", f"/theirs/a?partNumber=1&uploadId={upload}", keys=OTHER, **{"x-oss-copy-source": "/photos/a"}
    )
    assert part.code == "AccessDenied"


def test_a_policy_may_name_an_account(bucket: Desk) -> None:
    bucket("PUT", "/photos/a", b"x")
    text = policy(Action="oss:GetObject", Resource="acs:oss:*:*:photos/*", Principal=["2000000000000002"])
    bucket("PUT", "/photos/?policy", text.encode())
    assert bucket("GET", "/photos/a", keys=OTHER).body == b"x"
    assert bucket("PUT", "/photos/a", b"y", keys=OTHER).status == 403
    assert bucket("GET", "/photos/a", keys=None).status == 403
    assert bucket("GET", "/photos/?policyStatus").element("IsPublic") == "false"


def test_temporary_keys_work_until_they_expire(bucket: Desk) -> None:
    keys = credentials(assume(bucket))
    for v1 in (False, True):
        assert bucket("PUT", "/photos/a", b"x", keys=keys, v1=v1).status == 200
    forged = Credentials(keys.access_key_id, keys.access_key_secret, "another")
    assert bucket("GET", "/photos/a", keys=forged).code == "InvalidSecurityToken"
    bare = Credentials(keys.access_key_id, keys.access_key_secret)
    assert bucket("GET", "/photos/a", keys=bare).code == "InvalidAccessKeyId"
    wrong = Credentials(keys.access_key_id, "guessed", keys.security_token)
    assert bucket("GET", "/photos/a", keys=wrong).code == "SignatureDoesNotMatch"
    bucket.clock[0] += 901
    expired = bucket("GET", "/photos/a", keys=keys)
    assert (expired.status, expired.code) == (403, "SecurityTokenExpired")


def test_a_token_with_keys_that_stay_is_refused(bucket: Desk) -> None:
    keys = Credentials(KEYS.access_key_id, KEYS.access_key_secret, "token")
    assert bucket("GET", "/photos/", keys=keys).code == "InvalidSecurityToken"


def test_temporary_keys_may_do_no_more_than_their_policy(bucket: Desk) -> None:
    text = policy(Action=["oss:PutObject"], Resource=["acs:oss:*:*:photos/user/*"])
    keys = credentials(assume(bucket, Policy=text))
    assert bucket("PUT", "/photos/user/a", b"x", keys=keys).status == 200
    assert bucket("PUT", "/photos/other", b"x", keys=keys).code == "AccessDenied"
    assert bucket("GET", "/photos/user/a", keys=keys).code == "AccessDenied"
    assert bucket("GET", "/", keys=keys).code == "AccessDenied"
    assert bucket("PUT", "/mine/", keys=keys).code == "AccessDenied"
    copied = bucket("PUT", "/photos/user/b", keys=keys, **{"x-oss-copy-source": "/photos/user/a"})
    assert copied.code == "AccessDenied"


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"AccessKeyId": "none"}, 404, "InvalidAccessKeyId.NotFound"),
        ({"secret": "wrong"}, 400, "SignatureDoesNotMatch"),
        ({"Timestamp": dates.to_iso(NOW - 3600)}, 400, "InvalidTimeStamp.Expired"),
        ({"Timestamp": "now"}, 400, "InvalidTimeStamp.Format"),
        ({"DurationSeconds": "10"}, 400, "InvalidParameter.DurationSeconds"),
        ({"DurationSeconds": "9" * 5000}, 400, "InvalidParameter.DurationSeconds"),
        ({"RoleArn": "role"}, 400, "InvalidParameter.RoleArn"),
        ({"RoleArn": "acs:ram::3:role/r"}, 403, "NoPermission"),
        ({"RoleSessionName": "s"}, 400, "InvalidParameter.RoleSessionName"),
        ({"Policy": "{"}, 400, "InvalidParameter.PolicyGrammar"),
    ],
)
def test_what_is_asked_of_the_token_service_must_be_right(
    bucket: Desk, changes: dict[str, str], status: int, code: str
) -> None:
    answer = assume(bucket, **changes)
    assert (answer.status, json.loads(answer.body)["Code"]) == (status, code)
    assert assume(bucket, **changes, Format="XML").element("Code") == code


def test_the_token_service_answers_in_xml_and_to_posts(bucket: Desk) -> None:
    answer = assume(bucket, Format="XML", method="POST")
    assert answer.element("Arn") == f"acs:sts::{ACCOUNT}:assumed-role/uploader/session"
    keys = Credentials(
        answer.element("AccessKeyId"), answer.element("AccessKeySecret"), answer.element("SecurityToken")
    )
    assert bucket("GET", "/photos/", keys=keys).status == 200


def test_the_token_service_is_asked_by_forms_too(bucket: Desk) -> None:
    answer = assume(bucket, method="POST", in_body=True, RoleSessionName="a b+c&d")
    assert answer.status == 200
    assert bucket("GET", "/photos/", keys=credentials(answer)).status == 200
    assert assume(bucket, method="POST", in_body=True, secret="wrong").status == 400
    asked = post_form(bucket, "", b"Action=AssumeRole&AccessKeyId=none&Format=JSON")
    assert json.loads(asked.body)["Code"] == "InvalidAccessKeyId.NotFound"
    assert post_form(bucket, "", b"Action=GetCallerIdentity").code == "MethodNotAllowed"
    assert post_form(bucket, "", b"Action=%ff").code == "InvalidArgument"
    assert post_form(bucket, "", b"\xff").code == "InvalidArgument"
    assert post_form(bucket, "", b"Action=AssumeRole&a=" + b"x" * 100_000).code == "EntityTooLarge"


@pytest.mark.parametrize(
    ("action", "resource", "status"),
    [
        ("oss:*", "*", 403),
        ("sts:AssumeRole", f"acs:ram::{ACCOUNT}:role/another", 403),
        ("sts:AssumeRole", f"acs:ram::{ACCOUNT}:role/uploader", 200),
        ("sts:*", "acs:ram:*:*:role/up*", 200),
        ("*", "*", 200),
    ],
)
def test_a_user_gets_temporary_keys_where_the_policy_allows_it(
    store: LocalStore, action: str, resource: str, status: int
) -> None:
    rights = read_policy(policy(Action=action, Resource=resource).encode(), names_principals=False)
    service = Service(store=store, clock=lambda: float(NOW))
    desk = Desk(App(service, Gate({"alice": User("alice-secret", name="alice", policy=rights)})), service)
    answer = assume(desk, secret="alice-secret", AccessKeyId="alice")
    assert answer.status == status
    assert json.loads(answer.body).get("Code") == (None if status == 200 else "NoPermission")


def test_the_conditions_of_a_users_policy_hold_for_temporary_keys(store: LocalStore) -> None:
    text = policy(
        Action="sts:AssumeRole", Resource="*", Condition={"IpAddress": {"acs:SourceIp": ["10.0.0.0/8"]}}
    )
    rights = read_policy(text.encode(), names_principals=False)
    service = Service(store=store, clock=lambda: float(NOW))
    desk = Desk(App(service, Gate({"alice": User("alice-secret", name="alice", policy=rights)})), service)
    assert assume(desk, secret="alice-secret", AccessKeyId="alice").status == 403


def test_policies_of_users_name_no_principal() -> None:
    with pytest.raises(Exception, match="names no principal"):
        read_policy(policy(Action="*", Resource="*", Principal="*").encode(), names_principals=False)


BLOCKED = (
    b"<PublicAccessBlockConfiguration><BlockPublicAccess>true</BlockPublicAccess>"
    b"</PublicAccessBlockConfiguration>"
)


def test_an_account_may_keep_the_public_out_of_all_its_buckets(desk: Desk) -> None:
    open_to_all = {"x-oss-acl": "public-read"}
    for keys, bucket in ((KEYS, "photos"), (KEYS, "videos"), (OTHER, "others")):
        assert desk("PUT", f"/{bucket}/", keys=keys, **open_to_all).status == 200
        assert desk("PUT", f"/{bucket}/a", b"x", keys=keys).status == 200
        assert desk("GET", f"/{bucket}/a", keys=None).status == 200
    assert desk("GET", "/?publicAccessBlock").element("BlockPublicAccess") == "false"
    assert desk("PUT", "/?publicAccessBlock", BLOCKED).status == 200
    assert desk("GET", "/?publicAccessBlock").element("BlockPublicAccess") == "true"
    for bucket in ("photos", "videos"):
        assert desk("GET", f"/{bucket}/a", keys=None).status == 403
        assert desk("GET", f"/{bucket}/a", keys=OTHER).status == 403
        assert desk("GET", f"/{bucket}/a").status == 200
        assert desk("GET", f"/{bucket}/?publicAccessBlock").element("BlockPublicAccess") == "false"
        assert desk("PUT", f"/{bucket}/?acl", **open_to_all).code == "AccessDenied"
        assert desk("PUT", f"/{bucket}/", **open_to_all).code == "AccessDenied"
    assert desk("PUT", "/new-one/", **open_to_all).code == "AccessDenied"
    assert desk("PUT", "/new-one/").status == 200
    assert desk("PUT", "/new-one/?acl", **open_to_all).code == "AccessDenied"
    assert desk("GET", "/others/a", keys=None).status == 200
    assert desk("GET", "/?publicAccessBlock", keys=OTHER).element("BlockPublicAccess") == "false"
    assert desk("DELETE", "/?publicAccessBlock").status == 204
    assert desk("GET", "/photos/a", keys=None).status == 200
    assert desk("DELETE", "/?publicAccessBlock").status == 204


def test_nobody_else_decides_for_an_account(desk: Desk) -> None:
    for method in ("GET", "PUT", "DELETE"):
        assert desk(method, "/?publicAccessBlock", keys=None).status == 403
    assert desk("PUT", "/?publicAccessBlock", b"<PublicAccessBlockConfiguration/>").code == "MalformedXML"
    assert desk("PUT", "/?publicAccessBlock", b"").code == "MalformedXML"
