"""The requests of an upload: commands in, events out, errors told and never raised."""

from __future__ import annotations

from collections.abc import Callable

from penstock.client.sending.body import Body
from penstock.client.sending.requester import Requester
from penstock.errors import (
    Aborted,
    ChecksumMismatch,
    NetworkError,
    NoSuchUpload,
    NotFound,
    PenstockError,
    ServiceError,
    SourceError,
)
from penstock.net.latch import Latch
from penstock.protocol import limits
from penstock.protocol.error_table import retryable
from penstock.protocol.operation import Result
from penstock.protocol.operations import multipart as wire
from penstock.protocol.operations.headers import ObjectDescription, StoredResult
from penstock.protocol.operations.objects import HeadObject
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.journal import TargetState

OWNERSHIP_METADATA = "penstock-upload"
"""User metadata that holds the random token by which an object is known to be ours."""


class UploadCalls:
    """
    Carries out the commands of an upload of one key that need OSS.

    Args:
        requester: Carries out calls.
        bucket: Of the upload.
        key: Of the upload.
        options: Fields of the requests that begin and complete the upload.
        traffic_limit_bits_per_s: Speed that OSS allows each part.
    """

    def __init__(
        self,
        requester: Requester,
        bucket: str,
        key: str,
        *,
        traffic_limit_bits_per_s: int | None = None,
    ) -> None:
        self._requester = requester
        self._bucket = bucket
        self._key = key
        self._traffic_limit = traffic_limit_bits_per_s

    def answer(self, command: do.Command, latch: Latch) -> on.Event:
        """What comes of a command that needs no source."""
        match command:
            case do.InspectTarget():
                return self._inspect_target(latch)
            case do.FindUploads():
                return self._find_uploads(latch)
            case do.Initiate():
                return self._initiate(command, latch)
            case do.ListParts():
                return self._list_parts(command, latch)
            case do.Complete():
                return self._complete(command, latch)
            case do.AbortUpload():
                return self._abort_upload(command, latch)
            case do.ConfirmGone():
                return self._confirm_gone(command, latch)
        raise AssertionError(f"{type(command).__name__} is not a call")

    def send_part(
        self, command: do.SendPart, body: Body, latch: Latch, on_sent: Callable[[int], None]
    ) -> on.Event:
        """What comes of sending a part."""
        request = wire.UploadPart(
            bucket=self._bucket,
            key=self._key,
            upload_id=command.upload_id,
            number=command.number,
            traffic_limit=self._traffic_limit,
        )
        sent = 0

        def note(so_far: int) -> None:
            nonlocal sent
            sent = max(sent, so_far)
            on_sent(so_far)

        try:
            stored = self._requester.call(request, StoredResult, body, on_sent=note, latch=latch)
        except PenstockError as error:
            return on.PartFailed(
                number=command.number,
                error=error,
                is_final=is_final(error),
                sent_bytes=sent if is_unanswered(error) else 0,
            )
        return on.PartSent(
            number=command.number,
            size_bytes=command.size_bytes,
            crc64=body.crc64,
            etag=stored.etag or "",
            stored_crc64=stored.crc64,
        )

    def stopped(self, reason: str) -> Aborted:
        """The error of work that was stopped before it asked anything."""
        return Aborted(
            f"the upload of oss://{self._bucket}/{self._key} was stopped ({reason})", reason=reason
        )

    def _inspect_target(self, latch: Latch) -> on.Event:
        request = HeadObject(bucket=self._bucket, key=self._key)
        try:
            found = self._requester.call(request, ObjectDescription, latch=latch)
        except NotFound as error:
            if error.code == "NoSuchBucket":
                return on.InspectTargetFailed(error=error)
            return on.TargetInspected(target=None, server_time=self._requester.signer.now())
        except PenstockError as error:
            return on.InspectTargetFailed(error=error)
        return on.TargetInspected(target=target_state(found), server_time=self._requester.signer.now())

    def _find_uploads(self, latch: Latch) -> on.Event:
        uploads: list[on.FoundUpload] = []
        key_marker: str | None = None
        id_marker: str | None = None
        while True:
            request = wire.ListMultipartUploads(
                bucket=self._bucket,
                prefix=self._key,
                key_marker=key_marker,
                upload_id_marker=id_marker,
                max_uploads=limits.MAX_LIST_UPLOADS,
                encoding_type="url",
            )
            try:
                page = self._requester.call(request, wire.ListMultipartUploadsResult, latch=latch)
            except PenstockError as error:
                return on.FindUploadsFailed(error=error)
            uploads.extend(
                on.FoundUpload(
                    upload_id=upload.upload_id,
                    initiated_at=int(upload.initiated.timestamp()) if upload.initiated else 0,
                )
                for upload in page.uploads
                if upload.key == self._key
            )
            # Keys come in order, so the ones that merely begin like ours follow all of ours.
            if not page.is_truncated or (page.next_key_marker or "") > self._key:
                return on.UploadsFound(uploads=tuple(uploads))
            key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker

    def _initiate(self, command: do.Initiate, latch: Latch) -> on.Event:
        options = command.options
        metadata = dict(options.metadata)
        if options.ownership_token:
            metadata[OWNERSHIP_METADATA] = options.ownership_token
        request = wire.InitiateMultipartUpload(
            bucket=self._bucket,
            key=self._key,
            content_type=options.content_type,
            metadata=metadata,
            forbid_overwrite=command.forbid_overwrite or None,
            encoding_type="url",
        )
        try:
            begun = self._requester.call(
                request, wire.InitiateMultipartUploadResult, headers=options.headers, latch=latch
            )
        except PenstockError as error:
            return on.InitiateFailed(error=error, request_sent=is_unanswered(error))
        return on.UploadInitiated(upload_id=begun.upload_id)

    def _list_parts(self, command: do.ListParts, latch: Latch) -> on.Event:
        try:
            page = self._parts_page(command.upload_id, command.after, latch)
        except PenstockError as error:
            return on.ListPartsFailed(error=error)
        parts = tuple(
            on.ListedPart(number=part.number, size_bytes=part.size_bytes, etag=part.etag, crc64=part.crc64)
            for part in page.parts
        )
        return on.PartsListed(parts=parts, final=not page.is_truncated)

    def _parts_page(
        self, upload_id: str, after: int, latch: Latch, max_parts: int = limits.MAX_LIST_PARTS
    ) -> wire.ListPartsResult:
        request = wire.ListParts(
            bucket=self._bucket,
            key=self._key,
            upload_id=upload_id,
            number_marker=after or None,
            max_parts=max_parts,
            encoding_type="url",
        )
        return self._requester.call(request, wire.ListPartsResult, latch=latch)

    def _complete(self, command: do.Complete, latch: Latch) -> on.Event:
        parts = tuple(wire.CompletedPart(number=part.number, etag=part.etag) for part in command.parts)
        request = wire.CompleteMultipartUpload(
            bucket=self._bucket,
            key=self._key,
            upload_id=command.upload_id,
            body=wire.PartList(parts=parts),
            forbid_overwrite=command.forbid_overwrite or None,
            encoding_type="url",
        )
        try:
            made = self._requester.call(request, wire.CompleteMultipartUploadResult, latch=latch)
        except ServiceError as error:
            return on.CompleteFailed(error=error)
        except PenstockError as error:
            return on.CompleteUnanswered(error=error, request_sent=is_unanswered(error))
        return on.CompleteSucceeded(etag=made.etag or "", crc64=made.crc64, version_id=made.version_id or "")

    def _abort_upload(self, command: do.AbortUpload, latch: Latch) -> on.Event:
        request = wire.AbortMultipartUpload(bucket=self._bucket, key=self._key, upload_id=command.upload_id)
        try:
            self._requester.call(request, Result, latch=latch)
        except PenstockError as error:
            # NoSuchUpload too: an upload that was completed in the meantime is not one that was aborted.
            return on.AbortUploadFailed(error=error)
        return on.UploadAborted()

    def _confirm_gone(self, command: do.ConfirmGone, latch: Latch) -> on.Event:
        try:
            page = self._parts_page(command.upload_id, 0, latch)
        except NoSuchUpload:
            return on.CancelConfirmed()
        except PenstockError as error:
            return on.ConfirmGoneFailed(error=error)
        return on.UploadStillListed(part_count=len(page.parts))


def target_state(found: ObjectDescription) -> TargetState:
    """An object as HeadObject described it."""
    return TargetState(
        etag=found.etag or "",
        size_bytes=found.content_bytes or 0,
        modified_at=int(found.last_modified.timestamp()) if found.last_modified else 0,
        crc64=found.crc64,
        ownership_token=found.metadata.get(OWNERSHIP_METADATA, ""),
        version_id=found.version_id or "",
    )


def is_unanswered(error: PenstockError) -> bool:
    """True if OSS may have acted on the request."""
    if isinstance(error, Aborted):
        return error.committed == "unknown"
    return isinstance(error, NetworkError) and error.request_sent


def is_final(error: PenstockError) -> bool:
    """True if sending the same part again cannot help."""
    match error:
        case SourceError():
            return True
        case ServiceError():
            return not retryable(error.status, error.code)
        case ChecksumMismatch() | NetworkError():
            return False
        case _:
            return not isinstance(error, Aborted)
