"""A statement bound to the columns of an object: which records it wants, and what it makes of them."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Any

from penstock.protocol.error_table import fault
from penstock.server.select.aggregation import Aggregate
from penstock.server.select.expressions import Column, Compiler, Source
from penstock.server.select.statement import Aggregation, Cast, Projection, Reference, Statement
from penstock.server.select.values import Mismatch
from penstock.server.select.writers import OutputColumn


class Verdict(Enum):
    """What becomes of a record: it goes into the answer, it does not, or it does not fit the statement."""

    WANTED = "wanted"
    UNWANTED = "unwanted"
    SKIPPED = "skipped"


class Query:
    """
    Judges records and adds them up.

    Attributes:
        columns: Of the answer; None for ``*``.
        aggregates: Those of the answer; empty where records are listed.
        left: How many more records are wanted; None for all.

    Raises:
        ServiceError: The statement does not go with these columns, or asks for what OSS does not do.
    """

    def __init__(self, statement: Statement, source: Source, *, skip_partial: bool = False) -> None:
        compiler = Compiler(source)
        self.left = statement.limit
        self.columns: list[OutputColumn] | None = None
        self.aggregates: list[Aggregate] = []
        if statement.projections is not None:
            self.columns = [
                self._column(one, number, compiler) for number, one in enumerate(statement.projections, 1)
            ]
        if self.aggregates and len(self.aggregates) < len(self.columns or ()):
            raise fault("SqlInvalidMixOfAggregationAndColumn")
        self._wants = None if statement.condition is None else compiler.condition(statement.condition)
        needed: dict[Hashable, Column] = compiler.used if skip_partial else {}
        self._missing = [column.is_missing for column in needed.values()]

    def _column(self, projection: Projection, number: int, compiler: Compiler) -> OutputColumn:
        name = projection.alias or ""
        match projection.expression:
            case Aggregation() as aggregation:
                self.aggregates.append(Aggregate(aggregation, compiler))
                return OutputColumn(name or f"_{number}", None, lambda _: None, calculated=True)
            case Reference() as reference:
                column = compiler.column(reference)
                return OutputColumn(name or _name(column, number), column.key, column.evaluate)
            case Cast() as cast:
                evaluate = compiler.compile(cast).evaluate
                key = None
                if isinstance(cast.operand, Reference):
                    column = compiler.column(cast.operand)
                    key, name = column.key, name or _name(column, number)
                else:
                    name = name or f"_{number}"
                return OutputColumn(name, key, evaluate, calculated=True)
        raise fault("SqlSyntaxError", message="Only columns, CAST and aggregations can be selected.")

    def judge(self, record: Any) -> Verdict:
        """What becomes of a record; if it is wanted, the aggregations have taken it."""
        try:
            if any(is_missing(record) for is_missing in self._missing):
                return Verdict.SKIPPED
            if self._wants is not None and self._wants(record) is not True:
                return Verdict.UNWANTED
            if self.aggregates:
                values = [one.value(record) for one in self.aggregates]
                for one, value in zip(self.aggregates, values, strict=True):
                    one.add(value)
        except Mismatch:
            return Verdict.SKIPPED
        return Verdict.WANTED

    @property
    def results(self) -> list[Any]:
        """What the aggregations came to."""
        return [one.result() for one in self.aggregates]


def _name(column: Column, number: int) -> str:
    """What a column is called where nothing else is said: the key of JSON; CSV has its header for that."""
    if isinstance(column.key, tuple):
        last = column.key[-1] if column.key else None
        return last if isinstance(last, str) else f"_{number}"
    return ""
