"""The SQL of SelectObject: what is understood, what is refused, and with which of OSS's errors."""

from __future__ import annotations

import re
import string
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selections import from_csv, from_json

from penstock.errors import ServiceError
from penstock.protocol.error_table import ERROR_CODES
from penstock.server.select.parser import parse
from penstock.server.select.patterns import matcher
from penstock.server.select.statement import ANY, Kind, Literal, Logical, Projection, Reference
from penstock.server.select.timestamps import timestamp_of
from penstock.server.select.values import Mismatch, calculate, int_of, number_of

PEOPLE = "name,company,age\nLora,Staples,27\nEleanor,Conectiv,43\nRosie,Western,44\nLaw?rence,MetLife,24\n"


def rows(where: str, data: str = PEOPLE, **options: object) -> list[str]:
    """The first column of what a condition wants."""
    found = from_csv(f"select _1 from ossobject where {where}", data, header="use", **options)  # type: ignore[arg-type]
    return found.decode().splitlines()


# -- parsing


def test_a_statement_is_taken_apart() -> None:
    found = parse("SELECT s.a.b[0]['x y'], key AS k FROM OSSObject.objects[*] AS s WHERE true LIMIT 5")
    assert found.projections == (
        Projection(Reference(("s", "a", "b", 0, "x y"))),
        Projection(Reference(("key",)), "k"),
    )
    assert found.root == ("objects", ANY)
    assert (found.alias, found.limit) == ("s", 5)
    assert found.condition == Literal(Kind.BOOL, True, "true")


def test_and_binds_more_than_or_and_not_more_than_both() -> None:
    found = parse("select * from ossobject where not _1 = 1 and _2 = 2 or _3 = 3").condition
    assert isinstance(found, Logical)
    assert found.operator == "or"
    assert isinstance(found.items[0], Logical)
    assert found.items[0].operator == "and"


def test_a_quote_that_is_left_over_at_the_end_does_not_count() -> None:
    assert parse("select _1 from ossobject'") == parse("select _1 from ossobject")


def test_of_several_aliases_the_last_counts() -> None:
    assert parse("select a as b as c from ossobject").projections == (Projection(Reference(("a",)), "c"),)


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", "SqlSyntaxError"),
        ("select", "SqlSyntaxError"),
        ("select from ossobject", "SqlSyntaxError"),
        ("select * from s3object", "SqlSyntaxError"),
        ("select _1 || _2 from ossobject", "SqlSyntaxError"),
        ("select _1 + 1 from ossobject", "SqlSyntaxError"),
        ("select 1 from ossobject", "SqlSyntaxError"),
        ("select count(_1) from ossobject", "SqlSyntaxError"),
        ("select * from ossobject group by _1", "SqlSyntaxError"),
        ("select * from ossobject order by _1", "SqlSyntaxError"),
        ("select * from ossobject a join ossobject b on a._1 = b._1", "SqlSyntaxError"),
        ("select * from ossobject where avg(cast(_1 as int)) > 1", "SqlSyntaxError"),
        ("select * from ossobject where _1 = 'open", "SqlSyntaxError"),
        ("select * from ossobject where _1", "SqlSyntaxError"),
        ("select * from ossobject where _1 = 1; drop", "SqlSyntaxError"),
        ("select upper(_1) from ossobject", "SqlSyntaxError"),
        ("select cast(_1 as blob) from ossobject", "SqlSyntaxError"),
        ("select * from ossobject limit 0", "SqlInvalidLimitValue"),
        ("select * from ossobject limit -1", "SqlInvalidLimitValue"),
        ("select *, _1 from ossobject", "SqlInvalidMixOfStarAndColumn"),
        ("select _1, * from ossobject", "SqlInvalidMixOfStarAndColumn"),
        ("select _1, count(*) from ossobject", "SqlInvalidMixOfAggregationAndColumn"),
        ("select max(_1) from ossobject", "SqlAggregationOnNonNumericType"),
        ("select max(cast(_1 as string)) from ossobject", "SqlAggregationOnNonNumericType"),
        ("select sum(cast(_1 as timestamp)) from ossobject", "SqlInvalidAggregationOnTimestamp"),
        ("select _0 from ossobject", "SqlInvalidColumnIndex"),
        ("select _1001 from ossobject", "SqlInvalidColumnIndex"),
        ("select name from ossobject", "SqlInvalidColumnName"),
        ("select a.b.c from ossobject", "NestedColumnNotSupportInCsv"),
        ("select _1[0] from ossobject", "NestedColumnNotSupportInCsv"),
        (f"select {'a' * 1025} from ossobject", "SqlExceedsMaxColumnNameLength"),
        ("select * from ossobject where _1 in (1, 'a')", "SqlValueTypeOfInMustBeSame"),
        (f"select * from ossobject where _1 in ({','.join('1' * 1025)})", "SqlExceedsMaxInCount"),
        ("select * from ossobject where _1 like '%%%%%%'", "SqlExceedsMaxWildCardCount"),
        ("select * from ossobject where _1 like 'a' escape '%'", "SqlInvalidEscapeChar"),
        ("select * from ossobject where _1 like 'a' escape 'ab'", "SqlOnlyOneEscapeCharIsAllowed"),
        ("select * from ossobject where _1 like 'a!' escape '!'", "SqlNoCharAfterEscapeChar"),
        ("select * from ossobject where _1 like 5", "SqlInvalidLikeOperand"),
        ("select * from ossobject where 'a' like 'a'", "SqlInvalidLikeOperand"),
        ("select * from ossobject where cast(_1 as int) like 'a'", "SqlInvalidLikeOperand"),
        ("select * from ossobject where cast(_1 as int) = 'a'", "SqlComparerOperandTypeMismatch"),
        ("select * from ossobject where 1 = 'a'", "SqlComparerOperandTypeMismatch"),
        ("select * from ossobject where _1 + 'a' = 1", "InvalidArithmeticOperand"),
        ("select * from ossobject where _1 and true", "SqlInvalidAndOperand"),
        ("select * from ossobject where 5 or true", "SqlInvalidOrOperand"),
        ("select * from ossobject where not _1", "SqlInvalidNotOperand"),
        ("select * from ossobject where 5 is null", "SqlInvalidIsNullOperand"),
        ("select * from ossobject where 'a' || 'b' = 'ab'", "SqlInvalidConcatOperand"),
        (
            "select cast(_1 as int) from ossobject where cast(_1 as double) > 1",
            "SqlOneColumnCastToDifferentTypes",
        ),
        (
            "select * from ossobject where _1 > cast('soon' as timestamp)",
            "SqlInvalidTimestampValue",
        ),
        (
            "select * from ossobject where _1 > cast('20120101' as timestamp format 'DD/MM')",
            "SqlNotSupportedTimestampFormat",
        ),
        (
            "select * from ossobject where _1 > cast('2012' as timestamp format 'YYYYDDMM')",
            "SqlNotMatchTimestampFormat",
        ),
        ("select * from ossobject where " + " and ".join(["_1 = 1"] * 21), "SqlExceedsMaxConditionCount"),
        (
            "select * from ossobject where " + "not (true and " * 11 + "true" + ")" * 11,
            "SqlExceedsMaxConditionDepth",
        ),
        ("select * from ossobject where " + "(" * 3000 + "true" + ")" * 3000, "SqlExceedsMaxConditionDepth"),
        ("select * from ossobject where " + "not " * 4000 + "true", "SqlExceedsMaxConditionDepth"),
        ("select * from ossobject where " + "_1 + " * 3000 + "1 = 1", "SqlUnsupportedSql"),
        ("select * from ossobject where " + "- " * 5000 + "_1 = 1", "SqlSyntaxError"),
        ("select " + ",".join(["_1"] * 1001) + " from ossobject", "SqlUnsupportedSql"),
        ("select " + ",".join(["count(*)"] * 101) + " from ossobject", "SqlExceedsMaxAggregationCount"),
        ("select * from ossobject where _1 > 1e999", "SqlSyntaxError"),
        (f"select * from ossobject where _1 > 1e{'9' * 30}", "SqlSyntaxError"),
        (f"select * from ossobject where cast(_1 as decimal) > 1e-{'9' * 30}", "SqlSyntaxError"),
        (f"select * from ossobject where _1 > {'9' * 401}", "SqlSyntaxError"),
    ],
)
def test_what_oss_refuses_is_refused_with_its_code(sql: str, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        from_csv(sql, "")
    assert caught.value.code == code
    assert caught.value.status == 400


WORDS = st.sampled_from(
    (
        *("select", "from", "ossobject", "where", "and", "or", "not", "in", "is", "null", "like", "escape"),
        *("between", "limit", "as", "cast", "int", "double", "count", "sum", "_1", "_2", "a", "s", "true"),
        *("(", ")", "[", "]", "[*]", ",", ".", "*", "+", "-", "/", "%", "=", "!=", "<>", "<", ">", "||"),
        *("'x'", '"y"', "1", "2.5", "1e3", "'"),
    )
)


@settings(max_examples=300)
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=60))
def test_whatever_is_asked_is_answered_or_refused_by_a_code(text: str) -> None:
    codes = set()
    for sql in (text, f"select * from ossobject where {text}", f"select {text} from ossobject"):
        for ask, data in ((from_csv, "1,x\n"), (from_json, '{"a":1}')):
            try:
                ask(sql, data)
            except ServiceError as error:
                codes.add(error.code)
    assert codes <= set(ERROR_CODES)


NAMES = st.text(string.ascii_lowercase + "_", min_size=1, max_size=5).map(lambda name: f"c_{name}")
NUMBERS = st.integers(0, 10**6)


@given(
    st.lists(NAMES, min_size=1, max_size=4),
    st.lists(st.tuples(NAMES, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), NUMBERS), max_size=5),
    st.none() | st.integers(1, 99),
)
def test_a_statement_that_is_written_is_read_as_it_was_meant(
    names: list[str], conditions: list[tuple[str, str, int]], limit: int | None
) -> None:
    where = " AND ".join(f"{name} {sign} {number}" for name, sign, number in conditions)
    sql = f"SELECT {', '.join(names)} FROM ossobject"
    sql += f" WHERE {where}" if where else ""
    sql += f" LIMIT {limit}" if limit else ""
    found = parse(sql)
    assert found.projections == tuple(Projection(Reference((name,))) for name in names)
    assert found.limit == limit
    assert (found.condition is None) is not bool(conditions)
    assert found == parse(re.sub(r"\b(SELECT|FROM|WHERE|AND|LIMIT)\b", lambda word: word[0].lower(), sql))


# -- conditions


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("age > 40", ["Eleanor", "Rosie"]),
        ("AGE > 40 and company like 'West%'", ["Rosie"]),
        ("_3 between 24 and 27", ["Lora", "Law?rence"]),
        ("_3 not between 24 and 27", ["Eleanor", "Rosie"]),
        ("age in (27, 44)", ["Lora", "Rosie"]),
        ("age not in (27, 44.0)", ["Eleanor", "Law?rence"]),
        ("name in ('Lora', 'lora')", ["Lora"]),
        ("name like 'L*'", ["Lora", "Law?rence"]),
        ("name like 'Lor?'", ["Lora"]),
        ("name not like '%e%'", ["Lora"]),
        ("name like '%w!?r%' escape '!'", ["Law?rence"]),
        ("(name || company) like 'R%ern'", ["Rosie"]),
        ("(age % 2) = 0", ["Rosie", "Law?rence"]),
        ("age * 2 - 4 >= 80 / 2 + 42", ["Eleanor", "Rosie"]),
        ("not (age > 30) or name = 'Rosie'", ["Lora", "Rosie", "Law?rence"]),
        ("age != 27 and age <> 43", ["Rosie", "Law?rence"]),
        ("cast(age as int) > 43.5", ["Rosie"]),
        ("cast(age as decimal) = 27.000", ["Lora"]),
        ("age = -(-27)", ["Lora"]),
        ("cast(age as decimal) = cast(27.9 as int)", ["Lora"]),
        ("cast(age as decimal) = cast('27' as double) and cast(1 as bool)", ["Lora"]),
        ("name = cast(27 as string) or age = cast('44' as int)", ["Rosie"]),
        ("_4 is null and _1 is not null", ["Lora", "Eleanor", "Rosie", "Law?rence"]),
        ("_4 = 'x' or not _4 = 'x'", []),
        ("true", ["Lora", "Eleanor", "Rosie", "Law?rence"]),
        ("false", []),
        ('name = "Lora"', ["Lora"]),
    ],
)
def test_conditions_want_what_they_say(where: str, names: list[str]) -> None:
    assert rows(where) == names


def test_empty_text_is_no_number_and_missing_is_neither_true_nor_false() -> None:
    data = "n,v\na,\nb,5\nc\n"
    assert rows("v > 1", data) == ["b"]
    assert rows("not v > 1", data) == []
    assert rows("v = ''", data) == ["a"]
    assert rows("v is null", data) == ["c"]


def test_times_are_compared_as_times() -> None:
    data = "n,t\na,2018-08-09 11:30:26\nb,20180809 11:30:24\nc,09/08/2018 12:00:00\n"
    assert rows("t > cast('2018-08-09 11:30:25' as timestamp)", data) == ["a", "c"]
    assert rows("cast(t as timestamp) <= '2018-08-09 11:30:24'", data) == ["b"]


def test_a_cast_is_written_as_what_it_makes() -> None:
    data = "1.0,7,20180809T113025,TRUE\n"
    columns = "cast(_1 as double), cast(_2 as decimal), cast(_3 as timestamp), cast(_4 as bool)"
    assert from_csv(f"select {columns} from ossobject", data) == b"1,7,2018-08-09 11:30:25,true\n"


def test_a_record_that_does_not_fit_is_skipped_as_often_as_that_is_allowed() -> None:
    data = "n,v\na,1\nb,soon\nc,3\nd,later\n"
    assert rows("v > 0", data, max_skipped=2) == ["a", "c"]
    with pytest.raises(ServiceError) as caught:
        rows("v > 0", data, max_skipped=1)
    assert caught.value.code == "InvalidCsvLine"


def test_a_column_that_cannot_be_cast_makes_its_record_one_that_does_not_fit() -> None:
    sql, data = "select cast(_1 as int) from ossobject", "1\nsoon\n3\n"
    assert from_csv(sql, data, max_skipped=1) == b"1\n3\n"
    assert from_csv(f"{sql} limit 2", data, max_skipped=1) == b"1\n3\n"
    with pytest.raises(ServiceError) as caught:
        from_csv(sql, data)
    assert caught.value.code == "InvalidCsvLine"


def test_aggregations_leave_out_what_is_missing_and_limit_comes_before_them() -> None:
    data = "1\n2\n\n6\n100\n"
    all_of_them = ", ".join(f"{name}(cast(_1 as int))" for name in ("sum", "avg", "max", "min"))
    assert from_csv(f"select count(*), {all_of_them} from ossobject limit 4", data) == b"4,9,3,6,1\n"
    assert from_csv("select avg(cast(_1 as int)) from ossobject", "1\n2\n") == b"1.5\n"
    assert from_csv("select max(cast(_1 as int)), count(*) from ossobject", "") == b",0\n"
    assert from_csv("select max(cast(_1 as timestamp)) from ossobject", "20120101\n20130101\n") == (
        b"2013-01-01 00:00:00\n"
    )


# -- values


@pytest.mark.parametrize("number", ["1e308", "1e-999", "0e999", "9" * 300, "5.", ".5", "1E+3"])
def test_numbers_at_their_limits_are_compared_as_text_and_as_decimals(number: str) -> None:
    for value in (number, "1"):
        sql = f"select * from ossobject where _1 <= {number} or cast(_1 as decimal) > {number}"
        assert from_csv(sql, f"{value}\n") == f"{value}\n".encode()


@given(st.integers(), st.integers().filter(bool), st.sampled_from("+-*/%"))
def test_whole_numbers_are_calculated_with_as_such_while_they_have_64_bits(a: int, b: int, sign: str) -> None:
    a, b = a % 2**62 - 2**61, (b % 2**31) or 1
    found = calculate(sign, a, b)
    expected = {"+": a + b, "-": a - b, "*": a * b, "/": a / b, "%": abs(a) % b * (1 if a >= 0 else -1)}[sign]
    if isinstance(found, int):
        assert found == expected if sign != "/" else found * b == a
        assert -(2**63) <= found < 2**63
    else:
        assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["1_000", "nan", "inf", "0x10", "1e99999", "\u0663", "--1", "1 2", "9" * 500]
)
def test_what_is_no_number_is_none(text: str) -> None:
    with pytest.raises(Mismatch):
        number_of(text)


def test_nothing_can_be_made_of_numbers_without_bounds() -> None:
    with pytest.raises(Mismatch):
        int_of(Decimal("1e6000"))
    with pytest.raises(Mismatch):
        calculate("*", 1e300, 1e300)
    assert calculate("/", 1, 0) is None
    assert calculate("%", Decimal(1), 0) is None


@pytest.mark.parametrize(
    ("text", "format", "expected"),
    [
        ("20121201", None, "2012-12-01 00:00:00"),
        ("20121201", "YYYYDDMM", "2012-01-12 00:00:00"),
        ("2018-08-09 11:30:25.123", None, "2018-08-09 11:30:25.123000"),
        ("2018-08-09T11:30:25+08:00", None, "2018-08-09 03:30:25"),
        ("28/Feb/2017:12:30:51 +0700", None, "2017-02-28 05:30:51"),
        ("Tue, 28 Feb 2017 12:30:51 GMT", None, "2017-02-28 12:30:51"),
        ("1/2/17 3:4", None, "2017-02-01 03:04:00"),
        ("02-28-2017", "MM-DD-YYYY", "2017-02-28 00:00:00"),
        ("11:30:25", None, "1900-01-01 11:30:25"),
        ("31/02/2017", None, None),
        ("tomorrow", None, None),
        ("2017", "YYYYDDMM", None),
    ],
)
def test_times_are_read_in_the_formats_of_oss(text: str, format: str | None, expected: str | None) -> None:
    found = timestamp_of(text, format)
    assert (None if found is None else str(found)) == expected


@given(st.text("ab%*?", max_size=6), st.text("ab", max_size=8))
def test_like_is_what_a_regular_expression_says(pattern: str, text: str) -> None:
    wild = {"%": ".*", "*": ".*", "?": "."}
    if sum(one in "%*" for one in pattern) > 5:
        return
    expected = re.fullmatch("".join(wild.get(one, one) for one in pattern), text, re.DOTALL) is not None
    assert matcher(pattern)(text) is expected


def test_a_pattern_that_a_text_almost_fits_costs_no_more_than_looking_through_it() -> None:
    assert matcher("%a%a%a%a%b")("a" * 200_000) is False
