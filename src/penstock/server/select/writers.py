"""The records of the answer: CSV from CSV, JSON lines from JSON."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from penstock.protocol.error_table import fault
from penstock.server.select import limits
from penstock.server.select.csv_records import Dialect, quoted
from penstock.server.select.json_values import JsonRecord, compact
from penstock.server.select.logic import Evaluate
from penstock.server.select.values import text_of


@dataclass(frozen=True, slots=True)
class OutputColumn:
    """
    A column of the answer.

    Attributes:
        name: The alias, or what the object calls it; empty if there is none.
        key: The column of the object that it is made of; None if it is made of none.
        evaluate: Gives the value, where it is calculated.
        calculated: False for a column that goes out as it came in.
    """

    name: str
    key: Hashable | None
    evaluate: Evaluate
    calculated: bool = False


class CsvWriter:
    """
    Writes lines of CSV.

    Args:
        dialect: Of the object.
        output: Delimiters of the answer.
        columns: None for all of them, as they are.
        keep_all: Whether those that are not selected leave an empty place.
    """

    def __init__(
        self,
        dialect: Dialect,
        output: Dialect,
        columns: Sequence[OutputColumn] | None,
        *,
        keep_all: bool,
    ) -> None:
        self._output = output
        self._columns = columns
        self._same = (dialect.field_delimiter, dialect.quote, dialect.record_delimiter) == (
            output.field_delimiter,
            output.quote,
            output.record_delimiter,
        )
        self._quote = dialect.quote
        self._special = (output.field_delimiter, output.record_delimiter, output.quote, b"\r", b"\n")
        self._by_position: dict[int, OutputColumn] | None = None
        if keep_all and columns is not None:
            self._by_position = _by_position(columns)

    def record(self, line: bytes, fields: list[bytes]) -> bytes:
        """The line for a record. Raises ServiceError OutputExceedsMaxSize, or `Mismatch`."""
        if self._columns is None:
            return self.whole(line, fields)
        if self._by_position is not None:
            width = max(len(fields), max(self._by_position) + 1)
            return self._line(
                [
                    self._cell(self._by_position[at], fields) if at in self._by_position else b""
                    for at in range(width)
                ]
            )
        return self._line([self._cell(one, fields) for one in self._columns])

    def header(self, line: bytes, fields: list[bytes]) -> bytes:
        """The line of names, where the first line of the object is ``line``."""
        if self._columns is None or self._by_position is not None:
            return self.whole(line, fields)
        names = []
        for number, one in enumerate(self._columns, 1):
            at = one.key
            if one.name or not isinstance(at, int) or at >= len(fields):
                name = one.name or f"_{number}"
                names.append(quoted(name.encode(), self._output.quote, self._special))
            else:
                names.append(self._as_it_is(fields[at]))
        return self._line(names)

    def values(self, values: Sequence[Any]) -> bytes:
        """The line for what was calculated from all records."""
        return self._line([text_of(one).encode() for one in values])

    def whole(self, line: bytes, fields: list[bytes]) -> bytes:
        """A line with all that it has."""
        if self._same:
            return line + self._output.record_delimiter
        return self._line([self._as_it_is(one) for one in fields])

    def _cell(self, column: OutputColumn, fields: list[bytes]) -> bytes:
        at = column.key
        if isinstance(at, int) and not column.calculated:
            return self._as_it_is(fields[at]) if at < len(fields) else b""
        return quoted(text_of(column.evaluate(fields)).encode(), self._output.quote, self._special)

    def _as_it_is(self, field: bytes) -> bytes:
        if self._same or field.startswith(self._quote):
            return field
        return quoted(field, self._output.quote, self._special)

    def _line(self, cells: list[bytes]) -> bytes:
        if sum(map(len, cells)) > limits.MAX_OUTPUT_BYTES:
            raise fault("OutputExceedsMaxSize")
        return self._output.field_delimiter.join(cells) + self._output.record_delimiter


def _by_position(columns: Sequence[OutputColumn]) -> dict[int, OutputColumn]:
    found: dict[int, OutputColumn] = {}
    for one in columns:
        if not isinstance(one.key, int):
            raise fault("SqlInvalidKeepAllColumnsWithAggregation")
        if one.key in found:
            raise fault("SqlInvalidKeepAllColumnsWithDuplicateColumn")
        found[one.key] = one
    return found


class JsonWriter:
    """
    Writes JSON, one object after the other.

    Args:
        delimiter: Stands behind each.
        columns: None for all of a node, as it is.
    """

    def __init__(self, delimiter: bytes, columns: Sequence[OutputColumn] | None) -> None:
        self._delimiter = delimiter
        self._columns = columns
        self._keys = [json.dumps(one.name, ensure_ascii=False).encode() for one in columns or ()]

    @property
    def has_duplicate_keys(self) -> bool:
        """Whether two columns have the same name."""
        return len(set(self._keys)) < len(self._keys)

    def record(self, record: JsonRecord) -> bytes:
        """The object for a record. Raises ServiceError OutputExceedsMaxSize, or `Mismatch`."""
        if self._columns is None:
            raw = compact(record.raw)
            return (raw if raw.startswith(b"{") else b'{"_1":%b}' % raw) + self._delimiter
        members = []
        size = 0
        for key, column in zip(self._keys, self._columns, strict=True):
            if isinstance(column.key, tuple) and not column.calculated:
                raw_value = record.find(column.key)
                value = None if raw_value is None else compact(raw_value)
            else:
                calculated = column.evaluate(record)
                value = None if calculated is None else json_text(calculated)
            if value is not None:
                members.append(b"%b:%b" % (key, value))
                size += len(members[-1])
                if size > limits.MAX_OUTPUT_BYTES:
                    raise fault("OutputExceedsMaxSize")
        return b"{" + b",".join(members) + b"}" + self._delimiter

    def values(self, values: Sequence[Any]) -> bytes:
        """The object for what was calculated from all records."""
        members = [b"%b:%b" % (key, json_text(one)) for key, one in zip(self._keys, values, strict=True)]
        return b"{" + b",".join(members) + b"}" + self._delimiter


def json_text(value: Any) -> bytes:
    """A calculated value as JSON."""
    if value is None:
        return b"null"
    if isinstance(value, bool | int | float | Decimal) or not isinstance(value, str | datetime):
        return text_of(value).encode()
    return json.dumps(text_of(value), ensure_ascii=False).encode("utf-8", "surrogatepass")
