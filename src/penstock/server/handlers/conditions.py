"""Conditions on an object: read only this one, read only if it changed. Pure."""

from __future__ import annotations

from datetime import datetime

from penstock.protocol.error_table import fault
from penstock.server.store.records import ObjectRecord


def check_conditions(
    record: ObjectRecord,
    *,
    if_match: str | None,
    if_none_match: str | None,
    if_modified_since: datetime | None,
    if_unmodified_since: datetime | None,
    prefix: str = "",
) -> None:
    """
    Refuse an object that is not, or still is, the one that was named.

    Args:
        record: The object.
        prefix: What stands before the names of the headers, for the refusal to name them.

    Raises:
        ServiceError: PreconditionFailed (412) or NotModified (304).
    """
    modified_s = record.modified_ms // 1000
    if if_match is not None and not _names(if_match, record.etag):
        raise fault("PreconditionFailed", Condition=f"{prefix}If-Match")
    if if_match is None and if_unmodified_since is not None and modified_s > if_unmodified_since.timestamp():
        raise fault("PreconditionFailed", Condition=f"{prefix}If-Unmodified-Since")
    if if_none_match is not None and _names(if_none_match, record.etag):
        raise fault("NotModified")
    if (
        if_none_match is None
        and if_modified_since is not None
        and modified_s <= if_modified_since.timestamp()
    ):
        raise fault("NotModified")


def _names(condition: str, etag: str) -> bool:
    named = [one.strip().removeprefix("W/").strip('"') for one in condition.split(",")]
    return "*" in named or etag in named
