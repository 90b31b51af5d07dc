"""Every call of OSS, written by one end and read by the other."""

from __future__ import annotations

import string
import types
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.protocol import xml
from penstock.protocol.binding import ParameterUnreadable
from penstock.protocol.marks import Element, Header, HeaderPrefix, Query, XmlBody
from penstock.protocol.operation import Operation, Scope
from penstock.protocol.operations import OPERATIONS, buckets, listing, multipart, objects
from penstock.protocol.text import QUOTED, CopySource
from penstock.protocol.xml import XmlUnreadable

ALL = list(OPERATIONS)
NAMES = [operation.name for operation in ALL]

# Headers cannot carry control characters or outer white space; XML cannot carry lone surrogates.
HEADER_TEXT = st.text(
    st.characters(min_codepoint=33, max_codepoint=0xD7FF, exclude_characters='"\x7f'), min_size=1
)
XML_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
TOKEN = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
TIME = st.integers(0, 2**32 - 1).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def _plain(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in {Union, types.UnionType}:
        return next(arm for arm in get_args(hint) if arm is not type(None)), True
    return hint, False


def _of_kind(kind: Any, mark: Any) -> st.SearchStrategy[Any]:
    in_xml = isinstance(mark, Element)
    if kind is str:
        text = XML_TEXT if in_xml else HEADER_TEXT
        return text.map(lambda t: t.replace('"', "").strip() or "x") if mark.form is QUOTED else text
    if kind is int:
        return st.integers(0, 2**63)
    if kind is bool:
        return st.booleans()
    if kind is datetime:
        return TIME
    if kind is CopySource:
        return st.builds(CopySource, TOKEN, HEADER_TEXT, st.none() | TOKEN)
    if get_origin(kind) is tuple:
        return st.lists(_of_kind(get_args(kind)[0], mark), max_size=3).map(tuple)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _values(kind)
    assert get_origin(kind) is Mapping or kind is Mapping, kind
    return st.dictionaries(TOKEN, HEADER_TEXT, min_size=1, max_size=3)


def _values(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    fields = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        mark = next(
            (
                m
                for m in getattr(hint, "__metadata__", ())
                if isinstance(m, Query | Header | HeaderPrefix | Element | XmlBody)
            ),
            None,
        )
        if mark is None:
            if name in ("bucket", "key"):
                fields[name] = TOKEN
            continue
        kind, optional = _plain(hint)
        strategy = _of_kind(kind, mark)
        fields[name] = st.none() | strategy if optional else strategy
    return st.builds(cls, **fields)


def _path(request: Any) -> dict[str, str]:
    return {name: getattr(request, name) for name in ("bucket", "key") if hasattr(request, name)}


@pytest.mark.parametrize("operation", ALL, ids=NAMES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_request_that_is_written_is_read_as_the_same_request(
    operation: Operation, data: st.DataObject
) -> None:
    request = data.draw(_values(operation.request))
    wire = operation.to_wire(request)
    again = operation.request_from_wire(wire.query, wire.headers, wire.body, **_path(request))
    assert again == request
    found = OPERATIONS.match(operation.method, operation.scope, wire.query, wire.headers)
    assert found is operation


@pytest.mark.parametrize("operation", ALL, ids=NAMES)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_result_that_is_written_is_read_as_the_same_result(
    operation: Operation, data: st.DataObject
) -> None:
    result = data.draw(_values(operation.result))
    if getattr(result, "encoding_type", None) not in (None, "url"):
        result = msgspec.structs.replace(result, encoding_type="url")
    wire = operation.result_to_wire(result)
    assert operation.result_from_wire(wire.headers, wire.body) == result


def test_no_two_calls_have_the_same_name_or_look_the_same_on_the_wire() -> None:
    # Those that are told apart by what they process are described once for CSV and once for JSON.
    processed = sorted(one.name for one in ALL for name, _ in one.marks if name == "x-oss-process")
    assert processed == ["CreateSelectObjectMeta"] * 2 + ["SelectObject"] * 2
    assert len(set(NAMES)) == len(NAMES) - 2
    looks = {(one.method, one.scope, one.marks, one.header_mark) for one in ALL}
    assert len(looks) == len(ALL)


@pytest.mark.parametrize(
    ("method", "scope", "query", "headers", "name"),
    [
        ("PUT", Scope.OBJECT, [], {}, "PutObject"),
        ("PUT", Scope.OBJECT, [], {"x-oss-copy-source": "/b/k"}, "CopyObject"),
        ("PUT", Scope.OBJECT, [("partNumber", "1"), ("uploadId", "u")], {}, "UploadPart"),
        (
            "PUT",
            Scope.OBJECT,
            [("uploadId", "u"), ("partNumber", "1")],
            {"x-oss-copy-source": "/b/k"},
            "UploadPartCopy",
        ),
        ("POST", Scope.OBJECT, [("uploads", "")], {}, "InitiateMultipartUpload"),
        ("POST", Scope.OBJECT, [("uploads", None)], {}, "InitiateMultipartUpload"),
        ("GET", Scope.BUCKET, [("prefix", "a")], {}, "ListObjects"),
        ("GET", Scope.BUCKET, [("list-type", "2")], {}, "ListObjectsV2"),
        ("GET", Scope.SERVICE, [], {}, "ListBuckets"),
    ],
)
def test_a_message_is_recognised_by_what_it_carries(
    method: str, scope: Scope, query: list[tuple[str, str | None]], headers: dict[str, str], name: str
) -> None:
    found = OPERATIONS.match(method, scope, query, headers)
    assert found is not None
    assert found.name == name


def test_a_mark_that_a_field_carries_is_not_written_twice() -> None:
    request = multipart.UploadPart(bucket="b", key="k", number=3, upload_id="u")
    query = OPERATIONS.of(request).to_wire(request).query
    assert sorted(query) == [("partNumber", "3"), ("uploadId", "u")]


def test_keys_of_a_listing_are_percent_encoded_when_the_client_asks_for_it() -> None:
    operation = OPERATIONS.of(listing.ListObjects(bucket="b"))
    entry = listing.ListedObject(key="a\x01 &", etag="E", size_bytes=1)
    result = listing.ListObjectsResult(name="b", encoding_type="url", objects=(entry,))
    body = operation.result_to_wire(result).body
    assert body is not None
    assert b"<Key>a%01%20%26</Key>" in body


def test_control_characters_that_xml_forbids_travel_as_references() -> None:
    body = b"<Delete><Object><Key>a&#01;&#x2;\xee\x80\x80</Key></Object></Delete>"
    request = objects.DeleteMultipleObjects(bucket="b", body=objects.DeletionList(objects=()))
    operation = OPERATIONS.of(request)
    read = operation.request_from_wire((("delete", ""),), {}, body, bucket="b")
    assert isinstance(read, objects.DeleteMultipleObjects)
    assert read.body.objects[0].key == "a\x01\x02\ue000"


def test_a_text_answer_without_children_is_read_from_the_root() -> None:
    operation = OPERATIONS.of(buckets.GetBucketLocation(bucket="b"))
    result = operation.result_from_wire({}, b"<LocationConstraint>oss-cn-hangzhou</LocationConstraint>")
    assert result == buckets.BucketLocation(location="oss-cn-hangzhou")


def test_a_document_in_a_namespace_is_read_all_the_same() -> None:
    operation = OPERATIONS.of(buckets.GetBucketLocation(bucket="b"))
    body = b'<LocationConstraint xmlns="http://doc.example/">oss-x</LocationConstraint>'
    assert operation.result_from_wire({}, body) == buckets.BucketLocation(location="oss-x")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not xml",
        b"<Other/>",
        b"<ListPartsResult><Bucket>b</Bucket>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><ListPartsResult>&a;</ListPartsResult>',
        b"<ListPartsResult><Key>k</Key></ListPartsResult>",
        b"<ListPartsResult>" + b"x" * (9 * 1024 * 1024) + b"</ListPartsResult>",
        b"<ListPartsResult>\xff</ListPartsResult>",
        b"<ListPartsResult>&#xffffffffff;</ListPartsResult>",
    ],
)
def test_what_is_not_the_document_is_refused(body: bytes) -> None:
    operation = OPERATIONS.of(multipart.ListParts(bucket="b", key="k", upload_id="u"))
    with pytest.raises(XmlUnreadable):
        operation.result_from_wire({}, body)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_otherwise(body: bytes) -> None:
    operation = OPERATIONS.of(multipart.ListParts(bucket="b", key="k", upload_id="u"))
    try:
        operation.result_from_wire({}, b"<ListPartsResult>" + body + b"</ListPartsResult>")
    except XmlUnreadable:
        pass


@pytest.mark.parametrize(
    ("name", "text"), [("partNumber", "x"), ("partNumber", ""), ("partNumber", None), ("partNumber", "1.5")]
)
def test_a_parameter_that_is_not_a_number_is_named(name: str, text: str | None) -> None:
    operation = OPERATIONS.of(multipart.UploadPart(bucket="b", key="k", number=1, upload_id="u"))
    with pytest.raises(ParameterUnreadable) as caught:
        operation.request_from_wire(((name, text), ("uploadId", "u")), {}, None, bucket="b", key="k")
    assert caught.value.name == name


@pytest.mark.parametrize("text", ["/b/put%2Fa%20b%2B", "/b/put/a%20b%2B", "/b/put%2Fa+b%2B", "b/put/a b%2B"])
def test_a_copy_source_is_read_in_all_forms_that_clients_send(text: str) -> None:
    request = objects.CopyObject(bucket="d", key="e", source=CopySource("b", "k"))
    read = OPERATIONS.of(request).request_from_wire(
        (), {"x-oss-copy-source": text}, None, bucket="d", key="e"
    )
    assert isinstance(read, objects.CopyObject)
    assert read.source == CopySource("b", "put/a b+")


@pytest.mark.parametrize(
    ("query", "said"), [((), False), ((("sequential", None),), True), ((("sequential", ""),), True)]
)
def test_a_flag_is_there_with_or_without_a_value(
    query: tuple[tuple[str, str | None], ...], said: bool
) -> None:
    operation = OPERATIONS.of(multipart.InitiateMultipartUpload(bucket="b", key="k"))
    read = operation.request_from_wire((("uploads", None), *query), {}, None, bucket="b", key="k")
    assert read.sequential is said


def test_control_characters_that_stand_in_xml_as_they_are_are_read() -> None:
    document = b"<Delete><Object><Key>a\x01b\x1f&amp;</Key></Object></Delete>"
    assert xml.read(objects.DeletionList, document, "Delete").objects[0].key == "a\x01b\x1f&"
