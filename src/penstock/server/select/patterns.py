"""LIKE: ``%`` and ``*`` stand for any text, ``?`` for any one character, case counts."""

from __future__ import annotations

import re
from collections.abc import Callable

from penstock.protocol.error_table import fault
from penstock.server.select import limits

_ANY = frozenset("%*")
_WILD = frozenset("%*?")
_ONE = "."


def matcher(pattern: str, escape: str | None = None) -> Callable[[str], bool]:
    """
    A function that says whether a text is like a pattern.

    It needs no backtracking: the pieces between the wildcards are looked for from left to right.

    Raises:
        ServiceError: The pattern has too many wildcards, or cannot be read.
    """
    pieces = _pieces(pattern, escape)
    if len(pieces) == 1:
        whole = re.compile("".join(pieces[0]), re.DOTALL)
        return lambda text: whole.fullmatch(text) is not None
    first, *middle, last = (re.compile("".join(piece), re.DOTALL) for piece in pieces)
    last_size = len(pieces[-1])

    def is_like(text: str) -> bool:
        begun = first.match(text)
        if begun is None:
            return False
        at = begun.end()
        for piece in middle:
            found = piece.search(text, at)
            if found is None:
                return False
            at = found.end()
        start = len(text) - last_size
        return start >= at and last.fullmatch(text, start) is not None

    return is_like


def _pieces(pattern: str, escape: str | None) -> list[list[str]]:
    """What stands between the wildcards for any text: an expression for each character."""
    _check(pattern, escape)
    pieces: list[list[str]] = [[]]
    characters = iter(pattern)
    for character in characters:
        if character == escape:
            plain = next(characters, None)
            if plain is None:
                raise fault("SqlNoCharAfterEscapeChar")
            pieces[-1].append(re.escape(plain))
        elif character in _ANY:
            pieces.append([])
        else:
            pieces[-1].append(_ONE if character == "?" else re.escape(character))
    if len(pieces) - 1 > limits.MAX_WILDCARDS:
        raise fault("SqlExceedsMaxWildCardCount")
    if any(_ONE in piece and len(piece) > limits.MAX_LOOSE_CHARACTERS for piece in pieces):
        raise fault("SqlUnsupportedSql", message="A part of the pattern of LIKE is too long.")
    return pieces


def _check(pattern: str, escape: str | None) -> None:
    if escape is not None and len(escape) != 1:
        raise fault("SqlOnlyOneEscapeCharIsAllowed")
    if escape in _WILD:
        raise fault("SqlInvalidEscapeChar")
