"""
What the lifecycle rules of a bucket do, without the rules: each call is given a moment and a choice.

Candidates are looked up by a reader, so that no writer waits, and then a batch of them goes in one
transaction, which looks at each again: what was overwritten, completed or deleted meanwhile is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct, field

from penstock.server.store import versions
from penstock.server.store.buckets import bucket_id
from penstock.server.store.listing import successor
from penstock.server.store.writer import ReaderPool, Writer

BATCH: Final = 100
"""How many rows share a transaction at most; other writers wait for as long as that takes."""

_TAGGED: Final = (
    "NOT EXISTS (SELECT 1 FROM json_each(:tags) AS wanted WHERE NOT EXISTS (SELECT 1 FROM"
    " json_each(attributes, '$.tags') AS tag WHERE tag.key = wanted.key AND tag.value = wanted.value))"
)
_HIDES_SOMETHING: Final = (
    "EXISTS (SELECT 1 FROM object AS old"
    " WHERE old.bucket = object.bucket AND old.key = object.key AND old.latest = 0)"
)
_EXPIRED: Final = f"latest = 1 AND kind <> 'marker' AND modified_ms < :before AND {_TAGGED}"
_SUPERSEDED: Final = f"latest = 0 AND superseded_ms < :before AND {_TAGGED}"
_LONE_MARKER: Final = f"latest = 1 AND kind = 'marker' AND modified_ms < :before AND NOT {_HIDES_SOMETHING}"

Row = tuple[Any, bytes]
Remove = Callable[[apsw.Connection, list[Row]], None]


class Chore(Struct, frozen=True):
    """
    One kind of row to be removed.

    Attributes:
        find: A query of id and key that goes through a range of keys, in order.
        still: The same for one id and key.
    """

    find: str
    still: str


def _chore_of_objects(condition: str) -> Chore:
    rows = "SELECT id, key FROM object"
    in_range = "bucket = :bucket AND key >= :first AND key < :beyond"
    return Chore(
        f"{rows} WHERE {in_range} AND {condition} ORDER BY key LIMIT :limit",
        f"{rows} WHERE id = :id AND +bucket = :bucket AND +key = :key AND {condition}",
    )


EXPIRED: Final = _chore_of_objects(_EXPIRED)
SUPERSEDED: Final = _chore_of_objects(_SUPERSEDED)
LONE_MARKERS: Final = _chore_of_objects(_LONE_MARKER)
FORGOTTEN_UPLOADS: Final = Chore(
    "SELECT upload_id, key FROM upload WHERE bucket = :bucket AND key >= :first AND key < :beyond"
    " AND initiated_ms < :before ORDER BY key LIMIT :limit",
    "SELECT upload_id, key FROM upload WHERE bucket = :bucket AND key = :key AND upload_id = :id"
    " AND initiated_ms < :before",
)


class Choice(Struct, frozen=True):
    """
    What a rule is about.

    Attributes:
        before_ms: Only what has been as it is since before this moment, in milliseconds since 1970.
        prefix: Only keys that begin with it.
        tags: Only objects that carry all of these.
    """

    bucket: str
    before_ms: int
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)


def expire_objects(readers: ReaderPool, writer: Writer, choice: Choice, *, now_ms: int) -> int:
    """Deletes objects by their age, as a DeleteObject without a version would; returns how many."""

    def remove(connection: apsw.Connection, rows: list[Row]) -> None:
        targets = [(key.decode(), None) for _, key in rows]
        versions.delete(connection, choice.bucket, targets, now_ms=now_ms)

    return _remove_all(readers, writer, choice, EXPIRED, remove)


def expire_versions(readers: ReaderPool, writer: Writer, choice: Choice) -> int:
    """Removes versions, markers too, by the time since when they are not the latest; returns how many."""
    return _remove_all(readers, writer, choice, SUPERSEDED, _remove_rows)


def remove_lone_markers(readers: ReaderPool, writer: Writer, choice: Choice) -> int:
    """Removes delete markers that hide nothing any more; returns how many."""
    return _remove_all(readers, writer, choice, LONE_MARKERS, _remove_rows)


def abort_uploads(readers: ReaderPool, writer: Writer, choice: Choice) -> int:
    """Aborts uploads by their age; returns how many."""

    def remove(connection: apsw.Connection, rows: list[Row]) -> None:
        bucket = bucket_id(connection, choice.bucket)
        connection.executemany(
            "DELETE FROM upload WHERE bucket = ? AND key = ? AND upload_id = ?",
            [(bucket, key, upload_id) for upload_id, key in rows],
        )

    return _remove_all(readers, writer, choice, FORGOTTEN_UPLOADS, remove)


def _remove_rows(connection: apsw.Connection, rows: list[Row]) -> None:
    connection.executemany("DELETE FROM object WHERE id = ?", [(row_id,) for row_id, _ in rows])


def _remove_all(readers: ReaderPool, writer: Writer, choice: Choice, chore: Chore, remove: Remove) -> int:
    """Does a chore, a batch at a time; what is removed is not found again."""
    removed = 0
    first = choice.prefix.encode()
    while rows := readers.run(f"looking through {choice.bucket}", partial(_find, choice, chore, first)):
        removed += writer.run(f"tidying {choice.bucket}", partial(_remove_those, choice, chore, remove, rows))
        first = rows[-1][1]
    return removed


def _find(choice: Choice, chore: Chore, first: bytes, connection: apsw.Connection) -> list[Row]:
    """The next batch from a key on."""
    beyond = successor(choice.prefix.encode())
    values = _values(connection, choice) | {"first": first, "beyond": beyond, "limit": BATCH}
    rows: list[Any] = connection.execute(chore.find, values).fetchall()
    return rows


def _remove_those(
    choice: Choice, chore: Chore, remove: Remove, rows: list[Row], connection: apsw.Connection
) -> int:
    """Removes those rows that are still to be removed; returns how many."""
    values = _values(connection, choice)
    still = [
        (row_id, key)
        for row_id, key in rows
        if connection.execute(chore.still, values | {"id": row_id, "key": key}).fetchone() is not None
    ]
    remove(connection, still)
    return len(still)


def _values(connection: apsw.Connection, choice: Choice) -> dict[str, Any]:
    return {
        "bucket": bucket_id(connection, choice.bucket),
        "before": choice.before_ms,
        "tags": msgspec.json.encode(dict(choice.tags)).decode(),
    }
