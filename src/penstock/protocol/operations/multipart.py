"""Calls of a multipart upload."""

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
    Crc64,
    ForbidOverwrite,
    NewObjectHeaders,
    SourceIfMatch,
    SourceIfModifiedSince,
    SourceIfNoneMatch,
    SourceIfUnmodifiedSince,
    StoredResult,
    TrafficLimit,
    VersionId,
    VersionQuery,
)
from penstock.protocol.operations.listing import CommonPrefix
from penstock.protocol.text import PRESENT, QUOTED, CopySource

UploadId = Annotated[str, Query("uploadId")]
PartNumber = Annotated[int, Query("partNumber")]
EncodingType = Annotated[str | None, Query("encoding-type")]


class InitiateMultipartUpload(NewObjectHeaders, frozen=True, kw_only=True):
    """Begin an upload in parts; what the object will be is fixed here, the old object is not touched."""

    sequential: Annotated[bool, Query("sequential", PRESENT)] = False
    forbid_overwrite: ForbidOverwrite = None
    encoding_type: EncodingType = None


class InitiateMultipartUploadResult(Result, frozen=True, kw_only=True):
    """The UploadId under which parts are sent."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    bucket: Annotated[str, Element("Bucket")]
    key: Annotated[str, Element("Key", url=True)]
    upload_id: Annotated[str, Element("UploadId")]


class UploadPart(ObjectRequest, frozen=True, kw_only=True):
    """Send one part; a part of the same number is replaced."""

    number: PartNumber
    upload_id: UploadId
    content_md5: Annotated[str | None, Header("content-md5")] = None
    traffic_limit: TrafficLimit = None


class UploadPartCopy(ObjectRequest, frozen=True, kw_only=True):
    """Make one part of a range of an object inside OSS."""

    number: PartNumber
    upload_id: UploadId
    source: Annotated[CopySource, Header("x-oss-copy-source")]
    source_range: Annotated[str | None, Header("x-oss-copy-source-range")] = None
    source_if_match: SourceIfMatch = None
    source_if_none_match: SourceIfNoneMatch = None
    source_if_modified_since: SourceIfModifiedSince = None
    source_if_unmodified_since: SourceIfUnmodifiedSince = None
    traffic_limit: TrafficLimit = None
    # Some clients repeat the version of the source here; what counts is that in `source`.
    repeated_version_id: VersionQuery = None


class UploadPartCopyResult(Result, frozen=True, kw_only=True):
    """``etag`` travels in the XML; OSS sends it as a header too, which some clients need."""

    last_modified: Annotated[datetime | None, Element("LastModified")] = None
    etag: Annotated[str, Element("ETag", QUOTED)]
    etag_header: Annotated[str | None, Header("etag", QUOTED)] = None
    crc64: Crc64 = None


class ListedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part that OSS holds. ``crc64`` is what OSS computed of its bytes."""

    number: Annotated[int, Element("PartNumber")]
    last_modified: Annotated[datetime | None, Element("LastModified")] = None
    etag: Annotated[str, Element("ETag", QUOTED)]
    crc64: Annotated[int | None, Element("HashCrc64ecma")] = None
    size_bytes: Annotated[int, Element("Size")]


class CompletedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A part that the object shall be made of."""

    number: Annotated[int, Element("PartNumber")]
    etag: Annotated[str, Element("ETag", QUOTED)]


class PartList(msgspec.Struct, frozen=True, kw_only=True):
    """All parts of the object, numbers ascending."""

    parts: Annotated[tuple[CompletedPart, ...], Element("Part")]


class CompleteMultipartUpload(ObjectRequest, frozen=True, kw_only=True):
    """Make the object of the parts; either of ``body`` or, with ``complete_all="yes"``, of all parts."""

    upload_id: UploadId
    body: Annotated[PartList | None, XmlBody("CompleteMultipartUpload")] = None
    complete_all: Annotated[str | None, Header("x-oss-complete-all")] = None
    acl: Annotated[str | None, Header("x-oss-object-acl")] = None
    forbid_overwrite: ForbidOverwrite = None
    encoding_type: EncodingType = None
    callback: Callback = None
    callback_var: CallbackVar = None


class CompleteMultipartUploadResult(Result, frozen=True, kw_only=True):
    """The object that was made; ``crc64`` is that of all its bytes."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    location: Annotated[str | None, Element("Location", url=True)] = None
    bucket: Annotated[str | None, Element("Bucket")] = None
    key: Annotated[str | None, Element("Key", url=True)] = None
    etag: Annotated[str | None, Element("ETag", QUOTED)] = None
    crc64: Crc64 = None
    version_id: VersionId = None
    callback_body: bytes | None = None


class AbortMultipartUpload(ObjectRequest, frozen=True, kw_only=True):
    """
    Make the UploadId invalid and remove its parts.

    Parts that are still arriving are not removed: stop the senders first, and look afterwards.
    """

    upload_id: UploadId


class ListParts(ObjectRequest, frozen=True, kw_only=True):
    """Ask which parts OSS holds, numbers ascending."""

    upload_id: UploadId
    max_parts: Annotated[int | None, Query("max-parts")] = None
    number_marker: Annotated[int | None, Query("part-number-marker")] = None
    encoding_type: EncodingType = None


class ListPartsResult(Result, frozen=True, kw_only=True):
    """
    One page of parts; ask again from ``next_number_marker`` while ``is_truncated``.

    What begins with ``client_encryption`` is what whoever encrypts said when the upload began.
    """

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    bucket: Annotated[str, Element("Bucket")]
    key: Annotated[str, Element("Key", url=True)]
    upload_id: Annotated[str, Element("UploadId")]
    number_marker: Annotated[int, Element("PartNumberMarker")] = 0
    next_number_marker: Annotated[int, Element("NextPartNumberMarker")] = 0
    max_parts: Annotated[int, Element("MaxParts")] = 1000
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    client_encryption_key: Annotated[str | None, Element("ClientEncryptionKey")] = None
    client_encryption_start: Annotated[str | None, Element("ClientEncryptionStart")] = None
    client_encryption_cipher: Annotated[str | None, Element("ClientEncryptionCekAlg")] = None
    client_encryption_wrap: Annotated[str | None, Element("ClientEncryptionWrapAlg")] = None
    client_encryption_data_bytes: Annotated[int | None, Element("ClientEncryptionDataSize")] = None
    client_encryption_part_bytes: Annotated[int | None, Element("ClientEncryptionPartSize")] = None
    parts: Annotated[tuple[ListedPart, ...], Element("Part")] = ()


class ListMultipartUploads(BucketRequest, frozen=True, kw_only=True):
    """Ask which uploads are open, by key and then UploadId."""

    delimiter: Annotated[str | None, Query("delimiter")] = None
    prefix: Annotated[str | None, Query("prefix")] = None
    max_uploads: Annotated[int | None, Query("max-uploads")] = None
    key_marker: Annotated[str | None, Query("key-marker")] = None
    upload_id_marker: Annotated[str | None, Query("upload-id-marker")] = None
    encoding_type: EncodingType = None


class ListedUpload(msgspec.Struct, frozen=True, kw_only=True):
    """An upload that is open."""

    key: Annotated[str, Element("Key", url=True)]
    upload_id: Annotated[str, Element("UploadId")]
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    initiated: Annotated[datetime | None, Element("Initiated")] = None


class ListMultipartUploadsResult(Result, frozen=True, kw_only=True):
    """One page of open uploads; ask again from the two next markers while ``is_truncated``."""

    encoding_type: Annotated[str | None, Element("EncodingType")] = None
    bucket: Annotated[str, Element("Bucket")]
    key_marker: Annotated[str | None, Element("KeyMarker", url=True)] = None
    upload_id_marker: Annotated[str | None, Element("UploadIdMarker")] = None
    next_key_marker: Annotated[str | None, Element("NextKeyMarker", url=True)] = None
    next_upload_id_marker: Annotated[str | None, Element("NextUploadIdMarker")] = None
    delimiter: Annotated[str | None, Element("Delimiter", url=True)] = None
    prefix: Annotated[str | None, Element("Prefix", url=True)] = None
    max_uploads: Annotated[int, Element("MaxUploads")] = 1000
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    uploads: Annotated[tuple[ListedUpload, ...], Element("Upload")] = ()
    common_prefixes: Annotated[tuple[CommonPrefix, ...], Element("CommonPrefixes")] = ()


OPERATIONS = (
    Operation(
        "InitiateMultipartUpload",
        "POST",
        Scope.OBJECT,
        InitiateMultipartUpload,
        InitiateMultipartUploadResult,
        marks=(("uploads", None),),
        answer="xml",
        answer_root="InitiateMultipartUploadResult",
        commits=True,
        repeatable=False,
    ),
    Operation(
        "UploadPart",
        "PUT",
        Scope.OBJECT,
        UploadPart,
        StoredResult,
        marks=(("partNumber", None), ("uploadId", None)),
        body="stream",
        commits=True,
    ),
    Operation(
        "UploadPartCopy",
        "PUT",
        Scope.OBJECT,
        UploadPartCopy,
        UploadPartCopyResult,
        marks=(("partNumber", None), ("uploadId", None)),
        header_mark="x-oss-copy-source",
        answer="xml",
        answer_root="CopyPartResult",
        commits=True,
    ),
    Operation(
        "CompleteMultipartUpload",
        "POST",
        Scope.OBJECT,
        CompleteMultipartUpload,
        CompleteMultipartUploadResult,
        marks=(("uploadId", None),),
        body="xml",
        answer="xml",
        answer_root="CompleteMultipartUploadResult",
        commits=True,
        repeatable=False,
        max_document_bytes=MAX_REQUEST_XML_BYTES,
    ),
    Operation(
        "AbortMultipartUpload",
        "DELETE",
        Scope.OBJECT,
        AbortMultipartUpload,
        Result,
        marks=(("uploadId", None),),
        status=204,
        commits=True,
    ),
    Operation(
        "ListParts",
        "GET",
        Scope.OBJECT,
        ListParts,
        ListPartsResult,
        marks=(("uploadId", None),),
        answer="xml",
        answer_root="ListPartsResult",
    ),
    Operation(
        "ListMultipartUploads",
        "GET",
        Scope.BUCKET,
        ListMultipartUploads,
        ListMultipartUploadsResult,
        marks=(("uploads", None),),
        answer="xml",
        answer_root="ListMultipartUploadsResult",
    ),
)
