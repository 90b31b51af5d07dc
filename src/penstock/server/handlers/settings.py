"""Access lists, tags and symbolic links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from penstock.errors import InvalidInput
from penstock.protocol import names
from penstock.protocol.error_table import fault
from penstock.protocol.operation import Result
from penstock.protocol.operations.headers import StoredResult
from penstock.protocol.operations.listing import Owner
from penstock.protocol.operations.settings import (
    AccessControl,
    DeleteBucketTags,
    DeleteObjectTagging,
    GetBucketAcl,
    GetBucketTags,
    GetObjectAcl,
    GetObjectTagging,
    GetSymlink,
    PutBucketAcl,
    PutBucketTags,
    PutObjectAcl,
    PutObjectTagging,
    PutSymlink,
    Symlink,
    Tag,
    Tagging,
    TagSet,
    VersionResult,
)
from penstock.server.call import Call, Handler
from penstock.server.handlers.attributes import (
    attributes_of,
    bucket_acl,
    check_block,
    object_acl,
    object_tags,
)
from penstock.server.handlers.overwriting import overwriting_forbidden
from penstock.server.refusals import refusal_of_name
from penstock.server.store.faults import BucketExists
from penstock.server.store.records import BucketRecord, ObjectKind


def put_bucket_acl(call: Call[PutBucketAcl]) -> Result:
    acl = bucket_acl(call.asked.acl)
    rules = call.service.rules
    check_block(acl, blocked=call.rules.block if call.bucket else rules.blocks_public(call.owner))
    if call.bucket is None:
        try:
            call.store.create_bucket(_new_bucket(call, acl))
        except BucketExists as existing:
            if existing.owner != call.caller.account:
                raise
    call.store.update_bucket(call.asked.bucket, lambda kept: msgspec.structs.replace(kept, acl=acl))
    return Result()


def get_bucket_acl(call: Call[GetBucketAcl]) -> AccessControl:
    return AccessControl(owner=_owner(call), grant=call.store.head_bucket(call.asked.bucket).acl)


def put_object_acl(call: Call[PutObjectAcl]) -> VersionResult:
    asked, acl = call.asked, object_acl(call.asked.acl)
    check_block(acl, blocked=call.rules.block)
    record = call.store.update_object(
        asked.bucket, asked.key, lambda kept: msgspec.structs.replace(kept, acl=acl), asked.version_id
    )
    return VersionResult(version_id=record.version_id)


def get_object_acl(call: Call[GetObjectAcl]) -> AccessControl:
    asked = call.asked
    record = call.store.head_object(asked.bucket, asked.key, asked.version_id)
    return AccessControl(owner=_owner(call), grant=record.attributes.acl, version_id=record.version_id)


def put_object_tagging(call: Call[PutObjectTagging]) -> VersionResult:
    return _set_tags(call, object_tags(_tags(call.asked.body)))


def delete_object_tagging(call: Call[DeleteObjectTagging]) -> VersionResult:
    return _set_tags(call, {})


def get_object_tagging(call: Call[GetObjectTagging]) -> Tagging:
    asked = call.asked
    record = call.store.head_object(asked.bucket, asked.key, asked.version_id)
    return Tagging(tags=_tag_list(record.attributes.tags), version_id=record.version_id)


def put_bucket_tags(call: Call[PutBucketTags]) -> Result:
    tags = object_tags(_tags(call.asked.body), for_bucket=True)
    call.store.update_bucket(call.asked.bucket, lambda kept: msgspec.structs.replace(kept, tags=tags))
    return Result()


def delete_bucket_tags(call: Call[DeleteBucketTags]) -> Result:
    named = [name for name in (call.asked.names or "").split(",") if name]

    def left(tags: Mapping[str, str]) -> dict[str, str]:
        return {name: value for name, value in tags.items() if named and name not in named}

    call.store.update_bucket(
        call.asked.bucket, lambda kept: msgspec.structs.replace(kept, tags=left(kept.tags))
    )
    return Result()


def get_bucket_tags(call: Call[GetBucketTags]) -> Tagging:
    return Tagging(tags=_tag_list(call.store.head_bucket(call.asked.bucket).tags))


def put_symlink(call: Call[PutSymlink]) -> StoredResult:
    asked = call.asked
    try:
        names.check_key(asked.target)
    except InvalidInput as error:
        raise refusal_of_name("InvalidObjectName", error) from error
    record = call.store.put_symlink(
        asked.bucket,
        asked.key,
        asked.target,
        attributes_of(call, asked),
        forbid_overwrite=overwriting_forbidden(call, asked.key, asked.forbid_overwrite),
    )
    return StoredResult(etag=record.etag, version_id=record.version_id)


def get_symlink(call: Call[GetSymlink]) -> Symlink:
    asked = call.asked
    record = call.store.head_object(asked.bucket, asked.key, asked.version_id)
    if record.kind is not ObjectKind.SYMLINK:
        raise fault("NotSymlink", Key=asked.key)
    return Symlink(
        target=record.attributes.symlink_target or "", etag=record.etag, version_id=record.version_id
    )


def _new_bucket(call: Call[PutBucketAcl], acl: str) -> BucketRecord:
    """OSS makes the bucket that an access list is put on, if it is not there."""
    return BucketRecord(
        name=call.asked.bucket,
        owner=call.caller.account,
        region=call.service.region,
        acl=acl,
        storage_class="Standard",
        redundancy="LRS",
        created_ms=0,
    )


def _owner(call: Call[Any]) -> Owner:
    return Owner(id=call.owner, display_name=call.owner)


def _tags(given: TagSet) -> Mapping[str, str]:
    tags = {tag.key: tag.value for tag in given.tags}
    if len(tags) != len(given.tags):
        raise fault("InvalidTag", ErrorDetail="a tag is given twice")
    return tags


def _tag_list(tags: Mapping[str, str]) -> tuple[Tag, ...]:
    return tuple(Tag(key=name, value=value) for name, value in tags.items())


def _set_tags(call: Call[Any], tags: Mapping[str, str]) -> VersionResult:
    asked = call.asked
    record = call.store.update_object(
        asked.bucket, asked.key, lambda kept: msgspec.structs.replace(kept, tags=tags), asked.version_id
    )
    return VersionResult(version_id=record.version_id)


HANDLERS: dict[type, Handler] = {
    PutBucketAcl: put_bucket_acl,
    GetBucketAcl: get_bucket_acl,
    PutObjectAcl: put_object_acl,
    GetObjectAcl: get_object_acl,
    PutObjectTagging: put_object_tagging,
    GetObjectTagging: get_object_tagging,
    DeleteObjectTagging: delete_object_tagging,
    PutBucketTags: put_bucket_tags,
    GetBucketTags: get_bucket_tags,
    DeleteBucketTags: delete_bucket_tags,
    PutSymlink: put_symlink,
    GetSymlink: get_symlink,
}
