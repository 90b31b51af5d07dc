"""
What a store refuses, and why. The layer above turns each into an OSS error code.

    StoreFault
      BucketMissing  BucketExists  BucketNotEmpty  ConfigMissing  AccountConfigMissing
      KeyMissing     VersionMissing  VersionIsMarker
      AlreadyExists                  an overwrite that was forbidden
      NotAppendable  PositionMismatch
      UploadMissing
      NoParts  PartInvalid  PartOrderInvalid  PartTooSmall  PartNumberInvalid
      PartNotSequential  PartAlreadyExists
      RangeInvalid                   a part copied from beyond the end of its source
      SizeMismatch  DigestMismatch   the bytes are not the ones that were announced

A fault changed nothing: an upload stays open, an object stays what it was. Trouble with the disk is
not a fault but `penstock.errors.StoreError`.
"""

from __future__ import annotations


class StoreFault(Exception):
    """The root of all refusals of a store."""


class BucketMissing(StoreFault):
    """There is no bucket of this name."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"there is no bucket {bucket!r}")
        self.bucket = bucket


class BucketExists(StoreFault):
    """
    A bucket of this name exists already.

    Attributes:
        owner: Who has it.
    """

    def __init__(self, bucket: str, owner: str) -> None:
        super().__init__(f"bucket {bucket!r} exists already and belongs to {owner!r}")
        self.bucket = bucket
        self.owner = owner


class BucketNotEmpty(StoreFault):
    """The bucket still holds objects, versions or open uploads."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"bucket {bucket!r} still holds objects, versions or open uploads")
        self.bucket = bucket


class ConfigMissing(StoreFault):
    """The bucket has no configuration of this name."""

    def __init__(self, bucket: str, name: str) -> None:
        super().__init__(f"bucket {bucket!r} has no {name} configuration")
        self.bucket = bucket
        self.name = name


class AccountConfigMissing(StoreFault):
    """The account has no configuration of this name."""

    def __init__(self, account: str, name: str) -> None:
        super().__init__(f"account {account!r} has no {name} configuration")
        self.account = account
        self.name = name


class KeyMissing(StoreFault):
    """
    There is no object under this key.

    Attributes:
        marker_version_id: Version id of the delete marker that stands there, or None if none does.
    """

    def __init__(self, bucket: str, key: str, marker_version_id: str | None = None) -> None:
        super().__init__(f"bucket {bucket!r} has no object {key!r}")
        self.bucket = bucket
        self.key = key
        self.marker_version_id = marker_version_id


class VersionMissing(StoreFault):
    """The object has no such version."""

    def __init__(self, bucket: str, key: str, version_id: str) -> None:
        super().__init__(f"object {key!r} in bucket {bucket!r} has no version {version_id!r}")
        self.bucket = bucket
        self.key = key
        self.version_id = version_id


class VersionIsMarker(StoreFault):
    """The version that was asked for is a delete marker, which can be deleted and nothing else."""

    def __init__(self, bucket: str, key: str, version_id: str) -> None:
        super().__init__(f"version {version_id!r} of object {key!r} in bucket {bucket!r} is a delete marker")
        self.bucket = bucket
        self.key = key
        self.version_id = version_id


class AlreadyExists(StoreFault):
    """The key is taken, and overwriting it was forbidden."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"object {key!r} in bucket {bucket!r} exists, and overwriting was forbidden")
        self.bucket = bucket
        self.key = key


class NotAppendable(StoreFault):
    """The object was not made by appending."""

    def __init__(self, bucket: str, key: str) -> None:
        super().__init__(f"object {key!r} in bucket {bucket!r} is not appendable")
        self.bucket = bucket
        self.key = key


class PositionMismatch(StoreFault):
    """
    An append did not name the end of the object.

    Attributes:
        actual: The position that would have been right, in bytes.
    """

    def __init__(self, bucket: str, key: str, position: int, actual: int) -> None:
        super().__init__(f"append to {key!r} in bucket {bucket!r} at {position}, but it ends at {actual}")
        self.bucket = bucket
        self.key = key
        self.position = position
        self.actual = actual


class UploadMissing(StoreFault):
    """The upload id never was, is of another key, or was completed or aborted."""

    def __init__(self, bucket: str, key: str, upload_id: str) -> None:
        super().__init__(f"bucket {bucket!r} has no open upload {upload_id!r} of {key!r}")
        self.bucket = bucket
        self.key = key
        self.upload_id = upload_id


class PartFault(StoreFault):
    """
    Something is wrong with one part.

    Attributes:
        upload_id: The upload it belongs to.
        number: The part number.
    """

    def __init__(self, message: str, upload_id: str, number: int) -> None:
        super().__init__(message)
        self.upload_id = upload_id
        self.number = number


class NoParts(StoreFault):
    """There is no part to make an object of."""

    def __init__(self, upload_id: str) -> None:
        super().__init__(f"upload {upload_id} has no part to make an object of")
        self.upload_id = upload_id


class PartInvalid(PartFault):
    """A listed part was never stored, or its ETag is another."""

    def __init__(self, upload_id: str, number: int, etag: str) -> None:
        super().__init__(f"upload {upload_id} has no part {number} with ETag {etag!r}", upload_id, number)
        self.etag = etag


class PartOrderInvalid(PartFault):
    """The listed part numbers do not ascend."""

    def __init__(self, upload_id: str, number: int) -> None:
        super().__init__(f"part {number} of upload {upload_id} is not listed in order", upload_id, number)


class PartTooSmall(PartFault):
    """A part other than the last has fewer bytes than OSS asks for."""

    def __init__(self, upload_id: str, number: int, size_bytes: int, least_bytes: int) -> None:
        super().__init__(
            f"part {number} of upload {upload_id} has {size_bytes} bytes, "
            f"and all but the last need {least_bytes}",
            upload_id,
            number,
        )
        self.size_bytes = size_bytes
        self.least_bytes = least_bytes


class PartNumberInvalid(PartFault):
    """The part number is not between 1 and 10,000."""

    def __init__(self, upload_id: str, number: int) -> None:
        super().__init__(f"part number {number} is not between 1 and 10000", upload_id, number)


class PartNotSequential(PartFault):
    """
    A part of a sequential upload came out of order.

    Attributes:
        expected: The number whose turn it is.
    """

    def __init__(self, upload_id: str, number: int, expected: int) -> None:
        super().__init__(
            f"part {number} of sequential upload {upload_id} came when it was the turn of {expected}",
            upload_id,
            number,
        )
        self.expected = expected


class PartAlreadyExists(PartFault):
    """A part of a sequential upload was sent again."""

    def __init__(self, upload_id: str, number: int) -> None:
        super().__init__(f"part {number} of sequential upload {upload_id} is stored", upload_id, number)


class RangeInvalid(StoreFault):
    """The range to copy is not inside the source object."""

    def __init__(self, key: str, offset: int, length: int, size_bytes: int) -> None:
        super().__init__(f"{length} bytes from {offset} are not all inside {key!r}, which has {size_bytes}")
        self.key = key
        self.offset = offset
        self.length = length
        self.size_bytes = size_bytes


class SizeMismatch(StoreFault):
    """More or fewer bytes were written than were announced."""

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"{expected} bytes were announced and {actual} came")
        self.expected = expected
        self.actual = actual


class DigestMismatch(StoreFault):
    """
    The bytes do not have the digest that was announced.

    Attributes:
        algorithm: ``md5`` or ``crc64``.
        expected: What was announced: 32 hex characters, or a decimal number.
        actual: What the bytes have, in the same form.
    """

    def __init__(self, algorithm: str, expected: str, actual: str) -> None:
        super().__init__(f"{algorithm} {expected} was announced, but the bytes have {actual}")
        self.algorithm = algorithm
        self.expected = expected
        self.actual = actual
