"""The errors that a transfer finds by itself, in words."""

from __future__ import annotations

from penstock.errors import (
    ChecksumMismatch,
    IncompleteUpload,
    PenstockError,
    SourceChanged,
    TargetChanged,
    TransferError,
    UploadLost,
)
from penstock.transfer.journal import EndKind, PartStored
from penstock.transfer.plan import Part

FILE_ALREADY_EXISTS = "FileAlreadyExists"
"""The code of OSS for a write that was told to overwrite nothing."""


def already_ended(name: str, kind: EndKind) -> TransferError:
    return TransferError(
        f"the transfer to {name} has ended ({kind.value}) and cannot be resumed",
        advice="Begin a new one; `penstock uploads clean` removes what may be left of this one.",
    )


def nothing_to_adopt(name: str) -> TransferError:
    return TransferError(
        f"no unfinished upload of {name} holds a part of this source", advice="Begin a new upload."
    )


def short_part(part: Part, sent_bytes: int) -> IncompleteUpload:
    return IncompleteUpload(
        f"{sent_bytes} bytes of part {part.number} were sent, expected {part.size_bytes}",
        advice="Resume the upload. If this comes again, please report it: it should not be possible.",
    )


def altered_part(name: str, number: int, expected: int, actual: int) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"OSS has other bytes in part {number} of {name} than were read here",
        expected=expected,
        actual=actual,
        advice="Something between here and OSS alters data, or memory is failing: check both.",
    )


def altered_object(name: str, expected: int, actual: int) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"{name} was made, and is not what was read here",
        expected=expected,
        actual=actual,
        advice="Do not use the object; upload it again. Nothing was deleted.",
    )


def source_changed(name: str, matching: list[PartStored], differing: list[int]) -> SourceChanged:
    return SourceChanged(
        f"the source of {name} is not what it was when the upload began: {len(matching)} of the stored parts "
        f"match it, {len(differing)} do not",
        advice="Resume with keep_matching=True to send only those that do not match, or cancel the upload.",
        matching_parts=tuple(part.number for part in matching),
        differing_parts=tuple(differing),
    )


def source_keeps_changing(name: str) -> SourceChanged:
    return SourceChanged(
        f"the source of {name} keeps changing while it is uploaded",
        advice="Upload a copy or a snapshot of it.",
    )


def target_changed(name: str) -> TargetChanged:
    return TargetChanged(
        f"somebody else wrote to {name} since this upload began; nothing was overwritten",
        advice="Look at the object; then cancel, or resume with protect_target=False to overwrite it.",
    )


def target_error(name: str, error: PenstockError, *, was_absent: bool) -> PenstockError:
    """`TargetChanged` if the key was free at the start and OSS now refuses to overwrite, else ``error``."""
    return target_changed(name) if was_absent and error.code == FILE_ALREADY_EXISTS else error


def upload_lost(name: str) -> UploadLost:
    return UploadLost(
        f"the upload of {name} is gone and the object is not ours: it expired, was cancelled elsewhere, or "
        "somebody wrote over it",
        advice="Look at the object. If it should be yours, begin a new upload.",
    )


def complete_without_effect(name: str, times: int) -> TransferError:
    return TransferError(
        f"Complete of {name} was sent {times} times and shows no effect",
        advice="All parts are stored: resume later.",
    )


def object_changed(name: str, before: str, now: str) -> SourceChanged:
    """An object that is read was written to since; the ETags tell."""
    return SourceChanged(
        f"{name} is not the object that this transfer began with: its ETag was {before or 'unknown'} and is "
        f"{now or 'another one'} now; nothing of the new one was mixed in",
        advice="Cancel this transfer and begin a new one.",
    )


def altered_file(path: str, name: str, expected: int, actual: int) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"what was fetched of {name} is not what OSS says it is; {path} was not touched",
        expected=expected,
        actual=actual,
        advice="Something between here and OSS alters data, or memory is failing: check both, then download "
        "it again.",
    )


def altered_copy(name: str, expected: int, actual: int) -> ChecksumMismatch:
    return ChecksumMismatch(
        f"the parts that OSS made for {name} are not what their source is; the object was not made",
        expected=expected,
        actual=actual,
        advice="Cancel this copy and begin a new one.",
    )


def file_changed(path: str) -> TargetChanged:
    return TargetChanged(
        f"what was fetched for {path} is gone, and the file there is not what was to be downloaded; it was "
        "not overwritten",
        advice="Look at the file. Cancel this download, and begin a new one if it is still wanted.",
    )


def short_range(part: Part, fetched_bytes: int) -> TransferError:
    return TransferError(
        f"{fetched_bytes} bytes of range {part.number} came, expected {part.size_bytes}",
        advice="Resume the download.",
    )


def not_discarded(path: str) -> TransferError:
    return TransferError(
        f"what was fetched for {path} could not be removed in time",
        advice="Check the disk, then cancel again.",
    )
