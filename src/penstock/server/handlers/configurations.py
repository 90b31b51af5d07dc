"""
Configurations of buckets: checked, kept, answered, removed.

Each is described by a `Kept`; the handlers are made of these descriptions. What they decide is enforced
elsewhere: `penstock.server.guard.access`, `cors`, `website`, `lifecycle` and the handlers of objects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from penstock.protocol.error_table import fault
from penstock.protocol.operation import BucketRequest, Result
from penstock.protocol.operations import access, buckets, reports, retention, website
from penstock.protocol.operations import object_worm as worm
from penstock.server.call import Call, Handler, Reply
from penstock.server.guard.policy import read_policy
from penstock.server.guard.rules import read_document, write_document
from penstock.server.handlers import lifecycle_rules, object_worm, validation
from penstock.server.store.faults import ConfigMissing


@dataclass(frozen=True, slots=True)
class Kept:
    """
    How one configuration is kept.

    Attributes:
        name: Under which the store has it.
        document: Type of the document.
        result: Type of the answer that holds it.
        check: Completes what is put, or refuses it.
        absent: What is answered where nothing was put; else the code of the refusal.
    """

    name: str
    document: type[msgspec.Struct]
    result: type[Result]
    put: type[BucketRequest]
    get: type[BucketRequest]
    check: Callable[[Call[Any], Any], msgspec.Struct]
    absent: msgspec.Struct | str
    delete: type[BucketRequest] | None = None


CONFIGURATIONS = (
    Kept(
        "cors",
        access.Cors,
        access.GetBucketCorsResult,
        access.PutBucketCors,
        access.GetBucketCors,
        validation.cors,
        "NoSuchCORSConfiguration",
        access.DeleteBucketCors,
    ),
    Kept(
        "referer",
        access.Referer,
        access.GetBucketRefererResult,
        access.PutBucketReferer,
        access.GetBucketReferer,
        validation.referer,
        access.Referer(allow_empty=True, allow_truncate_query=True, truncate_path=False),
    ),
    Kept(
        "publicAccessBlock",
        access.PublicAccessBlock,
        access.GetBucketPublicAccessBlockResult,
        access.PutBucketPublicAccessBlock,
        access.GetBucketPublicAccessBlock,
        validation.public_access_block,
        access.PublicAccessBlock(block=False),
        access.DeleteBucketPublicAccessBlock,
    ),
    Kept(
        "requestPayment",
        access.RequestPayment,
        access.GetBucketRequestPaymentResult,
        access.PutBucketRequestPayment,
        access.GetBucketRequestPayment,
        validation.request_payment,
        access.RequestPayment(payer="BucketOwner"),
    ),
    Kept(
        "httpsConfig",
        access.HttpsConfiguration,
        access.GetBucketHttpsConfigResult,
        access.PutBucketHttpsConfig,
        access.GetBucketHttpsConfig,
        validation.https_configuration,
        access.HttpsConfiguration(enabled=False),
    ),
    Kept(
        "lifecycle",
        retention.Lifecycle,
        retention.GetBucketLifecycleResult,
        retention.PutBucketLifecycle,
        retention.GetBucketLifecycle,
        lifecycle_rules.lifecycle,
        "NoSuchLifecycle",
        retention.DeleteBucketLifecycle,
    ),
    Kept(
        "encryption",
        retention.Encryption,
        retention.GetBucketEncryptionResult,
        retention.PutBucketEncryption,
        retention.GetBucketEncryption,
        validation.encryption,
        "NoSuchServerSideEncryptionRule",
        retention.DeleteBucketEncryption,
    ),
    Kept(
        "website",
        website.Website,
        website.GetBucketWebsiteResult,
        website.PutBucketWebsite,
        website.GetBucketWebsite,
        validation.website,
        "NoSuchWebsiteConfiguration",
        website.DeleteBucketWebsite,
    ),
    Kept(
        "logging",
        reports.Logging,
        reports.GetBucketLoggingResult,
        reports.PutBucketLogging,
        reports.GetBucketLogging,
        validation.logging,
        reports.Logging(),
        reports.DeleteBucketLogging,
    ),
    Kept(
        "userDefinedLogFieldsConfig",
        reports.LogFields,
        reports.GetUserDefinedLogFieldsConfigResult,
        reports.PutUserDefinedLogFieldsConfig,
        reports.GetUserDefinedLogFieldsConfig,
        validation.log_fields,
        "NoSuchUserDefinedLogFieldsConfig",
        reports.DeleteUserDefinedLogFieldsConfig,
    ),
    Kept(
        "overwriteConfig",
        access.Overwriting,
        access.GetBucketOverwriteConfigResult,
        access.PutBucketOverwriteConfig,
        access.GetBucketOverwriteConfig,
        validation.overwriting,
        "NoSuchBucketOverwriteConfig",
        access.DeleteBucketOverwriteConfig,
    ),
    Kept(
        "archiveDirectRead",
        retention.ArchiveDirectRead,
        retention.GetBucketArchiveDirectReadResult,
        retention.PutBucketArchiveDirectRead,
        retention.GetBucketArchiveDirectRead,
        validation.archive_direct_read,
        retention.ArchiveDirectRead(enabled=False),
    ),
    Kept(
        "objectWorm",
        worm.ObjectWorm,
        worm.GetBucketObjectWormConfigurationResult,
        worm.PutBucketObjectWormConfiguration,
        worm.GetBucketObjectWormConfiguration,
        object_worm.configuration,
        "NoSuchWORMConfiguration",
    ),
    Kept(
        "transferAcceleration",
        buckets.TransferAcceleration,
        buckets.GetBucketTransferAccelerationResult,
        buckets.PutBucketTransferAcceleration,
        buckets.GetBucketTransferAcceleration,
        validation.transfer_acceleration,
        "NoSuchTransferAccelerationConfiguration",
    ),
    Kept(
        "accessMonitor",
        reports.AccessMonitor,
        reports.GetBucketAccessMonitorResult,
        reports.PutBucketAccessMonitor,
        reports.GetBucketAccessMonitor,
        validation.access_monitor,
        reports.AccessMonitor(status="Disabled"),
    ),
    Kept(
        "resourceGroup",
        buckets.ResourceGroup,
        buckets.GetBucketResourceGroupResult,
        buckets.PutBucketResourceGroup,
        buckets.GetBucketResourceGroup,
        validation.resource_group,
        buckets.ResourceGroup(id="rg-default-id"),
    ),
)
_NAMES = {one.document: one for one in CONFIGURATIONS}


def kept_document(call: Call[Any], document: type[msgspec.Struct], bucket: str) -> Any:
    """What a bucket has of a configuration, or what holds where nothing was put."""
    kept = _NAMES[document]
    try:
        return read_document(document, call.store.get_config(bucket, kept.name))
    except ConfigMissing:
        return None if isinstance(kept.absent, str) else kept.absent


def _put(kept: Kept) -> Handler:
    def put(call: Call[Any]) -> Result:
        checked = kept.check(call, call.asked.body)
        keep(call, call.asked.bucket, kept.name, write_document(checked))
        return Result()

    return put


def _get(kept: Kept) -> Handler:
    def get(call: Call[Any]) -> Result:
        document = kept_document(call, kept.document, call.asked.bucket)
        if document is None:
            raise fault(str(kept.absent), BucketName=call.asked.bucket)
        # Every answer of this kind holds its document as `body`.
        return kept.result(body=document)  # type: ignore[call-arg]

    return get


def _delete(kept: Kept) -> Handler:
    def delete(call: Call[Any]) -> Result:
        drop(call, call.asked.bucket, kept.name)
        return Result()

    return delete


def keep(call: Call[Any], bucket: str, name: str, value: bytes) -> None:
    """Keep a configuration; it holds from the next request on."""
    call.store.put_config(bucket, name, value)


def drop(call: Call[Any], bucket: str, name: str) -> None:
    """Remove a configuration, if it is there."""
    call.store.delete_config(bucket, name)


def put_policy(call: Call[access.PutBucketPolicy]) -> Result:
    policy = read_policy(call.asked.body)
    if call.rules.block and policy.is_public:
        raise fault("AccessDenied", message="Put public bucket policy is not allowed.", ec="0003-00000911")
    keep(call, call.asked.bucket, "policy", call.asked.body)
    return Result()


def get_policy(call: Call[access.GetBucketPolicy]) -> Reply:
    try:
        body = call.store.get_config(call.asked.bucket, "policy")
    except ConfigMissing:
        raise fault("NoSuchBucketPolicy", BucketName=call.asked.bucket) from None
    return Reply(access.BucketPolicy(body=body), headers={"content-type": "application/json"}, body=body)


def delete_policy(call: Call[access.DeleteBucketPolicy]) -> Result:
    drop(call, call.asked.bucket, "policy")
    return Result()


def get_policy_status(call: Call[access.GetBucketPolicyStatus]) -> access.PolicyStatus:
    policy = call.rules.policy
    return access.PolicyStatus(is_public=policy is not None and policy.is_public)


_INVENTORIES = "inventories"


class Inventories(msgspec.Struct, frozen=True):
    """The inventories of a bucket, by id."""

    by_id: dict[str, reports.Inventory] = {}


def put_inventory(call: Call[reports.PutBucketInventory]) -> Result:
    asked = call.asked
    inventory = validation.inventory(asked.inventory_id, asked.body)
    with call.service.in_turn:
        known = {**_inventories(call, asked.bucket), asked.inventory_id: inventory}
        if len(known) > validation.MOST_INVENTORIES:
            raise fault("InvalidArgument", message="A bucket has at most 1000 inventories.")
        keep(call, asked.bucket, _INVENTORIES, msgspec.json.encode(Inventories(known)))
    return Result()


def get_inventory(call: Call[reports.GetBucketInventory]) -> reports.GetBucketInventoryResult:
    found = _inventories(call, call.asked.bucket).get(call.asked.inventory_id)
    if found is None:
        raise fault("NoSuchInventory", InventoryId=call.asked.inventory_id)
    return reports.GetBucketInventoryResult(body=found)


def delete_inventory(call: Call[reports.DeleteBucketInventory]) -> Result:
    asked = call.asked
    with call.service.in_turn:
        known = _inventories(call, asked.bucket)
        if asked.inventory_id not in known:
            raise fault("NoSuchInventory", InventoryId=asked.inventory_id)
        left = {name: one for name, one in known.items() if name != asked.inventory_id}
        keep(call, asked.bucket, _INVENTORIES, msgspec.json.encode(Inventories(left)))
    return Result()


def list_inventories(call: Call[reports.ListBucketInventory]) -> reports.ListBucketInventoryResult:
    known = _inventories(call, call.asked.bucket)
    after = call.asked.continuation_token or ""
    names = sorted(name for name in known if name > after)
    page = names[: validation.INVENTORY_PAGE]
    if not known:
        raise fault("NoSuchInventory", BucketName=call.asked.bucket)
    more = len(names) > len(page)
    return reports.ListBucketInventoryResult(
        continuation_token=call.asked.continuation_token,
        inventories=tuple(known[name] for name in page),
        is_truncated=more,
        next_continuation_token=page[-1] if more else None,
    )


def _inventories(call: Call[Any], bucket: str) -> dict[str, reports.Inventory]:
    try:
        return msgspec.json.decode(call.store.get_config(bucket, _INVENTORIES), type=Inventories).by_id
    except ConfigMissing:
        return {}


HANDLERS: dict[type, Handler] = {
    **{one.put: _put(one) for one in CONFIGURATIONS},
    **{one.get: _get(one) for one in CONFIGURATIONS},
    **{one.delete: _delete(one) for one in CONFIGURATIONS if one.delete is not None},
    access.PutBucketPolicy: put_policy,
    access.GetBucketPolicy: get_policy,
    access.DeleteBucketPolicy: delete_policy,
    access.GetBucketPolicyStatus: get_policy_status,
    reports.PutBucketInventory: put_inventory,
    reports.GetBucketInventory: get_inventory,
    reports.DeleteBucketInventory: delete_inventory,
    reports.ListBucketInventory: list_inventories,
}
