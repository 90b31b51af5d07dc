"""
What a store must do: the interface that handlers are written against and that one test suite holds.

Every method blocks, may be called from any thread, and is atomic: it happened, durably as far as the
store promises, or it changed nothing. Keys, prefixes and markers are text that UTF-8 can encode; order
is the order of their UTF-8 bytes. All methods that name a bucket raise `BucketMissing` without saying so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from types import TracebackType
from typing import Protocol, Self

from penstock.server.store.records import (
    Attributes,
    BucketPage,
    BucketRecord,
    BucketStat,
    CopySource,
    DeletedObject,
    ObjectPage,
    ObjectRecord,
    PartPage,
    PartRecord,
    UploadPage,
    UploadRecord,
    VersionPage,
)


@dataclass(frozen=True, slots=True)
class Segment:
    """
    A run of an object's bytes: either ``length`` bytes of `file` from ``offset``, or of `data`.

    Attributes:
        file: An unbuffered file to ``sendfile`` or ``pread`` from, or None if the bytes are in `data`.
            Its position is shared; it is valid until the next segment is asked for, or the object closed.
    """

    file: FileIO | None
    data: bytes
    offset: int
    length: int


class StagedBlob(Protocol):
    """
    Bytes on their way into a store. One thread at a time.

    Leaving it as a context manager discards it, unless it has become an object or a part by then.
    """

    @property
    def size_bytes(self) -> int: ...
    @property
    def md5(self) -> bytes:
        """The 16 bytes of MD5 over what was written so far."""

    @property
    def etag(self) -> str:
        """`md5` in upper-case hex."""

    @property
    def crc64(self) -> int:
        """CRC-64/XZ over what was written so far."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes over a copy of the bytes; the buffer may be reused at once."""

    def verify(self, *, md5: bytes | None = None, crc64: int | None = None) -> None:
        """Raises `DigestMismatch` unless the bytes have the digests that are given."""

    def seal(self) -> None:
        """
        Makes the bytes durable; nothing can be written after it.

        Optional: handing the blob to the store seals it. Raises `SizeMismatch` if other than the
        expected number of bytes came.
        """

    def discard(self) -> None:
        """Removes the bytes, unless they have become an object or a part; may be called again."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class OpenObject(Protocol):
    """An object and its bytes as they were at one instant, whatever is written or deleted meanwhile."""

    @property
    def record(self) -> ObjectRecord: ...
    def segments(self, offset: int = 0, length: int | None = None) -> Iterator[Segment]:
        """The runs that make up ``length`` bytes from ``offset`` (None: all), cut to what there is."""

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        """The same bytes in one piece."""

    def close(self) -> None:
        """Lets go of the files; may be called again."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Store(Protocol):
    """Buckets, objects, uploads and parts."""

    def close(self) -> None:
        """Finishes what was begun and lets go of the data directory; may be called again."""

    # -- buckets

    def create_bucket(self, bucket: BucketRecord) -> BucketRecord:
        """Makes a bucket; its ``created_ms`` is set by the store. Raises `BucketExists`."""

    def head_bucket(self, bucket: str) -> BucketRecord: ...

    def update_bucket(self, bucket: str, change: Callable[[BucketRecord], BucketRecord]) -> BucketRecord:
        """
        Replaces what is known of a bucket by ``change`` of it, atomically; its name and time stay.

        So versioning is switched on and suspended. Once on, it is never off again: `ValueError`.
        """

    def delete_bucket(self, bucket: str) -> None:
        """Removes an empty bucket. Raises `BucketNotEmpty` for any object, version or open upload."""

    def list_buckets(
        self, *, prefix: str = "", marker: str = "", limit: int = 100, owner: str | None = None
    ) -> BucketPage:
        """Buckets by name, after ``marker``; of one owner only, if given."""

    def stat_bucket(self, bucket: str) -> BucketStat: ...

    def get_config(self, bucket: str, name: str) -> bytes:
        """A configuration as it was put. Raises `ConfigMissing`."""

    def put_config(self, bucket: str, name: str, value: bytes) -> None: ...

    def delete_config(self, bucket: str, name: str) -> bool:
        """True if there was one."""

    # -- accounts

    def get_account_config(self, account: str, name: str) -> bytes:
        """What an account decided for all of its buckets. Raises `AccountConfigMissing`."""

    def put_account_config(self, account: str, name: str, value: bytes) -> None:
        """Keeps it; the revision of each of its buckets goes up."""

    def delete_account_config(self, account: str, name: str) -> bool:
        """True if there was one."""

    # -- objects

    def stage(self, expected_bytes: int | None = None) -> StagedBlob:
        """Room for bytes on their way in; ``expected_bytes`` is held against what came."""

    def put_object(
        self,
        bucket: str,
        key: str,
        staged: StagedBlob,
        attributes: Attributes,
        *,
        forbid_overwrite: bool = False,
    ) -> ObjectRecord:
        """
        Makes the staged bytes the object under this key; they are used up, whatever happens.

        In a bucket that has versioning it is the latest version, and ``forbid_overwrite`` is not looked
        at. Raises `AlreadyExists` if overwriting is forbidden, `SizeMismatch`.
        """

    def append_object(
        self, bucket: str, key: str, position: int, staged: StagedBlob, attributes: Attributes
    ) -> ObjectRecord:
        """
        Adds the staged bytes to the end of an appendable object, or makes one at position 0.

        ``size_bytes`` of the answer is the next position. The attributes count for the first append
        only. The latest version grows; no version is made of it. Raises `PositionMismatch`,
        `NotAppendable`, `SizeMismatch`.
        """

    def put_symlink(
        self, bucket: str, key: str, target: str, attributes: Attributes, *, forbid_overwrite: bool = False
    ) -> ObjectRecord:
        """Makes the key a symlink to ``target``, which need not exist. Raises `AlreadyExists`."""

    def copy_object(
        self,
        source: CopySource,
        bucket: str,
        key: str,
        describe: Callable[[ObjectRecord], Attributes],
        *,
        forbid_overwrite: bool = False,
    ) -> ObjectRecord:
        """
        Makes a second object of the same bytes, without copying any.

        ``describe`` is given the source and answers the attributes of the copy; it may raise to refuse
        (a condition on the source), and must be quick, as every writer waits for it. Raises
        `KeyMissing`, `VersionMissing` or `VersionIsMarker` of the source, `AlreadyExists`.
        """

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> ObjectRecord:
        """
        One version, or without an id the latest. A symlink is answered itself, not its target.

        Raises `KeyMissing`, which names the delete marker if there is one, `VersionMissing`, and
        `VersionIsMarker` for the version id of a marker.
        """

    def get_object(self, bucket: str, key: str, version_id: str | None = None) -> OpenObject:
        """The record and the bytes, to be closed. Raises as `head_object`."""

    def update_object(
        self,
        bucket: str,
        key: str,
        change: Callable[[Attributes], Attributes],
        version_id: str | None = None,
    ) -> ObjectRecord:
        """
        Replaces the attributes (ACL, tags ...) by ``change`` of them, atomically; bytes and time stay.

        Raises as `head_object`.
        """

    def delete_object(self, bucket: str, key: str, version_id: str | None = None) -> DeletedObject:
        """
        Removes an object, or one version of it; that there was none is no fault.

        In a bucket that has versioning, and without a version id, nothing is removed: a delete marker
        becomes the latest version. Removing that marker by its id brings back what was before.
        """

    def delete_objects(
        self, bucket: str, targets: Sequence[tuple[str, str | None]]
    ) -> tuple[DeletedObject, ...]:
        """Removes many, given as (key, version id or None), in one transaction."""

    def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start_after: str = "",
        limit: int = 100,
    ) -> ObjectPage:
        """
        One page of objects and common prefixes, together at most ``limit``.

        A key or common prefix is on the page if it sorts after ``start_after``.
        """

    def list_object_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        key_marker: str = "",
        version_id_marker: str = "",
        limit: int = 100,
    ) -> VersionPage:
        """
        One page of versions, markers and common prefixes: by key, and the latest of a key first.

        It begins after all versions of ``key_marker``, or, if ``version_id_marker`` is given too, after
        that version of it; if that one is gone, with the latest that is left of that key.
        """

    # -- what lifecycle rules ask for

    def expire_objects(
        self, bucket: str, before_ms: int, *, prefix: str = "", tags: Mapping[str, str] | None = None
    ) -> int:
        """
        Deletes the objects last written before a moment, as `delete_object` does; returns how many.

        Of those under ``prefix`` and with all of ``tags``. So a bucket that has versioning gets markers.
        """

    def expire_versions(
        self, bucket: str, before_ms: int, *, prefix: str = "", tags: Mapping[str, str] | None = None
    ) -> int:
        """Removes versions and markers that were superseded before a moment; returns how many."""

    def remove_lone_markers(self, bucket: str, before_ms: int, *, prefix: str = "") -> int:
        """Removes delete markers made before a moment that hide nothing any more; returns how many."""

    def abort_uploads(self, bucket: str, before_ms: int, *, prefix: str = "") -> int:
        """Aborts the uploads that were opened before a moment; returns how many."""

    # -- multipart uploads

    def create_upload(
        self, bucket: str, key: str, attributes: Attributes, *, sequential: bool = False
    ) -> UploadRecord:
        """Opens an upload with an id of 32 upper-case hex characters; the object, if any, is untouched."""

    def head_upload(self, bucket: str, key: str, upload_id: str) -> UploadRecord:
        """Raises `UploadMissing`."""

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, staged: StagedBlob) -> PartRecord:
        """
        Makes the staged bytes the part of this number, in place of the one before.

        Raises `UploadMissing`, `PartNumberInvalid`, `SizeMismatch`; for sequential uploads
        `PartNotSequential` and `PartAlreadyExists`.
        """

    def copy_part(
        self,
        source: CopySource,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        *,
        offset: int = 0,
        length: int | None = None,
        check_source: Callable[[ObjectRecord], None] | None = None,
    ) -> PartRecord:
        """
        Makes a range of an object a part, sharing its bytes; they are read once if their MD5 is not known.

        ``check_source`` may raise to refuse the source. Raises as `put_part`, and `KeyMissing`,
        `VersionMissing`, `VersionIsMarker` or `RangeInvalid` of the source.
        """

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after_number: int = 0, limit: int = 1000
    ) -> PartPage:
        """Raises `UploadMissing`."""

    def list_uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        key_marker: str = "",
        upload_id_marker: str = "",
        limit: int = 1000,
    ) -> UploadPage:
        """One page of open uploads; ``upload_id_marker`` counts only together with ``key_marker``."""

    def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str]] | None,
        *,
        acl: str | None = None,
        forbid_overwrite: bool = False,
    ) -> ObjectRecord:
        """
        Makes an object of the listed parts, (number, ETag without quotes), or of all if None.

        Its access list is ``acl`` if that is given, else that of the upload. No byte is copied; those of
        a sequential upload are read once for the MD5 of the whole, unless they are more than 5 GiB. Parts
        that are not listed are removed. Raises `UploadMissing`, `NoParts`, `PartOrderInvalid`,
        `PartInvalid`, `PartTooSmall`, `AlreadyExists`; then the upload stays open.
        """

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Removes the upload and its parts. Raises `UploadMissing`, also for one that was completed."""

    def drop_parts(self, bucket: str, key: str, upload_id: str) -> None:
        """Removes the parts that are there; the upload stays open. Raises `UploadMissing`."""
