"""
Carries out what the machine of a transfer decides.

One thread, the coordinator, hands events to the machine and its commands to workers; all else only puts
events into its queue. A stop reaches the sockets at once, through the latch that every request listens to,
and the machine through the queue, before any answer that the stop brings about.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Protocol

import msgspec

from penstock.client.sending.deadline import ALARMS, Alarm
from penstock.client.sending.workers import Workers
from penstock.errors import PenstockError
from penstock.net.latch import Latch
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.journal import Record, frame
from penstock.transfer.machine import StoppableMachine
from penstock.transfer.outcome import Outcome
from penstock.transfer.progress import Progress

CLEAN_UP_S = 30.0
"""How long a cancel may take to clean up."""


class Journal(Protocol):
    """Where the records of a transfer go."""

    def append(self, frame: bytes, *, durable: bool) -> None:
        """Append one record."""

    def flush(self) -> None:
        """Bring everything to disk."""

    def delete(self) -> None:
        """Remove the journal."""

    def close(self) -> None:
        """Let go of the journal and keep it."""


class TransferDriver(ABC):
    """
    Runs one machine to its end.

    Args:
        machine: What decides.
        journal: Where records go; None keeps none.
        workers: Carry out requests and hashing.
        latch: What stops the transfer: of the client's generation and the scopes around.
        now: Gives unix seconds.
        on_progress: Called with the state of affairs whenever bytes were handed over or acknowledged, on the
            threads that did so; it may stop the transfer. What it raises stops the transfer too, and is the
            outcome's ``mistake``.
    """

    def __init__(
        self,
        machine: StoppableMachine,
        journal: Journal | None,
        workers: Workers,
        latch: Latch,
        *,
        now: Callable[[], int],
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._machine = machine
        self._journal = journal
        self._workers = workers
        self._now = now
        self._on_progress = on_progress
        self._events: SimpleQueue[on.Event | None] = SimpleQueue()
        self._stop = latch
        self._clean_up = Latch()
        self._requests = latch
        self._running = 0
        self._stopping = False
        self._moved: dict[int, int] = {}
        self._progress = machine.progress
        self._outcome: Outcome | None = None
        self._mistake: BaseException | None = None
        self._alarms: list[Alarm] = []
        self._attachment = latch.attach(self._hear_stop)

    # --- for the hand that holds the transfer

    def abort(self, reason: str) -> None:
        """Stop now and keep everything; from any thread or signal handler."""
        self._stop.trip(reason)

    def drain(self, timeout_s: float) -> None:
        """Start nothing new; stop when what is in flight is done, or the time is over."""
        self._events.put(on.DrainRequested())
        self._ring_in(timeout_s, lambda: self._events.put(on.DrainTimedOut()))

    def cancel(self, reason: str = "cancel") -> None:
        """Stop now, then clean up."""
        self._events.put(on.CancelRequested())
        self._stop.trip(reason)

    @property
    def stopping(self) -> bool:
        """True once it was told to stop."""
        return self._stop.tripped

    @property
    def progress(self) -> Progress:
        """How far the transfer is; ``in_flight_bytes`` are those that have passed the network."""
        moved = sum(list(self._moved.values()))
        return msgspec.structs.replace(self._progress, in_flight_bytes=moved)

    @property
    def upload_id(self) -> str | None:
        """The UploadId, once there is one."""
        return self._machine.upload_id

    @property
    def resume_token(self) -> str | None:
        """Text to go on with from anywhere."""
        return self._machine.resume_token

    # --- the coordinator

    def run(self, first: on.Event | None = None) -> Outcome:
        """
        Run the machine until it reports; returns how the transfer ended.

        What code of others raises meanwhile is not raised here: it stops the transfer, and its end tells it.
        """
        commands = self._machine.handle(first or on.Started(now=self._now()))
        try:
            while True:
                self._carry_out(commands)
                if self._outcome is not None:
                    return msgspec.structs.replace(self._outcome, mistake=self._mistake)
                event = self._events.get()
                if event is None:
                    self._running -= 1
                    commands = self._quiet() if self._stopping and self._running == 0 else []
                else:
                    commands = self._machine.handle(event)
                self._note_progress()
        finally:
            self._call_off_alarms()
            self._attachment.detach()
            self._stop.close()
            if self._journal is not None:
                self._journal.close()
            self._let_go()

    def _hear_stop(self) -> None:
        self._events.put(on.AbortRequested(reason=self._stop.reason or "abort"))

    def _note_progress(self) -> None:
        before, self._progress = self._progress, self._machine.progress
        if before != self._progress:
            self._tell_progress()

    def _tell_progress(self) -> None:
        if self._on_progress is None or self._mistake is not None:
            return
        try:
            self._on_progress(self.progress)
        except BaseException as error:  # noqa: BLE001 - the caller's own code; nobody here can answer for it
            self._give_up(error)

    def _give_up(self, mistake: BaseException) -> None:
        """Stop because of what is nobody's answer: it is told once all is quiet."""
        if self._mistake is None:
            self._mistake = mistake
        self._stop.trip("failure")

    def _carry_out(self, commands: list[do.Command]) -> None:
        pending = list(commands)
        while pending:
            command = pending.pop(0)
            match command:
                case do.AppendJournal(record=record, durable=durable):
                    error = self._write(record, durable=durable)
                    if error is not None:
                        pending = self._machine.handle(on.JournalFailed(error=error))
                case do.DeleteJournal():
                    error = self._delete_journal()
                    if error is not None:
                        pending = self._machine.handle(on.JournalFailed(error=error))
                case do.StopRequests(reason=reason):
                    self._stopping = True
                    self._stop.trip(reason)
                    if self._running == 0:
                        pending.extend(self._quiet())
                case do.Report(outcome=outcome):
                    self._outcome = outcome
                case do.Wait(seconds=seconds):
                    self._start(partial(self._wait, seconds))
                case _:
                    self._start(self._work_of(command))

    def _quiet(self) -> list[do.Command]:
        """All requests have ended: what follows is clean-up, which no stop of the client reaches."""
        self._stopping = False
        self._requests = self._clean_up
        self._ring_in(CLEAN_UP_S, self._end_clean_up)
        return self._machine.handle(on.RequestsStopped())

    def _ring_in(self, delay_s: float, ring: Callable[[], object]) -> None:
        self._alarms.append(ALARMS.ring_in(delay_s, ring))
        if self._outcome is not None:
            self._call_off_alarms()

    def _call_off_alarms(self) -> None:
        for alarm in self._alarms:
            alarm.call_off()
        if self._alarms:
            ALARMS.wake()

    def _end_clean_up(self) -> None:
        self._events.put(on.CleanUpTimedOut())
        self._clean_up.trip("clean-up took too long")

    def _write(self, record: Record, *, durable: bool) -> PenstockError | None:
        if self._journal is None:
            return None
        try:
            self._journal.append(frame(record), durable=durable)
        except PenstockError as error:
            return error
        return None

    def _delete_journal(self) -> PenstockError | None:
        if self._journal is None:
            return None
        try:
            self._journal.delete()
        except PenstockError as error:
            return error
        self._journal = None
        return None

    # --- the workers

    def _start(self, work: Callable[[Latch], on.Event]) -> None:
        latch = Latch(self._requests)
        is_clean_up = self._requests is self._clean_up
        self._running += 1

        def run() -> None:
            try:
                with latch:
                    answer = work(latch)
                    if latch.tripped and not is_clean_up:
                        # Work sees a stop by itself, perhaps before the news of it: an answer that the stop
                        # brought about must not be the first that the machine hears of it.
                        self._hear_stop()
                    self._events.put(answer)
            except BaseException as error:  # noqa: BLE001 - a thread has nobody to raise it to
                self._give_up(error)
                if is_clean_up:  # what no stop reaches would wait for an answer that does not come
                    self._end_clean_up()
            finally:
                self._events.put(None)

        try:
            self._workers.run(run)
        except PenstockError:  # the client was closed in this moment: its latch has tripped
            threading.Thread(target=run, name="penstock-transfer", daemon=True).start()

    @abstractmethod
    def _work_of(self, command: do.Command) -> Callable[[Latch], on.Event]:
        """What carries out a command, on a worker, under a latch; it gives the answer and never raises."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close what the transfer had open."""

    def _note_moved(self, number: int, so_far: int) -> None:
        """So many bytes of a part have passed the network."""
        self._moved[number] = so_far
        self._tell_progress()

    def _wait(self, seconds: float, latch: Latch) -> on.Event:
        latch.wait(seconds)
        return on.Waited()


def carried_out(driver: TransferDriver, first: on.Event | None) -> Outcome:
    """Run a driver on this thread; what code of others raised meanwhile is raised."""
    ended = driver.run(first)
    if ended.mistake is not None:
        raise ended.mistake
    return ended
