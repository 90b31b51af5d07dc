"""Which lifecycle rules OSS takes, and how it completes them."""

from __future__ import annotations

import secrets
from datetime import datetime
from itertools import pairwise
from typing import Any

import msgspec

from penstock.protocol import dates, names
from penstock.protocol.error_table import fault
from penstock.protocol.operations.retention import Lifecycle, LifecycleRule
from penstock.server.call import Call
from penstock.server.handlers.attributes import STORAGE_CLASSES
from penstock.server.handlers.validation import malformed

MOST_RULES = 1000
MOST_DAYS = 2**31 - 1
"""OSS names no limit; this one is far beyond any age, and what is computed with it fits everywhere."""

_DAY_S = 86_400
WARMTH = ("Standard", "IA", "Archive", "ColdArchive", "DeepColdArchive")
"""Storage classes, each colder than the one before."""


def lifecycle(call: Call[Any], given: Lifecycle) -> Lifecycle:
    if not 1 <= len(given.rules) <= MOST_RULES:
        raise malformed(f"1 to {MOST_RULES} rules are allowed")
    rules = tuple(_rule(rule) for rule in given.rules)
    if len({rule.id for rule in rules}) != len(rules):
        raise fault("InvalidArgument", message="Rule ID must be unique.", ArgumentName="ID")
    if not call.asked.allow_same_action_overlap:
        _check_overlap(rules)
    return Lifecycle(rules=rules)


def _rule(rule: LifecycleRule) -> LifecycleRule:
    if rule.status not in ("Enabled", "Disabled"):
        raise malformed("Status is Enabled or Disabled")
    actions = (
        rule.expiration,
        rule.abort,
        rule.noncurrent_expiration,
        *rule.transitions,
        *rule.noncurrent_transitions,
    )
    if all(action is None for action in actions):
        raise malformed("a rule needs an action")
    if rule.id is not None and len(rule.id) > 255:
        raise malformed("an ID has at most 255 characters")
    if rule.expiration is not None:
        one = rule.expiration
        _just_one(one.days, one.created_before, one.date, one.lone_markers)
        _at_least_a_day(one.days)
        _midnight("CreatedBeforeDate", one.created_before)
        _midnight("Date", one.date)
    if rule.abort is not None:
        _just_one(rule.abort.days, rule.abort.created_before)
        _at_least_a_day(rule.abort.days)
        _midnight("CreatedBeforeDate", rule.abort.created_before)
        if rule.tags:
            raise malformed("a rule with tags does not abort uploads")
    if rule.noncurrent_expiration is not None:
        if rule.noncurrent_expiration.days is None:
            raise malformed("NoncurrentDays is missing")
        _at_least_a_day(rule.noncurrent_expiration.days)
    for change in rule.transitions:
        _just_one(change.days, change.created_before)
        _at_least_a_day(change.days, zero=True)
        _midnight("CreatedBeforeDate", change.created_before)
        _check_class(change.storage_class)
    for past in rule.noncurrent_transitions:
        _at_least_a_day(past.days, zero=True)
        _check_class(past.storage_class)
    _check_mixture(rule)
    _check_order(
        [(change.storage_class, change.days) for change in rule.transitions],
        rule.expiration.days if rule.expiration is not None else None,
    )
    _check_order(
        [(past.storage_class, past.days) for past in rule.noncurrent_transitions],
        rule.noncurrent_expiration.days if rule.noncurrent_expiration is not None else None,
    )
    for tag in rule.tags:
        if not names.is_tag_text(tag.key) or not names.is_tag_text(tag.value):
            raise fault("InvalidTag", ErrorDetail=tag.key[:128])
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


def _check_order(changes: list[tuple[str | None, int | None]], expires: int | None) -> None:
    """What grows old gets colder, and goes last."""
    by_warmth = sorted(
        (WARMTH.index(name or ""), days) for name, days in changes if days is not None and name in WARMTH
    )
    days = [one for _, one in by_warmth] + ([expires] if expires is not None else [])
    if any(later <= earlier for earlier, later in pairwise(days)):
        raise fault(
            "InvalidArgument",
            message="Days of an action that comes later must be greater than those of the one before.",
            ArgumentName="Days",
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
                    message=f"Overlap for same action type {sorted(actions & other_actions)[0]}",
                    ArgumentName="Prefix",
                    ArgumentValue=prefix,
                )
        seen.append((prefix, tags, actions))


def _kinds(rule: LifecycleRule) -> set[str]:
    named = {
        "Expiration": rule.expiration,
        "AbortMultipartUpload": rule.abort,
        "NoncurrentVersionExpiration": rule.noncurrent_expiration,
    }
    return {name for name, action in named.items() if action is not None} | {
        f"Transition {change.storage_class}" for change in rule.transitions
    }


def _just_one(*given: object) -> None:
    if sum(value is not None for value in given) != 1:
        raise malformed("an action needs just one of its times")


def _at_least_a_day(days: int | None, *, zero: bool = False) -> None:
    if days is not None and not (0 if zero else 1) <= days <= MOST_DAYS:
        raise fault("InvalidArgument", message="Days must be a positive integer.", ArgumentName="Days")


def _midnight(name: str, given: datetime | None) -> None:
    if given is not None and int(given.timestamp()) % _DAY_S:
        shown = dates.to_iso(int(given.timestamp()))
        raise fault("InvalidArgument", message="Date is not valid", ArgumentName=name, ArgumentValue=shown)


def _check_class(storage_class: str | None) -> None:
    if storage_class == "Standard":
        raise fault("InvalidArgument", ArgumentName="StorageClass", ArgumentValue=storage_class)
    if storage_class not in STORAGE_CLASSES:
        raise malformed("StorageClass is IA, Archive, ColdArchive or DeepColdArchive")
