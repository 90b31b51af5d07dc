"""
Group commit: one thread owns the one connection that writes.

Whatever is waiting goes into one transaction, each caller in a savepoint of its own, and nobody is answered
before the commit: one flush of the disk serves all of them, and none suffers for another's refusal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Final, Generic, TypeVar

import apsw

from penstock.errors import StoreError

MOST_CALLS: Final = 64
"""How many callers share a transaction at most."""

T = TypeVar("T")
Transaction = Callable[[apsw.Connection], T]


def disk_trouble(what: str, error: apsw.Error) -> StoreError:
    """Says which metadata could not be read or written, and why."""
    advice = "Look at the disk and at the permissions of the data directory."
    if isinstance(error, apsw.FullError):
        advice = "Free some space on the disk of the data directory; nothing that was confirmed is lost."
    elif isinstance(error, apsw.CorruptError | apsw.NotADBError):
        advice = "Stop the server, check the data directory, and restore it from a copy if need be."
    return StoreError(f"{what}: the metadata failed with {type(error).__name__}: {error}", advice=advice)


def _trouble(what: str, error: Exception) -> StoreError:
    if isinstance(error, apsw.Error):
        return disk_trouble(what, error)
    return StoreError(
        f"{what}: {type(error).__name__}: {error}",
        advice="Look at the disk and at the permissions of the data directory.",
    )


def last_garbage_id(connection: apsw.Connection) -> int:
    """The highest id that ``gc`` has ever had; every later row gets a higher one."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'gc'").fetchone()
    return int(row[0]) if row else 0


class Call(Generic[T]):
    """
    A transaction on its way.

    Attributes:
        rolled_back: True once it is certain that it had no effect and never will; after a commit that
            itself failed it stays False, because a crash may still bring that commit to light.
    """

    __slots__ = ("_done", "_error", "_value", "rolled_back", "transaction", "what")

    def __init__(self, what: str, transaction: Transaction[T]) -> None:
        self.what = what
        self.transaction = transaction
        self.rolled_back = False
        self._value: T | None = None
        self._error: BaseException | None = None
        self._done = Lock()
        self._done.acquire()

    def wait(self) -> T:
        """What the transaction returned, once it is committed; or raises what it raised."""
        with self._done:
            pass
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # set, or there is an error

    def succeeded(self, value: T) -> None:
        self._value = value

    def failed(self, error: BaseException, *, rolled_back: bool) -> None:
        self._error = error
        self.rolled_back = rolled_back

    @property
    def refused(self) -> bool:
        return self._error is not None

    def answer(self) -> None:
        self._done.release()


class Writer:
    """
    The thread that writes.

    Args:
        connection: Used by this thread only from now on, and closed by it.
        turn: Held for each transaction.
        on_commit: Called on the thread after each commit, before its callers are answered, with the
            highest id that ``gc`` has ever had.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        turn: AbstractContextManager[None],
        on_commit: Callable[[int], None],
    ) -> None:
        self._connection = connection
        self._turn = turn
        self._on_commit = on_commit
        self._queue: SimpleQueue[Call[Any] | None] = SimpleQueue()
        self._gate = Lock()
        self._closed = False
        self._thread = Thread(target=self._serve, name="penstock-store-writer", daemon=True)
        self._thread.start()

    def submit(self, what: str, transaction: Transaction[T]) -> Call[T]:
        """
        Hands over a transaction; its `Call.wait` gives the result.

        It runs on the writer's thread and must touch nothing but the connection: it may be run again.
        ``what`` begins the message if the disk fails.
        """
        call = Call(what, transaction)
        with self._gate:
            if self._closed:
                raise StoreError(f"{what}: the store is closed", advice="Open it again.")
            self._queue.put(call)
        return call

    def run(self, what: str, transaction: Transaction[T]) -> T:
        """Does `submit` and waits."""
        return self.submit(what, transaction).wait()

    def close(self) -> None:
        """Carries out what was handed over, then closes the connection; may be called again."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        closing = False
        while not closing:
            batch: list[Call[Any]] = []
            call = self._queue.get()
            while call is not None:
                batch.append(call)
                if len(batch) == MOST_CALLS:
                    break
                try:
                    call = self._queue.get_nowait()
                except Empty:
                    break
            closing = call is None
            while batch:
                done, batch = self._take_turn(batch)
                for one in done:
                    one.answer()
        self._connection.close()

    @property
    def alive(self) -> bool:
        """False if the thread has ended: nothing will be written any more."""
        return self._thread.is_alive()

    def _take_turn(self, batch: list[Call[Any]]) -> tuple[list[Call[Any]], list[Call[Any]]]:
        """As `_commit_together`, when nobody else writes."""
        done: list[Call[Any]] = []
        try:
            with self._turn:
                done, batch = self._commit_together(batch)
        except OSError as error:
            if not done:
                for call in batch:
                    call.failed(_trouble(call.what, error), rolled_back=True)
                return batch, []
        return done, batch

    def _commit_together(self, batch: list[Call[Any]]) -> tuple[list[Call[Any]], list[Call[Any]]]:
        """Runs the calls in one transaction; gives those that are done, and those to be run again."""
        connection = self._connection
        committing = False
        try:
            connection.execute("BEGIN IMMEDIATE")
            for position, call in enumerate(batch):
                self._run(call)
                if not connection.in_transaction:
                    # SQLite gave up the whole transaction because of this call (a full disk does that).
                    others = batch[:position] + batch[position + 1 :]
                    done = [call, *(other for other in others if other.refused)]
                    return done, [other for other in others if not other.refused]
            garbage_id = last_garbage_id(connection)
            committing = True
            connection.execute("COMMIT")
            self._on_commit(garbage_id)
        except Exception as error:  # noqa: BLE001  # the outer wall of the thread: without it nobody can write
            with suppress(apsw.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            for call in batch:
                if not call.refused:
                    call.failed(_trouble(call.what, error), rolled_back=not committing)
        return batch, []

    def _run(self, call: Call[Any]) -> None:
        connection = self._connection
        connection.execute("SAVEPOINT call")
        try:
            call.succeeded(call.transaction(connection))
        except BaseException as error:  # noqa: BLE001  # the outer wall of a thread: the caller gets it
            raised = disk_trouble(call.what, error) if isinstance(error, apsw.Error) else error
            call.failed(raised, rolled_back=True)
            if connection.in_transaction:
                connection.execute("ROLLBACK TO call")
        if connection.in_transaction:
            connection.execute("RELEASE call")


class ReaderPool:
    """
    Connections that read, each lent to one thread at a time; as many as there are readers at once.

    Args:
        connect: Opens one more.
    """

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._idle: list[apsw.Connection] = []
        self._gate = Lock()
        self._closed = False

    def run(self, what: str, query: Transaction[T]) -> T:
        """Runs a query in one snapshot of all tables; it must use up its cursors."""
        with self._gate:
            if self._closed:
                raise StoreError(f"{what}: the store is closed", advice="Open it again.")
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = self._connect()
        try:
            connection.execute("BEGIN")
            try:
                return query(connection)
            finally:
                connection.execute("COMMIT")
        except apsw.Error as error:
            raise disk_trouble(what, error) from error
        finally:
            self._give_back(connection)

    def close(self) -> None:
        """Closes the idle connections now, and each of the others when it comes back."""
        with self._gate:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _give_back(self, connection: apsw.Connection) -> None:
        with self._gate:
            if not self._closed:
                self._idle.append(connection)
                return
        connection.close()
