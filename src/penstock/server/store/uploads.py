"""Transactions about multipart uploads; each takes the connection that it runs on."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from hashlib import md5
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from penstock.protocol.crc64 import combine_all
from penstock.protocol.limits import MAX_PART_NUMBER, MIN_PART_BYTES, MIN_PART_NUMBER
from penstock.server.store.blobs import LocalStagedBlob
from penstock.server.store.buckets import bucket_id
from penstock.server.store.content import Manifest, Piece
from penstock.server.store.faults import (
    NoParts,
    PartAlreadyExists,
    PartInvalid,
    PartNotSequential,
    PartNumberInvalid,
    PartOrderInvalid,
    PartTooSmall,
    UploadMissing,
)
from penstock.server.store.objects import add_segset, add_staged
from penstock.server.store.records import (
    Attributes,
    ObjectKind,
    ObjectRecord,
    PartPage,
    PartRecord,
    UploadRecord,
)
from penstock.server.store.versions import Body, decode_attributes, encode_attributes, publish

SELECT: Final = "SELECT key, upload_id, initiated_ms, sequential, attributes, segset, revision FROM upload"


class StoredUpload(Struct, frozen=True):
    """An open upload as one snapshot shows it: its row's revision, and all its parts by number."""

    segset: int
    revision: int
    sequential: bool
    attributes: Attributes
    parts: dict[int, PartRecord]


class Completion(Struct, frozen=True):
    """
    What completing would make.

    Attributes:
        parts: Those that are listed.
        unlisted: Numbers of those that are not.
        md5: Of the body, where it is to be kept.
    """

    body: Body
    parts: tuple[PartRecord, ...]
    unlisted: tuple[int, ...]
    md5: str | None = None


def create(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    attributes: Attributes,
    *,
    now_ms: int,
    sequential: bool,
) -> UploadRecord:
    made = UploadRecord(
        bucket=bucket,
        key=key,
        upload_id=secrets.token_hex(16).upper(),
        initiated_ms=now_ms,
        sequential=sequential,
        attributes=attributes,
    )
    connection.execute(
        "INSERT INTO upload (bucket, key, upload_id, segset, initiated_ms, sequential, attributes)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            bucket_id(connection, bucket),
            key.encode(),
            made.upload_id,
            add_segset(connection),
            now_ms,
            int(sequential),
            encode_attributes(attributes),
        ),
    )
    return made


def to_record(bucket: str, row: Sequence[Any]) -> UploadRecord:
    """A row of `SELECT` as a value."""
    return UploadRecord(
        bucket=bucket,
        key=row[0].decode(),
        upload_id=row[1],
        initiated_ms=row[2],
        sequential=bool(row[3]),
        attributes=decode_attributes(row[4]),
    )


def head(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> UploadRecord:
    return to_record(bucket, _find(connection, bucket, key, upload_id))


def list_parts(
    connection: apsw.Connection, bucket: str, key: str, upload_id: str, *, after_number: int, limit: int
) -> PartPage:
    row = _find(connection, bucket, key, upload_id)
    parts = tuple(_parts(connection, row[5], after_number, limit + 1))
    shown = parts[:limit]
    return PartPage(
        upload=to_record(bucket, row),
        parts=shown,
        next_number=shown[-1].number if shown and len(parts) > limit else None,
    )


def put_part(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    upload_id: str,
    *,
    number: int,
    staged: LocalStagedBlob,
    now_ms: int,
) -> PartRecord:
    segset = _make_room(connection, bucket, key, upload_id, number)
    add_staged(connection, segset, number, staged, now_ms)
    return PartRecord(
        number=number,
        size_bytes=staged.size_bytes,
        etag=staged.etag,
        crc64=staged.crc64,
        modified_ms=now_ms,
    )


def put_pieces(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    upload_id: str,
    *,
    part: PartRecord,
    pieces: Sequence[Piece],
    source_segset: int | None,
) -> PartRecord | None:
    """Makes ranges of another object's blobs a part; None if that object's segment set is gone by now."""
    if source_segset is not None:
        held = connection.execute("SELECT 1 FROM segset WHERE id = ?", (source_segset,)).fetchone()
        if held is None:
            return None
    segset = _make_room(connection, bucket, key, upload_id, part.number)
    facts: tuple[Any, ...] = (part.size_bytes, part.etag, str(part.crc64), part.modified_ms)
    for index, piece in enumerate(pieces or (Piece(None, b"", 0, 0),)):
        connection.execute(
            "INSERT INTO segment (segset, number, piece, blob, offset, length, part_size, part_etag,"
            " part_crc64, part_ms, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                segset,
                part.number,
                index,
                piece.blob_id,
                piece.offset if piece.blob_id is not None else 0,
                piece.length,
                *(facts if index == 0 else (None,) * 4),
                piece.own_data(),
            ),
        )
    return part


def read(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> StoredUpload:
    """An upload and all its parts."""
    row = _find(connection, bucket, key, upload_id)
    parts = {part.number: part for part in _parts(connection, row[5], 0, MAX_PART_NUMBER)}
    return StoredUpload(
        segset=row[5],
        revision=row[6],
        sequential=bool(row[3]),
        attributes=decode_attributes(row[4]),
        parts=parts,
    )


def pieces(connection: apsw.Connection, segset: int, parts: Sequence[PartRecord]) -> Manifest:
    """Where the bytes of these parts are."""
    rows = connection.execute(
        "SELECT blob, data, offset, length FROM segment WHERE segset = ? AND number IN"
        " (SELECT value FROM json_each(?)) ORDER BY number, piece",
        (segset, msgspec.json.encode([part.number for part in parts]).decode()),
    )
    return Manifest(Piece(*piece) for piece in rows)


def plan_completion(
    upload_id: str, stored: StoredUpload, listed: Sequence[tuple[int, str]] | None
) -> Completion:
    """
    Judges a request to complete, and computes what the object will be.

    The ETag is MD5 over the parts' ETags as upper-case hex text, in upper-case hex, then ``-N``: checked
    against a recorded exchange with OSS. S3 takes the MD5 over the parts' binary digests instead.
    """
    if listed is None:
        listed = [(part.number, part.etag) for part in stored.parts.values()]
    if not listed:
        raise NoParts(upload_id)
    previous = 0
    for number, _ in listed:
        if number <= previous:
            raise PartOrderInvalid(upload_id, number)
        previous = number
    chosen = []
    for number, etag in listed:
        part = stored.parts.get(number)
        if part is None or part.etag != etag:
            raise PartInvalid(upload_id, number, etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size_bytes < MIN_PART_BYTES:
            raise PartTooSmall(upload_id, part.number, part.size_bytes, MIN_PART_BYTES)
    digest = md5("".join(part.etag for part in chosen).encode(), usedforsecurity=False)
    body = Body(
        kind=ObjectKind.MULTIPART,
        size_bytes=sum(part.size_bytes for part in chosen),
        etag=f"{digest.hexdigest().upper()}-{len(chosen)}",
        crc64=combine_all((part.crc64, part.size_bytes) for part in chosen),
        segset=stored.segset,
    )
    unlisted = stored.parts.keys() - {part.number for part in chosen}
    return Completion(body=body, parts=tuple(chosen), unlisted=tuple(unlisted))


def complete(
    connection: apsw.Connection,
    bucket: str,
    key: str,
    upload_id: str,
    *,
    stored: StoredUpload,
    completion: Completion,
    now_ms: int,
    acl: str | None,
    forbid_overwrite: bool,
) -> ObjectRecord | None:
    """Turns the upload into an object; None if its parts changed since ``stored`` was read."""
    row = _find(connection, bucket, key, upload_id)
    if row[6] != stored.revision:
        return None
    kept = stored.attributes
    made = publish(
        connection,
        bucket,
        key,
        completion.body,
        msgspec.structs.replace(kept, acl=kept.acl if acl is None else acl, md5=completion.md5),
        now_ms=now_ms,
        forbid_overwrite=forbid_overwrite,
    )
    if completion.unlisted:
        connection.execute(
            "DELETE FROM segment WHERE segset = ? AND number IN (SELECT value FROM json_each(?))",
            (stored.segset, msgspec.json.encode(completion.unlisted).decode()),
        )
    _remove(connection, bucket, key, upload_id)
    return made


def abort(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> None:
    _find(connection, bucket, key, upload_id)
    _remove(connection, bucket, key, upload_id)


def drop_parts(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> None:
    row = _find(connection, bucket, key, upload_id)
    connection.execute("DELETE FROM segment WHERE segset = ?", (row[5],))
    _touch(connection, bucket, key, upload_id)


def check_number(upload_id: str, number: int) -> None:
    """Raises `PartNumberInvalid`."""
    if not MIN_PART_NUMBER <= number <= MAX_PART_NUMBER:
        raise PartNumberInvalid(upload_id, number)


def _find(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(
        f"{SELECT} WHERE bucket = ? AND key = ? AND upload_id = ?",
        (bucket_id(connection, bucket), key.encode(), upload_id),
    ).fetchone()
    if row is None:
        raise UploadMissing(bucket, key, upload_id)
    return row


def _remove(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> None:
    connection.execute(
        "DELETE FROM upload WHERE bucket = ? AND key = ? AND upload_id = ?",
        (bucket_id(connection, bucket), key.encode(), upload_id),
    )


def _make_room(connection: apsw.Connection, bucket: str, key: str, upload_id: str, number: int) -> int:
    """Prepares an open upload for a part of this number; returns its segment set."""
    check_number(upload_id, number)
    row = _find(connection, bucket, key, upload_id)
    segset = int(row[5])
    if row[3]:
        last = connection.execute("SELECT max(number) FROM segment WHERE segset = ?", (segset,)).fetchone()
        expected = (last[0] or 0) + 1 if last else 1
        if number < expected:
            raise PartAlreadyExists(upload_id, number)
        if number > expected:
            raise PartNotSequential(upload_id, number, expected)
    connection.execute("DELETE FROM segment WHERE segset = ? AND number = ?", (segset, number))
    _touch(connection, bucket, key, upload_id)
    return segset


def _touch(connection: apsw.Connection, bucket: str, key: str, upload_id: str) -> None:
    """Makes what was read of the upload's parts before out of date."""
    connection.execute(
        "UPDATE upload SET revision = revision + 1 WHERE bucket = ? AND key = ? AND upload_id = ?",
        (bucket_id(connection, bucket), key.encode(), upload_id),
    )


def _parts(connection: apsw.Connection, segset: int, after_number: int, limit: int) -> list[PartRecord]:
    rows: list[Any] = connection.execute(
        "SELECT number, part_size, part_etag, part_crc64, part_ms FROM segment"
        " WHERE segset = ? AND number > ? AND piece = 0 ORDER BY number LIMIT ?",
        (segset, after_number, limit),
    ).fetchall()
    return [
        PartRecord(number=number, size_bytes=size, etag=etag, crc64=int(crc64), modified_ms=modified_ms)
        for number, size, etag, crc64, modified_ms in rows
    ]
