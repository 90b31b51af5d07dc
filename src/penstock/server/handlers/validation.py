"""What OSS takes as a configuration of a bucket, and how it completes it."""

from __future__ import annotations

import re
import uuid
from typing import Any

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.protocol.operations.access import (
    Cors,
    HttpsConfiguration,
    Overwriting,
    PublicAccessBlock,
    Referer,
    Referers,
    RequestPayment,
)
from penstock.protocol.operations.buckets import ResourceGroup, TransferAcceleration
from penstock.protocol.operations.reports import AccessMonitor, Inventory, LogFields, Logging
from penstock.protocol.operations.retention import ArchiveDirectRead, Encryption
from penstock.protocol.operations.website import RoutingRule, RoutingRules, Website
from penstock.server.call import Call
from penstock.server.handlers.attributes import ENCRYPTIONS
from penstock.server.store.faults import BucketMissing

MOST_CORS_RULES = 20
MOST_INVENTORIES = 1000
MOST_OVERWRITE_RULES = 100
INVENTORY_PAGE = 100
MOST_PREFIX = 255
_CORS_METHODS = frozenset({"GET", "PUT", "DELETE", "POST", "HEAD"})
_TLS_VERSIONS = frozenset({"TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"})
_INVENTORY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def cors(_: Call[Any], given: Cors) -> Cors:
    if not 1 <= len(given.rules) <= MOST_CORS_RULES:
        raise malformed(f"1 to {MOST_CORS_RULES} rules are allowed")
    for rule in given.rules:
        if not rule.allowed_origins or not rule.allowed_methods:
            raise malformed("a rule needs AllowedOrigin and AllowedMethod")
        if not _CORS_METHODS.issuperset(rule.allowed_methods):
            raise malformed("AllowedMethod is GET, PUT, DELETE, POST or HEAD")
        if any(text.count("*") > 1 for text in (*rule.allowed_origins, *rule.allowed_headers)):
            raise malformed("an origin or header has at most one *")
        if any("*" in text for text in rule.expose_headers):
            raise malformed("ExposeHeader has no *")
        if rule.max_age_s is not None and not 0 <= rule.max_age_s <= 999_999_999:
            raise fault("InvalidArgument", ArgumentName="MaxAgeSeconds", ArgumentValue=rule.max_age_s)
    rules = tuple(
        msgspec.structs.replace(rule, allowed_headers=tuple(name.lower() for name in rule.allowed_headers))
        for rule in given.rules
    )
    return msgspec.structs.replace(given, rules=rules, response_vary=bool(given.response_vary))


def referer(_: Call[Any], given: Referer) -> Referer:
    if given.allow_empty is None:
        raise malformed("AllowEmptyReferer is missing")
    return Referer(
        allow_empty=given.allow_empty,
        allow_truncate_query=given.allow_truncate_query is not False,
        truncate_path=bool(given.truncate_path),
        allowed=given.allowed or Referers(),
        refused=given.refused,
    )


def public_access_block(_: Call[Any], given: PublicAccessBlock) -> PublicAccessBlock:
    if given.block is None:
        raise malformed("BlockPublicAccess is missing")
    return given


def request_payment(_: Call[Any], given: RequestPayment) -> RequestPayment:
    if given.payer not in ("BucketOwner", "Requester"):
        raise malformed("Payer is BucketOwner or Requester")
    return given


def https_configuration(_: Call[Any], given: HttpsConfiguration) -> HttpsConfiguration:
    if given.enabled is None or not _TLS_VERSIONS.issuperset(given.versions):
        raise malformed("TLS needs Enable, and versions of TLS")
    if given.enabled and not given.versions:
        raise malformed("TLS is enabled without a version")
    return msgspec.structs.replace(given, versions=tuple(dict.fromkeys(given.versions)))


def encryption(_: Call[Any], given: Encryption) -> Encryption:
    if given.algorithm not in ENCRYPTIONS:
        raise fault("InvalidEncryptionAlgorithmError")
    if given.key_id and given.algorithm != "KMS":
        raise fault("InvalidArgument", message="Only KMS takes a key.", ArgumentName="KMSMasterKeyID")
    # How KMS encrypts the data is left aside where KMS does not.
    return given if given.algorithm == "KMS" else Encryption(algorithm=given.algorithm)


def website(_: Call[Any], given: Website) -> Website:
    if given.index is None and given.error is None and given.routing is None:
        raise malformed("a website needs an index, an error document or rules")
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
            raise malformed("a routing rule needs RuleNumber and Redirect")
    if given.routing is None:
        return given
    return msgspec.structs.replace(
        given, routing=RoutingRules(rules=tuple(map(_completed_rule, given.routing.rules)))
    )


def _completed_rule(rule: RoutingRule) -> RoutingRule:
    """OSS has one answer to whether a mirror gets the query, and shows it in both places."""
    redirect = rule.redirect
    if redirect is None or redirect.redirect_type != "Mirror":
        return rule
    completed = msgspec.structs.replace(redirect, pass_query=redirect.mirror_pass_query)
    return msgspec.structs.replace(rule, redirect=completed)


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
    if len(given.enabled.target_prefix or "") > MOST_PREFIX:
        raise fault("InvalidArgument", message="The log prefix is not valid.", ArgumentName="TargetPrefix")
    return given


def inventory(inventory_id: str, given: Inventory) -> Inventory:
    if not _INVENTORY_ID.fullmatch(inventory_id) or given.id != inventory_id:
        raise fault("InvalidArgument", message="The inventory id is not valid.", ArgumentName="inventoryId")
    if given.enabled is None or given.frequency not in ("Daily", "Weekly"):
        raise malformed("an inventory needs IsEnabled and a frequency, Daily or Weekly")
    if given.format not in ("CSV", "Parquet", "ORC") or not given.target_bucket:
        raise malformed("an inventory needs a format and a bucket for its lists")
    if given.included_versions not in ("All", "Current"):
        raise malformed("IncludedObjectVersions is All or Current")
    if given.storage_class is None:
        return given
    classes = ",".join(sorted(given.storage_class.split(",")))
    return msgspec.structs.replace(given, storage_class=classes)


def log_fields(_: Call[Any], given: LogFields) -> LogFields:
    return given


def overwriting(_: Call[Any], given: Overwriting) -> Overwriting:
    if len(given.rules) > MOST_OVERWRITE_RULES:
        raise malformed(f"at most {MOST_OVERWRITE_RULES} rules are allowed")
    for rule in given.rules:
        if rule.action != "forbid":
            raise malformed("Action is forbid")
    named = tuple(
        rule if rule.id else msgspec.structs.replace(rule, id=str(uuid.uuid4())) for rule in given.rules
    )
    if len({rule.id for rule in named}) != len(named):
        raise malformed("two rules have the same ID")
    return Overwriting(rules=named)


def archive_direct_read(_: Call[Any], given: ArchiveDirectRead) -> ArchiveDirectRead:
    if given.enabled is None:
        raise malformed("Enabled is missing")
    return given


def transfer_acceleration(_: Call[Any], given: TransferAcceleration) -> TransferAcceleration:
    if given.enabled is None:
        raise malformed("Enabled is missing")
    return given


def access_monitor(_: Call[Any], given: AccessMonitor) -> AccessMonitor:
    if given.status not in ("Enabled", "Disabled"):
        raise malformed("Status is Enabled or Disabled")
    return given


def resource_group(_: Call[Any], given: ResourceGroup) -> ResourceGroup:
    return given if given.id else ResourceGroup(id="rg-default-id")


def malformed(why: str) -> ServiceError:
    """The refusal of a document that is XML, but not what OSS takes."""
    return fault("MalformedXML", ErrorDetail=why)
