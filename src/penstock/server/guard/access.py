"""Whether a caller may do what is asked: access lists, policies, referers, who pays. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.errors import ServiceError
from penstock.protocol import dates
from penstock.protocol.error_table import fault
from penstock.protocol.operations.access import Referer, Referers
from penstock.server.guard.accounts import Caller
from penstock.server.guard.policy import Asked, like
from penstock.server.guard.rules import NO_RULES, Rules
from penstock.server.http.request import Request
from penstock.server.store.records import BucketRecord

_READS = frozenset({"GetObject", "HeadObject", "GetObjectMeta", "GetSymlink", "SelectObject"})
_LISTS = frozenset({"ListObjects", "ListObjectsV2"})
_WRITES = frozenset(
    {
        "PutObject",
        "PostObject",
        "AppendObject",
        "DeleteObject",
        "InitiateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "AbortMultipartUpload",
        "ListParts",
        "CreateSelectObjectMeta",
    }
)
_READABLE = frozenset({"public-read", "public-read-write"})
_ACTIONS = {
    "HeadObject": "GetObject",
    "GetObjectMeta": "GetObject",
    "GetSymlink": "GetObject",
    "SelectObject": "GetObject",
    "AppendObject": "PutObject",
    "CopyObject": "PutObject",
    "PostObject": "PutObject",
    "PutSymlink": "PutObject",
    "CreateSelectObjectMeta": "PutObject",
    "InitiateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListObjectsV2": "ListObjects",
    "PutObjectACL": "PutObjectAcl",
    "GetObjectACL": "GetObjectAcl",
    "CleanRestoredObject": "RestoreObject",
}
_BY_VERSION = frozenset(
    {
        "GetObject",
        "DeleteObject",
        "RestoreObject",
        "PutObjectAcl",
        "GetObjectAcl",
        "PutObjectTagging",
        "GetObjectTagging",
        "DeleteObjectTagging",
    }
)
_POLICY_CALLS = frozenset({"PutBucketPolicy", "GetBucketPolicy", "DeleteBucketPolicy"})


@dataclass(frozen=True, slots=True)
class Ask:
    """
    Who wants to do what.

    Attributes:
        operation: Name of the call.
        bucket: None where no bucket is concerned.
        bucket_name: Its name, also where it is not there yet.
        object_acl: That of the object, if there is one; it goes before the bucket's.
        query: Decoded; the first of a name counts.
        now_s: Unix time.
    """

    caller: Caller
    operation: str
    request: Request
    bucket: BucketRecord | None = None
    bucket_name: str = ""
    key: str = ""
    rules: Rules = NO_RULES
    object_acl: str = "default"
    query: Mapping[str, str | None] | None = None
    now_s: float = 0.0


def open_to_some(operation: str) -> bool:
    """Whether an object's own access list may open this call to others than the owner."""
    return operation in _READS or operation in _WRITES


def authorize(ask: Ask) -> None:
    """
    Refuse what the caller may not do.

    Raises:
        ServiceError: AccessDenied.
    """
    caller, bucket = ask.caller, ask.bucket
    if (caller.anonymous or caller.by_url) and ask.rules.referer is not None:
        check_referer(ask.rules.referer, ask.request.headers.get("referer", ""))
    if caller.anonymous and bucket is None:
        raise _denied("Anonymous access is forbidden for this operation.", "0003-00000002")
    allowed = (caller.policies or ask.rules.policy is not None) and _by_policy(ask)
    if bucket is None or (bucket.owner == caller.account and not caller.anonymous):
        return
    # Who is let in by a policy pays like everybody else.
    if ask.rules.requester_pays and (caller.anonymous or not _agrees_to_pay(ask)):
        raise _denied("Access denied for requester pay bucket", "0003-00000703")
    if not allowed and not _open_by_list(ask, bucket):
        raise _denied(
            "You have no right to access this object because of bucket acl."
            if caller.anonymous
            else "The bucket you access does not belong to you."
        )


def _agrees_to_pay(ask: Ask) -> bool:
    in_url = (ask.query or {}).get("x-oss-request-payer") or ""
    return "requester" in (in_url.lower(), ask.request.headers.get("x-oss-request-payer", "").lower())


def check_referer(rule: Referer, referer: str) -> None:
    """
    Refuse what does not come from where it may.

    An entry of the lists stands for every address that begins so: ``http://www.aliyun.com`` for
    ``http://www.aliyun.com/page.html`` too ("Configure hotlink protection" of the OSS documentation).
    """
    refused, allowed = _entries(rule.refused), _entries(rule.allowed)
    if not referer:
        if rule.allow_empty is False and allowed:
            raise _denied("You are denied by bucket referer policy.", "0003-00000503")
        return
    looked_at = referer
    if rule.truncate_path:
        scheme, separator, rest = referer.partition("://")
        looked_at = f"{scheme}{separator}{rest.partition('/')[0]}"
    elif rule.allow_truncate_query is not False:
        looked_at = referer.partition("?")[0]
    if _begins_as(refused, looked_at) or (allowed and not _begins_as(allowed, looked_at)):
        raise _denied("You are denied by bucket referer policy.", "0003-00000503")


def _entries(given: Referers | None) -> tuple[str, ...]:
    # An empty entry, with which some clear a list, is none.
    return tuple(one for one in given.referers if one) if given is not None else ()


def _begins_as(entries: Sequence[str], address: str) -> bool:
    return any(like(f"{one}*", address, ignore_case=True) for one in entries)


def _by_policy(ask: Ask) -> bool:
    """Whether the policy of the bucket allows it to others; raises if any policy forbids it."""
    caller, bucket = ask.caller, ask.bucket
    asked = _asked(ask)
    if any(policy.verdict(asked) != "Allow" for policy in caller.policies):
        raise _denied("You have no right to access this object.")
    if ask.rules.policy is None or bucket is None:
        return False
    owner = caller.owns_account and caller.account == bucket.owner
    if owner and ask.operation in _POLICY_CALLS:
        return False
    verdict = ask.rules.policy.verdict(asked)
    if verdict == "Deny":
        raise _denied("Access denied by bucket policy.", "0003-00000301")
    return verdict == "Allow" and not (ask.rules.block and ask.rules.policy.is_public)


def _open_by_list(ask: Ask, bucket: BucketRecord) -> bool:
    if ask.rules.block:
        return False
    acl = ask.object_acl if ask.object_acl != "default" else bucket.acl
    if ask.operation in _READS:
        return acl in _READABLE
    if ask.operation in _LISTS:
        return bucket.acl in _READABLE
    return ask.operation in _WRITES and acl == "public-read-write"


def facts_of(request: Request, now_s: float) -> dict[str, str]:
    """What conditions of policies may look at in every request."""
    return {
        "acs:sourceip": request.peer,
        "acs:securetransport": "true" if request.secure else "false",
        "acs:currenttime": dates.to_iso(int(now_s)),
        "acs:useragent": request.headers.get("user-agent", ""),
    }


def _asked(ask: Ask) -> Asked:
    action = _ACTIONS.get(ask.operation, ask.operation)
    query = ask.query or {}
    if query.get("versionId") and action in _BY_VERSION:
        action += "Version"
    bucket = ask.bucket
    owner = bucket.owner if bucket is not None else ask.caller.account
    region = bucket.region if bucket is not None else "*"
    name = f"{ask.bucket_name}/{ask.key}" if ask.key else ask.bucket_name or "*"
    facts = {
        **facts_of(ask.request, ask.now_s),
        "oss:prefix": query.get("prefix") or "",
        "oss:delimiter": query.get("delimiter") or "",
    }
    for header in ("x-oss-acl", "x-oss-object-acl", "x-oss-storage-class"):
        if header in ask.request.headers:
            facts[f"oss:{header}"] = ask.request.headers[header]
    return Asked(ask.caller.names, f"oss:{action}", f"acs:oss:oss-{region}:{owner}:{name}", facts)


def _denied(message: str, ec: str = "0003-00000001") -> ServiceError:
    return fault("AccessDenied", message=message, ec=ec)
