"""
Clients of a store that know what it must hold: what they were told is done, and what may be.

Each has keys of its own, so that what is there can be compared without knowing who came first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import md5
from random import Random

from store_box import PART

from penstock.server.store import Attributes, CopySource, ObjectKind, Store

PLAIN, VERSIONED = "plain", "versioned"
LARGE_BYTES = 34_000
"""Just more than what is kept in a row."""


def body(random_seed: int, size_bytes: int) -> bytes:
    return Random(random_seed).randbytes(size_bytes)


@dataclass(frozen=True)
class Holding:
    """
    What a store holds for one client.

    Attributes:
        versions: The bytes of the versions of each key, oldest first; None for a delete marker.
        uploads: Key and parts of every open upload, by a number of the client's own.
    """

    versions: dict[str, tuple[bytes | None, ...]] = field(default_factory=dict)
    uploads: dict[int, tuple[str, dict[int, bytes]]] = field(default_factory=dict)

    def put(self, key: str, data: bytes | None, *, keep: bool) -> Holding:
        before = self.versions.get(key, ()) if keep else ()
        return replace(self, versions={**self.versions, key: (*before, data)})

    def without_latest(self, key: str) -> Holding:
        return replace(self, versions={**self.versions, key: self.versions[key][:-1]})

    def with_part(self, number: int, part: int, data: bytes) -> Holding:
        key, parts = self.uploads[number]
        return replace(self, uploads={**self.uploads, number: (key, {**parts, part: data})})

    def without_upload(self, number: int) -> Holding:
        return replace(self, uploads={one: kept for one, kept in self.uploads.items() if one != number})

    def comparable(self) -> tuple[object, object]:
        """Equal for two holdings that nobody could tell apart, whatever their uploads are called."""
        return (
            {key: kept for key, kept in self.versions.items() if kept},
            sorted(
                (key, sorted((part, md5(data).hexdigest().upper()) for part, data in parts.items()))
                for key, parts in self.uploads.values()
            ),
        )


@dataclass(frozen=True)
class Step:
    """One call: what it does to a store, and what it makes of a holding."""

    name: str
    run: Callable[[Store], object]
    after: Holding


class Client:
    """Makes one call after the other, each possible at its turn."""

    def __init__(self, number: int, seed: int) -> None:
        self.bucket = VERSIONED if number % 2 else PLAIN
        self.prefix = f"{number}/"
        self._random = Random(seed * 1000 + number)
        self._upload_ids: dict[int, str] = {}
        self._count = 0
        self.holding = Holding()

    def next_step(self) -> Step:
        self._count += 1
        random, held = self._random, self.holding
        key = f"{self.prefix}key{random.randrange(4)}"
        there = [key for key, kept in held.versions.items() if kept and kept[-1] is not None]
        data = body(random.getrandbits(32), random.choice((10, 5_000, LARGE_BYTES)))
        choices = ["put", "put", "put", "begin", "delete"]
        choices += ["copy"] if there else []
        choices += ["part"] * 3 + ["complete", "abort"] if held.uploads else []
        choices += ["append"]
        choices += ["remove"] if self.bucket == VERSIONED and any(held.versions.values()) else []
        match random.choice(choices):
            case "put":
                return self._put(key, data)
            case "append":
                return self._append(f"{self.prefix}log", data)
            case "copy":
                return self._copy(random.choice(there), key)
            case "delete":
                return self._delete(key)
            case "remove":
                return self._remove(random.choice([key for key, kept in held.versions.items() if kept]))
            case "begin":
                return self._begin(key)
            case "part":
                return self._part(random.choice(list(held.uploads)), random.randint(1, 3), data)
            case "complete":
                return self._complete(random.choice(list(held.uploads)))
            case _:
                return self._abort(random.choice(list(held.uploads)))

    def take(self, step: Step, store: Store) -> None:
        """Makes the call, and knows about it once it is answered."""
        step.run(store)
        self.holding = step.after

    def _kept(self, key: str, data: bytes | None) -> Holding:
        return self.holding.put(key, data, keep=self.bucket == VERSIONED)

    def _put(self, key: str, data: bytes) -> Step:
        def run(store: Store) -> None:
            with store.stage(len(data)) as staged:
                staged.write(data)
                store.put_object(self.bucket, key, staged, Attributes())

        return Step(f"put {key}", run, self._kept(key, data))

    def _append(self, key: str, data: bytes) -> Step:
        kept = self.holding.versions.get(key, ())
        before = kept[-1] if kept and kept[-1] is not None else b""
        if (kept and kept[-1] is None) or len(before) > 3 * LARGE_BYTES:
            return self._remove(key) if self.bucket == VERSIONED else self._delete(key)

        def run(store: Store) -> None:
            with store.stage() as staged:
                staged.write(data)
                store.append_object(self.bucket, key, len(before), staged, Attributes())

        after = replace(self.holding, versions={**self.holding.versions, key: (*kept[:-1], before + data)})
        return Step(f"append {key}", run, after)

    def _copy(self, source: str, key: str) -> Step:
        def run(store: Store) -> None:
            store.copy_object(CopySource(self.bucket, source), self.bucket, key, lambda _: Attributes())

        return Step(f"copy {source} {key}", run, self._kept(key, self.holding.versions[source][-1]))

    def _delete(self, key: str) -> Step:
        def run(store: Store) -> None:
            store.delete_object(self.bucket, key)

        if self.bucket == VERSIONED:
            return Step(f"hide {key}", run, self._kept(key, None))
        return Step(f"delete {key}", run, replace(self.holding, versions={**self.holding.versions, key: ()}))

    def _remove(self, key: str) -> Step:
        def run(store: Store) -> None:
            page = store.list_object_versions(self.bucket, prefix=key, limit=1)
            store.delete_object(self.bucket, key, page.versions[0].version_id)

        return Step(f"remove latest {key}", run, self.holding.without_latest(key))

    def _begin(self, key: str) -> Step:
        number = self._count

        def run(store: Store) -> None:
            self._upload_ids[number] = store.create_upload(self.bucket, key, Attributes()).upload_id

        return Step(
            f"begin {key}", run, replace(self.holding, uploads={**self.holding.uploads, number: (key, {})})
        )

    def _part(self, number: int, part: int, data: bytes) -> Step:
        key, _parts = self.holding.uploads[number]
        # Any part but the last must have a certain size, and only this one is sure to be the last.
        data = data if part == 3 else body(part * self._count, PART)

        def run(store: Store) -> None:
            with store.stage(len(data)) as staged:
                staged.write(data)
                store.put_part(self.bucket, key, self._upload_ids[number], part, staged)

        return Step(f"part {part} {key}", run, self.holding.with_part(number, part, data))

    def _complete(self, number: int) -> Step:
        key, parts = self.holding.uploads[number]
        if not parts:
            return self._abort(number)

        def run(store: Store) -> None:
            store.complete_upload(self.bucket, key, self._upload_ids[number], None)

        whole = b"".join(parts[part] for part in sorted(parts))
        return Step(f"complete {key}", run, self._kept(key, whole).without_upload(number))

    def _abort(self, number: int) -> Step:
        key, _ = self.holding.uploads[number]

        def run(store: Store) -> None:
            store.abort_upload(self.bucket, key, self._upload_ids[number])

        return Step(f"abort {key}", run, self.holding.without_upload(number))


def held_by(store: Store, bucket: str, prefix: str) -> tuple[object, object]:
    """What a store really holds below a prefix, read byte by byte, in the form of `Holding.comparable`."""
    versions: dict[str, list[bytes | None]] = {}
    for record in store.list_object_versions(bucket, prefix=prefix, limit=1000).versions:
        if record.kind is ObjectKind.MARKER:
            data = None
        else:
            with store.get_object(bucket, record.key, record.version_id or "null") as found:
                data = found.read()
        versions.setdefault(record.key, []).insert(0, data)
    uploads = []
    for upload in store.list_uploads(bucket, prefix=prefix).uploads:
        parts = store.list_parts(bucket, upload.key, upload.upload_id).parts
        uploads.append((upload.key, [(part.number, part.etag) for part in parts]))
    return {key: tuple(kept) for key, kept in versions.items()}, sorted(uploads)
