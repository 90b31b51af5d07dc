"""
Checking that everything needed is there, and that the metadata agrees with itself.

Rows are never removed here because bytes are missing: that is reported, and left to a person.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import apsw
import msgspec

from penstock.errors import StoreError
from penstock.protocol.crc64 import combine_all, crc64
from penstock.server.store.blobs import BlobFiles
from penstock.server.store.buckets import BucketPlace
from penstock.server.store.content import Horizon, read_segment
from penstock.server.store.garbage import find_orphans
from penstock.server.store.interface import Segment
from penstock.server.store.records import CheckReport, NeedyRow
from penstock.server.store.versions import shown_version_id
from penstock.server.store.writer import ReaderPool

_BATCH: Final = 10_000

_CONTRADICTIONS: Final = {
    "blob {} counts {} segments and has {}": (
        "SELECT id, refs, coalesce(real, 0) FROM blob LEFT JOIN"
        " (SELECT blob, count(*) AS real FROM segment GROUP BY blob) ON blob = id"
        " WHERE refs <> coalesce(real, 0)"
    ),
    "segment set {} counts {} holders and has {}": (
        "SELECT id, refs, coalesce(real, 0) FROM segset LEFT JOIN (SELECT held, count(*) AS real FROM"
        " (SELECT segset AS held FROM object UNION ALL SELECT segset FROM upload) GROUP BY held)"
        " ON held = id WHERE refs <> coalesce(real, 0)"
    ),
    "segment set {} needs blob {}, which has no row": (
        "SELECT segset, blob FROM segment WHERE blob IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM blob WHERE id = segment.blob)"
    ),
    "segment set {} has pieces and no row": (
        "SELECT DISTINCT segset FROM segment WHERE NOT EXISTS (SELECT 1 FROM segset WHERE id = segset)"
    ),
    "object {} of bucket number {} needs segment set {}, which has no row": (
        "SELECT key, bucket, segset FROM object WHERE segset IS NOT NULL"
        " AND NOT EXISTS (SELECT 1 FROM segset WHERE id = object.segset)"
    ),
    "upload {} needs segment set {}, which has no row": (
        "SELECT upload_id, segset FROM upload WHERE NOT EXISTS (SELECT 1 FROM segset WHERE id = segset)"
    ),
    "object {} is in bucket number {}, which has no row": (
        "SELECT key, bucket FROM object WHERE NOT EXISTS (SELECT 1 FROM bucket WHERE id = bucket)"
    ),
    "upload {} is in bucket number {}, which has no row": (
        "SELECT upload_id, bucket FROM upload WHERE NOT EXISTS (SELECT 1 FROM bucket WHERE id = bucket)"
    ),
    "object {} of bucket number {} has pieces of another length": (
        "SELECT key, bucket FROM object WHERE size <> CASE WHEN segset IS NULL THEN length(inline)"
        " ELSE (SELECT coalesce(sum(length), 0) FROM segment WHERE segment.segset = object.segset) END"
    ),
    "part {1} of segment set {0} has pieces of another length": (
        "SELECT segset, number FROM segment GROUP BY segset, number HAVING sum(length) <> sum(part_size)"
    ),
    "segment set {} has a piece beyond the end of blob {}": (
        "SELECT segset, blob FROM segment JOIN blob ON id = blob WHERE offset + length > size"
    ),
    "object {} of bucket number {} has versions and none is the latest": (
        "SELECT key, bucket FROM object AS old WHERE latest = 0 AND NOT EXISTS (SELECT 1 FROM object AS new"
        " WHERE new.bucket = old.bucket AND new.key = old.key AND new.latest = 1 AND new.vseq > old.vseq)"
    ),
    "object {} of bucket number {} has more than one null version": (
        "SELECT key, bucket FROM object WHERE version_id IS NULL GROUP BY bucket, key HAVING count(*) > 1"
    ),
    "blob {} is listed as garbage and still needed": (
        "SELECT blob FROM gc WHERE blob IN (SELECT id FROM blob)"
    ),
}
"""What can be wrong, in words, and the query that finds it."""


def check(readers: ReaderPool, files: BlobFiles, horizon: Horizon, *, scrub: bool) -> CheckReport:
    """Compares rows with files, counts with what they count, and, to scrub, bytes with their CRC-64."""
    lease = horizon.lease()
    try:
        faults, garbage_count = readers.run(
            "checking the store", lambda db: (tuple(_metadata_faults(db, scrub=scrub)), _garbage_count(db))
        )
        count, missing, wrong_size, damaged = 0, [], [], []
        for blob_id, size_bytes, expected in _blobs(readers):
            count += 1
            actual = files.size(blob_id)
            if actual is None:
                missing.append(blob_id)
            elif actual != size_bytes:
                wrong_size.append(blob_id)
            elif scrub and _crc64_of(files, blob_id, size_bytes) != expected:
                damaged.append(blob_id)
        orphans = [
            blob_id
            for shard in files.older_than(0)
            for blob_id in find_orphans(readers, files, shard)
            # The garbage collector may have been at work since the directory was read.
            if files.size(blob_id) is not None
        ]
        bad = [*missing, *wrong_size, *damaged]
        needy = readers.run("looking who needs them", lambda db: tuple(_needy(db, bad))) if bad else ()
    finally:
        horizon.release(lease)
    return CheckReport(
        blob_count=count,
        missing=tuple(missing),
        wrong_size=tuple(wrong_size),
        damaged=tuple(damaged),
        orphans=tuple(orphans),
        faults=faults,
        needy=needy,
        garbage_count=garbage_count,
    )


def _blobs(readers: ReaderPool) -> Iterator[tuple[str, int, int]]:
    """Id, size and CRC-64 of every blob."""
    last = ""
    while True:
        rows: list[Any] = readers.run(
            "listing blobs",
            lambda db, last=last: db.execute(  # type: ignore[misc]
                "SELECT id, size, crc64 FROM blob WHERE id > ? ORDER BY id LIMIT ?", (last, _BATCH)
            ).fetchall(),
        )
        for blob_id, size_bytes, checksum in rows:
            yield blob_id, size_bytes, int(checksum)
        if len(rows) < _BATCH:
            return
        last = rows[-1][0]


def _crc64_of(files: BlobFiles, blob_id: str, size_bytes: int) -> int | None:
    """The CRC-64 of a file, or None if the disk does not give its bytes."""
    value = 0
    try:
        with files.open(blob_id) as file:
            for chunk in read_segment(Segment(file, b"", 0, size_bytes)):
                value = crc64(chunk, value)
    except StoreError:
        return None
    return value


def _garbage_count(connection: apsw.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM gc").fetchone()
    return int(row[0]) if row else 0


def _metadata_faults(connection: apsw.Connection, *, scrub: bool) -> Iterator[str]:
    for row in connection.execute(f"PRAGMA {'integrity_check' if scrub else 'quick_check'}").fetchall():
        if row[0] != "ok":
            yield f"SQLite: {row[0]}"
    for words, query in _CONTRADICTIONS.items():
        for row in connection.execute(query).fetchall():
            yield words.format(*(repr(one.decode()) if isinstance(one, bytes) else one for one in row))
    if scrub:
        yield from _wrong_checksums(connection)


def _wrong_checksums(connection: apsw.Connection) -> Iterator[str]:
    """Objects whose CRC-64 is not that of their parts, and bytes in rows that are not what they were."""
    objects = connection.execute(
        "SELECT key, bucket, segset, inline, crc64 FROM object WHERE kind <> 'marker'"
    )
    for key, bucket, segset, inline, expected in objects:
        if segset is None:
            actual = crc64(inline)
        else:
            parts = connection.execute(
                "SELECT part_crc64, part_size FROM segment WHERE segset = ? AND piece = 0 ORDER BY number",
                (segset,),
            )
            actual = combine_all((int(part_crc64), part_size) for part_crc64, part_size in parts)
        if actual != int(expected):
            yield f"object {key.decode()!r} of bucket number {bucket} is not what its CRC-64 says"
    pieces = connection.execute(
        "SELECT segset, number, data, part_crc64 FROM segment WHERE data IS NOT NULL AND length = part_size"
    )
    for segset, number, data, expected in pieces:
        if crc64(data) != int(expected):
            yield f"part {number} of segment set {segset} is not what its CRC-64 says"


def _needy(connection: apsw.Connection, blob_ids: list[str]) -> Iterator[NeedyRow]:
    """The objects and uploads that have pieces in any of these blobs."""
    wanted = (msgspec.json.encode(blob_ids).decode(),)
    objects: list[Any] = connection.execute(
        "SELECT name, bucket.id, versioning, key, version_id FROM object JOIN bucket ON bucket.id = bucket"
        " WHERE segset IN (SELECT segset FROM segment WHERE blob IN (SELECT value FROM json_each(?)))"
        " ORDER BY name, key, vseq DESC",
        wanted,
    ).fetchall()
    for name, number, versioning, key, version_id in objects:
        place = BucketPlace(name, number, versioning)
        yield NeedyRow(bucket=name, key=key.decode(), version_id=shown_version_id(place, version_id))
    uploads: list[Any] = connection.execute(
        "SELECT name, key, upload_id FROM upload JOIN bucket ON bucket.id = bucket"
        " WHERE segset IN (SELECT segset FROM segment WHERE blob IN (SELECT value FROM json_each(?)))"
        " ORDER BY name, key, upload_id",
        wanted,
    ).fetchall()
    for name, key, upload_id in uploads:
        yield NeedyRow(bucket=name, key=key.decode(), upload_id=upload_id)
