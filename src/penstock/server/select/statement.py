"""What an SQL statement says, as values."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec


class Kind(Enum):
    """
    What an expression gives.

    A ``COLUMN`` is text of a CSV object that stands for whatever it is compared with; a ``VALUE`` of a JSON
    object is what the object says, which is known only when it is read.
    """

    COLUMN = "column"
    VALUE = "value"
    STRING = "string"
    INT = "int"
    DOUBLE = "double"
    DECIMAL = "decimal"
    BOOL = "bool"
    TIMESTAMP = "timestamp"


NUMERIC = frozenset({Kind.INT, Kind.DOUBLE, Kind.DECIMAL})


class Wildcard(Enum):
    """``[*]``: each element of an array or object."""

    ANY = "*"


ANY = Wildcard.ANY
Step = str | int | Wildcard
"""One step down: a key, the index of an element, or each of them."""


class Literal(msgspec.Struct, frozen=True):
    """A constant; ``text`` is how it is written."""

    kind: Kind
    value: Any
    text: str


class Reference(msgspec.Struct, frozen=True):
    """A column or JSON path, as it is written."""

    steps: tuple[Step, ...]


class Cast(msgspec.Struct, frozen=True):
    """``CAST(operand AS kind FORMAT 'format')``."""

    operand: Expression
    kind: Kind
    format: str | None = None


class Arithmetic(msgspec.Struct, frozen=True):
    """``+``, ``-``, ``*``, ``/`` or ``%``."""

    operator: str
    left: Expression
    right: Expression


class Concat(msgspec.Struct, frozen=True):
    """``left || right``."""

    left: Expression
    right: Expression


class Comparison(msgspec.Struct, frozen=True):
    """``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""

    operator: str
    left: Expression
    right: Expression


class Between(msgspec.Struct, frozen=True):
    """``operand BETWEEN low AND high``."""

    operand: Expression
    low: Expression
    high: Expression
    negated: bool


class In(msgspec.Struct, frozen=True):
    """``operand IN (values)``."""

    operand: Expression
    values: tuple[Literal, ...]
    negated: bool


class Like(msgspec.Struct, frozen=True):
    """``operand LIKE 'pattern' ESCAPE 'escape'``."""

    operand: Expression
    pattern: Expression
    escape: str | None
    negated: bool


class IsNull(msgspec.Struct, frozen=True):
    """``operand IS NULL``."""

    operand: Expression
    negated: bool


class Logical(msgspec.Struct, frozen=True):
    """Conditions that are all connected by ``and``, or all by ``or``."""

    operator: str
    items: tuple[Expression, ...]


class Not(msgspec.Struct, frozen=True):
    """``NOT item``."""

    item: Expression


class Aggregation(msgspec.Struct, frozen=True):
    """``COUNT(*)``, or another function of one operand."""

    function: str
    operand: Expression | None


Expression = (
    Literal
    | Reference
    | Cast
    | Arithmetic
    | Concat
    | Comparison
    | Between
    | In
    | Like
    | IsNull
    | Logical
    | Not
    | Aggregation
)


class Projection(msgspec.Struct, frozen=True):
    """One item of the list after SELECT."""

    expression: Expression
    alias: str | None = None


class Statement(msgspec.Struct, frozen=True):
    """
    ``SELECT projections FROM ossobject.root alias WHERE condition LIMIT limit``.

    Attributes:
        projections: None for ``*``.
        root: Steps after ``ossobject``.
    """

    projections: tuple[Projection, ...] | None
    root: tuple[Step, ...] = ()
    alias: str | None = None
    condition: Expression | None = None
    limit: int | None = None
