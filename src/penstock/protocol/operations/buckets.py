"""Calls about buckets as a whole."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Header, Query, XmlBody
from penstock.protocol.operation import BucketRequest, Operation, Request, Result, Scope
from penstock.protocol.operations.configured import configuration_calls
from penstock.protocol.operations.listing import Owner


class BucketConfiguration(msgspec.Struct, frozen=True, kw_only=True):
    """What is decided when a bucket is made."""

    storage_class: Annotated[str | None, Element("StorageClass")] = None
    redundancy: Annotated[str | None, Element("DataRedundancyType")] = None


class PutBucket(BucketRequest, frozen=True, kw_only=True):
    """Make a bucket; making one's own bucket again is a success."""

    acl: Annotated[str | None, Header("x-oss-acl")] = None
    resource_group_id: Annotated[str | None, Header("x-oss-resource-group-id")] = None
    server_side_encryption: Annotated[str | None, Header("x-oss-server-side-encryption")] = None
    server_side_encryption_key_id: Annotated[str | None, Header("x-oss-server-side-encryption-key-id")] = None
    server_side_data_encryption: Annotated[str | None, Header("x-oss-server-side-data-encryption")] = None
    body: Annotated[BucketConfiguration | None, XmlBody("CreateBucketConfiguration")] = None


class DeleteBucket(BucketRequest, frozen=True, kw_only=True):
    """Remove an empty bucket; unfinished uploads count as content."""


class ListBuckets(Request, frozen=True, kw_only=True):
    """
    List the caller's buckets by name; of one resource group or with these tags, if given.

    ``tagging`` holds tags that a bucket must have all of, as ``"name":"value","name":"value"``.
    """

    resource_group_id: Annotated[str | None, Header("x-oss-resource-group-id")] = None
    tag_key: Annotated[str | None, Query("tag-key")] = None
    tag_value: Annotated[str | None, Query("tag-value")] = None
    tagging: Annotated[str | None, Query("tagging")] = None
    prefix: Annotated[str | None, Query("prefix")] = None
    marker: Annotated[str | None, Query("marker")] = None
    max_keys: Annotated[int | None, Query("max-keys")] = None


class ListedBucket(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket of a listing. The endpoints lead back to it from outside and from inside the region."""

    name: Annotated[str, Element("Name")]
    location: Annotated[str, Element("Location")] = ""
    region: Annotated[str | None, Element("Region")] = None
    created: Annotated[datetime | None, Element("CreationDate")] = None
    extranet_endpoint: Annotated[str | None, Element("ExtranetEndpoint")] = None
    intranet_endpoint: Annotated[str | None, Element("IntranetEndpoint")] = None
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    resource_group_id: Annotated[str | None, Element("ResourceGroupId")] = None


class ListBucketsResult(Result, frozen=True, kw_only=True):
    """One page; ask again from ``next_marker`` while ``is_truncated``."""

    prefix: Annotated[str | None, Element("Prefix")] = None
    marker: Annotated[str | None, Element("Marker")] = None
    max_keys: Annotated[int | None, Element("MaxKeys")] = None
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    next_marker: Annotated[str | None, Element("NextMarker")] = None
    owner: Annotated[Owner | None, Element("Owner")] = None
    buckets: Annotated[tuple[ListedBucket, ...], Element("Buckets/Bucket")] = ()


class GetBucketInfo(BucketRequest, frozen=True, kw_only=True):
    """Ask what a bucket is."""


class BucketInfo(Result, frozen=True, kw_only=True):
    """What a bucket is."""

    name: Annotated[str, Element("Bucket/Name")]
    location: Annotated[str | None, Element("Bucket/Location")] = None
    created: Annotated[datetime | None, Element("Bucket/CreationDate")] = None
    extranet_endpoint: Annotated[str | None, Element("Bucket/ExtranetEndpoint")] = None
    intranet_endpoint: Annotated[str | None, Element("Bucket/IntranetEndpoint")] = None
    acl: Annotated[str | None, Element("Bucket/AccessControlList/Grant")] = None
    redundancy: Annotated[str | None, Element("Bucket/DataRedundancyType")] = None
    owner: Annotated[Owner | None, Element("Bucket/Owner")] = None
    storage_class: Annotated[str | None, Element("Bucket/StorageClass")] = None
    resource_group_id: Annotated[str | None, Element("Bucket/ResourceGroupId")] = None
    versioning: Annotated[str | None, Element("Bucket/Versioning")] = None
    transfer_acceleration: Annotated[str | None, Element("Bucket/TransferAcceleration")] = None
    cross_region_replication: Annotated[str | None, Element("Bucket/CrossRegionReplication")] = None
    access_monitor: Annotated[str | None, Element("Bucket/AccessMonitor")] = None
    block_public_access: Annotated[bool | None, Element("Bucket/BlockPublicAccess")] = None
    comment: Annotated[str | None, Element("Bucket/Comment")] = None
    encryption: Annotated[str | None, Element("Bucket/ServerSideEncryptionRule/SSEAlgorithm")] = None
    encryption_key_id: Annotated[str | None, Element("Bucket/ServerSideEncryptionRule/KMSMasterKeyID")] = None
    data_encryption: Annotated[str | None, Element("Bucket/ServerSideEncryptionRule/KMSDataEncryption")] = (
        None
    )


class GetBucketLocation(BucketRequest, frozen=True, kw_only=True):
    """Ask where a bucket is."""


class BucketLocation(Result, frozen=True, kw_only=True):
    """Where a bucket is, such as ``oss-cn-hangzhou``."""

    location: Annotated[str, Element(".")]


class GetBucketStat(BucketRequest, frozen=True, kw_only=True):
    """Ask how much a bucket holds."""


class BucketStat(Result, frozen=True, kw_only=True):
    """How much a bucket holds."""

    storage_bytes: Annotated[int, Element("Storage")]
    object_count: Annotated[int, Element("ObjectCount")]
    upload_count: Annotated[int, Element("MultipartUploadCount")] = 0
    live_channel_count: Annotated[int | None, Element("LiveChannelCount")] = None
    last_modified_at_s: Annotated[int | None, Element("LastModifiedTime")] = None
    standard_storage_bytes: Annotated[int | None, Element("StandardStorage")] = None
    standard_object_count: Annotated[int | None, Element("StandardObjectCount")] = None
    infrequent_access_storage_bytes: Annotated[int | None, Element("InfrequentAccessStorage")] = None
    infrequent_access_real_storage_bytes: Annotated[int | None, Element("InfrequentAccessRealStorage")] = None
    infrequent_access_object_count: Annotated[int | None, Element("InfrequentAccessObjectCount")] = None
    archive_storage_bytes: Annotated[int | None, Element("ArchiveStorage")] = None
    archive_real_storage_bytes: Annotated[int | None, Element("ArchiveRealStorage")] = None
    archive_object_count: Annotated[int | None, Element("ArchiveObjectCount")] = None
    cold_archive_storage_bytes: Annotated[int | None, Element("ColdArchiveStorage")] = None
    cold_archive_real_storage_bytes: Annotated[int | None, Element("ColdArchiveRealStorage")] = None
    cold_archive_object_count: Annotated[int | None, Element("ColdArchiveObjectCount")] = None
    deep_cold_archive_storage_bytes: Annotated[int | None, Element("DeepColdArchiveStorage")] = None
    deep_cold_archive_real_storage_bytes: Annotated[int | None, Element("DeepColdArchiveRealStorage")] = None
    deep_cold_archive_object_count: Annotated[int | None, Element("DeepColdArchiveObjectCount")] = None
    marker_count: Annotated[int | None, Element("DeleteMarkerCount")] = None


class TransferAcceleration(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a bucket is reached by way of the nearest point of access."""

    enabled: Annotated[bool | None, Element("Enabled")] = None


class PutBucketTransferAcceleration(BucketRequest, frozen=True, kw_only=True):
    """Switch acceleration on or off."""

    body: Annotated[TransferAcceleration, XmlBody("TransferAccelerationConfiguration")]


class GetBucketTransferAcceleration(BucketRequest, frozen=True, kw_only=True):
    """Ask whether acceleration is on."""


class GetBucketTransferAccelerationResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[TransferAcceleration, XmlBody("TransferAccelerationConfiguration")]


class ResourceGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The resource group that a bucket is in."""

    id: Annotated[str | None, Element("ResourceGroupId")] = None


class PutBucketResourceGroup(BucketRequest, frozen=True, kw_only=True):
    """Move a bucket to another resource group."""

    body: Annotated[ResourceGroup, XmlBody("BucketResourceGroupConfiguration")]


class GetBucketResourceGroup(BucketRequest, frozen=True, kw_only=True):
    """Ask which resource group a bucket is in."""


class GetBucketResourceGroupResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[ResourceGroup, XmlBody("BucketResourceGroupConfiguration")]


OPERATIONS = (
    Operation("PutBucket", "PUT", Scope.BUCKET, PutBucket, Result, body="xml", commits=True),
    Operation("DeleteBucket", "DELETE", Scope.BUCKET, DeleteBucket, Result, status=204, commits=True),
    Operation(
        "ListBuckets",
        "GET",
        Scope.SERVICE,
        ListBuckets,
        ListBucketsResult,
        answer="xml",
        answer_root="ListAllMyBucketsResult",
    ),
    Operation(
        "GetBucketInfo",
        "GET",
        Scope.BUCKET,
        GetBucketInfo,
        BucketInfo,
        marks=(("bucketInfo", None),),
        answer="xml",
        answer_root="BucketInfo",
    ),
    Operation(
        "GetBucketLocation",
        "GET",
        Scope.BUCKET,
        GetBucketLocation,
        BucketLocation,
        marks=(("location", None),),
        answer="xml",
        answer_root="LocationConstraint",
    ),
    Operation(
        "GetBucketStat",
        "GET",
        Scope.BUCKET,
        GetBucketStat,
        BucketStat,
        marks=(("stat", None),),
        answer="xml",
        answer_root="BucketStat",
    ),
    *configuration_calls(
        "BucketTransferAcceleration",
        "transferAcceleration",
        put=PutBucketTransferAcceleration,
        get=GetBucketTransferAcceleration,
        answer=GetBucketTransferAccelerationResult,
    ),
    *configuration_calls(
        "BucketResourceGroup",
        "resourceGroup",
        put=PutBucketResourceGroup,
        get=GetBucketResourceGroup,
        answer=GetBucketResourceGroupResult,
    ),
)
