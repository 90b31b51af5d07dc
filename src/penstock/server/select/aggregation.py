"""COUNT, SUM, AVG, MIN and MAX over records."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from penstock.protocol.error_table import fault
from penstock.server.select.expressions import Compiled, Compiler
from penstock.server.select.statement import NUMERIC, Aggregation, Kind
from penstock.server.select.values import Mismatch, NumberText, is_number, number_of


class Aggregate:
    """
    One aggregation while it goes on. Missing values are left out, except by COUNT.

    Raises:
        ServiceError: Its operand is neither a number nor, for MIN and MAX, a time.
    """

    def __init__(self, aggregation: Aggregation, compiler: Compiler) -> None:
        self._function = aggregation.function
        self._count = 0
        self._value: Any = None
        self._operand: Compiled | None = None
        if aggregation.operand is not None:
            self._operand = compiler.compile(aggregation.operand)
            _check(self._function, self._operand.kind)

    def value(self, record: Any) -> Any:
        """
        What this record gives to the aggregation.

        Raises:
            Mismatch: It is no number.
        """
        if self._operand is None:
            return None
        value = self._operand.evaluate(record)
        if type(value) is NumberText:
            value = number_of(value)
        fits = value is None or is_number(value)
        if not fits and not (isinstance(value, datetime) and self._function in ("min", "max")):
            raise Mismatch
        return value

    def add(self, value: Any) -> None:
        """Takes what `value` gave."""
        if self._operand is None:
            self._count += 1
            return
        if value is None:
            return
        self._count += 1
        if self._value is None:
            self._value = value
        elif self._function == "min":
            self._value = min(self._value, value)
        elif self._function == "max":
            self._value = max(self._value, value)
        else:
            self._value += value

    def result(self) -> Any:
        """What came out; None where there was nothing to calculate with."""
        if self._function == "count":
            return self._count
        if self._function != "avg" or self._value is None:
            return self._value
        if isinstance(self._value, int):
            whole, rest = divmod(self._value, self._count)
            return whole if not rest else self._value / self._count
        return self._value / self._count


def _check(function: str, kind: Kind) -> None:
    if kind is Kind.TIMESTAMP:
        if function in ("sum", "avg"):
            raise fault("SqlInvalidAggregationOnTimestamp")
    elif kind not in NUMERIC and kind is not Kind.VALUE:
        raise fault("SqlAggregationOnNonNumericType", message="An aggregation of text needs CAST.")
