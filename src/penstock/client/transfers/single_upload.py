"""An upload small enough for one request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from penstock.client.sending.requester import Requester
from penstock.client.transfers.part_source import PartSource
from penstock.client.transfers.single_request import SingleRequest
from penstock.client.transfers.upload_calls import OWNERSHIP_METADATA
from penstock.errors import ChecksumMismatch
from penstock.net.latch import Latch
from penstock.protocol.operations.objects import PutObject, PutObjectResult
from penstock.protocol.urls import OssUrl
from penstock.transfer.journal import TransferKind
from penstock.transfer.outcome import Stored
from penstock.transfer.progress import Progress
from penstock.transfer.resolve import Proof


class SingleUpload(SingleRequest):
    """Sends a whole source with one PutObject."""

    def __init__(
        self,
        requester: Requester,
        source: PartSource,
        url: OssUrl,
        fields: dict[str, Any],
        ownership_token: str,
        latch: Latch,
        *,
        forbid_overwrite: bool,
        traffic_limit_bits_per_s: int | None,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(requester, url, source.total_bytes, latch, TransferKind.UPLOAD, on_progress)
        self._source = source
        self._crc64: int | None = None
        self._ownership_token = ownership_token
        metadata = {**fields.pop("metadata", {}), OWNERSHIP_METADATA: ownership_token}
        self._request = PutObject(
            bucket=url.bucket,
            key=url.key,
            metadata=metadata,
            forbid_overwrite=forbid_overwrite or None,
            traffic_limit=traffic_limit_bits_per_s,
            **fields,
        )

    def _send(self, latch: Latch) -> Stored:
        body = self._source.part(0, self._total_bytes)

        def sent(so_far: int) -> None:
            if so_far == self._total_bytes:
                # Taken now: a further attempt may break off, and its own would be that of a beginning.
                self._crc64 = body.crc64
            self._note_sent(so_far)

        stored = self._requester.call(self._request, PutObjectResult, body, on_sent=sent, latch=latch)
        if stored.crc64 is not None and stored.crc64 != body.crc64:
            raise ChecksumMismatch(
                f"{self._url} was stored, but not as it was sent",
                expected=body.crc64,
                actual=stored.crc64,
                advice="The bytes were damaged on the way. Upload it again.",
            )
        return Stored(
            etag=stored.etag or "",
            crc64=body.crc64,
            size_bytes=self._total_bytes,
            version_id=stored.version_id or "",
        )

    def _proof(self) -> Proof:
        return Proof(
            ownership_token=self._ownership_token,
            total_bytes=self._total_bytes,
            crc64=self._crc64,
            started_at=0,
        )

    def _let_go(self) -> None:
        self._source.close()
