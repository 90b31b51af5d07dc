"""Values while a statement is carried out: read from text, compared, calculated with, written."""

from __future__ import annotations

import decimal
import math
import operator
import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from penstock.server.select.limits import MAX_NUMBER_CHARACTERS
from penstock.server.select.statement import Kind
from penstock.server.select.timestamps import timestamp_of, timestamp_text


class Mismatch(Exception):
    """A record does not hold what the statement takes it for; it is skipped."""


class NumberText(str):
    """A number of a JSON object, as it is written there."""

    __slots__ = ()


Value = None | bool | int | float | Decimal | str | datetime

_MOST_INT: Final = 1 << 63
_WHOLE = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_CONTEXT = decimal.Context(
    prec=34, Emax=6144, Emin=-6143, traps=[decimal.InvalidOperation, decimal.Overflow, decimal.DivisionByZero]
)
"""128 bits, as OSS has them."""


def number_of(text: str) -> int | float | None:
    """The number that a text is; None for an empty one. Raises `Mismatch`."""
    if text.isdigit() and text.isascii() and len(text) < 19:
        return int(text)
    text = text.strip()
    if not text:
        return None
    if len(text) > MAX_NUMBER_CHARACTERS:
        raise Mismatch
    if _WHOLE.fullmatch(text):
        value = int(text)
        return value if -_MOST_INT <= value < _MOST_INT else float(value)
    if not _NUMBER.fullmatch(text):
        raise Mismatch
    return _finite(float(text))


def decimal_of(value: Any) -> Decimal | None:
    """As a decimal of 34 digits. Raises `Mismatch`."""
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        if len(value) > MAX_NUMBER_CHARACTERS or not _NUMBER.fullmatch(value):
            raise Mismatch
    elif not is_number(value):
        raise Mismatch
    try:
        return _CONTEXT.create_decimal(repr(value) if isinstance(value, float) else value)
    except decimal.DecimalException:
        raise Mismatch from None


def int_of(value: Any) -> int | None:
    """As a whole number; what stands after the point of a number falls away. Raises `Mismatch`."""
    if isinstance(value, str):
        found = number_of(value)
        if found is not None and not isinstance(found, int):
            raise Mismatch
        return found
    if not is_number(value) or abs(value) >= _MOST_INT:
        raise Mismatch
    return int(value)


def double_of(value: Any) -> float | None:
    """As a floating-point number. Raises `Mismatch`."""
    found = number_of(value) if isinstance(value, str) else value
    if found is None:
        return None
    if not is_number(found):
        raise Mismatch
    return _finite(float(found))


def bool_of(value: Any) -> bool | None:
    """As true or false. Raises `Mismatch`."""
    if isinstance(value, bool):
        return value
    if is_number(value):
        return bool(value != 0)
    word = value.strip().lower() if isinstance(value, str) else None
    if word == "":
        return None
    if word not in ("true", "false"):
        raise Mismatch
    return word == "true"


def time_of(value: Any, format: str | None = None) -> datetime | None:
    """As a time. Raises `Mismatch`."""
    if isinstance(value, datetime):
        return value
    if value == "":
        return None
    found = timestamp_of(value, format) if isinstance(value, str) else None
    if found is None:
        raise Mismatch
    return found


def text_of(value: Value) -> str:
    """How a value is written in an answer."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return repr(value).removesuffix(".0")
        case datetime():
            return timestamp_text(value)
    return str(value)


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are none."""
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise Mismatch
    return value


CASTS: dict[Kind, Callable[[Any], Any]] = {
    Kind.INT: int_of,
    Kind.DOUBLE: double_of,
    Kind.DECIMAL: decimal_of,
    Kind.BOOL: bool_of,
    Kind.TIMESTAMP: time_of,
    Kind.STRING: text_of,
}
COMPARERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def compare_values(compare: Callable[[Any, Any], bool], left: Any, right: Any) -> bool:
    """
    Compare what came out of a JSON object.

    Raises:
        Mismatch: The two are of different types.
    """
    if type(left) is NumberText:
        left = decimal_of(left) if isinstance(right, Decimal) else _number_if(left, right)
    if type(right) is NumberText:
        right = decimal_of(right) if isinstance(left, Decimal) else _number_if(right, left)
    if isinstance(left, datetime) and isinstance(right, str):
        right = time_of(right)
    elif isinstance(right, datetime) and isinstance(left, str):
        left = time_of(left)
    same = type(left) is type(right) or (is_number(left) and is_number(right))
    if not same and not (isinstance(left, str) and isinstance(right, str)):
        raise Mismatch
    return compare(left, right)


def _number_if(text: str, other: Any) -> Any:
    return number_of(text) if is_number(other) else text


def calculate(sign: str, left: Any, right: Any) -> Value:
    """
    The result of ``+ - * / %``; nothing where it is divided by nothing.

    Whole numbers beyond 64 bits become floating-point numbers. The remainder has the sign of the left side.

    Raises:
        Mismatch: A side is no number, or the result is none.
    """
    a, b = _operand(left), _operand(right)
    if a is None or b is None:
        return None
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return _calculate_decimal(sign, decimal_of(a), decimal_of(b))
    if sign in "/%" and b == 0:
        return None
    try:
        result: int | float
        match sign:
            case "+":
                result = a + b
            case "-":
                result = a - b
            case "*":
                result = a * b
            case "/":
                exact = isinstance(a, int) and isinstance(b, int) and a % b == 0
                result = a // b if exact else a / b
            case _:
                whole = isinstance(a, int) and isinstance(b, int)
                result = abs(a) % abs(b) * (1 if a >= 0 else -1) if whole else math.fmod(a, b)
    except OverflowError:
        raise Mismatch from None
    if isinstance(result, int):
        return result if -_MOST_INT <= result < _MOST_INT else float(result)
    return _finite(result)


def _operand(value: Any) -> int | float | Decimal | None:
    if isinstance(value, str):
        return number_of(value)
    if value is not None and not is_number(value):
        raise Mismatch
    return value  # type: ignore[no-any-return]


def _calculate_decimal(sign: str, a: Decimal | None, b: Decimal | None) -> Decimal | None:
    assert a is not None
    assert b is not None
    if sign in "/%" and b == 0:
        return None
    how = {
        "+": _CONTEXT.add,
        "-": _CONTEXT.subtract,
        "*": _CONTEXT.multiply,
        "/": _CONTEXT.divide,
        "%": _CONTEXT.remainder,
    }
    try:
        return how[sign](a, b)
    except decimal.DecimalException:
        raise Mismatch from None
