"""Several copies at a time, fed by a list that is still growing."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.cli.copy_job import Copied, CopyJob
from penstock.errors import Aborted, CredentialsMissing, NoSuchBucket, PenstockError
from penstock.transfer.progress import Progress

if TYPE_CHECKING:
    from penstock.client.client import Client

_MOST_WAITING = 10_000


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job ended; without a job, what stopped the search for jobs."""

    job: CopyJob | None
    copied: Copied | None = None
    error: BaseException | None = None


class Batch:
    """
    Runs jobs on threads while more are found on another one; stops with the scopes that it was made in.

    Attributes:
        found: Jobs found so far.
        done: Jobs that have ended.
        counting: True while more may be found.

    Args:
        client: Carries the jobs out.
        jobs: Where they come from; iterated on a thread of its own.
        parallel: How many run at a time.
    """

    def __init__(self, client: Client, jobs: Iterator[CopyJob], parallel: int) -> None:
        self.found = 0
        self.done = 0
        self.counting = True
        self._client = client
        self._jobs = jobs
        self._parallel = parallel
        self._found_bytes = 0
        self._ended_progress = Progress(total_bytes=0)
        self._running: dict[int, CopyJob] = {}
        self._waiting: queue.Queue[CopyJob | None] = queue.Queue(_MOST_WAITING)
        self._ended: queue.SimpleQueue[Ended | None] = queue.SimpleQueue()
        self._given_up = threading.Event()
        self._counting = threading.Lock()

    def run(self, every_s: float) -> Iterator[Ended | None]:
        """Start, and give each end as it comes; None whenever so many seconds went by without one."""
        threads = [self._start(self._find)] + [self._start(self._work) for _ in range(self._parallel)]
        left = len(threads)
        while left:
            try:
                ended = self._ended.get(timeout=every_s)
            except queue.Empty:
                yield None
                continue
            if ended is None:
                left -= 1
                continue
            if ended.error is not None and not _is_failure(ended.error):
                self._given_up.set()
                raise ended.error
            yield ended
        for thread in threads:
            thread.join()

    @property
    def whole(self) -> Progress:
        """How far all of it is, as far as it is known."""
        running = [job.progress for job in list(self._running.values())]
        before = self._ended_progress
        acknowledged = before.acknowledged_bytes + sum(one.acknowledged_bytes for one in running)
        return Progress(
            total_bytes=max(self._found_bytes, acknowledged),
            acknowledged_bytes=acknowledged,
            in_flight_bytes=sum(one.in_flight_bytes for one in running),
            resumed_bytes=before.resumed_bytes + sum(one.resumed_bytes for one in running),
        )

    @property
    def running(self) -> list[CopyJob]:
        """The jobs that are carried out now."""
        return list(self._running.values())

    def _start(self, work: Callable[[], None]) -> threading.Thread:
        # Scopes travel in the context, and a new thread has an empty one.
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(work,), name="penstock-copy", daemon=True)
        thread.start()
        return thread

    def _find(self) -> None:
        try:
            for job in self._jobs:
                if self._given_up.is_set():
                    break
                self.found += 1
                self._found_bytes += job.size_bytes
                self._waiting.put(job)
        except BaseException as error:  # noqa: BLE001 - raised again where the ends are taken
            self._ended.put(Ended(None, error=error))
        finally:
            self.counting = False
            for _ in range(self._parallel):
                self._waiting.put(None)
            self._ended.put(None)

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            if not self._given_up.is_set():
                self._carry_out(job)
        self._ended.put(None)

    def _carry_out(self, job: CopyJob) -> None:
        self._running[id(job)] = job
        try:
            ended = Ended(job, copied=job.run(self._client))
        except BaseException as error:  # noqa: BLE001 - raised again where the ends are taken
            ended = Ended(job, error=error)
            # These would come again for every job that follows.
            if isinstance(error, Aborted | NoSuchBucket | CredentialsMissing):
                self._given_up.set()
        self._note_end(job, was_stopped=isinstance(ended.error, Aborted))
        self._ended.put(ended)

    def _note_end(self, job: CopyJob, *, was_stopped: bool) -> None:
        with self._counting:
            last, before = job.progress, self._ended_progress
            # What failed, or was there already, is no longer to be moved.
            if not was_stopped:
                self._found_bytes -= max(0, job.size_bytes - last.acknowledged_bytes)
            self._ended_progress = Progress(
                total_bytes=0,
                acknowledged_bytes=before.acknowledged_bytes + last.acknowledged_bytes,
                resumed_bytes=before.resumed_bytes + last.resumed_bytes,
            )
            self._running.pop(id(job), None)
            self.done += 1


def _is_failure(error: BaseException) -> bool:
    """Whether an error is that of one job; else it ends all, as does a reader of our output that has gone."""
    return isinstance(error, PenstockError | OSError) and not isinstance(error, BrokenPipeError)
