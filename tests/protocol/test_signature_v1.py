import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ServiceError
from penstock.protocol import dates
from penstock.protocol.signature_v1 import (
    authorization_v1,
    check_v1,
    parse_v1,
    presigned_query_v1,
)
from penstock.protocol.signing import Credentials, resource_path

NOW = 1795359207
KEYS = Credentials("ak", "sk")
TEMPORARY = Credentials("ak", "sk", "token")
PLAIN = {
    "method": "PUT",
    "bucket": "photos",
    "key": "dir/a+b.txt",
    "query": [("uploadId", "7C97"), ("partNumber", "1"), ("max-parts", "5")],
    "headers": {
        "content-type": "text/plain",
        "content-md5": "XrY7u+Ae7tCTyyK7j1rNww==",
        "x-oss-meta-a": " v ",
    },
}


def test_the_example_of_the_documentation_is_met():
    added = authorization_v1(
        method="PUT",
        bucket="oss-example",
        key="nelson",
        query=(),
        headers={
            "content-md5": "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=",
            "content-type": "text/html",
            "x-oss-meta-author": "foo@bar.com",
            "x-oss-magic": "abracadabra",
        },
        credentials=Credentials("44CF9590006BF252F707", "OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV"),
        signed_at=dates.from_http("Thu, 17 Nov 2005 18:49:58 GMT"),
    )
    assert added == {
        "date": "Thu, 17 Nov 2005 18:49:58 GMT",
        "authorization": "OSS 44CF9590006BF252F707:26NBxoKdsyly4EDv6inkoDft/yA=",
    }


def sign(request, credentials=KEYS, signed_at=NOW):
    added = authorization_v1(**request, credentials=credentials, signed_at=signed_at)
    return {
        "method": request["method"],
        "path": resource_path(request["bucket"], request["key"]),
        "query": request["query"],
        "headers": {**request["headers"], **added},
    }


def presign(request, credentials=KEYS, expires_at=NOW + 600):
    added = presigned_query_v1(**request, credentials=credentials, expires_at=expires_at)
    return {
        "method": request["method"],
        "path": resource_path(request["bucket"], request["key"]),
        "query": [*request["query"], *added],
        "headers": request["headers"],
    }


def check(message, now=NOW, secret="sk"):
    presented = parse_v1(message["query"], message["headers"])
    assert presented is not None
    check_v1(presented, secret, **message, now=now)
    return presented


def refusal(message, **options):
    with pytest.raises(ServiceError) as caught:
        check(message, **options)
    return caught.value


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"]),
        "bucket": st.just("photos"),
        "key": st.none() | texts.filter(bool),
        "query": st.lists(
            st.tuples(
                st.sampled_from(["uploads", "uploadId", "partNumber", "callback", "callback-var", "prefix"]),
                st.none() | texts,
            ),
            unique_by=lambda pair: pair[0],
        ),
        "headers": st.dictionaries(
            st.from_regex(r"x-oss-meta-[a-z][a-z0-9-]{0,8}", fullmatch=True), texts.map(str.strip), max_size=4
        ),
    }
)


@given(requests, st.sampled_from([KEYS, TEMPORARY]), st.randoms(use_true_random=False))
def test_what_is_signed_is_accepted_in_any_order(request, credentials, shuffle):
    for message in (sign(request, credentials), presign(request, credentials)):
        pairs = list(message["query"])
        shuffle.shuffle(pairs)
        presented = check({**message, "query": pairs})
        assert presented.access_key_id == "ak"
        assert presented.security_token == credentials.security_token


@given(requests, st.sampled_from(["method", "path", "query", "header", "content-type", "content-md5"]))
def test_any_change_to_what_is_signed_is_refused(request, changed):
    for message in (sign(request), presign(request)):
        if changed in ("method", "path"):
            message[changed] += "X"
        elif changed == "query":
            message["query"] = [*message["query"], ("acl", None)]
        elif changed == "header":
            message["headers"] = {**message["headers"], "x-oss-another": "1"}
        else:
            message["headers"] = {**message["headers"], changed: "x"}
        assert refusal(message).code == "SignatureDoesNotMatch"


def test_the_string_to_sign_is_built_as_documented():
    error = refusal(sign(PLAIN, TEMPORARY), secret="other")
    assert error.fields["StringToSign"] == (
        "PUT\nXrY7u+Ae7tCTyyK7j1rNww==\ntext/plain\nSun, 22 Nov 2026 14:53:27 GMT\n"
        "x-oss-meta-a:v\nx-oss-security-token:token\n/photos/dir/a+b.txt?partNumber=1&uploadId=7C97"
    )
    assert (error.status, error.ec, error.fields["OSSAccessKeyId"]) == (403, "0002-00000040", "ak")


def test_parameters_that_are_not_sub_resources_are_not_covered():
    message = sign(PLAIN)
    check({**message, "query": [*message["query"][:2], ("max-parts", "1000"), ("prefix", "x")]})


def test_sub_resources_are_sorted_by_name():
    error = refusal(sign({**PLAIN, "query": [("callback-var", "2"), ("callback", "1")]}), secret="other")
    assert error.fields["StringToSign"].endswith("?callback=1&callback-var=2")


def test_headers_are_sorted_by_name():
    headers = {"x-oss-meta-a-b": "2", "x-oss-meta-a": "1"}
    error = refusal(sign({**PLAIN, "headers": headers}), secret="other")
    assert "\nx-oss-meta-a:1\nx-oss-meta-a-b:2\n" in error.fields["StringToSign"]


def test_x_oss_date_stands_in_for_date():
    message = sign({**PLAIN, "headers": {"x-oss-date": dates.to_http(NOW)}})
    check({**message, "headers": {**message["headers"], "date": "Thu, 01 Jan 1970 00:00:00 GMT"}})
    del message["headers"]["date"]
    check(message)


def test_the_token_is_also_read_from_the_header_that_one_sdk_sends():
    message = sign(PLAIN)
    message["headers"]["security-token"] = "token"
    assert check(message).security_token == "token"


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_wrong_clock_is_refused(seconds):
    check(sign(PLAIN), now=NOW + seconds - seconds // abs(seconds))
    assert refusal(sign(PLAIN), now=NOW + seconds).code == "RequestTimeTooSkewed"


def test_a_url_is_good_until_it_expires():
    check(presign(PLAIN), now=NOW + 600)
    error = refusal(presign(PLAIN), now=NOW + 601)
    assert (error.status, error.code, error.message) == (403, "AccessDenied", "Request has expired.")


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ([("Signature", "x"), ("Expires", "1")], {}, "AccessDenied"),
        ([("OSSAccessKeyId", "ak"), ("Expires", "1")], {}, "AccessDenied"),
        ([("OSSAccessKeyId", "ak"), ("Signature", "x")], {}, "AccessDenied"),
        ([("OSSAccessKeyId", "ak"), ("Signature", "x"), ("Expires", "soon")], {}, "AccessDenied"),
        ([("OSSAccessKeyId", "ak"), ("Signature", "x"), ("Expires", "9" * 5000)], {}, "AccessDenied"),
        ([("OSSAccessKeyId", "ak"), ("Signature", "x")], {"authorization": "OSS ak:x"}, "InvalidArgument"),
        ([("x-oss-signature-version", "OSS2"), ("x-oss-signature", "x")], {}, "InvalidArgument"),
        ([], {"authorization": "OSS2 AccessKeyId:ak,Signature:x"}, "InvalidArgument"),
        ([], {"authorization": "Bearer x"}, "InvalidArgument"),
        ([], {"authorization": "OSS ak"}, "InvalidArgument"),
        ([], {"authorization": "OSS :x"}, "InvalidArgument"),
        ([], {"authorization": "OSS ak:x"}, "AccessDenied"),
        ([], {"authorization": "OSS ak:x", "date": "today"}, "AccessDenied"),
    ],
)
def test_what_is_incomplete_or_unknown_is_refused(query, headers, code):
    with pytest.raises(ServiceError) as caught:
        parse_v1(query, headers)
    assert caught.value.code == code


def test_what_is_not_signed_is_nobodys():
    assert parse_v1([("uploads", None)], {"date": "x"}) is None
