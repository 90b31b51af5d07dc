"""Uploads by the forms of browsers."""

from __future__ import annotations

from typing import Annotated

from penstock.protocol.marks import Element, Header
from penstock.protocol.operation import BucketRequest, Operation, Scope
from penstock.protocol.operations.headers import StoredResult


class PostObject(BucketRequest, frozen=True, kw_only=True):
    """Make an object of a form's file; the form says what it is called and who signed it."""

    content_type: Annotated[str, Header("content-type")]


class PostObjectResult(StoredResult, frozen=True, kw_only=True):
    """What was stored; the elements are there if the form asked for status 201."""

    location: Annotated[str | None, Header("location")] = None
    bucket: Annotated[str | None, Element("Bucket")] = None
    stored_etag: Annotated[str | None, Element("ETag")] = None
    key: Annotated[str | None, Element("Key")] = None
    stored_at: Annotated[str | None, Element("Location")] = None


OPERATIONS = (
    Operation(
        "PostObject",
        "POST",
        Scope.BUCKET,
        PostObject,
        PostObjectResult,
        header_mark="content-type",
        body="stream",
        answer="xml",
        answer_root="PostResponse",
        status=204,
        commits=True,
    ),
)
