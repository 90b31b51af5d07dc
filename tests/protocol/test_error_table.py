import base64
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock import errors
from penstock.protocol.error_codes import ERROR_CODES
from penstock.protocol.error_table import (
    MAX_ERROR_BYTES,
    error_from_answer,
    error_from_response,
    error_header,
    error_xml,
    fault,
    parse_error_header,
    parse_error_xml,
    retryable,
)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_what_a_server_raises_is_what_a_client_gets(code):
    sent = fault(code, resource="oss://photos/a", Key="a&b")
    got = error_from_answer(
        sent.status,
        {"x-oss-request-id": "ignored"},
        error_xml(sent, request_id="5C3D9175B6FC201293AD4890", host_id="photos.localhost"),
        resource="oss://photos/a",
    )
    assert type(got) is type(sent)
    assert (got.status, got.code, got.message, got.ec) == (sent.status, sent.code, sent.message, sent.ec)
    assert got.request_id == "5C3D9175B6FC201293AD4890"
    assert got.host_id == "photos.localhost"
    assert got.fields["Key"] == "a&b"
    assert got.advice == sent.advice
    assert str(pickle.loads(pickle.dumps(got))) == str(got)


def test_the_error_of_a_head_travels_in_a_header():
    sent = fault("NoSuchKey")
    header = error_header(sent, request_id="5C3D9175B6FC201293AD4890")
    assert base64.b64decode(header) == error_xml(sent, request_id="5C3D9175B6FC201293AD4890")
    got = error_from_answer(404, {"x-oss-err": header}, b"")
    assert isinstance(got, errors.NoSuchKey)
    assert got.request_id == "5C3D9175B6FC201293AD4890"


def test_the_ec_alone_tells_the_code():
    got = error_from_answer(404, {"x-oss-ec": "0026-00000001", "x-oss-request-id": "R"}, b"")
    assert isinstance(got, errors.NoSuchKey)
    assert (got.code, got.request_id, got.message) == ("NoSuchKey", "R", "The specified key does not exist.")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (304, errors.NotModified, "NotModified"),
        (403, errors.Forbidden, "Forbidden"),
        (404, errors.NotFound, "NotFound"),
        (412, errors.PreconditionFailed, "PreconditionFailed"),
        (502, errors.ServiceUnavailable, "BadGateway"),
        (599, errors.ServiceUnavailable, "Status599"),
        (402, errors.ServiceError, "PaymentRequired"),
    ],
)
def test_an_answer_without_a_document_is_named_by_its_status(status, kind, code):
    got = error_from_answer(status, {}, b"")
    assert type(got) is kind
    assert got.code == code


def test_a_page_of_a_proxy_is_quoted():
    got = error_from_answer(502, {}, b"<html><h1>Bad Gateway</h1>" + b"x" * 100_000)
    assert "<h1>Bad Gateway</h1>" in got.message
    assert len(got.message) < 300


def test_a_code_never_seen_before_is_kept():
    got = error_from_answer(409, {}, b"<Error><Code>SomethingNew</Code><Message>m</Message></Error>")
    assert type(got) is errors.Conflict
    assert got.code == "SomethingNew"


def test_the_document_has_the_elements_of_oss_in_their_order():
    document = error_xml(
        fault("PositionNotEqualToLength", message="m<&>", Key="k"), request_id="R", host_id="H"
    ).decode()
    assert document == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n  <Code>PositionNotEqualToLength</Code>\n'
        "  <Message>m&lt;&amp;&gt;</Message>\n  <RequestId>R</RequestId>\n"
        "  <HostId>H</HostId>\n  <Key>k</Key>\n"
        "  <EC>0026-00000016</EC>\n"
        "  <RecommendDoc>https://api.aliyun.com/troubleshoot?q=0026-00000016</RecommendDoc>\n</Error>\n"
    )


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_out_of_a_document(text):
    got = parse_error_xml(error_xml(fault("NoSuchKey", Key=text)))
    assert got["Key"] == text


def test_control_characters_as_oss_writes_them_are_read():
    got = parse_error_xml(b"<Error><Code>NoSuchKey</Code><Message>a&#12;b</Message></Error>")
    assert got["Message"] == "a\x0cb"


def test_a_namespace_does_not_hide_the_elements():
    assert parse_error_xml(
        b'<Error xmlns="http://doc.oss-cn-hangzhou.aliyuncs.com"><Code>A</Code></Error>'
    ) == {"Code": "A"}


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"not xml",
        b"<Error><Code>cut off",
        b"<html><Error/></html>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>',
        b'<?xml version="1.0" encoding="nonsense"?><Error/>',
        b"<Error><Code>" + b"x" * MAX_ERROR_BYTES + b"</Code></Error>",
    ],
)
def test_what_is_no_error_document_has_no_elements(document):
    assert parse_error_xml(document) == {}


@given(st.binary(max_size=400), st.booleans())
def test_reading_an_error_never_fails(garbage, with_root):
    body = b"<Error>" + garbage if with_root else garbage
    assert parse_error_xml(body) is not None
    assert isinstance(error_from_answer(500, {}, body), errors.ServiceUnavailable)


@given(st.text(max_size=100))
def test_reading_the_header_of_an_error_never_fails(garbage):
    assert parse_error_header(garbage) == {}


def test_security_tokens_in_an_answer_are_blotted_out():
    got = error_from_response(
        403,
        "SignatureDoesNotMatch",
        "m",
        fields={
            "StringToSign": "PUT\n\nx-oss-security-token:tok1\n/b/k?security-token=tok2&uploads",
            "CanonicalRequest": "x-oss-security-token:tok3\n",
            "StringToSignBytes": "74 6f 6b",
        },
    )
    text = repr(got.fields)
    assert "tok" not in text.replace("token", "").replace("StringToSign", "")
    assert "StringToSignBytes" not in got.fields
    assert got.fields["StringToSign"].endswith("security-token=***&uploads")


def test_advice_uses_what_the_answer_says():
    wrong_endpoint = error_from_response(
        403, "AccessDenied", "m", fields={"Endpoint": "oss-cn-beijing.aliyuncs.com"}
    )
    assert "oss-cn-beijing.aliyuncs.com" in wrong_endpoint.advice
    skewed = error_from_response(
        403, "RequestTimeTooSkewed", "m", fields={"ServerTime": "2026-11-22T14:53:27.000Z"}
    )
    assert "2026-11-22T14:53:27.000Z" in skewed.advice


@pytest.mark.parametrize(
    "code",
    [
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId",
        "RequestTimeTooSkewed",
        "AccessDenied",
        "NoSuchBucket",
        "SecondLevelDomainForbidden",
        "NoSuchUpload",
        "EntityTooSmall",
        "PositionNotEqualToLength",
    ],
)
def test_common_errors_say_what_to_do_next(code):
    advice = error_from_response(ERROR_CODES[code].status, code, "m").advice
    assert advice
    assert "\n" not in advice


def test_only_failures_that_pass_are_retryable():
    assert retryable(503, "ServiceUnavailable")
    assert retryable(500)
    assert retryable(429)
    assert retryable(400, "RequestTimeout")
    assert not retryable(501)
    assert not retryable(404, "NoSuchKey")
    assert not retryable(403, "RequestTimeTooSkewed")
    assert not retryable(409, "PartAlreadyExist")


def test_every_retryable_code_fits_its_status():
    for code, entry in ERROR_CODES.items():
        assert not (entry.status >= 500 and not entry.retryable), code


def test_a_fault_of_an_unknown_code_is_a_mistake_of_the_caller():
    with pytest.raises(KeyError):
        fault("NoSuchThing")
