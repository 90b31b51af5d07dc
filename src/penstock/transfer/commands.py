"""
What a transfer wants done; the counterpart are events.

The driver carries out the commands of one list in their order. `AppendJournal` with ``durable=True`` has
ended on disk before the next command begins. If a journal command fails, the rest of its list is not carried
out and `JournalFailed` is handed in. All other commands run beside each other; journal commands come first
in a list.

Whatever is asked after `RequestsStopped` was handed in is clean-up: it goes past the stop and past a client
that is disabled, under a deadline of its own, at the end of which `CleanUpTimedOut` is handed in.
"""

from __future__ import annotations

from msgspec import Struct

from penstock.transfer.journal import ObjectOptions, Record
from penstock.transfer.outcome import Outcome


class PartTag(Struct, frozen=True):
    """One line of the list that Complete sends."""

    number: int
    etag: str


class AppendJournal(Struct, frozen=True, kw_only=True):
    """Append ``frame(record)``; ``durable`` syncs it to disk before anything else is done."""

    record: Record
    durable: bool


class DeleteJournal(Struct, frozen=True, kw_only=True):
    """Remove the journal, if there is one: nothing is left to be resumed."""


class InspectSource(Struct, frozen=True, kw_only=True):
    """Answered by `SourceInspected` or `InspectSourceFailed`."""


class InspectTarget(Struct, frozen=True, kw_only=True):
    """HeadObject of the key. Answered by `TargetInspected` or `InspectTargetFailed`."""


class FindUploads(Struct, frozen=True, kw_only=True):
    """ListMultipartUploads for exactly our key. Answered by `UploadsFound` or `FindUploadsFailed`."""


class Initiate(Struct, frozen=True, kw_only=True):
    """Answered by `UploadInitiated` or `InitiateFailed`. Not to be retried once it was handed over whole."""

    options: ObjectOptions
    forbid_overwrite: bool


class ListParts(Struct, frozen=True, kw_only=True):
    """One page of parts with numbers above ``after``. Answered by `PartsListed` or `ListPartsFailed`."""

    upload_id: str
    after: int = 0


class HashPart(Struct, frozen=True, kw_only=True):
    """Read a range of the source and compute its CRC-64. Answered by `PartHashed` or `HashPartFailed`."""

    number: int
    offset: int
    size_bytes: int
    with_md5: bool = False


class SendPart(Struct, frozen=True, kw_only=True):
    """UploadPart. Answered by `PartSent` or `PartFailed`."""

    upload_id: str
    number: int
    offset: int
    size_bytes: int


class Complete(Struct, frozen=True, kw_only=True):
    """
    CompleteMultipartUpload. Answered by `CompleteSucceeded`, `CompleteFailed` or `CompleteUnanswered`.

    Not to be retried once it was handed over whole: it is not idempotent. ``crc64`` is that of the object
    that is to be made.
    """

    upload_id: str
    parts: tuple[PartTag, ...]
    forbid_overwrite: bool
    crc64: int


class AbortUpload(Struct, frozen=True, kw_only=True):
    """AbortMultipartUpload. Answered by `UploadAborted` or `AbortUploadFailed`."""

    upload_id: str


class ConfirmGone(Struct, frozen=True, kw_only=True):
    """
    ListParts, to learn no more than whether the upload is still there.

    Answered by `CancelConfirmed`, `UploadStillListed` or `ConfirmGoneFailed`.
    """

    upload_id: str


class OpenPartial(Struct, frozen=True, kw_only=True):
    """
    Open the partial file of a download, beside the file that it will become.

    Answered by `PartialOpened`, `PartialMissing` or `OpenPartialFailed`.

    Attributes:
        create: Make it anew, empty and ``total_bytes`` long; what an old one held is lost. Otherwise it is
            opened as it is, if it is there.
    """

    total_bytes: int
    create: bool


class FetchRange(Struct, frozen=True, kw_only=True):
    """
    GetObject of a range, if the object still has this ETag, into the partial file.

    Answered by `RangeFetched` or `RangeFailed`.

    Attributes:
        whole: The range is all of the object.
    """

    number: int
    offset: int
    size_bytes: int
    etag: str
    whole: bool


class SyncPartial(Struct, frozen=True, kw_only=True):
    """Bring to disk what was fetched so far. Answered by `PartialSynced` or `SyncPartialFailed`."""


class Publish(Struct, frozen=True, kw_only=True):
    """
    Bring the partial file to disk and give it its name, in the place of any file that has it.

    Answered by `Published` or `PublishFailed`.
    """

    total_bytes: int


class HashPublished(Struct, frozen=True, kw_only=True):
    """
    Read the file that a download was to make.

    Answered by `PublishedHashed`, `PublishedMissing` or `HashPublishedFailed`.
    """


class DiscardPartial(Struct, frozen=True, kw_only=True):
    """Remove the partial file, if there is one. Answered by `PartialDiscarded` or `DiscardPartialFailed`."""


class Wait(Struct, frozen=True, kw_only=True):
    """Answered by `Waited` after so long; ended early by a stop or the deadline of the clean-up."""

    seconds: float


class StopRequests(Struct, frozen=True, kw_only=True):
    """Stop all that runs, at once, and hand in `RequestsStopped` when it is quiet."""

    reason: str


class Report(Struct, frozen=True, kw_only=True):
    """The last command: this is how the transfer ended."""

    outcome: Outcome


Command = (
    AppendJournal
    | DeleteJournal
    | InspectSource
    | InspectTarget
    | FindUploads
    | Initiate
    | ListParts
    | HashPart
    | SendPart
    | Complete
    | AbortUpload
    | ConfirmGone
    | OpenPartial
    | FetchRange
    | SyncPartial
    | Publish
    | HashPublished
    | DiscardPartial
    | Wait
    | StopRequests
    | Report
)
