"""
SQL over the records of one object, and what a scan of all of them finds.

SQL text and delimiters travel in Base64; here they are as they travel, because OSS has an error of its own
for each of them that is not.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from penstock.protocol.marks import Element, Header, XmlBody
from penstock.protocol.operation import ObjectRequest, Operation, Result, Scope
from penstock.protocol.operations.headers import VersionQuery


class CsvFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How the rows of a CSV object are told apart. ``range`` is ``line-range=0-9`` or ``split-range=0-9``."""

    header: Annotated[str | None, Element("FileHeaderInfo")] = None
    record_delimiter: Annotated[str | None, Element("RecordDelimiter")] = None
    field_delimiter: Annotated[str | None, Element("FieldDelimiter")] = None
    quote: Annotated[str | None, Element("QuoteCharacter")] = None
    comment: Annotated[str | None, Element("CommentCharacter")] = None
    range: Annotated[str | None, Element("Range")] = None
    quoted_record_delimiters: Annotated[bool | None, Element("AllowQuotedRecordDelimiter")] = None


class JsonFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a JSON object is one ``DOCUMENT``, or ``LINES`` of them."""

    type: Annotated[str | None, Element("Type")] = None
    range: Annotated[str | None, Element("Range")] = None
    numbers_as_strings: Annotated[bool | None, Element("ParseJsonNumberAsString")] = None


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What the object is. Some senders allow quoted delimiters here instead of within `CsvFormat`."""

    compression: Annotated[str | None, Element("CompressionType")] = None
    csv: Annotated[CsvFormat | None, Element("CSV")] = None
    json: Annotated[JsonFormat | None, Element("JSON")] = None
    quoted_record_delimiters: Annotated[bool | None, Element("AllowQuotedRecordDelimiter")] = None


class OutputFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Delimiters of the answer; by default those of the object."""

    record_delimiter: Annotated[str | None, Element("RecordDelimiter")] = None
    field_delimiter: Annotated[str | None, Element("FieldDelimiter")] = None


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer is to be."""

    csv: Annotated[OutputFormat | None, Element("CSV")] = None
    json: Annotated[OutputFormat | None, Element("JSON")] = None
    keep_all_columns: Annotated[bool | None, Element("KeepAllColumns")] = None
    raw: Annotated[bool | None, Element("OutputRawData")] = None
    payload_crc: Annotated[bool | None, Element("EnablePayloadCrc")] = None
    header: Annotated[bool | None, Element("OutputHeader")] = None


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with records that do not fit."""

    skip_partial: Annotated[bool | None, Element("SkipPartialDataRecord")] = None
    max_skipped: Annotated[str | None, Element("MaxSkippedRecordsAllowed")] = None


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """An SQL statement and the forms of what goes in and what comes out."""

    expression: Annotated[str | None, Element("Expression")] = None
    input: Annotated[Input | None, Element("InputSerialization")] = None
    output: Annotated[Output | None, Element("OutputSerialization")] = None
    options: Annotated[Options | None, Element("Options")] = None


class SelectObject(ObjectRequest, frozen=True, kw_only=True):
    """Read those records of an object that an SQL statement wants."""

    body: Annotated[Selection, XmlBody("SelectRequest")]
    version_id: VersionQuery = None


class SelectCsvObject(SelectObject, frozen=True, kw_only=True):
    """`SelectObject` for CSV. ``range`` begins at bytes, where no quoted field holds a record delimiter."""

    range: Annotated[str | None, Header("range")] = None


class SelectJsonObject(SelectObject, frozen=True, kw_only=True):
    """`SelectObject` for JSON."""

    range: Annotated[str | None, Header("range")] = None


class SelectObjectResult(Result, frozen=True, kw_only=True):
    """What comes before the records. ``raw`` is False where they come in frames."""

    raw: Annotated[bool | None, Header("x-oss-select-output-raw")] = None
    duplicate_keys: Annotated[bool | None, Header("x-oss-select-output-json-dup-key")] = None


class MetaRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the object is; with ``overwrite`` what is known of it already does not count."""

    input: Annotated[Input | None, Element("InputSerialization")] = None
    overwrite: Annotated[bool | None, Element("OverwriteIfExists")] = None


class CreateSelectCsvMeta(ObjectRequest, frozen=True, kw_only=True):
    """Count the rows, columns and splits of a CSV object."""

    body: Annotated[MetaRequest, XmlBody("CsvMetaRequest")]
    version_id: VersionQuery = None


class CreateSelectJsonMeta(ObjectRequest, frozen=True, kw_only=True):
    """Count the records and splits of an object of JSON lines."""

    body: Annotated[MetaRequest, XmlBody("JsonMetaRequest")]
    version_id: VersionQuery = None


def _operation(name: str, request: type[ObjectRequest], process: str, status: int) -> Operation:
    return Operation(
        name,
        "POST",
        Scope.OBJECT,
        request,
        SelectObjectResult,
        marks=(("x-oss-process", process),),
        body="xml",
        answer="stream",
        status=status,
    )


OPERATIONS = (
    _operation("SelectObject", SelectCsvObject, "csv/select", 206),
    _operation("SelectObject", SelectJsonObject, "json/select", 206),
    _operation("CreateSelectObjectMeta", CreateSelectCsvMeta, "csv/meta", 200),
    _operation("CreateSelectObjectMeta", CreateSelectJsonMeta, "json/meta", 200),
)
