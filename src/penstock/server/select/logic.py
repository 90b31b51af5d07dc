"""NOT, AND and OR of conditions that may be neither true nor false."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Evaluate = Callable[[Any], Any]
"""Gives the value of an expression for a record; None where there is none."""


def negation(item: Evaluate) -> Evaluate:
    """True where the condition is False, and the other way round."""

    def negated(record: Any) -> bool | None:
        value = item(record)
        return None if value is None else not value

    return negated


def all_of(items: list[Evaluate]) -> Evaluate:
    """False where one of the conditions is, True where all are."""

    def conjunction(record: Any) -> bool | None:
        unknown = False
        for item in items:
            value = item(record)
            if value is False:
                return False
            unknown = unknown or value is None
        return None if unknown else True

    return conjunction


def any_of(items: list[Evaluate]) -> Evaluate:
    """True where one of the conditions is, False where all are."""

    def disjunction(record: Any) -> bool | None:
        unknown = False
        for item in items:
            value = item(record)
            if value is True:
                return True
            unknown = unknown or value is None
        return None if unknown else False

    return disjunction
