"""
The versions of a key: which one a request means, and what a write or a delete makes of them.

Without versioning a key has one row, and a write takes its place. With it, a write adds a row, which is the
latest from then on, and so does a delete: a marker. While versioning is suspended, what is written or
deleted is the version called "null", of which a key keeps one.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from penstock.server.store.buckets import ENABLED, BucketPlace, find_bucket
from penstock.server.store.faults import AlreadyExists, KeyMissing, VersionIsMarker, VersionMissing
from penstock.server.store.records import (
    NULL_VERSION,
    Attributes,
    DeletedObject,
    ObjectKind,
    ObjectRecord,
)

SELECT: Final = (
    "SELECT key, version_id, latest, kind, size, etag, crc64, modified_ms, attributes, vseq, id FROM object"
)
_SELECT_BODY: Final = SELECT.replace(" FROM", ", segset, inline FROM")

_decode_attributes = msgspec.json.Decoder(Attributes).decode


class Body(Struct, frozen=True, kw_only=True):
    """What an object is made of: a segment set, or bytes in its row."""

    kind: ObjectKind
    size_bytes: int
    etag: str
    crc64: int
    segset: int | None = None
    inline: bytes | None = None


_MARKER: Final = Body(kind=ObjectKind.MARKER, size_bytes=0, etag="", crc64=0, inline=b"")


class StoredObject(Struct, frozen=True):
    """A version as its row has it; `segset` and `inline` only where they were asked for."""

    record: ObjectRecord
    row_id: int
    segset: int | None = None
    inline: bytes | None = None


def encode_attributes(attributes: Attributes) -> str:
    return msgspec.json.encode(attributes).decode()


def decode_attributes(text: str) -> Attributes:
    return _decode_attributes(text)


def to_record(place: BucketPlace, row: Sequence[Any]) -> ObjectRecord:
    """A row of `SELECT` as a value."""
    return ObjectRecord(
        bucket=place.name,
        key=row[0].decode(),
        version_id=shown_version_id(place, row[1]),
        latest=bool(row[2]),
        kind=ObjectKind(row[3]),
        size_bytes=row[4],
        etag=row[5],
        crc64=int(row[6]),
        modified_ms=row[7],
        attributes=_decode_attributes(row[8]),
    )


def find(
    connection: apsw.Connection, bucket: str, key: str, version_id: str | None, *, with_body: bool = False
) -> StoredObject:
    """One version, or the latest; raises `KeyMissing`, `VersionMissing` or `VersionIsMarker`."""
    place = find_bucket(connection, bucket)
    columns = _SELECT_BODY if with_body else SELECT
    row: Any = connection.execute(
        f"{columns} WHERE bucket = ? AND key = ? AND latest = 1", (place.number, key.encode())
    ).fetchone()
    if version_id is None:
        if row is None:
            raise KeyMissing(bucket, key)
        if row[3] == ObjectKind.MARKER.value:
            raise KeyMissing(bucket, key, marker_version_id=shown_version_id(place, row[1]))
    else:
        if row is not None and row[1] != _kept(version_id):
            row = connection.execute(
                f"{columns} WHERE bucket = ? AND key = ? AND latest = 0 AND version_id IS ?",
                (place.number, key.encode(), _kept(version_id)),
            ).fetchone()
        if row is None:
            raise VersionMissing(bucket, key, version_id)
        if row[3] == ObjectKind.MARKER.value:
            raise VersionIsMarker(bucket, key, version_id)
    return StoredObject(to_record(place, row), row[10], *row[11:])


def publish(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    body: Body,
    attributes: Attributes,
    *,
    now_ms: int,
    forbid_overwrite: bool,
) -> ObjectRecord:
    """
    Makes a body the object under this key: in place of the one before, or as its latest version.

    OSS does not look at ``forbid_overwrite`` once a bucket has had versioning.
    """
    place = find_bucket(connection, bucket)
    if place.versioning:
        return _add(connection, place, key, body, attributes, now_ms=now_ms)
    if forbid_overwrite:
        taken = connection.execute(
            "SELECT 1 FROM object WHERE bucket = ? AND key = ? AND latest = 1", (place.number, key.encode())
        ).fetchone()
        if taken is not None:
            raise AlreadyExists(bucket, key)
    row: list[Any] = connection.execute(
        "INSERT INTO object (bucket, key, vseq, latest, kind, size, etag, crc64, modified_ms, attributes,"
        " segset, inline) VALUES (?, ?, 0, 1, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (bucket, key) WHERE latest = 1 DO UPDATE SET kind = excluded.kind,"
        " size = excluded.size, etag = excluded.etag, crc64 = excluded.crc64,"
        " modified_ms = max(modified_ms, excluded.modified_ms), attributes = excluded.attributes,"
        " segset = excluded.segset, inline = excluded.inline RETURNING modified_ms",
        (
            place.number,
            key.encode(),
            body.kind.value,
            body.size_bytes,
            body.etag,
            str(body.crc64),
            now_ms,
            encode_attributes(attributes),
            body.segset,
            body.inline,
        ),
    ).fetchall()
    return _made(place, key, None, body, attributes, row[0][0])


def delete(
    connection: apsw.Connection, bucket: str, targets: Sequence[tuple[str, str | None]], *, now_ms: int
) -> tuple[DeletedObject, ...]:
    """Removes versions that are named, and hides or removes objects of which only the key is given."""
    place = find_bucket(connection, bucket)
    return tuple(
        _delete_object(connection, place, key, now_ms)
        if version_id is None
        else _delete_version(connection, place, key, version_id)
        for key, version_id in targets
    )


def _delete_object(connection: apsw.Connection, place: BucketPlace, key: str, now_ms: int) -> DeletedObject:
    at = (place.number, key.encode())
    if not place.versioning:
        gone = connection.execute(
            "DELETE FROM object WHERE bucket = ? AND key = ? AND latest = 1 RETURNING 1", at
        ).fetchall()
        return DeletedObject(key=key, existed=bool(gone))
    seen = connection.execute(
        "SELECT 1 FROM object WHERE bucket = ? AND key = ? AND latest = 1 AND kind <> 'marker'", at
    ).fetchone()
    marker = _add(connection, place, key, _MARKER, Attributes(), now_ms=now_ms)
    return DeletedObject(key=key, existed=seen is not None, version_id=marker.version_id, marker=True)


def _delete_version(
    connection: apsw.Connection, place: BucketPlace, key: str, version_id: str
) -> DeletedObject:
    at = (place.number, key.encode())
    row: Any = connection.execute(
        "SELECT id, latest, kind FROM object"
        " WHERE bucket = ?1 AND key = ?2 AND latest = 1 AND version_id IS ?3 UNION ALL"
        " SELECT id, latest, kind FROM object"
        " WHERE bucket = ?1 AND key = ?2 AND latest = 0 AND version_id IS ?3",
        (*at, _kept(version_id)),
    ).fetchone()
    if row is None:
        return DeletedObject(key=key, existed=False, version_id=version_id)
    row_id, latest, kind = row
    connection.execute("DELETE FROM object WHERE id = ?", (row_id,))
    if latest:
        connection.execute(
            "UPDATE object SET latest = 1, superseded_ms = NULL WHERE id = (SELECT id FROM object"
            " WHERE bucket = ? AND key = ? AND latest = 0 ORDER BY vseq DESC LIMIT 1)",
            at,
        )
    marker = kind == ObjectKind.MARKER.value
    return DeletedObject(key=key, existed=True, version_id=version_id, marker=marker)


def _add(
    connection: apsw.Connection,
    place: BucketPlace,
    key: str,
    body: Body,
    attributes: Attributes,
    *,
    now_ms: int,
) -> ObjectRecord:
    """Makes a body the latest version of a key."""
    at = (place.number, key.encode())
    before: list[Any] = connection.execute(
        "UPDATE object SET latest = 0, superseded_ms = max(modified_ms, ?) WHERE bucket = ? AND key = ?"
        " AND latest = 1 RETURNING vseq, superseded_ms",
        (now_ms, *at),
    ).fetchall()
    last_vseq, moment_ms = before[0] if before else (0, now_ms)
    version_id = new_version_id(now_ms) if place.versioning == ENABLED else None
    connection.execute(
        "INSERT INTO object (bucket, key, vseq, version_id, latest, kind, size, etag, crc64, modified_ms,"
        " attributes, segset, inline) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *at,
            last_vseq + 1,
            version_id,
            body.kind.value,
            body.size_bytes,
            body.etag,
            str(body.crc64),
            moment_ms,
            encode_attributes(attributes),
            body.segset,
            body.inline,
        ),
    )
    if version_id is None:
        # Only now, as the new version may be made of the same segment set.
        connection.execute(
            "DELETE FROM object WHERE bucket = ? AND key = ? AND latest = 0 AND version_id IS NULL", at
        )
    return _made(place, key, version_id, body, attributes, moment_ms)


def new_version_id(now_ms: int) -> str:
    """
    A version id that was never given before, in the shape that those of OSS have.

    That is 64 characters, the base64 (with ``.`` and ``_``) of a small protobuf message of a number, a
    time and 32 hex characters. Nothing reads it.
    """
    moment = bytes((now_ms << 21 >> shift) & 0x7F | 0x80 for shift in range(0, 56, 7))
    moment += bytes([(now_ms << 21 >> 56) & 0x7F])
    message = b"\x08\x01\x10" + bytes([0x20 + secrets.randbelow(0x40)]) + b"\x18" + moment
    return base64.b64encode(message + b"\x22\x20" + secrets.token_hex(16).encode(), b"._").decode()


def _made(
    place: BucketPlace, key: str, version_id: str | None, body: Body, attributes: Attributes, modified_ms: int
) -> ObjectRecord:
    return ObjectRecord(
        bucket=place.name,
        key=key,
        version_id=shown_version_id(place, version_id),
        latest=True,
        kind=body.kind,
        size_bytes=body.size_bytes,
        etag=body.etag,
        crc64=body.crc64,
        modified_ms=modified_ms,
        attributes=attributes,
    )


def _kept(version_id: str) -> str | None:
    """A version id as its row has it."""
    return None if version_id == NULL_VERSION else version_id


def shown_version_id(place: BucketPlace, version_id: str | None) -> str | None:
    """A version id as OSS answers it: none at all where there never was versioning."""
    return version_id or (NULL_VERSION if place.versioning else None)
