"""Calls about one object, and about many by name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from penstock.protocol.limits import MAX_REQUEST_XML_BYTES
from penstock.protocol.marks import Element, Header, Query, XmlBody
from penstock.protocol.operation import BucketRequest, ObjectRequest, Operation, Result, Scope
from penstock.protocol.operations.headers import (
    Callback,
    CallbackVar,
    Conditions,
    Crc64,
    ForbidOverwrite,
    NewObjectHeaders,
    ObjectDescription,
    SourceIfMatch,
    SourceIfModifiedSince,
    SourceIfNoneMatch,
    SourceIfUnmodifiedSince,
    StoredResult,
    TrafficLimit,
    VersionId,
    VersionQuery,
)
from penstock.protocol.text import QUOTED, CopySource


class PutObject(NewObjectHeaders, frozen=True, kw_only=True):
    """Make an object of the bytes sent; it appears whole or not at all."""

    content_md5: Annotated[str | None, Header("content-md5")] = None
    forbid_overwrite: ForbidOverwrite = None
    traffic_limit: TrafficLimit = None
    callback: Callback = None
    callback_var: CallbackVar = None


class PutObjectResult(StoredResult, frozen=True, kw_only=True):
    """``callback_body`` is the answer of the callback server, if one was asked for."""

    callback_body: bytes | None = None


class AppendObject(NewObjectHeaders, frozen=True, kw_only=True):
    """Add bytes to the end of an appendable object."""

    position: Annotated[int, Query("position")]
    content_md5: Annotated[str | None, Header("content-md5")] = None
    traffic_limit: TrafficLimit = None


class AppendObjectResult(StoredResult, frozen=True, kw_only=True):
    """``next_position`` is the length now; ``crc64`` is that of the whole object."""

    next_position: Annotated[int | None, Header("x-oss-next-append-position")] = None


class GetObject(Conditions, frozen=True, kw_only=True):
    """Read an object, or a range of it."""

    range: Annotated[str | None, Header("range")] = None
    range_behavior: Annotated[str | None, Header("x-oss-range-behavior")] = None
    version_id: VersionQuery = None
    traffic_limit: TrafficLimit = None
    accept_encoding: Annotated[str | None, Header("accept-encoding")] = None
    process: Annotated[str | None, Query("x-oss-process")] = None
    response_content_type: Annotated[str | None, Query("response-content-type")] = None
    response_content_language: Annotated[str | None, Query("response-content-language")] = None
    response_expires: Annotated[str | None, Query("response-expires")] = None
    response_cache_control: Annotated[str | None, Query("response-cache-control")] = None
    response_content_disposition: Annotated[str | None, Query("response-content-disposition")] = None
    response_content_encoding: Annotated[str | None, Query("response-content-encoding")] = None


class HeadObject(Conditions, frozen=True, kw_only=True):
    """Ask what an object is, without its bytes."""

    version_id: VersionQuery = None


class GetObjectMeta(ObjectRequest, frozen=True, kw_only=True):
    """Ask for length, ETag and time only."""

    version_id: VersionQuery = None


class DeleteObject(ObjectRequest, frozen=True, kw_only=True):
    """Remove an object; removing what is not there is a success too."""

    version_id: VersionQuery = None


class DeleteObjectResult(Result, frozen=True, kw_only=True):
    """What the removal of one object did."""

    version_id: VersionId = None
    delete_marker: Annotated[bool | None, Header("x-oss-delete-marker")] = None


class ObjectToDelete(msgspec.Struct, frozen=True, kw_only=True):
    """One object of a `DeletionList`."""

    key: Annotated[str, Element("Key")]
    version_id: Annotated[str | None, Element("VersionId")] = None


class DeletionList(msgspec.Struct, frozen=True, kw_only=True):
    """Up to 1,000 objects to remove at once."""

    quiet: Annotated[bool | None, Element("Quiet")] = None
    objects: Annotated[tuple[ObjectToDelete, ...], Element("Object")]


class DeleteMultipleObjects(BucketRequest, frozen=True, kw_only=True):
    """Remove up to 1,000 objects in one call."""

    body: Annotated[DeletionList, XmlBody("Delete")]
    content_md5: Annotated[str | None, Header("content-md5")] = None
    encoding_type: Annotated[str | None, Query("encoding-type")] = None


class DeletedObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object that is gone."""

    key: Annotated[str, Element("Key", url=True)]
    version_id: Annotated[str | None, Element("VersionId")] = None
    delete_marker: Annotated[bool | None, Element("DeleteMarker")] = None
    delete_marker_version_id: Annotated[str | None, Element("DeleteMarkerVersionId")] = None


class DeleteMultipleObjectsResult(Result, frozen=True, kw_only=True):
    """The objects that are gone; none if the list was quiet."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    deleted: Annotated[tuple[DeletedObject, ...], Element("Deleted")] = ()


class CopyObject(NewObjectHeaders, frozen=True, kw_only=True):
    """Make an object of another one, inside OSS."""

    source: Annotated[CopySource, Header("x-oss-copy-source")]
    source_if_match: SourceIfMatch = None
    source_if_none_match: SourceIfNoneMatch = None
    source_if_modified_since: SourceIfModifiedSince = None
    source_if_unmodified_since: SourceIfUnmodifiedSince = None
    metadata_directive: Annotated[str | None, Header("x-oss-metadata-directive")] = None
    tagging_directive: Annotated[str | None, Header("x-oss-tagging-directive")] = None
    forbid_overwrite: ForbidOverwrite = None
    traffic_limit: TrafficLimit = None


class CopyObjectResult(Result, frozen=True, kw_only=True):
    """What the copy is."""

    last_modified: Annotated[datetime | None, Element("LastModified")] = None
    etag: Annotated[str | None, Element("ETag", QUOTED)] = None
    crc64: Crc64 = None
    version_id: VersionId = None
    source_version_id: Annotated[str | None, Header("x-oss-copy-source-version-id")] = None


OPERATIONS = (
    Operation("PutObject", "PUT", Scope.OBJECT, PutObject, PutObjectResult, body="stream", commits=True),
    Operation(
        "AppendObject",
        "POST",
        Scope.OBJECT,
        AppendObject,
        AppendObjectResult,
        marks=(("append", None),),
        body="stream",
        commits=True,
        repeatable=False,
    ),
    Operation("GetObject", "GET", Scope.OBJECT, GetObject, ObjectDescription, answer="stream"),
    Operation("HeadObject", "HEAD", Scope.OBJECT, HeadObject, ObjectDescription),
    Operation(
        "GetObjectMeta", "HEAD", Scope.OBJECT, GetObjectMeta, ObjectDescription, marks=(("objectMeta", None),)
    ),
    Operation(
        "DeleteObject", "DELETE", Scope.OBJECT, DeleteObject, DeleteObjectResult, status=204, commits=True
    ),
    Operation(
        "DeleteMultipleObjects",
        "POST",
        Scope.BUCKET,
        DeleteMultipleObjects,
        DeleteMultipleObjectsResult,
        marks=(("delete", None),),
        body="xml",
        answer="xml",
        answer_root="DeleteResult",
        commits=True,
        needs_content_md5=True,
        max_document_bytes=MAX_REQUEST_XML_BYTES,
    ),
    Operation(
        "CopyObject",
        "PUT",
        Scope.OBJECT,
        CopyObject,
        CopyObjectResult,
        header_mark="x-oss-copy-source",
        answer="xml",
        answer_root="CopyObjectResult",
        commits=True,
    ),
)
