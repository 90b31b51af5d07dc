"""Reading objects."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.protocol.operations.headers import Conditions, ObjectDescription
from penstock.protocol.operations.objects import GetObject, GetObjectMeta, HeadObject
from penstock.server.call import Call, Handler, Reply
from penstock.server.handlers.attributes import describe, moment
from penstock.server.handlers.compression import compressed, compressible
from penstock.server.handlers.conditions import check_conditions
from penstock.server.handlers.links import check_target, followed, target_key, target_missing
from penstock.server.handlers.ranges import wanted_range
from penstock.server.handlers.restoring import readable
from penstock.server.http.response import ObjectBody
from penstock.server.http.traffic import bytes_per_s
from penstock.server.store.faults import KeyMissing
from penstock.server.store.interface import OpenObject
from penstock.server.store.records import ObjectKind, ObjectRecord

SMALL_BYTES = 64 * 1024
"""Up to this size the bytes are read with the record, and sent with the head in one piece."""

_OVERRIDES = {
    "response_content_type": "content_type",
    "response_content_language": "content_language",
    "response_expires": "expires",
    "response_cache_control": "cache_control",
    "response_content_disposition": "content_disposition",
    "response_content_encoding": "content_encoding",
}


def get_object(call: Call[GetObject]) -> Reply:
    asked = call.asked
    if asked.process:
        raise fault(
            "NotImplemented", message="Processing of objects is not implemented.", Header="x-oss-process"
        )
    rate = bytes_per_s(asked.traffic_limit)
    overrides = _overrides(call)
    opened, link = _open(call, asked.bucket, asked.key, asked.version_id)
    try:
        record = opened.record
        _check(asked, record)
        _check_state(call, record)
        described = _described(call, record, link)
        strict = (asked.range_behavior or "").lower() == "standard"
        part = wanted_range(asked.range, record.size_bytes, strict=strict)
        offset, length = part or (0, record.size_bytes)
        changes: dict[str, Any] = {**overrides, "content_bytes": length}
        if part is not None:
            changes["content_range"] = part.content_range(record.size_bytes)
            changes["content_md5"] = None
        shown = msgspec.structs.replace(described, **overrides) if overrides else described
        if part is None and call.http.takes_chunks and compressible(asked, shown):
            reply = compressed(shown, opened, rate)
            opened.close()
            return reply
        result = msgspec.structs.replace(described, **changes)
        body = ObjectBody(opened, offset, length)
        small = body.read() if length <= SMALL_BYTES else None
    except BaseException:
        opened.close()
        raise
    if small is not None:
        opened.close()
    return Reply(
        result,
        status=206 if part else 200,
        headers={"accept-ranges": "bytes"},
        body=body if small is None else small,
        bytes_per_s=rate,
    )


def opened_for_reading(call: Call[Any], version_id: str | None) -> OpenObject:
    """
    The object of a call, whose bytes may be read now; the caller closes it.

    Raises:
        ServiceError: InvalidObjectState for an archived object.
    """
    opened, _ = _open(call, call.asked.bucket, call.asked.key, version_id)
    try:
        _check_state(call, opened.record)
    except ServiceError:
        opened.close()
        raise
    return opened


def _check_state(call: Call[Any], record: ObjectRecord) -> None:
    direct = call.rules.direct_read and record.attributes.storage_class == "Archive"
    if not direct and not readable(record.attributes, call.service.clock()):
        raise fault("InvalidObjectState")


def head_object(call: Call[HeadObject]) -> Reply:
    asked = call.asked
    record, link = _find(call, asked.bucket, asked.key, asked.version_id)
    _check(asked, record)
    return Reply(_described(call, record, link), headers={"accept-ranges": "bytes"})


def get_object_meta(call: Call[GetObjectMeta]) -> ObjectDescription:
    asked = call.asked
    record, _ = _find(call, asked.bucket, asked.key, asked.version_id)
    return ObjectDescription(
        content_bytes=record.size_bytes,
        etag=record.etag,
        crc64=record.crc64,
        last_modified=moment(record.modified_ms),
        version_id=record.version_id,
    )


def _find(
    call: Call[Any], bucket: str, key: str, version_id: str | None
) -> tuple[ObjectRecord, ObjectRecord | None]:
    """The object that a reader means and may read, and the symbolic link that led to it, if one did."""
    record = call.store.head_object(bucket, key, version_id)
    _check_list(call, record, version_id)
    return (followed(call, record), record) if record.kind is ObjectKind.SYMLINK else (record, None)


def _open(
    call: Call[Any], bucket: str, key: str, version_id: str | None
) -> tuple[OpenObject, ObjectRecord | None]:
    """As `_find`, with the bytes; the caller closes them."""
    opened = call.store.get_object(bucket, key, version_id)
    try:
        _check_list(call, opened.record, version_id)
        if opened.record.kind is not ObjectKind.SYMLINK:
            return opened, None
    except BaseException:
        opened.close()
        raise
    link = opened.record
    opened.close()
    try:
        opened = call.store.get_object(bucket, target_key(link))
    except KeyMissing:
        raise target_missing(call, link) from None
    try:
        check_target(call, opened.record)
    except BaseException:
        opened.close()
        raise
    return opened, link


def _check_list(call: Call[Any], record: ObjectRecord, version_id: str | None) -> None:
    """Refuse what took the place of an object that the caller might read, since the head was judged."""
    call.may(call.operation, record.bucket, record.key, version_id, record.attributes.acl)


def _described(call: Call[Any], record: ObjectRecord, link: ObjectRecord | None) -> ObjectDescription:
    described = describe(record, call.service.clock())
    if link is None:
        return described
    return msgspec.structs.replace(
        described,
        metadata=link.attributes.user_metadata,
        object_type=ObjectKind.SYMLINK.value,
        last_modified=moment(max(link.modified_ms, record.modified_ms)),
    )


def _check(asked: Conditions, record: ObjectRecord) -> None:
    check_conditions(
        record,
        if_match=asked.if_match,
        if_none_match=asked.if_none_match,
        if_modified_since=asked.if_modified_since,
        if_unmodified_since=asked.if_unmodified_since,
    )


def _overrides(call: Call[GetObject]) -> dict[str, str]:
    given = {
        field: value for name, field in _OVERRIDES.items() if (value := getattr(call.asked, name)) is not None
    }
    if given and call.caller.anonymous:
        raise fault("InvalidRequest", message="Headers of the answer may be chosen in signed requests only.")
    for field, value in given.items():
        if not value.isprintable():
            raise fault(
                "InvalidArgument",
                message="A header cannot hold this value.",
                ArgumentName=f"response-{field.replace('_', '-')}",
            )
    return given


HANDLERS: dict[type, Handler] = {
    GetObject: get_object,
    HeadObject: head_object,
    GetObjectMeta: get_object_meta,
}
