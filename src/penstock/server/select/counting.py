"""Counts what an object holds: for CreateSelectObjectMeta, and for ranges that are counted from the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from penstock.server.select.csv_records import Dialect, LineReader, field_splitter
from penstock.server.select.gunzip import Chunk
from penstock.server.select.json_nodes import Node, NodeReader
from penstock.server.select.json_values import JsonRecord
from penstock.server.select.ranges import split_of

Open = Callable[[], Iterator[Chunk]]
"""Begins to read an object."""


class Piece(NamedTuple):
    """Some of the answer, perhaps nothing, and how far the object was read for it."""

    data: bytes
    offset: int


class Count(NamedTuple):
    """What an object holds; ``columns`` is that of the widest row."""

    rows: int
    columns: int
    splits: int


class Counter(Protocol):
    """Counts what is in an object."""

    @property
    def count(self) -> Count:
        """What was found so far."""

    def feed(self, data: bytes) -> None:
        """Takes the next bytes. Raises ServiceError if they are not what they should be."""

    def finish(self) -> None:
        """Nothing more comes; raises as `feed`."""


class CsvCounter:
    """A `Counter` of lines; comments are lines too."""

    def __init__(self, dialect: Dialect) -> None:
        self._delimiter_bytes = len(dialect.record_delimiter)
        self._reader = LineReader(dialect)
        self._split = field_splitter(dialect)
        self._rows = self._columns = self._start = self._splits = 0

    @property
    def count(self) -> Count:
        return Count(self._rows, self._columns, self._splits)

    def feed(self, data: bytes) -> None:
        self._take(self._reader.feed(data))

    def finish(self) -> None:
        self._take(self._reader.finish())

    def _take(self, lines: list[bytes]) -> None:
        for line in lines:
            self._rows += 1
            self._columns = max(self._columns, len(self._split(line)))
            self._splits = split_of(self._start) + 1
            self._start += len(line) + self._delimiter_bytes


class JsonCounter:
    """A `Counter` of values one after the other."""

    def __init__(self) -> None:
        self._reader = NodeReader((), lines=True)
        self._splits = 0

    @property
    def count(self) -> Count:
        return Count(self._reader.records, 0, self._splits)

    def feed(self, data: bytes) -> None:
        self._take(self._reader.feed(data))

    def finish(self) -> None:
        self._take(self._reader.finish())

    def _take(self, nodes: list[Node]) -> None:
        for node in nodes:
            JsonRecord(node.raw).check()
            self._splits = split_of(node.start) + 1


def counted(counter: Counter, open_object: Open) -> Iterator[Piece]:
    """Counts what an object holds; gives nothing but how far it got. Raises ServiceError."""
    for offset, data in open_object():
        counter.feed(data)
        yield Piece(b"", offset)
    counter.finish()
