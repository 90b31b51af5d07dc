"""How a transfer ended, and the error that says so."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.errors import (
    NOT_SENT,
    STOPPED_IN_FLIGHT,
    Aborted,
    Committed,
    PenstockError,
    UnexpectedError,
)
from penstock.transfer.journal import TransferKind
from penstock.transfer.progress import Progress


class OutcomeKind(StrEnum):
    COMMITTED = "committed"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    FAILED = "failed"


class CleanUp(StrEnum):
    """How far a cancel got on the server."""

    VERIFIED = "verified"
    """OSS said NoSuchUpload, or there never was an upload."""
    PENDING = "pending"
    """OSS accepted the cancel; that nothing is left could not be confirmed in time."""
    FAILED = "failed"
    """OSS did not accept the cancel; the upload is probably still there."""


class Stored(Struct, frozen=True, kw_only=True):
    """
    The object that was made, or downloaded.

    Attributes:
        by_evidence: True if nobody was there to see it end, and the object or file itself proved it.
    """

    etag: str
    crc64: int
    size_bytes: int
    version_id: str = ""
    by_evidence: bool = False


class Outcome(Struct, frozen=True, kw_only=True):
    """
    The one end of a transfer.

    Attributes:
        committed: `Committed.YES` exactly if an object was made; `UNKNOWN` if only `resolve` can tell.
        upload_id: The UploadId that is still open, or None.
        resume_token: Text to go on from anywhere, or None if there is nothing to go on from.
        stored: Set if ``kind`` is COMMITTED.
        error: Set if ``kind`` is FAILED, or if a clean-up did not succeed.
        reason: Who asked for the stop; empty if nobody did.
        request_started: False if no request was sent that could have left anything.
        clean_up: Set if ``kind`` is CANCELLED.
        unclaimed_uploads: UploadIds of the key that may be left over from this transfer and were left alone,
            because nothing proves it.
        transfer: What it was.
        mistake: What code that is not ours raised, a progress callback for example. It stopped the
            transfer, unless that was complete: ``kind`` tells.
    """

    kind: OutcomeKind
    committed: Committed
    progress: Progress
    upload_id: str | None = None
    resume_token: str | None = None
    stored: Stored | None = None
    error: PenstockError | None = None
    reason: str = ""
    request_started: bool = False
    clean_up: CleanUp | None = None
    unclaimed_uploads: tuple[str, ...] = ()
    transfer: TransferKind = TransferKind.UPLOAD
    mistake: BaseException | None = None

    def to_error(self) -> PenstockError | None:
        """The error that tells of this end; None if the object was made as asked."""
        if self.mistake is not None:
            return self._to_unexpected(self.mistake)
        match self.kind:
            case OutcomeKind.COMMITTED:
                return None
            case OutcomeKind.FAILED:
                assert self.error is not None, "a failure has an error"
                return self.error
            case OutcomeKind.ABORTED | OutcomeKind.CANCELLED:
                return self._to_aborted()

    def _to_unexpected(self, mistake: BaseException) -> UnexpectedError:
        happened = "was complete when" if self.kind is OutcomeKind.COMMITTED else "was stopped because"
        error = UnexpectedError(
            f"the {self.transfer} {happened} code that is not penstock's raised {mistake!r}",
            upload_id=self.upload_id,
            resume_token=self.resume_token,
            advice="" if self.kind is OutcomeKind.COMMITTED else self._advice(),
        )
        error.__cause__ = mistake
        return error

    def _to_aborted(self) -> Aborted:
        progress = self.progress
        return Aborted(
            f"the {self.transfer} was stopped ({self.reason}) with {progress.acknowledged_bytes} of "
            f"{progress.total_bytes} bytes {self._done_word}{self._clean_up_message()}",
            code=STOPPED_IN_FLIGHT if self.request_started else NOT_SENT,
            committed=self.committed,
            upload_id=self.upload_id,
            acknowledged_bytes=progress.acknowledged_bytes,
            in_doubt_bytes=progress.in_doubt_bytes,
            resume_token=self.resume_token,
            reason=self.reason,
            advice=self._advice(),
        )

    @property
    def _done_word(self) -> str:
        return "written" if self.transfer is TransferKind.DOWNLOAD else "acknowledged"

    def _clean_up_message(self) -> str:
        messages = _DISCARD_MESSAGE if self.transfer is TransferKind.DOWNLOAD else _CLEAN_UP_MESSAGE
        return "" if self.clean_up is None else messages.get(self.clean_up, "")

    def _advice(self) -> str:
        if self.transfer is TransferKind.DOWNLOAD:
            return self._advice_to_downloads()
        if self.kind is OutcomeKind.CANCELLED:
            if self.clean_up is CleanUp.VERIFIED:
                return "" if self.committed is Committed.NO else "Look at the object: OSS may have it."
            return (
                "Cancel again, or let `penstock uploads clean` find it later: "
                "OSS may still keep the parts, and bill them."
            )
        if self.committed is Committed.UNKNOWN:
            return "Ask with resolve() whether OSS has the object, before anything is sent again."
        if self.resume_token is None:
            return "Nothing of it was kept: start it again when you like."
        if self.upload_id is None:
            return "Resume it, or start it again, when you like: resuming finds what the stop may have left."
        return "Resume it when you like, or cancel it: until then OSS keeps the parts, and bills them."

    def _advice_to_downloads(self) -> str:
        if self.clean_up is CleanUp.FAILED:
            return "Cancel again: what was fetched still lies beside the file."
        if self.resume_token is None:
            return "Nothing of it was kept: start it again when you like."
        return "Resume it when you like, or cancel it: until then what was fetched is kept beside the file."


_DISCARD_MESSAGE = {
    CleanUp.VERIFIED: "; nothing of it was kept",
    CleanUp.FAILED: "; what was fetched could not be removed",
}

_CLEAN_UP_MESSAGE = {
    CleanUp.VERIFIED: "; nothing of it is left on OSS",
    CleanUp.PENDING: "; OSS accepted the cancel, and that nothing is left could not be confirmed",
    CleanUp.FAILED: "; OSS did not accept the cancel",
}
