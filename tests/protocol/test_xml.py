"""Documents cost no more than they may, and whatever OSS takes is within that."""

from __future__ import annotations

import pytest

from penstock.protocol import xml
from penstock.protocol.limits import (
    MAX_CONFIGURATION_BYTES,
    MAX_DELETE_KEYS,
    MAX_PARTS,
    MAX_REQUEST_XML_BYTES,
)
from penstock.protocol.operations import OPERATIONS
from penstock.protocol.operations.multipart import CompleteMultipartUpload
from penstock.protocol.operations.objects import DeleteMultipleObjects
from penstock.protocol.xml import MAX_DEPTH, MAX_ELEMENTS, XmlUnreadable, parse


def test_a_document_has_no_more_elements_than_it_may() -> None:
    assert len(parse(b"<a>" + b"<b/>" * (MAX_ELEMENTS - 1) + b"</a>")) == MAX_ELEMENTS - 1
    with pytest.raises(XmlUnreadable, match="more than 100,000 elements"):
        parse(b"<a>" + b"<b/>" * MAX_ELEMENTS + b"</a>")


def test_a_document_is_no_deeper_than_it_may_be() -> None:
    parse(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH)
    parse(b"<a>" + b"<b><c/></b>" * MAX_DEPTH + b"</a>")
    with pytest.raises(XmlUnreadable, match="nested more than 32 deep"):
        parse(b"<a>" * (MAX_DEPTH + 1))


def test_the_longest_lists_that_oss_takes_are_read() -> None:
    part = "<Part>\n    <PartNumber>{:05}</PartNumber>\n    <ETag>&quot;{:032X}&quot;</ETag>\n  </Part>\n"
    parts = "".join(part.format(number, number) for number in range(1, MAX_PARTS + 1))
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    operation = next(one for one in OPERATIONS if one.request is CompleteMultipartUpload)
    assert MAX_CONFIGURATION_BYTES < len(body) < operation.max_document_bytes
    asked = operation.request_from_wire((("uploadId", "u"),), {}, body, bucket="b", key="k")
    assert isinstance(asked, CompleteMultipartUpload)
    assert asked.body is not None
    assert len(asked.body.parts) == MAX_PARTS
    listed = "".join(f"<Object><Key>{'k' * 1023}</Key></Object>" for _ in range(MAX_DELETE_KEYS))
    operation = next(one for one in OPERATIONS if one.request is DeleteMultipleObjects)
    assert len(listed) < operation.max_document_bytes == MAX_REQUEST_XML_BYTES


@pytest.mark.parametrize("raw", [True, False])
def test_control_characters_are_read_wherever_they_stand_and_whatever_else_does(raw: bool) -> None:
    # Each block of code points that could stand in for them is in use, but for the last.
    private = "".join(chr(start) for start in range(0xE000, 0xF8FF - 68, 34))
    wanted = f"a\x01{private}\x1f\ufffeb"
    text = wanted if raw else xml.escaped(wanted)
    assert parse(f"<a>{text}</a>".encode()).text == wanted


def test_a_control_character_in_a_name_is_no_document() -> None:
    with pytest.raises(XmlUnreadable):
        parse(b"<a\x01></a\x01>")
