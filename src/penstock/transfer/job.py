"""What is to be uploaded, how, and where the transfer begins."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from penstock.transfer.journal import (
    Intent,
    JournalView,
    ObjectOptions,
    Source,
    TargetState,
    TransferKind,
)
from penstock.transfer.token import ResumeToken


class UploadJob(Struct, frozen=True, kw_only=True):
    """
    What goes where.

    Attributes:
        job_id: Names the journal; random text of the caller's.
        source: The file as it is now, or None if the bytes are not in a file. `total_bytes` is its length
            now.
        part_bytes: None chooses (see `penstock.transfer.plan.part_plan`).
        kind: `TransferKind.COPY` if OSS itself makes the parts of another object.
        forbid_overwrite: Refuse to overwrite anything at all.
    """

    job_id: str
    endpoint: str
    region: str
    bucket: str
    key: str
    source: Source | None
    total_bytes: int
    part_bytes: int | None = None
    options: ObjectOptions = msgspec.field(default_factory=ObjectOptions)
    kind: TransferKind = TransferKind.UPLOAD
    forbid_overwrite: bool = False


class UploadSettings(Struct, frozen=True, kw_only=True):
    """
    How an upload behaves.

    Attributes:
        parallel: Most parts that are sent, or hashed, at the same time; >= 1.
        protect_target: Refuse to overwrite what somebody else wrote to the key since the start. Costs two
            HeadObject calls; without permission for them the upload goes on unprotected.
        keep_matching: If the source has changed, keep the stored parts that still match and send the others
            again, rather than refuse.
        trust_identity: False where an equal file identity does not prove equal bytes, or to be surer still:
            every stored part is then compared by checksum before it is skipped.
        settle_s: How long an unanswered Complete may take to show itself before it counts as not committed.
        part_attempts: How often one part is sent before the transfer fails; >= 1.
    """

    parallel: int = 4
    protect_target: bool = True
    keep_matching: bool = False
    trust_identity: bool = True
    settle_s: float = 10.0
    part_attempts: int = 3


class DownloadJob(Struct, frozen=True, kw_only=True):
    """
    What is downloaded, and where to.

    Attributes:
        job_id: Names the journal and the partial file; random text of the caller's.
        path: The file to be made, absolute.
        found: The object as it is now.
        version_id: The version that was asked for, or an empty string.
        part_bytes: Length of a range; None chooses (see `penstock.transfer.plan.part_plan`).
    """

    job_id: str
    endpoint: str
    region: str
    bucket: str
    key: str
    path: str
    found: TargetState
    version_id: str = ""
    part_bytes: int | None = None


class DownloadSettings(Struct, frozen=True, kw_only=True):
    """
    How a download behaves.

    Attributes:
        parallel: Most ranges that are fetched, or compared, at the same time; >= 1.
        keep: What was fetched outlives a stop, and a journal leads back to it. False leaves nothing.
        part_attempts: How often one range is fetched before the transfer fails; >= 1.
        sync_every_bytes: So much is fetched before it is brought to disk.
    """

    parallel: int = 4
    keep: bool = True
    part_attempts: int = 3
    sync_every_bytes: int = 128 * 1024 * 1024


class Fresh(Struct, frozen=True):
    """
    Begin from nothing.

    Attributes:
        is_resumed: It was stopped before it began. Should it fail before it begins this time, it is kept.
    """

    is_resumed: bool = False


class FromJournal(Struct, frozen=True):
    """Go on where a journal says that an earlier run stopped."""

    view: JournalView


class FromToken(Struct, frozen=True):
    """Go on with the upload that a resume token names, without a journal."""

    token: ResumeToken


class FromKey(Struct, frozen=True):
    """
    Find the unfinished upload of the key whose parts match the source, and go on with it.

    Attributes:
        except_for: UploadIds that are not to be gone on with: they were cancelled.
    """

    except_for: frozenset[str] = frozenset()


Beginning = Fresh | FromJournal | FromToken | FromKey


def resumed_job(intent: Intent, source: Source | None, total_bytes: int) -> UploadJob:
    """The job that a journal describes, with the source as it is now."""
    return UploadJob(
        job_id=intent.job_id,
        endpoint=intent.endpoint,
        region=intent.region,
        bucket=intent.bucket,
        key=intent.key,
        source=source,
        total_bytes=total_bytes,
        part_bytes=intent.part_bytes,
        options=intent.options,
        kind=intent.kind,
        forbid_overwrite=intent.forbid_overwrite,
    )


def begun_anew(job: UploadJob, beginning: Beginning) -> tuple[UploadJob, Beginning]:
    """The same, unless it was stopped before it began: then that is made good for, under its old name."""
    match beginning:
        case FromJournal(view=view) if view.unbegun:
            return job, Fresh(is_resumed=True)
        case FromToken(token=token) if token.unbegun:
            options = msgspec.structs.replace(job.options, ownership_token=token.ownership_token)
            return msgspec.structs.replace(job, options=options), Fresh(is_resumed=True)
    return job, beginning
