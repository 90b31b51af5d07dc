"""A copy small enough for one request."""

from __future__ import annotations

from collections.abc import Callable

from penstock.client.sending.requester import Requester
from penstock.client.transfers.object_parts import ObjectParts
from penstock.client.transfers.single_request import SingleRequest
from penstock.errors import ChecksumMismatch, PreconditionFailed, SourceChanged
from penstock.net.latch import Latch
from penstock.protocol.operations.objects import CopyObject, CopyObjectResult
from penstock.protocol.urls import OssUrl
from penstock.transfer.journal import TransferKind
from penstock.transfer.outcome import Stored
from penstock.transfer.progress import Progress
from penstock.transfer.resolve import Proof
from penstock.transfer.search import CLOCK_SLACK_S


class SingleCopy(SingleRequest):
    """
    Has OSS copy a whole object with one CopyObject.

    The copy takes over the metadata of its source, so no token of ours is in it: what proves it is its
    CRC-64 and its age.
    """

    def __init__(
        self,
        requester: Requester,
        source: ObjectParts,
        url: OssUrl,
        request: CopyObject,
        latch: Latch,
        *,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        super().__init__(requester, url, source.total_bytes, latch, TransferKind.COPY, on_progress)
        self._source = source
        self._request = request
        self._started_at = requester.signer.now()

    def _send(self, latch: Latch) -> Stored:
        try:
            made = self._requester.call(self._request, CopyObjectResult, latch=latch)
        except PreconditionFailed as error:
            raise SourceChanged(
                f"{self._source.url} was written to while it was copied; nothing was made",
                advice="Copy it again.",
            ) from error
        expected = self._source.found.crc64
        if None not in (expected, made.crc64) and expected != made.crc64:
            raise ChecksumMismatch(
                f"{self._url} was made, and is not what {self._source.url} is",
                expected=expected or 0,
                actual=made.crc64 or 0,
                advice="Do not use the copy; make it again.",
            )
        return Stored(
            etag=made.etag or "",
            crc64=made.crc64 if made.crc64 is not None else expected or 0,
            size_bytes=self._total_bytes,
            version_id=made.version_id or "",
        )

    def _proof(self) -> Proof:
        return Proof(
            ownership_token="",
            total_bytes=self._total_bytes,
            crc64=self._source.found.crc64,
            started_at=self._started_at - CLOCK_SLACK_S,
        )

    def _let_go(self) -> None:
        self._source.close()
