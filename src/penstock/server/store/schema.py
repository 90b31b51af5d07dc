"""
The tables, and the connections to them.

A *segment set* is the list of pieces that make up the bytes of an object or of an open upload; copies share
one. Counting who still needs what is left to triggers, so that no statement can forget it: when the last
object or upload lets go of a segment set, its segments go; when the last segment lets go of a blob, the
blob's row becomes a row of ``gc``, which is the durable list of files to be removed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Final, Literal

import apsw

from penstock.errors import StoreError
from penstock.server.store.lock import open_for_owner

Durability = Literal["strict", "relaxed", "none"]

APPLICATION_ID: Final = 0x70656E73
VERSION: Final = 3
"""What this program writes. It brings older metadata up to it when it opens them, and refuses newer ones."""

_LEAST_BYTES: Final = 1 << 20
"""With less, SQLite may not even be able to begin."""

_SYNCHRONOUS: Final = {"strict": "FULL", "relaxed": "NORMAL", "none": "OFF"}

_TABLES = """
-- `revision` counts the changes to its configurations and to those of its owner.
CREATE TABLE bucket (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    region TEXT NOT NULL,
    acl TEXT NOT NULL,
    storage_class TEXT NOT NULL,
    redundancy TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    versioning TEXT NOT NULL,
    tags TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE bucket_config (
    bucket INTEGER NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (bucket, name)
) STRICT, WITHOUT ROWID;

-- The file of this name holds `size` bytes; `refs` segments use it.
CREATE TABLE blob (
    id TEXT NOT NULL PRIMARY KEY,
    size INTEGER NOT NULL,
    crc64 TEXT NOT NULL,
    refs INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Never reused, so that a set which is still there is still the same one.
CREATE TABLE segset (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    refs INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Part `number`, mostly of one piece; a part copied from a range may have several. What is known of the
-- part as a whole stands in piece 0. The bytes are a range of a blob, or right here.
CREATE TABLE segment (
    segset INTEGER NOT NULL,
    number INTEGER NOT NULL,
    piece INTEGER NOT NULL,
    blob TEXT,
    offset INTEGER NOT NULL,
    length INTEGER NOT NULL,
    part_size INTEGER,
    part_etag TEXT,
    part_crc64 TEXT,
    part_ms INTEGER,
    data BLOB,
    PRIMARY KEY (segset, number, piece)
) STRICT, WITHOUT ROWID;

-- A bucket without versioning has one row a key. Versions of a key ascend by `vseq`; the highest is the
-- latest, which may be a marker. The version that OSS calls "null", of which a key has one at most, has no
-- `version_id`. The bytes are a segment set, or `inline`.
CREATE TABLE object (
    id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    vseq INTEGER NOT NULL,
    version_id TEXT,
    latest INTEGER NOT NULL,
    kind TEXT NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    crc64 TEXT NOT NULL,
    modified_ms INTEGER NOT NULL,
    attributes TEXT NOT NULL,
    segset INTEGER,
    inline BLOB,
    superseded_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX object_latest ON object (bucket, key) WHERE latest = 1;
CREATE UNIQUE INDEX object_history ON object (bucket, key, vseq DESC) WHERE latest = 0;
CREATE INDEX object_version ON object (bucket, key, version_id) WHERE latest = 0;

-- `revision` counts the changes to its parts.
CREATE TABLE upload (
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    upload_id TEXT NOT NULL,
    segset INTEGER NOT NULL,
    initiated_ms INTEGER NOT NULL,
    sequential INTEGER NOT NULL,
    revision INTEGER NOT NULL DEFAULT 0,
    attributes TEXT NOT NULL,
    PRIMARY KEY (bucket, key, upload_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE gc (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    blob TEXT NOT NULL
) STRICT;
CREATE INDEX gc_blob ON gc (blob);
"""

_ACCOUNT_CONFIG = """
CREATE TABLE account_config (
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;
"""

_CONFIG_TRIGGERS = """
CREATE TRIGGER config_made AFTER INSERT ON bucket_config BEGIN
    UPDATE bucket SET revision = revision + 1 WHERE id = new.bucket;
END;
CREATE TRIGGER config_changed AFTER UPDATE ON bucket_config BEGIN
    UPDATE bucket SET revision = revision + 1 WHERE id = new.bucket;
END;
CREATE TRIGGER config_removed AFTER DELETE ON bucket_config BEGIN
    UPDATE bucket SET revision = revision + 1 WHERE id = old.bucket;
END;
CREATE TRIGGER account_config_made AFTER INSERT ON account_config BEGIN
    UPDATE bucket SET revision = revision + 1 WHERE owner = new.account;
END;
CREATE TRIGGER account_config_changed AFTER UPDATE ON account_config BEGIN
    UPDATE bucket SET revision = revision + 1 WHERE owner = new.account;
END;
CREATE TRIGGER account_config_removed AFTER DELETE ON account_config BEGIN
    UPDATE bucket SET revision = revision + 1 WHERE owner = old.account;
END;
"""

_TRIGGERS = """
CREATE TRIGGER object_takes_segset AFTER INSERT ON object WHEN new.segset IS NOT NULL BEGIN
    UPDATE segset SET refs = refs + 1 WHERE id = new.segset;
END;
CREATE TRIGGER object_changes_segset AFTER UPDATE OF segset ON object
WHEN new.segset IS NOT old.segset BEGIN
    UPDATE segset SET refs = refs + 1 WHERE id = new.segset;
    UPDATE segset SET refs = refs - 1 WHERE id = old.segset;
END;
CREATE TRIGGER object_leaves_segset AFTER DELETE ON object WHEN old.segset IS NOT NULL BEGIN
    UPDATE segset SET refs = refs - 1 WHERE id = old.segset;
END;
CREATE TRIGGER upload_takes_segset AFTER INSERT ON upload BEGIN
    UPDATE segset SET refs = refs + 1 WHERE id = new.segset;
END;
CREATE TRIGGER upload_leaves_segset AFTER DELETE ON upload BEGIN
    UPDATE segset SET refs = refs - 1 WHERE id = old.segset;
END;
CREATE TRIGGER segset_unused AFTER UPDATE OF refs ON segset WHEN new.refs = 0 BEGIN
    DELETE FROM segment WHERE segset = old.id;
    DELETE FROM segset WHERE id = old.id;
END;
CREATE TRIGGER segment_takes_blob AFTER INSERT ON segment WHEN new.blob IS NOT NULL BEGIN
    UPDATE blob SET refs = refs + 1 WHERE id = new.blob;
END;
CREATE TRIGGER segment_leaves_blob AFTER DELETE ON segment WHEN old.blob IS NOT NULL BEGIN
    UPDATE blob SET refs = refs - 1 WHERE id = old.blob;
END;
CREATE TRIGGER blob_unused AFTER UPDATE OF refs ON blob WHEN new.refs = 0 BEGIN
    INSERT INTO gc (blob) VALUES (old.id);
    DELETE FROM blob WHERE id = old.id;
END;
"""

_UPGRADES: Final = {
    1: """
ALTER TABLE object ADD COLUMN superseded_ms INTEGER;
DROP INDEX object_history;
CREATE UNIQUE INDEX object_history ON object (bucket, key, vseq DESC) WHERE latest = 0;
CREATE INDEX object_version ON object (bucket, key, version_id) WHERE latest = 0;
""",
    2: f"""
ALTER TABLE bucket ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
{_ACCOUNT_CONFIG}
{_CONFIG_TRIGGERS}
""",
}
"""What brings metadata of one version to the next."""


def connect(
    path: Path, durability: Durability, *, read_only: bool, prepare: bool = True, log_pages: int = 1000
) -> apsw.Connection:
    """
    Opens the metadata; the connection may be used by one thread at a time, any thread.

    Args:
        read_only: True to write nothing through it.
        prepare: False if somebody else has the directory, who has made or upgraded the metadata.
        log_pages: At which length the log is carried over into the metadata, by what writes.
    """
    create = 0 if read_only or not prepare else apsw.SQLITE_OPEN_CREATE
    if not read_only:
        keep_private(path, create=bool(create))
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | create)
        connection.set_busy_timeout(10_000)
        connection.pragma("synchronous", _SYNCHRONOUS[durability])
        connection.pragma("fullfsync", 1)
        connection.pragma("checkpoint_fullfsync", 1)
        connection.pragma("cache_size", -8_192 if read_only else -65_536)
        connection.pragma("temp_store", "MEMORY")
        if read_only:
            connection.pragma("query_only", 1)
        elif prepare:
            _prepare(connection, path, log_pages)
        else:
            _check_version(connection, path, connection.pragma("user_version"), oldest=VERSION)
            _set_up_log(connection, log_pages)
    except apsw.Error as error:
        advice = "Make sure that it is a data directory of this program and on a local disk."
        if isinstance(error, apsw.FullError | apsw.IOError) and _is_full(path):
            advice = "Free some space on the disk of the data directory; nothing that was confirmed is lost."
        raise StoreError(f"opening the metadata {path} failed: {error}", advice=advice) from error
    return connection


def _is_full(path: Path) -> bool:
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize < _LEAST_BYTES


def keep_private(path: Path, *, create: bool) -> None:
    """
    Lets nobody but the owner read the metadata, which hold small objects whole.

    What SQLite makes beside the file gets the mode of the file; what others have made before is mended.
    """
    if create:
        os.close(open_for_owner(path))
    for one in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in ("-wal", "-shm"))):
        # Somebody else's files are for somebody else to mend; SQLite says whether they can be used.
        with contextlib.suppress(FileNotFoundError, PermissionError):
            if stat.S_IMODE(one.stat().st_mode) & 0o077:
                one.chmod(0o600)


def _prepare(connection: apsw.Connection, path: Path, log_pages: int) -> None:
    version = connection.pragma("user_version")
    fresh = version == 0 and connection.execute("SELECT 1 FROM sqlite_schema").fetchone() is None
    if not fresh:
        _check_version(connection, path, version)
    else:
        connection.pragma("page_size", 4096)
    if connection.pragma("journal_mode", "wal") != "wal":
        raise StoreError(
            f"the file system of {path} cannot hold a write-ahead log",
            advice="Put the data directory on a local disk, not on a network file system.",
        )
    _set_up_log(connection, log_pages)
    if fresh:
        _change(
            connection,
            f"{_TABLES}{_ACCOUNT_CONFIG}{_CONFIG_TRIGGERS}{_TRIGGERS}"
            f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}",
        )
    else:
        for before in range(version, VERSION):
            _change(connection, f"{_UPGRADES[before]}PRAGMA user_version = {before + 1}")


def _set_up_log(connection: apsw.Connection, log_pages: int) -> None:
    connection.pragma("journal_size_limit", 64 << 20)
    connection.pragma("wal_autocheckpoint", log_pages)


def _check_version(connection: apsw.Connection, path: Path, version: int, oldest: int = 1) -> None:
    if version > VERSION:
        raise StoreError(
            f"{path} is of version {version}, and this program reads up to version {VERSION}",
            advice="Use the program that wrote it, or another data directory.",
        )
    if version < 1 or connection.pragma("application_id") != APPLICATION_ID:
        raise StoreError(
            f"{path} was not written by this program",
            advice="Choose another data directory.",
        )
    if version < oldest:
        raise StoreError(
            f"{path} is of version {version}, and this program works with version {VERSION}",
            advice="Serve it once with this program, which brings it up to date.",
        )


def _change(connection: apsw.Connection, script: str) -> None:
    """Carries out a change of the tables as a whole, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(script)
        connection.execute("COMMIT")
    except apsw.Error:
        connection.execute("ROLLBACK")
        raise
