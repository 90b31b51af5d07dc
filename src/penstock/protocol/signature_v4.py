"""
Signatures of version 4 (``OSS4-HMAC-SHA256``), made and checked, in headers and in signed URLs.

Canonical request and string to sign are as the OSS documentation describes them ("Include a V4 signature in
the header", "... in a URL"). The bucket is always part of the signed path, and the payload is never hashed:
``UNSIGNED-PAYLOAD`` stands in its place, and OSS accepts nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import dates
from penstock.protocol.error_table import fault
from penstock.protocol.limits import MAX_CLOCK_SKEW_S, MAX_PRESIGN_V4_S
from penstock.protocol.percent import Query, encode
from penstock.protocol.signing import (
    OSS_HEADER_PREFIX,
    SECURITY_TOKEN_HEADER,
    Credentials,
    bad_authorization,
    check_clock,
    expired,
    mismatch,
    resource_path,
    signed_twice,
)

ALGORITHM: Final = "OSS4-HMAC-SHA256"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"

_TERMINATOR: Final = "aliyun_v4_request"
_ALWAYS_SIGNED: Final = frozenset({"content-type", "content-md5"})
_NONE: Final[frozenset[str]] = frozenset()


def authorization_v4(
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    query: Query,
    headers: Mapping[str, str],
    credentials: Credentials,
    region: str,
    signed_at: int,
    product: str = "oss",
    additional_headers: frozenset[str] = _NONE,
) -> dict[str, str]:
    """
    Give the headers that sign a request, to be added to its own.

    Args:
        method: HTTP method in upper case.
        bucket: None for a request about the service.
        key: None for a request about the bucket.
        query: Decoded names and values, in any order.
        headers: Names in lower case; ``content-type``, ``content-md5`` and ``x-oss-*`` are signed.
        credentials: Whose request it is.
        region: Region id without ``oss-``.
        signed_at: Unix seconds; OSS allows 15 minutes on either side.
        product: The service that is spoken to.
        additional_headers: Names in lower case of further headers to sign, such as ``host``.

    Returns:
        ``x-oss-date``, ``x-oss-content-sha256``, ``authorization``, and with temporary keys
        ``x-oss-security-token``.
    """
    time = dates.to_iso_basic(signed_at)
    added = {"x-oss-date": time, "x-oss-content-sha256": UNSIGNED_PAYLOAD}
    if credentials.security_token:
        added[SECURITY_TOKEN_HEADER] = credentials.security_token
    extra = _additional(additional_headers, headers) if additional_headers else ()
    request = _canonical_request(method, resource_path(bucket, key), query, {**headers, **added}, extra)
    date = time[:8]
    scope = f"{date}/{region}/{product}/{_TERMINATOR}"
    signature = _signature(
        credentials.access_key_secret, date, region, product, _string_to_sign(time, scope, request)
    )
    named = f",AdditionalHeaders={';'.join(extra)}" if extra else ""
    added["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{scope}{named},Signature={signature}"
    )
    return added


def presigned_query_v4(
    *,
    method: str,
    bucket: str | None,
    key: str | None,
    query: Query,
    headers: Mapping[str, str],
    credentials: Credentials,
    region: str,
    signed_at: int,
    expires_s: int,
    product: str = "oss",
    additional_headers: frozenset[str] = _NONE,
) -> list[tuple[str, str]]:
    """
    Give the query parameters that sign a URL, to be added to its own.

    Args are those of `authorization_v4`; whoever uses the URL must send `headers` as they are given here.
    `expires_s` is how long it is good for, counted from `signed_at`.

    Raises:
        InvalidInput: `expires_s` is not between 1 second and 7 days.
    """
    if not 1 <= expires_s <= MAX_PRESIGN_V4_S:
        raise InvalidInput(
            f"A URL cannot be signed for {expires_s:,} seconds",
            advice=f"1 to {MAX_PRESIGN_V4_S:,} seconds (7 days) are possible.",
        )
    time = dates.to_iso_basic(signed_at)
    scope = f"{time[:8]}/{region}/{product}/{_TERMINATOR}"
    added = [
        ("x-oss-signature-version", ALGORITHM),
        ("x-oss-credential", f"{credentials.access_key_id}/{scope}"),
        ("x-oss-date", time),
        ("x-oss-expires", str(expires_s)),
    ]
    extra = _additional(additional_headers, headers)
    if extra:
        added.append(("x-oss-additional-headers", ";".join(extra)))
    if credentials.security_token:
        added.append((SECURITY_TOKEN_HEADER, credentials.security_token))
    request = _canonical_request(method, resource_path(bucket, key), [*query, *added], headers, extra)
    string_to_sign = _string_to_sign(time, scope, request)
    signature = _signature(credentials.access_key_secret, time[:8], region, product, string_to_sign)
    return [*added, ("x-oss-signature", signature)]


@dataclass(frozen=True, slots=True)
class PresentedV4:
    """
    A signature as it came with a request, read but not yet believed.

    Attributes:
        access_key_id: Who is said to ask.
        date: ``20261122``, of the scope.
        region: Region id of the scope.
        product: Service of the scope.
        time_text: The time as it stands in the string to sign.
        signed_at: The same in unix seconds.
        additional_headers: Names of further signed headers, in lower case and sorted.
        signature: 64 hexadecimal characters, if it is one.
        expires_s: How long a signed URL is good for; None for a signature in the header.
        security_token: As sent; None where there is none.
    """

    access_key_id: str
    date: str
    region: str
    product: str
    time_text: str
    signed_at: int
    additional_headers: tuple[str, ...]
    signature: str
    expires_s: int | None
    security_token: str | None


def parse_v4(query: Query, headers: Mapping[str, str]) -> PresentedV4 | None:
    """
    Read the V4 signature of a request; None if it carries none of this version.

    Raises:
        ServiceError: InvalidArgument or AccessDenied, with the EC of OSS, if it is there but incomplete,
            malformed, or there twice.
    """
    in_header = headers.get("authorization", "")
    in_query = any(name == "x-oss-signature-version" and value == ALGORITHM for name, value in query)
    if in_query:
        if in_header:
            raise signed_twice()
        return _parse_query(dict(query))
    if in_header.startswith(ALGORITHM):
        if any(name in ("x-oss-signature", "Signature") for name, _ in query):
            raise signed_twice()
        return _parse_header(in_header, headers)
    return None


def check_v4(
    presented: PresentedV4,
    secret: str,
    *,
    method: str,
    path: str,
    query: Query,
    headers: Mapping[str, str],
    now: int,
    region: str | None = None,
) -> None:
    """
    Refuse a request whose signature is not that of the secret, or whose time is over.

    Args:
        presented: What `parse_v4` read from the same query and headers.
        secret: The secret of ``presented.access_key_id``.
        method: HTTP method in upper case.
        path: Decoded path with the bucket in front, as the client wrote it: `resource_path`, or what
            `penstock.protocol.endpoint.split_target` found (``/bucket`` and ``/bucket/`` differ).
        query: All parameters of the request, decoded.
        headers: All headers, names in lower case, values decoded as UTF-8.
        now: Unix seconds.
        region: The region that this must be; None accepts any.

    Raises:
        ServiceError: SignatureDoesNotMatch, RequestTimeTooSkewed, AccessDenied (a URL too early or too
            late), or InvalidArgument (another region).
    """
    if region is not None and presented.region != region:
        what = "Authorization header" if presented.expires_s is None else "x-oss-credential"
        ec = "0002-00000226" if presented.expires_s is None else "0002-00000228"
        raise fault("InvalidArgument", message=f"Invalid signing region in {what}.", ec=ec, Region=region)
    if presented.expires_s is None:
        check_clock(presented.signed_at, presented.time_text, now)
    elif presented.signed_at > now + MAX_CLOCK_SKEW_S:
        raise fault(
            "AccessDenied",
            message="Request is not valid yet.",
            ec="0002-00000235",
            RequestTime=presented.time_text,
            ServerTime=dates.to_iso(now),
        )
    elif now > presented.signed_at + presented.expires_s:
        raise expired(presented.signed_at + presented.expires_s, now)
    signed_query = [pair for pair in query if pair[0] != "x-oss-signature"] if presented.expires_s else query
    request = _canonical_request(method, path, signed_query, headers, presented.additional_headers)
    scope = f"{presented.date}/{presented.region}/{presented.product}/{_TERMINATOR}"
    string_to_sign = _string_to_sign(presented.time_text, scope, request)
    expected = _signature(secret, presented.date, presented.region, presented.product, string_to_sign)
    if not hmac.compare_digest(expected.encode(), presented.signature.encode("utf-8", "replace")):
        raise mismatch(presented.access_key_id, string_to_sign, presented.signature, request)


def form_signature_v4(secret: str, credential: str, policy: str) -> tuple[str, str]:
    """
    Give the access key id and the signature of a form whose fields are these.

    Args:
        secret: Of the access key.
        credential: Field ``x-oss-credential``: ``id/date/region/oss/aliyun_v4_request``.
        policy: Field ``policy``, in base64 as it is sent.

    Raises:
        ServiceError: The credential is not one.
    """
    access_key_id, date, region, product = _parse_credential(credential, credential, "")
    return access_key_id, _signature(secret, date, region, product, policy)


def _canonical_request(
    method: str, path: str, query: Query, headers: Mapping[str, str], additional: Iterable[str]
) -> str:
    canonical_query = ""
    if query:
        pairs = sorted([(encode(name), encode(value) if value else "") for name, value in query])
        canonical_query = "&".join([f"{name}={value}" if value else name for name, value in pairs])
    signed = sorted(
        [
            name
            for name in headers
            if name[:6] == OSS_HEADER_PREFIX or name in _ALWAYS_SIGNED or name in additional
        ]
    )
    canonical_headers = "".join([f"{name}:{headers[name].strip()}\n" for name in signed])
    return (
        f"{method}\n{encode(path, keep_slash=True)}\n{canonical_query}\n{canonical_headers}\n"
        f"{';'.join(additional)}\n{UNSIGNED_PAYLOAD}"
    )


def _string_to_sign(time_text: str, scope: str, canonical_request: str) -> str:
    digest = hashlib.sha256(canonical_request.encode("utf-8", "replace")).hexdigest()
    return f"{ALGORITHM}\n{time_text}\n{scope}\n{digest}"


def _signature(secret: str, date: str, region: str, product: str, string_to_sign: str) -> str:
    keyed_inner, keyed_outer = _keyed_hashes(secret, date, region, product)
    inner = keyed_inner.copy()
    inner.update(string_to_sign.encode("utf-8", "replace"))
    outer = keyed_outer.copy()
    outer.update(inner.digest())
    return outer.hexdigest()


@lru_cache(maxsize=64)
def _keyed_hashes(secret: str, date: str, region: str, product: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    """
    Both hashes of HMAC-SHA256 with the key of a day already in them.

    Copying them is three times as quick as `hmac.digest`, which counts where objects are small.
    """
    key = f"aliyun_v4{secret}".encode()
    for step in (date, region, product, _TERMINATOR):
        key = hmac.digest(key, step.encode(), "sha256")
    padded = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))
    return inner, outer


def _additional(names: Iterable[str], headers: Mapping[str, str]) -> tuple[str, ...]:
    """The further headers that are there to be signed, without those that are signed anyway."""
    return tuple(
        sorted(name for name in {name.lower() for name in names} if name in headers and _is_extra(name))
    )


def _is_extra(name: str) -> bool:
    return name not in _ALWAYS_SIGNED and not name.startswith(OSS_HEADER_PREFIX)


def _parse_header(text: str, headers: Mapping[str, str]) -> PresentedV4:
    parts: dict[str, str] = {}
    for piece in text[len(ALGORITHM) :].split(","):
        name, _, value = piece.strip().partition("=")
        parts[name] = value
    if not parts.get("Signature"):
        raise bad_authorization("Missing Signature in Authorization header.", text)
    if not parts.get("Credential"):
        raise bad_authorization("Missing Credential in Authorization header.", text, "0002-00000223")
    if headers.get("x-oss-content-sha256") != UNSIGNED_PAYLOAD:
        raise fault(
            "InvalidArgument",
            message="Invalid x-oss-content-sha256.",
            ec="0002-00000214",
            ArgumentName="x-oss-content-sha256",
            ArgumentValue=headers.get("x-oss-content-sha256", ""),
        )
    access_key_id, date, region, product = _parse_credential(parts["Credential"], text, "0002-00000224")
    # Some clients send no x-oss-date; then the Date header stands in the string to sign, as it came.
    time_text = headers.get("x-oss-date") or headers.get("date", "")
    return PresentedV4(
        access_key_id=access_key_id,
        date=date,
        region=region,
        product=product,
        time_text=time_text,
        signed_at=_signed_at(time_text, date, text),
        additional_headers=_parse_additional(parts.get("AdditionalHeaders"), text),
        signature=parts["Signature"],
        expires_s=None,
        security_token=headers.get(SECURITY_TOKEN_HEADER),
    )


def _parse_query(query: Mapping[str, str | None]) -> PresentedV4:
    def required(name: str, ec: str = "") -> str:
        value = query.get(name)
        if not value:
            raise fault("InvalidArgument", message=f"Missing {name} in the query.", ec=ec, ArgumentName=name)
        return value

    credential = required("x-oss-credential", "0002-00000217")
    expires = required("x-oss-expires", "0002-00000215")
    signature = required("x-oss-signature")
    time_text = query.get("x-oss-date") or ""
    if not (
        expires.isascii()
        and expires.isdecimal()
        and len(expires) <= 6
        and 1 <= int(expires) <= MAX_PRESIGN_V4_S
    ):
        raise fault(
            "InvalidArgument",
            message=f"x-oss-expires must be between 1 and {MAX_PRESIGN_V4_S} seconds.",
            ec="0002-00000216",
            ArgumentName="x-oss-expires",
            ArgumentValue=expires[:64],
        )
    access_key_id, date, region, product = _parse_credential(credential, credential, "0002-00000217")
    return PresentedV4(
        access_key_id=access_key_id,
        date=date,
        region=region,
        product=product,
        time_text=time_text,
        signed_at=_signed_at(time_text, date, credential),
        additional_headers=_parse_additional(query.get("x-oss-additional-headers"), credential),
        signature=signature,
        expires_s=int(expires),
        security_token=query.get(SECURITY_TOKEN_HEADER),
    )


def _parse_credential(credential: str, text: str, ec: str) -> tuple[str, str, str, str]:
    pieces = credential.split("/")
    if len(pieces) == 5 and not pieces[2]:
        raise bad_authorization("The signing region in credential is invalid.", text, ec)
    if len(pieces) != 5 or not all(pieces):
        raise bad_authorization(
            "The credential is not of the form id/date/region/oss/aliyun_v4_request.", text, ec
        )
    access_key_id, date, region, product, terminator = pieces
    if terminator != _TERMINATOR:
        raise bad_authorization(f"The credential does not end in {_TERMINATOR}.", text, "0002-00000213")
    return access_key_id, date, region, product


def _parse_additional(named: str | None, text: str) -> tuple[str, ...]:
    if named is None:
        return ()
    if not named:
        raise bad_authorization("The list of additional headers is empty.", text, "0002-00000209")
    names = named.lower().split(";")
    if not all(names):
        raise bad_authorization("The list of additional headers has an empty name.", text, "0002-00000210")
    return tuple(sorted({name for name in names if _is_extra(name)}))


def _signed_at(time_text: str, scope_date: str, text: str) -> int:
    if not time_text:
        raise _date_missing("0002-00000502")
    try:
        signed_at = dates.from_iso_basic(time_text) if time_text[:1].isdigit() else dates.from_http(time_text)
    except InvalidInput:
        raise _date_missing("0002-00000503") from None
    if dates.to_iso_basic(signed_at)[:8] != scope_date:
        raise bad_authorization(
            "The date of the credential is not that of the request.", text, "0002-00000212"
        )
    return signed_at


def _date_missing(ec: str) -> ServiceError:
    return fault("AccessDenied", message="OSS authentication requires a valid Date.", ec=ec)
