"""Headers that many object calls share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from penstock.protocol.marks import Header, HeaderPrefix, Query
from penstock.protocol.operation import ObjectRequest, Result
from penstock.protocol.text import ISO_DATE, QUOTED, TAGS

Crc64 = Annotated[int | None, Header("x-oss-hash-crc64ecma")]
ETag = Annotated[str | None, Header("etag", QUOTED)]
VersionId = Annotated[str | None, Header("x-oss-version-id")]
VersionQuery = Annotated[str | None, Query("versionId")]
TrafficLimit = Annotated[int | None, Header("x-oss-traffic-limit")]
ForbidOverwrite = Annotated[bool | None, Header("x-oss-forbid-overwrite")]
Callback = Annotated[str | None, Header("x-oss-callback")]
SourceIfMatch = Annotated[str | None, Header("x-oss-copy-source-if-match")]
SourceIfNoneMatch = Annotated[str | None, Header("x-oss-copy-source-if-none-match")]
SourceIfModifiedSince = Annotated[datetime | None, Header("x-oss-copy-source-if-modified-since")]
SourceIfUnmodifiedSince = Annotated[datetime | None, Header("x-oss-copy-source-if-unmodified-since")]
WormMode = Annotated[str | None, Header("x-oss-object-worm-mode")]
WormUntil = Annotated[datetime | None, Header("x-oss-object-worm-retain-until-date", ISO_DATE)]
WormHold = Annotated[str | None, Header("x-oss-object-worm-legal-hold")]
CallbackVar = Annotated[str | None, Header("x-oss-callback-var")]


class ContentHeaders(ObjectRequest, frozen=True, kw_only=True):
    """How the object describes itself to readers."""

    content_type: Annotated[str | None, Header("content-type")] = None
    cache_control: Annotated[str | None, Header("cache-control")] = None
    content_disposition: Annotated[str | None, Header("content-disposition")] = None
    content_encoding: Annotated[str | None, Header("content-encoding")] = None
    content_language: Annotated[str | None, Header("content-language")] = None
    expires: Annotated[str | None, Header("expires")] = None
    metadata: Annotated[Mapping[str, str], HeaderPrefix("x-oss-meta-")] = {}


class NewObjectHeaders(ContentHeaders, frozen=True, kw_only=True):
    """What is decided when an object is made."""

    acl: Annotated[str | None, Header("x-oss-object-acl")] = None
    storage_class: Annotated[str | None, Header("x-oss-storage-class")] = None
    tags: Annotated[Mapping[str, str] | None, Header("x-oss-tagging", TAGS)] = None
    server_side_encryption: Annotated[str | None, Header("x-oss-server-side-encryption")] = None
    server_side_encryption_key_id: Annotated[str | None, Header("x-oss-server-side-encryption-key-id")] = None
    server_side_data_encryption: Annotated[str | None, Header("x-oss-server-side-data-encryption")] = None
    worm_mode: WormMode = None
    worm_until: WormUntil = None
    worm_hold: WormHold = None


class ObjectDescription(Result, frozen=True, kw_only=True):
    """
    What OSS says of an object in the headers of Get and Head.

    ``content_bytes`` is the length of this answer's body (of the range, if one was asked for); ``crc64`` is
    that of the whole object.
    """

    content_bytes: Annotated[int | None, Header("content-length")] = None
    content_range: Annotated[str | None, Header("content-range")] = None
    content_type: Annotated[str | None, Header("content-type")] = None
    cache_control: Annotated[str | None, Header("cache-control")] = None
    content_disposition: Annotated[str | None, Header("content-disposition")] = None
    content_encoding: Annotated[str | None, Header("content-encoding")] = None
    content_language: Annotated[str | None, Header("content-language")] = None
    expires: Annotated[str | None, Header("expires")] = None
    content_md5: Annotated[str | None, Header("content-md5")] = None
    etag: ETag = None
    crc64: Crc64 = None
    last_modified: Annotated[datetime | None, Header("last-modified")] = None
    metadata: Annotated[Mapping[str, str], HeaderPrefix("x-oss-meta-")] = {}
    object_type: Annotated[str | None, Header("x-oss-object-type")] = None
    storage_class: Annotated[str | None, Header("x-oss-storage-class")] = None
    next_append_position: Annotated[int | None, Header("x-oss-next-append-position")] = None
    tag_count: Annotated[int | None, Header("x-oss-tagging-count")] = None
    version_id: VersionId = None
    server_side_encryption: Annotated[str | None, Header("x-oss-server-side-encryption")] = None
    server_side_encryption_key_id: Annotated[str | None, Header("x-oss-server-side-encryption-key-id")] = None
    server_side_data_encryption: Annotated[str | None, Header("x-oss-server-side-data-encryption")] = None
    restore: Annotated[str | None, Header("x-oss-restore")] = None
    symlink_target: Annotated[str | None, Header("x-oss-symlink-target")] = None
    worm_mode: WormMode = None
    worm_until: WormUntil = None
    worm_hold: WormHold = None


class StoredResult(Result, frozen=True, kw_only=True):
    """What OSS says of bytes that it stored."""

    etag: ETag = None
    crc64: Crc64 = None
    content_md5: Annotated[str | None, Header("content-md5")] = None
    version_id: VersionId = None


class Conditions(ObjectRequest, frozen=True, kw_only=True):
    """Conditions on the object that is read. Times are compared to the second."""

    if_match: Annotated[str | None, Header("if-match")] = None
    if_none_match: Annotated[str | None, Header("if-none-match")] = None
    if_modified_since: Annotated[datetime | None, Header("if-modified-since")] = None
    if_unmodified_since: Annotated[datetime | None, Header("if-unmodified-since")] = None
