"""
Objects of the archive classes: restoring them, and what is said of it.

When the restoring ends and until when the object is readable are kept with it, as unix seconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.protocol import dates
from penstock.protocol.error_table import fault
from penstock.protocol.operation import Result
from penstock.protocol.operations.archive import (
    CleanRestoredObject,
    RestoreObject,
    RestoreObjectResult,
    RestoreWish,
)
from penstock.server.call import Call, Handler, Reply
from penstock.server.store.records import Attributes

FROZEN_CLASSES = frozenset({"Archive", "ColdArchive", "DeepColdArchive"})
"""Objects of these cannot be read before they are restored."""

_READY = "restore-ready-s"
_UNTIL = "restore-until-s"
_DAY_S = 86_400
_MOST_DAYS = {"Archive": 7, "ColdArchive": 365, "DeepColdArchive": 365}
_TIERS = frozenset({"Expedited", "Standard", "Bulk"})


def readable(attributes: Attributes, now_s: float) -> bool:
    """Whether the bytes of an object may be read now."""
    if attributes.storage_class not in FROZEN_CLASSES:
        return True
    ready_s, until_s = _times(attributes)
    return ready_s <= now_s < until_s


def restore_info(attributes: Attributes, now_s: float) -> str | None:
    """The value of ``x-oss-restore``; None where nothing was restored, or no longer is."""
    if _UNTIL not in attributes.extra:
        return None
    ready_s, until_s = _times(attributes)
    if now_s >= until_s:
        return None
    if now_s < ready_s:
        return 'ongoing-request="true"'
    return f'ongoing-request="false", expiry-date="{dates.to_http(int(until_s))}"'


def forgotten(attributes: Attributes) -> Attributes:
    """The attributes with nothing restored."""
    extra = {name: value for name, value in attributes.extra.items() if name not in (_READY, _UNTIL)}
    return msgspec.structs.replace(attributes, extra=extra)


def restore(call: Call[RestoreObject]) -> Reply:
    asked = call.asked
    wish = asked.body or RestoreWish()
    days = 1 if wish.days is None else wish.days
    tier = wish.tier or "Standard"
    if tier not in _TIERS:
        raise fault("InvalidArgument", ArgumentName="Tier", ArgumentValue=tier[:100])
    now_s = call.service.clock()
    begun = False

    def begin(kept: Attributes) -> Attributes:
        nonlocal begun
        if kept.storage_class not in FROZEN_CLASSES:
            raise fault("OperationNotSupported", ec="0016-00000702")
        if wish.tier is not None and kept.storage_class == "Archive":
            raise fault("MalformedXML", ErrorDetail="objects of the class Archive have no tiers")
        if not 1 <= days <= _MOST_DAYS[kept.storage_class]:
            raise fault("InvalidArgument", ArgumentName="Days", ArgumentValue=days)
        ready_s, until_s = _times(kept)
        if now_s < ready_s and now_s < until_s:
            raise fault("RestoreAlreadyInProgress")
        begun = now_s >= until_s
        if begun:
            ready_s = now_s + call.service.restore_s
        until_s = max(until_s, max(ready_s, now_s) + days * _DAY_S)
        extra = {**kept.extra, _READY: repr(ready_s), _UNTIL: repr(until_s)}
        return msgspec.structs.replace(kept, extra=extra)

    record = call.store.update_object(asked.bucket, asked.key, begin, asked.version_id)
    cold = record.attributes.storage_class != "Archive"
    result = RestoreObjectResult(version_id=record.version_id, priority=tier if cold else None)
    return Reply(result, status=202 if begun else 200)


def clean(call: Call[CleanRestoredObject]) -> Result:
    asked = call.asked
    now_s = call.service.clock()

    def end(kept: Attributes) -> Attributes:
        if kept.storage_class not in FROZEN_CLASSES:
            raise fault("OperationNotSupported", ec="0016-00000702")
        ready_s, until_s = _times(kept)
        if now_s < ready_s and now_s < until_s:
            raise fault("ArchiveRestoreNotFinished")
        return forgotten(kept)

    call.store.update_object(asked.bucket, asked.key, end, asked.version_id)
    return Result()


def _times(attributes: Attributes) -> tuple[float, float]:
    return float(attributes.extra.get(_READY, "0")), float(attributes.extra.get(_UNTIL, "0"))


HANDLERS: dict[type[Any], Handler] = {RestoreObject: restore, CleanRestoredObject: clean}
