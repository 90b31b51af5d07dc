"""Statements carried out over bytes, for the tests of SelectObject."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from penstock.errors import ServiceError
from penstock.server.select.counting import Open, Piece
from penstock.server.select.csv_records import Dialect
from penstock.server.select.gunzip import Chunk
from penstock.server.select.parser import parse
from penstock.server.select.ranges import range_of
from penstock.server.select.scan import CsvJob, HeaderUse, JsonJob, select_csv, select_json


def opened(data: bytes, chunk_bytes: int) -> Open:
    """Reads these bytes in chunks of this size."""

    def read() -> Iterator[Chunk]:
        for start in range(0, len(data), chunk_bytes):
            end = min(start + chunk_bytes, len(data))
            yield end, data[start:end]

    return read


def from_csv(
    sql: str,
    data: bytes | str,
    *,
    header: str = "none",
    dialect: Dialect | None = None,
    output: Dialect | None = None,
    chunk_bytes: int = 1 << 16,
    range: str | None = None,
    **options: Any,
) -> bytes:
    """What a statement makes of CSV."""
    dialect = dialect or Dialect()
    job = CsvJob(
        statement=parse(sql),
        dialect=dialect,
        output=output or dialect,
        header=HeaderUse(header),
        range=range_of(range),
        **options,
    )
    return joined(select_csv(job, opened(_bytes(data), chunk_bytes)))


def from_json(
    sql: str,
    data: bytes | str,
    *,
    lines: bool = True,
    chunk_bytes: int = 1 << 16,
    range: str | None = None,
    **options: Any,
) -> bytes:
    """What a statement makes of JSON."""
    job = JsonJob(statement=parse(sql), lines=lines, range=range_of(range), **options)
    return joined(select_json(job, opened(_bytes(data), chunk_bytes)))


def joined(pieces: Iterator[Piece]) -> bytes:
    return b"".join(piece.data for piece in pieces)


def until_refused(pieces: Iterator[Piece]) -> tuple[bytes, str]:
    """What was given before an error, and its code; empty if there was none."""
    found = b""
    try:
        for piece in pieces:
            found += piece.data
    except ServiceError as error:
        return found, error.code
    return found, ""


def _bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data
