"""Versions of objects."""

from __future__ import annotations

import msgspec

from penstock.protocol.error_table import fault
from penstock.protocol.limits import DEFAULT_LIST_KEYS, MAX_LIST_KEYS
from penstock.protocol.operation import Result
from penstock.protocol.operations.listing import CommonPrefix, Owner
from penstock.protocol.operations.versioning import (
    GetBucketVersioning,
    GetBucketVersioningResult,
    ListedMarker,
    ListedVersion,
    ListObjectVersions,
    ListObjectVersionsResult,
    PutBucketVersioning,
    Versioning,
)
from penstock.server.call import Call, Handler
from penstock.server.handlers.attributes import moment
from penstock.server.handlers.listing import check_lengths, page_size, url_encoding
from penstock.server.handlers.restoring import restore_info
from penstock.server.store.records import ObjectKind, ObjectRecord, VersionPage


def put_versioning(call: Call[PutBucketVersioning]) -> Result:
    status = call.asked.body.status
    if status not in ("Enabled", "Suspended"):
        raise fault("MalformedXML", ErrorDetail="Status is Enabled or Suspended")
    if status == "Suspended" and call.rules.object_worm is not None:
        raise fault("InvalidWORMConfiguration", message="Single objects are retained: versions must stay on.")
    call.store.update_bucket(call.asked.bucket, lambda kept: msgspec.structs.replace(kept, versioning=status))
    return Result()


def get_versioning(call: Call[GetBucketVersioning]) -> GetBucketVersioningResult:
    record = call.store.head_bucket(call.asked.bucket)
    return GetBucketVersioningResult(body=Versioning(status=record.versioning or None))


def list_versions(call: Call[ListObjectVersions]) -> ListObjectVersionsResult:
    asked = call.asked
    encoding_type = url_encoding(asked.encoding_type)
    limit = page_size(asked.max_keys, DEFAULT_LIST_KEYS, MAX_LIST_KEYS, "max-keys")
    check_lengths(
        prefix=asked.prefix,
        key_marker=asked.key_marker,
        version_id_marker=asked.version_id_marker,
        delimiter=asked.delimiter,
    )
    if asked.version_id_marker and not asked.key_marker:
        raise fault(
            "InvalidArgument",
            message="A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=asked.version_id_marker[:1024],
        )
    page = VersionPage(versions=(), common_prefixes=(), next_key_marker=None, next_version_id_marker="")
    if limit:
        page = call.store.list_object_versions(
            asked.bucket,
            prefix=asked.prefix or "",
            delimiter=asked.delimiter or "",
            key_marker=asked.key_marker or "",
            version_id_marker=asked.version_id_marker or "",
            limit=limit,
        )
    owner = Owner(id=call.owner, display_name=call.owner)
    now_s = call.service.clock()
    return ListObjectVersionsResult(
        encoding_type=encoding_type,
        name=asked.bucket,
        prefix=asked.prefix or "",
        key_marker=asked.key_marker or "",
        version_id_marker=asked.version_id_marker or "",
        max_keys=limit,
        delimiter=asked.delimiter or "",
        is_truncated=page.next_key_marker is not None,
        next_key_marker=page.next_key_marker,
        next_version_id_marker=page.next_version_id_marker if page.next_key_marker is not None else None,
        versions=tuple(
            _version(one, owner, now_s) for one in page.versions if one.kind is not ObjectKind.MARKER
        ),
        markers=tuple(_marker(one, owner) for one in page.versions if one.kind is ObjectKind.MARKER),
        common_prefixes=tuple(CommonPrefix(prefix=prefix) for prefix in page.common_prefixes),
    )


def _version(record: ObjectRecord, owner: Owner, now_s: float) -> ListedVersion:
    return ListedVersion(
        key=record.key,
        version_id=record.version_id or "null",
        is_latest=record.latest,
        last_modified=moment(record.modified_ms),
        etag=record.etag,
        object_type=record.kind.value,
        size_bytes=record.size_bytes,
        storage_class=record.attributes.storage_class,
        restore=restore_info(record.attributes, now_s),
        owner=owner,
    )


def _marker(record: ObjectRecord, owner: Owner) -> ListedMarker:
    return ListedMarker(
        key=record.key,
        version_id=record.version_id or "null",
        is_latest=record.latest,
        last_modified=moment(record.modified_ms),
        owner=owner,
    )


HANDLERS: dict[type, Handler] = {
    PutBucketVersioning: put_versioning,
    GetBucketVersioning: get_versioning,
    ListObjectVersions: list_versions,
}
