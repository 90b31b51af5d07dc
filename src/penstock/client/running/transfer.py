"""The hand that holds a running transfer."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Protocol, Self

import msgspec

from penstock.client.sending.outcome import Outcome
from penstock.client.sending.waiting import Ending, acquire, wait_for
from penstock.errors import Committed, TransferError
from penstock.net.throttle import Bandwidth
from penstock.transfer.journal import TransferKind
from penstock.transfer.outcome import CleanUp, OutcomeKind, Stored
from penstock.transfer.outcome import Outcome as TransferOutcome
from penstock.transfer.progress import Progress

Tell = Callable[[TransferOutcome], object]
"""Hears how a transfer ended, before anybody in this process does."""


class Driver(Protocol):
    """What runs a transfer."""

    def run(self) -> TransferOutcome:
        """Run it to its end."""

    def abort(self, reason: str) -> None:
        """Stop it now and keep everything."""

    def drain(self, timeout_s: float) -> None:
        """Start nothing new and stop."""

    def cancel(self, reason: str = "cancel") -> None:
        """Stop it now and clean up."""

    @property
    def stopping(self) -> bool:
        """True once it was told to stop."""

    @property
    def progress(self) -> Progress:
        """How far it is."""

    @property
    def upload_id(self) -> str | None:
        """The UploadId, once there is one."""

    @property
    def resume_token(self) -> str | None:
        """Text to go on with."""


class Aftermath(Protocol):
    """What can still be done about a transfer that has ended."""

    def clean_up(self, ended: TransferOutcome) -> TransferOutcome:
        """Make OSS forget what it left."""

    def resolved(self, ended: TransferOutcome) -> TransferOutcome:
        """Find out what became of it."""


class Transfer:
    """
    An upload, copy or download that runs, made by the methods of `Client` of these names and by `resume`.

    As a context manager it waits for the end; leaving the block by an exception aborts it.

    An error of code that is not penstock's (a progress callback, a source, a credentials provider of yours)
    stops the transfer. `result` raises that error itself, once all is quiet; `outcome` tells it as
    `UnexpectedError`, beside what is known of the object; all verbs work as after an abort.

    Attributes:
        name: What goes where, for people.
        transfer_id: What other processes of this user call it; that of its journal, if it keeps one.
    """

    def __init__(
        self,
        name: str,
        driver: Driver,
        aftermath: Aftermath,
        bandwidth: Bandwidth | None = None,
        *,
        transfer_id: str | None = None,
        shown_by: Callable[[Transfer], AbstractContextManager[Tell]] | None = None,
        start: bool = True,
    ) -> None:
        self.name = name
        self.transfer_id = transfer_id or secrets.token_hex(12)
        self._driver = driver
        self._aftermath = aftermath
        self._bandwidth = bandwidth or Bandwidth()
        self._shown_by = shown_by
        self._ended: Ending[TransferOutcome] = Ending()
        self._afterwards = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="penstock-transfer", daemon=True)
        if start:
            self._thread.start()

    def _run(self) -> None:
        try:
            if self._shown_by is None:
                ended = self._driver.run()
            else:
                with self._shown_by(self) as tell:
                    ended = self._driver.run()
                    tell(ended)
        except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the result
            ended = TransferOutcome(
                kind=OutcomeKind.FAILED,
                committed=Committed.UNKNOWN,
                progress=self._driver.progress,
                upload_id=self._driver.upload_id,
                resume_token=self._driver.resume_token,
                request_started=True,
                mistake=error,
            )
        self._ended.set_result(ended)

    def result(self, timeout_s: float | None = None) -> Stored:
        """
        Wait for the end and return what was stored.

        Raises:
            Aborted: It was stopped; the error says what was kept and how to go on.
            TimeoutError: It still runs after ``timeout_s``.
            PenstockError: It failed; what was sent is kept.
            BaseException: What a progress callback or other code of yours raised, as it is. The transfer was
                stopped for it, unless it was complete.
            KeyboardInterrupt: Ctrl-C came while it was waited for; the transfer was aborted and is quiet.
        """
        ended = self._wait(timeout_s)
        error = ended.to_error() if ended.mistake is None else ended.mistake
        if error is not None:
            raise error
        assert ended.stored is not None
        return ended.stored

    def outcome(self, timeout_s: float | None = None) -> Outcome[Stored]:
        """
        Wait for the end and tell it, without raising. Raises TimeoutError if it still runs then.

        ``error`` is an `UnexpectedError` if code of yours raised an error; ``committed`` and ``value`` tell
        what OSS has.
        """
        ended = self._wait(timeout_s)
        return Outcome(ended.committed, ended.stored, ended.to_error())

    def _wait(self, timeout_s: float | None) -> TransferOutcome:
        try:
            if not wait_for(self._ended, timeout_s):
                raise TimeoutError(f"{self.name} still runs after {timeout_s} s")
        except KeyboardInterrupt:
            self.abort("interrupt")
            wait_for(self._ended, None)
            raise
        return self._ended.result(0)

    def add_done_callback(self, function: Callable[[Future[TransferOutcome]], object]) -> None:
        """Have ``function`` called when it has ended, on the thread that ended it; at once if it has."""
        self._ended.add_done_callback(function)

    def done(self) -> bool:
        """True once it has ended and is quiet."""
        return self._ended.done()

    @property
    def stopping(self) -> bool:
        """True once it was told to stop, by whomever; `done` says when it has."""
        return self._driver.stopping

    def wait_until_quiet(self, timeout_s: float | None = 1.0) -> bool:
        """
        Wait for the end, however it comes; False if it still runs after ``timeout_s``.

        A callback of the transfer itself is not waited for by that callback: False at once.
        """
        if self._thread is threading.current_thread():
            return False
        self._thread.join(None if timeout_s is None else min(timeout_s, threading.TIMEOUT_MAX))
        return not self._thread.is_alive()

    def abort(self, reason: str = "abort") -> None:
        """
        Stop now and keep everything; from any thread, a signal handler or a callback.

        The UploadId stays valid and `resume_token` goes on with it. Never raises; may be repeated; has no
        effect on a transfer that has ended.
        """
        self._driver.abort(reason)

    def drain(self, timeout_s: float = 30.0) -> None:
        """Start no further part; let those in flight finish for so long, then abort. Does not wait."""
        self._driver.drain(timeout_s)

    def cancel_soon(self, reason: str = "cancel") -> None:
        """As `cancel`, without waiting: the outcome tells how it went."""
        self._driver.cancel(reason)

    def cancel(self, timeout_s: float | None = 60.0) -> CleanUp:
        """
        Stop now, then make the UploadId invalid, and make sure that nothing of the upload is left; of a
        download, remove what was fetched.

        Works while the client's requests are disabled, and on a transfer that was aborted before. If several
        threads cancel, one does it and all are told how it went.

        Returns:
            ``verified`` (nothing is left), ``pending`` (OSS accepted it, and it could not be confirmed) or
            ``failed`` (the upload is probably still there).

        Raises:
            TransferError: The object had been made before the cancel; there is nothing to cancel.
            TimeoutError: The clean-up still runs after ``timeout_s``.
        """
        began = time.monotonic()
        self.cancel_soon()
        self._wait(timeout_s)
        with self._alone_afterwards(None if timeout_s is None else timeout_s - (time.monotonic() - began)):
            ended = self._ended.result(0)
            # An Initiate whose answer was not seen may have left an upload whose id is not known here.
            if ended.kind in (OutcomeKind.ABORTED, OutcomeKind.FAILED) and ended.resume_token is not None:
                ended = self._end_anew(self._aftermath.clean_up(ended))
        if ended.kind is OutcomeKind.COMMITTED:
            made = "file" if ended.transfer is TransferKind.DOWNLOAD else "object"
            raise TransferError(
                f"{self.name} was complete before it could be cancelled",
                advice=f"Delete the {made} if it is not wanted.",
            )
        if ended.clean_up is None and ended.committed is Committed.UNKNOWN:
            return CleanUp.PENDING
        return ended.clean_up or CleanUp.VERIFIED

    def resolve(self) -> Outcome[Stored]:
        """
        Find out what became of a transfer that ended with ``committed`` unknown, by looking at OSS.

        Waits for the end first; asks nothing if there is no doubt.

        Returns:
            The outcome, in which ``committed`` stays unknown only if the evidence could not be had.
        """
        self._wait(None)
        with self._alone_afterwards(None):
            ended = self._ended.result(0)
            if ended.committed is Committed.UNKNOWN:
                self._end_anew(self._aftermath.resolved(ended))
        return self.outcome(0)

    @contextmanager
    def _alone_afterwards(self, timeout_s: float | None) -> Iterator[None]:
        """One thread at a time does something about the end; the next one finds what came of it."""
        if not acquire(self._afterwards, timeout_s):
            raise TimeoutError(f"the clean-up of {self.name} still runs")
        try:
            yield
        finally:
            self._afterwards.release()

    def _end_anew(self, ended: TransferOutcome) -> TransferOutcome:
        ended = msgspec.structs.replace(ended, mistake=self._ended.result(0).mistake)
        anew: Ending[TransferOutcome] = Ending()
        anew.set_result(ended)
        self._ended = anew
        return ended

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        """
        How fast its bytes may flow, beside the limits of its group and client; may be set while it runs.

        None is no limit. 0 is a closed gate: nothing new begins, and what is under way moves a byte every few
        seconds, so that its connections are not given up.

        Raises:
            InvalidInput: It is set to what is no speed.
        """
        return self._bandwidth.bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self._bandwidth.bytes_s = bytes_s

    @property
    def progress(self) -> Progress:
        """How far it is; acknowledged bytes never go back."""
        return self._driver.progress

    @property
    def upload_id(self) -> str | None:
        """The UploadId, once there is one."""
        return self._driver.upload_id

    @property
    def resume_token(self) -> str | None:
        """Text with which `Client.resume` goes on, here or on another machine; None if there is nothing."""
        if self._ended.done():
            return self._ended.result(0).resume_token
        return self._driver.resume_token

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.abort("exception")
            self._ended.exception()
        else:
            self.result()

    def __repr__(self) -> str:
        return f"<Transfer {self.name}, {self.progress.fraction:.0%} acknowledged>"
