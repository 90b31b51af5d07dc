"""
Who uses a data directory at this moment: the processes of one server, and whoever looks at its store.

Each has a file of its own in ``members/``, locked for as long as it lives, in which it says what the others
must leave alone: the garbage that its readers may still need, and the files that it is about to make known.
What a member leaves behind when it is killed is removed by the next one that notices.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from penstock.errors import StoreError
from penstock.server.store.lock import open_for_owner

NOTHING: Final = (1 << 63) - 1
"""A floor that keeps nothing."""

_WORDS: Final = 2
_BYTES: Final = _WORDS * 8


@dataclass(frozen=True, slots=True)
class Floors:
    """
    What must be left alone.

    Attributes:
        garbage_id: Rows of ``gc`` after this one: somebody may be reading their files.
        uncommitted_ms: Blobs whose names were given at this time or later: a row may be about to know them.
    """

    garbage_id: int = NOTHING
    uncommitted_ms: int = NOTHING

    def lower(self, other: Floors) -> Floors:
        """The floors that keep what either keeps."""
        return Floors(min(self.garbage_id, other.garbage_id), min(self.uncommitted_ms, other.uncommitted_ms))


class Membership:
    """
    One user of a data directory, from its making until `close` or the end of the process.

    Attributes:
        name: Begins the names of the files that this member stages.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "members"
        self._staging = directory / "staging"
        self._make_directory(directory)
        self.name, self._descriptor = self._enter()
        self._memory = _memory_of(self._descriptor)
        # Words that are stored and loaded whole, without a call of the system for each read of an object.
        self._words = memoryview(self._memory).cast("Q")
        self._gate = Lock()

    def _make_directory(self, above: Path) -> None:
        if not self._directory.exists():
            self._directory.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                owner = above.stat()
                os.chown(self._directory, owner.st_uid, owner.st_gid)

    def keep_garbage_after(self, garbage_id: int) -> None:
        """From now on the files of later rows of ``gc`` stay; `NOTHING` lets go of all."""
        self._say(0, garbage_id)

    def keep_blobs_since(self, moment_ms: int) -> None:
        """From now on blobs named at this time or later are no orphans; `NOTHING` lets go of all."""
        self._say(1, moment_ms)

    def floors_of_others(self) -> Floors:
        """
        What the other members keep. Those that are gone keep nothing, and what they staged is removed.

        Raises:
            StoreError: It cannot be told; then nothing may be removed.
        """
        floors = Floors()
        try:
            for name in os.listdir(self._directory):  # noqa: PTH208
                if name != self.name:
                    floors = floors.lower(self._floors_of(name))
        except OSError as error:
            raise StoreError(
                f"looking who uses {self._directory.parent}: {error.strerror or error}",
                advice="Look at the disk and at the permissions of the data directory.",
            ) from error
        return floors

    def close(self) -> None:
        """Leaves; may be called again."""
        with self._gate:
            if self._descriptor < 0:
                return
            self._words.release()
            self._memory.close()
            (self._directory / self.name).unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    def _say(self, index: int, floor: int) -> None:
        with self._gate:
            # A read may end after the store was closed.
            if self._descriptor >= 0:
                self._words[index] = floor

    def _enter(self) -> tuple[str, int]:
        while True:
            name = secrets.token_hex(8)
            descriptor = open_for_owner(self._directory / name, os.O_EXCL)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                return name, descriptor
            # Somebody looked between the two calls, and took it for one that was left behind.
            os.close(descriptor)

    def _floors_of(self, name: str) -> Floors:
        try:
            descriptor = os.open(self._directory / name, os.O_RDWR)
        except FileNotFoundError:
            return Floors()
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _read(descriptor)
            self._bury(name)
            return Floors()
        finally:
            os.close(descriptor)

    def _bury(self, name: str) -> None:
        for path in self._staging.glob(f"{name}-*"):
            path.unlink(missing_ok=True)
        (self._directory / name).unlink(missing_ok=True)


def _memory_of(descriptor: int) -> mmap.mmap:
    """The words of a file of this member's own, for the others to see."""
    nothing = NOTHING.to_bytes(8, "little") * _WORDS
    try:
        os.pwrite(descriptor, nothing, 0)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        # The disk is full. Who finds no words in the file leaves everything alone.
        os.ftruncate(descriptor, 0)
        memory = mmap.mmap(-1, _BYTES)
        memory[:] = nothing
        return memory
    return mmap.mmap(descriptor, _BYTES)


def _read(descriptor: int) -> Floors:
    if os.fstat(descriptor).st_size < _BYTES:
        # It is just about to begin.
        return Floors(0, 0)
    with mmap.mmap(descriptor, _BYTES, access=mmap.ACCESS_READ) as memory, memoryview(memory) as view:
        words = view.cast("Q")
        try:
            return Floors(words[0], words[1])
        finally:
            words.release()
