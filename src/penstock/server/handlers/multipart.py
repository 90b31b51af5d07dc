"""Uploads in parts."""

from __future__ import annotations

import base64
from typing import Any

from penstock.protocol import percent
from penstock.protocol.error_table import fault
from penstock.protocol.limits import (
    DEFAULT_LIST_PARTS,
    DEFAULT_LIST_UPLOADS,
    MAX_LIST_PARTS,
    MAX_LIST_UPLOADS,
    MAX_PART_BYTES,
    MAX_PART_NUMBER,
    MIN_PART_NUMBER,
)
from penstock.protocol.operation import Result
from penstock.protocol.operations.headers import StoredResult
from penstock.protocol.operations.listing import CommonPrefix
from penstock.protocol.operations.multipart import (
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CompleteMultipartUploadResult,
    InitiateMultipartUpload,
    InitiateMultipartUploadResult,
    ListedPart,
    ListedUpload,
    ListMultipartUploads,
    ListMultipartUploadsResult,
    ListParts,
    ListPartsResult,
    UploadPart,
    UploadPartCopy,
    UploadPartCopyResult,
)
from penstock.server import callback
from penstock.server.call import Acceptance, BodyHandler, Call, Handler, Reply
from penstock.server.handlers.attributes import (
    attributes_of,
    client_encryption,
    encryption_headers,
    moment,
    object_acl,
)
from penstock.server.handlers.conditions import check_conditions
from penstock.server.handlers.links import followed
from penstock.server.handlers.listing import page_size, url_encoding
from penstock.server.handlers.overwriting import overwriting_forbidden
from penstock.server.handlers.ranges import source_range
from penstock.server.handlers.restoring import readable
from penstock.server.refusals import part_number_refused
from penstock.server.store.faults import KeyMissing
from penstock.server.store.interface import StagedBlob
from penstock.server.store.records import CopySource, ObjectKind, ObjectRecord


def initiate(call: Call[InitiateMultipartUpload]) -> Reply:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    attributes = attributes_of(call, asked)
    if (
        overwriting_forbidden(call, asked.key, asked.forbid_overwrite)
        and call.bucket is not None
        and not call.bucket.versioning
    ):
        _refuse_existing(call, asked.bucket, asked.key)
    upload = call.store.create_upload(asked.bucket, asked.key, attributes, sequential=asked.sequential)
    result = InitiateMultipartUploadResult(
        encoding_type=encoding_type, bucket=asked.bucket, key=asked.key, upload_id=upload.upload_id
    )
    return Reply(result, headers=encryption_headers(attributes))


def accept_part(call: Call[UploadPart]) -> Acceptance:
    asked = call.asked
    _check_number(asked.number)
    _refuse_encryption(call)
    call.store.head_upload(asked.bucket, asked.key, asked.upload_id)
    arriving = call.service.arriving
    arriving.begin(asked.upload_id)
    return Acceptance(MAX_PART_BYTES, lambda: arriving.end(asked.upload_id))


def upload_part(call: Call[UploadPart], staged: StagedBlob) -> Reply:
    asked = call.asked
    upload = call.store.head_upload(asked.bucket, asked.key, asked.upload_id)
    md5 = base64.b64encode(staged.md5).decode()
    part = call.store.put_part(asked.bucket, asked.key, asked.upload_id, asked.number, staged)
    result = StoredResult(etag=part.etag, crc64=part.crc64, content_md5=md5)
    return Reply(result, headers=encryption_headers(upload.attributes))


def upload_part_copy(call: Call[UploadPartCopy]) -> UploadPartCopyResult:
    asked = call.asked
    _check_number(asked.number)
    call.may("GetObject", asked.source.bucket, asked.source.key, asked.source.version_id)
    offset, length = source_range(asked.source_range) or (0, None)
    found = _source(call)

    def check_source(source: ObjectRecord) -> None:
        call.may("GetObject", source.bucket, source.key, found.version_id, source.attributes.acl)
        if source.kind is ObjectKind.APPENDABLE:
            raise fault("OperationNotSupported")
        if source.kind is ObjectKind.SYMLINK:
            raise fault("InvalidTargetType")
        if not readable(source.attributes, call.service.clock()):
            raise fault("InvalidObjectState")
        check_conditions(
            source,
            if_match=asked.source_if_match,
            if_none_match=asked.source_if_none_match,
            if_modified_since=asked.source_if_modified_since,
            if_unmodified_since=asked.source_if_unmodified_since,
            prefix="x-oss-copy-source-",
        )

    part = call.store.copy_part(
        found,
        asked.bucket,
        asked.key,
        asked.upload_id,
        asked.number,
        offset=offset,
        length=length,
        check_source=check_source,
    )
    return UploadPartCopyResult(
        last_modified=moment(part.modified_ms), etag=part.etag, etag_header=part.etag, crc64=part.crc64
    )


def _source(call: Call[UploadPartCopy]) -> CopySource:
    """The object that a part is copied from: a link has no bytes of its own, its target has."""
    asked = call.asked.source
    source = CopySource(asked.bucket, asked.key, asked.version_id)
    record = call.store.head_object(source.bucket, source.key, source.version_id)
    if record.kind is not ObjectKind.SYMLINK:
        return source
    return CopySource(source.bucket, followed(call, record).key)


def complete(call: Call[CompleteMultipartUpload]) -> Reply:
    asked = call.asked
    _refuse_encryption(call)
    encoding_type = url_encoding(asked.encoding_type)
    acl = None if asked.acl is None else object_acl(asked.acl)
    wanted = callback.read(asked.callback, asked.callback_var)
    record = call.store.complete_upload(
        asked.bucket,
        asked.key,
        asked.upload_id,
        _listed_parts(asked),
        acl=acl,
        forbid_overwrite=overwriting_forbidden(call, asked.key, asked.forbid_overwrite),
    )
    result = CompleteMultipartUploadResult(
        encoding_type=encoding_type,
        location=f"{call.base}/{asked.bucket}/{percent.encode(asked.key, keep_slash=True)}",
        bucket=asked.bucket,
        key=asked.key,
        etag=record.etag,
        crc64=record.crc64,
        version_id=record.version_id,
    )
    headers = {**encryption_headers(record.attributes), "etag": f'"{record.etag}"'}
    reply = Reply(result, headers=headers)
    return reply if wanted is None else callback.answered_by(wanted, call, record, reply)


def abort(call: Call[AbortMultipartUpload]) -> Result:
    """
    Remove the parts that are there, and the upload unless further parts are arriving at this moment.

    Such parts survive an abort in OSS, and with them the upload: whoever aborts has to look whether it is
    gone, and ask again.
    """
    asked = call.asked
    if call.service.arriving.any(asked.upload_id):
        call.store.drop_parts(asked.bucket, asked.key, asked.upload_id)
    else:
        call.store.abort_upload(asked.bucket, asked.key, asked.upload_id)
    return Result()


def list_parts(call: Call[ListParts]) -> Reply:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    limit = page_size(asked.max_parts, DEFAULT_LIST_PARTS, MAX_LIST_PARTS, "max-parts")
    marker = page_size(asked.number_marker, 0, MAX_PART_NUMBER, "part-number-marker")
    page = call.store.list_parts(
        asked.bucket, asked.key, asked.upload_id, after_number=marker, limit=max(limit, 1)
    )
    parts = page.parts[:limit]
    result = ListPartsResult(
        encoding_type=encoding_type,
        bucket=asked.bucket,
        key=asked.key,
        upload_id=asked.upload_id,
        number_marker=marker,
        next_number_marker=parts[-1].number if parts else 0,
        max_parts=limit,
        is_truncated=page.next_number is not None,
        storage_class=page.upload.attributes.storage_class,
        **client_encryption(page.upload.attributes),
        parts=tuple(
            ListedPart(
                number=part.number,
                last_modified=moment(part.modified_ms),
                etag=part.etag,
                crc64=part.crc64,
                size_bytes=part.size_bytes,
            )
            for part in parts
        ),
    )
    return Reply(result, headers=encryption_headers(page.upload.attributes))


def list_uploads(call: Call[ListMultipartUploads]) -> ListMultipartUploadsResult:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    limit = page_size(asked.max_uploads, DEFAULT_LIST_UPLOADS, MAX_LIST_UPLOADS, "max-uploads")
    page = call.store.list_uploads(
        asked.bucket,
        prefix=asked.prefix or "",
        delimiter=asked.delimiter or "",
        key_marker=asked.key_marker or "",
        upload_id_marker=asked.upload_id_marker or "",
        limit=max(limit, 1),
    )
    uploads = page.uploads[:limit]
    return ListMultipartUploadsResult(
        encoding_type=encoding_type,
        bucket=asked.bucket,
        key_marker=asked.key_marker or "",
        upload_id_marker=asked.upload_id_marker or "",
        # OSS names the last upload of every page, be there more or not.
        next_key_marker=page.next_key_marker or (uploads[-1].key if uploads else ""),
        next_upload_id_marker=page.next_upload_id_marker or (uploads[-1].upload_id if uploads else ""),
        delimiter=asked.delimiter or "",
        prefix=asked.prefix or "",
        max_uploads=limit,
        is_truncated=page.next_key_marker is not None,
        uploads=tuple(
            ListedUpload(
                key=upload.key,
                upload_id=upload.upload_id,
                storage_class=upload.attributes.storage_class,
                initiated=moment(upload.initiated_ms),
            )
            for upload in uploads
        ),
        common_prefixes=tuple(CommonPrefix(prefix=prefix) for prefix in page.common_prefixes),
    )


def _listed_parts(asked: CompleteMultipartUpload) -> list[tuple[int, str]] | None:
    """The parts that the object shall be made of; None for all."""
    if asked.complete_all is None:
        if asked.body is None:
            raise fault("MalformedXML", ec="0042-00000205")
        return [(part.number, part.etag) for part in asked.body.parts]
    if asked.complete_all.lower() != "yes":
        raise fault(
            "InvalidArgument", ArgumentName="x-oss-complete-all", ArgumentValue=asked.complete_all[:100]
        )
    if asked.body is not None:
        raise fault(
            "InvalidArgument",
            message="Should not speficy both complete all header and http body.",
            ec="0042-00000216",
        )
    return None


def _refuse_encryption(call: Call[Any]) -> None:
    """How the object is encrypted was decided when its upload began."""
    for name in ("x-oss-server-side-encryption", "x-oss-server-side-data-encryption"):
        if name in call.http.headers:
            raise fault("InvalidArgument", ArgumentName=name, ArgumentValue=call.http.headers[name])


def _check_number(number: int) -> None:
    if not MIN_PART_NUMBER <= number <= MAX_PART_NUMBER:
        raise part_number_refused(number)


def _refuse_existing(call: Call[InitiateMultipartUpload], bucket: str, key: str) -> None:
    try:
        call.store.head_object(bucket, key)
    except KeyMissing:
        return
    raise fault("FileAlreadyExists", Key=key)


BODY_HANDLERS: dict[type, BodyHandler] = {UploadPart: BodyHandler(accept_part, upload_part)}
HANDLERS: dict[type, Handler] = {
    InitiateMultipartUpload: initiate,
    UploadPartCopy: upload_part_copy,
    CompleteMultipartUpload: complete,
    AbortMultipartUpload: abort,
    ListParts: list_parts,
    ListMultipartUploads: list_uploads,
}
