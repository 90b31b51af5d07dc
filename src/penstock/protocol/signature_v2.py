"""
Signatures of version 2 (``OSS2 AccessKeyId:...``, HMAC-SHA256), checked in headers and in signed URLs.

Only older clients make them. All parameters are covered, and those headers that the signature names.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from penstock.errors import InvalidInput
from penstock.protocol import dates, percent
from penstock.protocol.error_table import fault
from penstock.protocol.percent import Query
from penstock.protocol.signing import (
    OSS_HEADER_PREFIX,
    SECURITY_TOKEN_HEADER,
    bad_authorization,
    check_times,
    mismatch,
    signed_twice,
)

VERSION: Final = "OSS2"
_PREFIX: Final = "OSS2 "
_SIGNATURE: Final = "x-oss-signature"


@dataclass(frozen=True, slots=True)
class PresentedV2:
    """
    A signature as it came with a request, read but not yet believed.

    Attributes:
        access_key_id: Who is said to ask.
        signature: Base64 of 32 bytes, if it is one.
        additional_headers: Names in lower case, sorted, of headers that are covered beside ``x-oss-*``.
        date_text: What stands in the line of the date: a date, or the unix seconds of a signed URL.
        signed_at: Unix seconds; None for a signed URL.
        expires_at: Unix seconds; None for a signature in the header.
        security_token: As sent; None where there is none.
    """

    access_key_id: str
    signature: str
    additional_headers: tuple[str, ...]
    date_text: str
    signed_at: int | None
    expires_at: int | None
    security_token: str | None


def parse_v2(query: Query, headers: Mapping[str, str]) -> PresentedV2 | None:
    """
    Read the V2 signature of a request; None if it has none of this version.

    Raises:
        ServiceError: InvalidArgument or AccessDenied: it is incomplete, or without a valid date.
    """
    given = dict(query)
    text = headers.get("authorization", "")
    if given.get("x-oss-signature-version") == VERSION:
        if text:
            raise signed_twice()
        return _parse_query(given)
    return _parse_header(text, headers) if text.startswith(_PREFIX) else None


def check_v2(
    presented: PresentedV2,
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
    string_to_sign = _string_to_sign(presented, method, path, query, headers)
    digest = hmac.digest(secret.encode(), string_to_sign.encode("utf-8", "replace"), "sha256")
    if not hmac.compare_digest(base64.b64encode(digest), presented.signature.encode("utf-8", "replace")):
        raise mismatch(presented.access_key_id, string_to_sign, presented.signature)


def _string_to_sign(
    presented: PresentedV2, method: str, path: str, query: Query, headers: Mapping[str, str]
) -> str:
    named = presented.additional_headers
    covered = sorted(name for name in headers if name.startswith(OSS_HEADER_PREFIX) or name in named)
    header_lines = "".join([f"{name}:{headers[name].strip()}\n" for name in covered])
    pairs = sorted(
        (percent.encode(name), percent.encode(value or "")) for name, value in query if name != _SIGNATURE
    )
    signed_query = "&".join([f"{name}={value}" if value else name for name, value in pairs])
    resource = f"{percent.encode(path)}?{signed_query}" if pairs else percent.encode(path)
    return (
        f"{method}\n{headers.get('content-md5', '')}\n{headers.get('content-type', '')}\n"
        f"{presented.date_text}\n{header_lines}{';'.join(named)}\n{resource}"
    )


def _parse_header(text: str, headers: Mapping[str, str]) -> PresentedV2:
    pieces = (piece.partition(":") for piece in text[len(_PREFIX) :].split(","))
    fields = {name.strip(): value.strip() for name, _, value in pieces}
    access_key_id, signature = fields.get("AccessKeyId", ""), fields.get("Signature", "")
    if not access_key_id or not signature:
        raise bad_authorization("Authorization header is invalid.", text)
    date_text = headers.get("x-oss-date") or headers.get("date", "")
    try:
        signed_at = dates.from_http(date_text)
    except InvalidInput:
        raise fault("AccessDenied", message="OSS authentication requires a valid Date.") from None
    return PresentedV2(
        access_key_id=access_key_id,
        signature=signature,
        additional_headers=_names(fields.get("AdditionalHeaders")),
        date_text=headers.get("date", ""),
        signed_at=signed_at,
        expires_at=None,
        security_token=headers.get(SECURITY_TOKEN_HEADER) or headers.get("security-token"),
    )


def _parse_query(query: Mapping[str, str | None]) -> PresentedV2:
    access_key_id, expires, signature = (
        query.get(name) or "" for name in ("x-oss-access-key-id", "x-oss-expires", _SIGNATURE)
    )
    if not (access_key_id and signature and expires.isascii() and expires.isdecimal() and len(expires) <= 11):
        raise fault(
            "AccessDenied",
            message="Query-string authentication requires x-oss-signature, x-oss-expires (unix seconds) "
            "and x-oss-access-key-id.",
        )
    return PresentedV2(
        access_key_id=access_key_id,
        signature=signature,
        additional_headers=_names(query.get("x-oss-additional-headers")),
        date_text=expires,
        signed_at=None,
        expires_at=int(expires),
        security_token=query.get("security-token"),
    )


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(sorted(filter(None, (text or "").lower().split(";"))))
