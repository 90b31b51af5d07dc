"""
A copy of the whole store as it was at one instant, made while it is in use.

The metadata is copied by SQLite itself, in one snapshot; then every blob which that copy needs, and which
stays meanwhile because of a lease. A blob file is never written again, so a hard link is as good as a copy
where both are on one file system. The result appears under its name only when it is complete; a process
that is killed on the way leaves a hidden directory, whose name ends in ``.unfinished``.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import apsw

from penstock.errors import StoreError
from penstock.server.store.blobs import (
    BlobFiles,
    disk_error,
    flush_file,
    make_directory,
    path_below,
    sync_directory,
    sync_file,
)
from penstock.server.store.content import Horizon
from penstock.server.store.records import BackupReport
from penstock.server.store.schema import keep_private
from penstock.server.store.writer import ReaderPool, disk_trouble

_NO_LINKS: Final = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES}
"""What a file system answers that cannot make this hard link; a copy may still be possible."""


def back_up(
    readers: ReaderPool,
    files: BlobFiles,
    horizon: Horizon,
    directory: Path,
    target: Path,
    *,
    metadata_name: str,
    link: bool,
) -> BackupReport:
    """Makes ``target``, which must not exist, a data directory that holds what ``directory`` holds now."""
    if target.exists():
        raise StoreError(f"backing up to {target}: it exists already", advice="Name a directory to be made.")
    if target.resolve().is_relative_to(directory.resolve()):
        raise StoreError(
            f"backing up to {target}: it would lie within the store {directory}",
            advice="Name a directory elsewhere, best on another disk.",
        )
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.unfinished")
    lease = horizon.lease()
    try:
        make_directory(unfinished, sync=True)
        metadata = unfinished / metadata_name
        readers.run("copying the metadata", lambda source: _copy_metadata(source, metadata))
        report = _copy_blobs(files, unfinished / "blobs", metadata, link=link)
        for path, _, _ in os.walk(unfinished):
            sync_directory(Path(path))
        unfinished.rename(target)
        sync_directory(target.parent)
    except OSError as error:
        raise disk_error("backing up to", target, error) from error
    except apsw.Error as error:
        raise disk_trouble(f"backing up to {target}", error) from error
    finally:
        horizon.release(lease)
        shutil.rmtree(unfinished, ignore_errors=True)
    return report


def _copy_metadata(source: apsw.Connection, path: Path) -> None:
    keep_private(path, create=True)
    target = apsw.Connection(str(path))
    try:
        target.pragma("synchronous", "FULL")
        with target.backup("main", source, "main") as copying:
            copying.step()
        # What was garbage there is not here.
        target.execute("DELETE FROM gc")
    finally:
        target.close()


def _copy_blobs(source: BlobFiles, target: Path, metadata: Path, *, link: bool) -> BackupReport:
    target.mkdir(mode=0o700)
    count = total = linked = 0
    for blob_id, size_bytes in _blobs_in(metadata):
        count += 1
        total += size_bytes
        path = path_below(target, blob_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if link and _link(source.path(blob_id), path):
            linked += 1
            if not source.durable:
                flush_file(path)
        else:
            _copy(source.path(blob_id), path)
    return BackupReport(
        blob_count=count, blob_bytes=total, linked_count=linked, metadata_bytes=metadata.stat().st_size
    )


def _blobs_in(metadata: Path) -> Iterator[tuple[str, int]]:
    connection = apsw.Connection(str(metadata))
    try:
        rows: Any = connection.execute("SELECT id, size FROM blob ORDER BY id")
        yield from rows
    finally:
        connection.close()


def _link(source: Path, target: Path) -> bool:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno in _NO_LINKS:
            return False
        raise
    return True


def _copy(source: Path, target: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with source.open("rb") as reading, os.fdopen(os.open(target, flags, 0o600), "wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        sync_file(writing.fileno())
