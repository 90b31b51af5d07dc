"""SelectObject over JSON: paths, nodes, limits, and what comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from selections import from_json, joined, opened, until_refused

from penstock.errors import ServiceError
from penstock.server.select import limits
from penstock.server.select.counting import JsonCounter, counted
from penstock.server.select.json_nodes import NodeReader
from penstock.server.select.json_values import compact
from penstock.server.select.parser import parse
from penstock.server.select.scan import JsonJob, select_json

CONTACTS: dict[str, Any] = {
    "contacts": [
        {
            "firstName": "John",
            "age": 27,
            "address": {"city": "New York", "postalCode": "10021-3100"},
            "phoneNumbers": [{"type": "home", "number": "212"}, {"type": "office", "number": "646"}],
            "children": [],
            "spouse": None,
        },
        {"firstName": "Lora", "age": 31.5, "children": ["Ann", "Bob"], "alive": True},
    ]
}
DOCUMENT = json.dumps(CONTACTS, indent=2)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-1e6, 1e6) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", 'q"', "\u4e2d"]), inner, max_size=3)
    ),
    max_leaves=12,
)
STEPS = st.lists(st.sampled_from(["a", "b", 'q"', "\u4e2d", 0, 1, None]), max_size=3)


def of_document(sql: str, document: str = DOCUMENT, **options: Any) -> list[Any]:
    found = from_json(sql, document, lines=False, **options)
    return [json.loads(line) for line in found.decode().splitlines()]


def reached(tree: Any, path: list[str | int | None]) -> list[Any]:
    """The nodes that a path leads to; None stands for each."""
    if not path:
        return [tree]
    step, *rest = path
    if step is None:
        inner = list(tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ())
    elif isinstance(step, str):
        inner = [tree[step]] if isinstance(tree, dict) and step in tree else []
    else:
        inner = [tree[step]] if isinstance(tree, list) and step < len(tree) else []
    return [node for one in inner for node in reached(one, rest)]


def written(path: list[str | int | None]) -> str:
    """A path as SQL has it."""
    return "".join(
        "[*]" if step is None else f"[{step}]" if isinstance(step, int) else f"['{step}']" for step in path
    )


@given(TREES, STEPS, st.integers(1, 40), st.sampled_from([None, 1, "\t"]))
def test_a_path_leads_to_the_nodes_that_it_names(
    tree: Any, path: list[str | int | None], chunk_bytes: int, indent: int | str | None
) -> None:
    data = json.dumps(tree, indent=indent, ensure_ascii=indent is None)
    sql = f"select * from ossobject{written(path)}"
    found = from_json(sql, data, lines=False, chunk_bytes=chunk_bytes)
    nodes = [json.loads(line) for line in found.decode().split("\n")[:-1]]
    assert nodes == [node if isinstance(node, dict) else {"_1": node} for node in reached(tree, path)]


@given(st.lists(TREES, max_size=4), st.sampled_from(["\n", ",", " ", ",\n  ", "\r\n"]), st.integers(1, 40))
def test_lines_are_values_with_or_without_commas_between_them(
    trees: list[Any], between: str, chunk_bytes: int
) -> None:
    data = between.join(json.dumps(tree, indent=1) for tree in trees).encode()
    counter = JsonCounter()
    joined(counted(counter, opened(data, chunk_bytes)))
    assert counter.count.rows == len(trees)
    found = from_json("select * from ossobject", data, chunk_bytes=chunk_bytes)
    assert found.count(b"\n") == len(trees)


@given(
    st.binary(max_size=40) | st.text('{}[]",:ae1 \\', max_size=40).map(str.encode),
    st.booleans(),
    st.integers(1, 20),
)
def test_whatever_the_bytes_are_they_are_json_or_refused_however_they_are_cut(
    data: bytes, lines: bool, cut: int
) -> None:
    def outcome(chunk_bytes: int) -> tuple[bytes, str]:
        job = JsonJob(statement=parse("select * from ossobject"), lines=lines)
        return until_refused(select_json(job, opened(data, chunk_bytes)))

    output, code = outcome(cut)
    assert code == outcome(1 << 16)[1]
    if not lines and not code:
        parsed = json.loads(data)
        assert json.loads(output) == (parsed if isinstance(parsed, dict) else {"_1": parsed})


# -- what OSS documents


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select s.firstName from ossobject.contacts[*] s where s.age = 27", [{"firstName": "John"}]),
        ("select firstName from ossobject.contacts[*] where age > 30", [{"firstName": "Lora"}]),
        (
            'select s.number from ossobject.contacts[*].phoneNumbers[*] s where s.type = "home"',
            [{"number": "212"}],
        ),
        ("select s.age from ossobject.contacts[*] s where s.spouse is null", [{"age": 27}, {"age": 31.5}]),
        (
            "select s.firstName from ossobject.contacts[*] s where s.children[0] is null",
            [{"firstName": "John"}],
        ),
        (
            "select s.city from ossobject.contacts[*].address s where s.postalCode like '10021%'",
            [{"city": "New York"}],
        ),
        ("select * from ossobject.contacts[1].age s where s = 31.5", [{"_1": 31.5}]),
        ("select s.age, s.children[0] from ossobject.contacts[1] s", [{"age": 31.5, "_2": "Ann"}]),
        (
            "select s.age, s.children[0] as first from ossobject.contacts[1] s",
            [{"age": 31.5, "first": "Ann"}],
        ),
        ("select max(s.age) from ossobject.contacts[*] s", [{"_1": 31.5}]),
        ("select count(*), sum(age) as total from ossobject.contacts[*]", [{"_1": 2, "total": 58.5}]),
        ("select s.alive from ossobject.contacts[*] s where s.alive", [{"alive": True}]),
        ("select s.age as a, cast(s.age as int) as b from ossobject.contacts[1] s", [{"a": 31.5, "b": 31}]),
        ("select age from ossobject.contacts[*] where age in (27, 28)", [{"age": 27}]),
        ("select ossobject.contacts[0].firstName from ossobject", [{"firstName": "John"}]),
        ("select age from ossobject.contacts[*] limit 1", [{"age": 27}]),
        ("select nothing from ossobject.contacts[*]", [{}, {}]),
        ("select * from ossobject.nothing[*].at.all", []),
    ],
)
def test_a_document_is_asked(sql: str, expected: list[Any]) -> None:
    assert of_document(sql) == expected


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("select s.a[*] from ossobject s", "WildCardNotAllowed"),
        ("select s.a[-1] from ossobject s", "NegativeRowIndex"),
        ("select s" + ".a" * 12 + " from ossobject s", "ExceedsMaxNestedColumnDepth"),
    ],
)
def test_paths_that_oss_does_not_take_are_refused(sql: str, code: str) -> None:
    with pytest.raises(ServiceError) as caught:
        of_document(sql)
    assert caught.value.code == code


def test_keys_differ_in_upper_and_lower_case() -> None:
    assert of_document("select s.AGE, s.age from ossobject.contacts[0] s") == [{"age": 27}]


def test_numbers_stay_as_they_are_written() -> None:
    data = '{"a": 123456789.123456789, "b": 1.50}'
    exact = "select a from ossobject where cast(a as decimal) = 123456789.1234567890"
    assert from_json(exact, data, numbers_as_strings=True) == b'{"a":123456789.123456789}\n'
    assert from_json("select b from ossobject where b = 1.5", data) == b'{"b":1.50}\n'
    assert (
        from_json("select b from ossobject where b = 1.5", data, numbers_as_strings=True) == b'{"b":1.50}\n'
    )
    assert from_json("select sum(b) from ossobject", data, numbers_as_strings=True) == b'{"_1":1.5}\n'


def test_a_record_of_another_type_is_skipped() -> None:
    data = '{"a":1}\n{"a":"soon"}\n{"a":[3]}\n{"a":null}\n{}\n{"a":6}'
    assert from_json("select a from ossobject where a > 0", data, max_skipped=2) == b'{"a":1}\n{"a":6}\n'
    job = JsonJob(statement=parse("select a from ossobject where a > 0"), lines=True)
    assert until_refused(select_json(job, opened(data.encode(), 99))) == (b'{"a":1}\n', "InvalidJsonData")
    assert (
        from_json("select a from ossobject", '{"a":1},{"b":2}', skip_partial=True, max_skipped=1)
        == b'{"a":1}\n'
    )


def test_records_are_delimited_as_asked() -> None:
    assert (
        from_json("select * from ossobject", '{"a" : 1}{"a":2}', output_delimiter=b",") == b'{"a":1},{"a":2},'
    )


@pytest.mark.parametrize(
    ("range", "expected"),
    [
        ("line-range=1-1", [1]),
        ("line-range=1-", [1, 2]),
        ("line-range=-1", [2]),
        ("split-range=0-0", [0, 1, 2]),
        ("line-range=7-", []),
    ],
)
def test_ranges_count_records(range: str, expected: list[int]) -> None:
    found = from_json("select v from ossobject", '{"v":0}\n{"v":1}\n{"v":\n2}', range=range, chunk_bytes=4)
    assert [json.loads(line)["v"] for line in found.splitlines()] == expected


# -- limits


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("[" * 11 + "]" * 11, "JsonNodeExceedsMaxDepth"),
        ("[" + "1," * 5000 + "1]", "ExceedsMaxJsonArraySize"),
        ('"' + "a" * limits.MAX_NODE_BYTES + '"', "JsonNodeExceedsMaxSize"),
        ('{"a":"' + "a" * limits.MAX_NODE_BYTES, "JsonNodeExceedsMaxSize"),
        ("1" * (limits.MAX_NODE_BYTES * 2), "JsonNodeExceedsMaxSize"),
        ("{]", "InvalidJsonData"),
        ("nonsense", "InvalidJsonData"),
        ('{"a":1', "InvalidJsonData"),
        ('{"a" 1}', "InvalidJsonData"),
        ("[1,]", "InvalidJsonData"),
        ('{"a":"\\q"}', "InvalidJsonData"),
        (",,1", "InvalidJsonData"),
        (b'{"a":"\xff"}', "InvalidTextEncoding"),
    ],
    ids=lambda value: value if len(value) < 40 else len(value),
)
def test_what_is_no_json_or_too_much_is_refused_after_what_was_good(data: str | bytes, code: str) -> None:
    bad = data if isinstance(data, bytes) else data.encode()
    job = JsonJob(statement=parse("select a from ossobject where a is null or a != 'x'"), lines=True)
    for chunk_bytes in (1 << 17, 1000):
        found, refused = until_refused(select_json(job, opened(b'{"a":"b"}\n ' + bad, chunk_bytes)))
        assert refused == code
        assert found == b'{"a":"b"}\n'


def test_what_is_beside_the_way_may_be_deep_and_large() -> None:
    beside = "[" * 5000 + "]" * 5000
    many = json.dumps(["x" * 100] * 20_000)
    data = f'{{"deep": {beside}, "many": {many}, "wanted": {{"v": 1}}}}'
    assert from_json("select * from ossobject.wanted", data, lines=False, chunk_bytes=5000) == b'{"v":1}\n'
    with pytest.raises(ServiceError) as caught:
        from_json("select * from ossobject.wanted", "[" * 200_000, lines=False)
    assert caught.value.code == "JsonNodeExceedsMaxDepth"


@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 100])
def test_a_byte_order_mark_is_left_out(chunk_bytes: int) -> None:
    data = b'\xef\xbb\xbf{"a":1}'
    found = from_json("select * from ossobject", data, lines=False, chunk_bytes=chunk_bytes)
    assert found == b'{"a":1}\n'
    with pytest.raises(ServiceError):
        from_json("select * from ossobject", data[:2], lines=False, chunk_bytes=chunk_bytes)


def test_a_document_is_one_value() -> None:
    for data in ("", " ", '{"a":1} {"a":2}', "1,"):
        with pytest.raises(ServiceError) as caught:
            from_json("select * from ossobject", data, lines=False)
        assert caught.value.code == "InvalidJsonData"
    assert from_json("select * from ossobject", "", lines=True) == b""


def test_a_reader_keeps_no_more_than_the_node_at_hand() -> None:
    reader = NodeReader(("objects",), lines=False)
    assert reader.feed(b'{"beside": [') == []
    for _ in range(2000):
        assert reader.feed(b'"' + b"x" * 5000 + b'",') == []
        assert len(reader._buffer) < 10_000


def test_space_goes_away_between_tokens_only() -> None:
    assert compact(b'{ "a b" : [ 1 , "c \\" d" ] }') == b'{"a b":[1,"c \\" d"]}'
