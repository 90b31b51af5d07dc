"""Cuts SQL into words, numbers, texts and signs."""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from penstock.protocol.error_table import fault


class TokenKind(Enum):
    """What a token is."""

    NAME = "name"
    NUMBER = "number"
    STRING = "string"
    SIGN = "sign"
    END = "end"


class Token(NamedTuple):
    """
    A piece of a statement.

    Attributes:
        text: Of a string, without its quotes.
        position: Where it begins, counted from 0.
    """

    kind: TokenKind
    text: str
    position: int

    @property
    def word(self) -> str:
        """The name in lower case, if it is one that stands without quotes; else empty."""
        return self.text.lower() if self.kind is TokenKind.NAME else ""


_TOKEN = re.compile(
    r"""(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[^\W\d]\w*)
      | (?P<string>'[^']*+(?:''[^']*+)*+'|"[^"]*+(?:""[^"]*+)*+")
      | (?P<sign><>|!=|<=|>=|\|\||[-+*/%=<>(),.\[\]])
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"\s*")
_LONE_QUOTE = re.compile(r"['\"]\s*")


def tokens_of(sql: str) -> list[Token]:
    """
    The tokens of a statement, and one for its end.

    A single quote mark at the very end is left out, as OSS does it.

    Raises:
        ServiceError: SqlSyntaxError.
    """
    found: list[Token] = []
    at = 0
    while True:
        space = _SPACE.match(sql, at)
        assert space is not None
        at = space.end()
        if at == len(sql) or _LONE_QUOTE.fullmatch(sql, at):
            return [*found, Token(TokenKind.END, "", at)]
        match = _TOKEN.match(sql, at)
        if match is None:
            raise fault(
                "SqlSyntaxError", message=f"The SQL statement cannot be read from {sql[at : at + 20]!r} on."
            )
        kind = TokenKind(match.lastgroup)
        text = match.group()
        if kind is TokenKind.STRING:
            text = text[1:-1].replace(text[0] * 2, text[0])
        found.append(Token(kind, text, at))
        at = match.end()
