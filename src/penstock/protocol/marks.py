"""Marks for ``Annotated`` fields: the place of a value in an HTTP message."""

from __future__ import annotations

import msgspec

from penstock.protocol.text import TextForm


class Query(msgspec.Struct, frozen=True):
    """A query parameter."""

    name: str
    form: TextForm | None = None


class Header(msgspec.Struct, frozen=True):
    """A header; the name is lower-case."""

    name: str
    form: TextForm | None = None


class HeaderPrefix(msgspec.Struct, frozen=True):
    """All headers that begin so, as a mapping without the prefix (user metadata)."""

    prefix: str


class Element(msgspec.Struct, frozen=True):
    """
    A child element of an XML document.

    Attributes:
        name: Its name, or a path such as ``TagSet/Tag``; ``.`` is the text of the root itself.
        form: How its text is written, where the type does not say it.
        url: True for names that are percent-encoded when the document says ``EncodingType`` url.
    """

    name: str
    form: TextForm | None = None
    url: bool = False


class XmlBody(msgspec.Struct, frozen=True):
    """The XML document that a request carries."""

    root: str


class WholeBody(msgspec.Struct, frozen=True):
    """The whole body as it is, for documents that are not XML (a policy is JSON)."""
