"""
SQL over one object: the request read, the object opened, the records framed.

The first piece of work is done before the answer begins, so that a statement or an object that is wrong from
its beginning is refused like any other request. What goes wrong later stands in the end frame; without frames
the connection is cut.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, Final

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.protocol.operations import select as wire
from penstock.protocol.select_frames import (
    ContinuousFrame,
    DataFrame,
    EndFrame,
    MetaEndFrame,
    encode,
)
from penstock.server.call import Call, Handler, Reply
from penstock.server.handlers.reading import opened_for_reading
from penstock.server.http.response import StreamedBody
from penstock.server.http.stream import StreamLost
from penstock.server.select import limits
from penstock.server.select.counting import Counter, CsvCounter, JsonCounter, Open, Piece, counted
from penstock.server.select.csv_records import Dialect
from penstock.server.select.gunzip import Chunk, gunzipped
from penstock.server.select.parser import parse
from penstock.server.select.ranges import RecordRange, byte_range_of, range_of
from penstock.server.select.scan import (
    CsvJob,
    HeaderUse,
    JsonJob,
    bound_to_json,
    select_csv,
    select_json,
)
from penstock.server.select.statement import Statement
from penstock.server.store.interface import OpenObject

CHUNK_BYTES: Final = 128 * 1024
"""So much of an object is looked at before others have their turn."""

QUIET_S: Final = 5.0
"""After so long without records a continuous frame says that the work goes on."""


def select_csv_object(call: Call[wire.SelectCsvObject]) -> Reply:
    asked = call.asked.body
    statement, output = _statement(asked), asked.output or wire.Output()
    given = (asked.input or wire.Input()).csv or wire.CsvFormat()
    if statement.root:
        raise fault("TableRootNodeOnlySupportInJson")
    packed = _is_packed(asked.input)
    dialect = _dialect(given, asked.input)
    job = CsvJob(
        statement=statement,
        dialect=dialect,
        output=_output_dialect(dialect, output.csv or wire.OutputFormat()),
        header=_header_use(given.header),
        range=_csv_range(call.asked, given, dialect, packed=packed),
        output_header=bool(output.header),
        keep_all_columns=bool(output.keep_all_columns),
        skip_partial=_skips_partial(asked),
        max_skipped=_max_skipped(asked),
    )
    return _selected(call, lambda open_object: select_csv(job, open_object), packed=packed)


def select_json_object(call: Call[wire.SelectJsonObject]) -> Reply:
    asked = call.asked.body
    statement, output = _statement(asked), asked.output or wire.Output()
    given = (asked.input or wire.Input()).json or wire.JsonFormat()
    lines = _is_lines(given)
    packed = _is_packed(asked.input)
    if call.asked.range:
        raise fault("InvalidRange", message="JSON objects have no ranges of bytes.", status=400)
    wanted = range_of(given.range)
    if wanted is not None and not lines:
        raise fault("InvalidRange", message="Only JSON LINES have ranges.", status=400)
    if wanted is not None and packed:
        raise fault("SelectCsvMetaUnavailable")
    job = JsonJob(
        statement=statement,
        lines=lines,
        output_delimiter=_json_delimiter(output),
        range=wanted,
        numbers_as_strings=bool(given.numbers_as_strings),
        skip_partial=_skips_partial(asked),
        max_skipped=_max_skipped(asked),
    )
    _, writer = bound_to_json(job)
    return _selected(
        call,
        lambda open_object: select_json(job, open_object),
        packed=packed,
        duplicate_keys=writer.has_duplicate_keys,
    )


def create_select_csv_meta(call: Call[wire.CreateSelectCsvMeta]) -> Reply:
    given = call.asked.body.input or wire.Input()
    _refuse_packed(given)
    counter = CsvCounter(_dialect(given.csv or wire.CsvFormat(), given))
    return _counted(call, counter, lambda: counter.count.columns)


def create_select_json_meta(call: Call[wire.CreateSelectJsonMeta]) -> Reply:
    given = call.asked.body.input or wire.Input()
    _refuse_packed(given)
    if not _is_lines(given.json or wire.JsonFormat()):
        raise fault("InvalidArgument", ArgumentName="Type", ArgumentValue="DOCUMENT")
    return _counted(call, JsonCounter(), lambda: None)


# -- what is asked


def _statement(asked: wire.Selection) -> Statement:
    output = asked.output or wire.Output()
    if output.raw and output.payload_crc:
        raise fault("InvalidOSSSelectParameters")
    text = (asked.expression or "").strip()
    try:
        sql = base64.b64decode("".join(text.split()), validate=True).decode()
    except (binascii.Error, ValueError):
        raise fault("InvalidSqlParameter") from None
    if not sql.strip():
        raise fault("InvalidSqlParameter", message="The SQL statement is empty.")
    if len(sql.encode()) > limits.MAX_SQL_BYTES:
        raise fault(
            "InvalidSqlParameter",
            message=f"The SQL statement is longer than {limits.MAX_SQL_BYTES:,} bytes.",
        )
    return parse(sql)


def _decoded(text: str | None, most_bytes: int, code: str) -> bytes | None:
    """The bytes of a delimiter; None if it is not given."""
    if text is None or not text.strip():
        return None
    try:
        found = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        raise fault(code) from None
    if not 1 <= len(found) <= most_bytes:
        raise fault(code)
    return found


def _dialect(given: wire.CsvFormat, around: wire.Input | None) -> Dialect:
    allowed = given.quoted_record_delimiters
    if allowed is None and around is not None:
        allowed = around.quoted_record_delimiters
    return Dialect(
        record_delimiter=_decoded(given.record_delimiter, 2, "InvalidInputRecordDelimiter") or b"\n",
        field_delimiter=_decoded(given.field_delimiter, 1, "InvalidInputFieldDelimiter") or b",",
        quote=_decoded(given.quote, 1, "InvalidInputQuote") or b'"',
        comment=_decoded(given.comment, 1, "InvalidCommentCharacter") or b"",
        quoted_delimiters=allowed is not False,
    )


def _output_dialect(dialect: Dialect, given: wire.OutputFormat) -> Dialect:
    """Delimiters of the answer: where nothing else is said, those of the object."""
    record = _decoded(given.record_delimiter, 2, "InvalidOutputRecordDelimiter")
    field = _decoded(given.field_delimiter, 1, "InvalidOutputFieldDelimiter")
    return Dialect(
        record_delimiter=record or dialect.record_delimiter,
        field_delimiter=field or dialect.field_delimiter,
        quote=dialect.quote,
    )


def _json_delimiter(output: wire.Output) -> bytes:
    given = output.json or output.csv or wire.OutputFormat()
    return _decoded(given.record_delimiter, 2, "InvalidOutputRecordDelimiter") or b"\n"


def _header_use(text: str | None) -> HeaderUse:
    word = (text or "").strip().lower() or "none"
    try:
        return HeaderUse(word)
    except ValueError:
        raise fault("InvalidArgument", ArgumentName="FileHeaderInfo", ArgumentValue=word[:100]) from None


def _csv_range(
    asked: wire.SelectCsvObject, given: wire.CsvFormat, dialect: Dialect, *, packed: bool
) -> RecordRange | None:
    wanted, of_bytes = range_of(given.range), byte_range_of(asked.range)
    if of_bytes is not None:
        if wanted is not None or dialect.quoted_delimiters or packed:
            raise fault(
                "InvalidRange",
                message="A range of bytes needs AllowQuotedRecordDelimiter to be false, and no other range.",
                status=400,
            )
        return of_bytes
    if wanted is not None and packed:
        raise fault("SelectCsvMetaUnavailable")
    return wanted


def _is_lines(given: wire.JsonFormat) -> bool:
    word = (given.type or "").strip().upper()
    if word not in ("LINES", "DOCUMENT"):
        raise fault("InvalidArgument", ArgumentName="Type", ArgumentValue=word[:100])
    return word == "LINES"


def _is_packed(given: wire.Input | None) -> bool:
    word = ((given.compression if given is not None else None) or "").strip().upper()
    if word not in ("", "NONE", "GZIP"):
        raise fault("UnsupportedCompressionFormat")
    return word == "GZIP"


def _refuse_packed(given: wire.Input) -> None:
    if _is_packed(given):
        raise fault("UnsupportedCompressionFormat")


def _skips_partial(asked: wire.Selection) -> bool:
    return asked.options is not None and bool(asked.options.skip_partial)


def _max_skipped(asked: wire.Selection) -> int:
    text = ((asked.options.max_skipped if asked.options is not None else None) or "0").strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise fault("InvalidMaxSkippedRecordsAllowed")
    return int(text)


# -- what is answered


def _selected(
    call: Call[Any], select: Callable[[Open], Iterator[Piece]], *, packed: bool, duplicate_keys: bool = False
) -> Reply:
    raw = bool((call.asked.body.output or wire.Output()).raw)
    opened = opened_for_reading(call, call.asked.version_id)
    try:
        pieces = _begun(select(lambda: _chunks(opened, packed=packed)))
        answer = _raw(pieces) if raw else _framed(call, pieces)
        result = wire.SelectObjectResult(raw=raw, duplicate_keys=duplicate_keys or None)
    except BaseException:
        opened.close()
        raise
    return _streamed(call, opened, result, answer)


def _counted(call: Call[Any], counter: Counter, columns: Callable[[], int | None]) -> Reply:
    opened = opened_for_reading(call, call.asked.version_id)
    try:
        pieces = _begun(counted(counter, lambda: _chunks(opened, packed=False)))

        def end(offset: int, error: ServiceError | None) -> bytes:
            found = counter.count
            status, message = _ending(error)
            return encode(MetaEndFrame(offset, offset, status, found.splits, found.rows, columns(), message))

        answer = _with_end(call, pieces, end)
    except BaseException:
        opened.close()
        raise
    return _streamed(call, opened, wire.SelectObjectResult(), answer)


def _streamed(
    call: Call[Any], opened: OpenObject, result: wire.SelectObjectResult, answer: Iterator[bytes]
) -> Reply:
    return Reply(
        result,
        headers={"content-type": "application/octet-stream"},
        body=StreamedBody(answer, opened.close),
        chunked=call.http.takes_chunks,
    )


def _begun(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces, the first of which is there already. Raises what making it raises."""
    first = next(pieces, None)
    return pieces if first is None else itertools.chain((first,), pieces)


def _raw(pieces: Iterator[Piece]) -> Iterator[bytes]:
    try:
        for piece in pieces:
            yield piece.data
    except ServiceError as error:
        # Without frames an answer that does not end is all that tells of it.
        raise StreamLost(error.message) from error


def _framed(call: Call[Any], pieces: Iterator[Piece]) -> Iterator[bytes]:
    def end(offset: int, error: ServiceError | None) -> bytes:
        status, message = _ending(error)
        return encode(EndFrame(offset, offset, status, message))

    return _with_end(call, pieces, end)


def _with_end(
    call: Call[Any], pieces: Iterator[Piece], end: Callable[[int, ServiceError | None], bytes]
) -> Iterator[bytes]:
    """The frames of an answer, the last of which says how it ended."""
    clock = call.service.clock
    offset, error = 0, None
    spoke_s = clock()
    try:
        for piece in pieces:
            offset = piece.offset
            if piece.data:
                spoke_s = clock()
                yield encode(DataFrame(offset, piece.data))
            elif clock() - spoke_s >= QUIET_S:
                spoke_s = clock()
                yield encode(ContinuousFrame(offset))
            else:
                yield b""
    except ServiceError as raised:
        error = raised
    yield end(offset, error)


def _ending(error: ServiceError | None) -> tuple[int, str]:
    return (200, "") if error is None else (error.status, f"{error.code}.{error.message}")


def _chunks(opened: OpenObject, *, packed: bool) -> Iterator[Chunk]:
    chunks = _read(opened)
    return gunzipped(chunks, CHUNK_BYTES) if packed else chunks


def _read(opened: OpenObject) -> Iterator[Chunk]:
    """All of an object, a bounded piece at a time."""
    end = 0
    for segment in opened.segments():
        at, last = segment.offset, segment.offset + segment.length
        while at < last:
            size = min(CHUNK_BYTES, last - at)
            if segment.file is None:
                data = segment.data[at : at + size]
            else:
                data = os.pread(segment.file.fileno(), size, at)
            if not data:
                raise fault("InternalError")
            at += len(data)
            end += len(data)
            yield end, data


HANDLERS: dict[type, Handler] = {
    wire.SelectCsvObject: select_csv_object,
    wire.SelectJsonObject: select_json_object,
    wire.CreateSelectCsvMeta: create_select_csv_meta,
    wire.CreateSelectJsonMeta: create_select_json_meta,
}
