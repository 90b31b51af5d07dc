"""What official SDKs signed is accepted as it is, refused when touched, and signed here to the same bytes."""

import json
from pathlib import Path

import pytest

from penstock.errors import ServiceError
from penstock.protocol import dates, percent
from penstock.protocol.endpoint import split_target
from penstock.protocol.signature_v1 import authorization_v1, check_v1, parse_v1, presigned_query_v1
from penstock.protocol.signature_v4 import (
    PresentedV4,
    authorization_v4,
    check_v4,
    parse_v4,
    presigned_query_v4,
)
from penstock.protocol.signing import Credentials

SECRET = "test_sk_0123456789"
CREDENTIALS = Credentials("LTAI_test_ak", SECRET)
BASE_HOSTS = ["localhost", "oss.localhost", "oss-cn-hangzhou.aliyuncs.com"]
CLIENTS = sorted(Path(__file__).with_name("recordings").glob("*.jsonl"))

clients = pytest.mark.parametrize("client", CLIENTS, ids=lambda path: path.stem)


class Recorded:
    def __init__(self, line):
        fields = json.loads(line)
        self.method = fields["method"]
        self.headers = fields["headers"]
        self.refused = fields.get("refused")
        path, _, query = fields["target"].partition("?")
        self.query = percent.parse_query(query)
        self.target = split_target(self.headers["host"], path, BASE_HOSTS)
        self.path = f"/{fields['bucket']}{self.target.path}" if "bucket" in fields else self.target.path

    def parse(self):
        return parse_v4(self.query, self.headers) or parse_v1(self.query, self.headers)

    def check(self, secret=SECRET, **changed):
        request = {"method": self.method, "path": self.path, "query": self.query, "headers": self.headers}
        request.update(changed)
        presented = self.parse()
        if isinstance(presented, PresentedV4):
            check_v4(presented, secret, **request, now=presented.signed_at, region="cn-hangzhou")
        else:
            check_v1(presented, secret, **request, now=presented.signed_at or presented.expires_at)


def recorded(client):
    return [Recorded(line) for line in client.read_text(encoding="utf-8").splitlines()]


def accepted(client):
    return [one for one in recorded(client) if one.refused is None]


def is_refused(one, **changed):
    with pytest.raises(ServiceError) as caught:
        one.check(**changed)
    return caught.value.code == "SignatureDoesNotMatch"


def test_no_recording_is_missing():
    assert {path.stem: len(recorded(path)) for path in CLIENTS} == {
        "ali-oss-js": 179,
        "alibabacloud-oss-v2": 122,
        "cpp-sdk": 198,
        "oss2": 84,
        "ossutil-v1.7.19": 69,
    }


@clients
def test_every_request_of_an_official_sdk_is_accepted(client):
    for one in accepted(client):
        one.check()


@clients
def test_signatures_of_version_2_are_refused_as_unsupported(client):
    for one in recorded(client):
        if one.refused:
            with pytest.raises(ServiceError, match="Unsupported Authorization Type") as caught:
                one.parse()
            assert caught.value.code == one.refused
            assert CREDENTIALS.access_key_id not in str(caught.value.fields)


@clients
def test_a_recorded_request_is_refused_with_another_secret_method_or_path(client):
    for one in accepted(client):
        assert is_refused(one, secret="test_sk_0123456788")
        assert is_refused(one, method="PATCH")
        assert is_refused(one, path=one.path + "x")


@clients
def test_a_recorded_request_is_refused_with_a_header_of_oss_added(client):
    for one in accepted(client):
        assert is_refused(one, headers={**one.headers, "x-oss-object-acl": "public-read"})


@clients
def test_a_recorded_request_is_refused_with_a_sub_resource_added(client):
    for one in accepted(client):
        assert is_refused(one, query=[*one.query, ("symlink", None)])


@clients
def test_requests_are_signed_here_to_the_same_bytes(client):
    signed = 0
    for one in accepted(client):
        text = one.headers.get("authorization", "")
        if not text:
            continue
        bucket, _, key = one.path[1:].partition("/")
        headers = {name: value for name, value in one.headers.items() if name != "authorization"}
        request = {
            "method": one.method,
            "bucket": bucket,
            "key": key,
            "query": one.query,
            "credentials": CREDENTIALS,
        }
        presented = one.parse()
        if isinstance(presented, PresentedV4):
            if "x-oss-date" not in headers:  # signed with Date instead, which is not done here
                continue
            added = authorization_v4(
                **request, headers=headers, region="cn-hangzhou", signed_at=presented.signed_at
            )
            assert added["x-oss-date"] == headers["x-oss-date"]
        else:
            added = authorization_v1(**request, headers=headers, signed_at=presented.signed_at)
        assert added["authorization"] == text.replace(", ", ",")
        signed += 1
    assert signed >= 30


def test_urls_are_signed_here_to_the_same_signature():
    signed = 0
    for one in (one for client in CLIENTS for one in accepted(client)):
        given = dict(one.query)
        bucket, _, key = one.path[1:].partition("/")
        request = {"method": one.method, "bucket": bucket, "key": key, "credentials": CREDENTIALS}
        if "x-oss-signature" in given:
            rest = [pair for pair in one.query if not pair[0].startswith("x-oss-")]
            added = presigned_query_v4(
                **request,
                query=rest,
                headers=one.headers,
                region="cn-hangzhou",
                signed_at=dates.from_iso_basic(given["x-oss-date"]),
                expires_s=int(given["x-oss-expires"]),
            )
        elif "Signature" in given:
            rest = [pair for pair in one.query if pair[0] not in ("OSSAccessKeyId", "Expires", "Signature")]
            added = presigned_query_v1(
                **request, query=rest, headers=one.headers, expires_at=int(given["Expires"])
            )
        else:
            continue
        assert sorted([*rest, *added]) == sorted(one.query)
        signed += 1
    assert signed >= 20
