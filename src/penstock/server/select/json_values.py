"""What a path leads to within one node of JSON, as bytes and as a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from penstock.protocol.error_table import fault
from penstock.server.select import limits
from penstock.server.select.expressions import Column
from penstock.server.select.statement import ANY, Kind, Reference, Step
from penstock.server.select.values import Mismatch, NumberText, number_of

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_string = msgspec.json.Decoder(str).decode
_any = msgspec.json.Decoder(msgspec.Raw).decode
_TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^" \t\r\n]++', re.DOTALL)
_NUMBER_STARTS = frozenset(b"-0123456789")
_CONSTANTS = {b"null": None, b"true": True, b"false": False}


class JsonRecord:
    """One node. What it holds is decoded as far as it is asked for, and once."""

    __slots__ = ("_containers", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._containers: dict[tuple[Step, ...], Any] = {}

    def check(self) -> None:
        """Raises ServiceError InvalidJsonData unless all of it is JSON."""
        if self._container(()) is None:
            _decoded(_any, self.raw)

    def find(self, path: tuple[Step, ...]) -> bytes | None:
        """The bytes that a path leads to; None if it leads nowhere."""
        if not path:
            return self.raw
        holder = self._container(path[:-1])
        step = path[-1]
        if isinstance(holder, dict):
            found = holder.get(step)
        elif isinstance(holder, list) and isinstance(step, int) and step < len(holder):
            found = holder[step]
        else:
            return None
        return None if found is None else bytes(found)

    def _container(self, path: tuple[Step, ...]) -> Any:
        if path in self._containers:
            return self._containers[path]
        raw = self.find(path)
        first = raw.lstrip()[:1] if raw is not None else b""
        found: Any = None
        if raw is not None and first in (b"{", b"["):
            found = _decoded(_object if first == b"{" else _array, raw)
        self._containers[path] = found
        return found


def compact(raw: bytes) -> bytes:
    """The same JSON without the space between its tokens."""
    return b"".join(_TOKENS.findall(raw))


class JsonSource:
    """
    The paths of JSON nodes.

    Args:
        alias: Name of the node in the statement.
        numbers_as_strings: Whether numbers stay as they are written.
    """

    def __init__(self, alias: str | None, *, numbers_as_strings: bool) -> None:
        self._alias = alias
        self._numbers_as_strings = numbers_as_strings

    def path(self, reference: Reference) -> tuple[Step, ...]:
        """The steps from a node down. Upper and lower case differ in keys."""
        first, *rest = reference.steps
        named = first == self._alias or (self._alias is None and str(first).lower() == "ossobject")
        steps = tuple(rest) if named else reference.steps
        if ANY in steps:
            raise fault("WildCardNotAllowed")
        if len(steps) > limits.MAX_NODE_DEPTH:
            raise fault("ExceedsMaxNestedColumnDepth")
        return steps

    def column(self, reference: Reference) -> Column:
        """The values that a path leads to."""
        path = self.path(reference)
        as_text = self._numbers_as_strings

        def evaluate(record: JsonRecord) -> Any:
            raw = record.find(path)
            return None if raw is None else scalar(raw, numbers_as_strings=as_text)

        return Column(path, Kind.VALUE, evaluate, lambda record: record.find(path) is None)


def scalar(raw: bytes, *, numbers_as_strings: bool = False) -> Any:
    """
    The value of a piece of JSON.

    Raises:
        Mismatch: It is an object or an array.
    """
    raw = raw.strip()
    if raw[:1] == b'"':
        return _decoded(_string, raw)
    if raw[0] in _NUMBER_STARTS:
        text = raw.decode("ascii")
        return NumberText(text) if numbers_as_strings else number_of(text)
    if raw in _CONSTANTS:
        return _CONSTANTS[raw]
    raise Mismatch


def _decoded(decode: Callable[[bytes], Any], raw: bytes) -> Any:
    try:
        return decode(raw)
    except UnicodeDecodeError:
        raise fault("InvalidTextEncoding") from None
    except (msgspec.DecodeError, RecursionError):
        raise fault("InvalidJsonData") from None
