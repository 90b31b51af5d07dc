"""
Histories of what many threads did to one key at once, and whether some order explains them.

Every call is written down with the moments when it began and ended, and with what it gave. A history is
right if the calls can be put in one order, in which none comes before another that had ended when it began,
and in which each gives what it gave. (This is linearizability; the search is that of Wing and Gong, which
remembers where it has been.)
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from store_box import PART, Box

from penstock.server.store import ObjectKind, faults

Value = tuple[int, ...]
"""The bytes of an object, as the numbers of the pieces that they are made of."""

MISSING, REFUSED = "missing", "refused"


@dataclass(frozen=True)
class Call:
    """What is to be done: the name of a method of `Key`, and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Happened:
    """What was done, when, and what it gave."""

    call: Call
    began: int
    ended: int
    result: Any


@dataclass(frozen=True)
class State:
    """
    A key and its uploads, as they would be if calls came one after the other.

    Attributes:
        versions: Version id and value of each version, oldest first; a marker has no value.
        uploads: Parts by number, for each open upload.
    """

    versioned: bool = False
    versions: tuple[tuple[str | None, Value | None], ...] = ()
    uploads: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()

    def parts(self, upload_id: str) -> dict[int, int] | None:
        return next((dict(parts) for one, parts in self.uploads if one == upload_id), None)

    def with_upload(self, upload_id: str, parts: dict[int, int]) -> State:
        others = tuple(one for one in self.uploads if one[0] != upload_id)
        return replace(self, uploads=(*others, (upload_id, tuple(sorted(parts.items())))))

    def without_upload(self, upload_id: str) -> State:
        return replace(self, uploads=tuple(one for one in self.uploads if one[0] != upload_id))

    def with_version(self, version_id: str | None, value: Value | None) -> State:
        before = self.versions if self.versioned else ()
        return replace(self, versions=(*before, (version_id, value)))

    def value(self) -> Value | None:
        return self.versions[-1][1] if self.versions else None


def follow(state: State, call: Call, result: Any) -> State | None:
    """The state after a call that gave this result, or None if it could not have given it."""
    expected: Any = result
    match call.name, call.arguments:
        case "put", (piece,):
            return state.with_version(result, (piece,))
        case "put_if_absent", (piece,):
            taken = state.value() is not None and not state.versioned
            if taken != (result == REFUSED):
                return None
            after = state if taken else state.with_version(result, (piece,))
        case "get", ():
            expected, after = state.value(), state
        case "delete", ():
            version_id = result[1]
            expected = (state.value() is not None, version_id)
            after = state.with_version(version_id, None) if state.versioned else replace(state, versions=())
        case "remove", (version_id,):
            left = tuple(one for one in state.versions if one[0] != version_id)
            expected, after = len(left) < len(state.versions), replace(state, versions=left)
        case "versions", ():
            expected, after = tuple(one for one, _ in reversed(state.versions)), state
        case "part", (upload_id, number, piece):
            parts = state.parts(upload_id)
            expected = MISSING if parts is None else None
            after = state if parts is None else state.with_upload(upload_id, {**parts, number: piece})
        case "parts", (upload_id,):
            parts = state.parts(upload_id)
            expected, after = MISSING if parts is None else tuple(sorted(parts.items())), state
        case "complete", (upload_id, listed):
            parts = state.parts(upload_id)
            wanted = parts if listed is None else dict(listed)
            if parts is None or not wanted:
                expected, after = MISSING if parts is None else REFUSED, state
            elif any(parts.get(number) != piece for number, piece in wanted.items()):
                expected, after = REFUSED, state
            else:
                expected = None if result in (MISSING, REFUSED) else result
                value = tuple(wanted[number] for number in sorted(wanted))
                after = state.with_version(result, value).without_upload(upload_id)
        case "abort", (upload_id,):
            expected = MISSING if state.parts(upload_id) is None else None
            after = state.without_upload(upload_id)
        case "sweep", ():
            expected, after = len(state.uploads), replace(state, uploads=())
        case _:
            raise ValueError(f"a call that the model does not know: {call}")
    return after if result == expected else None


def explain(start: State, history: Sequence[Happened]) -> list[Happened] | None:
    """An order in which the calls could have happened one after the other, or None if there is none."""
    dead_ends: set[tuple[frozenset[int], State]] = set()

    def search(left: frozenset[int], state: State) -> list[Happened] | None:
        if not left:
            return []
        if (left, state) in dead_ends:
            return None
        first_end = min(history[index].ended for index in left)
        for index in sorted(left, key=lambda one: history[one].began):
            happened = history[index]
            if happened.began > first_end:
                break
            after = follow(state, happened.call, happened.result)
            if after is not None:
                rest = search(left - {index}, after)
                if rest is not None:
                    return [happened, *rest]
        dead_ends.add((left, state))
        return None

    return search(frozenset(range(len(history))), start)


@dataclass
class Key:
    """One key of a store: carries out calls, and puts down what they gave."""

    box: Box
    name: str
    etags: dict[int, str] = field(default_factory=dict)
    _pieces: dict[bytes, int] = field(default_factory=dict)
    _gate: threading.Lock = field(default_factory=threading.Lock)

    def happen(self, call: Call) -> Happened:
        began = time.perf_counter_ns()
        try:
            result = getattr(self, f"_{call.name}")(*call.arguments)
        except (faults.UploadMissing, faults.KeyMissing):
            result = None if call.name == "get" else MISSING
        except (faults.AlreadyExists, faults.PartInvalid, faults.NoParts):
            result = REFUSED
        return Happened(call, began, time.perf_counter_ns(), result)

    def piece(self, number: int) -> bytes:
        """Bytes that are those of this piece alone."""
        data = number.to_bytes(4, "big") * (PART // 4)
        with self._gate:
            self._pieces[data] = number
        return data

    def value_of(self, data: bytes) -> Value:
        """What an object is made of; it must be whole pieces."""
        with self._gate:
            return tuple(self._pieces[data[start : start + PART]] for start in range(0, len(data), PART))

    def _put(self, piece: int) -> str | None:
        return self.box.put(self.name, self.piece(piece)).version_id

    def _put_if_absent(self, piece: int) -> str | None:
        return self.box.put(self.name, self.piece(piece), forbid_overwrite=True).version_id

    def _get(self) -> Value:
        with self.box.store.get_object(self.box.name, self.name) as found:
            value = self.value_of(found.read())
            assert len(value) * PART == found.record.size_bytes
            return value

    def _delete(self) -> tuple[bool, str | None]:
        done = self.box.delete(self.name)
        return done.existed, done.version_id

    def _remove(self, version_id: str) -> bool:
        return self.box.delete(self.name, version_id).existed

    def _versions(self) -> tuple[str | None, ...]:
        page = self.box.store.list_object_versions(self.box.name, prefix=self.name)
        for one in page.versions:
            assert one.latest == (one is page.versions[0])
            assert one.kind is ObjectKind.MARKER or one.size_bytes
        return tuple(one.version_id for one in page.versions)

    def _part(self, upload_id: str, number: int, piece: int) -> None:
        self.box.part(self.name, upload_id, number, self.piece(piece))

    def _parts(self, upload_id: str) -> tuple[tuple[int, int], ...]:
        page = self.box.store.list_parts(self.box.name, self.name, upload_id)
        numbers = {self.etag_of(piece): piece for piece in list(self._pieces.values())}
        return tuple((one.number, numbers[one.etag]) for one in page.parts)

    def _complete(self, upload_id: str, listed: tuple[tuple[int, int], ...] | None) -> str | None:
        parts = None if listed is None else [(number, self.etag_of(piece)) for number, piece in listed]
        return self.box.store.complete_upload(self.box.name, self.name, upload_id, parts).version_id

    def _abort(self, upload_id: str) -> None:
        self.box.store.abort_upload(self.box.name, self.name, upload_id)

    def _sweep(self) -> int:
        return self.box.store.abort_uploads(self.box.name, 1 << 60, prefix=self.name)

    def etag_of(self, piece: int) -> str:
        if piece not in self.etags:
            with self.box.store.stage() as staged:
                staged.write(self.piece(piece))
                self.etags[piece] = staged.etag
        return self.etags[piece]


def all_at_once(key: Key, scripts: Sequence[Sequence[Call]]) -> list[Happened]:
    """Carries out each script on a thread of its own, all beginning together."""
    start = threading.Barrier(len(scripts))

    def run(script: Sequence[Call]) -> list[Happened]:
        start.wait(10)
        return [key.happen(call) for call in script]

    with ThreadPoolExecutor(len(scripts)) as pool:
        return [happened for done in pool.map(run, scripts) for happened in done]


def describe(history: Sequence[Happened]) -> str:
    """The history in words, for whoever must find out why nothing explains it."""
    return "\n".join(
        f"{one.began} - {one.ended}: {one.call.name}{one.call.arguments} -> {one.result}"
        for one in sorted(history, key=lambda one: one.began)
    )
