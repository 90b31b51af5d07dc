"""The store on a local disk: one directory, any number of threads, and processes if they belong together."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import apsw
import msgspec

from penstock.errors import StoreError
from penstock.protocol.limits import MAX_SINGLE_PUT_BYTES
from penstock.server.store import accounts, buckets, content, listing, objects, uploads, versions
from penstock.server.store.blobs import LocalStagedBlob, disk_error, is_full, make_directory
from penstock.server.store.content import LocalOpenObject, OpenBytes, md5_of
from penstock.server.store.engine import METADATA_NAME
from penstock.server.store.interface import StagedBlob
from penstock.server.store.lock import DirectoryLock
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
from penstock.server.store.schema import Durability
from penstock.server.store.upkeep import Upkeep
from penstock.server.store.writer import last_garbage_id

_PLANS_OUTSIDE: Final = 3


def _not_opened(path: Path, error: OSError) -> StoreError:
    if is_full(error):
        return disk_error("opening the data directory", path, error)
    return StoreError(
        f"opening the data directory {path}: {error.strerror or error}",
        advice="Choose a directory that can be written to.",
    )


class LocalStore(Upkeep):
    """
    A `penstock.server.store.interface.Store` in one directory of a local disk.

    Made by `open` or `join`. Leaving it as a context manager closes it.
    """

    @staticmethod
    def open(
        directory: str | os.PathLike[str],
        durability: Durability = "strict",
        *,
        clock: Callable[[], float] = time.time,
        lock: DirectoryLock | None = None,
    ) -> LocalStore:
        """
        Opens the store in a directory, which is made if need be, and takes its lock.

        It clears up after whoever had it before, and brings older metadata up to date.

        Args:
            directory: On a local file system.
            durability: What an answer promises. ``strict``: it survives a power failure. ``relaxed``: it
                survives the end of the process; a power failure may undo the last answers, and damages
                nothing. ``none``: the disk is never flushed; for tests.
            clock: Seconds since 1970, for the times that objects get.
            lock: The lock of the directory, if the caller has it already and will keep it.

        Raises:
            StoreError: In use by another process, not a data directory, or the disk failed.
        """
        path = Path(directory)
        try:
            make_directory(path, sync=durability != "none")
            return LocalStore(path, durability, clock, shared=False, lock=lock)
        except OSError as error:
            raise _not_opened(path, error) from error

    @staticmethod
    def join(
        directory: str | os.PathLike[str],
        durability: Durability = "strict",
        *,
        clock: Callable[[], float] = time.time,
    ) -> LocalStore:
        """
        Opens a store that others use, or may use, at the same time.

        So several processes serve one store, while one that does nothing else holds its `DirectoryLock`;
        and so a store is checked or backed up while it is served. Arguments are those of `open`.

        Raises:
            StoreError: There is no store, or one of an older version; or the disk failed.
        """
        path = Path(directory)
        if not (path / METADATA_NAME).exists():
            raise StoreError(f"{path} holds no store", advice="Name the directory that is served.")
        try:
            return LocalStore(path, durability, clock, shared=True)
        except OSError as error:
            raise _not_opened(path, error) from error

    # -- buckets

    def create_bucket(self, bucket: BucketRecord) -> BucketRecord:
        now_ms = self._now_ms()
        return self._add(f"creating {bucket.name}", lambda db: buckets.create(db, bucket, now_ms))

    def head_bucket(self, bucket: str) -> BucketRecord:
        return self._read(f"reading {bucket}", lambda db: buckets.head(db, bucket))

    def update_bucket(self, bucket: str, change: Callable[[BucketRecord], BucketRecord]) -> BucketRecord:
        return self._write(f"changing {bucket}", lambda db: buckets.update(db, bucket, change))

    def delete_bucket(self, bucket: str) -> None:
        self._write(f"deleting {bucket}", lambda db: buckets.delete(db, bucket))

    def list_buckets(
        self, *, prefix: str = "", marker: str = "", limit: int = 100, owner: str | None = None
    ) -> BucketPage:
        return self._read("listing buckets", lambda db: buckets.page(db, prefix, marker, limit, owner))

    def stat_bucket(self, bucket: str) -> BucketStat:
        return self._read(f"counting {bucket}", lambda db: buckets.stat(db, bucket))

    def get_config(self, bucket: str, name: str) -> bytes:
        return self._read(f"reading {name} of {bucket}", lambda db: buckets.get_config(db, bucket, name))

    def put_config(self, bucket: str, name: str, value: bytes) -> None:
        self._add(f"writing {name} of {bucket}", lambda db: buckets.put_config(db, bucket, name, value))

    def delete_config(self, bucket: str, name: str) -> bool:
        return self._write(f"deleting {name} of {bucket}", lambda db: buckets.delete_config(db, bucket, name))

    # -- accounts

    def get_account_config(self, account: str, name: str) -> bytes:
        return self._read(f"reading {name} of {account}", lambda db: accounts.get_config(db, account, name))

    def put_account_config(self, account: str, name: str, value: bytes) -> None:
        self._add(f"writing {name} of {account}", lambda db: accounts.put_config(db, account, name, value))

    def delete_account_config(self, account: str, name: str) -> bool:
        return self._write(
            f"deleting {name} of {account}", lambda db: accounts.delete_config(db, account, name)
        )

    # -- objects

    def stage(self, expected_bytes: int | None = None) -> LocalStagedBlob:
        return LocalStagedBlob(self._files, expected_bytes)

    def put_object(
        self,
        bucket: str,
        key: str,
        staged: StagedBlob,
        attributes: Attributes,
        *,
        forbid_overwrite: bool = False,
    ) -> ObjectRecord:
        blob, now_ms = self._seal(staged), self._now_ms()
        return self._use_up(
            blob,
            f"storing {bucket}/{key}",
            lambda db: objects.put(
                db, bucket, key, blob, attributes, now_ms=now_ms, forbid_overwrite=forbid_overwrite
            ),
        )

    def append_object(
        self, bucket: str, key: str, position: int, staged: StagedBlob, attributes: Attributes
    ) -> ObjectRecord:
        blob, now_ms = self._seal(staged), self._now_ms()
        return self._use_up(
            blob,
            f"appending to {bucket}/{key}",
            lambda db: objects.append(
                db, bucket, key, position, staged=blob, attributes=attributes, now_ms=now_ms
            ),
        )

    def put_symlink(
        self, bucket: str, key: str, target: str, attributes: Attributes, *, forbid_overwrite: bool = False
    ) -> ObjectRecord:
        now_ms = self._now_ms()
        return self._add(
            f"linking {bucket}/{key}",
            lambda db: objects.put_symlink(
                db,
                bucket,
                key,
                target,
                attributes=attributes,
                now_ms=now_ms,
                forbid_overwrite=forbid_overwrite,
            ),
        )

    def copy_object(
        self,
        source: CopySource,
        bucket: str,
        key: str,
        describe: Callable[[ObjectRecord], Attributes],
        *,
        forbid_overwrite: bool = False,
    ) -> ObjectRecord:
        now_ms = self._now_ms()
        return self._add(
            f"copying {source.bucket}/{source.key} to {bucket}/{key}",
            lambda db: objects.copy(
                db, source, bucket, key, describe, now_ms=now_ms, forbid_overwrite=forbid_overwrite
            ),
        )

    def head_object(self, bucket: str, key: str, version_id: str | None = None) -> ObjectRecord:
        return self._read(
            f"reading {bucket}/{key}",
            lambda db: versions.find(db, bucket, key, version_id).record,
        )

    def get_object(self, bucket: str, key: str, version_id: str | None = None) -> LocalOpenObject:
        lease = self._horizon.lease()
        try:
            located = self._read(
                f"reading {bucket}/{key}", lambda db: self._locate(db, bucket, key, version_id)
            )
        except BaseException:
            self._horizon.release(lease)
            raise
        return LocalOpenObject(located, self._files, self._horizon, lease)

    def _locate(self, db: apsw.Connection, bucket: str, key: str, version_id: str | None) -> content.Located:
        located = content.locate(db, self._manifests, bucket, key, version_id)
        if self._shared:
            # A process that only reads would else keep what the others made garbage since it began.
            self._horizon.advance(last_garbage_id(db))
        return located

    def update_object(
        self,
        bucket: str,
        key: str,
        change: Callable[[Attributes], Attributes],
        version_id: str | None = None,
    ) -> ObjectRecord:
        return self._write(
            f"changing {bucket}/{key}", lambda db: objects.update(db, bucket, key, change, version_id)
        )

    def delete_object(self, bucket: str, key: str, version_id: str | None = None) -> DeletedObject:
        return self.delete_objects(bucket, [(key, version_id)])[0]

    def delete_objects(
        self, bucket: str, targets: Sequence[tuple[str, str | None]]
    ) -> tuple[DeletedObject, ...]:
        now_ms = self._now_ms()
        return self._write(
            f"deleting from {bucket}", lambda db: versions.delete(db, bucket, targets, now_ms=now_ms)
        )

    def list_objects(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        start_after: str = "",
        limit: int = 100,
    ) -> ObjectPage:
        return self._read(
            f"listing {bucket}",
            lambda db: listing.list_objects(
                db, bucket, prefix=prefix, delimiter=delimiter, start_after=start_after, limit=limit
            ),
        )

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
        return self._read(
            f"listing the versions of {bucket}",
            lambda db: listing.list_versions(
                db,
                bucket,
                prefix=prefix,
                delimiter=delimiter,
                key_marker=key_marker,
                version_id_marker=version_id_marker,
                limit=limit,
            ),
        )

    # -- multipart uploads

    def create_upload(
        self, bucket: str, key: str, attributes: Attributes, *, sequential: bool = False
    ) -> UploadRecord:
        now_ms = self._now_ms()
        return self._add(
            f"opening an upload of {bucket}/{key}",
            lambda db: uploads.create(db, bucket, key, attributes, now_ms=now_ms, sequential=sequential),
        )

    def head_upload(self, bucket: str, key: str, upload_id: str) -> UploadRecord:
        return self._read(f"reading upload {upload_id}", lambda db: uploads.head(db, bucket, key, upload_id))

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, staged: StagedBlob) -> PartRecord:
        blob, now_ms = self._seal(staged), self._now_ms()
        return self._use_up(
            blob,
            f"storing part {number} of upload {upload_id}",
            lambda db: uploads.put_part(
                db, bucket, key, upload_id, number=number, staged=blob, now_ms=now_ms
            ),
        )

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
        uploads.check_number(upload_id, number)
        self.head_upload(bucket, key, upload_id)
        what = f"copying part {number} of upload {upload_id}"
        while True:
            # Again only if the source was replaced meanwhile: somebody else's write succeeded then.
            with self.get_object(source.bucket, source.key, source.version_id) as found:
                if check_source is not None:
                    check_source(found.record)
                part, pieces = content.describe_range(found, number, offset, length, now_ms=self._now_ms())
                segset = found.located.segset
                made = self._add(
                    what,
                    lambda db, part=part, pieces=pieces, segset=segset: uploads.put_pieces(  # type: ignore[misc]
                        db, bucket, key, upload_id, part=part, pieces=pieces, source_segset=segset
                    ),
                )
            if made is not None:
                return made

    def list_parts(
        self, bucket: str, key: str, upload_id: str, *, after_number: int = 0, limit: int = 1000
    ) -> PartPage:
        return self._read(
            f"listing the parts of upload {upload_id}",
            lambda db: uploads.list_parts(db, bucket, key, upload_id, after_number=after_number, limit=limit),
        )

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
        return self._read(
            f"listing the uploads of {bucket}",
            lambda db: listing.list_uploads(
                db,
                bucket,
                prefix=prefix,
                delimiter=delimiter,
                key_marker=key_marker,
                upload_id_marker=upload_id_marker,
                limit=limit,
            ),
        )

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
        now_ms = self._now_ms()

        def plan(db: apsw.Connection) -> tuple[uploads.StoredUpload, uploads.Completion]:
            stored = uploads.read(db, bucket, key, upload_id)
            return stored, uploads.plan_completion(upload_id, stored, parts)

        def finish(
            db: apsw.Connection, stored: uploads.StoredUpload, completion: uploads.Completion
        ) -> ObjectRecord | None:
            return uploads.complete(
                db,
                bucket,
                key,
                upload_id,
                stored=stored,
                completion=completion,
                now_ms=now_ms,
                acl=acl,
                forbid_overwrite=forbid_overwrite,
            )

        what = f"completing upload {upload_id}"
        # Thousands of parts take a while to judge, so other writers should not have to wait for it.
        for _ in range(_PLANS_OUTSIDE):
            stored, completion = self._read(what, plan)
            planned = stored, self._with_md5(what, stored, completion)
            made = self._write(what, lambda db, planned=planned: finish(db, *planned))  # type: ignore[misc]
            if made is not None:
                return made
        made = self._write(what, lambda db: finish(db, *plan(db)))
        assert made is not None
        return made

    def _with_md5(
        self, what: str, stored: uploads.StoredUpload, completion: uploads.Completion
    ) -> uploads.Completion:
        """The same with the MD5 that the object of a sequential upload gets."""
        if not stored.sequential or completion.body.size_bytes > MAX_SINGLE_PUT_BYTES:
            return completion
        lease = self._horizon.lease()
        try:
            manifest = self._read(what, lambda db: uploads.pieces(db, stored.segset, completion.parts))
        except BaseException:
            self._horizon.release(lease)
            raise
        with OpenBytes(manifest, self._files, self._horizon, lease) as found:
            return msgspec.structs.replace(completion, md5=md5_of(found))

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self._write(f"aborting upload {upload_id}", lambda db: uploads.abort(db, bucket, key, upload_id))

    def drop_parts(self, bucket: str, key: str, upload_id: str) -> None:
        self._write(
            f"dropping the parts of {upload_id}", lambda db: uploads.drop_parts(db, bucket, key, upload_id)
        )
