"""What both versions of OSS signatures share: who signs, what is signed, and what a refusal says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from penstock.errors import ServiceError
from penstock.protocol import dates
from penstock.protocol.error_table import fault
from penstock.protocol.limits import MAX_CLOCK_SKEW_S


@dataclass(frozen=True, slots=True)
class Credentials:
    """
    An access key and its secret, which `repr` leaves out.

    Attributes:
        access_key_id: Public name of the key.
        access_key_secret: What signatures are made with; it is never sent.
        security_token: Sent along with temporary keys (STS); else None.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


OSS_HEADER_PREFIX: Final = "x-oss-"
SECURITY_TOKEN_HEADER: Final = "x-oss-security-token"  # noqa: S105 - a header's name


def resource_path(bucket: str | None = None, key: str | None = None) -> str:
    """
    Give the path that a signature covers, not encoded: ``/bucket/key``, ``/bucket/`` or ``/``.

    It is the same whether the bucket is in the host name or in the path of the request.
    """
    return f"/{bucket}/{key or ''}" if bucket else "/"


def check_clock(requested_at: int, requested_text: str, now: int) -> None:
    """Refuse a request whose time is more than 15 minutes away from `now` (RequestTimeTooSkewed)."""
    if abs(now - requested_at) > MAX_CLOCK_SKEW_S:
        raise fault(
            "RequestTimeTooSkewed",
            MaxAllowedSkewMilliseconds=MAX_CLOCK_SKEW_S * 1000,
            RequestTime=requested_text,
            ServerTime=dates.to_iso(now),
        )


def check_times(expires_at: int | None, signed_at: int | None, date_text: str, now: int) -> None:
    """Refuse a signed URL after its time, and a signed request that is too far from `now` (V1 and V2)."""
    if expires_at is not None and now > expires_at:
        raise expired(expires_at, now)
    if signed_at is not None:
        check_clock(signed_at, date_text, now)


def expired(expires_at: int, now: int) -> ServiceError:
    """Give the refusal of a signed URL after its time."""
    return fault(
        "AccessDenied",
        message="Request has expired.",
        Expires=dates.to_iso(expires_at),
        ServerTime=dates.to_iso(now),
    )


def mismatch(
    access_key_id: str, string_to_sign: str, provided: str, canonical_request: str | None = None
) -> ServiceError:
    """Give the refusal of a wrong signature, with all that whoever made it needs to compare."""
    fields: dict[str, Any] = {
        "OSSAccessKeyId": access_key_id,
        "SignatureProvided": provided,
        "StringToSign": string_to_sign,
        "StringToSignBytes": string_to_sign.encode("utf-8", "replace").hex(" ").upper(),
    }
    if canonical_request is not None:
        fields["CanonicalRequest"] = canonical_request
    return fault("SignatureDoesNotMatch", **fields)


def bad_authorization(message: str, value: str, ec: str = "") -> ServiceError:
    """Give the refusal of an ``Authorization`` header that cannot be understood."""
    return fault(
        "InvalidArgument", message=message, ec=ec, ArgumentName="Authorization", ArgumentValue=value[:1024]
    )


def signed_twice() -> ServiceError:
    """Give the refusal of a request that is signed in its header and in its query."""
    return fault(
        "InvalidArgument",
        message="Only one auth mechanism allowed: the query parameters or the Authorization header.",
        ArgumentName="Authorization",
    )
