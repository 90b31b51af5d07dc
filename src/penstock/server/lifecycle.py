"""
Carries out the lifecycle rules of buckets: what has grown old goes, or changes its storage class.

`steps_of` decides, `run_lifecycle` does. Rules with a ``Filter`` are kept and answered, but not carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import msgspec

from penstock.errors import StoreError
from penstock.protocol.operations.retention import Lifecycle, LifecycleRule
from penstock.server.call import Service
from penstock.server.chore import Chore
from penstock.server.guard.rules import read_document
from penstock.server.handlers.lifecycle_rules import WARMTH
from penstock.server.handlers.restoring import forgotten
from penstock.server.handlers.worm import in_force
from penstock.server.store.faults import (
    BucketMissing,
    ConfigMissing,
    KeyMissing,
    VersionIsMarker,
    VersionMissing,
)
from penstock.server.store.interface import Store
from penstock.server.store.records import Attributes, ObjectRecord

logger = logging.getLogger("penstock.server")

_DAY_MS: Final = 86_400_000
_PAGE: Final = 500
Deed = Literal["expire", "expire-versions", "remove-markers", "abort-uploads", "move"]


@dataclass(frozen=True, slots=True)
class Step:
    """
    One thing to do to what has been as it is since before a moment.

    Attributes:
        before_ms: The moment, in milliseconds since 1970.
        storage_class: Of a move: where to.
    """

    deed: Deed
    before_ms: int
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = ""


@dataclass(frozen=True, slots=True)
class LifecycleReport:
    """
    How much was done, over all buckets.

    Attributes:
        failed_buckets: In how many something went wrong; the log says what.
    """

    expired: int = 0
    moved: int = 0
    aborted_uploads: int = 0
    failed_buckets: int = 0

    def __add__(self, other: LifecycleReport) -> LifecycleReport:
        return LifecycleReport(
            self.expired + other.expired,
            self.moved + other.moved,
            self.aborted_uploads + other.aborted_uploads,
            self.failed_buckets + other.failed_buckets,
        )


def steps_of(lifecycle: Lifecycle, now_ms: int, *, kept_since_ms: int | None = None) -> list[Step]:
    """
    What the rules ask for at this moment.

    Args:
        lifecycle: The rules of a bucket.
        now_ms: Milliseconds since 1970.
        kept_since_ms: Nothing that was written after this moment may go (a retention policy).
    """
    found: list[Step] = []
    for rule in lifecycle.rules:
        if rule.status == "Enabled" and rule.filter is None:
            found.extend(_steps(rule, now_ms))
    if kept_since_ms is None:
        return found
    return [
        Step(one.deed, min(one.before_ms, kept_since_ms), one.prefix, one.tags, one.storage_class)
        if one.deed in ("expire", "expire-versions")
        else one
        for one in found
    ]


def _steps(rule: LifecycleRule, now_ms: int) -> Iterator[Step]:
    prefix, tags = rule.prefix or "", {tag.key: tag.value for tag in rule.tags}
    if rule.expiration is not None:
        one = rule.expiration
        if one.lone_markers:
            yield Step("remove-markers", now_ms, prefix)
        before_ms = _before(one.days, one.created_before or one.date, now_ms)
        if before_ms is not None:
            yield Step("expire", before_ms, prefix, tags)
    if rule.noncurrent_expiration is not None and rule.noncurrent_expiration.days is not None:
        before_ms = _days_ago(rule.noncurrent_expiration.days, now_ms)
        yield Step("expire-versions", before_ms, prefix, tags)
    if rule.abort is not None:
        before_ms = _before(rule.abort.days, rule.abort.created_before, now_ms)
        if before_ms is not None:
            yield Step("abort-uploads", before_ms, prefix)
    for change in rule.transitions:
        before_ms = _before(change.days, change.created_before, now_ms)
        if before_ms is not None and not change.is_access_time and change.storage_class:
            yield Step("move", before_ms, prefix, tags, change.storage_class)


def _before(days: int | None, date: datetime | None, now_ms: int) -> int | None:
    """The moment before which things are old; None while the date is yet to come."""
    if days is not None:
        return _days_ago(days, now_ms)
    if date is None:
        return None
    date_ms = int(date.timestamp() * 1000)
    return date_ms if date_ms <= now_ms else None


def _days_ago(days: int, now_ms: int) -> int:
    # Nothing is older than that, and what was put before days had a limit may be beyond all numbers.
    return max(0, now_ms - days * _DAY_MS)


def run_lifecycle(service: Service, bucket: str | None = None) -> LifecycleReport:
    """
    Do what the rules ask for now, in one bucket or in all.

    What goes wrong in one of all buckets is logged and counted, and the others have their turn.

    Raises:
        StoreError: The disk failed before anything was begun, or in the one bucket.
    """
    if bucket is not None:
        return _in_bucket(service, bucket)
    total = LifecycleReport()
    for name in _buckets(service.store):
        try:
            total += _in_bucket(service, name)
        except StoreError as error:
            logger.error("lifecycle of %s: %s", name, error.message)
            total += LifecycleReport(failed_buckets=1)
        except Exception:
            # The wall of a bucket: what one owner has put must not end the rules of all others.
            logger.exception("lifecycle of %s failed", name)
            total += LifecycleReport(failed_buckets=1)
    return total


def _in_bucket(service: Service, name: str) -> LifecycleReport:
    store = service.store
    total = LifecycleReport()
    try:
        rules = read_document(Lifecycle, store.get_config(name, "lifecycle"))
        held = service.rules.of(store.head_bucket(name))
        worm = held.worm
        now_ms = int(service.clock() * 1000)
        holds = worm is not None and in_force(worm, service.clock())
        kept_since_ms = now_ms - worm.days * _DAY_MS if worm is not None and holds else None
        for step in steps_of(rules, now_ms, kept_since_ms=kept_since_ms):
            # Where single versions may be retained, none goes by its age alone.
            if step.deed == "expire-versions" and held.object_worm is not None:
                continue
            total += _carry_out(store, name, step)
    except (ConfigMissing, BucketMissing):
        # The rules, or all of it, were removed meanwhile.
        pass
    return total


def _buckets(store: Store) -> Iterator[str]:
    marker: str | None = ""
    while marker is not None:
        page = store.list_buckets(marker=marker)
        yield from (one.name for one in page.buckets)
        marker = page.next_marker


def _carry_out(store: Store, bucket: str, step: Step) -> LifecycleReport:
    match step.deed:
        case "expire":
            return LifecycleReport(
                store.expire_objects(bucket, step.before_ms, prefix=step.prefix, tags=step.tags)
            )
        case "expire-versions":
            return LifecycleReport(
                store.expire_versions(bucket, step.before_ms, prefix=step.prefix, tags=step.tags)
            )
        case "remove-markers":
            return LifecycleReport(store.remove_lone_markers(bucket, step.before_ms, prefix=step.prefix))
        case "abort-uploads":
            aborted = store.abort_uploads(bucket, step.before_ms, prefix=step.prefix)
            return LifecycleReport(aborted_uploads=aborted)
        case "move":
            return LifecycleReport(moved=_move(store, bucket, step))


def _move(store: Store, bucket: str, step: Step) -> int:
    moved, after = 0, ""
    while True:
        page = store.list_objects(bucket, prefix=step.prefix, start_after=after, limit=_PAGE)
        for record in page.objects:
            moved += _wants_move(record, step) and _move_one(store, record, step)
        if page.next_marker is None:
            return moved
        after = page.next_marker


def _wants_move(record: ObjectRecord, step: Step) -> bool:
    kept = record.attributes
    colder = WARMTH.index(step.storage_class) > WARMTH.index(kept.storage_class)
    tagged = all(kept.tags.get(name) == value for name, value in step.tags.items())
    return colder and tagged and record.modified_ms < step.before_ms


def _move_one(store: Store, record: ObjectRecord, step: Step) -> bool:
    changed = False

    def change(kept: Attributes) -> Attributes:
        nonlocal changed
        # What was overwritten meanwhile is another object, and young.
        changed = kept == record.attributes
        return msgspec.structs.replace(forgotten(kept), storage_class=step.storage_class) if changed else kept

    try:
        store.update_object(record.bucket, record.key, change, record.version_id)
    except (KeyMissing, VersionMissing, VersionIsMarker):
        # It was deleted meanwhile.
        return False
    return changed


class Schedule(Chore):
    """
    Runs the rules of all buckets at once, and then from time to time.

    Args:
        service: The server.
        every_s: Seconds from the end of one run to the next.
    """

    def __init__(self, service: Service, every_s: float) -> None:
        super().__init__("lifecycle", self._carry_out, first_s=0, every_s=every_s)
        self._service = service

    def _carry_out(self) -> None:
        report = run_lifecycle(self._service)
        if report != LifecycleReport():
            logger.info("lifecycle: %s", report)
