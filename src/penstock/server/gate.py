"""Who asks, and whether they may: signatures of both versions, access lists of buckets and objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.protocol.error_table import fault
from penstock.protocol.percent import Query
from penstock.protocol.signature_v1 import check_v1, parse_v1
from penstock.protocol.signature_v4 import check_v4, parse_v4

ANONYMOUS_READS = frozenset({"GetObject", "HeadObject", "GetObjectMeta", "GetSymlink"})
_ANONYMOUS_LISTS = frozenset({"ListObjects", "ListObjectsV2"})
_ANONYMOUS_WRITES = frozenset(
    {
        "PutObject",
        "AppendObject",
        "DeleteObject",
        "DeleteMultipleObjects",
        "InitiateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "ListParts",
    }
)
_READABLE = frozenset({"public-read", "public-read-write"})


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who asks.

    Attributes:
        access_key_id: Empty for those who did not sign.
    """

    access_key_id: str = ""

    @property
    def anonymous(self) -> bool:
        return not self.access_key_id


class Gate:
    """
    Knows the keys and lets their holders in.

    All keys belong to one account: whoever signs with any of them may do everything. Who does not sign
    may do what the access lists open to everybody.

    Args:
        users: Secret by access key id.
        region: The region that V4 signatures must name; None takes any.
        tokens: Security token by access key id, for temporary keys.
    """

    def __init__(
        self, users: Mapping[str, str], region: str | None = None, tokens: Mapping[str, str] | None = None
    ) -> None:
        self._users = dict(users)
        self._tokens = dict(tokens or {})
        self._region = region

    def identify(
        self, method: str, path: str, query: Query, headers: Mapping[str, str], now_s: float
    ) -> Caller:
        """
        Check the signature of a request, if it has one.

        Args:
            method: As it was sent.
            path: Decoded, with the bucket in front.
            query: Decoded.
            headers: By lower-case name.
            now_s: Unix time.

        Raises:
            ServiceError: With the code that OSS gives.
        """
        v4 = parse_v4(query, headers)
        v1 = parse_v1(query, headers) if v4 is None else None
        presented = v4 or v1
        if presented is None:
            return Caller()
        secret = self._users.get(presented.access_key_id)
        if secret is None:
            raise fault("InvalidAccessKeyId", OSSAccessKeyId=presented.access_key_id)
        if v4 is not None:
            check_v4(
                v4,
                secret,
                method=method,
                path=path,
                query=query,
                headers=headers,
                now=int(now_s),
                region=self._region,
            )
        elif v1 is not None:
            check_v1(v1, secret, method=method, path=path, query=query, headers=headers, now=int(now_s))
        if presented.security_token != self._tokens.get(presented.access_key_id):
            raise fault("InvalidSecurityToken")
        return Caller(presented.access_key_id)


def open_to_some(operation: str) -> bool:
    """Whether an object's own access list may open this call to everybody."""
    return operation in ANONYMOUS_READS or operation in _ANONYMOUS_WRITES


def authorize(operation: str, bucket_acl: str | None, object_acl: str = "default") -> None:
    """
    Refuse what an unsigned request may not do.

    Args:
        operation: Name of the call.
        bucket_acl: None where no bucket is concerned.
        object_acl: That of the object, if there is one; it goes before the bucket's.
    """
    acl = object_acl if object_acl != "default" else bucket_acl or "private"
    if operation in ANONYMOUS_READS and acl in _READABLE:
        return
    if operation in _ANONYMOUS_LISTS and bucket_acl in _READABLE:
        return
    if operation in _ANONYMOUS_WRITES and acl == "public-read-write":
        return
    raise fault(
        "AccessDenied",
        message="You have no right to access this object because of bucket acl.",
        ec="0003-00000001",
    )
