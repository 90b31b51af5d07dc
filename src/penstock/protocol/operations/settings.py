"""Calls about what is said of buckets and objects: access, tags, symbolic links."""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Header, Query, XmlBody
from penstock.protocol.operation import BucketRequest, ObjectRequest, Operation, Result, Scope
from penstock.protocol.operations.headers import (
    ETag,
    ForbidOverwrite,
    NewObjectHeaders,
    StoredResult,
    VersionId,
    VersionQuery,
)
from penstock.protocol.operations.listing import Owner
from penstock.protocol.text import PERCENT


class AccessControl(Result, frozen=True, kw_only=True):
    """Who owns it and who may use it: ``private``, ``public-read``, ``public-read-write`` or ``default``."""

    owner: Annotated[Owner | None, Element("Owner")] = None
    grant: Annotated[str, Element("AccessControlList/Grant")]
    version_id: VersionId = None


class PutBucketAcl(BucketRequest, frozen=True, kw_only=True):
    """Decide who may use a bucket."""

    acl: Annotated[str, Header("x-oss-acl")]


class GetBucketAcl(BucketRequest, frozen=True, kw_only=True):
    """Ask who may use a bucket."""


class PutObjectAcl(ObjectRequest, frozen=True, kw_only=True):
    """Decide who may use an object; ``default`` is what its bucket says."""

    acl: Annotated[str, Header("x-oss-object-acl")]
    version_id: VersionQuery = None


class GetObjectAcl(ObjectRequest, frozen=True, kw_only=True):
    """Ask who may use an object."""

    version_id: VersionQuery = None


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A name and a value."""

    key: Annotated[str, Element("Key")]
    value: Annotated[str, Element("Value")] = ""


class TagSet(msgspec.Struct, frozen=True, kw_only=True):
    """At most 10 tags of an object, 20 of a bucket."""

    tags: Annotated[tuple[Tag, ...], Element("TagSet/Tag")] = ()


class Tagging(Result, frozen=True, kw_only=True):
    """The tags that something has."""

    tags: Annotated[tuple[Tag, ...], Element("TagSet/Tag")] = ()
    version_id: VersionId = None


class VersionResult(Result, frozen=True, kw_only=True):
    """The version that was changed, in a versioned bucket."""

    version_id: VersionId = None


class PutObjectTagging(ObjectRequest, frozen=True, kw_only=True):
    """Replace all tags of an object."""

    body: Annotated[TagSet, XmlBody("Tagging")]
    version_id: VersionQuery = None


class GetObjectTagging(ObjectRequest, frozen=True, kw_only=True):
    """Ask for the tags of an object."""

    version_id: VersionQuery = None


class DeleteObjectTagging(ObjectRequest, frozen=True, kw_only=True):
    """Remove all tags of an object."""

    version_id: VersionQuery = None


class PutBucketTags(BucketRequest, frozen=True, kw_only=True):
    """Replace all tags of a bucket."""

    body: Annotated[TagSet, XmlBody("Tagging")]


class GetBucketTags(BucketRequest, frozen=True, kw_only=True):
    """Ask for the tags of a bucket."""


class DeleteBucketTags(BucketRequest, frozen=True, kw_only=True):
    """Remove all tags of a bucket, or those whose names are given, with commas between."""

    names: Annotated[str | None, Query("tagging")] = None


class PutSymlink(NewObjectHeaders, frozen=True, kw_only=True):
    """Make an object that stands for another one of the same bucket."""

    target: Annotated[str, Header("x-oss-symlink-target", PERCENT)]
    forbid_overwrite: ForbidOverwrite = None


class GetSymlink(ObjectRequest, frozen=True, kw_only=True):
    """Ask which object a symbolic link stands for."""

    version_id: VersionQuery = None


class Symlink(Result, frozen=True, kw_only=True):
    """The key that a symbolic link stands for."""

    target: Annotated[str, Header("x-oss-symlink-target", PERCENT)]
    etag: ETag = None
    version_id: VersionId = None


_ACL = (("acl", None),)
_TAGGING = (("tagging", None),)
_SYMLINK = (("symlink", None),)

OPERATIONS = (
    Operation("PutBucketAcl", "PUT", Scope.BUCKET, PutBucketAcl, Result, marks=_ACL, commits=True),
    Operation(
        "GetBucketAcl",
        "GET",
        Scope.BUCKET,
        GetBucketAcl,
        AccessControl,
        marks=_ACL,
        answer="xml",
        answer_root="AccessControlPolicy",
    ),
    Operation("PutObjectACL", "PUT", Scope.OBJECT, PutObjectAcl, VersionResult, marks=_ACL, commits=True),
    Operation(
        "GetObjectACL",
        "GET",
        Scope.OBJECT,
        GetObjectAcl,
        AccessControl,
        marks=_ACL,
        answer="xml",
        answer_root="AccessControlPolicy",
    ),
    Operation(
        "PutObjectTagging",
        "PUT",
        Scope.OBJECT,
        PutObjectTagging,
        VersionResult,
        marks=_TAGGING,
        body="xml",
        commits=True,
    ),
    Operation(
        "GetObjectTagging",
        "GET",
        Scope.OBJECT,
        GetObjectTagging,
        Tagging,
        marks=_TAGGING,
        answer="xml",
        answer_root="Tagging",
    ),
    Operation(
        "DeleteObjectTagging",
        "DELETE",
        Scope.OBJECT,
        DeleteObjectTagging,
        VersionResult,
        marks=_TAGGING,
        status=204,
        commits=True,
    ),
    Operation(
        "PutBucketTags", "PUT", Scope.BUCKET, PutBucketTags, Result, marks=_TAGGING, body="xml", commits=True
    ),
    Operation(
        "GetBucketTags",
        "GET",
        Scope.BUCKET,
        GetBucketTags,
        Tagging,
        marks=_TAGGING,
        answer="xml",
        answer_root="Tagging",
    ),
    Operation(
        "DeleteBucketTags",
        "DELETE",
        Scope.BUCKET,
        DeleteBucketTags,
        Result,
        marks=_TAGGING,
        status=204,
        commits=True,
    ),
    Operation("PutSymlink", "PUT", Scope.OBJECT, PutSymlink, StoredResult, marks=_SYMLINK, commits=True),
    Operation("GetSymlink", "GET", Scope.OBJECT, GetSymlink, Symlink, marks=_SYMLINK),
)
