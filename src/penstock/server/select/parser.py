"""
Reads the SQL of SelectObject.

    SELECT * | item [AS alias], ... FROM ossobject[path] [[AS] alias] [WHERE condition] [LIMIT number]

An item is a column, a JSON path, CAST or an aggregation, as OSS has it; arithmetic and ``||`` stand in
conditions only. What is nested is limited while it is read, so that nothing later can run out of stack.
"""

from __future__ import annotations

import math
from typing import Final

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.server.select import limits
from penstock.server.select.statement import (
    ANY,
    Aggregation,
    Arithmetic,
    Between,
    Cast,
    Comparison,
    Concat,
    Expression,
    In,
    IsNull,
    Kind,
    Like,
    Literal,
    Logical,
    Not,
    Projection,
    Reference,
    Statement,
    Step,
)
from penstock.server.select.tokens import Token, TokenKind, tokens_of

_TABLE: Final = "ossobject"
_AGGREGATIONS = frozenset({"count", "sum", "avg", "min", "max"})
_COMPARERS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_KINDS = {
    "int": Kind.INT,
    "integer": Kind.INT,
    "double": Kind.DOUBLE,
    "float": Kind.DOUBLE,
    "decimal": Kind.DECIMAL,
    "bool": Kind.BOOL,
    "boolean": Kind.BOOL,
    "string": Kind.STRING,
    "timestamp": Kind.TIMESTAMP,
    "datetime": Kind.TIMESTAMP,
}
_KEYWORDS = frozenset({"where", "limit", "from", "and", "or", "join", "group", "order", "having", "on"})


def parse(sql: str) -> Statement:
    """
    What a statement says.

    Raises:
        ServiceError: SqlSyntaxError, or the limit of OSS that it goes beyond.
    """
    return _Parser(sql).statement()


class _Parser:
    def __init__(self, sql: str) -> None:
        self._tokens = tokens_of(sql)
        self._at = 0
        self._depth = 0
        self._operations = 0
        self._conditions = 0
        self._aggregations = 0

    # -- the statement

    def statement(self) -> Statement:
        self._expect_word("select")
        projections = self._projections()
        self._expect_word("from")
        self._expect_word(_TABLE)
        root = self._steps(())
        alias = self._table_alias()
        condition = self._expression() if self._take_word("where") else None
        limit = self._limit() if self._take_word("limit") else None
        if self._next.kind is not TokenKind.END:
            raise self._unexpected()
        return Statement(projections, root, alias, condition, limit)

    def _projections(self) -> tuple[Projection, ...] | None:
        star = self._take_sign("*")
        if star and not self._take_sign(","):
            return None
        found = []
        while True:
            if star or self._take_sign("*"):
                raise fault("SqlInvalidMixOfStarAndColumn")
            found.append(self._projection())
            if not self._take_sign(","):
                break
        if len(found) > limits.MAX_COLUMNS:
            raise fault("SqlUnsupportedSql", message=f"More than {limits.MAX_COLUMNS} columns are selected.")
        return tuple(found)

    def _projection(self) -> Projection:
        item = self._primary()
        if not isinstance(item, Reference | Cast | Aggregation):
            raise self._unexpected()
        alias = None
        # OSS takes several aliases; the last one counts.
        while self._take_word("as"):
            alias = self._name()
        return Projection(item, alias)

    def _table_alias(self) -> str | None:
        if self._take_word("as"):
            return self._name()
        if self._next.kind is TokenKind.NAME and self._next.word not in _KEYWORDS:
            return self._name()
        return None

    def _limit(self) -> int:
        negative = self._take_sign("-")
        token = self._take()
        if token.kind is not TokenKind.NUMBER:
            raise self._unexpected(token)
        if negative or not token.text.isdigit() or not 1 <= int(token.text) < 1 << 63:
            raise fault("SqlInvalidLimitValue")
        return int(token.text)

    # -- conditions, from what binds least to what binds most

    def _expression(self) -> Expression:
        return self._connected("or")

    def _connected(self, operator: str) -> Expression:
        deeper = self._negation if operator == "and" else lambda: self._connected("and")
        items = [deeper()]
        while self._take_word(operator):
            items.append(deeper())
        return Logical(operator, tuple(items)) if len(items) > 1 else items[0]

    def _negation(self) -> Expression:
        if not self._take_word("not"):
            return self._predicate()
        self._enter()
        item = self._negation()
        self._depth -= 1
        return Not(item)

    def _predicate(self) -> Expression:
        left = self._concatenation()
        token = self._next
        if token.kind is TokenKind.SIGN and token.text in _COMPARERS:
            self._take()
            return self._condition(Comparison(_COMPARERS[token.text], left, self._concatenation()))
        if self._take_word("is"):
            negated = self._take_word("not")
            self._expect_word("null")
            return self._condition(IsNull(left, negated))
        negated = self._take_word("not")
        if self._take_word("between"):
            low = self._concatenation()
            self._expect_word("and")
            return self._condition(Between(left, low, self._concatenation(), negated))
        if self._take_word("in"):
            return self._condition(In(left, self._values(), negated))
        if self._take_word("like"):
            pattern = self._concatenation()
            escape = self._string() if self._take_word("escape") else None
            return self._condition(Like(left, pattern, escape, negated))
        if negated:
            raise self._unexpected()
        return left

    def _condition(self, node: Expression) -> Expression:
        self._conditions += 1
        if self._conditions > limits.MAX_CONDITIONS:
            raise fault("SqlExceedsMaxConditionCount")
        return node

    def _values(self) -> tuple[Literal, ...]:
        self._expect_sign("(")
        values: list[Literal] = []
        while True:
            value = self._signed()
            if not isinstance(value, Literal):
                raise self._unexpected()
            values.append(value)
            if len(values) > limits.MAX_IN_VALUES:
                raise fault("SqlExceedsMaxInCount")
            if not self._take_sign(","):
                break
        self._expect_sign(")")
        return tuple(values)

    # -- values

    def _concatenation(self) -> Expression:
        left = self._sum()
        while self._take_sign("||"):
            left = self._operation(Concat(left, self._sum()))
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while self._next.kind is TokenKind.SIGN and self._next.text in ("+", "-"):
            operator = self._take().text
            left = self._operation(Arithmetic(operator, left, self._product()))
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while self._next.kind is TokenKind.SIGN and self._next.text in ("*", "/", "%"):
            operator = self._take().text
            left = self._operation(Arithmetic(operator, left, self._signed()))
        return left

    def _signed(self) -> Expression:
        if self._take_sign("+"):
            return self._signed_number(1)
        return self._signed_number(-1) if self._take_sign("-") else self._primary()

    def _signed_number(self, sign: int) -> Expression:
        item = self._primary()
        if isinstance(item, Literal) and item.kind in (Kind.INT, Kind.DOUBLE):
            return Literal(item.kind, sign * item.value, item.text if sign > 0 else f"-{item.text}")
        return item if sign > 0 else self._operation(Arithmetic("-", Literal(Kind.INT, 0, "0"), item))

    def _primary(self) -> Expression:
        token = self._next
        match token.kind:
            case TokenKind.NUMBER:
                return self._number(self._take().text)
            case TokenKind.STRING:
                return Literal(Kind.STRING, token.text, self._take().text)
            case TokenKind.NAME:
                return self._named()
        self._expect_sign("(")
        self._enter()
        inner = self._expression()
        self._depth -= 1
        self._expect_sign(")")
        return inner

    def _number(self, text: str) -> Literal:
        if text.isdigit() and len(text) <= 19 and int(text) < 1 << 63:
            return Literal(Kind.INT, int(text), text)
        value = float(text)
        exponent = text.lower().partition("e")[2].lstrip("+-")
        if len(text) > limits.MAX_NUMBER_CHARACTERS or len(exponent) > 3 or not math.isfinite(value):
            raise fault("SqlSyntaxError", message="A number of the SQL statement is out of range.")
        return Literal(Kind.DOUBLE, value, text)

    def _named(self) -> Expression:
        token = self._take()
        if self._next.text == "(" and self._next.kind is TokenKind.SIGN:
            if token.word == "cast":
                return self._cast()
            if token.word in _AGGREGATIONS:
                return self._aggregation(token.word)
            raise self._unexpected(token)
        if token.word in ("true", "false"):
            return Literal(Kind.BOOL, token.word == "true", token.text)
        if token.word in _KEYWORDS or token.word == "null":
            raise self._unexpected(token)
        return Reference(self._steps((self._checked_name(token.text),)))

    def _cast(self) -> Expression:
        self._expect_sign("(")
        self._enter()
        operand = self._concatenation()
        self._depth -= 1
        self._expect_word("as")
        target = self._take()
        kind = _KINDS.get(target.word)
        if kind is None:
            raise self._unexpected(target)
        written = self._string() if kind is Kind.TIMESTAMP and self._take_word("format") else None
        self._expect_sign(")")
        return Cast(operand, kind, written)

    def _aggregation(self, function: str) -> Expression:
        self._aggregations += 1
        if self._aggregations > limits.MAX_AGGREGATIONS:
            raise fault("SqlExceedsMaxAggregationCount")
        self._expect_sign("(")
        operand = None
        if function == "count":
            self._expect_sign("*")
        else:
            operand = self._primary()
            if not isinstance(operand, Reference | Cast):
                raise self._unexpected()
        self._expect_sign(")")
        return Aggregation(function, operand)

    def _steps(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        found = list(steps)
        while True:
            if self._take_sign("."):
                found.append(self._name())
            elif self._take_sign("["):
                found.append(self._subscript())
                self._expect_sign("]")
            else:
                return tuple(found)
            if len(found) > limits.MAX_NODE_DEPTH + 1:
                raise fault("ExceedsMaxNestedColumnDepth")

    def _subscript(self) -> Step:
        if self._take_sign("*"):
            return ANY
        if self._take_sign("-"):
            raise fault("NegativeRowIndex")
        if self._next.kind is not TokenKind.NUMBER:
            return self._name()
        token = self._take()
        if not token.text.isdigit() or len(token.text) > 9:
            raise self._unexpected(token)
        return int(token.text)

    # -- tokens

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        if token.kind is not TokenKind.END:
            self._at += 1
        return token

    def _take_word(self, word: str) -> bool:
        found = self._next.word == word
        self._at += found
        return found

    def _take_sign(self, sign: str) -> bool:
        found = self._next.kind is TokenKind.SIGN and self._next.text == sign
        self._at += found
        return found

    def _expect_word(self, word: str) -> None:
        if not self._take_word(word):
            raise self._unexpected()

    def _expect_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._unexpected()

    def _name(self) -> str:
        token = self._take()
        if token.kind not in (TokenKind.NAME, TokenKind.STRING):
            raise self._unexpected(token)
        return self._checked_name(token.text)

    def _checked_name(self, text: str) -> str:
        if len(text.encode("utf-8", "replace")) > limits.MAX_NAME_BYTES:
            raise fault("SqlExceedsMaxColumnNameLength")
        return text

    def _string(self) -> str:
        token = self._take()
        if token.kind is not TokenKind.STRING:
            raise self._unexpected(token)
        return token.text

    def _unexpected(self, token: Token | None = None) -> ServiceError:
        found = token or self._next
        what = "its end" if found.kind is TokenKind.END else repr(found.text[:40])
        return fault(
            "SqlSyntaxError",
            message=f"The SQL statement is not understood at {what}, position {found.position}.",
        )

    # -- limits

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > limits.MAX_EXPRESSION_DEPTH:
            raise fault("SqlExceedsMaxConditionDepth")

    def _operation(self, node: Expression) -> Expression:
        self._operations += 1
        if self._operations > limits.MAX_OPERATIONS:
            raise fault("SqlUnsupportedSql")
        return node
