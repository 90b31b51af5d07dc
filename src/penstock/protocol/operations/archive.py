"""Calls about objects of the archive classes, which are read only after they were restored."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Header, XmlBody
from penstock.protocol.operation import ObjectRequest, Operation, Result, Scope
from penstock.protocol.operations.headers import VersionId, VersionQuery


class RestoreWish(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days an object shall be readable, and how urgent it is (``Standard``, ``Bulk`` ...)."""

    days: Annotated[int | None, Element("Days")] = None
    tier: Annotated[str | None, Element("JobParameters/Tier")] = None


class RestoreObject(ObjectRequest, frozen=True, kw_only=True):
    """Make an archived object readable for some days; it takes a while."""

    body: Annotated[RestoreWish | None, XmlBody("RestoreRequest")] = None
    version_id: VersionQuery = None


class RestoreObjectResult(Result, frozen=True, kw_only=True):
    """The object is being restored (202), or was readable already and stays so (200)."""

    priority: Annotated[str | None, Header("x-oss-object-restore-priority")] = None
    version_id: VersionId = None


class CleanRestoredObject(ObjectRequest, frozen=True, kw_only=True):
    """End the time in which a restored object is readable."""

    version_id: VersionQuery = None


OPERATIONS = (
    Operation(
        "RestoreObject",
        "POST",
        Scope.OBJECT,
        RestoreObject,
        RestoreObjectResult,
        marks=(("restore", None),),
        body="xml",
        commits=True,
        repeatable=False,
    ),
    Operation(
        "CleanRestoredObject",
        "POST",
        Scope.OBJECT,
        CleanRestoredObject,
        Result,
        marks=(("cleanRestoredObject", None),),
        commits=True,
    ),
)
