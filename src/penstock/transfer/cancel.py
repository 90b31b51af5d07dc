"""Making OSS forget an upload, and making sure that it has."""

from __future__ import annotations

from penstock.errors import Forbidden, NoSuchUpload, PenstockError
from penstock.transfer.backoff import pauses
from penstock.transfer.commands import AbortUpload, Command, ConfirmGone, Wait
from penstock.transfer.events import (
    AbortUploadFailed,
    CancelConfirmed,
    CleanUpTimedOut,
    ConfirmGoneFailed,
    Event,
    UploadAborted,
    UploadStillListed,
    Waited,
)
from penstock.transfer.outcome import CleanUp


class Cancellation:
    """
    Abort the upload and ask until OSS says NoSuchUpload.

    A part that was still arriving when OSS handled the abort is kept by it, so an upload that is still listed
    is aborted again. `uploads clean` uses this without an upload machine.

    When ``done``: ``clean_up`` is set, and ``error`` says what stood in the way. ``was_open`` is True if OSS
    answered that it did abort the upload, so that it had not been completed.

    Args:
        patience_s: How long to keep trying; `CleanUpTimedOut` ends it earlier.
    """

    def __init__(self, upload_id: str, patience_s: float = 30.0) -> None:
        self.upload_id = upload_id
        self.clean_up: CleanUp | None = None
        self.error: PenstockError | None = None
        self.was_open = False
        self._accepted = False
        self._pauses = pauses(patience_s)
        self._next: Command = AbortUpload(upload_id=upload_id)

    @property
    def done(self) -> bool:
        return self.clean_up is not None

    def begin(self) -> list[Command]:
        return [self._next]

    def handle(self, event: Event) -> list[Command]:
        match event:
            case UploadAborted() | AbortUploadFailed(error=NoSuchUpload()):
                self._accepted = True
                self.was_open = self.was_open or isinstance(event, UploadAborted)
                self._next = ConfirmGone(upload_id=self.upload_id)
                return [self._next]
            case AbortUploadFailed(error=error) | ConfirmGoneFailed(error=error):
                self.error = error
                return self._pause()
            case UploadStillListed():
                self._next = AbortUpload(upload_id=self.upload_id)
                return self._pause()
            case CancelConfirmed():
                self.error = None
                self.clean_up = CleanUp.VERIFIED
            case Waited():
                return [self._next]
            case CleanUpTimedOut():
                self._give_up()
        return []

    def _pause(self) -> list[Command]:
        pause = None if isinstance(self.error, Forbidden) else next(self._pauses, None)
        if pause is None:
            self._give_up()
            return []
        return [Wait(seconds=pause)]

    def _give_up(self) -> None:
        self.clean_up = CleanUp.PENDING if self._accepted else CleanUp.FAILED
