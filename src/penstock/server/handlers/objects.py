"""Making, copying and removing objects."""

from __future__ import annotations

import base64

from penstock.protocol.error_table import fault
from penstock.protocol.limits import MAX_DELETE_KEYS, MAX_SINGLE_COPY_BYTES, MAX_SINGLE_PUT_BYTES
from penstock.protocol.operations.objects import (
    AppendObject,
    AppendObjectResult,
    CopyObject,
    CopyObjectResult,
    DeletedObject,
    DeleteMultipleObjects,
    DeleteMultipleObjectsResult,
    DeleteObject,
    DeleteObjectResult,
    PutObject,
    PutObjectResult,
)
from penstock.server import callback
from penstock.server.call import Acceptance, BodyHandler, Call, Handler, Reply
from penstock.server.handlers.attributes import (
    attributes_of,
    check_version_id,
    encryption_headers,
    metadata_of_copy,
    moment,
    object_acl,
    storage_class_of,
)
from penstock.server.handlers.conditions import check_conditions
from penstock.server.handlers.listing import url_encoding
from penstock.server.handlers.overwriting import overwriting_forbidden
from penstock.server.handlers.restoring import readable
from penstock.server.store.interface import StagedBlob
from penstock.server.store.records import Attributes, CopySource, ObjectRecord


def accept_put(call: Call[PutObject]) -> Acceptance:
    attributes_of(call, call.asked)
    callback.read(call.asked.callback, call.asked.callback_var)
    return Acceptance(MAX_SINGLE_PUT_BYTES)


def put_object(call: Call[PutObject], staged: StagedBlob) -> Reply:
    asked = call.asked
    attributes = attributes_of(call, asked)
    md5 = base64.b64encode(staged.md5).decode()
    record = call.store.put_object(
        asked.bucket,
        asked.key,
        staged,
        attributes,
        forbid_overwrite=overwriting_forbidden(call, asked.key, asked.forbid_overwrite),
    )
    result = PutObjectResult(
        etag=record.etag, crc64=record.crc64, content_md5=md5, version_id=record.version_id
    )
    headers = encryption_headers(attributes)
    wanted = callback.read(asked.callback, asked.callback_var)
    reply = Reply(result, headers=headers)
    return reply if wanted is None else callback.answered_by(wanted, call, record, reply)


def accept_append(call: Call[AppendObject]) -> Acceptance:
    asked = call.asked
    if asked.position == 0:
        attributes_of(call, asked)
    if asked.position < 0:
        raise fault(
            "InvalidArgument",
            message="The append position is negative.",
            ArgumentName="position",
            ArgumentValue=asked.position,
        )
    return Acceptance(max(0, MAX_SINGLE_PUT_BYTES - asked.position))


def append_object(call: Call[AppendObject], staged: StagedBlob) -> Reply:
    asked = call.asked
    # What the object is was decided by its first append; what later ones say of it is not looked at.
    attributes = attributes_of(call, asked) if asked.position == 0 else Attributes()
    record = call.store.append_object(asked.bucket, asked.key, asked.position, staged, attributes)
    result = AppendObjectResult(
        etag=record.etag,
        crc64=record.crc64,
        version_id=record.version_id,
        next_position=record.size_bytes,
    )
    return Reply(result, headers=encryption_headers(record.attributes))


def copy_object(call: Call[CopyObject]) -> Reply:
    asked = call.asked
    call.may("GetObject", asked.source.bucket, asked.source.key, asked.source.version_id)
    onto_itself = (asked.source.bucket, asked.source.key) == (asked.bucket, asked.key)
    given = attributes_of(call, asked)
    replace_metadata = _directive(asked.metadata_directive, "x-oss-metadata-directive") or onto_itself
    replace_tags = _directive(asked.tagging_directive, "x-oss-tagging-directive")

    source_version_id = None

    def attributes(source: ObjectRecord) -> Attributes:
        nonlocal source_version_id
        source_version_id = source.version_id
        call.may("GetObject", source.bucket, source.key, asked.source.version_id, source.attributes.acl)
        check_conditions(
            source,
            if_match=asked.source_if_match,
            if_none_match=asked.source_if_none_match,
            if_modified_since=asked.source_if_modified_since,
            if_unmodified_since=asked.source_if_unmodified_since,
            prefix="x-oss-copy-source-",
        )
        if not readable(source.attributes, call.service.clock()):
            raise fault("InvalidObjectState")
        if source.size_bytes > MAX_SINGLE_COPY_BYTES:
            raise fault(
                "EntityTooLarge", ProposedSize=source.size_bytes, MaxSizeAllowed=MAX_SINGLE_COPY_BYTES
            )
        described = given if replace_metadata else source.attributes
        return Attributes(
            # The type stays unless another is given, whatever else is replaced.
            content_type=source.attributes.content_type
            if asked.content_type is None
            else described.content_type,
            cache_control=described.cache_control,
            content_disposition=described.content_disposition,
            content_encoding=described.content_encoding,
            content_language=described.content_language,
            expires=described.expires,
            user_metadata=metadata_of_copy(source.attributes.user_metadata, described.user_metadata),
            storage_class=storage_class_of(call, asked.storage_class),
            acl=object_acl(asked.acl),
            tags=given.tags if replace_tags else source.attributes.tags,
            symlink_target=source.attributes.symlink_target,
            extra=given.extra,
        )

    record = call.store.copy_object(
        CopySource(asked.source.bucket, asked.source.key, asked.source.version_id),
        asked.bucket,
        asked.key,
        attributes,
        forbid_overwrite=overwriting_forbidden(call, asked.key, asked.forbid_overwrite),
    )
    result = CopyObjectResult(
        last_modified=moment(record.modified_ms),
        etag=record.etag,
        crc64=record.crc64,
        version_id=record.version_id,
        source_version_id=source_version_id,
    )
    return Reply(result, headers=encryption_headers(record.attributes))


def delete_object(call: Call[DeleteObject]) -> DeleteObjectResult:
    asked = call.asked
    deleted = call.store.delete_object(asked.bucket, asked.key, asked.version_id)
    return DeleteObjectResult(version_id=deleted.version_id, delete_marker=deleted.marker or None)


def delete_multiple_objects(call: Call[DeleteMultipleObjects]) -> DeleteMultipleObjectsResult:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    targets = asked.body.objects
    if not targets or len(targets) > MAX_DELETE_KEYS or not all(target.key for target in targets):
        raise fault("MalformedXML", ErrorDetail=f"1 to {MAX_DELETE_KEYS} keys can be deleted at once")
    for target in targets:
        check_version_id(target.version_id)
        call.may("DeleteObject", asked.bucket, target.key, target.version_id or None)
    deleted = call.store.delete_objects(
        asked.bucket, [(target.key, target.version_id or None) for target in targets]
    )
    if asked.body.quiet:
        return DeleteMultipleObjectsResult(encoding_type=encoding_type)
    return DeleteMultipleObjectsResult(
        encoding_type=encoding_type,
        deleted=tuple(
            DeletedObject(
                key=one.key,
                version_id=target.version_id,
                delete_marker=one.marker or None,
                delete_marker_version_id=one.version_id if one.marker else None,
            )
            for target, one in zip(targets, deleted, strict=True)
        ),
    )


def _directive(given: str | None, name: str) -> bool:
    """Whether what the request says replaces what the source has."""
    chosen = (given or "COPY").upper()
    if chosen not in ("COPY", "REPLACE"):
        raise fault("InvalidArgument", ArgumentName=name, ArgumentValue=given or "")
    return chosen == "REPLACE"


BODY_HANDLERS: dict[type, BodyHandler] = {
    PutObject: BodyHandler(accept_put, put_object),
    AppendObject: BodyHandler(accept_append, append_object),
}
HANDLERS: dict[type, Handler] = {
    CopyObject: copy_object,
    DeleteObject: delete_object,
    DeleteMultipleObjects: delete_multiple_objects,
}
