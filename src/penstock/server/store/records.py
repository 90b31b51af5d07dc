"""What the store keeps and answers: frozen values, with no path, row or connection inside."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

NULL_VERSION = "null"
"""The version id under which OSS names a version that has none of its own."""


class ObjectKind(StrEnum):
    """How an object came to be; the values are those of ``x-oss-object-type``, but for `MARKER`."""

    NORMAL = "Normal"
    MULTIPART = "Multipart"
    APPENDABLE = "Appendable"
    SYMLINK = "Symlink"
    MARKER = "marker"


class Attributes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What is kept beside the bytes of an object, and handed back as it came.

    Attributes:
        user_metadata: Names without ``x-oss-meta-``, and their values.
        acl: ``default`` (the bucket's), ``private``, ``public-read`` or ``public-read-write``.
        tags: Tag keys and values.
        symlink_target: Key that a symlink points to; None for everything else.
        md5: MD5 of all bytes in upper-case hex where the store knows it and the ETag is another; set by it.
        extra: Whatever else the layer above keeps with an object, by name.
    """

    content_type: str | None = None
    cache_control: str | None = None
    content_disposition: str | None = None
    content_encoding: str | None = None
    content_language: str | None = None
    expires: str | None = None
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "Standard"
    acl: str = "default"
    tags: Mapping[str, str] = field(default_factory=dict)
    symlink_target: str | None = None
    md5: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)


class ObjectRecord(Struct, frozen=True, kw_only=True):
    """
    One version of one object.

    Attributes:
        version_id: Its version id, or None in a bucket that never had versioning. `NULL_VERSION` is that
            of whatever was written while versioning was not on.
        latest: True if this is what a request without a version id gets.
        kind: A `MARKER` is in listings of versions only; it has no bytes and no ETag.
        etag: As OSS forms it, upper-case and without quotes: hex MD5, or ``MD5-N`` after N parts.
        crc64: CRC-64/XZ of all bytes.
        modified_ms: Commit time in milliseconds since 1970; never goes back for a key.
    """

    bucket: str
    key: str
    version_id: str | None
    latest: bool
    kind: ObjectKind
    size_bytes: int
    etag: str
    crc64: int
    modified_ms: int
    attributes: Attributes


class CopySource(Struct, frozen=True):
    """The object that a copy is made from; without a version id, its latest version."""

    bucket: str
    key: str
    version_id: str | None = None


class DeletedObject(Struct, frozen=True, kw_only=True):
    """
    What deleting a key did.

    Attributes:
        existed: False if there was no object to be seen, or no such version; OSS calls that a success too.
        version_id: The version that was removed or the marker that was made, or None.
        marker: True if a delete marker was made or removed.
    """

    key: str
    existed: bool
    version_id: str | None = None
    marker: bool = False


class PartRecord(Struct, frozen=True, kw_only=True):
    """One stored part of an upload; `etag` is the upper-case hex MD5 of its bytes."""

    number: int
    size_bytes: int
    etag: str
    crc64: int
    modified_ms: int


class UploadRecord(Struct, frozen=True, kw_only=True):
    """A multipart upload that is still open; `attributes` are those its object will have."""

    bucket: str
    key: str
    upload_id: str
    initiated_ms: int
    sequential: bool
    attributes: Attributes


class BucketRecord(Struct, frozen=True, kw_only=True):
    """
    A bucket.

    Attributes:
        acl: ``private``, ``public-read`` or ``public-read-write``.
        redundancy: ``LRS`` or ``ZRS``.
        versioning: Empty if never switched on, else ``Enabled`` or ``Suspended``.
        tags: Tag keys and values.
        revision: Counts the changes to its configurations; set by the store.
    """

    name: str
    owner: str
    region: str
    acl: str
    storage_class: str
    redundancy: str
    created_ms: int
    versioning: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    revision: int = 0


class BucketStat(Struct, frozen=True, kw_only=True):
    """
    How much is in a bucket.

    Attributes:
        class_counts: Number of objects by storage class, every version counted.
        class_bytes: Their bytes by storage class.
        upload_count: Open multipart uploads.
        part_count: Parts that those uploads hold.
        part_bytes: Bytes of those parts.
        marker_count: Delete markers.
    """

    class_counts: Mapping[str, int]
    class_bytes: Mapping[str, int]
    upload_count: int
    part_count: int
    part_bytes: int
    marker_count: int = 0

    @property
    def object_count(self) -> int:
        return sum(self.class_counts.values())

    @property
    def object_bytes(self) -> int:
        return sum(self.class_bytes.values())


class ObjectPage(Struct, frozen=True, kw_only=True):
    """
    One page of keys in the order of their UTF-8 bytes.

    Attributes:
        next_marker: The last key or common prefix of this page if there is more, else None.
    """

    objects: tuple[ObjectRecord, ...]
    common_prefixes: tuple[str, ...]
    next_marker: str | None


class VersionPage(Struct, frozen=True, kw_only=True):
    """
    One page of versions and delete markers: by key, and the latest of a key first.

    Attributes:
        next_key_marker: The last key or common prefix of this page if there is more, else None.
        next_version_id_marker: The version of that key; empty after a common prefix or on the last page.
    """

    versions: tuple[ObjectRecord, ...]
    common_prefixes: tuple[str, ...]
    next_key_marker: str | None
    next_version_id_marker: str


class UploadPage(Struct, frozen=True, kw_only=True):
    """
    One page of open uploads, by key and then by upload id.

    Attributes:
        next_key_marker: The last key or common prefix of this page if there is more, else None.
        next_upload_id_marker: The upload id of that key; empty after a common prefix or on the last page.
    """

    uploads: tuple[UploadRecord, ...]
    common_prefixes: tuple[str, ...]
    next_key_marker: str | None
    next_upload_id_marker: str


class PartPage(Struct, frozen=True, kw_only=True):
    """
    One page of the parts of an upload, ascending.

    Attributes:
        next_number: The last part number of this page if there is more, else None.
    """

    upload: UploadRecord
    parts: tuple[PartRecord, ...]
    next_number: int | None


class BucketPage(Struct, frozen=True, kw_only=True):
    """
    One page of buckets by name.

    Attributes:
        next_marker: The last name of this page if there is more, else None.
    """

    buckets: tuple[BucketRecord, ...]
    next_marker: str | None


class NeedyRow(Struct, frozen=True, kw_only=True):
    """
    An object or an open upload whose bytes are not all there.

    Attributes:
        version_id: As in `ObjectRecord`.
        upload_id: The upload, or None for an object.
    """

    bucket: str
    key: str
    version_id: str | None = None
    upload_id: str | None = None


class CheckReport(Struct, frozen=True, kw_only=True):
    """
    What a check of the whole store found.

    Attributes:
        blob_count: Blobs that were looked at.
        missing: Blobs that rows need and that have no file.
        wrong_size: Blobs whose file is not as long as its row says.
        damaged: Blobs that cannot be read or no longer have their CRC-64 (only after a scrub).
        orphans: Files that no row knows; `LocalStore.repair` removes them.
        faults: What is wrong in the metadata itself, in words.
        needy: What cannot be read in full because of a blob that is missing, wrong or damaged.
        garbage_count: Files that are not needed any more and wait for their removal.
    """

    blob_count: int
    missing: tuple[str, ...]
    wrong_size: tuple[str, ...]
    damaged: tuple[str, ...]
    orphans: tuple[str, ...]
    faults: tuple[str, ...]
    needy: tuple[NeedyRow, ...] = ()
    garbage_count: int = 0

    @property
    def sound(self) -> bool:
        """True if every row has its bytes; orphans and garbage are untidy, not unsound."""
        return not (self.missing or self.wrong_size or self.damaged or self.faults)


class RepairReport(Struct, frozen=True, kw_only=True):
    """
    What a repair removed; nothing of it was needed by any row.

    Attributes:
        orphans: Files that no row knew.
        garbage_count: Files that nothing needed any more.
    """

    orphans: tuple[str, ...]
    garbage_count: int


class BackupReport(Struct, frozen=True, kw_only=True):
    """
    What a backup holds.

    Attributes:
        blob_count: Its blob files.
        blob_bytes: Their bytes.
        linked_count: How many of them share their bytes with the store, as hard links; the others are copies.
        metadata_bytes: Size of its metadata.
    """

    blob_count: int
    blob_bytes: int
    linked_count: int
    metadata_bytes: int
