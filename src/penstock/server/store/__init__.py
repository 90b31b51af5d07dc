"""
Where a local OSS keeps its buckets: metadata in SQLite, bytes in opaque files.

It speaks no HTTP and knows no XML. Handlers are written against `Store`; `LocalStore` is the one for a
local disk. Every call blocks and may come from any thread.

    bytes coming in    stage -> StagedBlob: write verify seal discard, size_bytes md5 crc64
    objects            put_object append_object put_symlink copy_object update_object delete_object
                       delete_objects          -> records
                       head_object             -> ObjectRecord
                       get_object              -> OpenObject: record, segments, read, close
                       list_objects            -> ObjectPage
                       list_object_versions    -> VersionPage
    uploads            create_upload head_upload abort_upload list_uploads
                       put_part copy_part list_parts
                       complete_upload         -> ObjectRecord
    buckets            create_bucket head_bucket update_bucket delete_bucket list_buckets stat_bucket
                       get_config put_config delete_config: bytes by name
    lifecycle          expire_objects expire_versions remove_lone_markers abort_uploads -> how many
    upkeep             LocalStore.open, join, close, collect_garbage, sweep_orphans
                       LocalStore.check, repair, backup -> CheckReport, RepairReport, BackupReport

What it refuses is a `StoreFault` (see `penstock.server.store.faults`) and changed nothing; a disk that
fails is a `penstock.errors.StoreError`.

The data directory::

    lock                                says which process has it
    members/                            one file for each process that uses it at the moment
    turn.next, turn.now                 whose turn it is to write
    metadata.sqlite3 (-wal, -shm)       buckets, objects, uploads, small bodies
    staging/                            bytes still coming in; emptied at every start
    blobs/01922/f3/01922f3a...          everything else, one file for each put or part, by time

Every committed row points to durable bytes, and every byte that no row points to is garbage: bytes, flush
of the file, flush of its directory, commit. Removing goes the other way, by a list in the metadata.
"""

from penstock.server.store.interface import OpenObject, Segment, StagedBlob, Store
from penstock.server.store.local import LocalStore
from penstock.server.store.lock import DirectoryLock
from penstock.server.store.records import (
    Attributes,
    BackupReport,
    BucketPage,
    BucketRecord,
    BucketStat,
    CheckReport,
    CopySource,
    DeletedObject,
    NeedyRow,
    ObjectKind,
    ObjectPage,
    ObjectRecord,
    PartPage,
    PartRecord,
    RepairReport,
    UploadPage,
    UploadRecord,
    VersionPage,
)
from penstock.server.store.schema import Durability

__all__ = [
    "Attributes",
    "BackupReport",
    "BucketPage",
    "BucketRecord",
    "BucketStat",
    "CheckReport",
    "CopySource",
    "DeletedObject",
    "DirectoryLock",
    "Durability",
    "LocalStore",
    "NeedyRow",
    "ObjectKind",
    "ObjectPage",
    "ObjectRecord",
    "OpenObject",
    "PartPage",
    "PartRecord",
    "RepairReport",
    "Segment",
    "StagedBlob",
    "Store",
    "UploadPage",
    "UploadRecord",
    "VersionPage",
]
