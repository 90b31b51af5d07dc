"""
Retention policies (WORM): for some days after it was written, an object can be neither changed nor removed.

A policy holds from its beginning. It is withdrawn by itself after a day unless it is locked; locked, it can
only be lengthened.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from penstock.protocol import dates
from penstock.protocol.error_table import fault
from penstock.protocol.operation import Result
from penstock.protocol.operations.multipart import CompleteMultipartUpload
from penstock.protocol.operations.objects import (
    AppendObject,
    CopyObject,
    DeleteMultipleObjects,
    DeleteObject,
    PutObject,
)
from penstock.protocol.operations.retention import (
    AbortBucketWorm,
    CompleteBucketWorm,
    ExtendBucketWorm,
    GetBucketWorm,
    InitiateBucketWorm,
    InitiateBucketWormResult,
    Worm,
)
from penstock.protocol.operations.settings import PutSymlink
from penstock.server.call import Call, Handler
from penstock.server.guard.rules import KeptWorm
from penstock.server.handlers.configurations import drop, keep
from penstock.server.handlers.object_worm import check_removal
from penstock.server.store.faults import ConfigMissing, KeyMissing, VersionIsMarker, VersionMissing

MOST_DAYS = 25_550
_DAY_S = 86_400
_OVERWRITING = (PutObject, AppendObject, CopyObject, CompleteMultipartUpload, PutSymlink)


@contextmanager
def retained(call: Call[Any]) -> Iterator[None]:
    """
    Hold what a retention policy, or the retention of an object, says while a call is carried out.

    Buckets without either cost nothing. With one, writes go one after the other, so that nothing that is
    written between the look and the removal is lost.

    Raises:
        ServiceError: FileImmutable.
    """
    worm = call.rules.worm if call.rules.worm and in_force(call.rules.worm, call.service.clock()) else None
    touched = _touched(call) if worm is not None or call.rules.object_worm is not None else []
    if not touched:
        yield
        return
    with call.service.in_turn:
        for key, version_id in touched:
            _check(call, worm, key, version_id)
        yield


@contextmanager
def check_overwrite(call: Call[Any], key: str) -> Iterator[None]:
    """As `retained`, for a call whose key is not known from the beginning."""
    worm = call.rules.worm
    versioned = call.bucket is not None and call.bucket.versioning == "Enabled"
    if worm is None or versioned or not in_force(worm, call.service.clock()):
        yield
        return
    with call.service.in_turn:
        _check(call, worm, key, None)
        yield


def in_force(worm: KeptWorm, now_s: float) -> bool:
    """Whether a policy holds."""
    return worm.locked or now_s < worm.begun_s + _DAY_S


def _touched(call: Call[Any]) -> list[tuple[str, str | None]]:
    """Objects that a call would change or remove."""
    asked = call.asked
    versioned = call.bucket is not None and call.bucket.versioning == "Enabled"
    if isinstance(asked, DeleteMultipleObjects):
        named = [(one.key, one.version_id or None) for one in asked.body.objects]
    elif isinstance(asked, DeleteObject):
        named = [(asked.key, asked.version_id)]
    elif isinstance(asked, _OVERWRITING):
        named = [(asked.key, None)]
    else:
        named = []
    # Where versions are kept, a write or a plain delete removes nothing; an append always changes.
    appends = isinstance(asked, AppendObject)
    return [one for one in named if one[1] is not None or appends or not versioned]


def _check(call: Call[Any], worm: KeptWorm | None, key: str, version_id: str | None) -> None:
    try:
        record = call.store.head_object(call.asked.bucket, key, version_id)
    except (KeyMissing, VersionMissing, VersionIsMarker):
        return
    check_removal(call, record)
    if worm is not None and record.modified_ms / 1000 + worm.days * _DAY_S > call.service.clock():
        raise fault("FileImmutable", Key=key)


def initiate(call: Call[InitiateBucketWorm]) -> InitiateBucketWormResult:
    days = _days(call.asked.body.days)
    now_s = call.service.clock()
    if call.rules.object_worm is not None:
        raise fault("InvalidWORMConfiguration", message="Single objects of the bucket are retained.")
    with call.service.in_turn:
        known = _kept(call)
        if known is not None and in_force(known, now_s):
            raise fault("WORMConfigurationLocked") if known.locked else fault("InvalidWORMConfiguration")
        made = KeptWorm(worm_id=secrets.token_hex(16).upper(), days=days, begun_s=int(now_s))
        _keep(call, made)
    return InitiateBucketWormResult(worm_id=made.worm_id)


def abort(call: Call[AbortBucketWorm]) -> Result:
    with call.service.in_turn:
        if _found(call).locked:
            raise fault("WORMConfigurationLocked")
        drop(call, call.asked.bucket, "worm")
    return Result()


def complete(call: Call[CompleteBucketWorm]) -> Result:
    with call.service.in_turn:
        known = _found(call, call.asked.worm_id)
        if known.locked:
            raise fault("WORMConfigurationLocked")
        _keep(call, msgspec.structs.replace(known, locked=True))
    return Result()


def extend(call: Call[ExtendBucketWorm]) -> Result:
    days = _days(call.asked.body.days)
    with call.service.in_turn:
        known = _found(call, call.asked.worm_id)
        if not known.locked or days < known.days:
            raise fault("InvalidWORMConfiguration")
        _keep(call, msgspec.structs.replace(known, days=days))
    return Result()


def get(call: Call[GetBucketWorm]) -> Worm:
    known = _kept(call)
    if known is None:
        raise fault("NoSuchWORMConfiguration", BucketName=call.asked.bucket)
    state = "Locked" if known.locked else "InProgress"
    return Worm(
        worm_id=known.worm_id,
        state=state if in_force(known, call.service.clock()) else "Expired",
        days=known.days,
        created=dates.to_iso(known.begun_s),
        expires=dates.to_iso(known.begun_s + _DAY_S),
    )


def _days(given: int) -> int:
    if not 1 <= given <= MOST_DAYS:
        raise fault("InvalidArgument", ArgumentName="RetentionPeriodInDays", ArgumentValue=given)
    return given


def _found(call: Call[Any], worm_id: str | None = None) -> KeptWorm:
    known = _kept(call)
    if known is None or not in_force(known, call.service.clock()) or worm_id not in (None, known.worm_id):
        raise fault("NoSuchWORMConfiguration", BucketName=call.asked.bucket)
    return known


def _kept(call: Call[Any]) -> KeptWorm | None:
    try:
        return msgspec.json.decode(call.store.get_config(call.asked.bucket, "worm"), type=KeptWorm)
    except ConfigMissing:
        return None


def _keep(call: Call[Any], worm: KeptWorm) -> None:
    keep(call, call.asked.bucket, "worm", msgspec.json.encode(worm))


HANDLERS: dict[type, Handler] = {
    InitiateBucketWorm: initiate,
    AbortBucketWorm: abort,
    CompleteBucketWorm: complete,
    ExtendBucketWorm: extend,
    GetBucketWorm: get,
}
