"""The requests of a copy in parts: those of an upload, whose parts OSS makes itself."""

from __future__ import annotations

from collections.abc import Callable

from penstock.client.sending.body import Body
from penstock.client.sending.requester import Requester
from penstock.client.transfers.object_parts import ObjectParts
from penstock.client.transfers.upload_calls import UploadCalls, is_final, is_unanswered
from penstock.errors import (
    MalformedResponse,
    NoSuchUpload,
    NotFound,
    PenstockError,
    PreconditionFailed,
    SourceChanged,
)
from penstock.net.latch import Latch
from penstock.protocol.operations import multipart as wire
from penstock.protocol.text import CopySource
from penstock.transfer import commands as do
from penstock.transfer import events as on


class CopyCalls(UploadCalls):
    """
    Carries out the commands of a copy that need OSS.

    Args:
        requester: Carries out calls.
        bucket: Where the copy goes.
        key: Where the copy goes.
        source: What is copied.
        traffic_limit_bits_per_s: Speed that OSS allows each part.
    """

    def __init__(
        self,
        requester: Requester,
        bucket: str,
        key: str,
        source: ObjectParts,
        *,
        traffic_limit_bits_per_s: int | None = None,
    ) -> None:
        super().__init__(requester, bucket, key, traffic_limit_bits_per_s=traffic_limit_bits_per_s)
        self._source = source

    def send_part(
        self, command: do.SendPart, body: Body, latch: Latch, on_sent: Callable[[int], None]
    ) -> on.Event:
        """What comes of having OSS make a part; the body is not read."""
        try:
            made = self._copy_part(command, latch)
        except PenstockError as error:
            return on.PartFailed(
                number=command.number,
                error=error,
                is_final=is_final(error),
                sent_bytes=command.size_bytes if is_unanswered(error) else 0,
            )
        etag, crc64 = made
        return on.PartSent(
            number=command.number,
            size_bytes=command.size_bytes,
            crc64=crc64,
            etag=etag,
            stored_crc64=crc64,
        )

    def _copy_part(self, command: do.SendPart, latch: Latch) -> tuple[str, int]:
        source = self._source
        request = wire.UploadPartCopy(
            bucket=self._bucket,
            key=self._key,
            upload_id=command.upload_id,
            number=command.number,
            source=CopySource(source.url.bucket, source.url.key, source.version_id or None),
            source_range=f"bytes={command.offset}-{command.offset + command.size_bytes - 1}",
            source_if_match=f'"{source.found.etag}"',
            traffic_limit=self._traffic_limit,
        )
        try:
            made = self._requester.call(request, wire.UploadPartCopyResult, latch=latch)
        except NoSuchUpload:
            raise
        except (PreconditionFailed, NotFound) as error:
            raise SourceChanged(
                f"{source.url} was written to, or removed, while it was copied: {error.code}",
                advice="Cancel this copy and begin a new one.",
            ) from error
        crc64 = made.crc64 if made.crc64 is not None else self._listed_crc64(command, latch)
        return made.etag, crc64

    def _listed_crc64(self, command: do.SendPart, latch: Latch) -> int:
        """The CRC-64 of a part, where the answer that made it does not say."""
        page = self._parts_page(command.upload_id, command.number - 1, latch, max_parts=1)
        for part in page.parts:
            if part.number == command.number and part.crc64 is not None:
                return part.crc64
        raise MalformedResponse(
            f"OSS tells no CRC-64 of part {command.number} of oss://{self._bucket}/{self._key}, so that "
            "the copy could not be compared with its source",
            request_sent=True,
            advice="Copy it in a single request, or check that the endpoint is OSS.",
        )
