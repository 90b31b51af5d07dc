"""
Finds the nodes that a path leads to in JSON of any length: bytes in pieces in, nodes out.

Only what is on the way is looked at closely, and only the nodes are kept, whose size, depth and arrays
OSS limits. What lies beside the way is passed over; that its brackets fit is all that is asked of it.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.server.select import limits
from penstock.server.select.statement import ANY, Step

_SPACE = re.compile(rb"[ \t\r\n]*+")
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_WHOLE_STRING = re.compile(_STRING, re.DOTALL)
_SCALAR = re.compile(rb"[^\s{}\[\],:\"]++")
_VALID_SCALAR = re.compile(rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null")
_STRUCTURE = re.compile(_STRING + rb'|["{}\[\],]', re.DOTALL)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OPENED_BY = {ord("}"): ord("{"), ord("]"): ord("[")}
_MOST_OPEN = 100_000

_decode_key = msgspec.json.Decoder(str).decode


class Node(NamedTuple):
    """
    A node that the path leads to.

    Attributes:
        record: Which value of the object it is in, counted from 0; always 0 in a document.
        start: Where that value begins.
        raw: Its bytes.
    """

    record: int
    start: int
    raw: bytes


class _Await(Enum):
    VALUE = "value"
    KEY = "key"
    COLON = "colon"
    COMMA = "comma"


class _Level:
    """A container on the way: its bracket, how many steps led to it, and what comes next in it."""

    __slots__ = ("awaits", "bracket", "done", "empty", "index", "key")

    def __init__(self, bracket: int, done: int) -> None:
        self.bracket = bracket
        self.done = done
        self.awaits = _Await.KEY if bracket == ord("{") else _Await.VALUE
        self.empty = True
        self.index = -1
        self.key = ""


class NodeReader:
    """
    Reads one document, or values one after the other (``lines``), with or without commas between them.

    Attributes:
        records: How many values were begun so far.
    """

    def __init__(self, path: tuple[Step, ...], *, lines: bool) -> None:
        self._path = path
        self._lines = lines
        self.records = 0
        self._buffer = bytearray()
        self._base = 0  # where the buffer begins in the object
        self._at = 0  # what of the buffer is done with
        self._levels: list[_Level] = []
        self._passing = bytearray()  # the open brackets of what is passed over or kept whole
        self._kept_from: int | None = None
        self._items: list[int] = []
        self._record_start = 0
        self._comma = True
        self._found: list[Node] = []
        self._error: ServiceError | None = None
        self._final = False
        self._begun = False

    def feed(self, data: bytes) -> list[Node]:
        """
        The nodes that these bytes complete.

        Raises:
            ServiceError: InvalidJsonData, or the limit that a node goes beyond, once the nodes before it
                were given.
        """
        if self._error is not None:
            raise self._error
        self._buffer += data
        if not self._begun and not self._begin():
            return []
        try:
            while self._passing_over() if self._passing else self._step():
                pass
            self._let_go()
        except ServiceError as error:
            if not self._found:
                raise
            self._error = error
        found, self._found = self._found, []
        return found

    def finish(self) -> list[Node]:
        """The nodes that end with the object; raises as `feed`."""
        self._final = True
        found = self.feed(b"")
        if self._error is not None:
            raise self._error
        if self._levels or self._passing or self._buffer or (not self._lines and not self.records):
            raise fault("InvalidJsonData", message="The JSON of the object ends too early.")
        return found

    def _begin(self) -> bool:
        """Leaves out a byte order mark; False if more bytes are needed to tell whether there is one."""
        size = len(_BYTE_ORDER_MARK)
        if len(self._buffer) < size and _BYTE_ORDER_MARK.startswith(self._buffer) and not self._final:
            return False
        self._begun = True
        if self._buffer.startswith(_BYTE_ORDER_MARK):
            del self._buffer[:size]
            self._base = size
        return True

    def _let_go(self) -> None:
        keep = self._at if self._kept_from is None else self._kept_from
        if len(self._buffer) - keep > limits.MAX_NODE_BYTES:
            raise fault("JsonNodeExceedsMaxSize")
        del self._buffer[:keep]
        self._base += keep
        self._at -= keep
        if self._kept_from is not None:
            self._kept_from = 0

    # -- on the way

    def _step(self) -> bool:
        """Takes one token; False if more bytes are needed."""
        space = _SPACE.match(self._buffer, self._at)
        assert space is not None
        self._at = space.end()
        if self._at == len(self._buffer):
            return False
        token = self._buffer[self._at]
        if not self._levels:
            return self._between_records(token)
        level = self._levels[-1]
        match level.awaits:
            case _Await.VALUE:
                if token == ord("]") and level.empty and level.bracket == ord("["):
                    return self._close()
                return self._value()
            case _Await.KEY:
                if token == ord("}") and level.empty:
                    return self._close()
                return self._key(level)
            case _Await.COLON:
                if token != ord(":"):
                    raise self._wrong()
                level.awaits = _Await.VALUE
            case _Await.COMMA:
                if _OPENED_BY.get(token) == level.bracket:
                    return self._close()
                if token != ord(","):
                    raise self._wrong()
                level.awaits = _Await.KEY if level.bracket == ord("{") else _Await.VALUE
        self._at += 1
        return True

    def _between_records(self, token: int) -> bool:
        if token == ord(",") and self._lines and not self._comma:
            self._comma = True
            self._at += 1
            return True
        if self.records and not self._lines:
            raise fault("InvalidJsonData", message="Something follows the JSON document.")
        return self._value()

    def _key(self, level: _Level) -> bool:
        found = _WHOLE_STRING.match(self._buffer, self._at)
        if found is None:
            if self._buffer[self._at] != ord('"') or self._final:
                raise self._wrong()
            return False
        try:
            level.key = _decode_key(found.group())
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise self._wrong() from None
        level.awaits, level.empty = _Await.COLON, False
        self._at = found.end()
        return True

    def _value(self) -> bool:
        """Begins a value, or takes it whole if it is a scalar."""
        first = self._buffer[self._at]
        if first in b"{[":
            self._container(first)
            return True
        end = self._scalar_end(first)
        if end is None:
            return False
        if self._begin_value() == len(self._path):
            self._keep(self._at, end)
        self._at = end
        self._end_value()
        return True

    def _scalar_end(self, first: int) -> int | None:
        found = (_WHOLE_STRING if first == ord('"') else _SCALAR).match(self._buffer, self._at)
        if found is None:
            if first != ord('"') or self._final:
                raise self._wrong()
            return None
        if first != ord('"') and found.end() == len(self._buffer) and not self._final:
            return None  # more of the number may come
        if first != ord('"') and not _VALID_SCALAR.fullmatch(found.group()):
            raise self._wrong()
        return found.end()

    def _begin_value(self) -> int:
        """Counts a value; gives how many steps of the path it has done, or -1 if it is beside the way."""
        if not self._levels:
            self._record_start = self._base + self._at
            self.records += 1
            self._comma = False
            return 0
        level = self._levels[-1]
        if level.bracket == ord("["):
            level.index += 1
            level.empty = False
        step = self._path[level.done]
        here: Any = level.key if level.bracket == ord("{") else level.index
        return level.done + 1 if step is ANY or step == here else -1

    def _end_value(self) -> None:
        if self._levels:
            self._levels[-1].awaits = _Await.COMMA

    def _container(self, bracket: int) -> None:
        done = self._begin_value()
        if 0 <= done < len(self._path):
            self._levels.append(_Level(bracket, done))
        else:
            self._passing.append(bracket)
            if done == len(self._path):
                self._kept_from = self._at
                self._items = [0]
        self._at += 1

    def _close(self) -> bool:
        self._levels.pop()
        self._at += 1
        self._end_value()
        return True

    def _keep(self, start: int, end: int) -> None:
        if end - start > limits.MAX_NODE_BYTES:
            raise fault("JsonNodeExceedsMaxSize")
        raw = bytes(memoryview(self._buffer)[start:end])
        self._found.append(Node(self.records - 1, self._record_start, raw))

    # -- beside the way, and within nodes

    def _passing_over(self) -> bool:
        """Goes on to the end of a container; False if more bytes are needed."""
        kept = self._kept_from is not None
        opened, items = self._passing, self._items
        for match in _STRUCTURE.finditer(self._buffer, self._at):
            start = match.start()
            sign = self._buffer[start]
            if sign == ord('"'):
                if match.end() - start == 1:
                    self._at = start
                    return self._unless_final()
                continue
            if sign == ord(","):
                if kept:
                    items[-1] += 1
                    if opened[-1] == ord("[") and items[-1] >= limits.MAX_ARRAY_ITEMS:
                        raise fault("ExceedsMaxJsonArraySize")
                continue
            if sign in b"{[":
                opened.append(sign)
                if kept:
                    items.append(0)
                    if len(opened) > limits.MAX_NODE_DEPTH:
                        raise fault("JsonNodeExceedsMaxDepth")
                elif len(opened) > _MOST_OPEN:
                    raise fault("JsonNodeExceedsMaxDepth")
                continue
            if opened.pop() != _OPENED_BY[sign]:
                self._at = start
                raise self._wrong()
            if kept:
                items.pop()
            if not opened:
                self._at = match.end()
                if self._kept_from is not None:
                    self._keep(self._kept_from, self._at)
                    self._kept_from = None
                self._end_value()
                return True
        self._at = len(self._buffer)
        return self._unless_final()

    def _unless_final(self) -> bool:
        if self._final:
            raise fault("InvalidJsonData", message="The JSON of the object ends too early.")
        return False

    def _wrong(self) -> ServiceError:
        return fault(
            "InvalidJsonData", message=f"The object is not valid JSON at byte {self._base + self._at}."
        )
