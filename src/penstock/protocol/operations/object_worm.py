"""Retention of single objects (ObjectWorm): the bucket's default, an object's retention, a legal hold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Header, XmlBody
from penstock.protocol.operation import BucketRequest, ObjectRequest, Operation, Result, Scope
from penstock.protocol.operations.configured import configuration_calls
from penstock.protocol.operations.headers import VersionQuery

BypassGovernance = Annotated[bool | None, Header("x-oss-bypass-governance-retention")]
_DEFAULT = "Rule/DefaultRetention"


class ObjectWorm(msgspec.Struct, frozen=True, kw_only=True):
    """
    Whether objects of a bucket may be retained one by one, and how new ones are.

    ``mode`` is ``GOVERNANCE`` (who may bypass it, can) or ``COMPLIANCE`` (nobody can); one of ``days`` and
    ``years`` says for how long.
    """

    enabled: Annotated[str | None, Element("ObjectWormEnabled")] = None
    mode: Annotated[str | None, Element(f"{_DEFAULT}/Mode")] = None
    days: Annotated[int | None, Element(f"{_DEFAULT}/Days")] = None
    years: Annotated[int | None, Element(f"{_DEFAULT}/Years")] = None


class PutBucketObjectWormConfiguration(BucketRequest, frozen=True, kw_only=True):
    """Allow objects of a bucket to be retained one by one; this cannot be undone."""

    body: Annotated[ObjectWorm, XmlBody("ObjectWormConfiguration")]


class GetBucketObjectWormConfiguration(BucketRequest, frozen=True, kw_only=True):
    """Ask whether objects of a bucket may be retained one by one."""


class GetBucketObjectWormConfigurationResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[ObjectWorm, XmlBody("ObjectWormConfiguration")]


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Until when a version of an object cannot be removed."""

    mode: Annotated[str | None, Element("Mode")] = None
    until: Annotated[datetime | None, Element("RetainUntilDate")] = None


class PutObjectRetention(ObjectRequest, frozen=True, kw_only=True):
    """Retain a version of an object, or for longer."""

    body: Annotated[Retention, XmlBody("Retention")]
    version_id: VersionQuery = None
    bypass_governance: BypassGovernance = None


class GetObjectRetention(ObjectRequest, frozen=True, kw_only=True):
    """Ask until when a version of an object is retained."""

    version_id: VersionQuery = None


class GetObjectRetentionResult(Result, frozen=True, kw_only=True):
    """The retention as it was put."""

    body: Annotated[Retention, XmlBody("Retention")]


class LegalHold(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a version of an object is held (``ON`` or ``OFF``), without an end."""

    status: Annotated[str | None, Element("Status")] = None


class PutObjectLegalHold(ObjectRequest, frozen=True, kw_only=True):
    """Hold a version of an object, or let go of it."""

    body: Annotated[LegalHold, XmlBody("LegalHold")]
    version_id: VersionQuery = None


class GetObjectLegalHold(ObjectRequest, frozen=True, kw_only=True):
    """Ask whether a version of an object is held."""

    version_id: VersionQuery = None


class GetObjectLegalHoldResult(Result, frozen=True, kw_only=True):
    """The hold as it was put."""

    body: Annotated[LegalHold, XmlBody("LegalHold")]


def _object_calls(
    name: str, mark: str, put: type[ObjectRequest], get: type[ObjectRequest], answer: type[Result]
) -> tuple[Operation, ...]:
    marks = ((mark, None),)
    return (
        Operation(f"Put{name}", "PUT", Scope.OBJECT, put, Result, marks=marks, body="xml", commits=True),
        Operation(f"Get{name}", "GET", Scope.OBJECT, get, answer, marks=marks, answer="xml"),
    )


OPERATIONS = (
    *configuration_calls(
        "BucketObjectWormConfiguration",
        "objectWorm",
        put=PutBucketObjectWormConfiguration,
        get=GetBucketObjectWormConfiguration,
        answer=GetBucketObjectWormConfigurationResult,
    ),
    *_object_calls(
        "ObjectRetention", "retention", PutObjectRetention, GetObjectRetention, GetObjectRetentionResult
    ),
    *_object_calls(
        "ObjectLegalHold", "legalHold", PutObjectLegalHold, GetObjectLegalHold, GetObjectLegalHoldResult
    ),
)
