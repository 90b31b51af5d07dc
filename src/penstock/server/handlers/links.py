"""Symbolic links: what they lead to, and who may follow them. OSS judges both, the link and its target."""

from __future__ import annotations

from typing import Any

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.server.call import Call
from penstock.server.store.faults import KeyMissing
from penstock.server.store.records import ObjectKind, ObjectRecord


def target_key(link: ObjectRecord) -> str:
    """The key that a link leads to, in its own bucket."""
    return link.attributes.symlink_target or ""


def followed(call: Call[Any], link: ObjectRecord) -> ObjectRecord:
    """
    The target of a link, which the caller may read.

    Raises:
        ServiceError: AccessDenied, SymlinkTargetNotExist, or InvalidTargetType for a link to a link.
    """
    try:
        target = call.store.head_object(link.bucket, target_key(link))
    except KeyMissing:
        raise target_missing(call, link) from None
    check_target(call, target)
    return target


def check_target(call: Call[Any], target: ObjectRecord) -> None:
    """Refuse a target that the caller may not read, or that is a link itself."""
    call.may("GetObject", target.bucket, target.key, acl=target.attributes.acl)
    if target.kind is ObjectKind.SYMLINK:
        raise fault("InvalidTargetType")


def target_missing(call: Call[Any], link: ObjectRecord) -> ServiceError:
    """The refusal where a link leads nowhere, which only those are told who could read what was there."""
    call.may("GetObject", link.bucket, target_key(link), acl="default")
    return fault("SymlinkTargetNotExist", Key=target_key(link))
