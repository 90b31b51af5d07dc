"""
Makes functions of expressions: a record in, a value out.

What can be said of types without a record is said here, with the errors that OSS has for it. What only a
record shows is a `Mismatch` when the function is called. A missing value makes a comparison neither true
nor false, and ``AND``, ``OR`` and ``NOT`` go on with that as SQL has it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Protocol

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.server.select import limits
from penstock.server.select.logic import Evaluate, all_of, any_of, negation
from penstock.server.select.patterns import matcher
from penstock.server.select.statement import (
    NUMERIC,
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
    Reference,
)
from penstock.server.select.timestamps import is_format
from penstock.server.select.values import (
    CASTS,
    COMPARERS,
    Mismatch,
    NumberText,
    bool_of,
    calculate,
    compare_values,
    decimal_of,
    is_number,
    number_of,
    text_of,
    time_of,
)


@dataclass(frozen=True, slots=True)
class Column:
    """
    What a reference stands for.

    Attributes:
        key: Equal for references to the same thing.
        kind: ``COLUMN`` or ``VALUE``.
        is_missing: Whether a record does not have it.
    """

    key: Hashable
    kind: Kind
    evaluate: Evaluate
    is_missing: Callable[[Any], bool]


class Source(Protocol):
    """Knows the columns of an object."""

    def column(self, reference: Reference) -> Column:
        """What a reference stands for. Raises ServiceError if there is no such thing."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A function and what it gives; ``constant`` is the literal that it is, if it is one."""

    kind: Kind
    evaluate: Evaluate
    constant: Literal | None = None


_TEXT = frozenset({Kind.COLUMN, Kind.VALUE, Kind.STRING})


class Compiler:
    """
    Compiles the expressions of one statement.

    Attributes:
        used: The columns that were referred to, by key.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._casts: dict[Hashable, tuple[Kind, str | None]] = {}
        self.used: dict[Hashable, Column] = {}

    def condition(self, expression: Expression) -> Evaluate:
        """What says of a record whether it is wanted: only True does."""
        return self._truth(expression, "SqlSyntaxError", 1)

    def column(self, reference: Reference) -> Column:
        """What a reference stands for; it counts as used."""
        column = self._source.column(reference)
        return self.used.setdefault(column.key, column)

    def compile(self, expression: Expression, depth: int = 1) -> Compiled:
        """A function of an expression."""
        match expression:
            case Literal(kind=kind, value=value):
                return Compiled(kind, lambda _: value, expression)
            case Reference():
                column = self.column(expression)
                return Compiled(column.kind, column.evaluate)
            case Cast():
                return self._cast(expression)
            case Arithmetic():
                return self._arithmetic(expression)
            case Concat():
                return self._concat(expression)
            case Comparison(operator=sign, left=left, right=right):
                compared = self._compare(sign, self.compile(left), self.compile(right))
                return Compiled(Kind.BOOL, compared)
            case Between():
                return self._between(expression)
            case In():
                return self._in(expression)
            case Like():
                return self._like(expression)
            case IsNull(operand=operand, negated=negated):
                return self._is_null(self.compile(operand), negated=negated)
            case Logical():
                return self._logical(expression, depth)
            case Not(item=item):
                negated_item = self._truth(item, "SqlInvalidNotOperand", depth + 1)
                return Compiled(Kind.BOOL, negation(negated_item))
        raise fault("SqlSyntaxError", message="An aggregation stands where a column is needed.")

    # -- values

    def _cast(self, cast: Cast) -> Compiled:
        if cast.format is not None and not is_format(cast.format):
            raise fault("SqlNotSupportedTimestampFormat")
        if isinstance(cast.operand, Reference):
            key = self.column(cast.operand).key
            if self._casts.setdefault(key, (cast.kind, cast.format)) != (cast.kind, cast.format):
                raise fault("SqlOneColumnCastToDifferentTypes")
        operand = self.compile(cast.operand)
        if cast.kind is Kind.TIMESTAMP:
            return self._timestamp(operand, cast.format)
        convert = CASTS[cast.kind]
        if operand.constant is not None:
            # A number keeps the digits that it is written with.
            exact = cast.kind is Kind.DECIMAL and operand.kind is Kind.DOUBLE
            given = operand.constant.text if exact else operand.constant.value
            value = _at_once(lambda: convert(given), fault("SqlSyntaxError", message="CAST is impossible."))
            return Compiled(cast.kind, lambda _: value, Literal(cast.kind, value, text_of(value)))
        return Compiled(cast.kind, _applied(convert, operand.evaluate))

    def _timestamp(self, operand: Compiled, format: str | None) -> Compiled:
        if operand.constant is not None:
            text = operand.constant.value
            code = "SqlInvalidTimestampValue" if format is None else "SqlNotMatchTimestampFormat"
            moment = _at_once(lambda: time_of(text, format), fault(code))
            return Compiled(
                Kind.TIMESTAMP, lambda _: moment, Literal(Kind.TIMESTAMP, moment, operand.constant.text)
            )
        return Compiled(Kind.TIMESTAMP, _applied(lambda value: time_of(value, format), operand.evaluate))

    def _arithmetic(self, node: Arithmetic) -> Compiled:
        left, right = self.compile(node.left), self.compile(node.right)
        kinds = (left.kind, right.kind)
        if not all(kind in NUMERIC or kind in (Kind.COLUMN, Kind.VALUE) for kind in kinds):
            raise fault("InvalidArithmeticOperand")
        sign, a, b = node.operator, left.evaluate, right.evaluate
        kind = Kind.DECIMAL if Kind.DECIMAL in kinds else Kind.DOUBLE
        if kind is Kind.DECIMAL:
            a, b = _exactly(left).evaluate, _exactly(right).evaluate
        return Compiled(kind, lambda record: calculate(sign, a(record), b(record)))

    def _concat(self, node: Concat) -> Compiled:
        left, right = self.compile(node.left), self.compile(node.right)
        constants = left.constant is not None and right.constant is not None
        if constants or left.kind not in _TEXT or right.kind not in _TEXT:
            raise fault("SqlInvalidConcatOperand")
        a, b = left.evaluate, right.evaluate

        def joined(record: Any) -> Any:
            one, other = a(record), b(record)
            if one is None or other is None:
                return None
            if not isinstance(one, str) or not isinstance(other, str):
                raise Mismatch
            if len(one) + len(other) > limits.MAX_OUTPUT_BYTES:
                raise Mismatch
            return one + other

        return Compiled(Kind.STRING, joined)

    # -- conditions

    def _compare(self, sign: str, left: Compiled, right: Compiled) -> Evaluate:
        compare = COMPARERS[sign]
        if Kind.VALUE in (left.kind, right.kind):
            return _compared(lambda a, b: compare_values(compare, a, b), left, right)
        left, right = _alike(left, right), _alike(right, left)
        numbers = left.kind in NUMERIC and right.kind in NUMERIC
        texts = left.kind in _TEXT and right.kind in _TEXT
        if not numbers and not texts and left.kind is not right.kind:
            raise fault("SqlComparerOperandTypeMismatch")
        return _compared(compare, left, right)

    def _between(self, node: Between) -> Compiled:
        operand, low, high = (self.compile(one) for one in (node.operand, node.low, node.high))
        inside = all_of([self._compare(">=", operand, low), self._compare("<=", operand, high)])
        return Compiled(Kind.BOOL, negation(inside) if node.negated else inside)

    def _in(self, node: In) -> Compiled:
        operand = self.compile(node.operand)
        first = node.values[0]
        if any((one.kind in NUMERIC) != (first.kind in NUMERIC) for one in node.values) or (
            first.kind not in NUMERIC and any(one.kind is not first.kind for one in node.values)
        ):
            raise fault("SqlValueTypeOfInMustBeSame")
        # What one of the values can be compared with, all of them can.
        self._compare("=", operand, Compiled(first.kind, lambda _: first.value, first))
        of_column = operand.kind is Kind.COLUMN and first.kind in (*NUMERIC, Kind.BOOL)
        if of_column:
            operand = _alike(operand, Compiled(first.kind, lambda _: first.value, first))
        if operand.kind is Kind.DECIMAL:
            values = frozenset(decimal_of(one.text) for one in node.values)
        else:
            values = frozenset(one.value for one in node.values)
        evaluate, negated, like = operand.evaluate, node.negated, first.kind

        def is_in(record: Any) -> bool | None:
            value = evaluate(record)
            if value is None:
                return None
            if type(value) is NumberText and like in NUMERIC:
                value = number_of(value)
            if not _is_of(value, like):
                raise Mismatch
            return (value in values) is not negated

        return Compiled(Kind.BOOL, is_in)

    def _like(self, node: Like) -> Compiled:
        pattern = self.compile(node.pattern)
        operand = self.compile(node.operand)
        usable = operand.constant is None and operand.kind in _TEXT
        if not usable or pattern.constant is None or pattern.kind is not Kind.STRING:
            raise fault("SqlInvalidLikeOperand")
        is_like, evaluate, negated = (
            matcher(pattern.constant.value, node.escape),
            operand.evaluate,
            node.negated,
        )

        def liked(record: Any) -> bool | None:
            value = evaluate(record)
            if value is None:
                return None
            if not isinstance(value, str):
                raise Mismatch
            return is_like(value) is not negated

        return Compiled(Kind.BOOL, liked)

    def _is_null(self, operand: Compiled, *, negated: bool) -> Compiled:
        if operand.constant is not None:
            raise fault("SqlInvalidIsNullOperand")
        evaluate = operand.evaluate
        return Compiled(Kind.BOOL, lambda record: (evaluate(record) is None) is not negated)

    def _logical(self, node: Logical, depth: int) -> Compiled:
        code = "SqlInvalidAndOperand" if node.operator == "and" else "SqlInvalidOrOperand"
        items = [self._truth(one, code, depth + 1) for one in node.items]
        return Compiled(Kind.BOOL, all_of(items) if node.operator == "and" else any_of(items))

    def _truth(self, expression: Expression, code: str, depth: int) -> Evaluate:
        """A condition: it gives True, False or None."""
        if depth > limits.MAX_CONDITION_DEPTH:
            raise fault("SqlExceedsMaxConditionDepth")
        compiled = self.compile(expression, depth)
        if compiled.kind is Kind.BOOL:
            return compiled.evaluate
        if compiled.kind is not Kind.VALUE:
            raise fault(code)
        evaluate = compiled.evaluate

        def truth(record: Any) -> bool | None:
            value = evaluate(record)
            if value is not None and not isinstance(value, bool):
                raise Mismatch
            return value

        return truth


def _alike(one: Compiled, other: Compiled) -> Compiled:
    """The first, as something that the second can be compared with."""
    if other.kind is Kind.DECIMAL and one.kind is not Kind.DECIMAL:
        return _exactly(one)
    if one.kind is Kind.COLUMN:
        if other.kind in NUMERIC:
            return Compiled(Kind.DOUBLE, _applied(number_of, one.evaluate))
        if other.kind is Kind.BOOL:
            return Compiled(Kind.BOOL, _applied(bool_of, one.evaluate))
    if other.kind is Kind.TIMESTAMP and one.kind in _TEXT:
        if one.constant is not None:
            text = one.constant.value
            moment = _at_once(lambda: time_of(text), fault("SqlInvalidTimestampValue"))
            return Compiled(Kind.TIMESTAMP, lambda _: moment)
        return Compiled(Kind.TIMESTAMP, _applied(time_of, one.evaluate))
    return one


def _exactly(one: Compiled) -> Compiled:
    """As a decimal, of a constant with all the digits that it is written with."""
    if one.kind is Kind.DECIMAL or (one.kind not in NUMERIC and one.kind not in (Kind.COLUMN, Kind.VALUE)):
        return one
    if one.constant is not None:
        value = decimal_of(one.constant.text)
        return Compiled(Kind.DECIMAL, lambda _: value)
    return Compiled(Kind.DECIMAL, _applied(decimal_of, one.evaluate))


def _applied(convert: Callable[[Any], Any], evaluate: Evaluate) -> Evaluate:
    def applied(record: Any) -> Any:
        value = evaluate(record)
        return None if value is None else convert(value)

    return applied


def _at_once(make: Callable[[], Any], error: ServiceError) -> Any:
    try:
        return make()
    except Mismatch:
        raise error from None


def _is_of(value: Any, kind: Kind) -> bool:
    if kind in NUMERIC:
        return is_number(value)
    return isinstance(value, str if kind is Kind.STRING else bool)


def _compared(compare: Callable[[Any, Any], bool], left: Compiled, right: Compiled) -> Evaluate:
    a, b = left.evaluate, right.evaluate

    def compared(record: Any) -> bool | None:
        one = a(record)
        if one is None:
            return None
        other = b(record)
        return None if other is None else compare(one, other)

    return compared
