"""Calls that list the objects of a bucket."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Query
from penstock.protocol.operation import BucketRequest, Operation, Result, Scope
from penstock.protocol.text import QUOTED


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a bucket or object."""

    id: Annotated[str, Element("ID")]
    display_name: Annotated[str, Element("DisplayName")] = ""


class CommonPrefix(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that are alike up to the delimiter, listed as one."""

    prefix: Annotated[str, Element("Prefix", url=True)]


class ListedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object of a listing."""

    key: Annotated[str, Element("Key", url=True)]
    last_modified: Annotated[datetime | None, Element("LastModified")] = None
    etag: Annotated[str | None, Element("ETag", QUOTED)] = None
    object_type: Annotated[str | None, Element("Type")] = None
    size_bytes: Annotated[int, Element("Size")] = 0
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    restore: Annotated[str | None, Element("RestoreInfo")] = None
    owner: Annotated[Owner | None, Element("Owner")] = None


class ListObjects(BucketRequest, frozen=True, kw_only=True):
    """List objects by key, in the order of their UTF-8 bytes."""

    prefix: Annotated[str | None, Query("prefix")] = None
    marker: Annotated[str | None, Query("marker")] = None
    delimiter: Annotated[str | None, Query("delimiter")] = None
    max_keys: Annotated[int | None, Query("max-keys")] = None
    encoding_type: Annotated[str | None, Query("encoding-type")] = None


class ListObjectsResult(Result, frozen=True, kw_only=True):
    """One page; ask again from ``next_marker`` while ``is_truncated``."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    name: Annotated[str, Element("Name")]
    prefix: Annotated[str | None, Element("Prefix", url=True)] = None
    marker: Annotated[str | None, Element("Marker", url=True)] = None
    max_keys: Annotated[int | None, Element("MaxKeys")] = None
    delimiter: Annotated[str | None, Element("Delimiter", url=True)] = None
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    next_marker: Annotated[str | None, Element("NextMarker", url=True)] = None
    objects: Annotated[tuple[ListedObject, ...], Element("Contents")] = ()
    common_prefixes: Annotated[tuple[CommonPrefix, ...], Element("CommonPrefixes")] = ()


class ListObjectsV2(BucketRequest, frozen=True, kw_only=True):
    """List objects by key; pages are continued by an opaque token."""

    prefix: Annotated[str | None, Query("prefix")] = None
    start_after: Annotated[str | None, Query("start-after")] = None
    continuation_token: Annotated[str | None, Query("continuation-token")] = None
    delimiter: Annotated[str | None, Query("delimiter")] = None
    max_keys: Annotated[int | None, Query("max-keys")] = None
    fetch_owner: Annotated[bool | None, Query("fetch-owner")] = None
    encoding_type: Annotated[str | None, Query("encoding-type")] = None


class ListObjectsV2Result(Result, frozen=True, kw_only=True):
    """One page; ask again with ``next_continuation_token`` while ``is_truncated``."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    name: Annotated[str, Element("Name")]
    prefix: Annotated[str | None, Element("Prefix", url=True)] = None
    start_after: Annotated[str | None, Element("StartAfter", url=True)] = None
    continuation_token: Annotated[str | None, Element("ContinuationToken")] = None
    max_keys: Annotated[int | None, Element("MaxKeys")] = None
    delimiter: Annotated[str | None, Element("Delimiter", url=True)] = None
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    key_count: Annotated[int | None, Element("KeyCount")] = None
    next_continuation_token: Annotated[str | None, Element("NextContinuationToken")] = None
    objects: Annotated[tuple[ListedObject, ...], Element("Contents")] = ()
    common_prefixes: Annotated[tuple[CommonPrefix, ...], Element("CommonPrefixes")] = ()


OPERATIONS = (
    Operation(
        "ListObjects",
        "GET",
        Scope.BUCKET,
        ListObjects,
        ListObjectsResult,
        answer="xml",
        answer_root="ListBucketResult",
    ),
    Operation(
        "ListObjectsV2",
        "GET",
        Scope.BUCKET,
        ListObjectsV2,
        ListObjectsV2Result,
        marks=(("list-type", "2"),),
        answer="xml",
        answer_root="ListBucketResult",
    ),
)
