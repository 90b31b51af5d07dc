"""Signatures of version 2: what is covered, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from penstock.errors import ServiceError
from penstock.protocol.signature_v2 import check_v2, parse_v2

NOW = 1_795_358_000
DATE = "Sun, 22 Nov 2026 14:33:20 GMT"
SECRET = "sk"

IN_HEADER = (
    "PUT\nmd5\ntext/plain\nSun, 22 Nov 2026 14:33:20 GMT\nabc:1\nx-oss-meta-k:v\nabc\n"
    "%2Fphotos%2Fa%20b%2F%E4%B8%AD?%2F=%2B&partNumber=1&uploads"
)
IN_URL = (
    "GET\n\n\n1795358060\n\n%2Fphotos%2Fa?x-oss-access-key-id=ak&x-oss-expires=1795358060"
    "&x-oss-signature-version=OSS2"
)
HEADERS = {"content-md5": "md5", "content-type": "text/plain", "date": DATE, "x-oss-meta-k": "v", "abc": "1"}
QUERY = [("uploads", None), ("partNumber", "1"), ("/", "+")]
PATH = "/photos/a b/\u4e2d"


def sign(text: str) -> str:
    return base64.b64encode(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest()).decode()


def headers(signature: str, **changes: str) -> dict[str, str]:
    text = f"OSS2 AccessKeyId:ak,AdditionalHeaders:ABC,Signature:{signature}"
    return {**HEADERS, "authorization": text, **changes}


def url(signature: str, expires: str = "1795358060") -> list[tuple[str, str | None]]:
    return [
        ("x-oss-signature-version", "OSS2"),
        ("x-oss-expires", expires),
        ("x-oss-access-key-id", "ak"),
        ("x-oss-signature", signature),
    ]


def judge(method, path, query, given, now=NOW):
    presented = parse_v2(query, given)
    assert presented is not None
    assert presented.access_key_id == "ak"
    check_v2(presented, SECRET, method=method, path=path, query=query, headers=given, now=now)


def refusal(*args, **more) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        judge(*args, **more)
    return caught.value


def test_a_header_covers_all_parameters_and_the_headers_it_names():
    given = headers(sign(IN_HEADER))
    judge("PUT", PATH, QUERY, given)
    for changed in (
        {**given, "abc": "2"},
        {**given, "x-oss-meta-k": "w"},
        {**given, "content-md5": "other"},
        {**given, "x-oss-new": "1"},
    ):
        error = refusal("PUT", PATH, QUERY, changed)
        assert error.code == "SignatureDoesNotMatch"
    assert (
        refusal("PUT", PATH, [*QUERY, ("more", None)], given)
        .fields["StringToSign"]
        .endswith("&more&partNumber=1&uploads")
    )
    assert refusal("POST", PATH, QUERY, given).code == "SignatureDoesNotMatch"
    judge("PUT", PATH, QUERY, {**given, "not-named": "1"})


def test_a_signed_url_is_good_until_its_time():
    judge("GET", "/photos/a", url(sign(IN_URL)), {})
    assert refusal("GET", "/photos/a", url(sign(IN_URL)), {}, now=NOW + 61).message == "Request has expired."
    late = url(sign(IN_URL), "1795359999")
    assert refusal("GET", "/photos/a", late, {}).code == "SignatureDoesNotMatch"


def test_a_header_of_another_time_is_refused():
    assert (
        refusal("PUT", PATH, QUERY, headers(sign(IN_HEADER)), now=NOW + 1000).code == "RequestTimeTooSkewed"
    )


@pytest.mark.parametrize(
    ("query", "given", "code"),
    [
        ([], {"authorization": "OSS2 AccessKeyId:ak", "date": DATE}, "InvalidArgument"),
        ([], {"authorization": "OSS2 ", "date": DATE}, "InvalidArgument"),
        ([], {"authorization": "OSS2 AccessKeyId:ak,Signature:x"}, "AccessDenied"),
        ([], {"authorization": "OSS2 AccessKeyId:ak,Signature:x", "date": "today"}, "AccessDenied"),
        (url("x"), {"authorization": "OSS2 AccessKeyId:ak,Signature:x"}, "InvalidArgument"),
        (url("x")[:3], {}, "AccessDenied"),
        (url("x", "soon"), {}, "AccessDenied"),
        (url("x", "9" * 5000), {}, "AccessDenied"),
    ],
)
def test_what_is_incomplete_is_refused(query, given, code):
    with pytest.raises(ServiceError) as caught:
        parse_v2(query, given)
    assert caught.value.code == code


def test_other_versions_are_not_read_here():
    assert parse_v2([], {"authorization": "OSS ak:x"}) is None
    assert parse_v2([("Signature", "x")], {}) is None
