"""Transactions about buckets and their configurations; each takes the connection that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from penstock.server.store.faults import BucketExists, BucketMissing, BucketNotEmpty, ConfigMissing
from penstock.server.store.records import BucketPage, BucketRecord, BucketStat

ENABLED: Final = "Enabled"
SUSPENDED: Final = "Suspended"

_SELECT: Final = (
    "SELECT name, owner, region, acl, storage_class, redundancy, created_ms, versioning, tags, revision"
    " FROM bucket"
)
_INSERT: Final = (
    "INSERT INTO bucket (name, owner, region, acl, storage_class, redundancy, created_ms, versioning, tags)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class BucketPlace(Struct, frozen=True):
    """
    Where the objects of a bucket are, and whether they have versions.

    Attributes:
        number: Names the bucket in all other tables.
        versioning: As in `BucketRecord`.
    """

    name: str
    number: int
    versioning: str


def find_bucket(connection: apsw.Connection, name: str) -> BucketPlace:
    """Raises `BucketMissing`."""
    row: Any = connection.execute("SELECT id, versioning FROM bucket WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise BucketMissing(name)
    return BucketPlace(name, *row)


def bucket_id(connection: apsw.Connection, name: str) -> int:
    """The number of a bucket in all other tables; raises `BucketMissing`."""
    return find_bucket(connection, name).number


def create(connection: apsw.Connection, bucket: BucketRecord, now_ms: int) -> BucketRecord:
    row = connection.execute("SELECT owner FROM bucket WHERE name = ?", (bucket.name,)).fetchone()
    if row is not None:
        raise BucketExists(bucket.name, str(row[0]))
    made = msgspec.structs.replace(bucket, created_ms=now_ms, revision=0)
    connection.execute(_INSERT, _to_row(made))
    return made


def head(connection: apsw.Connection, name: str) -> BucketRecord:
    row = connection.execute(f"{_SELECT} WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise BucketMissing(name)
    return _to_record(row)


def update(
    connection: apsw.Connection, name: str, change: Callable[[BucketRecord], BucketRecord]
) -> BucketRecord:
    old = head(connection, name)
    new = msgspec.structs.replace(
        change(old), name=old.name, created_ms=old.created_ms, revision=old.revision
    )
    if new.versioning not in {old.versioning, ENABLED, SUSPENDED}:
        raise ValueError(f"versioning of bucket {name!r} cannot become {new.versioning!r}")
    connection.execute(
        "UPDATE bucket SET (owner, region, acl, storage_class, redundancy, created_ms, versioning, tags)"
        " = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) WHERE name = ?1",
        _to_row(new),
    )
    return new


def delete(connection: apsw.Connection, name: str) -> None:
    bucket = bucket_id(connection, name)
    held = connection.execute(
        "SELECT EXISTS (SELECT 1 FROM object WHERE bucket = ?1 AND latest = 1)"
        " OR EXISTS (SELECT 1 FROM object WHERE bucket = ?1 AND latest = 0)"
        " OR EXISTS (SELECT 1 FROM upload WHERE bucket = ?1)",
        (bucket,),
    ).fetchone()
    if held is not None and held[0]:
        raise BucketNotEmpty(name)
    connection.execute("DELETE FROM bucket_config WHERE bucket = ?", (bucket,))
    connection.execute("DELETE FROM bucket WHERE id = ?", (bucket,))


def page(connection: apsw.Connection, prefix: str, marker: str, limit: int, owner: str | None) -> BucketPage:
    rows = connection.execute(
        f"{_SELECT} WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2"
        " AND (?3 IS NULL OR owner = ?3) ORDER BY name LIMIT ?4",
        (marker, prefix, owner, limit + 1),
    ).fetchall()
    buckets = tuple(_to_record(row) for row in rows[:limit])
    more = len(rows) > limit > 0
    return BucketPage(buckets=buckets, next_marker=buckets[-1].name if more else None)


def stat(connection: apsw.Connection, name: str) -> BucketStat:
    bucket = bucket_id(connection, name)
    rows: list[Any] = connection.execute(
        "SELECT kind = 'marker' AS marker, coalesce(attributes ->> 'storage_class', 'Standard') AS class,"
        " count(*), sum(size) FROM"
        " (SELECT kind, attributes, size FROM object WHERE bucket = ?1 AND latest = 1"
        " UNION ALL SELECT kind, attributes, size FROM object WHERE bucket = ?1 AND latest = 0)"
        " GROUP BY marker, class ORDER BY class",
        (bucket,),
    ).fetchall()
    uploads = connection.execute(
        "SELECT count(DISTINCT upload_id), count(part_size), coalesce(sum(part_size), 0)"
        " FROM upload LEFT JOIN segment ON segment.segset = upload.segset AND piece = 0 WHERE bucket = ?",
        (bucket,),
    ).fetchone()
    assert uploads is not None
    return BucketStat(
        class_counts={name: count for marker, name, count, _ in rows if not marker},
        class_bytes={name: size for marker, name, _, size in rows if not marker},
        upload_count=uploads[0],
        part_count=uploads[1],
        part_bytes=uploads[2],
        marker_count=sum(count for marker, _, count, _ in rows if marker),
    )


def get_config(connection: apsw.Connection, bucket: str, name: str) -> bytes:
    row = connection.execute(
        "SELECT value FROM bucket_config WHERE bucket = ? AND name = ?", (bucket_id(connection, bucket), name)
    ).fetchone()
    if row is None:
        raise ConfigMissing(bucket, name)
    return bytes(row[0])


def put_config(connection: apsw.Connection, bucket: str, name: str, value: bytes) -> None:
    connection.execute(
        "INSERT INTO bucket_config (bucket, name, value) VALUES (?, ?, ?)"
        " ON CONFLICT DO UPDATE SET value = excluded.value",
        (bucket_id(connection, bucket), name, value),
    )


def delete_config(connection: apsw.Connection, bucket: str, name: str) -> bool:
    gone = connection.execute(
        "DELETE FROM bucket_config WHERE bucket = ? AND name = ? RETURNING 1",
        (bucket_id(connection, bucket), name),
    ).fetchall()
    return bool(gone)


def _to_row(bucket: BucketRecord) -> tuple[Any, ...]:
    return (
        bucket.name,
        bucket.owner,
        bucket.region,
        bucket.acl,
        bucket.storage_class,
        bucket.redundancy,
        bucket.created_ms,
        bucket.versioning,
        msgspec.json.encode(bucket.tags).decode(),
    )


def _to_record(row: tuple[Any, ...]) -> BucketRecord:
    name, owner, region, acl, storage_class, redundancy, created_ms, versioning, tags, revision = row
    return BucketRecord(
        name=name,
        owner=owner,
        region=region,
        acl=acl,
        storage_class=storage_class,
        redundancy=redundancy,
        created_ms=created_ms,
        versioning=versioning,
        tags=msgspec.json.decode(tags, type=dict[str, str]),
        revision=revision,
    )
