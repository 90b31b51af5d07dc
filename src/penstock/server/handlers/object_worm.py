"""
Retention of single objects (ObjectWorm): a version that is retained, or held, cannot be removed.

Mode, end (unix seconds) and hold are kept with the object. Versions are on in every bucket that has this, so
that writing to a key removes nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from penstock.protocol.error_table import fault
from penstock.protocol.operation import Result
from penstock.protocol.operations.headers import NewObjectHeaders
from penstock.protocol.operations.object_worm import (
    GetObjectLegalHold,
    GetObjectLegalHoldResult,
    GetObjectRetention,
    GetObjectRetentionResult,
    LegalHold,
    ObjectWorm,
    PutObjectLegalHold,
    PutObjectRetention,
    Retention,
)
from penstock.server.call import Call, Handler
from penstock.server.store.records import Attributes, ObjectRecord

MODES = frozenset({"GOVERNANCE", "COMPLIANCE"})
_MODE = "worm-mode"
_UNTIL = "worm-until-s"
_HOLD = "worm-hold"
_DAY_S = 86_400
_YEAR_DAYS = 365
_MOST_YEARS = 100
"""OSS names no limit; this one keeps every moment within what a date can say."""


def worm_of(call: Call[Any], asked: NewObjectHeaders) -> dict[str, str]:
    """
    What is kept of the retention of a new object: as it asks for, else as its bucket says.

    Raises:
        ServiceError: The bucket does not retain single objects, or the retention makes no sense.
    """
    mode, until, hold = asked.worm_mode, asked.worm_until, asked.worm_hold
    rule = call.rules.object_worm
    if rule is None:
        if (mode, until, hold) != (None, None, None):
            raise not_enabled()
        return {}
    kept = {}
    if mode is not None or until is not None:
        kept = _retention(call, mode, until)
    elif rule.mode is not None:
        days = rule.days if rule.days is not None else (rule.years or 0) * _YEAR_DAYS
        kept = {_MODE: rule.mode, _UNTIL: str(int(call.service.clock()) + days * _DAY_S)}
    if hold is not None:
        kept |= _hold(hold)
    return kept


def described(kept: Attributes) -> dict[str, Any]:
    """The retention of an object, for the headers of Get and Head."""
    if _MODE not in kept.extra and _HOLD not in kept.extra:
        return {}
    until = _until(kept)
    return {
        "worm_mode": kept.extra.get(_MODE),
        "worm_until": datetime.fromtimestamp(until, UTC) if until else None,
        "worm_hold": kept.extra.get(_HOLD),
    }


def check_removal(call: Call[Any], record: ObjectRecord) -> None:
    """
    Refuse to remove, or to change the bytes of, a version that is retained.

    Raises:
        ServiceError: FileImmutable.
    """
    kept = record.attributes
    if kept.extra.get(_HOLD) == "ON":
        raise fault("FileImmutable", Key=record.key)
    if _until(kept) > call.service.clock() and not _bypassed(call, record, kept):
        raise fault("FileImmutable", Key=record.key)


def put_retention(call: Call[PutObjectRetention]) -> Result:
    asked = call.asked
    _check_enabled(call)
    wanted = _retention(call, asked.body.mode, asked.body.until)

    def change(kept: Attributes) -> Attributes:
        weaker = kept.extra.get(_MODE) == "COMPLIANCE" and wanted[_MODE] != "COMPLIANCE"
        if _until(kept) > call.service.clock() and (weaker or int(wanted[_UNTIL]) < _until(kept)):
            record = call.store.head_object(asked.bucket, asked.key, asked.version_id)
            if not _bypassed(call, record, kept):
                raise fault("FileImmutable", Key=asked.key)
        return msgspec.structs.replace(kept, extra={**kept.extra, **wanted})

    _change(call, change)
    return Result()


def get_retention(call: Call[GetObjectRetention]) -> GetObjectRetentionResult:
    kept = _kept(call)
    if _MODE not in kept.extra:
        raise fault("NoSuchWORMConfiguration", Key=call.asked.key)
    until = datetime.fromtimestamp(_until(kept), UTC)
    return GetObjectRetentionResult(body=Retention(mode=kept.extra[_MODE], until=until))


def put_legal_hold(call: Call[PutObjectLegalHold]) -> Result:
    _check_enabled(call)
    wanted = _hold(call.asked.body.status or "")
    _change(call, lambda kept: msgspec.structs.replace(kept, extra={**kept.extra, **wanted}))
    return Result()


def get_legal_hold(call: Call[GetObjectLegalHold]) -> GetObjectLegalHoldResult:
    status = _kept(call).extra.get(_HOLD)
    if status is None:
        raise fault("NoSuchWORMConfiguration", Key=call.asked.key)
    return GetObjectLegalHoldResult(body=LegalHold(status=status))


def configuration(call: Call[Any], given: ObjectWorm) -> ObjectWorm:
    """The configuration of a bucket, if it may have this one."""
    if given.enabled != "Enabled":
        raise fault("MalformedXML", ErrorDetail="ObjectWormEnabled must be Enabled")
    if call.bucket is None or call.bucket.versioning != "Enabled":
        raise fault("InvalidWORMConfiguration", message="Versions must be on for objects to be retained.")
    if call.rules.worm is not None:
        raise fault("InvalidWORMConfiguration", message="The bucket has a retention policy as a whole.")
    if given.mode is None and given.days is None and given.years is None:
        return given
    if given.mode not in MODES or (given.days is None) == (given.years is None):
        raise fault("MalformedXML", ErrorDetail="a default retention needs Mode, and Days or Years")
    days = given.days if given.days is not None else (given.years or 0) * _YEAR_DAYS
    if not 1 <= days <= _MOST_YEARS * _YEAR_DAYS:
        raise fault("InvalidWORMConfiguration")
    return given


def not_enabled() -> Exception:
    """The refusal where single objects cannot be retained."""
    return fault("InvalidWORMConfiguration", message="The bucket does not retain single objects.")


def _change(call: Call[Any], change: Any) -> None:
    asked = call.asked
    # In turn with removals, which look first and remove then.
    with call.service.in_turn:
        call.store.update_object(asked.bucket, asked.key, change, asked.version_id)


def _kept(call: Call[Any]) -> Attributes:
    _check_enabled(call)
    asked = call.asked
    return call.store.head_object(asked.bucket, asked.key, asked.version_id).attributes


def _check_enabled(call: Call[Any]) -> None:
    if call.rules.object_worm is None:
        raise not_enabled()


def _retention(call: Call[Any], mode: str | None, until: datetime | None) -> dict[str, str]:
    if mode not in MODES or until is None:
        raise fault("MalformedXML", ErrorDetail="a retention needs Mode and RetainUntilDate")
    until_s = int(until.timestamp())
    if until_s <= call.service.clock():
        raise fault("InvalidArgument", ArgumentName="RetainUntilDate", ArgumentValue=until.isoformat())
    return {_MODE: mode, _UNTIL: str(until_s)}


def _hold(status: str) -> dict[str, str]:
    if status not in ("ON", "OFF"):
        raise fault("MalformedXML", ErrorDetail="a legal hold is ON or OFF")
    return {_HOLD: status}


def _until(kept: Attributes) -> int:
    return int(kept.extra.get(_UNTIL, "0"))


def _bypassed(call: Call[Any], record: ObjectRecord, kept: Attributes) -> bool:
    """Whether whoever asks may, and wants to, pass over a retention that can be passed over."""
    wish = call.http.headers.get("x-oss-bypass-governance-retention", "").lower() == "true"
    if not wish or kept.extra.get(_MODE) != "GOVERNANCE":
        return False
    call.may("BypassGovernanceRetention", record.bucket, record.key, record.version_id)
    return True


HANDLERS: dict[type, Handler] = {
    PutObjectRetention: put_retention,
    GetObjectRetention: get_retention,
    PutObjectLegalHold: put_legal_hold,
    GetObjectLegalHold: get_legal_hold,
}
