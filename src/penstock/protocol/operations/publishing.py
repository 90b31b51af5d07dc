"""Configurations of a bucket that decide what it shows and reports: website, logging, inventory ..."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Query, XmlBody
from penstock.protocol.operation import BucketRequest, Operation, Result, Scope
from penstock.protocol.operations.configured import configuration_calls


class IncludeHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A header that a request must have."""

    key: Annotated[str | None, Element("Key")] = None
    equals: Annotated[str | None, Element("Equals")] = None
    starts_with: Annotated[str | None, Element("StartsWith")] = None
    ends_with: Annotated[str | None, Element("EndsWith")] = None


class RoutingCondition(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests a routing rule is about."""

    key_prefix: Annotated[str | None, Element("KeyPrefixEquals")] = None
    key_suffix: Annotated[str | None, Element("KeySuffixEquals")] = None
    error_code: Annotated[int | None, Element("HttpErrorCodeReturnedEquals")] = None
    headers: Annotated[tuple[IncludeHeader, ...], Element("IncludeHeader")] = ()


class SetHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A header that is set on the way to the origin."""

    key: Annotated[str | None, Element("Key")] = None
    value: Annotated[str | None, Element("Value")] = None


class MirrorHeaders(msgspec.Struct, frozen=True, kw_only=True):
    """Headers on the way to the origin."""

    pass_all: Annotated[bool | None, Element("PassAll")] = None
    passed: Annotated[tuple[str, ...], Element("Pass")] = ()
    removed: Annotated[tuple[str, ...], Element("Remove")] = ()
    set: Annotated[tuple[SetHeader, ...], Element("Set")] = ()


class MirrorTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that fetched objects get."""

    key: Annotated[str | None, Element("Key")] = None
    value: Annotated[str | None, Element("Value")] = None


class MirrorAuth(msgspec.Struct, frozen=True, kw_only=True):
    """How requests to the origin are signed."""

    auth_type: Annotated[str | None, Element("AuthType")] = None
    region: Annotated[str | None, Element("Region")] = None
    access_key_id: Annotated[str | None, Element("AccessKeyId")] = None
    access_key_secret: Annotated[str | None, Element("AccessKeySecret")] = None


class MirrorAlternate(msgspec.Struct, frozen=True, kw_only=True):
    """Another origin."""

    number: Annotated[int | None, Element("MirrorMultiAlternateNumber")] = None
    url: Annotated[str | None, Element("MirrorMultiAlternateURL")] = None
    vpc_id: Annotated[str | None, Element("MirrorMultiAlternateVpcId")] = None
    region: Annotated[str | None, Element("MirrorMultiAlternateDstRegion")] = None


class RoutingRedirect(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request is sent: ``Mirror``, ``External``, ``AliCDN`` or ``Internal``."""

    redirect_type: Annotated[str | None, Element("RedirectType")] = None
    pass_query: Annotated[bool | None, Element("PassQueryString")] = None
    protocol: Annotated[str | None, Element("Protocol")] = None
    host: Annotated[str | None, Element("HostName")] = None
    status: Annotated[int | None, Element("HttpRedirectCode")] = None
    key_with: Annotated[str | None, Element("ReplaceKeyWith")] = None
    key_prefix_with: Annotated[str | None, Element("ReplaceKeyPrefixWith")] = None
    replace_prefix: Annotated[bool | None, Element("EnableReplacePrefix")] = None
    mirror_url: Annotated[str | None, Element("MirrorURL")] = None
    mirror_pass_query: Annotated[bool | None, Element("MirrorPassQueryString")] = None
    mirror_follow: Annotated[bool | None, Element("MirrorFollowRedirect")] = None
    mirror_check_md5: Annotated[bool | None, Element("MirrorCheckMd5")] = None
    mirror_sni: Annotated[bool | None, Element("MirrorSNI")] = None
    mirror_headers: Annotated[MirrorHeaders | None, Element("MirrorHeaders")] = None
    mirror_pass_slashes: Annotated[bool | None, Element("MirrorPassOriginalSlashes")] = None
    mirror_allow_snapshot: Annotated[bool | None, Element("MirrorAllowVideoSnapshot")] = None
    mirror_async_status: Annotated[int | None, Element("MirrorAsyncStatus")] = None
    mirror_tags: Annotated[tuple[MirrorTag, ...], Element("MirrorTaggings/Taggings")] = ()
    mirror_auth: Annotated[MirrorAuth | None, Element("MirrorAuth")] = None
    mirror_region: Annotated[str | None, Element("MirrorDstRegion")] = None
    mirror_vpc_id: Annotated[str | None, Element("MirrorDstVpcId")] = None
    mirror_slave_vpc_id: Annotated[str | None, Element("MirrorDstSlaveVpcId")] = None
    mirror_tunnel_id: Annotated[str | None, Element("MirrorTunnelId")] = None
    mirror_is_express_tunnel: Annotated[bool | None, Element("MirrorIsExpressTunnel")] = None
    mirror_role: Annotated[str | None, Element("MirrorRole")] = None
    mirror_using_role: Annotated[bool | None, Element("MirrorUsingRole")] = None
    mirror_return_headers: Annotated[tuple[SetHeader, ...], Element("MirrorReturnHeaders/ReturnHeader")] = ()
    mirror_proxy_pass: Annotated[bool | None, Element("MirrorProxyPass")] = None
    mirror_allow_head: Annotated[bool | None, Element("MirrorAllowHeadObject")] = None
    mirror_allow_image_info: Annotated[bool | None, Element("MirrorAllowGetImageInfo")] = None
    mirror_save_metadata: Annotated[bool | None, Element("MirrorSaveOssMeta")] = None
    mirror_last_modified: Annotated[bool | None, Element("MirrorUserLastModified")] = None
    mirror_transparent_codes: Annotated[str | None, Element("TransparentMirrorResponseCodes")] = None
    mirror_url_probe: Annotated[str | None, Element("MirrorURLProbe")] = None
    mirror_url_slave: Annotated[str | None, Element("MirrorURLSlave")] = None
    mirror_switch_on_all_errors: Annotated[bool | None, Element("MirrorSwitchAllErrors")] = None
    mirror_alternates: Annotated[
        tuple[MirrorAlternate, ...], Element("MirrorMultiAlternates/MirrorMultiAlternate")
    ] = ()


class RoutingRule(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with some of the requests; the lowest number goes first."""

    number: Annotated[int | None, Element("RuleNumber")] = None
    condition: Annotated[RoutingCondition | None, Element("Condition")] = None
    redirect: Annotated[RoutingRedirect | None, Element("Redirect")] = None
    lua_script: Annotated[str | None, Element("LuaConfig/Script")] = None


class IndexDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown for a folder; ``kind`` says what becomes of a folder's name without its ``/``."""

    suffix: Annotated[str, Element("Suffix")]
    sub_folders: Annotated[bool | None, Element("SupportSubDir")] = None
    kind: Annotated[int | None, Element("Type")] = None


class ErrorDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is shown for what is not there."""

    key: Annotated[str, Element("Key")]
    status: Annotated[int | None, Element("HttpStatus")] = None


class RoutingRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules in the order of their numbers."""

    rules: Annotated[tuple[RoutingRule, ...], Element("RoutingRule")] = ()


class Website(msgspec.Struct, frozen=True, kw_only=True):
    """How a bucket is shown to browsers."""

    index: Annotated[IndexDocument | None, Element("IndexDocument")] = None
    error: Annotated[ErrorDocument | None, Element("ErrorDocument")] = None
    routing: Annotated[RoutingRules | None, Element("RoutingRules")] = None


class PutBucketWebsite(BucketRequest, frozen=True, kw_only=True):
    """Show a bucket as a website."""

    body: Annotated[Website, XmlBody("WebsiteConfiguration")]


class GetBucketWebsite(BucketRequest, frozen=True, kw_only=True):
    """Ask how a bucket is shown."""


class GetBucketWebsiteResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Website, XmlBody("WebsiteConfiguration")]


class DeleteBucketWebsite(BucketRequest, frozen=True, kw_only=True):
    """Show a bucket as a website no more."""


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


_INVENTORY = (("inventory", None), ("inventoryId", None))

OPERATIONS = (
    *configuration_calls(
        "BucketWebsite",
        "website",
        put=PutBucketWebsite,
        get=GetBucketWebsite,
        answer=GetBucketWebsiteResult,
        delete=DeleteBucketWebsite,
    ),
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
        "BucketTransferAcceleration",
        "transferAcceleration",
        put=PutBucketTransferAcceleration,
        get=GetBucketTransferAcceleration,
        answer=GetBucketTransferAccelerationResult,
    ),
    *configuration_calls(
        "BucketAccessMonitor",
        "accessmonitor",
        put=PutBucketAccessMonitor,
        get=GetBucketAccessMonitor,
        answer=GetBucketAccessMonitorResult,
    ),
    *configuration_calls(
        "BucketResourceGroup",
        "resourceGroup",
        put=PutBucketResourceGroup,
        get=GetBucketResourceGroup,
        answer=GetBucketResourceGroupResult,
    ),
)
