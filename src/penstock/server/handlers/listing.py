"""Listing the objects of a bucket."""

from __future__ import annotations

import base64
import binascii

from penstock.protocol.error_table import fault
from penstock.protocol.limits import DEFAULT_LIST_KEYS, MAX_KEY_BYTES, MAX_LIST_KEYS
from penstock.protocol.operations.listing import (
    CommonPrefix,
    ListedObject,
    ListObjects,
    ListObjectsResult,
    ListObjectsV2,
    ListObjectsV2Result,
    Owner,
)
from penstock.server.call import Call, Handler
from penstock.server.handlers.attributes import moment
from penstock.server.handlers.restoring import restore_info
from penstock.server.store.interface import Store
from penstock.server.store.records import ObjectPage, ObjectRecord


def url_encoding(given: str | None) -> str | None:
    """The encoding of names that is asked for; ``url`` is the only one there is."""
    if given is not None and given != "url":
        raise fault(
            "InvalidArgument",
            message="Invalid Encoding Method specified in Request.",
            ArgumentName="encoding-type",
            ArgumentValue=given,
        )
    return given


def page_size(given: int | None, default: int, most: int, name: str) -> int:
    """How many entries a page may have."""
    if given is None:
        return default
    if not 0 <= given <= most:
        raise fault(
            "InvalidArgument",
            message=f"Argument {name} must be an integer between 0 and {most}.",
            ArgumentName=name,
            ArgumentValue=given,
        )
    return given


def check_lengths(**given: str | None) -> None:
    """Refuse a prefix or marker that is longer than any key."""
    for name, text in given.items():
        if text is not None and len(text.encode()) > MAX_KEY_BYTES:
            raise fault(
                "InvalidArgument",
                message=f"The length of {name.replace('_', '-')} must be less than 1024.",
                ArgumentName=name.replace("_", "-"),
                ArgumentValue=text[:1024],
            )


def list_objects(call: Call[ListObjects]) -> ListObjectsResult:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    limit = page_size(asked.max_keys, DEFAULT_LIST_KEYS, MAX_LIST_KEYS, "max-keys")
    check_lengths(prefix=asked.prefix, marker=asked.marker)
    page = _page(call.store, asked.bucket, asked.prefix, asked.delimiter, asked.marker, limit)
    owner = Owner(id=call.owner, display_name=call.owner)
    return ListObjectsResult(
        encoding_type=encoding_type,
        name=asked.bucket,
        prefix=asked.prefix or "",
        marker=asked.marker or "",
        max_keys=limit,
        delimiter=asked.delimiter or "",
        is_truncated=page.next_marker is not None,
        next_marker=page.next_marker,
        objects=tuple(_listed(record, owner, call.service.clock()) for record in page.objects),
        common_prefixes=tuple(CommonPrefix(prefix=prefix) for prefix in page.common_prefixes),
    )


def list_objects_v2(call: Call[ListObjectsV2]) -> ListObjectsV2Result:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    limit = page_size(asked.max_keys, DEFAULT_LIST_KEYS, MAX_LIST_KEYS, "max-keys")
    check_lengths(prefix=asked.prefix, start_after=asked.start_after)
    after = _from_token(asked.continuation_token) if asked.continuation_token else asked.start_after
    page = _page(call.store, asked.bucket, asked.prefix, asked.delimiter, after, limit)
    owner = Owner(id=call.owner, display_name=call.owner) if asked.fetch_owner else None
    return ListObjectsV2Result(
        encoding_type=encoding_type,
        name=asked.bucket,
        prefix=asked.prefix or "",
        start_after=asked.start_after or "",
        continuation_token=asked.continuation_token,
        max_keys=limit,
        delimiter=asked.delimiter or "",
        is_truncated=page.next_marker is not None,
        key_count=len(page.objects) + len(page.common_prefixes),
        next_continuation_token=_to_token(page.next_marker) if page.next_marker is not None else None,
        objects=tuple(_listed(record, owner, call.service.clock()) for record in page.objects),
        common_prefixes=tuple(CommonPrefix(prefix=prefix) for prefix in page.common_prefixes),
    )


def _page(
    store: Store, bucket: str, prefix: str | None, delimiter: str | None, after: str | None, limit: int
) -> ObjectPage:
    if limit == 0:
        return ObjectPage(objects=(), common_prefixes=(), next_marker=None)
    return store.list_objects(
        bucket, prefix=prefix or "", delimiter=delimiter or "", start_after=after or "", limit=limit
    )


def _listed(record: ObjectRecord, owner: Owner | None, now_s: float) -> ListedObject:
    return ListedObject(
        key=record.key,
        last_modified=moment(record.modified_ms),
        etag=record.etag,
        object_type=record.kind.value,
        size_bytes=record.size_bytes,
        storage_class=record.attributes.storage_class,
        restore=restore_info(record.attributes, now_s),
        owner=owner,
    )


def _to_token(marker: str) -> str:
    return base64.b64encode(marker.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except (binascii.Error, ValueError):
        raise fault(
            "InvalidArgument",
            message="The continuation token provided is incorrect.",
            ArgumentName="continuation-token",
            ArgumentValue=token[:1024],
        ) from None


HANDLERS: dict[type, Handler] = {ListObjects: list_objects, ListObjectsV2: list_objects_v2}
