"""SelectObject over CSV: rows and fields against the csv module, ranges, delimiters, what is refused."""

from __future__ import annotations

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selections import from_csv, joined, opened, until_refused

from penstock.errors import ServiceError
from penstock.server.select import limits
from penstock.server.select.counting import CsvCounter, counted
from penstock.server.select.csv_records import Dialect, LineReader, field_splitter, unquoted
from penstock.server.select.gunzip import gunzipped
from penstock.server.select.parser import parse
from penstock.server.select.ranges import byte_range_of, range_of
from penstock.server.select.scan import CsvJob, select_csv

FIELDS = st.text(st.sampled_from('ab,"\n\r |\u4e2d'), max_size=6)
TABLES = st.lists(st.lists(FIELDS, min_size=1, max_size=4).filter(lambda row: row != [""]), max_size=6)


def written(table: list[list[str]], delimiter: str = ",", end: str = "\n") -> str:
    """A table as the csv module writes it."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=end).writerows(table)
    return out.getvalue()


def lines_of(data: bytes, dialect: Dialect, chunk_bytes: int) -> list[bytes]:
    reader = LineReader(dialect)
    found = []
    for _, chunk in opened(data, chunk_bytes)():
        found += reader.feed(chunk)
    return found + reader.finish()


@given(TABLES, st.sampled_from([",", "|", "a"]), st.sampled_from(["\n", "\r\n"]), st.integers(1, 20))
def test_fields_are_those_that_the_csv_module_wrote(
    table: list[list[str]], delimiter: str, end: str, chunk_bytes: int
) -> None:
    dialect = Dialect(record_delimiter=end.encode(), field_delimiter=delimiter.encode())
    split = field_splitter(dialect)
    lines = lines_of(written(table, delimiter, end).encode(), dialect, chunk_bytes)
    assert [[unquoted(field, b'"').decode() for field in split(line)] for line in lines] == table


@given(TABLES, st.sampled_from("|;"), st.integers(1, 20))
def test_an_answer_with_other_delimiters_is_the_same_table(
    table: list[list[str]], delimiter: str, chunk_bytes: int
) -> None:
    output = Dialect(record_delimiter=b"\r\n", field_delimiter=delimiter.encode())
    found = from_csv("select * from ossobject", written(table), output=output, chunk_bytes=chunk_bytes)
    again = csv.reader(io.StringIO(found.decode(), newline=""), delimiter=delimiter, strict=True)
    assert list(again) == table


@given(st.binary(max_size=60), st.integers(1, 30))
def test_whatever_the_bytes_are_they_are_lines_or_refused_however_they_are_cut(data: bytes, cut: int) -> None:
    whole = until_refused(select_csv(_job("select * from ossobject"), opened(data, 1 << 16)))
    in_pieces = until_refused(select_csv(_job("select * from ossobject"), opened(data, cut)))
    assert in_pieces == whole


def _job(sql: str, dialect: Dialect | None = None, **options: object) -> CsvJob:
    dialect = dialect or Dialect()
    return CsvJob(statement=parse(sql), dialect=dialect, output=dialect, **options)  # type: ignore[arg-type]


# -- what comes out


def test_fields_keep_the_quotes_that_they_have() -> None:
    data = 'a,"b, c","d ""e"""\n'
    assert from_csv("select * from ossobject", data) == data.encode()
    assert from_csv("select _3, _2 from ossobject", data) == b'"d ""e""","b, c"\n'
    assert from_csv("select _1 from ossobject where _2 = 'b, c' and _3 = 'd \"e\"'", data) == b"a\n"


def test_the_delimiters_of_the_answer_are_those_of_the_object_unless_others_are_asked_for() -> None:
    dialect = Dialect(record_delimiter=b"\n\n", field_delimiter=b"|")
    data = "abc,def|123,456|789\n\n777|999,222|012"
    found = from_csv("select _2,_3 from ossobject", data, dialect=dialect)
    assert found == b"123,456|789\n\n999,222|012\n\n"


def test_missing_columns_are_empty_or_the_row_is_skipped() -> None:
    data = "abc,def\nefg\nhij,klm\n"
    assert from_csv("select _1, _2 from ossobject", data) == b"abc,def\nefg,\nhij,klm\n"
    assert (
        from_csv("select _1, _2 from ossobject", data, skip_partial=True, max_skipped=1)
        == b"abc,def\nhij,klm\n"
    )
    job = _job("select _1, _2 from ossobject", skip_partial=True)
    found = until_refused(select_csv(job, opened(data.encode(), 100)))
    assert found == (b"abc,def\n", "InvalidCsvLine")


def test_all_columns_keep_their_places_if_that_is_asked_for() -> None:
    data = "a,b,c,d\n"
    assert from_csv("select _4, _1 from ossobject", data, keep_all_columns=True) == b"a,,,d\n"
    assert from_csv("select cast(_6 as int) from ossobject", data, keep_all_columns=True) == b",,,,,\n"
    for sql, code in (
        ("select count(*) from ossobject", "SqlInvalidKeepAllColumnsWithAggregation"),
        ("select _1, _1 from ossobject", "SqlInvalidKeepAllColumnsWithDuplicateColumn"),
    ):
        with pytest.raises(ServiceError) as caught:
            from_csv(sql, data, keep_all_columns=True)
        assert caught.value.code == code


def test_the_header_names_columns_and_comes_back_if_asked_for() -> None:
    data = '\ufeffname,"full, job"\r\nabc,def\r\n'
    dialect = Dialect(record_delimiter=b"\r\n")
    options = {"dialect": dialect, "output_header": True}
    assert from_csv("select NAME from ossobject", data[1:], header="use", **options) == b"name\r\nabc\r\n"
    assert from_csv("select o.name from ossobject o", data, header="use", dialect=dialect) == b"abc\r\n"
    assert (
        from_csv("select _2, _1 as n, _3 from ossobject", data[1:], header="ignore", **options)
        == b'"full, job",n,_3\r\ndef,abc,\r\n'
    )
    assert from_csv("select * from ossobject", data[1:], header="ignore", **options) == data[1:].encode()
    with pytest.raises(ServiceError) as caught:
        from_csv("select name from ossobject", data, header="ignore")
    assert caught.value.code == "SqlInvalidColumnName"


def test_comments_are_no_records_whatever_quotes_they_have() -> None:
    data = 'a\n#"b\nc\n'
    assert from_csv("select * from ossobject", data, dialect=Dialect(comment=b"#")) == b"a\nc\n"


@pytest.mark.parametrize(
    ("range", "expected"),
    [
        ("line-range=1-2", "b\nc\n"),
        ("line-range=3-", "d\ne\n"),
        ("line-range=-2", "d\ne\n"),
        ("line-range=-99", "a\nb\nc\nd\ne\n"),
        ("line-range=9-", ""),
        ("split-range=0-0", "a\nb\nc\nd\ne\n"),
        ("split-range=1-", ""),
        ("split-range=-1", "a\nb\nc\nd\ne\n"),
    ],
)
def test_ranges_count_lines_and_splits_from_either_end(range: str, expected: str) -> None:
    for chunk_bytes in (1, 100):
        found = from_csv("select * from ossobject", "a\nb\nc\nd\ne", range=range, chunk_bytes=chunk_bytes)
        assert found.decode() == expected


def test_the_header_is_a_line_of_ranges_too() -> None:
    found = from_csv("select h from ossobject", "h\na\nb\nc\n", header="use", range="line-range=0-2")
    assert found == b"a\nb\n"
    found = from_csv("select h from ossobject", "h\na\nb\nc\n", header="use", range="line-range=2-2")
    assert found == b"b\n"


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.integers(1, 40))
def test_ranges_of_bytes_that_cover_an_object_give_each_record_once(numbers: list[int], size: int) -> None:
    data = "".join(f"{number}\n" for number in numbers).encode()
    dialect = Dialect(quoted_delimiters=False)
    found = b""
    for start in range(0, len(data), size):
        wanted = byte_range_of(f"bytes={start}-{start + size - 1}")
        job = _job("select * from ossobject", dialect, range=wanted)
        output, code = until_refused(select_csv(job, opened(data, 16)))
        assert code == ("" if output else "InvalidRange")
        found += output
    assert found == data


@pytest.mark.parametrize("text", ["line-range=2-1", "line-range=-", "lines=1-2", "line-range=a-b", "1-2"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ServiceError) as caught:
        range_of(text)
    assert (caught.value.code, caught.value.status) == ("InvalidRange", 400)


# -- what is refused


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ('a,"b\n' * 3, "InvalidCsvLine"),
        ('"a"b,c\n', "InvalidCsvLine"),
        ("a" * (limits.MAX_CSV_BYTES + 1) + "\n", "InvalidCsvLine"),
        ("a" * (limits.MAX_CSV_BYTES + 1), "InvalidCsvLine"),
        ('"' + "a\n" * limits.MAX_CSV_BYTES, "InvalidCsvLine"),
        (b"\xff\n", "InvalidTextEncoding"),
    ],
    ids=["open quote", "text after a quote", "long line", "endless line", "endless field", "not UTF-8"],
)
def test_what_is_no_csv_is_refused_after_what_was_good(data: str | bytes, code: str) -> None:
    bad = data if isinstance(data, bytes) else data.encode()
    job = _job("select _1 from ossobject where _1 != 'x'")
    assert until_refused(select_csv(job, opened(b"good\n" + bad, 1 << 14))) == (b"good\n", code)


def test_one_line_cannot_become_an_answer_without_bounds() -> None:
    data = "a" * 200_000 + "\n"
    sql = f"select {','.join(['_1'] * 100)} from ossobject"
    job = _job(sql)
    assert until_refused(select_csv(job, opened(data.encode(), 1 << 16))) == (b"", "OutputExceedsMaxSize")


def test_an_answer_is_given_out_before_it_is_large() -> None:
    data = b"0123456789\n" * 10_000
    job = _job(f"select {','.join(['_1'] * 50)} from ossobject")
    sizes = [len(piece.data) for piece in select_csv(job, opened(data, 1 << 17))]
    assert max(sizes) < 600_000
    assert sum(sizes) == 10_000 * 50 * 11


def test_a_limit_ends_the_scan() -> None:
    read = []

    def endless() -> object:
        end = 0
        while True:
            end += 4
            read.append(end)
            yield end, b"a\nb\n"

    found = joined(select_csv(_job("select * from ossobject limit 3"), endless))  # type: ignore[arg-type]
    assert found == b"a\nb\na\n"
    assert read == [4, 8]


# -- counting, unpacking


def test_rows_columns_and_splits_are_counted() -> None:
    counter = CsvCounter(Dialect())
    joined(counted(counter, opened(b'a,b\n"c\nd",e,f\n#g', 3)))
    assert counter.count == (3, 3, 1)
    many = CsvCounter(Dialect())
    joined(counted(many, opened(b"a,b\n" * (limits.SPLIT_BYTES // 2), 1 << 18)))
    assert many.count == (limits.SPLIT_BYTES // 2, 2, 2)
    assert CsvCounter(Dialect()).count == (0, 0, 0)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.integers(1, 50), st.integers(1, 50))
def test_what_was_packed_is_unpacked_however_it_is_cut(parts: list[bytes], cut: int, most: int) -> None:
    packed = b"".join(gzip.compress(part) for part in parts) + bytes(3)
    pieces = [piece for _, piece in gunzipped(opened(packed, cut)(), most)]
    assert b"".join(pieces) == b"".join(parts)
    assert max(map(len, pieces), default=0) <= most


@pytest.mark.parametrize(
    "data",
    [b"", b"plain text", gzip.compress(b"abc" * 100, mtime=0)[:-5]],
    ids=["nothing", "not packed", "cut short"],
)
def test_what_is_not_packed_or_not_whole_is_refused(data: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        list(gunzipped(opened(data, 10)(), 100))
    assert caught.value.code == "DecompressFailure"


def test_a_bomb_is_unpacked_one_bounded_piece_at_a_time() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    pieces = gunzipped(opened(bomb, 1 << 17)(), 1 << 17)
    assert [len(next(pieces)[1]) for _ in range(10)] == [1 << 17] * 10
