"""What OSS takes as a configuration of a bucket, and how it completes it."""

from __future__ import annotations

import re
import secrets
from typing import Any

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.protocol.operations.access import (
    Cors,
    HttpsConfiguration,
    PublicAccessBlock,
    Referer,
    Referers,
    RequestPayment,
)
from penstock.protocol.operations.publishing import (
    AccessMonitor,
    Inventory,
    Logging,
    ResourceGroup,
    TransferAcceleration,
    Website,
)
from penstock.protocol.operations.retention import Encryption, Lifecycle, LifecycleRule
from penstock.server.call import Call
from penstock.server.handlers.attributes import ENCRYPTIONS, STORAGE_CLASSES
from penstock.server.store.faults import BucketMissing

MOST_RULES = 1000
MOST_CORS_RULES = 20
MOST_INVENTORIES = 1000
INVENTORY_PAGE = 100
_CORS_METHODS = frozenset({"GET", "PUT", "DELETE", "POST", "HEAD"})
_TLS_VERSIONS = frozenset({"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"})
_LOG_PREFIX = re.compile(r"(?:[A-Za-z][A-Za-z0-9-]{0,30}[A-Za-z0-9]?/?)?")
_INVENTORY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def cors(_: Call[Any], given: Cors) -> Cors:
    if not 1 <= len(given.rules) <= MOST_CORS_RULES:
        raise _malformed(f"1 to {MOST_CORS_RULES} rules are allowed")
    for rule in given.rules:
        if not rule.allowed_origins or not rule.allowed_methods:
            raise _malformed("a rule needs AllowedOrigin and AllowedMethod")
        if not _CORS_METHODS.issuperset(rule.allowed_methods):
            raise _malformed("AllowedMethod is GET, PUT, DELETE, POST or HEAD")
        if any(text.count("*") > 1 for text in (*rule.allowed_origins, *rule.allowed_headers)):
            raise _malformed("an origin or header has at most one *")
        if any("*" in text for text in rule.expose_headers):
            raise _malformed("ExposeHeader has no *")
        if rule.max_age_s is not None and not 0 <= rule.max_age_s <= 999_999_999:
            raise _malformed("MaxAgeSeconds is 0 to 999999999")
    return given if given.response_vary is not None else msgspec.structs.replace(given, response_vary=False)


def referer(_: Call[Any], given: Referer) -> Referer:
    if given.allow_empty is None:
        raise _malformed("AllowEmptyReferer is missing")
    return Referer(
        allow_empty=given.allow_empty,
        allow_truncate_query=given.allow_truncate_query is not False,
        truncate_path=bool(given.truncate_path),
        allowed=given.allowed or Referers(),
        refused=given.refused,
    )


def public_access_block(_: Call[Any], given: PublicAccessBlock) -> PublicAccessBlock:
    if given.block is None:
        raise _malformed("BlockPublicAccess is missing")
    return given


def request_payment(_: Call[Any], given: RequestPayment) -> RequestPayment:
    if given.payer not in ("BucketOwner", "Requester"):
        raise _malformed("Payer is BucketOwner or Requester")
    return given


def https_configuration(_: Call[Any], given: HttpsConfiguration) -> HttpsConfiguration:
    if given.enabled is None or not _TLS_VERSIONS.issuperset(given.versions):
        raise _malformed("TLS needs Enable, and versions of TLS")
    if given.enabled and not given.versions:
        raise _malformed("TLS is enabled without a version")
    return given


def lifecycle(call: Call[Any], given: Lifecycle) -> Lifecycle:
    if not 1 <= len(given.rules) <= MOST_RULES:
        raise _malformed(f"1 to {MOST_RULES} rules are allowed")
    rules = tuple(_rule(rule) for rule in given.rules)
    if len({rule.id for rule in rules}) != len(rules):
        raise fault("InvalidArgument", message="Rule ID must be unique.", ArgumentName="ID")
    if not call.asked.allow_same_action_overlap:
        _check_overlap(rules)
    return Lifecycle(rules=rules)


def _rule(rule: LifecycleRule) -> LifecycleRule:
    if rule.status not in ("Enabled", "Disabled"):
        raise _malformed("Status is Enabled or Disabled")
    actions = (
        rule.expiration,
        rule.abort,
        rule.noncurrent_expiration,
        *rule.transitions,
        *rule.noncurrent_transitions,
    )
    if all(action is None for action in actions):
        raise _malformed("a rule needs an action")
    if rule.id is not None and len(rule.id) > 255:
        raise _malformed("an ID has at most 255 characters")
    if rule.expiration is not None:
        one = rule.expiration
        _just_one(one.days, one.created_before, one.date, one.lone_markers)
        _at_least_a_day(one.days)
    if rule.abort is not None:
        _just_one(rule.abort.days, rule.abort.created_before)
        _at_least_a_day(rule.abort.days)
        if rule.tags:
            raise _malformed("a rule with tags does not abort uploads")
    if rule.noncurrent_expiration is not None:
        if rule.noncurrent_expiration.days is None:
            raise _malformed("NoncurrentDays is missing")
        _at_least_a_day(rule.noncurrent_expiration.days)
    for change in rule.transitions:
        _just_one(change.days, change.created_before)
        _at_least_a_day(change.days, zero=True)
        _check_class(change.storage_class)
    for past in rule.noncurrent_transitions:
        _at_least_a_day(past.days, zero=True)
        _check_class(past.storage_class)
    _check_mixture(rule)
    # OSS names a rule that has no name.
    return msgspec.structs.replace(rule, id=rule.id or secrets.token_hex(16), prefix=rule.prefix or "")


def _check_mixture(rule: LifecycleRule) -> None:
    by_date = rule.expiration is not None and (rule.expiration.created_before or rule.expiration.date)
    by_days = rule.expiration is not None and rule.expiration.days is not None
    for change in rule.transitions:
        if (by_date and change.days is not None) or (by_days and change.created_before is not None):
            raise fault(
                "InvalidRequest",
                message="Found mixed CreatedBeforeDate and Days based Expiration and Transition for "
                f"StorageClass {change.storage_class} actions",
                ec="0014-00000080",
            )


def _check_overlap(rules: tuple[LifecycleRule, ...]) -> None:
    """Rules that do the same to the same objects need the caller's consent."""
    seen: list[tuple[str, frozenset[tuple[str, str]], set[str]]] = []
    for rule in rules:
        prefix = rule.prefix or ""
        tags = frozenset((tag.key, tag.value) for tag in rule.tags)
        actions = _kinds(rule)
        for other, other_tags, other_actions in seen:
            related = prefix.startswith(other) or other.startswith(prefix)
            if related and tags == other_tags and actions & other_actions and rule.filter is None:
                raise fault(
                    "InvalidArgument",
                    message="Overlap for same action type",
                    ArgumentName="Prefix",
                    ArgumentValue=prefix,
                )
        seen.append((prefix, tags, actions))


def _kinds(rule: LifecycleRule) -> set[str]:
    named = {
        "expire": rule.expiration,
        "abort": rule.abort,
        "expire-noncurrent": rule.noncurrent_expiration,
    }
    return {name for name, action in named.items() if action is not None} | {
        f"to-{change.storage_class}" for change in rule.transitions
    }


def _just_one(*given: object) -> None:
    if sum(value is not None for value in given) != 1:
        raise _malformed("an action needs just one of its times")


def _at_least_a_day(days: int | None, *, zero: bool = False) -> None:
    if days is not None and days < (0 if zero else 1):
        raise fault("InvalidArgument", message="Days must be a positive integer.", ArgumentName="Days")


def _check_class(storage_class: str | None) -> None:
    if storage_class not in STORAGE_CLASSES or storage_class == "Standard":
        raise _malformed("StorageClass is IA, Archive, ColdArchive or DeepColdArchive")


def encryption(_: Call[Any], given: Encryption) -> Encryption:
    if given.algorithm not in ENCRYPTIONS:
        raise fault("InvalidEncryptionAlgorithmError")
    if given.algorithm != "KMS" and (given.key_id or given.data_encryption):
        raise fault("InvalidArgument", message="Only KMS takes a key.", ArgumentName="KMSMasterKeyID")
    return given


def website(_: Call[Any], given: Website) -> Website:
    if given.index is None and given.error is None and given.routing is None:
        raise _malformed("a website needs an index, an error document or rules")
    if given.index is not None:
        if not given.index.suffix or "/" in given.index.suffix:
            raise fault("InvalidArgument", message="The IndexDocument is not valid.", ArgumentName="Suffix")
        given = msgspec.structs.replace(
            given,
            index=msgspec.structs.replace(
                given.index, sub_folders=bool(given.index.sub_folders), kind=given.index.kind or 0
            ),
        )
    error = given.error
    if error is not None:
        if not error.key or error.status not in (None, 200, 404):
            raise fault("InvalidArgument", message="The ErrorDocument is not valid.", ArgumentName="Key")
        given = msgspec.structs.replace(
            given, error=msgspec.structs.replace(error, status=error.status or 404)
        )
    for rule in given.routing.rules if given.routing is not None else ():
        if rule.number is None or rule.number < 1 or rule.redirect is None:
            raise _malformed("a routing rule needs RuleNumber and Redirect")
    return given


def logging(call: Call[Any], given: Logging) -> Logging:
    if given.enabled is None:
        return given
    target = given.enabled.target_bucket or ""
    try:
        owner = call.store.head_bucket(target).owner
    except BucketMissing:
        raise fault("InvalidTargetBucketForLogging", TargetBucket=target) from None
    if call.bucket is None or owner != call.bucket.owner:
        raise fault("InvalidTargetBucketForLogging", TargetBucket=target)
    if not _LOG_PREFIX.fullmatch(given.enabled.target_prefix or ""):
        raise fault("InvalidArgument", message="The log prefix is not valid.", ArgumentName="TargetPrefix")
    return given


def inventory(inventory_id: str, given: Inventory) -> Inventory:
    if not _INVENTORY_ID.fullmatch(inventory_id) or given.id != inventory_id:
        raise fault("InvalidArgument", message="The inventory id is not valid.", ArgumentName="inventoryId")
    if given.enabled is None or given.frequency not in ("Daily", "Weekly"):
        raise _malformed("an inventory needs IsEnabled and a frequency, Daily or Weekly")
    if given.format not in ("CSV", "Parquet", "ORC") or not given.target_bucket:
        raise _malformed("an inventory needs a format and a bucket for its lists")
    if given.included_versions not in ("All", "Current"):
        raise _malformed("IncludedObjectVersions is All or Current")
    return given


def transfer_acceleration(_: Call[Any], given: TransferAcceleration) -> TransferAcceleration:
    if given.enabled is None:
        raise _malformed("Enabled is missing")
    return given


def access_monitor(_: Call[Any], given: AccessMonitor) -> AccessMonitor:
    if given.status not in ("Enabled", "Disabled"):
        raise _malformed("Status is Enabled or Disabled")
    return given


def resource_group(_: Call[Any], given: ResourceGroup) -> ResourceGroup:
    return given if given.id else ResourceGroup(id="rg-default-id")


def _malformed(why: str) -> ServiceError:
    return fault("MalformedXML", ErrorDetail=why)
