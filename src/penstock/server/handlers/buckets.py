"""Buckets as a whole."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.protocol.error_table import fault
from penstock.protocol.limits import DEFAULT_LIST_KEYS, MAX_LIST_KEYS
from penstock.protocol.operation import Result
from penstock.protocol.operations.buckets import (
    BucketConfiguration,
    BucketInfo,
    BucketLocation,
    BucketStat,
    DeleteBucket,
    GetBucketInfo,
    GetBucketLocation,
    GetBucketStat,
    ListBuckets,
    ListBucketsResult,
    ListedBucket,
    PutBucket,
    ResourceGroup,
    TransferAcceleration,
)
from penstock.protocol.operations.listing import Owner
from penstock.protocol.operations.reports import AccessMonitor
from penstock.protocol.operations.retention import Encryption
from penstock.server.call import Call, Handler, Reply
from penstock.server.guard.rules import write_document
from penstock.server.handlers import validation
from penstock.server.handlers.attributes import STORAGE_CLASSES, bucket_acl, check_block, moment
from penstock.server.handlers.configurations import keep, kept_document
from penstock.server.handlers.listing import page_size
from penstock.server.store.faults import BucketExists
from penstock.server.store.records import BucketPage, BucketRecord

_REDUNDANCIES = frozenset({"LRS", "ZRS"})


def put_bucket(call: Call[PutBucket]) -> Reply:
    asked = call.asked
    wanted = asked.body or BucketConfiguration()
    if wanted.storage_class is not None and wanted.storage_class not in STORAGE_CLASSES:
        raise fault("InvalidStorageClass", StorageClass=wanted.storage_class)
    if wanted.redundancy is not None and wanted.redundancy not in _REDUNDANCIES:
        raise fault("InvalidArgument", ArgumentName="DataRedundancyType", ArgumentValue=wanted.redundancy)
    acl = bucket_acl(asked.acl)
    check_block(acl, blocked=call.service.rules.blocks_public(call.caller.account))
    encryption = None
    if asked.server_side_encryption is not None:
        wanted_encryption = Encryption(
            algorithm=asked.server_side_encryption,
            key_id=asked.server_side_encryption_key_id,
            data_encryption=asked.server_side_data_encryption,
        )
        encryption = validation.encryption(call, wanted_encryption)
    record = BucketRecord(
        name=asked.bucket,
        owner=call.caller.account,
        region=call.service.region,
        acl=acl,
        storage_class=wanted.storage_class or "Standard",
        redundancy=wanted.redundancy or "LRS",
        created_ms=0,
    )
    try:
        call.store.create_bucket(record)
    except BucketExists as existing:
        if existing.owner != call.caller.account:
            raise
        _put_again(call, wanted)
    if encryption is not None:
        keep(call, asked.bucket, "encryption", write_document(encryption))
    if asked.resource_group_id is not None:
        group = ResourceGroup(id=asked.resource_group_id)
        keep(call, asked.bucket, "resourceGroup", write_document(group))
    return Reply(Result(), headers={"location": f"/{asked.bucket}"})


def _put_again(call: Call[PutBucket], wanted: BucketConfiguration) -> None:
    """One's own bucket may be made again, as long as it does not have to become another."""
    asked = call.asked
    record = call.store.head_bucket(asked.bucket)
    check_block(asked.acl or "", blocked=call.service.rules.of(record).block)
    if wanted.storage_class not in (None, record.storage_class) or wanted.redundancy not in (
        None,
        record.redundancy,
    ):
        raise fault("BucketAlreadyExists", BucketName=asked.bucket)
    if asked.acl is not None:
        acl = asked.acl
        call.store.update_bucket(asked.bucket, lambda kept: msgspec.structs.replace(kept, acl=acl))


def delete_bucket(call: Call[DeleteBucket]) -> Result:
    call.store.delete_bucket(call.asked.bucket)
    return Result()


def list_buckets(call: Call[ListBuckets]) -> ListBucketsResult:
    asked = call.asked
    limit = page_size(asked.max_keys, DEFAULT_LIST_KEYS, MAX_LIST_KEYS, "max-keys")
    page = _page(call, max(limit, 1))
    paged = page.next_marker is not None or asked.max_keys is not None or asked.marker or asked.prefix
    return ListBucketsResult(
        prefix=(asked.prefix or "") if paged else None,
        marker=(asked.marker or "") if paged else None,
        max_keys=limit if paged else None,
        is_truncated=page.next_marker is not None,
        next_marker=page.next_marker,
        owner=_owner(call.caller.account),
        buckets=tuple(_listed(call, record) for record in page.buckets[:limit]),
    )


def get_bucket_info(call: Call[GetBucketInfo]) -> BucketInfo:
    record, rules = call.store.head_bucket(call.asked.bucket), call.rules
    acceleration = kept_document(call, TransferAcceleration, record.name)
    encryption = rules.encryption
    return BucketInfo(
        name=record.name,
        location=f"oss-{record.region}",
        created=moment(record.created_ms),
        extranet_endpoint=call.base,
        intranet_endpoint=call.base,
        acl=record.acl,
        redundancy=record.redundancy,
        owner=_owner(record.owner),
        storage_class=record.storage_class,
        resource_group_id=_group(call, record),
        versioning=record.versioning or None,
        transfer_acceleration="Enabled" if acceleration and acceleration.enabled else "Disabled",
        cross_region_replication="Disabled",
        access_monitor=kept_document(call, AccessMonitor, record.name).status,
        block_public_access=rules.block,
        encryption=(encryption.algorithm if encryption is not None else None) or "None",
        encryption_key_id=encryption.key_id if encryption is not None else None,
        data_encryption=encryption.data_encryption if encryption is not None else None,
        comment="",
    )


def get_bucket_location(call: Call[GetBucketLocation]) -> BucketLocation:
    return BucketLocation(location=f"oss-{call.store.head_bucket(call.asked.bucket).region}")


def get_bucket_stat(call: Call[GetBucketStat]) -> BucketStat:
    stat = call.store.stat_bucket(call.asked.bucket)
    size, count = stat.class_bytes, stat.class_counts
    return BucketStat(
        storage_bytes=stat.object_bytes + stat.part_bytes,
        object_count=stat.object_count,
        upload_count=stat.upload_count,
        live_channel_count=0,
        # When something was last counted; a bucket that holds nothing was never counted.
        last_modified_at_s=int(call.service.clock()) if stat.object_count or stat.upload_count else 0,
        standard_storage_bytes=size.get("Standard", 0),
        standard_object_count=count.get("Standard", 0),
        infrequent_access_storage_bytes=size.get("IA", 0),
        infrequent_access_real_storage_bytes=size.get("IA", 0),
        infrequent_access_object_count=count.get("IA", 0),
        archive_storage_bytes=size.get("Archive", 0),
        archive_real_storage_bytes=size.get("Archive", 0),
        archive_object_count=count.get("Archive", 0),
        cold_archive_storage_bytes=size.get("ColdArchive", 0),
        cold_archive_real_storage_bytes=size.get("ColdArchive", 0),
        cold_archive_object_count=count.get("ColdArchive", 0),
        deep_cold_archive_storage_bytes=size.get("DeepColdArchive", 0),
        deep_cold_archive_real_storage_bytes=size.get("DeepColdArchive", 0),
        deep_cold_archive_object_count=count.get("DeepColdArchive", 0),
        marker_count=stat.marker_count,
    )


def _page(call: Call[ListBuckets], limit: int) -> BucketPage:
    """The next buckets that are asked for; those of other groups and tags are passed over."""
    asked = call.asked
    found: list[BucketRecord] = []
    marker = asked.marker or ""
    while True:
        page = call.store.list_buckets(
            prefix=asked.prefix or "", marker=marker, limit=limit, owner=call.caller.account
        )
        for record in page.buckets:
            if not _is_meant(call, record):
                continue
            if len(found) == limit:
                return BucketPage(buckets=tuple(found), next_marker=found[-1].name)
            found.append(record)
        if page.next_marker is None:
            return BucketPage(buckets=tuple(found), next_marker=None)
        filtered = (asked.tag_key, asked.tagging, asked.resource_group_id) != (None, None, None)
        if len(found) == limit and not filtered:
            return BucketPage(buckets=tuple(found), next_marker=page.next_marker)
        marker = page.next_marker


def _is_meant(call: Call[ListBuckets], record: BucketRecord) -> bool:
    asked = call.asked
    if asked.tagging is not None and not wanted_tags(asked.tagging).items() <= record.tags.items():
        return False
    if asked.tag_key is not None and record.tags.get(asked.tag_key) is None:
        return False
    if asked.tag_value is not None and record.tags.get(asked.tag_key or "") != asked.tag_value:
        return False
    return asked.resource_group_id is None or _group(call, record) == asked.resource_group_id


def wanted_tags(text: str) -> dict[str, str]:
    """
    The tags of ``"name":"value","name":"value"``.

    Raises:
        ServiceError: InvalidArgument.
    """
    try:
        return msgspec.json.decode(f"{{{text}}}", type=dict[str, str])
    except msgspec.DecodeError:
        raise fault("InvalidArgument", ArgumentName="tagging", ArgumentValue=text[:1024]) from None


def _group(call: Call[Any], record: BucketRecord) -> str:
    return str(kept_document(call, ResourceGroup, record.name).id)


def _listed(call: Call[Any], record: BucketRecord) -> ListedBucket:
    return ListedBucket(
        name=record.name,
        location=f"oss-{record.region}",
        region=record.region,
        created=moment(record.created_ms),
        extranet_endpoint=call.base,
        intranet_endpoint=call.base,
        storage_class=record.storage_class,
        resource_group_id=_group(call, record),
    )


def _owner(account: str) -> Owner:
    return Owner(id=account, display_name=account)


HANDLERS: dict[type, Handler] = {
    PutBucket: put_bucket,
    DeleteBucket: delete_bucket,
    ListBuckets: list_buckets,
    GetBucketInfo: get_bucket_info,
    GetBucketLocation: get_bucket_location,
    GetBucketStat: get_bucket_stat,
}
