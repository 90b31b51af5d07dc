"""
Refusals as the official SDKs' own tests expect them: status, code, message and fine-grained code.

Each is provoked at the server; what a HEAD is refused with says the same in a header.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import pytest
from server_desk import KEYS, Answer, Desk

from penstock.protocol.signing import Credentials

NO_BUCKET = "The specified bucket does not exist."
NO_KEY = "The specified key does not exist."
NO_UPLOAD = (
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
    "or completed."
)
NO_ACCESS_KEY = "The OSS Access Key Id you provided does not exist in our records."
BAD_XML = "The XML you provided was not well-formed or did not validate against our published schema."
MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your key "
    "and signing method."
)
UPLOAD_ID = "0" * 32
PART = b"<Part><PartNumber>1</PartNumber><ETag>E</ETag></Part>"
COMPLETION = b"<CompleteMultipartUpload>%b</CompleteMultipartUpload>" % PART


@dataclass(frozen=True)
class Expected:
    """What is asked, and what is to be answered."""

    method: str
    target: str
    status: int
    code: str
    message: str
    ec: str
    body: bytes = b""
    headers: Mapping[str, str] | None = None
    before: Callable[[Desk], object] = lambda desk: None
    keys: Credentials | None = KEYS

    def ask(self, desk: Desk) -> Answer:
        self.before(desk)
        return desk(self.method, self.target, self.body, keys=self.keys, **(self.headers or {}))


def put(key: str, **headers: str) -> Callable[[Desk], Answer]:
    return lambda desk: desk("PUT", f"/photos/{key}", b"x", **headers)


def restored(desk: Desk) -> None:
    desk("PUT", "/photos/a", b"x", **{"x-oss-storage-class": "Archive"})
    desk("POST", "/photos/a?restore")


def requester_pays(desk: Desk) -> None:
    desk("PUT", "/photos/a", b"x", **{"x-oss-object-acl": "public-read"})
    document = b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"
    desk("PUT", "/photos/?requestPayment", document)


CALLBACK = {
    "x-oss-callback": base64.b64encode(
        json.dumps({"callbackUrl": "http://127.0.0.1:9/", "callbackBody": "x"}).encode()
    ).decode()
}
LIFECYCLE = (
    b"<LifecycleConfiguration><Rule><ID>r</ID><Prefix></Prefix><Status>Enabled</Status>"
    b"<Expiration><CreatedBeforeDate>2026-01-01T00:00:00.000Z</CreatedBeforeDate></Expiration>"
    b"<Transition><Days>1</Days><StorageClass>IA</StorageClass></Transition></Rule></LifecycleConfiguration>"
)
EXPECTED = [
    Expected("GET", "/none-such/", 404, "NoSuchBucket", NO_BUCKET, "0015-00000101"),
    Expected("GET", "/none-such/a", 404, "NoSuchBucket", NO_BUCKET, "0015-00000101"),
    Expected("PUT", "/none-such/a", 404, "NoSuchBucket", NO_BUCKET, "0015-00000101", b"x"),
    Expected("DELETE", "/none-such/", 404, "NoSuchBucket", NO_BUCKET, "0015-00000101"),
    Expected("GET", "/none-such/?lifecycle", 404, "NoSuchBucket", NO_BUCKET, "0015-00000101"),
    Expected("GET", "/photos/none", 404, "NoSuchKey", NO_KEY, "0026-00000001"),
    Expected("GET", "/photos/none?acl", 404, "NoSuchKey", NO_KEY, "0026-00000001"),
    Expected(
        "DELETE",
        "/photos/",
        409,
        "BucketNotEmpty",
        "The bucket has objects. Please delete them first.",
        "0015-00000301",
        before=put("a"),
    ),
    Expected("DELETE", f"/photos/a?uploadId={UPLOAD_ID}", 404, "NoSuchUpload", NO_UPLOAD, "0042-00000002"),
    Expected("GET", f"/photos/a?uploadId={UPLOAD_ID}", 404, "NoSuchUpload", NO_UPLOAD, "0042-00000002"),
    Expected(
        "PUT",
        f"/photos/a?partNumber=1&uploadId={UPLOAD_ID}",
        404,
        "NoSuchUpload",
        NO_UPLOAD,
        "0042-00000104",
        b"x",
    ),
    Expected(
        "PUT",
        f"/photos/a?partNumber=1&uploadId={UPLOAD_ID}",
        404,
        "NoSuchUpload",
        NO_UPLOAD,
        "0042-00000311",
        headers={"x-oss-copy-source": "/photos/b"},
        before=put("b"),
    ),
    Expected(
        "POST",
        f"/photos/a?uploadId={UPLOAD_ID}",
        404,
        "NoSuchUpload",
        NO_UPLOAD,
        "0042-00000203",
        COMPLETION,
    ),
    Expected(
        "POST", f"/photos/a?uploadId={UPLOAD_ID}", 400, "MalformedXML", BAD_XML, "0042-00000205", b"<x>"
    ),
    Expected(
        "POST",
        f"/photos/a?uploadId={UPLOAD_ID}",
        400,
        "InvalidArgument",
        "Should not speficy both complete all header and http body.",
        "0042-00000216",
        COMPLETION,
        {"x-oss-complete-all": "yes"},
    ),
    Expected(
        "POST",
        "/photos/?delete",
        400,
        "MalformedXML",
        BAD_XML,
        "0016-00000608",
        b"<x>",
        {"content-md5": base64.b64encode(hashlib.md5(b"<x>").digest()).decode()},
    ),
    Expected(
        "POST",
        "/photos/a?append&position=5",
        409,
        "PositionNotEqualToLength",
        "Position is not equal to file length",
        "0026-00000016",
        b"x",
        before=lambda desk: desk("POST", "/photos/a?append&position=0", b"xy"),
    ),
    Expected(
        "GET",
        "/photos/",
        403,
        "InvalidAccessKeyId",
        NO_ACCESS_KEY,
        "0002-00000902",
        keys=Credentials("nobody", "secret"),
    ),
    Expected(
        "GET",
        "/photos/",
        403,
        "SignatureDoesNotMatch",
        MISMATCH,
        "0002-00000040",
        keys=Credentials("ak", "wrong"),
    ),
    Expected(
        "GET",
        "/photos/a",
        403,
        "AccessDenied",
        "Access denied for requester pay bucket",
        "0003-00000703",
        before=requester_pays,
        keys=Credentials("other", "other-account-secret"),
    ),
    Expected(
        "POST",
        "/photos/a?restore",
        409,
        "RestoreAlreadyInProgress",
        "The restore operation is in progress.",
        "",
        before=restored,
    ),
    Expected(
        "POST",
        "/photos/a?cleanRestoredObject",
        409,
        "ArchiveRestoreNotFinished",
        "The archive file's restore is not finished.",
        "0016-00000719",
        before=restored,
    ),
    Expected(
        "POST",
        "/photos/a?restore",
        400,
        "OperationNotSupported",
        "The operation is not supported for this resource",
        "0016-00000702",
        before=put("a"),
    ),
    Expected(
        "PUT",
        "/photos/?acl",
        400,
        "InvalidArgument",
        "no such bucket access control exists",
        "",
        headers={"x-oss-acl": "nonsense"},
    ),
    Expected(
        "PUT",
        "/photos/?lifecycle",
        400,
        "InvalidRequest",
        "Found mixed CreatedBeforeDate and Days based Expiration and Transition for StorageClass IA actions",
        "0014-00000080",
        LIFECYCLE,
    ),
    Expected("GET", "/photos/?lifecycle", 404, "NoSuchLifecycle", "No Row found in Lifecycle Table.", ""),
    Expected(
        "PATCH",
        "/photos/a",
        405,
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        "0003-00000016",
    ),
]
HEADS = [one for one in EXPECTED if one.method == "GET" and one.target.endswith(("/a", "/none"))]


@pytest.mark.parametrize(
    "expected", EXPECTED, ids=lambda one: f"{one.code} {one.ec} {one.method} {one.target[:30]}"
)
def test_a_refusal_is_worded_as_clients_expect_it(bucket: Desk, expected: Expected) -> None:
    answer = expected.ask(bucket)
    assert (answer.status, answer.code) == (expected.status, expected.code)
    assert answer.element("Message") == expected.message
    assert answer.element("EC") == expected.ec
    assert answer.headers.get("x-oss-ec", "") == expected.ec


def test_a_bucket_of_somebody_else_cannot_be_made(bucket: Desk) -> None:
    answer = bucket("PUT", "/photos/", keys=Credentials("other", "other-account-secret"))
    assert (answer.status, answer.code, answer.element("EC")) == (409, "BucketAlreadyExists", "0015-00000104")
    assert answer.element("Message") == (
        "The requested bucket name is not available. The bucket namespace is shared by all users of the "
        "system. Please select a different name and try again."
    )


def test_a_clock_that_is_off_is_told_so(bucket: Desk) -> None:
    answer = bucket("GET", "/photos/", signed_at=int(bucket.clock[0]) - 901)
    assert (answer.status, answer.code, answer.element("EC")) == (
        403,
        "RequestTimeTooSkewed",
        "0002-00000504",
    )
    message = "The difference between the request time and the current time is too large."
    assert answer.element("Message") == message


@pytest.mark.parametrize("status", [301, 404, 502])
def test_the_status_of_a_failed_callback_is_told(bucket: Desk, status: int) -> None:
    service = replace(bucket.service, post=lambda url, headers, body, left_s: (status, b"{}"))
    bucket.app._service = service
    answer = bucket("PUT", "/photos/a", b"x", **CALLBACK)
    assert (answer.status, answer.code, answer.element("EC")) == (203, "CallbackFailed", "0007-00000203")
    assert answer.element("Message") == f"Error status : {status}."


@pytest.mark.parametrize("expected", HEADS)
def test_a_refusal_of_head_is_that_of_get_in_a_header(bucket: Desk, expected: Expected) -> None:
    by_get = expected.ask(bucket)
    by_head = replace(expected, method="HEAD", before=lambda desk: None).ask(bucket)
    document = Answer(by_head.status, by_head.headers, base64.b64decode(by_head.headers["x-oss-err"]))
    assert (by_head.status, by_head.body) == (by_get.status, b"")
    assert by_head.headers["x-oss-ec"] == by_get.headers["x-oss-ec"] == expected.ec
    for name in ("Code", "Message", "EC", "HostId", "RecommendDoc"):
        assert document.element(name) == by_get.element(name)
    assert document.element("RequestId") == by_head.headers["x-oss-request-id"]
    assert by_get.element("RequestId") == by_get.headers["x-oss-request-id"]
