"""Transactions about objects; each takes the connection that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import md5
from typing import Final

import apsw
import msgspec

from penstock.protocol.crc64 import combine
from penstock.server.store.blobs import LocalStagedBlob
from penstock.server.store.buckets import bucket_id
from penstock.server.store.faults import KeyMissing, NotAppendable, PositionMismatch
from penstock.server.store.records import Attributes, CopySource, ObjectKind, ObjectRecord
from penstock.server.store.versions import Body, encode_attributes, find, publish

_APPENDED: Final = "00000000"


def etag_is_md5(record: ObjectRecord) -> bool:
    """True if the ETag is that of the bytes in one go, not made of parts or appends."""
    return record.kind is ObjectKind.NORMAL and len(record.etag) == 32 and record.etag[24:] != _APPENDED


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
    """Makes an appendable object longer, which makes no version of it, or begins one."""
    try:
        found = find(connection, bucket, key, None, with_body=True)
    except KeyMissing as missing:
        if missing.marker_version_id is not None:
            raise NotAppendable(bucket, key) from None
        if position != 0:
            raise PositionMismatch(bucket, key, position, 0) from None
        kind = ObjectKind.APPENDABLE
        return put(connection, bucket, key, staged, attributes, now_ms=now_ms, kind=kind)
    old = found.record
    if old.kind is not ObjectKind.APPENDABLE:
        raise NotAppendable(bucket, key)
    if position != old.size_bytes:
        raise PositionMismatch(bucket, key, position, old.size_bytes)
    assert found.segset is not None
    segset = _own_segset(connection, found.segset)
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
        "UPDATE object SET size = ?, etag = ?, crc64 = ?, modified_ms = ?, segset = ? WHERE id = ?",
        (new.size_bytes, new.etag, str(new.crc64), new.modified_ms, segset, found.row_id),
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
    found = find(connection, source.bucket, source.key, source.version_id, with_body=True)
    record = found.record
    body = Body(
        kind=ObjectKind.SYMLINK if record.kind is ObjectKind.SYMLINK else ObjectKind.NORMAL,
        size_bytes=record.size_bytes,
        etag=record.etag,
        crc64=record.crc64,
        segset=found.segset,
        inline=found.inline,
    )
    return publish(
        connection, bucket, key, body, describe(record), now_ms=now_ms, forbid_overwrite=forbid_overwrite
    )


def update(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    change: Callable[[Attributes], Attributes],
    version_id: str | None,
) -> ObjectRecord:
    found = find(connection, bucket, key, version_id)
    new = msgspec.structs.replace(found.record, attributes=change(found.record.attributes))
    connection.execute(
        "UPDATE object SET attributes = ? WHERE id = ?", (encode_attributes(new.attributes), found.row_id)
    )
    return new


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
