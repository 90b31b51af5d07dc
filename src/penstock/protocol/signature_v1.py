"""
Signatures of version 1 (``OSS id:base64``, HMAC-SHA1), made and checked, in headers and in signed URLs.

Some private clouds and older tools know no other. Only ``content-md5``, ``content-type``, the date,
``x-oss-*`` headers and the parameters of `SIGNED_PARAMETERS` are covered; all others can be changed on the
way, so use version 4 wherever it is understood.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from penstock.errors import InvalidInput
from penstock.protocol import dates
from penstock.protocol.error_table import fault
from penstock.protocol.percent import Query
from penstock.protocol.signing import (
    OSS_HEADER_PREFIX,
    SECURITY_TOKEN_HEADER,
    Credentials,
    bad_authorization,
    check_times,
    mismatch,
    resource_path,
    signed_twice,
)

# fmt: off
SIGNED_PARAMETERS: Final = frozenset({
    "accessPoint", "accessPointPolicy", "acl", "append", "asyncFetch", "bucketArchiveDirectRead",
    "bucketInfo", "callback", "callback-var", "cleanRestoredObject", "cloudboxes", "cname", "comp",
    "continuation-token", "cors", "dataPipeline", "delete", "encryption", "endTime", "group",
    "httpsConfig", "inventory", "inventoryId", "legalHold", "lifecycle", "link", "live", "location",
    "logging", "MetaQuery", "metaQuery", "objectInfo", "objectMeta", "objectWorm", "overwriteConfig",
    "partNumber", "policy", "policyStatus", "position", "publicAccessBlock", "qos", "qosInfo",
    "qosRequester", "redundancyTransition", "referer", "regionList", "replication",
    "replicationLocation", "replicationProgress", "requesterQosInfo", "requestPayment", "resourceGroup",
    "resourcePool", "resourcePoolBuckets", "resourcePoolInfo", "restore", "retention", "rtc", "seal",
    "security-token", "sequential", "startTime", "stat", "status", "style", "styleName", "symlink",
    "tagging", "transferAcceleration", "uploadId", "uploads", "userDefinedLogFieldsConfig", "versionId",
    "versioning", "versions", "vod", "website", "worm", "wormExtend", "wormId",
    "x-oss-ac-forward-allow", "x-oss-ac-source-ip", "x-oss-ac-subnet-mask", "x-oss-ac-vpc-id",
    "x-oss-access-point-name", "x-oss-async-process", "x-oss-process",
    "x-oss-redundancy-transition-taskid", "x-oss-request-payer", "x-oss-target-redundancy-type",
    "x-oss-traffic-limit", "x-oss-write-get-object-response", "response-cache-control",
    "response-content-disposition", "response-content-encoding", "response-content-language",
    "response-content-type", "response-expires",
})
# fmt: on
"""What the official SDKs sign, all of their lists together (C++, Python of both generations), and what each
call of theirs adds to them."""

_PREFIX: Final = "OSS "


def authorization_v1(
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    query: Query,
    headers: Mapping[str, str],
    credentials: Credentials,
    signed_at: int,
) -> dict[str, str]:
    """
    Give the headers that sign a request, to be added to its own.

    Args are those of `penstock.protocol.signature_v4.authorization_v4`.

    Returns:
        ``date``, ``authorization``, and ``x-oss-security-token`` with temporary keys.
    """
    added = {"date": dates.to_http(signed_at)}
    if credentials.security_token:
        added[SECURITY_TOKEN_HEADER] = credentials.security_token
    string_to_sign = _string_to_sign(
        method, added["date"], resource_path(bucket, key), query, {**headers, **added}
    )
    signature = _signature(credentials.access_key_secret, string_to_sign)
    added["authorization"] = f"{_PREFIX}{credentials.access_key_id}:{signature}"
    return added


def presigned_query_v1(
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    query: Query,
    headers: Mapping[str, str],
    credentials: Credentials,
    expires_at: int,
) -> list[tuple[str, str]]:
    """
    Give the query parameters that sign a URL until `expires_at` (unix seconds), to be added to its own.

    Whoever uses the URL must send `headers` as they are given here.
    """
    token = [("security-token", credentials.security_token)] if credentials.security_token else []
    string_to_sign = _string_to_sign(
        method, str(expires_at), resource_path(bucket, key), [*query, *token], headers
    )
    return [
        ("OSSAccessKeyId", credentials.access_key_id),
        ("Expires", str(expires_at)),
        *token,
        ("Signature", _signature(credentials.access_key_secret, string_to_sign)),
    ]


@dataclass(frozen=True, slots=True)
class PresentedV1:
    """
    A signature as it came with a request, read but not yet believed.

    Attributes:
        access_key_id: Who is said to ask.
        signature: Base64 of 20 bytes, if it is one.
        date_text: What stands in the line of the date: a date, or the unix seconds of a signed URL.
        signed_at: Unix seconds; None for a signed URL.
        expires_at: Unix seconds; None for a signature in the header.
        security_token: As sent; None where there is none.
    """

    access_key_id: str
    signature: str
    date_text: str
    signed_at: int | None
    expires_at: int | None
    security_token: str | None


def parse_v1(query: Query, headers: Mapping[str, str]) -> PresentedV1 | None:
    """
    Read the V1 signature of a request; None if it is not signed at all.

    To be asked after `penstock.protocol.signature_v4.parse_v4`, and after whatever else is understood:
    what is signed in a way that is not V1 is refused here.

    Raises:
        ServiceError: InvalidArgument (another kind of signature, or two of them) or AccessDenied
            (incomplete, or without a valid date).
    """
    given = dict(query)
    text = headers.get("authorization", "")
    if "Signature" in given or "OSSAccessKeyId" in given:
        if text:
            raise signed_twice()
        return _parse_query(given)
    if "x-oss-signature-version" in given or "x-oss-signature" in given:
        raise fault(
            "InvalidArgument",
            message="Unsupported signature version; OSS4-HMAC-SHA256, OSS2 and version 1 are understood.",
            ec="0002-00000002",
            ArgumentName="x-oss-signature-version",
            ArgumentValue=given.get("x-oss-signature-version") or "",
        )
    return _parse_header(text, headers) if text else None


def check_v1(
    presented: PresentedV1,
    secret: str,
    *,
    method: str,
    path: str,
    query: Query,
    headers: Mapping[str, str],
    now: int,
) -> None:
    """
    Refuse a request whose signature is not that of the secret, or whose time is over.

    Args are those of `penstock.protocol.signature_v4.check_v4`.

    Raises:
        ServiceError: SignatureDoesNotMatch, RequestTimeTooSkewed, or AccessDenied (a URL after its time).
    """
    check_times(presented.expires_at, presented.signed_at, presented.date_text, now)
    string_to_sign = _string_to_sign(method, presented.date_text, path, query, headers)
    expected = _signature(secret, string_to_sign)
    if not hmac.compare_digest(expected.encode(), presented.signature.encode("utf-8", "replace")):
        raise mismatch(presented.access_key_id, string_to_sign, presented.signature)


def _string_to_sign(method: str, date_text: str, path: str, query: Query, headers: Mapping[str, str]) -> str:
    oss_headers = sorted(name for name in headers if name.startswith(OSS_HEADER_PREFIX))
    header_lines = "".join([f"{name}:{headers[name].strip()}\n" for name in oss_headers])
    parameters = sorted((name, value or "") for name, value in query if name in SIGNED_PARAMETERS)
    signed_query = "&".join([f"{name}={value}" if value else name for name, value in parameters])
    resource = f"{path}?{signed_query}" if parameters else path
    return (
        f"{method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n{date_text}\n"
        f"{header_lines}{resource}"
    )


def form_signature_v1(secret: str, policy: str) -> str:
    """Give the field ``Signature`` of a form whose field ``policy`` is this, in base64 as it is sent."""
    return _signature(secret, policy)


def _signature(secret: str, string_to_sign: str) -> str:
    digest = hmac.digest(secret.encode(), string_to_sign.encode("utf-8", "replace"), "sha1")
    return base64.b64encode(digest).decode("ascii")


def _parse_header(text: str, headers: Mapping[str, str]) -> PresentedV1:
    if not text.startswith(_PREFIX):
        raise bad_authorization("Unsupported Authorization Type", text.partition(" ")[0], "0002-00000002")
    access_key_id, colon, signature = text[len(_PREFIX) :].strip().partition(":")
    if not colon or not access_key_id or not signature:
        raise bad_authorization("Authorization header is invalid.", text)
    date_text = headers.get("x-oss-date") or headers.get("date", "")
    try:
        signed_at = dates.from_http(date_text)
    except InvalidInput:
        raise fault("AccessDenied", message="OSS authentication requires a valid Date.") from None
    return PresentedV1(
        access_key_id=access_key_id,
        signature=signature,
        date_text=date_text,
        signed_at=signed_at,
        expires_at=None,
        security_token=headers.get(SECURITY_TOKEN_HEADER) or headers.get("security-token"),
    )


def _parse_query(query: Mapping[str, str | None]) -> PresentedV1:
    access_key_id, expires, signature = (
        query.get(name) or "" for name in ("OSSAccessKeyId", "Expires", "Signature")
    )
    if not (access_key_id and expires and signature):
        raise fault(
            "AccessDenied",
            message="Query-string authentication requires Signature, Expires and OSSAccessKeyId.",
        )
    if not (expires.isascii() and expires.isdecimal() and len(expires) <= 11):
        raise fault(
            "AccessDenied",
            message="Invalid date (should be seconds since epoch).",
            ec="0002-00000070",
            Expires=expires[:64],
        )
    return PresentedV1(
        access_key_id=access_key_id,
        signature=signature,
        date_text=expires,
        signed_at=None,
        expires_at=int(expires),
        security_token=query.get("security-token"),
    )
