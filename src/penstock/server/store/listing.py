"""Pages of objects and of uploads: in the order of the keys' bytes, seeking past what is rolled up."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import apsw

from penstock.server.store import uploads, versions
from penstock.server.store.buckets import BucketPlace, find_bucket
from penstock.server.store.records import NULL_VERSION, ObjectPage, UploadPage, VersionPage

Row = tuple[Any, ...]
Seek = Callable[[bytes], apsw.Cursor]


def list_objects(
    connection: apsw.Connection, bucket: str, *, prefix: str, delimiter: str, start_after: str, limit: int
) -> ObjectPage:
    place, low, high, marker = _bounds(connection, bucket, prefix, start_after)

    def seek(first: bytes) -> apsw.Cursor:
        return connection.execute(
            f"{versions.SELECT} WHERE bucket = ? AND key >= ? AND key < ?"
            " AND latest = 1 AND kind <> 'marker' ORDER BY key",
            (place.number, first, high),
        )

    rows, groups, last = _collect(
        seek(low), seek, prefix=prefix.encode(), delimiter=delimiter.encode(), marker=marker, limit=limit
    )
    return ObjectPage(
        objects=tuple(versions.to_record(place, row) for row in rows),
        common_prefixes=tuple(group.decode() for group in groups),
        next_marker=_key(last).decode() if last is not None else None,
    )


def list_versions(
    connection: apsw.Connection,
    bucket: str,
    *,
    prefix: str,
    delimiter: str,
    key_marker: str,
    version_id_marker: str,
    limit: int,
) -> VersionPage:
    place, low, high, marker = _bounds(connection, bucket, prefix, key_marker)

    def seek(first: bytes, below_vseq: int | None = None) -> apsw.Cursor:
        """All versions from a key on, and of that key itself, if a limit is given, only those below it."""
        chosen = "bucket = ?1 AND key >= ?2 AND key < ?3 AND (?4 IS NULL OR key > ?2 OR vseq < ?4)"
        return connection.execute(
            f"{versions.SELECT} WHERE {chosen} AND latest = 1 UNION ALL"
            f" {versions.SELECT} WHERE {chosen} AND latest = 0 ORDER BY key, vseq DESC",
            (place.number, first, high, below_vseq),
        )

    start = seek(low)
    if version_id_marker and marker >= prefix.encode():
        # A version that is gone leaves no trace of its place; what is below it must not be left out.
        start = seek(marker, _vseq(connection, place, marker, version_id_marker))
    rows, groups, last = _collect(
        start, seek, prefix=prefix.encode(), delimiter=delimiter.encode(), marker=marker, limit=limit
    )
    records = tuple(versions.to_record(place, row) for row in rows)
    return VersionPage(
        versions=records,
        common_prefixes=tuple(group.decode() for group in groups),
        next_key_marker=_key(last).decode() if last is not None else None,
        next_version_id_marker=(last[1] or NULL_VERSION) if isinstance(last, tuple) else "",
    )


def _vseq(connection: apsw.Connection, place: BucketPlace, key: bytes, version_id: str) -> int | None:
    """The place of a version among those of its key, or None if it is gone."""
    wanted = None if version_id == NULL_VERSION else version_id
    row: Any = connection.execute(
        "SELECT vseq FROM object WHERE bucket = ?1 AND key = ?2 AND latest = 1 AND version_id IS ?3 UNION ALL"
        " SELECT vseq FROM object WHERE bucket = ?1 AND key = ?2 AND latest = 0 AND version_id IS ?3",
        (place.number, key, wanted),
    ).fetchone()
    return None if row is None else int(row[0])


def list_uploads(
    connection: apsw.Connection,
    bucket: str,
    *,
    prefix: str,
    delimiter: str,
    key_marker: str,
    upload_id_marker: str,
    limit: int,
) -> UploadPage:
    place, low, high, marker = _bounds(connection, bucket, prefix, key_marker)

    def seek(first: bytes) -> apsw.Cursor:
        return connection.execute(
            f"{uploads.SELECT} WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key, upload_id",
            (place.number, first, high),
        )

    start = seek(low)
    if upload_id_marker and marker >= prefix.encode():
        start = connection.execute(
            f"{uploads.SELECT} WHERE bucket = ?1 AND key < ?4 AND (key, upload_id) > (?2, ?3)"
            " ORDER BY key, upload_id",
            (place.number, marker, upload_id_marker, high),
        )
    rows, groups, last = _collect(
        start, seek, prefix=prefix.encode(), delimiter=delimiter.encode(), marker=marker, limit=limit
    )
    return UploadPage(
        uploads=tuple(uploads.to_record(bucket, row) for row in rows),
        common_prefixes=tuple(group.decode() for group in groups),
        next_key_marker=_key(last).decode() if last is not None else None,
        next_upload_id_marker=last[1] if isinstance(last, tuple) else "",
    )


def _bounds(
    connection: apsw.Connection, bucket: str, prefix: str, marker: str
) -> tuple[BucketPlace, bytes, bytes, bytes]:
    """The bucket, first key to look at, first key beyond the prefix, and the marker."""
    start, after = prefix.encode(), marker.encode()
    return (
        find_bucket(connection, bucket),
        max(start, after + b"\0" if after else b""),
        successor(start),
        after,
    )


def successor(prefix: bytes) -> bytes:
    """The first byte string after all that begin with ``prefix``; no byte of UTF-8 is 0xff."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else b"\xff"


def _key(entry: Row | bytes) -> bytes:
    return entry if isinstance(entry, bytes) else bytes(entry[0])


def _collect(
    rows: apsw.Cursor, seek: Seek, *, prefix: bytes, delimiter: bytes, marker: bytes, limit: int
) -> tuple[list[Row], list[bytes], Row | bytes | None]:
    """Up to ``limit`` rows and common prefixes together, and the last of them if there are more."""
    found: list[Row] = []
    groups: list[bytes] = []
    last: Row | bytes | None = None
    while True:
        beyond = None
        with closing(rows):
            for row in rows:
                cut = row[0].find(delimiter, len(prefix)) if delimiter else -1
                group = row[0][: cut + len(delimiter)] if cut >= 0 else None
                if group is not None and group <= marker:
                    beyond = successor(group)
                    break
                if len(found) + len(groups) >= limit:
                    return found, groups, last
                if group is not None:
                    groups.append(group)
                    last, beyond = group, successor(group)
                    break
                found.append(row)
                last = row
        if beyond is None:
            return found, groups, None
        rows = seek(beyond)
