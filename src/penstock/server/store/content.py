"""
Reading an object as it was at one instant.

Files of blobs that nobody needs any more are removed by the garbage collector, in the order in which they
became garbage. A reader takes a lease before it looks anything up: what becomes garbage after that stays
until the lease ends. So no read is torn by an overwrite or a delete, and none has to be tried again.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import md5
from io import FileIO
from itertools import accumulate
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

import apsw

from penstock.errors import StoreError
from penstock.protocol.crc64 import crc64
from penstock.server.store.blobs import PIECE_BYTES, BlobFiles, disk_error
from penstock.server.store.faults import RangeInvalid
from penstock.server.store.interface import Segment
from penstock.server.store.members import NOTHING, Membership
from penstock.server.store.objects import etag_is_md5
from penstock.server.store.records import ObjectRecord, PartRecord
from penstock.server.store.versions import find

MOST_FILES_AHEAD: Final = 16
"""Objects of no more files have them all opened at once, and so need no lease afterwards."""

LEAST_PIECES_KEPT: Final = 64
MOST_MANIFESTS_KEPT: Final = 16
"""Each at most some 3 MB: ten thousand pieces."""


@dataclass(frozen=True, slots=True)
class Piece:
    """``length`` bytes from ``offset`` of a blob, or of `data` where `blob_id` is None."""

    blob_id: str | None
    data: bytes
    offset: int
    length: int

    def own_data(self) -> bytes | None:
        """The bytes if they are here, else None."""
        return self.data[self.offset : self.offset + self.length] if self.blob_id is None else None


class Manifest:
    """The pieces of a body, in order."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = [piece for piece in pieces if piece.length]
        self._ends = list(accumulate(piece.length for piece in self._pieces))

    @property
    def size_bytes(self) -> int:
        return self._ends[-1] if self._ends else 0

    @property
    def piece_count(self) -> int:
        return len(self._pieces)

    @property
    def all_in_files(self) -> bool:
        return self.file_count == len(self._pieces)

    @property
    def file_count(self) -> int:
        return sum(piece.blob_id is not None for piece in self._pieces)

    def cut(self, offset: int = 0, length: int | None = None) -> Iterator[Piece]:
        """The pieces of a range, the first and last shortened; what lies beyond the end is left out."""
        end = self.size_bytes if length is None else min(offset + length, self.size_bytes)
        index = bisect_right(self._ends, offset)
        while offset < end:
            piece = self._pieces[index]
            skipped = offset - (self._ends[index] - piece.length)
            taken = min(piece.length - skipped, end - offset)
            yield Piece(piece.blob_id, piece.data, piece.offset + skipped, taken)
            offset += taken
            index += 1


class ManifestCache:
    """
    The manifests of large objects, so that reading ten thousand ranges does not list ten thousand parts each.

    The pieces of a segment set that an object holds never change, but for what is appended; so set and
    size together name them for good.
    """

    def __init__(self) -> None:
        self._gate = Lock()
        self._kept: OrderedDict[tuple[int, int], Manifest] = OrderedDict()

    def get(self, segset: int, size_bytes: int) -> Manifest | None:
        with self._gate:
            manifest = self._kept.get((segset, size_bytes))
            if manifest is not None:
                self._kept.move_to_end((segset, size_bytes))
            return manifest

    def keep(self, segset: int, manifest: Manifest) -> None:
        """Remembers it if that is worth while and it holds no bytes itself."""
        if manifest.piece_count < LEAST_PIECES_KEPT or not manifest.all_in_files:
            return
        with self._gate:
            self._kept[segset, manifest.size_bytes] = manifest
            if len(self._kept) > MOST_MANIFESTS_KEPT:
                self._kept.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Located:
    """An object, its segment set (None if its bytes are in its row), and its pieces."""

    record: ObjectRecord
    segset: int | None
    manifest: Manifest


def locate(
    connection: apsw.Connection, cache: ManifestCache, bucket: str, key: str, version_id: str | None
) -> Located:
    """Where the bytes of one version are, in the snapshot that the connection has open."""
    found = find(connection, bucket, key, version_id, with_body=True)
    record, segset = found.record, found.segset
    if segset is None:
        inline = found.inline or b""
        return Located(record, None, Manifest([Piece(None, inline, 0, len(inline))]))
    manifest = cache.get(segset, record.size_bytes)
    if manifest is None:
        rows = connection.execute(
            "SELECT blob, data, offset, length FROM segment WHERE segset = ? ORDER BY number, piece",
            (segset,),
        )
        manifest = Manifest(Piece(*piece) for piece in rows)
        cache.keep(segset, manifest)
    if manifest.size_bytes != record.size_bytes:
        raise StoreError(
            f"object {key!r} in bucket {bucket!r} is not as long as its pieces",
            advice="Check the store; restore the object from a copy.",
        )
    return Located(record, segset, manifest)


class Horizon:
    """
    Up to which row of ``gc`` files may be removed, given who is reading.

    Args:
        garbage_id: A row of ``gc`` that is committed, and all before it.
        membership: Tells the other processes that use the store.
    """

    def __init__(self, garbage_id: int, membership: Membership) -> None:
        self._gate = Lock()
        self._last_id = garbage_id
        self._leases: Counter[int] = Counter()
        self._membership = membership
        self._told = NOTHING

    def advance(self, garbage_id: int) -> bool:
        """Rows up to this one are committed; True if that is news."""
        with self._gate:
            news = garbage_id > self._last_id
            if news:
                self._last_id = garbage_id
            return news

    def lease(self) -> int:
        """Keeps whatever is not garbage yet, until the value is handed to `release`."""
        with self._gate:
            lease = self._last_id
            self._leases[lease] += 1
            self._tell()
            return lease

    def release(self, lease: int) -> None:
        with self._gate:
            self._leases[lease] -= 1
            if not self._leases[lease]:
                del self._leases[lease]
            self._tell()

    def removable_id(self, committed_id: int) -> int:
        """
        The last row whose file nobody can be reading, in any process.

        ``committed_id`` is the last row there is, and was read before this is called: who begins to read
        after that has no need of it.
        """
        others = self._membership.floors_of_others().garbage_id
        with self._gate:
            return min(committed_id, others, *self._leases)

    def _tell(self) -> None:
        floor = min(self._leases, default=NOTHING)
        if floor != self._told:
            self._membership.keep_garbage_after(floor)
            self._told = floor


class OpenBytes:
    """
    The bytes that a manifest names, whatever is written or deleted meanwhile.

    Args:
        lease: The one under which the manifest was read; ended here as soon as it can be.
    """

    def __init__(self, manifest: Manifest, files: BlobFiles, horizon: Horizon, lease: int) -> None:
        self._manifest = manifest
        self._files = files
        self._opened: dict[str, FileIO] = {}
        self._stack = ExitStack()
        self._stack.callback(horizon.release, lease)
        if self._manifest.file_count <= MOST_FILES_AHEAD:
            try:
                self._open_all()
            except BaseException:
                self.close()
                raise

    def segments(self, offset: int = 0, length: int | None = None) -> Iterator[Segment]:
        for piece in self._manifest.cut(offset, length):
            if piece.blob_id is None:
                yield Segment(None, piece.data, piece.offset, piece.length)
            elif piece.blob_id in self._opened:
                yield Segment(self._opened[piece.blob_id], b"", piece.offset, piece.length)
            else:
                with self._files.open(piece.blob_id) as file:
                    yield Segment(file, b"", piece.offset, piece.length)

    def chunks(self, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """The bytes of a range, at most 1 MiB at a time."""
        for segment in self.segments(offset, length):
            yield from read_segment(segment)

    def read(self, offset: int = 0, length: int | None = None) -> bytes:
        return b"".join(self.chunks(offset, length))

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open_all(self) -> None:
        files = ExitStack()
        with files:
            for piece in self._manifest.cut():
                if piece.blob_id is not None and piece.blob_id not in self._opened:
                    self._opened[piece.blob_id] = files.enter_context(self._files.open(piece.blob_id))
            # All are open: the lease can end, as an open file survives its removal.
            self._stack.close()
            self._stack.callback(files.pop_all().close)


class LocalOpenObject(OpenBytes):
    """
    See `penstock.server.store.interface.OpenObject`.

    Args:
        lease: The one under which ``located`` was read; ended here as soon as it can be.
    """

    def __init__(self, located: Located, files: BlobFiles, horizon: Horizon, lease: int) -> None:
        super().__init__(located.manifest, files, horizon, lease)
        self._located = located

    @property
    def record(self) -> ObjectRecord:
        return self._located.record

    @property
    def located(self) -> Located:
        return self._located


def describe_range(
    found: LocalOpenObject, number: int, offset: int, length: int | None, *, now_ms: int
) -> tuple[PartRecord, list[Piece]]:
    """What a part made of a range would be, and its pieces; reads the range if its MD5 is not known."""
    record = found.record
    length = record.size_bytes - offset if length is None else length
    if offset < 0 or length < 0 or offset + length > record.size_bytes:
        raise RangeInvalid(record.key, offset, length, record.size_bytes)
    etag, checksum = record.etag, record.crc64
    if length != record.size_bytes or not etag_is_md5(record):
        digest, checksum = md5(usedforsecurity=False), 0
        for chunk in found.chunks(offset, length):
            digest.update(chunk)
            checksum = crc64(chunk, checksum)
        etag = digest.hexdigest().upper()
    part = PartRecord(number=number, size_bytes=length, etag=etag, crc64=checksum, modified_ms=now_ms)
    return part, list(found.located.manifest.cut(offset, length))


def md5_of(found: OpenBytes) -> str:
    """MD5 of all bytes, in upper-case hex."""
    digest = md5(usedforsecurity=False)
    for chunk in found.chunks():
        digest.update(chunk)
    return digest.hexdigest().upper()


def read_segment(segment: Segment) -> Iterator[bytes]:
    """The bytes of a segment, at most 1 MiB at a time; raises `StoreError` if its file is too short."""
    if segment.file is None:
        yield segment.data[segment.offset : segment.offset + segment.length]
        return
    position, end = segment.offset, segment.offset + segment.length
    while position < end:
        chunk = _read_at(segment.file, min(PIECE_BYTES, end - position), position)
        position += len(chunk)
        yield chunk


def _read_at(file: FileIO, count: int, position: int) -> bytes:
    try:
        chunk = os.pread(file.fileno(), count, position)
    except OSError as error:
        raise disk_error("reading", Path(str(file.name)), error) from error
    if not chunk:
        raise StoreError(f"{file.name!s} ends at {position}, before its last byte", advice="Check the store.")
    return chunk
