"""
Blob files: opaque, never written again, never named twice.

Bytes arrive in ``staging/`` and are moved, once durable, to ``blobs/`` under a name that begins with the
time of that move. A name sorts by time, and so do the directories (one for every 17 minutes), so that the
search for orphans can leave out whatever is young.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from hashlib import md5
from io import FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from penstock.errors import StoreError
from penstock.protocol.crc64 import crc64
from penstock.server.store.faults import DigestMismatch, SizeMismatch
from penstock.server.store.members import NOTHING, Membership
from penstock.server.store.room import Room
from penstock.server.store.schema import Durability

INLINE_BYTES: Final = 32 * 1024
"""Bodies up to this size are kept in their row and never touch a file of their own."""

PIECE_BYTES: Final = 1024 * 1024
_DIRECT_BYTES: Final = 256 * 1024
_SHARD_BITS: Final = 20
_CAREFUL_MS: Final = 3_600_000
_DIGITS: Final = frozenset("0123456789abcdef")


def is_full(error: OSError) -> bool:
    """Whether there is no more space."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def disk_error(what: str, path: Path, error: OSError) -> StoreError:
    """Says which file could not be read or written, and why."""
    return StoreError(
        f"{what} {path}: {error.strerror or error}",
        advice="Free some space on that disk; nothing that was confirmed is lost."
        if is_full(error)
        else "Look at the disk and at the permissions of the data directory.",
    )


def _ours(directory: Path) -> list[Path]:
    """The directories below one, in the order of their names; not what others leave there (.DS_Store)."""
    return sorted(path for path in directory.iterdir() if _DIGITS.issuperset(path.name))


def sync_file(descriptor: int) -> None:
    """Makes the bytes of a file durable; macOS needs its own call for that."""
    if hasattr(fcntl, "F_FULLFSYNC"):
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    elif hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def flush_file(path: Path, *, missing_ok: bool = False) -> None:
    """Makes durable what anyone has written to a file."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError as error:
        if missing_ok:
            return
        raise disk_error("opening", path, error) from error
    except OSError as error:
        raise disk_error("opening", path, error) from error
    try:
        sync_file(descriptor)
    except OSError as error:
        raise disk_error("making durable", path, error) from error
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, *, sync: bool) -> None:
    """Makes a directory and those above it, and their names durable, if ``sync``; it may exist already."""
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    for made in missing if sync else ():
        sync_directory(made.parent)


def path_below(blobs: Path, blob_id: str) -> Path:
    """Where the file of a blob is, or would be."""
    shard = f"{int(blob_id[:12], 16) >> _SHARD_BITS:07x}"
    return blobs / shard[:5] / shard[5:] / blob_id


class BlobFiles:
    """
    The files below one data directory.

    Args:
        directory: The data directory.
        durability: ``none`` leaves out every flush of the disk.
        membership: Tells the other processes that use the directory what is about to be committed.
        room: Says whether there is space for more.
    """

    def __init__(self, directory: Path, durability: Durability, membership: Membership, room: Room) -> None:
        self._membership = membership
        self._room = room
        self._staging = directory / "staging"
        self._blobs = directory / "blobs"
        self._sync = durability != "none"
        self._gate = Lock()
        self._ready_shards: set[Path] = set()
        self._uncommitted: set[str] = set()
        self._count = 0
        for made in (self._staging, self._blobs):
            made.mkdir(mode=0o700, exist_ok=True)
        if self._sync:
            sync_directory(directory)

    @property
    def durable(self) -> bool:
        """True if every file was flushed before it got its name."""
        return self._sync

    def remove_leftovers(self) -> int:
        """Removes what a crash left in staging; only for the one who holds the lock, before any staging."""
        leftovers = list(self._staging.iterdir())
        for path in leftovers:
            path.unlink()
        return len(leftovers)

    def create(self) -> tuple[Path, int]:
        """A new empty file in staging, and its descriptor."""
        path = self._staging / f"{self._membership.name}-{secrets.token_hex(12)}"
        try:
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise disk_error("creating", path, error) from error

    def check_room(self, what: str) -> None:
        """Refuses to store more bytes where the space that is left is kept for something else."""
        if self._room.short_of(2):
            raise self._room.refusal(what)

    def publish(self, path: Path, descriptor: int) -> str:
        """
        Makes a staged file durable under a new blob id, which it returns.

        The id counts as `uncommitted` until `settle`.
        """
        try:
            if self._sync:
                sync_file(descriptor)
        except OSError as error:
            raise disk_error("making durable", path, error) from error
        blob_id = self._new_id()
        target = self.path(blob_id)
        try:
            self._make_shard(target.parent)
            path.rename(target)
            if self._sync:
                sync_directory(target.parent)
        except OSError as error:
            self.settle(blob_id)
            raise disk_error("making durable", target, error) from error
        return blob_id

    def settle(self, blob_id: str) -> None:
        """The fate of this blob is known: committed, or removed."""
        with self._gate:
            self._uncommitted.discard(blob_id)
            self._tell()

    def settled(self, blob_ids: Iterable[str]) -> list[str]:
        """Those of the ids of which the fate is known: no process is about to commit them."""
        others_from = f"{self._membership.floors_of_others().uncommitted_ms:012x}"
        with self._gate:
            own = self._uncommitted
            return [one for one in blob_ids if one not in own and one[:12] < others_from]

    def open(self, blob_id: str) -> FileIO:
        path = self.path(blob_id)
        try:
            return FileIO(path)
        except OSError as error:
            raise disk_error("opening", path, error) from error

    def remove(self, blob_id: str) -> bool:
        """Removes the file; False if there was none, which is a success too."""
        path = self.path(blob_id)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise disk_error("removing", path, error) from error
        return True

    def size(self, blob_id: str) -> int | None:
        """Its length in bytes, or None if there is no such file."""
        try:
            return self.path(blob_id).stat().st_size
        except FileNotFoundError:
            return None

    def path(self, blob_id: str) -> Path:
        return path_below(self._blobs, blob_id)

    def older_than(self, grace_s: float) -> Iterator[list[str]]:
        """The ids of all files that were published more than ``grace_s`` ago, a directory at a time."""
        limit = f"{time.time_ns() // 1_000_000 - int(grace_s * 1000):012x}"
        for upper in _ours(self._blobs):
            for shard in _ours(upper):
                if shard.parent.name + shard.name > limit[:7]:
                    return
                names = os.listdir(shard)  # noqa: PTH208 - there may be many
                yield sorted(name for name in names if name[:12] <= limit and _DIGITS.issuperset(name))

    def remove_empty_shards(self) -> None:
        """Removes empty directories, but for young ones, in which a file may be about to appear."""
        now = time.time_ns() // 1_000_000
        for upper in _ours(self._blobs):
            for directory in [*_ours(upper), upper]:
                first = (
                    int(f"{upper.name}{directory.name if directory != upper else 'ff'}", 16) << _SHARD_BITS
                )
                if first + (1 << _SHARD_BITS) + _CAREFUL_MS < now:
                    try:
                        with self._gate:
                            self._ready_shards.discard(directory)
                        directory.rmdir()
                    except OSError as error:
                        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                            raise disk_error("removing", directory, error) from error

    def _new_id(self) -> str:
        with self._gate:
            self._count = (self._count + 1) & 0xFFFF
            now = time.time_ns() // 1_000_000
            blob_id = f"{now:012x}{self._count:04x}{secrets.token_hex(8)}"
            self._uncommitted.add(blob_id)
            self._tell()
        return blob_id

    def _tell(self) -> None:
        first = min(self._uncommitted, default=None)
        self._membership.keep_blobs_since(NOTHING if first is None else int(first[:12], 16))

    def _make_shard(self, shard: Path) -> None:
        # A directory whose own name is not durable yet must not be used by a second thread either.
        with self._gate:
            if shard in self._ready_shards:
                return
            shard.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._sync:
                sync_directory(shard.parent)
                sync_directory(self._blobs)
            self._ready_shards.add(shard)


class LocalStagedBlob:
    """
    See `penstock.server.store.interface.StagedBlob`.

    Attributes:
        blob_id: The file's id once sealed, or None if the bytes are in `inline`.
    """

    def __init__(self, files: BlobFiles, expected_bytes: int | None) -> None:
        self._files = files
        self._expected_bytes = expected_bytes
        self._md5 = md5(usedforsecurity=False)
        self._crc64 = 0
        self._size_bytes = 0
        self._buffer = bytearray()
        self._path: Path | None = None
        self._descriptor = -1
        self._sealed = False
        self._gone = False
        self.blob_id: str | None = None

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    @property
    def etag(self) -> str:
        return self._md5.hexdigest().upper()

    @property
    def crc64(self) -> int:
        return self._crc64

    @property
    def inline(self) -> bytes | None:
        """The bytes themselves if they are few enough to be kept in a row, else None."""
        return bytes(self._buffer) if self.blob_id is None else None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._sealed or self._gone:
            raise ValueError("these staged bytes are sealed or discarded already")
        with memoryview(data) as whole, whole.cast("B") as view:
            # A piece at a time is hashed and written while it is still in the processor's cache.
            for start in range(0, len(view), PIECE_BYTES):
                with view[start : start + PIECE_BYTES] as piece:
                    self._take(piece)

    def verify(self, *, md5: bytes | None = None, crc64: int | None = None) -> None:
        if md5 is not None and md5 != self.md5:
            raise DigestMismatch("md5", md5.hex(), self.md5.hex())
        if crc64 is not None and crc64 != self._crc64:
            raise DigestMismatch("crc64", str(crc64), str(self._crc64))

    def seal(self) -> None:
        if self._gone:
            raise ValueError("these staged bytes are used up or discarded already")
        if self._sealed:
            return
        try:
            if self._expected_bytes is not None and self._expected_bytes != self._size_bytes:
                raise SizeMismatch(self._expected_bytes, self._size_bytes)
            if self._path is not None:
                self._write_out(self._buffer)
                self._buffer = bytearray()
                self.blob_id = self._files.publish(self._path, self._descriptor)
                self._close_file()
        except BaseException:
            self.discard()
            raise
        self._sealed = True

    def discard(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._buffer = bytearray()
        self._close_file()
        if self.blob_id is not None:
            self._files.remove(self.blob_id)
            self._files.settle(self.blob_id)
        elif self._path is not None:
            self._path.unlink(missing_ok=True)

    def hand_over(self) -> None:
        """From here on the file belongs to a transaction; `discard` no longer touches it."""
        self._gone = True

    def take_back(self, *, rolled_back: bool) -> None:
        """Ends `hand_over`: the transaction committed, or it was ``rolled_back`` and the file is removed."""
        if self.blob_id is not None:
            if rolled_back:
                self._files.remove(self.blob_id)
            self._files.settle(self.blob_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _take(self, piece: memoryview) -> None:
        self._md5.update(piece)
        self._crc64 = crc64(piece, self._crc64)
        self._size_bytes += len(piece)
        if self._path is None and self._size_bytes <= INLINE_BYTES:
            self._buffer += piece
            return
        if self._path is None:
            self._path, self._descriptor = self._files.create()
        if len(piece) >= _DIRECT_BYTES:
            self._write_out(self._buffer)
            self._buffer = bytearray()
            self._write_out(piece)
            return
        self._buffer += piece
        if len(self._buffer) >= PIECE_BYTES:
            self._write_out(self._buffer)
            self._buffer = bytearray()

    def _write_out(self, data: bytearray | memoryview) -> None:
        assert self._path is not None
        try:
            if data:
                self._files.check_room(f"writing the {self._size_bytes}th byte")
        except StoreError:
            self.discard()
            raise
        try:
            with memoryview(data) as view:
                written = 0
                while written < len(view):
                    written += os.write(self._descriptor, view[written:])
        except OSError as error:
            raised = disk_error(f"writing the {self._size_bytes}th byte to", self._path, error)
            self.discard()
            raise raised from error

    def _close_file(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
