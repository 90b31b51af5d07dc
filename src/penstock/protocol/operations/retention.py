"""Configurations of a bucket that decide how long objects are kept, and how: lifecycle, WORM, encryption."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from penstock.protocol.limits import MAX_REQUEST_XML_BYTES
from penstock.protocol.marks import Element, Header, Query, XmlBody
from penstock.protocol.operation import BucketRequest, Operation, Result, Scope
from penstock.protocol.operations.configured import configuration_calls
from penstock.protocol.operations.settings import Tag


class Expiration(msgspec.Struct, frozen=True, kw_only=True):
    """When objects go: by their age, by a date, or (markers) once they hide nothing."""

    days: Annotated[int | None, Element("Days")] = None
    created_before: Annotated[datetime | None, Element("CreatedBeforeDate")] = None
    date: Annotated[datetime | None, Element("Date")] = None
    lone_markers: Annotated[bool | None, Element("ExpiredObjectDeleteMarker")] = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """When objects change their storage class."""

    days: Annotated[int | None, Element("Days")] = None
    created_before: Annotated[datetime | None, Element("CreatedBeforeDate")] = None
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    is_access_time: Annotated[bool | None, Element("IsAccessTime")] = None
    return_to_standard: Annotated[bool | None, Element("ReturnToStdWhenVisit")] = None
    allow_small_file: Annotated[bool | None, Element("AllowSmallFile")] = None


class AbortRule(msgspec.Struct, frozen=True, kw_only=True):
    """When unfinished uploads go."""

    days: Annotated[int | None, Element("Days")] = None
    created_before: Annotated[datetime | None, Element("CreatedBeforeDate")] = None


class NoncurrentExpiration(msgspec.Struct, frozen=True, kw_only=True):
    """When versions go that are not the latest any more."""

    days: Annotated[int | None, Element("NoncurrentDays")] = None


class NoncurrentTransition(msgspec.Struct, frozen=True, kw_only=True):
    """When versions that are not the latest any more change their storage class."""

    days: Annotated[int | None, Element("NoncurrentDays")] = None
    storage_class: Annotated[str | None, Element("StorageClass")] = None
    is_access_time: Annotated[bool | None, Element("IsAccessTime")] = None
    return_to_standard: Annotated[bool | None, Element("ReturnToStdWhenVisit")] = None
    allow_small_file: Annotated[bool | None, Element("AllowSmallFile")] = None


class LifecycleNot(msgspec.Struct, frozen=True, kw_only=True):
    """Objects that a rule leaves alone."""

    prefix: Annotated[str | None, Element("Prefix")] = None
    tag: Annotated[Tag | None, Element("Tag")] = None


class LifecycleFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule is about, beyond its prefix and tags."""

    larger_than_bytes: Annotated[int | None, Element("ObjectSizeGreaterThan")] = None
    smaller_than_bytes: Annotated[int | None, Element("ObjectSizeLessThan")] = None
    nots: Annotated[tuple[LifecycleNot, ...], Element("Not")] = ()


class LifecycleRule(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the objects with this prefix and all of these tags."""

    id: Annotated[str | None, Element("ID")] = None
    prefix: Annotated[str | None, Element("Prefix")] = None
    status: Annotated[str | None, Element("Status")] = None
    expiration: Annotated[Expiration | None, Element("Expiration")] = None
    transitions: Annotated[tuple[Transition, ...], Element("Transition")] = ()
    abort: Annotated[AbortRule | None, Element("AbortMultipartUpload")] = None
    noncurrent_expiration: Annotated[NoncurrentExpiration | None, Element("NoncurrentVersionExpiration")] = (
        None
    )
    noncurrent_transitions: Annotated[
        tuple[NoncurrentTransition, ...], Element("NoncurrentVersionTransition")
    ] = ()
    tags: Annotated[tuple[Tag, ...], Element("Tag")] = ()
    filter: Annotated[LifecycleFilter | None, Element("Filter")] = None
    access_time_base: Annotated[int | None, Element("AtimeBase")] = None


class Lifecycle(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of objects and unfinished uploads in time; at most 1,000 rules."""

    rules: Annotated[tuple[LifecycleRule, ...], Element("Rule")] = ()


class PutBucketLifecycle(BucketRequest, frozen=True, kw_only=True):
    """Replace the lifecycle rules."""

    body: Annotated[Lifecycle, XmlBody("LifecycleConfiguration")]
    allow_same_action_overlap: Annotated[bool | None, Header("x-oss-allow-same-action-overlap")] = None


class GetBucketLifecycle(BucketRequest, frozen=True, kw_only=True):
    """Ask for the lifecycle rules."""


class GetBucketLifecycleResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Lifecycle, XmlBody("LifecycleConfiguration")]


class DeleteBucketLifecycle(BucketRequest, frozen=True, kw_only=True):
    """Remove the lifecycle rules."""


class Encryption(msgspec.Struct, frozen=True, kw_only=True):
    """How objects are encrypted that do not say it themselves: ``AES256``, ``KMS`` or ``SM4``."""

    algorithm: Annotated[str | None, Element("ApplyServerSideEncryptionByDefault/SSEAlgorithm")] = None
    key_id: Annotated[str | None, Element("ApplyServerSideEncryptionByDefault/KMSMasterKeyID")] = None
    data_encryption: Annotated[
        str | None, Element("ApplyServerSideEncryptionByDefault/KMSDataEncryption")
    ] = None


class PutBucketEncryption(BucketRequest, frozen=True, kw_only=True):
    """Decide how new objects are encrypted."""

    body: Annotated[Encryption, XmlBody("ServerSideEncryptionRule")]


class GetBucketEncryption(BucketRequest, frozen=True, kw_only=True):
    """Ask how new objects are encrypted."""


class GetBucketEncryptionResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[Encryption, XmlBody("ServerSideEncryptionRule")]


class DeleteBucketEncryption(BucketRequest, frozen=True, kw_only=True):
    """Encrypt new objects only where they ask for it."""


class ArchiveDirectRead(msgspec.Struct, frozen=True, kw_only=True):
    """Whether objects of the class Archive are read without restoring them first."""

    enabled: Annotated[bool | None, Element("Enabled")] = None


class PutBucketArchiveDirectRead(BucketRequest, frozen=True, kw_only=True):
    """Decide whether archived objects are read without restoring them first."""

    body: Annotated[ArchiveDirectRead, XmlBody("ArchiveDirectReadConfiguration")]


class GetBucketArchiveDirectRead(BucketRequest, frozen=True, kw_only=True):
    """Ask whether archived objects are read without restoring them first."""


class GetBucketArchiveDirectReadResult(Result, frozen=True, kw_only=True):
    """The configuration as it was put."""

    body: Annotated[ArchiveDirectRead, XmlBody("ArchiveDirectReadConfiguration")]


class RetentionPeriod(msgspec.Struct, frozen=True, kw_only=True):
    """For how many days an object can be neither changed nor removed."""

    days: Annotated[int, Element("RetentionPeriodInDays")]


class InitiateBucketWorm(BucketRequest, frozen=True, kw_only=True):
    """Begin a retention policy; it holds at once, and may be withdrawn for 24 hours until it is locked."""

    body: Annotated[RetentionPeriod, XmlBody("InitiateWormConfiguration")]


class InitiateBucketWormResult(Result, frozen=True, kw_only=True):
    """The id under which the policy is locked."""

    worm_id: Annotated[str, Header("x-oss-worm-id")]


class AbortBucketWorm(BucketRequest, frozen=True, kw_only=True):
    """Withdraw a retention policy that is not locked."""


class CompleteBucketWorm(BucketRequest, frozen=True, kw_only=True):
    """Lock a retention policy; nobody can shorten or remove it afterwards."""

    worm_id: Annotated[str, Query("wormId")]


class ExtendBucketWorm(BucketRequest, frozen=True, kw_only=True):
    """Lengthen a locked retention policy."""

    worm_id: Annotated[str, Query("wormId")]
    body: Annotated[RetentionPeriod, XmlBody("ExtendWormConfiguration")]


class GetBucketWorm(BucketRequest, frozen=True, kw_only=True):
    """Ask for the retention policy."""


class Worm(Result, frozen=True, kw_only=True):
    """A retention policy: ``InProgress``, ``Locked`` or ``Expired``. Times are as OSS writes them."""

    worm_id: Annotated[str, Element("WormId")]
    state: Annotated[str, Element("State")]
    days: Annotated[int, Element("RetentionPeriodInDays")]
    created: Annotated[str | None, Element("CreationDate")] = None
    expires: Annotated[str | None, Element("ExpirationDate")] = None


_WORM = (("worm", None),)

OPERATIONS = (
    *configuration_calls(
        "BucketLifecycle",
        "lifecycle",
        put=PutBucketLifecycle,
        get=GetBucketLifecycle,
        answer=GetBucketLifecycleResult,
        delete=DeleteBucketLifecycle,
        max_bytes=MAX_REQUEST_XML_BYTES,
    ),
    *configuration_calls(
        "BucketEncryption",
        "encryption",
        put=PutBucketEncryption,
        get=GetBucketEncryption,
        answer=GetBucketEncryptionResult,
        delete=DeleteBucketEncryption,
    ),
    *configuration_calls(
        "BucketArchiveDirectRead",
        "bucketArchiveDirectRead",
        put=PutBucketArchiveDirectRead,
        get=GetBucketArchiveDirectRead,
        answer=GetBucketArchiveDirectReadResult,
    ),
    Operation(
        "InitiateBucketWorm",
        "POST",
        Scope.BUCKET,
        InitiateBucketWorm,
        InitiateBucketWormResult,
        marks=_WORM,
        body="xml",
        commits=True,
        repeatable=False,
    ),
    Operation(
        "AbortBucketWorm",
        "DELETE",
        Scope.BUCKET,
        AbortBucketWorm,
        Result,
        marks=_WORM,
        status=204,
        commits=True,
    ),
    Operation(
        "CompleteBucketWorm",
        "POST",
        Scope.BUCKET,
        CompleteBucketWorm,
        Result,
        marks=(("wormId", None),),
        commits=True,
        repeatable=False,
    ),
    Operation(
        "ExtendBucketWorm",
        "POST",
        Scope.BUCKET,
        ExtendBucketWorm,
        Result,
        marks=(("wormId", None), ("wormExtend", None)),
        body="xml",
        commits=True,
    ),
    Operation(
        "GetBucketWorm",
        "GET",
        Scope.BUCKET,
        GetBucketWorm,
        Worm,
        marks=_WORM,
        answer="xml",
        answer_root="WormConfiguration",
    ),
)
