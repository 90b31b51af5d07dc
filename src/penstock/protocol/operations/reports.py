"""What a bucket reports of itself: access logs, inventories, and when an object was last read."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Query, XmlBody
from penstock.protocol.operation import BucketRequest, Operation, Result, Scope
from penstock.protocol.operations.configured import configuration_calls


class LoggingEnabled(msgspec.Struct, frozen=True, kw_only=True):
    """Where access logs go."""

    target_bucket: Annotated[str | None, Element("TargetBucket")] = None
    target_prefix: Annotated[str | None, Element("TargetPrefix")] = None
    role: Annotated[str | None, Element("LoggingRole")] = None


class Logging(msgspec.Struct, frozen=True, kw_only=True):
    """Where access logs go; None: nowhere."""

    enabled: Annotated[LoggingEnabled | None, Element("LoggingEnabled")] = None


class PutBucketLogging(BucketRequest, frozen=True, kw_only=True):
    """Decide where access logs go."""

    body: Annotated[Logging, XmlBody("BucketLoggingStatus")]


class GetBucketLogging(BucketRequest, frozen=True, kw_only=True):
    """Ask where access logs go."""


class GetBucketLoggingResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Logging, XmlBody("BucketLoggingStatus")]


class DeleteBucketLogging(BucketRequest, frozen=True, kw_only=True):
    """Write no access logs."""


class LogFields(msgspec.Struct, frozen=True, kw_only=True):
    """Headers and parameters of requests that stand in access logs beside the usual."""

    headers: Annotated[tuple[str, ...], Element("HeaderSet/header")] = ()
    parameters: Annotated[tuple[str, ...], Element("ParamSet/parameter")] = ()


class PutUserDefinedLogFieldsConfig(BucketRequest, frozen=True, kw_only=True):
    """Decide what stands in access logs beside the usual."""

    body: Annotated[LogFields, XmlBody("UserDefinedLogFieldsConfiguration")]


class GetUserDefinedLogFieldsConfig(BucketRequest, frozen=True, kw_only=True):
    """Ask what stands in access logs beside the usual."""


class GetUserDefinedLogFieldsConfigResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[LogFields, XmlBody("UserDefinedLogFieldsConfiguration")]


class DeleteUserDefinedLogFieldsConfig(BucketRequest, frozen=True, kw_only=True):
    """Write the usual into access logs, and no more."""


class IncrementalInventory(msgspec.Struct, frozen=True, kw_only=True):
    """A list of what changed since the last one."""

    enabled: Annotated[bool | None, Element("IsEnabled")] = None
    every_s: Annotated[int | None, Element("Schedule/Frequency")] = None
    fields: Annotated[tuple[str, ...], Element("OptionalFields/Field")] = ()


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """A list of objects that is written from time to time."""

    id: Annotated[str | None, Element("Id")] = None
    enabled: Annotated[bool | None, Element("IsEnabled")] = None
    prefix: Annotated[str | None, Element("Filter/Prefix")] = None
    modified_from_s: Annotated[int | None, Element("Filter/LastModifyBeginTimeStamp")] = None
    modified_to_s: Annotated[int | None, Element("Filter/LastModifyEndTimeStamp")] = None
    least_bytes: Annotated[int | None, Element("Filter/LowerSizeBound")] = None
    most_bytes: Annotated[int | None, Element("Filter/UpperSizeBound")] = None
    storage_class: Annotated[str | None, Element("Filter/StorageClass")] = None
    format: Annotated[str | None, Element("Destination/OSSBucketDestination/Format")] = None
    account: Annotated[str | None, Element("Destination/OSSBucketDestination/AccountId")] = None
    role: Annotated[str | None, Element("Destination/OSSBucketDestination/RoleArn")] = None
    target_bucket: Annotated[str | None, Element("Destination/OSSBucketDestination/Bucket")] = None
    target_prefix: Annotated[str | None, Element("Destination/OSSBucketDestination/Prefix")] = None
    kms_key_id: Annotated[
        str | None, Element("Destination/OSSBucketDestination/Encryption/SSE-KMS/KeyId")
    ] = None
    oss_encryption: Annotated[str | None, Element("Destination/OSSBucketDestination/Encryption/SSE-OSS")] = (
        None
    )
    frequency: Annotated[str | None, Element("Schedule/Frequency")] = None
    included_versions: Annotated[str | None, Element("IncludedObjectVersions")] = None
    fields: Annotated[tuple[str, ...], Element("OptionalFields/Field")] = ()
    incremental: Annotated[IncrementalInventory | None, Element("IncrementalInventory")] = None


class PutBucketInventory(BucketRequest, frozen=True, kw_only=True):
    """Replace one inventory."""

    inventory_id: Annotated[str, Query("inventoryId")]
    body: Annotated[Inventory, XmlBody("InventoryConfiguration")]


class GetBucketInventory(BucketRequest, frozen=True, kw_only=True):
    """Ask for one inventory."""

    inventory_id: Annotated[str, Query("inventoryId")]


class GetBucketInventoryResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Inventory, XmlBody("InventoryConfiguration")]


class DeleteBucketInventory(BucketRequest, frozen=True, kw_only=True):
    """Remove one inventory."""

    inventory_id: Annotated[str, Query("inventoryId")]


class ListBucketInventory(BucketRequest, frozen=True, kw_only=True):
    """List the inventories of a bucket."""

    continuation_token: Annotated[str | None, Query("continuation-token")] = None


class ListBucketInventoryResult(Result, frozen=True, kw_only=True):
    """One page of at most 100."""

    continuation_token: Annotated[str | None, Element("ContinuationToken")] = None
    inventories: Annotated[tuple[Inventory, ...], Element("InventoryConfiguration")] = ()
    is_truncated: Annotated[bool, Element("IsTruncated")] = False
    next_continuation_token: Annotated[str | None, Element("NextContinuationToken")] = None


class AccessMonitor(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the time of the last access is kept: ``Enabled`` or ``Disabled``."""

    status: Annotated[str | None, Element("Status")] = None


class PutBucketAccessMonitor(BucketRequest, frozen=True, kw_only=True):
    """Decide whether the time of the last access is kept."""

    body: Annotated[AccessMonitor, XmlBody("AccessMonitorConfiguration")]


class GetBucketAccessMonitor(BucketRequest, frozen=True, kw_only=True):
    """Ask whether the time of the last access is kept."""


class GetBucketAccessMonitorResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[AccessMonitor, XmlBody("AccessMonitorConfiguration")]


_INVENTORY = (("inventory", None), ("inventoryId", None))

OPERATIONS = (
    *configuration_calls(
        "BucketLogging",
        "logging",
        put=PutBucketLogging,
        get=GetBucketLogging,
        answer=GetBucketLoggingResult,
        delete=DeleteBucketLogging,
    ),
    *configuration_calls(
        "UserDefinedLogFieldsConfig",
        "userDefinedLogFieldsConfig",
        put=PutUserDefinedLogFieldsConfig,
        get=GetUserDefinedLogFieldsConfig,
        answer=GetUserDefinedLogFieldsConfigResult,
        delete=DeleteUserDefinedLogFieldsConfig,
    ),
    Operation(
        "PutBucketInventory",
        "PUT",
        Scope.BUCKET,
        PutBucketInventory,
        Result,
        marks=_INVENTORY,
        body="xml",
        commits=True,
    ),
    Operation(
        "GetBucketInventory",
        "GET",
        Scope.BUCKET,
        GetBucketInventory,
        GetBucketInventoryResult,
        marks=_INVENTORY,
        answer="xml",
    ),
    Operation(
        "DeleteBucketInventory",
        "DELETE",
        Scope.BUCKET,
        DeleteBucketInventory,
        Result,
        marks=_INVENTORY,
        status=204,
        commits=True,
    ),
    Operation(
        "ListBucketInventory",
        "GET",
        Scope.BUCKET,
        ListBucketInventory,
        ListBucketInventoryResult,
        marks=(("inventory", None),),
        answer="xml",
        answer_root="ListInventoryConfigurationsResult",
    ),
    *configuration_calls(
        "BucketAccessMonitor",
        "accessmonitor",
        put=PutBucketAccessMonitor,
        get=GetBucketAccessMonitor,
        answer=GetBucketAccessMonitorResult,
    ),
)
