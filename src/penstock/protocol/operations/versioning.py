"""Calls about the versions of objects."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Query, XmlBody
from penstock.protocol.operation import BucketRequest, Operation, Result, Scope
from penstock.protocol.operations.listing import CommonPrefix, Owner
from penstock.protocol.text import QUOTED


class Versioning(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a bucket keeps versions: ``Enabled``, ``Suspended``, or None where it never did."""

    status: Annotated[str | None, Element("Status")] = None


class PutBucketVersioning(BucketRequest, frozen=True, kw_only=True):
    """Keep versions from now on, or stop making new ones; it never goes back to none."""

    body: Annotated[Versioning, XmlBody("VersioningConfiguration")]


class GetBucketVersioning(BucketRequest, frozen=True, kw_only=True):
    """Ask whether a bucket keeps versions."""


class GetBucketVersioningResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Versioning, XmlBody("VersioningConfiguration")]


class ListObjectVersions(BucketRequest, frozen=True, kw_only=True):
    """List versions and delete markers, by key and then the latest first."""

    prefix: Annotated[str | None, Query("prefix")] = None
    key_marker: Annotated[str | None, Query("key-marker")] = None
    version_id_marker: Annotated[str | None, Query("version-id-marker")] = None
    delimiter: Annotated[str | None, Query("delimiter")] = None
    max_keys: Annotated[int | None, Query("max-keys")] = None
    encoding_type: Annotated[str | None, Query("encoding-type")] = None


class ListedVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a listing."""

    key: Annotated[str, Element("Key", url=True)]
    version_id: Annotated[str | None, Element("VersionId")] = None
    is_latest: Annotated[bool, Element("IsLatest")] = False
    last_modified: Annotated[datetime | None, Element("LastModified")] = None
    etag: Annotated[str | None, Element("ETag", QUOTED)] = None
    object_type: Annotated[str | None, Element("Type")] = None
    size_bytes: Annotated[int, Element("Size")] = 0
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    restore: Annotated[str | None, Element("RestoreInfo")] = None
    owner: Annotated[Owner | None, Element("Owner")] = None


class ListedMarker(msgspec.Struct, frozen=True, kw_only=True):
    """A delete marker of a listing: it hides the versions below it."""

    key: Annotated[str, Element("Key", url=True)]
    version_id: Annotated[str | None, Element("VersionId")] = None
    is_latest: Annotated[bool, Element("IsLatest")] = False
    last_modified: Annotated[datetime | None, Element("LastModified")] = None
    owner: Annotated[Owner | None, Element("Owner")] = None


class ListObjectVersionsResult(Result, frozen=True, kw_only=True):
    """One page; ask again from both markers while ``is_truncated``."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    name: Annotated[str, Element("Name")]
    prefix: Annotated[str | None, Element("Prefix", url=True)] = None
    key_marker: Annotated[str | None, Element("KeyMarker", url=True)] = None
    version_id_marker: Annotated[str | None, Element("VersionIdMarker")] = None
    max_keys: Annotated[int | None, Element("MaxKeys")] = None
    delimiter: Annotated[str | None, Element("Delimiter", url=True)] = None
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    next_key_marker: Annotated[str | None, Element("NextKeyMarker", url=True)] = None
    next_version_id_marker: Annotated[str | None, Element("NextVersionIdMarker")] = None
    versions: Annotated[tuple[ListedVersion, ...], Element("Version")] = ()
    markers: Annotated[tuple[ListedMarker, ...], Element("DeleteMarker")] = ()
    common_prefixes: Annotated[tuple[CommonPrefix, ...], Element("CommonPrefixes")] = ()


_VERSIONING = (("versioning", None),)

OPERATIONS = (
    Operation(
        "PutBucketVersioning",
        "PUT",
        Scope.BUCKET,
        PutBucketVersioning,
        Result,
        marks=_VERSIONING,
        body="xml",
        commits=True,
    ),
    Operation(
        "GetBucketVersioning",
        "GET",
        Scope.BUCKET,
        GetBucketVersioning,
        GetBucketVersioningResult,
        marks=_VERSIONING,
        answer="xml",
    ),
    Operation(
        "ListObjectVersions",
        "GET",
        Scope.BUCKET,
        ListObjectVersions,
        ListObjectVersionsResult,
        marks=(("versions", None),),
        answer="xml",
        answer_root="ListVersionsResult",
    ),
)
