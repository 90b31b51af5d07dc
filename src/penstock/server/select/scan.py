"""
Carries a statement out over the bytes of an object.

Everything is an iterator that does a bounded amount of work for each item, so whoever asks for the next one
decides how fast it goes and when it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from enum import Enum
from typing import Protocol, TypeVar

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.server.select.counting import Counter, CsvCounter, JsonCounter, Open, Piece
from penstock.server.select.csv_records import CsvSource, Dialect, LineReader, field_splitter
from penstock.server.select.json_nodes import Node, NodeReader
from penstock.server.select.json_values import JsonRecord, JsonSource
from penstock.server.select.query import Query, Verdict
from penstock.server.select.ranges import RecordRange, Unit
from penstock.server.select.statement import Statement
from penstock.server.select.values import Mismatch
from penstock.server.select.writers import CsvWriter, JsonWriter

FLUSH_BYTES = 256 * 1024
"""So much of the answer is gathered at most before it is given out."""


class HeaderUse(Enum):
    """Whether the first line of a CSV object names its columns, and whether the statement may use that."""

    NONE = "none"
    IGNORE = "ignore"
    USE = "use"


class CsvJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a CSV object."""

    statement: Statement
    dialect: Dialect
    output: Dialect
    header: HeaderUse = HeaderUse.NONE
    range: RecordRange | None = None
    output_header: bool = False
    keep_all_columns: bool = False
    skip_partial: bool = False
    max_skipped: int = 0


class JsonJob(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a JSON object."""

    statement: Statement
    lines: bool
    output_delimiter: bytes = b"\n"
    range: RecordRange | None = None
    numbers_as_strings: bool = False
    skip_partial: bool = False
    max_skipped: int = 0


class _Scanner(Protocol):
    done: bool

    def feed(self, data: bytes) -> Iterator[bytes]: ...
    def finish(self) -> Iterator[bytes]: ...


def select_csv(job: CsvJob, open_object: Open) -> Iterator[Piece]:
    """
    The answer to a statement about a CSV object.

    Raises:
        ServiceError: The statement or the object is not in order; what was given before it stays right.
    """
    wanted = yield from _settled(job.range, CsvCounter(job.dialect), open_object)
    yield from _scanned(_CsvScanner(job, wanted), open_object)


def select_json(job: JsonJob, open_object: Open) -> Iterator[Piece]:
    """The answer to a statement about a JSON object; raises as `select_csv`."""
    wanted = yield from _settled(job.range, JsonCounter(), open_object)
    yield from _scanned(_JsonScanner(job, wanted), open_object)


def _settled(
    wanted: RecordRange | None, counter: Counter, open_object: Open
) -> Generator[Piece, None, RecordRange | None]:
    if wanted is None or not wanted.from_end:
        return wanted
    for offset, data in open_object():
        counter.feed(data)
        yield Piece(b"", offset)
    counter.finish()
    return wanted.settled(counter.count.rows, counter.count.splits)


def _scanned(scanner: _Scanner, open_object: Open) -> Iterator[Piece]:
    offset = 0
    for offset, data in open_object():
        for piece in scanner.feed(data):
            yield Piece(piece, offset)
        yield Piece(b"", offset)
        if scanner.done:
            break
    for piece in scanner.finish():
        yield Piece(piece, offset)


P = TypeVar("P")


class _Output:
    """Gathers records of the answer, so that they go out many at a time."""

    def __init__(self) -> None:
        self._records: list[bytes] = []
        self._size = 0

    def add(self, record: bytes) -> None:
        self._records.append(record)
        self._size += len(record)

    @property
    def is_full(self) -> bool:
        return self._size >= FLUSH_BYTES

    def take(self) -> bytes:
        data = b"".join(self._records)
        self._records, self._size = [], 0
        return data

    def of(
        self, take_in: Callable[[P], None], is_done: Callable[[], bool], pieces: list[P]
    ) -> Iterator[bytes]:
        """What becomes of pieces as they are taken in; all that came before a fault goes out before it."""
        try:
            for piece in pieces:
                take_in(piece)
                if self.is_full:
                    yield self.take()
                if is_done():
                    break
        except ServiceError:
            if left := self.take():
                yield left
            raise
        if left := self.take():
            yield left


class _CsvScanner:
    def __init__(self, job: CsvJob, wanted: RecordRange | None) -> None:
        self.done = False
        self._job = job
        self._range = wanted
        self._reader = LineReader(job.dialect)
        self._split = field_splitter(job.dialect)
        self._output = _Output()
        self._number = 0
        self._start = 0
        self._skipped = 0
        self._in_range = False
        self._query: Query | None = None
        self._writer: CsvWriter | None = None
        if job.header is not HeaderUse.USE:
            self._bind(None)
        self._header_to_come = job.header is not HeaderUse.NONE

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._output.of(self._record, lambda: self.done, self._reader.feed(data))

    def finish(self) -> Iterator[bytes]:
        if not self.done:
            yield from self._output.of(self._record, lambda: self.done, self._reader.finish())
        query, writer = self._bound()
        if self._range is not None and self._range.unit is Unit.BYTE and self._range.first:
            self._check_range()
        if query.aggregates:
            yield writer.values(query.results)

    def _check_range(self) -> None:
        if not self._in_range:
            raise fault("InvalidRange", message="No record begins within the range.", status=400)

    def _bind(self, header: list[bytes] | None) -> tuple[Query, CsvWriter]:
        job = self._job
        source = CsvSource(job.dialect, header, job.statement.alias)
        self._query = query = Query(job.statement, source, skip_partial=job.skip_partial)
        self._writer = CsvWriter(job.dialect, job.output, query.columns, keep_all=job.keep_all_columns)
        return query, self._writer

    def _bound(self) -> tuple[Query, CsvWriter]:
        if self._query is None or self._writer is None:
            return self._bind([])
        return self._query, self._writer

    def _record(self, line: bytes) -> None:
        job, number, start = self._job, self._number, self._start
        self._number += 1
        self._start += len(line) + len(job.dialect.record_delimiter)
        if job.dialect.comment and line.startswith(job.dialect.comment):
            return
        if self._header_to_come:
            self._take_header(line)
            return
        if self._range is not None and not self._range.holds(number, start):
            self.done = self._range.is_past(number, start)
            return
        self._in_range = True
        query, writer = self._bound()
        fields = self._split(line)
        verdict = query.judge(fields)
        if verdict is Verdict.WANTED and not query.aggregates:
            try:
                self._output.add(writer.record(line, fields))
            except Mismatch:
                verdict = Verdict.SKIPPED
        if verdict is Verdict.WANTED:
            if query.left is not None:
                query.left -= 1
                self.done = query.left == 0
        elif verdict is Verdict.SKIPPED:
            self._skip(number)

    def _take_header(self, line: bytes) -> None:
        self._header_to_come = False
        fields = self._split(line)
        if self._job.header is HeaderUse.USE:
            self._bind(fields)
        if self._job.output_header:
            self._output.add(self._bound()[1].header(line, fields))

    def _skip(self, number: int) -> None:
        self._skipped += 1
        if self._skipped > self._job.max_skipped:
            raise fault(
                "InvalidCsvLine",
                message=f"Line {number} does not fit the statement, and {self._skipped} such lines are too "
                "many.",
            )


class _JsonScanner:
    def __init__(self, job: JsonJob, wanted: RecordRange | None) -> None:
        self.done = False
        self._job = job
        self._range = wanted
        self._reader = NodeReader(job.statement.root, lines=job.lines)
        self._output = _Output()
        self._skipped = 0
        self._query, self.writer = bound_to_json(job)

    def feed(self, data: bytes) -> Iterator[bytes]:
        return self._output.of(self._node, lambda: self.done, self._reader.feed(data))

    def finish(self) -> Iterator[bytes]:
        if not self.done:
            yield from self._output.of(self._node, lambda: self.done, self._reader.finish())
        if self._query.aggregates:
            yield self.writer.values(self._query.results)

    def _node(self, node: Node) -> None:
        if self._range is not None and not self._range.holds(node.record, node.start):
            self.done = self._range.is_past(node.record, node.start)
            return
        record = JsonRecord(node.raw)
        record.check()
        query = self._query
        verdict = query.judge(record)
        if verdict is Verdict.WANTED and not query.aggregates:
            try:
                self._output.add(self.writer.record(record))
            except Mismatch:
                verdict = Verdict.SKIPPED
        if verdict is Verdict.WANTED:
            if query.left is not None:
                query.left -= 1
                self.done = query.left == 0
        elif verdict is Verdict.SKIPPED:
            self._skipped += 1
            if self._skipped > self._job.max_skipped:
                raise fault(
                    "InvalidJsonData",
                    message=f"Record {node.record} does not fit the statement, and {self._skipped} such "
                    "records are too many.",
                )


def bound_to_json(job: JsonJob) -> tuple[Query, JsonWriter]:
    """
    The statement of a job, and what writes its answer.

    Raises:
        ServiceError: The statement asks for what OSS does not do.
    """
    source = JsonSource(job.statement.alias, numbers_as_strings=job.numbers_as_strings)
    query = Query(job.statement, source, skip_partial=job.skip_partial)
    return query, JsonWriter(job.output_delimiter, query.columns)
