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
    tags TEXT NOT NULL
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
PRAGMA application_id = 1885695603;
PRAGMA user_version = 2;
