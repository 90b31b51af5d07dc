"""What every call of the local store goes through: the writer, the readers, the files, the garbage."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from penstock.server.store.blobs import BlobFiles, LocalStagedBlob, flush_file
from penstock.server.store.content import Horizon, ManifestCache
from penstock.server.store.garbage import GarbageCollector
from penstock.server.store.interface import StagedBlob
from penstock.server.store.lock import DirectoryLock, WritingTurn
from penstock.server.store.members import Membership
from penstock.server.store.room import Room
from penstock.server.store.schema import Durability, connect
from penstock.server.store.writer import ReaderPool, Transaction, Writer, last_garbage_id

METADATA_NAME: Final = "metadata.sqlite3"

T = TypeVar("T")


class Engine:
    """
    An open data directory.

    Args:
        clock: Seconds since 1970.
        shared: True to use it beside others; False to clear up after whoever had it last, and to bring older
            metadata up to date.
        lock: Held by the caller; None to take it here, unless the directory is shared.
    """

    def __init__(
        self,
        directory: Path,
        durability: Durability,
        clock: Callable[[], float],
        *,
        shared: bool,
        lock: DirectoryLock | None = None,
    ) -> None:
        self._directory = directory
        self._durability = durability
        self._clock = clock
        self._shared = shared
        self._manifests = ManifestCache()
        with ExitStack() as undo:
            if lock is None and not shared:
                undo.callback(DirectoryLock(directory).close)
            membership = Membership(directory)
            undo.callback(membership.close)
            self._room = Room(directory)
            self._files = BlobFiles(directory, durability, membership, self._room)
            if not shared:
                self._files.remove_leftovers()
            metadata = directory / METADATA_NAME
            self._log = directory / f"{METADATA_NAME}-wal"
            if durability != "none":
                # A process that was killed may have written commits and not flushed them. Nobody may act
                # on them, by removing what they no longer need, while a power failure can undo them.
                flush_file(self._log, missing_ok=True)
            log_pages = self._room.log_pages
            connection = connect(
                metadata, durability, read_only=False, prepare=not shared, log_pages=log_pages
            )
            self._horizon = Horizon(last_garbage_id(connection), membership)
            turn = WritingTurn(directory)
            undo.callback(turn.close)
            self._writer = Writer(connection, turn, self._committed)
            undo.callback(self._writer.close)
            self._readers = ReaderPool(lambda: connect(metadata, durability, read_only=True))
            undo.callback(self._readers.close)
            self._garbage = GarbageCollector(
                self._writer, self._readers, self._files, self._horizon, self._confirm
            )
            undo.callback(self._garbage.close)
            if not shared:
                self._garbage.wake()
            self._undo = undo.pop_all()

    def close(self) -> None:
        self._undo.close()

    def ended_threads(self) -> list[str]:
        """What of the store has ended, though it should not have; empty while all is well."""
        alive = {"writer": self._writer.alive, "garbage collector": self._garbage.alive}
        return [name for name, lives in alive.items() if not lives]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _read(self, what: str, query: Transaction[T]) -> T:
        return self._readers.run(what, query)

    def _write(self, what: str, transaction: Transaction[T]) -> T:
        return self._writer.run(what, transaction)

    def _add(self, what: str, transaction: Transaction[T]) -> T:
        """As `_write`, for what leaves more in the store than there was."""
        self._check_room(what)
        return self._write(what, transaction)

    def _check_room(self, what: str) -> None:
        if not self._room.short_of():
            return
        # What was removed from the metadata is free within them, and is used again first.
        unused = self._read(what, lambda db: int(db.pragma("freelist_count")) * int(db.pragma("page_size")))
        if unused < self._room.reserve_bytes:
            raise self._room.refusal(what)

    def _committed(self, garbage_id: int) -> None:
        if self._horizon.advance(garbage_id):
            self._garbage.wake()

    def _confirm(self) -> None:
        """Makes durable what was committed, where that has not happened with each commit."""
        if self._durability == "relaxed":
            flush_file(self._log)

    def _seal(self, staged: StagedBlob) -> LocalStagedBlob:
        if not isinstance(staged, LocalStagedBlob):
            raise TypeError(f"bytes staged by another store: {staged!r}")
        staged.seal()
        return staged

    def _use_up(self, blob: LocalStagedBlob, what: str, transaction: Transaction[T]) -> T:
        try:
            self._check_room(what)
            call = self._writer.submit(what, transaction)
        except BaseException:
            blob.discard()
            raise
        # From here on only a certain roll-back makes it garbage; in doubt the file stays, as an orphan.
        blob.hand_over()
        try:
            made = call.wait()
        except BaseException:
            if call.rolled_back:
                blob.take_back(rolled_back=True)
            raise
        blob.take_back(rolled_back=False)
        return made
