"""
Percent-encoding as OSS reads and signs it, and query strings that keep their order and their form.

Only RFC 3986's unreserved characters stay as they are, everything else is UTF-8 in upper-case ``%XX``. A
parameter without ``=`` (``?uploads``) and one with an empty value (``?uploads=``) are told apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import quote, unquote_to_bytes

from penstock.errors import InvalidInput

Query: TypeAlias = Sequence[tuple[str, str | None]]
"""Names and values in order, decoded; None is a name without ``=``."""

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
_UNRESERVED_AND_SLASH = re.compile(r"[A-Za-z0-9_.~/-]*")
_BROKEN_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def encode(text: str, *, keep_slash: bool = False) -> str:
    """
    Percent-encode `text`; with `keep_slash`, leave ``/`` as it is.

    Raises:
        InvalidInput: The text is not Unicode that UTF-8 can express (a lone surrogate).
    """
    plain = _UNRESERVED_AND_SLASH if keep_slash else _UNRESERVED
    if plain.fullmatch(text):
        return text
    try:
        return quote(text, safe="/" if keep_slash else "")
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"{text!r} cannot be written as UTF-8: {error.reason} at character {error.start}",
            advice="Decode names as UTF-8; OSS knows no other encoding.",
        ) from None


def decode(text: str | bytes, *, plus_is_space: bool = False) -> str:
    """
    Undo percent-encoding, of characters as well as of bytes as they came over the wire.

    Args:
        text: What was sent; bytes beyond ASCII that were sent without encoding are taken as UTF-8.
        plus_is_space: Read ``+`` as a space, as servers must: some clients send it so, and all send a
            literal plus as ``%2B``.

    Raises:
        InvalidInput: A ``%`` without two hexadecimal digits, or bytes that are not UTF-8.
    """
    if isinstance(text, str):
        if "%" not in text and "+" not in text and text.isascii():
            return text
        try:
            text = text.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{text!r} is not UTF-8") from None
    if plus_is_space:
        text = text.replace(b"+", b" ")
    if b"%" in text:
        if _BROKEN_ESCAPE.search(text):
            raise InvalidInput(
                f"{text!r} has a % that two hexadecimal digits do not follow",
                advice="Write a literal percent sign as %25.",
            )
        text = unquote_to_bytes(text)
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{text!r} is not UTF-8", advice="Encode names as UTF-8 before percent-encoding them."
        ) from None


def parse_query(text: str | bytes, *, plus_is_space: bool = False) -> list[tuple[str, str | None]]:
    """
    Split a query string (without its ``?``) into decoded names and values, in the order they came.

    A value is None where there was no ``=``. Empty pieces (``a&&b``) are left out.

    Raises:
        InvalidInput: As `decode` does.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    query: list[tuple[str, str | None]] = []
    for piece in raw.split(b"&"):
        if piece:
            name, equals, value = piece.partition(b"=")
            query.append(
                (
                    decode(name, plus_is_space=plus_is_space),
                    decode(value, plus_is_space=plus_is_space) if equals else None,
                )
            )
    return query


def format_query(query: Query) -> str:
    """Write names and values as a query string, in their order; ``""`` if there are none."""
    return "&".join(
        encode(name) if value is None else f"{encode(name)}={encode(value)}" for name, value in query
    )
