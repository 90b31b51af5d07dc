"""
What happened to a transfer; the counterpart are commands.

Every command that asks the world for something is answered by exactly one event of its family: ``<Done>`` or
``<Command>Failed``. After `StopRequests` the answers that are already there may still be handed in; then
`RequestsStopped` says that none will follow. Errors travel as the exceptions of `penstock.errors`, already
retried as far as that is worthwhile, and are not raised.

The driver hands events in one at a time, and each request to stop before any answer that the stop caused.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.errors import PenstockError
from penstock.transfer.journal import Source, TargetState


class ListedPart(Struct, frozen=True, kw_only=True):
    """A part that OSS says it has. ``crc64`` is None where the answer leaves it out; ``etag`` is unquoted."""

    number: int
    size_bytes: int
    etag: str
    crc64: int | None = None


class FoundUpload(Struct, frozen=True, kw_only=True):
    """An unfinished upload of exactly our key; ``initiated_at`` in unix seconds by the clock of OSS."""

    upload_id: str
    initiated_at: int


class Started(Struct, frozen=True, kw_only=True):
    """The first event. ``now``: unix seconds by the local clock."""

    now: int


class SourceInspected(Struct, frozen=True, kw_only=True):
    """
    Answers `InspectSource`: what the path and the open file are now (None for a source that is no file).
    """

    source: Source | None


class InspectSourceFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class TargetInspected(Struct, frozen=True, kw_only=True):
    """
    Answers `InspectTarget`.

    ``target`` is None if no object is there; ``server_time`` is the answer's Date.
    """

    target: TargetState | None
    server_time: int | None = None


class InspectTargetFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class UploadsFound(Struct, frozen=True, kw_only=True):
    """Answers `FindUploads`, all pages together: the unfinished uploads of exactly our key."""

    uploads: tuple[FoundUpload, ...]


class FindUploadsFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class UploadInitiated(Struct, frozen=True, kw_only=True):
    upload_id: str


class InitiateFailed(Struct, frozen=True, kw_only=True):
    """``request_sent``: all of the request was handed over and no answer came, so an upload may exist."""

    error: PenstockError
    request_sent: bool


class PartsListed(Struct, frozen=True, kw_only=True):
    """Answers `ListParts` with one page, numbers rising. ``final``: there are no more pages."""

    parts: tuple[ListedPart, ...]
    final: bool


class ListPartsFailed(Struct, frozen=True, kw_only=True):
    """`penstock.errors.NoSuchUpload` means that the upload is gone; anything else leaves it unknown."""

    error: PenstockError


class PartHashed(Struct, frozen=True, kw_only=True):
    """``md5``: upper-case hex, if `HashPart` asked for it."""

    number: int
    crc64: int
    md5: str = ""


class HashPartFailed(Struct, frozen=True, kw_only=True):
    number: int
    error: PenstockError


class PartSent(Struct, frozen=True, kw_only=True):
    """
    OSS acknowledged the part.

    Attributes:
        size_bytes: Body bytes that were sent.
        crc64: Computed here over exactly these bytes.
        stored_crc64: What OSS answered, or None.
    """

    number: int
    size_bytes: int
    crc64: int
    etag: str
    stored_crc64: int | None = None


class PartFailed(Struct, frozen=True, kw_only=True):
    """
    The part is not acknowledged: refused, unanswered, stopped, or its source could not be read.

    Attributes:
        is_final: Sending it again cannot help (no permission, no such upload, an unreadable source).
        sent_bytes: Body bytes handed over without an answer: they are in doubt.
    """

    number: int
    error: PenstockError
    is_final: bool
    sent_bytes: int = 0


class CompleteSucceeded(Struct, frozen=True, kw_only=True):
    etag: str
    crc64: int | None = None
    version_id: str = ""


class CompleteFailed(Struct, frozen=True, kw_only=True):
    """OSS answered with an error."""

    error: PenstockError


class CompleteUnanswered(Struct, frozen=True, kw_only=True):
    """
    No complete answer came, by a lost connection or by a stop.

    ``request_sent``: OSS may have all of it.
    """

    error: PenstockError
    request_sent: bool


class UploadAborted(Struct, frozen=True, kw_only=True):
    """Answers `AbortUpload`: OSS accepted it."""


class AbortUploadFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class CancelConfirmed(Struct, frozen=True, kw_only=True):
    """Answers `ConfirmGone`: OSS says NoSuchUpload, the upload is gone."""


class UploadStillListed(Struct, frozen=True, kw_only=True):
    """Answers `ConfirmGone`: the upload is still there, with so many parts."""

    part_count: int = 0


class ConfirmGoneFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class PartialOpened(Struct, frozen=True, kw_only=True):
    """Answers `OpenPartial`: the partial file of a download is there, and so long."""

    size_bytes: int


class PartialMissing(Struct, frozen=True, kw_only=True):
    """Answers `OpenPartial`: there is none, and none was to be made."""


class OpenPartialFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class RangeFetched(Struct, frozen=True, kw_only=True):
    """The range is in the partial file, not yet for sure on disk; ``crc64`` is of the bytes that came."""

    number: int
    size_bytes: int
    crc64: int


class RangeFailed(Struct, frozen=True, kw_only=True):
    """
    Refused, cut off, stopped, or not to be written.

    ``is_final``: fetching it again cannot help.
    """

    number: int
    error: PenstockError
    is_final: bool


class PartialSynced(Struct, frozen=True, kw_only=True):
    """Answers `SyncPartial`: what had been fetched when it was asked for is on disk."""


class SyncPartialFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class Published(Struct, frozen=True, kw_only=True):
    """Answers `Publish`: the file is in its place, on disk."""


class PublishFailed(Struct, frozen=True, kw_only=True):
    """The file that was there before is untouched."""

    error: PenstockError


class PublishedHashed(Struct, frozen=True, kw_only=True):
    """Answers `HashPublished`."""

    size_bytes: int
    crc64: int


class PublishedMissing(Struct, frozen=True, kw_only=True):
    """Answers `HashPublished`: there is no such file."""


class HashPublishedFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class PartialDiscarded(Struct, frozen=True, kw_only=True):
    """Answers `DiscardPartial`: there is no partial file now; ``was_there`` tells whether there was."""

    was_there: bool


class DiscardPartialFailed(Struct, frozen=True, kw_only=True):
    error: PenstockError


class Waited(Struct, frozen=True, kw_only=True):
    """Answers `Wait`."""


class JournalFailed(Struct, frozen=True, kw_only=True):
    """
    `AppendJournal` or `DeleteJournal` failed; the commands after it in the same list were not carried out.

    Handed in before any other event.
    """

    error: PenstockError


class AbortRequested(Struct, frozen=True, kw_only=True):
    """
    Stop now and keep everything.

    ``reason``: who asked (abort, deadline, disabled, interrupt, closed ...).
    """

    reason: str = "abort"


class DrainRequested(Struct, frozen=True, kw_only=True):
    """Start nothing new, let what is in flight finish, then stop."""


class DrainTimedOut(Struct, frozen=True, kw_only=True):
    """What is in flight has had its time."""


class CancelRequested(Struct, frozen=True, kw_only=True):
    """Stop now, then make OSS forget the upload."""


class CleanUpTimedOut(Struct, frozen=True, kw_only=True):
    """The deadline of the clean-up after `CancelRequested` has passed."""


class RequestsStopped(Struct, frozen=True, kw_only=True):
    """Answers `StopRequests`: all is quiet, and nothing that was asked before will be answered any more."""


Event = (
    Started
    | SourceInspected
    | InspectSourceFailed
    | TargetInspected
    | InspectTargetFailed
    | UploadsFound
    | FindUploadsFailed
    | UploadInitiated
    | InitiateFailed
    | PartsListed
    | ListPartsFailed
    | PartHashed
    | HashPartFailed
    | PartSent
    | PartFailed
    | CompleteSucceeded
    | CompleteFailed
    | CompleteUnanswered
    | UploadAborted
    | AbortUploadFailed
    | CancelConfirmed
    | UploadStillListed
    | ConfirmGoneFailed
    | PartialOpened
    | PartialMissing
    | OpenPartialFailed
    | RangeFetched
    | RangeFailed
    | PartialSynced
    | SyncPartialFailed
    | Published
    | PublishFailed
    | PublishedHashed
    | PublishedMissing
    | HashPublishedFailed
    | PartialDiscarded
    | DiscardPartialFailed
    | Waited
    | JournalFailed
    | AbortRequested
    | DrainRequested
    | DrainTimedOut
    | CancelRequested
    | CleanUpTimedOut
    | RequestsStopped
)
