"""
XML documents of OSS, out and in, for structs whose fields carry `Element` marks.

Reading is bounded and refuses DTDs and entities (defusedxml). Keys may hold control characters, which
XML 1.0 forbids in every form. Real clients write them all the same, as references (``&#01;``) or as they
are, so both directions know the references, and reading takes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin, get_type_hints
from xml.etree.ElementTree import Element as Node
from xml.etree.ElementTree import ParseError, TreeBuilder

import msgspec
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from penstock.protocol import percent
from penstock.protocol.marks import Element
from penstock.protocol.text import TextForm, form_of

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
"""The largest document read: a listing of 1,000 long keys, percent-encoded, is above 3 MB."""

MAX_ELEMENTS = 100_000
"""A list of 10,000 parts has 30,000 elements; a full page of a listing, some 12,000."""

MAX_DEPTH = 32

V = TypeVar("V", bound=msgspec.Struct)

_RAW_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]+)|([0-9]+));")
_ESCAPES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"}
    | {chr(code): f"&#{code};" for code in range(32) if chr(code) not in "\t\n\r"}
    | {"\ufffe": "&#65534;", "\uffff": "&#65535;"}
)


class XmlUnreadable(ValueError):
    """The bytes are not the XML document that was expected."""


class _Child(msgspec.Struct, frozen=True):
    attribute: str
    path: tuple[str, ...]
    form: TextForm | None
    struct: type[msgspec.Struct] | None
    many: bool
    url: bool
    required: bool


@cache
def _children(cls: type[msgspec.Struct]) -> tuple[_Child, ...]:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for info in msgspec.structs.fields(cls):
        hint = hints[info.name]
        mark = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Element)), None)
        if mark is None:
            continue
        kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if get_origin(kind) in {Union, UnionType}:
            kind = next(arm for arm in get_args(kind) if arm is not type(None))
        many = get_origin(kind) is tuple
        if many:
            kind = get_args(kind)[0]
        struct = kind if isinstance(kind, type) and issubclass(kind, msgspec.Struct) else None
        form = None if struct else mark.form or form_of(kind, in_xml=True)
        path = tuple(mark.name.split("/"))
        found.append(_Child(info.name, path, form, struct, many, mark.url, info.required))
    return tuple(found)


def document(value: msgspec.Struct, root: str) -> bytes:
    """The XML document named ``root`` of a value; fields that are None are left out."""
    url = getattr(value, "encoding_type", None) == "url"
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write(pieces, value, root, url)
    return "".join(pieces).encode()


def _write(pieces: list[str], value: msgspec.Struct, name: str, url: bool) -> None:
    pieces.append(f"<{name}>")
    opened: tuple[str, ...] = ()
    for child in _children(type(value)):
        content = getattr(value, child.attribute)
        if content is None:
            continue
        if child.path == (".",):
            pieces.append(_text(content, child, url))
            continue
        *wrappers, last = child.path
        # Neighbours with the same wrapper (`Bucket/Name`, `Bucket/Location`) stand in one.
        opened = _rewrap(pieces, opened, tuple(wrappers))
        for item in content if child.many else (content,):
            if child.struct is not None:
                _write(pieces, item, last, url)
            else:
                pieces.append(f"<{last}>{_text(item, child, url)}</{last}>")
    _rewrap(pieces, opened, ())
    pieces.append(f"</{name}>")


def _rewrap(pieces: list[str], opened: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Close and open elements until those of ``wanted`` are open; gives ``wanted``."""
    same = 0
    while same < min(len(opened), len(wanted)) and opened[same] == wanted[same]:
        same += 1
    pieces.extend(f"</{wrapper}>" for wrapper in reversed(opened[same:]))
    pieces.extend(f"<{wrapper}>" for wrapper in wanted[same:])
    return wanted


def _text(item: Any, child: _Child, url: bool) -> str:
    assert child.form is not None
    text = child.form.to_text(item)
    return escaped(percent.encode(text) if url and child.url else text)


def escaped(text: str) -> str:
    """The text as the content of an element; characters that XML 1.0 forbids become references."""
    return text.translate(_ESCAPES)


def parse(body: bytes) -> Node:
    """
    The root of a document.

    Raises:
        XmlUnreadable: It is larger than `MAX_DOCUMENT_BYTES`, has more than `MAX_ELEMENTS`, is nested deeper
            than `MAX_DEPTH`, is not well-formed, or holds a DTD or entities.
    """
    if len(body) > MAX_DOCUMENT_BYTES:
        raise XmlUnreadable(f"the document has {len(body):,} bytes; at most {MAX_DOCUMENT_BYTES:,} are read")
    if b"&#" in body or _RAW_CONTROL.search(body):
        return _parse_with_control_characters(body)
    return _parse(body)


class _BoundedBuilder(TreeBuilder):
    """Builds a tree that is neither too large nor too deep; a small document can hold very many elements."""

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Node:
        self._count += 1
        self._depth += 1
        if self._count > MAX_ELEMENTS:
            raise XmlUnreadable(f"the document has more than {MAX_ELEMENTS:,} elements")
        if self._depth > MAX_DEPTH:
            raise XmlUnreadable(f"the document is nested more than {MAX_DEPTH} deep")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Node:
        self._depth -= 1
        return super().end(tag)


def _parse(body: bytes | str) -> Node:
    parser = DefusedXMLParser(target=_BoundedBuilder(), forbid_dtd=True)
    try:
        parser.feed(body)
        node: Node = parser.close()
    except XmlUnreadable:
        raise
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise XmlUnreadable(f"not a well-formed XML document: {type(error).__name__}: {error}") from error
    return node


def _parse_with_control_characters(body: bytes) -> Node:
    """As `_parse`, where characters stand that XML 1.0 forbids: unused code points stand in for them."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise XmlUnreadable(f"not UTF-8: {error}") from error
    # 34 neighbouring private code points that the document does not use stand for the forbidden ones.
    used = set(text)
    base = next(
        (
            start
            for start in range(0xE000, 0xF8FF - 34, 34)
            if used.isdisjoint(map(chr, range(start, start + 34)))
        ),
        None,
    )
    forbidden = {
        code: index for index, code in enumerate([*range(32), 0xFFFE, 0xFFFF]) if code not in (9, 10, 13)
    }
    if base is None:
        return _parse(body)

    def stand_in(match: re.Match[str]) -> str:
        digits_16, digits_10 = match.groups()
        code = int(digits_16, 16) if digits_16 else int(digits_10) if len(digits_10) < 8 else -1
        return chr(base + forbidden[code]) if code in forbidden else match.group()

    text = text.translate({code: base + index for code, index in forbidden.items() if chr(code) in used})
    replaced, _ = re.subn(r"^\s*<\?xml[^>]*\?>", "", _REFERENCE.sub(stand_in, text), count=1)
    root = _parse(replaced)
    back = {base + index: code for code, index in forbidden.items()}
    for node in root.iter():
        if node.text:
            node.text = node.text.translate(back)
    return root


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def read(cls: type[V], body: bytes, root: str) -> V:
    """
    The value of a document named ``root``.

    Raises:
        XmlUnreadable: Not well-formed, another document, or a field is missing or unreadable.
    """
    return cls(**read_fields(cls, body, root))


def read_fields(cls: type[msgspec.Struct], body: bytes, root: str) -> dict[str, Any]:
    """As `read`, but the fields only."""
    node = parse(body)
    if _local(node.tag) != root:
        raise XmlUnreadable(f"the document is <{_local(node.tag)}>, not <{root}>")
    url = any(_local(child.tag) == "EncodingType" and child.text == "url" for child in node)
    return _read(cls, node, url)


def _read(cls: type[msgspec.Struct], node: Node, url: bool) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for child in _children(cls):
        nodes = [node] if child.path == (".",) else list(_at(node, child.path))
        if child.many:
            values[child.attribute] = tuple(_value(child, item, url) for item in nodes)
        elif nodes:
            values[child.attribute] = _value(child, nodes[0], url)
        elif child.required:
            raise XmlUnreadable(f"<{_local(node.tag)}> has no <{'/'.join(child.path)}>")
    # An absent optional element keeps its default; an empty one that is not text does too.
    return {name: value for name, value in values.items() if value is not None}


def _at(node: Node, path: tuple[str, ...]) -> Iterator[Node]:
    for found in node:
        if _local(found.tag) == path[0]:
            if len(path) == 1:
                yield found
            else:
                yield from _at(found, path[1:])


def _value(child: _Child, node: Node, url: bool) -> Any:
    if child.struct is not None:
        return child.struct(**_read(child.struct, node, url))
    assert child.form is not None
    text = node.text or ""
    if not text and not child.required and child.form.from_text is not str:
        return None
    try:
        return child.form.from_text(percent.decode(text) if url and child.url else text)
    except ValueError as error:
        raise XmlUnreadable(f"<{_local(node.tag)}> holds {text[:100]!r}: {error}") from error
