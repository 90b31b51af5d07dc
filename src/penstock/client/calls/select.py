"""SQL over the records of one object, carried out by OSS."""

from __future__ import annotations

import base64

import msgspec

from penstock.client.calls.caller import Caller
from penstock.client.calls.options import byte_range
from penstock.client.calls.select_body import SelectBody
from penstock.errors import InvalidInput, MalformedResponse
from penstock.protocol.operation import ObjectRequest
from penstock.protocol.operations import select as wire
from penstock.protocol.select_frames import MetaEndFrame

Range = tuple[int | None, int | None]


class CsvInput(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a CSV object looks like.

    Attributes:
        header: ``none``: the first line is a record; ``use``: it names the columns; ``ignore``: it does, but
            columns are called ``_1``, ``_2`` all the same.
        record_delimiter: One or two characters.
        field_delimiter, quote: One character.
        comment: What a line begins with that is no record; None if there is nothing of the kind.
        quoted_record_delimiters: Whether a quoted field may hold a record delimiter. False for a range of
            bytes.
        gzip: Whether the object is compressed.
        lines: First and last line that are looked at, from 0; ``(None, 10)`` are the last 10.
        splits: First and last split, likewise. OSS wants `create_select_object_meta` before either.
    """

    header: str = "none"
    record_delimiter: str = "\n"
    field_delimiter: str = ","
    quote: str = '"'
    comment: str | None = None
    quoted_record_delimiters: bool = True
    gzip: bool = False
    lines: Range | None = None
    splits: Range | None = None


class JsonInput(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a JSON object looks like.

    Attributes:
        document: True if the object is one JSON value; False if it is many, one after the other.
        numbers_as_strings: True keeps all digits that numbers are written with.
        gzip: Whether the object is compressed.
        lines: First and last record that are looked at, from 0; ``(None, 10)`` are the last 10.
        splits: First and last split, likewise. OSS wants `create_select_object_meta` before either.
    """

    document: bool = False
    numbers_as_strings: bool = False
    gzip: bool = False
    lines: Range | None = None
    splits: Range | None = None


class SelectMeta(msgspec.Struct, frozen=True, kw_only=True):
    """What an object holds; ``columns`` is None for JSON."""

    rows: int
    splits: int
    columns: int | None
    scanned_bytes: int


_CSV = CsvInput()


class SelectCalls(Caller):
    """SelectObject and what belongs to it."""

    def select_object(
        self,
        bucket: str,
        key: str,
        expression: str,
        *,
        input: CsvInput | JsonInput = _CSV,
        output_record_delimiter: str | None = None,
        output_field_delimiter: str | None = None,
        output_header: bool = False,
        keep_all_columns: bool = False,
        skip_partial_records: bool = False,
        max_skipped_records: int = 0,
        start: int | None = None,
        end: int | None = None,
        version_id: str | None = None,
    ) -> SelectBody:
        """
        Read those records of an object that an SQL statement wants, such as
        ``select name from ossobject where cast(age as int) > 40``.

        Args:
            input: What the object looks like.
            output_record_delimiter, output_field_delimiter: Of the answer; by default those of the object.
            output_header: True begins with the names of the columns (CSV).
            keep_all_columns: True leaves the columns that were not selected empty instead of out (CSV).
            skip_partial_records: True leaves out records that lack what the statement names; otherwise it is
                null.
            max_skipped_records: How many records may be left out, for that or because they do not fit the
                statement. One more is an error.
            start, end: Only records that begin from byte ``start`` up to but not including ``end`` (CSV whose
                quoted fields hold no record delimiter).

        Returns:
            A body to read, open until it is closed or read to its end.

        Raises:
            ServiceError: The statement or the object is not in order. When OSS finds that later, reading
                raises it, and what was read before is not all. And as every call.

        Example:
            with client.select_object("logs", "a.csv", "select _1 from ossobject limit 10") as body:
                print(body.read().decode())
        """
        if max_skipped_records < 0:
            raise InvalidInput(f"{max_skipped_records} records cannot be left out")
        output_format = wire.OutputFormat(
            record_delimiter=_packed_or_none(output_record_delimiter, 2, "the record delimiter"),
            field_delimiter=_packed_or_none(output_field_delimiter, 1, "the field delimiter"),
        )
        is_json = isinstance(input, JsonInput)
        body = wire.Selection(
            expression=base64.b64encode(expression.encode()).decode(),
            input=_input(input),
            output=wire.Output(
                csv=None if is_json else output_format,
                json=output_format if is_json else None,
                keep_all_columns=keep_all_columns,
                raw=False,
                payload_crc=True,
                header=output_header,
            ),
            options=wire.Options(skip_partial=skip_partial_records, max_skipped=str(max_skipped_records)),
        )
        kind = wire.SelectJsonObject if is_json else wire.SelectCsvObject
        request = kind(bucket=bucket, key=key, body=body, range=byte_range(start, end), version_id=version_id)
        return self._select(request, f"SelectObject oss://{bucket}/{key}")

    def create_select_object_meta(
        self,
        bucket: str,
        key: str,
        *,
        input: CsvInput | JsonInput = _CSV,
        overwrite: bool = False,
        version_id: str | None = None,
    ) -> SelectMeta:
        """
        Count the rows, columns and splits of an object; OSS keeps the result for ranges of `select_object`.

        Args:
            input: What the object looks like; only the delimiters count.
            overwrite: True counts anew.

        Raises:
            ServiceError: The object is not what ``input`` says. And as every call.
        """
        plain = msgspec.structs.replace(input, lines=None, splits=None)
        kind = wire.CreateSelectJsonMeta if isinstance(input, JsonInput) else wire.CreateSelectCsvMeta
        request = kind(
            bucket=bucket,
            key=key,
            body=wire.MetaRequest(input=_input(plain), overwrite=overwrite),
            version_id=version_id,
        )
        what = f"CreateSelectObjectMeta oss://{bucket}/{key}"
        with self._select(request, what) as body:
            body.read()
            found = body.ending
        if not isinstance(found, MetaEndFrame):
            raise MalformedResponse(f"{what} was answered without a count", request_sent=True)
        return SelectMeta(
            rows=found.rows,
            splits=found.splits,
            columns=found.columns,
            scanned_bytes=found.scanned_bytes,
        )

    def _select(self, request: ObjectRequest, what: str) -> SelectBody:
        latch = self._requester.latch()
        try:
            response, result = self._requester.open(request, wire.SelectObjectResult, latch)
        except BaseException:
            latch.close()
            raise
        return SelectBody(response, result, latch, what=what)


def _input(given: CsvInput | JsonInput) -> wire.Input:
    compression = "GZIP" if given.gzip else "None"
    span = _range(given.lines, given.splits)
    if isinstance(given, JsonInput):
        form = wire.JsonFormat(
            type="DOCUMENT" if given.document else "LINES",
            range=span,
            numbers_as_strings=given.numbers_as_strings,
        )
        return wire.Input(compression=compression, json=form)
    if given.header not in ("none", "use", "ignore"):
        raise InvalidInput(
            f"a header cannot be taken as {given.header!r}", advice="Use 'none', 'use' or 'ignore'."
        )
    csv = wire.CsvFormat(
        header=given.header.capitalize(),
        record_delimiter=_packed(given.record_delimiter, 2, "the record delimiter"),
        field_delimiter=_packed(given.field_delimiter, 1, "the field delimiter"),
        quote=_packed(given.quote, 1, "the quote character"),
        comment=_packed_or_none(given.comment, 1, "the comment character"),
        range=span,
        quoted_record_delimiters=given.quoted_record_delimiters,
    )
    return wire.Input(compression=compression, csv=csv)


def _packed_or_none(text: str | None, most: int, what: str) -> str | None:
    return None if text is None else _packed(text, most, what)


def _packed(text: str, most: int, what: str) -> str:
    """In Base64, as delimiters travel."""
    data = text.encode()
    if not 1 <= len(data) <= most:
        raise InvalidInput(f"{what} cannot be {text!r}", advice=f"OSS takes 1 to {most} bytes.")
    return base64.b64encode(data).decode()


def _range(lines: Range | None, splits: Range | None) -> str | None:
    if lines is not None and splits is not None:
        raise InvalidInput("a range counts either lines or splits")
    unit, span = ("line", lines) if lines is not None else ("split", splits)
    if span is None:
        return None
    first, last = span
    numbers = [one for one in span if one is not None]
    if not numbers or min(numbers) < 0 or (first is not None and last is not None and last < first):
        raise InvalidInput(
            f"the range from {first} to {last} holds nothing", advice="Both ends are included."
        )
    return f"{unit}-range={'' if first is None else first}-{'' if last is None else last}"
