"""Transactions about objects; each takes the connection that it runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import md5
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from penstock.protocol.crc64 import combine
from penstock.server.store.blobs import LocalStagedBlob
from penstock.server.store.buckets import bucket_id
from penstock.server.store.faults import (
    AlreadyExists,
    KeyMissing,
    NotAppendable,
    PositionMismatch,
    VersionMissing,
)
from penstock.server.store.records import (
    NULL_VERSION,
    Attributes,
    CopySource,
    DeletedObject,
    ObjectKind,
    ObjectRecord,
)

SELECT: Final = "SELECT key, version_id, latest, kind, size, etag, crc64, modified_ms, attributes FROM object"
_SELECT_BODY: Final = SELECT.replace(" FROM", ", segset, inline FROM")

_APPENDED: Final = "00000000"

_decode_attributes = msgspec.json.Decoder(Attributes).decode


class Body(Struct, frozen=True, kw_only=True):
    """What an object is made of: a segment set, or bytes in its row."""

    kind: ObjectKind
    size_bytes: int
    etag: str
    crc64: int
    segset: int | None = None
    inline: bytes | None = None


def encode_attributes(attributes: Attributes) -> str:
    return msgspec.json.encode(attributes).decode()


def decode_attributes(text: str) -> Attributes:
    return _decode_attributes(text)


def to_record(bucket: str, row: Sequence[Any]) -> ObjectRecord:
    """A row of `SELECT` as a value."""
    return ObjectRecord(
        bucket=bucket,
        key=row[0].decode(),
        version_id=row[1],
        latest=bool(row[2]),
        kind=ObjectKind(row[3]),
        size_bytes=row[4],
        etag=row[5],
        crc64=int(row[6]),
        modified_ms=row[7],
        attributes=_decode_attributes(row[8]),
    )


def etag_is_md5(record: ObjectRecord) -> bool:
    """True if the ETag is that of the bytes in one go, not made of parts or appends."""
    return record.kind is ObjectKind.NORMAL and len(record.etag) == 32 and record.etag[24:] != _APPENDED


def find(
    connection: apsw.Connection, bucket: str, key: str, version_id: str | None, *, with_body: bool = False
) -> tuple[Any, ...]:
    """The row of one version: that of `SELECT`, then segset and inline if ``with_body``."""
    row: tuple[Any, ...] | None = connection.execute(
        f"{_SELECT_BODY if with_body else SELECT} WHERE bucket = ? AND key = ? AND latest = 1",
        (bucket_id(connection, bucket), key.encode()),
    ).fetchone()
    if version_id is not None and (row is None or (row[1] or NULL_VERSION) != version_id):
        raise VersionMissing(bucket, key, version_id)
    if row is None:
        raise KeyMissing(bucket, key)
    return row


def add_segset(connection: apsw.Connection) -> int:
    """An empty segment set that nobody holds yet."""
    connection.execute("INSERT INTO segset (refs) VALUES (0)")
    return connection.last_insert_rowid()


def add_staged(
    connection: apsw.Connection, segset: int, number: int, staged: LocalStagedBlob, now_ms: int
) -> None:
    """Makes staged bytes the one piece of a part."""
    if staged.blob_id is not None:
        connection.execute(
            "INSERT INTO blob (id, size, crc64) VALUES (?, ?, ?)",
            (staged.blob_id, staged.size_bytes, str(staged.crc64)),
        )
    connection.execute(
        "INSERT INTO segment (segset, number, piece, blob, offset, length, part_size, part_etag,"
        " part_crc64, part_ms, data) VALUES (?1, ?2, 0, ?3, 0, ?4, ?4, ?5, ?6, ?7, ?8)",
        (
            segset,
            number,
            staged.blob_id,
            staged.size_bytes,
            staged.etag,
            str(staged.crc64),
            now_ms,
            staged.inline,
        ),
    )


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
    """Makes a body the object under this key, in place of the one before."""
    number = bucket_id(connection, bucket)
    if forbid_overwrite:
        taken = connection.execute(
            "SELECT 1 FROM object WHERE bucket = ? AND key = ? AND latest = 1 AND kind <> 'marker'",
            (number, key.encode()),
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
            number,
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
    return ObjectRecord(
        bucket=bucket,
        key=key,
        version_id=None,
        latest=True,
        kind=body.kind,
        size_bytes=body.size_bytes,
        etag=body.etag,
        crc64=body.crc64,
        modified_ms=row[0][0],
        attributes=attributes,
    )


def put(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    staged: LocalStagedBlob,
    attributes: Attributes,
    *,
    now_ms: int,
    kind: ObjectKind = ObjectKind.NORMAL,
    forbid_overwrite: bool = False,
) -> ObjectRecord:
    bucket_id(connection, bucket)
    segset = None
    # An appendable object grows by segments, so it has some from the start.
    if staged.blob_id is not None or kind is ObjectKind.APPENDABLE:
        segset = add_segset(connection)
        add_staged(connection, segset, 1, staged, now_ms)
    body = Body(
        kind=kind,
        size_bytes=staged.size_bytes,
        etag=staged.etag,
        crc64=staged.crc64,
        segset=segset,
        inline=staged.inline if segset is None else None,
    )
    return publish(
        connection, bucket, key, body, attributes, now_ms=now_ms, forbid_overwrite=forbid_overwrite
    )


def put_symlink(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    target: str,
    *,
    attributes: Attributes,
    now_ms: int,
    forbid_overwrite: bool,
) -> ObjectRecord:
    etag = md5(target.encode(), usedforsecurity=False).hexdigest().upper()
    body = Body(kind=ObjectKind.SYMLINK, size_bytes=0, etag=etag, crc64=0, inline=b"")
    linked = msgspec.structs.replace(attributes, symlink_target=target)
    return publish(connection, bucket, key, body, linked, now_ms=now_ms, forbid_overwrite=forbid_overwrite)


def append(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    position: int,
    *,
    staged: LocalStagedBlob,
    attributes: Attributes,
    now_ms: int,
) -> ObjectRecord:
    try:
        row = find(connection, bucket, key, None, with_body=True)
    except KeyMissing:
        if position != 0:
            raise PositionMismatch(bucket, key, position, 0) from None
        kind = ObjectKind.APPENDABLE
        return put(connection, bucket, key, staged, attributes, now_ms=now_ms, kind=kind)
    old = to_record(bucket, row)
    if old.kind is not ObjectKind.APPENDABLE:
        raise NotAppendable(bucket, key)
    if position != old.size_bytes:
        raise PositionMismatch(bucket, key, position, old.size_bytes)
    segset = _own_segset(connection, row[9])
    last = connection.execute("SELECT max(number) FROM segment WHERE segset = ?", (segset,)).fetchone()
    assert last is not None
    add_staged(connection, segset, (last[0] or 0) + 1, staged, now_ms)
    new = msgspec.structs.replace(
        old,
        size_bytes=old.size_bytes + staged.size_bytes,
        etag=_appended_etag(old.etag, staged.etag),
        crc64=combine(old.crc64, staged.crc64, staged.size_bytes),
        modified_ms=max(now_ms, old.modified_ms),
    )
    connection.execute(
        "UPDATE object SET size = ?, etag = ?, crc64 = ?, modified_ms = ?, segset = ?"
        " WHERE bucket = ? AND key = ? AND latest = 1",
        (
            new.size_bytes,
            new.etag,
            str(new.crc64),
            new.modified_ms,
            segset,
            bucket_id(connection, bucket),
            key.encode(),
        ),
    )
    return new


def copy(
    connection: apsw.Connection,
    source: CopySource,
    bucket: str,
    key: str,
    describe: Callable[[ObjectRecord], Attributes],
    *,
    now_ms: int,
    forbid_overwrite: bool,
) -> ObjectRecord:
    row = find(connection, source.bucket, source.key, source.version_id, with_body=True)
    found = to_record(source.bucket, row)
    kind = ObjectKind.SYMLINK if found.kind is ObjectKind.SYMLINK else ObjectKind.NORMAL
    body = Body(
        kind=kind,
        size_bytes=found.size_bytes,
        etag=found.etag,
        crc64=found.crc64,
        segset=row[9],
        inline=row[10],
    )
    return publish(
        connection, bucket, key, body, describe(found), now_ms=now_ms, forbid_overwrite=forbid_overwrite
    )


def update(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    change: Callable[[Attributes], Attributes],
    version_id: str | None,
) -> ObjectRecord:
    old = to_record(bucket, find(connection, bucket, key, version_id))
    new = msgspec.structs.replace(old, attributes=change(old.attributes))
    connection.execute(
        "UPDATE object SET attributes = ? WHERE bucket = ? AND key = ? AND latest = 1",
        (encode_attributes(new.attributes), bucket_id(connection, bucket), key.encode()),
    )
    return new


def delete(
    connection: apsw.Connection, bucket: str, targets: Sequence[tuple[str, str | None]]
) -> tuple[DeletedObject, ...]:
    number = bucket_id(connection, bucket)
    done = []
    for key, version_id in targets:
        gone = connection.execute(
            "DELETE FROM object WHERE bucket = ? AND key = ? AND latest = 1"
            " AND (? IS NULL OR coalesce(version_id, ?) = ?) RETURNING 1",
            (number, key.encode(), version_id, NULL_VERSION, version_id),
        ).fetchall()
        done.append(DeletedObject(key=key, existed=bool(gone), version_id=version_id if gone else None))
    return tuple(done)


def _own_segset(connection: apsw.Connection, segset: int) -> int:
    """The same segment set, or its duplicate if a copy shares it and must not grow with it."""
    row = connection.execute("SELECT refs FROM segset WHERE id = ?", (segset,)).fetchone()
    assert row is not None
    if row[0] == 1:
        return segset
    duplicate = add_segset(connection)
    connection.execute(
        "INSERT INTO segment SELECT ?, number, piece, blob, offset, length, part_size, part_etag,"
        " part_crc64, part_ms, data FROM segment WHERE segset = ?",
        (duplicate, segset),
    )
    return duplicate


def _appended_etag(before: str, added: str) -> str:
    # No MD5 of the whole without reading it again. OSS, too, answers 24 hex characters and eight zeros.
    joined = md5(f"{before}{added}".encode(), usedforsecurity=False).hexdigest().upper()
    return joined[:24] + _APPENDED
