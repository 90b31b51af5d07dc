"""Uploads by the forms of browsers: how forms are read, who may send them, what is answered."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from server_desk import NOW, Answer, Desk, read

from penstock.errors import ServiceError
from penstock.protocol import dates
from penstock.protocol.signature_v1 import form_signature_v1
from penstock.protocol.signature_v4 import form_signature_v4
from penstock.server.form import FormReader
from penstock.server.http.request import Request

BOUNDARY = "----b0undary"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(fields: Mapping[str, str], file: bytes | None, name: str = "C:\\dir\\cat.jpg") -> bytes:
    pieces = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    if file is not None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        pieces.append(f"{head}Content-Type: image/jpeg\r\n\r\n".encode() + file + b"\r\n")
    return b"".join([*pieces, f"--{BOUNDARY}--\r\n".encode()])


def signed(
    *conditions: object, key: str = "a/${filename}", v4: bool = False, **fields: str
) -> dict[str, str]:
    document = {"expiration": dates.to_iso(NOW + 600), "conditions": list(conditions)}
    policy = base64.b64encode(json.dumps(document).encode()).decode()
    found = {"key": key, "policy": policy, **fields}
    if v4:
        day = dates.to_iso_basic(NOW)[:8]
        credential = f"ak/{day}/cn-hangzhou/oss/aliyun_v4_request"
        return found | {
            "x-oss-signature-version": "OSS4-HMAC-SHA256",
            "x-oss-credential": credential,
            "x-oss-date": dates.to_iso_basic(NOW),
            "x-oss-signature": form_signature_v4("sk", credential, policy)[1],
        }
    return found | {"OSSAccessKeyId": "ak", "Signature": form_signature_v1("sk", policy)}


def post(desk: Desk, body: bytes, content_type: str = TYPE) -> Answer:
    headers = {"host": desk.host, "content-type": content_type, "content-length": str(len(body))}
    return read(desk.app.handle(Request("POST", "/photos/", "", headers, len(body)), body))


@pytest.mark.parametrize("v4", [False, True])
def test_a_signed_form_makes_an_object(bucket: Desk, v4: bool) -> None:
    data = b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\njpeg" * 10_000
    fields = signed({"bucket": "photos"}, ["starts-with", "$key", "a/"], v4=v4, **{"x-oss-meta-kind": "cat"})
    answer = post(bucket, form(fields, data))
    assert (answer.status, answer.body) == (204, b"")
    head = bucket("HEAD", "/photos/a/cat.jpg").headers
    assert answer.headers["etag"] == head["etag"]
    assert (head["content-type"], head["x-oss-meta-kind"]) == ("image/jpeg", "cat")
    assert bucket("GET", "/photos/a/cat.jpg").body == data


def test_the_answer_is_as_the_form_asks(bucket: Desk) -> None:
    assert post(bucket, form(signed(success_action_status="200"), b"x")).status == 200
    made = post(bucket, form(signed(success_action_status="201"), b"x"))
    assert (made.status, made.element("Key"), made.element("Bucket")) == (201, "a/cat.jpg", "photos")
    assert made.element("Location") == "http://127.0.0.1:9000/photos/a/cat.jpg"
    moved = post(bucket, form(signed(success_action_redirect="http://example.com/done?x=1"), b"x"))
    assert moved.status == 303
    assert moved.headers["location"].startswith("http://example.com/done?x=1&bucket=photos&key=a%2Fcat.jpg")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (signed({"bucket": "videos"}), "AccessDenied"),
        (signed(["starts-with", "$key", "b/"]), "AccessDenied"),
        (signed(["in", "$content-type", ["image/png"]]), "AccessDenied"),
        (signed(["not-in", "$content-type", ["image/jpeg"]]), "AccessDenied"),
        (signed(["content-length-range", 100, 200]), "EntityTooSmall"),
        (signed(["content-length-range", 0, 1]), "EntityTooLarge"),
        (signed(["about", "$key", "x"]), "InvalidPolicyDocument"),
        (signed() | {"Signature": "wrong"}, "SignatureDoesNotMatch"),
        (signed() | {"OSSAccessKeyId": "none"}, "InvalidAccessKeyId"),
        (signed(key=""), "MissingArgument"),
        (signed(key="/a"), "InvalidObjectName"),
        ({"key": "a"}, "AccessDenied"),
        (signed(**{"x-oss-object-acl": "all"}), "InvalidArgument"),
    ],
)
def test_a_form_that_is_not_allowed_stores_nothing(bucket: Desk, fields: dict[str, str], code: str) -> None:
    assert post(bucket, form(fields, b"data")).code == code
    assert "<Key>" not in bucket("GET", "/photos/").body.decode()


def test_a_form_expires(bucket: Desk) -> None:
    fields = signed()
    bucket.clock[0] += 601
    answer = post(bucket, form(fields, b"x"))
    assert (answer.status, answer.element("Message")) == (403, "Invalid according to Policy: Policy expired.")


def test_anybody_may_post_where_anybody_may_write(bucket: Desk) -> None:
    bucket("PUT", "/photos/?acl", **{"x-oss-acl": "public-read-write"})
    assert post(bucket, form({"key": "a"}, b"x")).status == 204


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        (form(signed(), None), TYPE, "IncorrectNumberOfFilesInPOSTRequest"),
        (form(signed(), b"x"), "application/octet-stream", "RequestIsNotMultiPartContent"),
        (b"nonsense" * 20, TYPE, "MalformedPOSTRequest"),
        (form(signed(), b"x" * 100)[:-60], TYPE, "MalformedPOSTRequest"),
        (form(signed(**{"x-oss-meta-a": "x" * 70_000}), b"x"), TYPE, "FieldItemTooLong"),
    ],
)
def test_what_is_not_a_form_is_refused(bucket: Desk, body: bytes, content_type: str, code: str) -> None:
    assert post(bucket, body, content_type).code == code
    assert "<Key>" not in bucket("GET", "/photos/").body.decode()


@given(
    file=st.lists(
        st.sampled_from([b"\r\n", b"--", BOUNDARY.encode(), b"x", b"\r\n--" + BOUNDARY.encode()[:5]])
    ),
    cuts=st.lists(st.integers(1, 50), min_size=1),
)
@settings(deadline=None)
def test_a_form_means_the_same_however_it_is_cut(file: list[bytes], cuts: list[int]) -> None:
    data = b"".join(file).replace(b"\r\n--" + BOUNDARY.encode(), b"")
    body, seen = form({"Key": "k"}, data), []
    reader = FormReader(TYPE, lambda fields: seen.append(dict(fields)))
    received, at, turn = b"", 0, 0
    while at < len(body):
        size = cuts[turn % len(cuts)]
        received += reader.feed(body[at : at + size])
        at, turn = at + size, turn + 1
    assert received == data
    assert reader.complete
    assert seen == [{"key": "k", "content-type": "image/jpeg", "${filename}": "cat.jpg"}]


@given(st.binary(max_size=300))
@settings(deadline=None)
def test_no_bytes_break_the_reader_of_forms(data: bytes) -> None:
    reader = FormReader(TYPE, lambda _: None)
    with contextlib.suppress(ServiceError):
        reader.feed(f"--{BOUNDARY}\r\n".encode() + data)
