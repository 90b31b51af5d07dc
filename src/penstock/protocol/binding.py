"""
Ties the fields of a value to their places in an HTTP message, once for both directions.

A request or result is a frozen struct whose fields say where they travel:

    class ListParts(ObjectRequest):
        upload_id: Annotated[str, Query("uploadId")]
        max_parts: Annotated[int | None, Query("max-parts")] = None

The client writes a request with `to_wire` and reads a result with `from_wire`; the server does the
reverse with the same struct. A field without a mark (bucket, key) does not travel by this file.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from penstock.protocol import xml
from penstock.protocol.marks import Element, Header, HeaderPrefix, Query, WholeBody, XmlBody
from penstock.protocol.text import PRESENT, TextForm, form_of

V = TypeVar("V", bound=msgspec.Struct)
QueryPairs = Sequence[tuple[str, str | None]]


class ParameterUnreadable(ValueError):
    """
    A query parameter or header does not hold what its field needs.

    Attributes:
        name: Name on the wire.
        value: Text on the wire; None if it is missing.
    """

    def __init__(self, name: str, value: str | None, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name
        self.value = value


class Wire(msgspec.Struct, frozen=True):
    """What a value adds to an HTTP message; header names are lower-case, ``body`` is None without one."""

    query: tuple[tuple[str, str | None], ...]
    headers: dict[str, str]
    body: bytes | None = None


class _Field(msgspec.Struct, frozen=True):
    attribute: str
    position: int
    place: Literal["query", "header", "prefix"]
    name: str
    form: TextForm | None
    required: bool


class _Binding(msgspec.Struct, frozen=True):
    fields: tuple[_Field, ...]
    body_attribute: str | None
    body_root: str
    body_type: Any
    body_required: bool
    has_elements: bool


def plain_type(hint: Any) -> Any:
    """The type inside ``Annotated`` and ``| None``."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in {Union, types.UnionType}:
        hint = next(arm for arm in get_args(hint) if arm is not type(None))
    return hint


@cache
def _binding(cls: type[msgspec.Struct]) -> _Binding:
    hints = get_type_hints(cls, include_extras=True)
    fields: list[_Field] = []
    body: tuple[str | None, str, Any, bool] = (None, "", None, False)
    has_elements = False
    for position, info in enumerate(msgspec.structs.fields(cls)):
        hint = hints[info.name]
        for mark in getattr(hint, "__metadata__", ()):
            kind = plain_type(hint)
            match mark:
                case Query(name=name) | Header(name=name):
                    place: Literal["query", "header"] = "query" if isinstance(mark, Query) else "header"
                    form = mark.form or form_of(kind, in_xml=False)
                    fields.append(_Field(info.name, position, place, name, form, info.required))
                case HeaderPrefix(prefix=prefix):
                    fields.append(_Field(info.name, position, "prefix", prefix, None, info.required))
                case XmlBody(root=root):
                    body = (info.name, root, kind, info.required)
                case WholeBody():
                    body = (info.name, "", bytes, info.required)
                case Element():
                    has_elements = True
    return _Binding(tuple(fields), *body, has_elements=has_elements)


def to_wire(value: msgspec.Struct, *, root: str = "") -> Wire:
    """
    Write a value into query, headers and body.

    Args:
        value: A struct with marked fields. Fields that are None are left out.
        root: Name of the XML document that the value itself is; empty if it is none.
    """
    binding = _binding(type(value))
    query: list[tuple[str, str | None]] = []
    headers: dict[str, str] = {}
    contents = msgspec.structs.astuple(value)
    for field in binding.fields:
        content = contents[field.position]
        if content is None or (field.form is PRESENT and not content):
            continue
        if field.form is None:
            for name, text in content.items():
                headers[field.name + name.lower()] = text
        elif field.place == "query":
            query.append((field.name, field.form.to_text(content)))
        else:
            headers[field.name] = field.form.to_text(content)
    body = None
    if binding.body_attribute is not None:
        document = getattr(value, binding.body_attribute)
        if binding.body_type is bytes:
            body = document
        elif document is not None:
            body = xml.document(document, binding.body_root)
    elif root and binding.has_elements:
        body = xml.document(value, root)
    return Wire(tuple(query), headers, body)


def from_wire(
    cls: type[V],
    query: QueryPairs,
    headers: Mapping[str, str],
    body: bytes | None = None,
    *,
    root: str = "",
    **given: Any,
) -> V:
    """
    Read a value of type ``cls`` from an HTTP message.

    Args:
        cls: The struct to make.
        query: Decoded pairs in order; of a repeated name the first counts.
        headers: By lower-case name.
        body: The whole XML document, if the operation has one.
        root: Name of the XML document that the value itself is; empty if it is none.
        given: Fields that do not travel by marks, such as ``bucket`` and ``key``.

    Raises:
        ParameterUnreadable: A query parameter or header is missing or is not what its field needs.
        xml.XmlUnreadable: The body is not the document that it should be.
    """
    binding = _binding(cls)
    values: dict[str, Any] = dict(given)
    first: dict[str, str | None] = dict(reversed(query)) if query else {}
    for field in binding.fields:
        if field.form is None:
            prefix = field.name
            values[field.attribute] = {
                name[len(prefix) :]: text for name, text in headers.items() if name.startswith(prefix)
            }
            continue
        source: Mapping[str, str | None] = first if field.place == "query" else headers
        if field.form is PRESENT:
            values[field.attribute] = field.name in source
            continue
        found = source.get(field.name)
        # An empty optional parameter (`marker=`) means that it was not given.
        if found is None or (found == "" and not field.required):
            if field.required:
                raise ParameterUnreadable(field.name, None, "is missing")
            continue
        try:
            values[field.attribute] = field.form.from_text(found)
        except ValueError as error:
            raise ParameterUnreadable(field.name, found, str(error)) from error
    if binding.body_attribute is not None and (body or binding.body_required):
        values[binding.body_attribute] = (
            body or b""
            if binding.body_type is bytes
            else xml.read(binding.body_type, body or b"", binding.body_root)
        )
    if root and binding.has_elements:
        values.update(xml.read_fields(cls, body or b"", root))
    return cls(**values)
