"""
CSV as RFC 4180 has it, with delimiters of one's own: bytes in pieces in, lines and fields out.

Fields keep the quotes that they have in the object, because that is how OSS gives them out again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.server.select import limits
from penstock.server.select.expressions import Column
from penstock.server.select.statement import Kind, Reference

_INDEX = re.compile(r"_([0-9]{1,9})")


class Dialect(msgspec.Struct, frozen=True):
    """
    How a CSV object is written.

    Attributes:
        quoted_delimiters: Whether a quoted field may hold a record delimiter.
        comment: What a line begins with that is none; empty if there is nothing of the kind.
    """

    record_delimiter: bytes = b"\n"
    field_delimiter: bytes = b","
    quote: bytes = b'"'
    comment: bytes = b""
    quoted_delimiters: bool = True


class LineReader:
    """
    Cuts bytes into lines, without their delimiters.

    A line goes on behind a record delimiter while it has an odd number of quotes.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._rest = b""
        self._begun: list[bytes] = []
        self._begun_bytes = 0
        self._found: list[bytes] = []
        self._error: ServiceError | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """
        The lines that these bytes complete.

        Raises:
            ServiceError: InvalidCsvLine for one that is too long, once those before it were given.
        """
        if self._error is not None:
            raise self._error
        lines = (self._rest + data).split(self._dialect.record_delimiter)
        self._rest = lines.pop()
        try:
            self._gather(lines)
            if len(self._rest) + self._begun_bytes > limits.MAX_CSV_BYTES:
                raise _too_long()
        except ServiceError as error:
            if not self._found:
                raise
            self._error = error
        return self._take()

    def finish(self) -> list[bytes]:
        """
        The last line, if it has no delimiter.

        Raises:
            ServiceError: InvalidCsvLine where a quoted field does not end.
        """
        if self._error is not None:
            raise self._error
        last, self._rest = self._rest, b""
        if last:
            self._gather([last])
        if self._begun:
            raise fault("InvalidCsvLine", message="A quoted field does not end.")
        return self._take()

    def _take(self) -> list[bytes]:
        found, self._found = self._found, []
        return found

    def _gather(self, lines: list[bytes]) -> None:
        dialect = self._dialect
        quote, comment, delimiter = dialect.quote, dialect.comment, dialect.record_delimiter
        for line in lines:
            open_quote = dialect.quoted_delimiters and line.count(quote) & 1
            if self._begun:
                self._begun.append(line)
                self._begun_bytes += len(line) + len(delimiter)
                if self._begun_bytes > limits.MAX_CSV_BYTES:
                    raise _too_long()
                if not open_quote:
                    continue
                line = delimiter.join(self._begun)
                self._begun, self._begun_bytes = [], 0
            elif open_quote and not (comment and line.startswith(comment)):
                self._begun.append(line)
                self._begun_bytes = len(line)
                continue
            if len(line) > limits.MAX_CSV_BYTES:
                raise _too_long()
            self._found.append(line)


def _too_long() -> ServiceError:
    return fault("InvalidCsvLine", message=f"A line has more than {limits.MAX_CSV_BYTES:,} bytes.")


def field_splitter(dialect: Dialect) -> Callable[[bytes], list[bytes]]:
    """
    A function that gives the fields of a line, with their quotes.

    It raises ServiceError InvalidCsvLine for a line whose quotes make no sense.
    """
    delimiter, quote = dialect.field_delimiter, dialect.quote
    q, d = re.escape(quote), re.escape(delimiter)
    # Where lines end with \r\n, but only \n was said to delimit them, the last field may be quoted too.
    whole = rb"%b[^%b]*+(?:%b%b[^%b]*+)*+%b\r?+" % (q, q, q, q, q, q)
    field = re.compile(rb"(%b|(?!%b)[^%b]*+)(%b|\Z)" % (whole, q, d, d), re.DOTALL)

    def split(line: bytes) -> list[bytes]:
        if quote not in line:
            return line.split(delimiter)
        fields = []
        at, more = 0, True
        while more:
            match = field.match(line, at)
            if match is None:
                raise fault("InvalidCsvLine", message=f"The line {line[:100]!r} is not valid CSV.")
            fields.append(match[1])
            at, more = match.end(), bool(match[2])
        return fields

    return split


def unquoted(field: bytes, quote: bytes) -> bytes:
    """What a field says."""
    if not field.startswith(quote):
        return field
    return field[1 : field.rindex(quote)].replace(quote + quote, quote)


def quoted(text: bytes, quote: bytes, special: tuple[bytes, ...]) -> bytes:
    """A field that says this, in quotes if it holds anything special."""
    if not any(one in text for one in special):
        return text
    return quote + text.replace(quote, quote + quote) + quote


class CsvSource:
    """
    The columns of a CSV object.

    Args:
        header: The fields of its first line, where columns may be called by them; else None.
        alias: Another name of the table.
    """

    def __init__(self, dialect: Dialect, header: list[bytes] | None, alias: str | None) -> None:
        self._quote = dialect.quote
        self._alias = alias
        self._positions: dict[str, int] = {}
        for position, name in enumerate(header or ()):
            text = _text(unquoted(name, dialect.quote)).removeprefix("\ufeff").strip()
            self._positions.setdefault(text.lower(), position)

    def column(self, reference: Reference) -> Column:
        """The column that is meant; names are the same in upper and lower case."""
        position = self._position(reference)
        quote = self._quote

        def evaluate(fields: list[bytes]) -> str | None:
            if position >= len(fields):
                return None
            field = fields[position]
            return _text(unquoted(field, quote) if field.startswith(quote) else field)

        return Column(position, Kind.COLUMN, evaluate, lambda fields: position >= len(fields))

    def _position(self, reference: Reference) -> int:
        first, *rest = reference.steps
        if rest and len(rest) == 1 and isinstance(rest[0], str) and self._is_table(first):
            first, rest = rest[0], []
        if rest or not isinstance(first, str):
            raise fault("NestedColumnNotSupportInCsv")
        index = _INDEX.fullmatch(first)
        if index is not None:
            if not 1 <= int(index[1]) <= limits.MAX_COLUMNS:
                raise fault("SqlInvalidColumnIndex")
            return int(index[1]) - 1
        position = self._positions.get(first.lower())
        if position is None:
            raise fault("SqlInvalidColumnName", message=f"There is no column {first[:100]!r}.")
        return position

    def _is_table(self, name: Any) -> bool:
        return name == self._alias or str(name).lower() == "ossobject"


def _text(field: bytes) -> str:
    try:
        return field.decode()
    except UnicodeDecodeError:
        raise fault("InvalidTextEncoding") from None
