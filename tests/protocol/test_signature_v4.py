import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import dates
from penstock.protocol.signature_v4 import (
    UNSIGNED_PAYLOAD,
    authorization_v4,
    check_v4,
    parse_v4,
    presigned_query_v4,
)
from penstock.protocol.signing import Credentials, resource_path

NOW = 1795359207
KEYS = Credentials("ak", "sk")
TEMPORARY = Credentials("ak", "sk", "token")

# The vectors that the C++ SDK publishes with its tests (SignerTest.cc).
VECTOR_QUERY = [
    ("param1", "value1"),
    ("|param1", "value4"),
    ("+param1", "value3"),
    ("+param2", ""),
    ("|param2", None),
    ("param2", ""),
]
VECTOR_HEADERS = {
    "x-oss-head1": "value",
    "abc": "value",
    "zabc": "value",
    "xyz": "value",
    "content-type": "text/plain",
}
VECTOR = {
    "method": "PUT",
    "bucket": "bucket",
    "key": "1234+-/123/1.txt",
    "query": VECTOR_QUERY,
    "region": "cn-hangzhou",
}


@pytest.mark.parametrize(
    ("credentials", "signed_at", "additional", "signature"),
    [
        (KEYS, 1702743657, (), "e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe"),
        (TEMPORARY, 1702784856, (), "b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea"),
        (
            KEYS,
            1702747512,
            ("abc", "ZAbc"),
            "4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f",
        ),
    ],
)
def test_the_published_header_vectors_are_met(credentials, signed_at, additional, signature):
    added = authorization_v4(
        **VECTOR,
        headers=VECTOR_HEADERS,
        credentials=credentials,
        signed_at=signed_at,
        additional_headers=frozenset(additional),
    )
    date = dates.to_iso_basic(signed_at)
    named = "AdditionalHeaders=abc;zabc," if additional else ""
    assert added["authorization"] == (
        f"OSS4-HMAC-SHA256 Credential=ak/{date[:8]}/cn-hangzhou/oss/aliyun_v4_request,"
        f"{named}Signature={signature}"
    )
    assert added["x-oss-date"] == date
    assert added["x-oss-content-sha256"] == UNSIGNED_PAYLOAD
    assert added.get("x-oss-security-token") == credentials.security_token


@pytest.mark.parametrize(
    ("credentials", "signed_at", "additional", "signature"),
    [
        (KEYS, 1702781677, (), "a39966c61718be0d5b14e668088b3fa07601033f6518ac7b523100014269c0fe"),
        (TEMPORARY, 1702785388, (), "3817ac9d206cd6dfc90f1c09c00be45005602e55898f26f5ddb06d7892e1f8b5"),
        (
            KEYS,
            1702783809,
            ("abc", "ZAbc"),
            "6bd984bfe531afb6db1f7550983a741b103a8c58e5e14f83ea474c2322dfa2b7",
        ),
    ],
)
def test_the_published_url_vectors_are_met(credentials, signed_at, additional, signature):
    added = presigned_query_v4(
        **VECTOR,
        headers={**VECTOR_HEADERS, "content-type": "application/octet-stream"},
        credentials=credentials,
        signed_at=signed_at,
        expires_s=599,
        additional_headers=frozenset(additional),
    )
    assert added[-1] == ("x-oss-signature", signature)


# Requests that are signed here and checked here.

texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
words = st.from_regex(r"[a-z][a-z0-9-]{0,8}", fullmatch=True)
buckets = st.none() | st.just("photos")
queries = st.lists(st.tuples(words, st.none() | texts), max_size=5, unique_by=lambda pair: pair[0])
signed_headers = st.dictionaries(words.map("x-oss-meta-{}".format), texts.map(str.strip), max_size=4)
unsigned_headers = st.dictionaries(words.map("other-{}".format), texts, max_size=3)
credentials_of_any_kind = st.sampled_from([KEYS, TEMPORARY])
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "PUT", "POST", "HEAD", "DELETE"]),
        "bucket": st.just("photos"),
        "key": st.none() | texts.filter(bool),
        "query": queries,
        "headers": st.builds(
            lambda a, b: {**a, **b, "content-type": "text/plain"}, signed_headers, unsigned_headers
        ),
    }
)


def sign(request, credentials=KEYS, additional=(), signed_at=NOW):
    headers = {
        **request["headers"],
        **authorization_v4(
            **request,
            credentials=credentials,
            region="cn-hangzhou",
            signed_at=signed_at,
            additional_headers=frozenset(additional),
        ),
    }
    return {
        "method": request["method"],
        "path": resource_path(request["bucket"], request["key"]),
        "query": request["query"],
        "headers": headers,
    }


def presign(request, credentials=KEYS, additional=(), signed_at=NOW, expires_s=600):
    added = presigned_query_v4(
        **request,
        credentials=credentials,
        region="cn-hangzhou",
        signed_at=signed_at,
        expires_s=expires_s,
        additional_headers=frozenset(additional),
    )
    return {
        "method": request["method"],
        "path": resource_path(request["bucket"], request["key"]),
        "query": [*request["query"], *added],
        "headers": request["headers"],
    }


def check(message, now=NOW, secret="sk", region="cn-hangzhou"):
    presented = parse_v4(message["query"], message["headers"])
    assert presented is not None
    check_v4(presented, secret, **message, now=now, region=region)
    return presented


def refusal(message, **options):
    with pytest.raises(ServiceError) as caught:
        check(message, **options)
    return caught.value


PLAIN = {
    "method": "PUT",
    "bucket": "photos",
    "key": "a",
    "query": [],
    "headers": {"content-type": "text/plain"},
}


@given(requests, credentials_of_any_kind, st.randoms(use_true_random=False))
def test_what_is_signed_is_accepted_in_any_order(request, credentials, shuffle):
    for message in (sign(request, credentials), presign(request, credentials)):
        pairs = list(message["query"])
        shuffle.shuffle(pairs)
        names = list(message["headers"])
        shuffle.shuffle(names)
        presented = check(
            {**message, "query": pairs, "headers": {name: message["headers"][name] for name in names}}
        )
        assert presented.access_key_id == "ak"
        assert presented.security_token == credentials.security_token


@given(requests, st.data())
def test_any_change_to_what_is_signed_is_refused(request, data):
    for make in (sign, presign):
        message = make(request)
        changed = data.draw(
            st.sampled_from(["method", "path", "value", "added", "header", "header added", "type"])
        )
        query = list(message["query"])
        headers = dict(message["headers"])
        if changed == "method":
            message["method"] = "PATCH"
        elif changed == "path":
            at = data.draw(st.integers(1, len(message["path"]) - 1))
            message["path"] = message["path"][:at] + "\x01" + message["path"][at + 1 :]
        elif changed == "value":
            assume(request["query"])
            name, value = query[0]
            query[0] = (name, (value or "") + "x")
        elif changed == "added":
            query.append(("zz-another", None))
        elif changed == "header":
            names = [name for name in headers if name.startswith("x-oss-meta-")]
            assume(names)
            headers[names[0]] += "x"
        elif changed == "header added":
            headers["x-oss-another"] = ""
        else:
            del headers["content-type"]
        assert refusal({**message, "query": query, "headers": headers}).code == "SignatureDoesNotMatch"


@given(requests)
def test_headers_that_are_not_signed_may_change(request):
    for message in (sign(request), presign(request)):
        headers = {name: value for name, value in message["headers"].items() if not name.startswith("other-")}
        check({**message, "headers": {**headers, "user-agent": "x", "x-other": "y"}})


@given(requests)
def test_additional_headers_are_covered(request):
    request = {**request, "headers": {**request["headers"], "host": "photos.localhost", "range": "bytes=0-1"}}
    for make in (sign, presign):
        message = make(request, additional=("Host", "range", "absent", "content-type"))
        assert check(message).additional_headers == ("host", "range")
        headers = {**message["headers"], "host": "other.localhost"}
        assert refusal({**message, "headers": headers}).code == "SignatureDoesNotMatch"


def test_a_missing_equals_sign_and_an_empty_value_are_the_same_to_a_signature():
    message = sign({**PLAIN, "query": [("uploads", None)]})
    check({**message, "query": [("uploads", "")]})


def test_every_parameter_may_be_there_more_than_once():
    message = sign({**PLAIN, "query": [("a", "2"), ("a", "1")]})
    check({**message, "query": [("a", "1"), ("a", "2")]})


def test_the_path_without_a_slash_behind_the_bucket_is_another_path():
    message = sign({**PLAIN, "key": None})
    assert message["path"] == "/photos/"
    assert refusal({**message, "path": "/photos"}).code == "SignatureDoesNotMatch"


def test_a_wrong_signature_is_answered_with_all_that_is_needed_to_compare():
    message = sign(PLAIN)
    error = refusal(message, secret="other")
    assert (error.status, error.code, error.ec) == (403, "SignatureDoesNotMatch", "0002-00000040")
    assert error.fields["OSSAccessKeyId"] == "ak"
    assert error.fields["SignatureProvided"] == message["headers"]["authorization"][-64:]
    lines = error.fields["StringToSign"].split("\n")
    assert lines[:3] == ["OSS4-HMAC-SHA256", "20261122T145327Z", "20261122/cn-hangzhou/oss/aliyun_v4_request"]
    assert bytes.fromhex(error.fields["StringToSignBytes"]).decode() == error.fields["StringToSign"]
    assert error.fields["CanonicalRequest"] == (
        "PUT\n/photos/a\n\ncontent-type:text/plain\nx-oss-content-sha256:UNSIGNED-PAYLOAD\n"
        "x-oss-date:20261122T145327Z\n\n\nUNSIGNED-PAYLOAD"
    )
    assert "sk" not in error.fields.values()


def test_spaces_after_commas_are_read():
    message = sign({**PLAIN, "headers": {"host": "x"}}, additional=["host"])
    text = message["headers"]["authorization"].replace(",", ", ")
    assert ", Signature=" in text
    check({**message, "headers": {**message["headers"], "authorization": text}})


@pytest.mark.parametrize("seconds", [-900, 900])
def test_a_clock_may_be_wrong_by_15_minutes(seconds):
    check(sign(PLAIN), now=NOW + seconds)


@pytest.mark.parametrize("seconds", [-901, 901])
def test_a_clock_that_is_more_wrong_is_refused_with_the_right_time(seconds):
    error = refusal(sign(PLAIN), now=NOW + seconds)
    assert (error.status, error.code) == (403, "RequestTimeTooSkewed")
    assert error.fields["ServerTime"] == dates.to_iso(NOW + seconds)
    assert error.fields["RequestTime"] == "20261122T145327Z"


def test_a_url_is_good_from_15_minutes_before_until_it_expires():
    message = presign(PLAIN, expires_s=600)
    check(message, now=NOW - 900)
    check(message, now=NOW + 600)
    early = refusal(message, now=NOW - 901)
    assert (early.code, early.ec) == ("AccessDenied", "0002-00000235")
    late = refusal(message, now=NOW + 601)
    assert (late.status, late.code, late.message) == (403, "AccessDenied", "Request has expired.")
    assert late.fields == {"Expires": dates.to_iso(NOW + 600), "ServerTime": dates.to_iso(NOW + 601)}


@pytest.mark.parametrize("expires_s", [0, -1, 604_801])
def test_a_url_cannot_be_signed_for_longer_than_a_week(expires_s):
    with pytest.raises(InvalidInput, match="cannot be signed"):
        presign(PLAIN, expires_s=expires_s)


def test_another_region_is_refused_and_any_region_taken_where_none_is_asked_for():
    for message, ec in ((sign(PLAIN), "0002-00000226"), (presign(PLAIN), "0002-00000228")):
        error = refusal(message, region="cn-beijing")
        assert (error.status, error.code, error.ec) == (400, "InvalidArgument", ec)
        check(message, region=None)


def without(mapping, *names):
    return {name: value for name, value in mapping.items() if name not in names}


def changed_header(**changes):
    headers = sign({**PLAIN, "headers": {"host": "x"}}, additional=["host"])["headers"]
    text = headers["authorization"]
    for old, new in changes.get("text", ()):
        assert old in text
        text = text.replace(old, new)
    return {**without(headers, *changes.get("drop", ())), "authorization": text, **changes.get("set", {})}


@pytest.mark.parametrize(
    ("headers", "code", "ec"),
    [
        (changed_header(text=[("Credential=", "Other=")]), "InvalidArgument", "0002-00000223"),
        (changed_header(text=[("/20261122/", "/")]), "InvalidArgument", "0002-00000224"),
        (changed_header(text=[("=ak/", "=/")]), "InvalidArgument", "0002-00000224"),
        (changed_header(text=[("aliyun_v4_request", "aws4_request")]), "InvalidArgument", "0002-00000213"),
        (changed_header(text=[("/20261122/", "/20261123/")]), "InvalidArgument", "0002-00000212"),
        (changed_header(text=[("Headers=host", "Headers=")]), "InvalidArgument", "0002-00000209"),
        (changed_header(text=[("Headers=host", "Headers=host;")]), "InvalidArgument", "0002-00000210"),
        (changed_header(text=[("Signature=", "Other=")]), "InvalidArgument", ""),
        (changed_header(drop=["x-oss-content-sha256"]), "InvalidArgument", "0002-00000214"),
        (changed_header(set={"x-oss-content-sha256": "e3b0c442"}), "InvalidArgument", "0002-00000214"),
        (changed_header(drop=["x-oss-date"]), "AccessDenied", "0002-00000502"),
        (changed_header(set={"x-oss-date": "yesterday"}), "AccessDenied", "0002-00000503"),
        (changed_header(set={"x-oss-date": "20261322T145327Z"}), "AccessDenied", "0002-00000503"),
    ],
)
def test_an_incomplete_header_is_refused_with_the_code_of_oss(headers, code, ec):
    with pytest.raises(ServiceError) as caught:
        parse_v4([], headers)
    assert (caught.value.code, caught.value.ec) == (code, ec)


@pytest.mark.parametrize(
    ("name", "value", "code", "ec"),
    [
        ("x-oss-credential", None, "InvalidArgument", "0002-00000217"),
        ("x-oss-credential", "ak/20261122", "InvalidArgument", "0002-00000217"),
        ("x-oss-expires", "", "InvalidArgument", "0002-00000215"),
        ("x-oss-expires", "0", "InvalidArgument", "0002-00000216"),
        ("x-oss-expires", "604801", "InvalidArgument", "0002-00000216"),
        ("x-oss-expires", "9" * 5000, "InvalidArgument", "0002-00000216"),
        ("x-oss-expires", "²", "InvalidArgument", "0002-00000216"),
        ("x-oss-date", None, "AccessDenied", "0002-00000502"),
        ("x-oss-signature", None, "InvalidArgument", ""),
    ],
)
def test_an_incomplete_url_is_refused_with_the_code_of_oss(name, value, code, ec):
    query = [pair for pair in presign(PLAIN)["query"] if pair[0] != name]
    with pytest.raises(ServiceError) as caught:
        parse_v4([*query, (name, value)], {})
    assert (caught.value.code, caught.value.ec) == (code, ec)


def test_two_signatures_are_refused():
    headers = sign(PLAIN)["headers"]
    for query in (presign(PLAIN)["query"], [("Signature", "x")]):
        with pytest.raises(ServiceError, match="one auth mechanism"):
            parse_v4(query, headers)


def test_what_is_not_signed_so_is_left_to_others():
    assert parse_v4([], {}) is None
    assert parse_v4([("Signature", "x")], {}) is None
    assert parse_v4([], {"authorization": "OSS ak:sig"}) is None


@given(st.text(max_size=60), st.text(max_size=20))
def test_reading_a_signature_fails_in_one_way_only(text, date):
    headers = {
        "authorization": f"OSS4-HMAC-SHA256 {text}",
        "x-oss-date": date,
        "x-oss-content-sha256": UNSIGNED_PAYLOAD,
    }
    with pytest.raises(ServiceError) as caught:
        parse_v4([], headers)
    assert caught.value.status in (400, 403)


def test_a_signature_of_any_characters_is_compared_and_refused():
    message = presign(PLAIN)
    query = [*message["query"][:-1], ("x-oss-signature", "ü\ud800")]
    assert refusal({**message, "query": query}).code == "SignatureDoesNotMatch"


def test_credentials_do_not_show_their_secrets():
    assert repr(TEMPORARY) == "Credentials(access_key_id='ak')"
    assert pickle.loads(pickle.dumps(TEMPORARY)) == TEMPORARY
