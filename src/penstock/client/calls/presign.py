"""URLs that anybody may use until they expire."""

from __future__ import annotations

import msgspec

from penstock.client.calls.caller import Caller
from penstock.errors import InvalidInput
from penstock.protocol import names
from penstock.protocol.operation import ObjectRequest
from penstock.protocol.operations import OPERATIONS
from penstock.protocol.operations.objects import GetObject, HeadObject, PutObject

MAX_EXPIRES_S = 7 * 24 * 3600
"""OSS refuses a V4 URL that is good for longer."""


class PresignedUrl(msgspec.Struct, frozen=True):
    """A URL, and the headers that have to be sent with it as they were signed."""

    url: str
    method: str
    headers: dict[str, str]
    expires_at: int


class PresignCalls(Caller):
    """Pre-signed URLs."""

    def presign_get(
        self,
        bucket: str,
        key: str,
        *,
        expires_s: int = 900,
        version_id: str | None = None,
        response_content_type: str | None = None,
        response_content_disposition: str | None = None,
    ) -> PresignedUrl:
        """
        A URL to read an object. Nothing is sent.

        Args:
            expires_s: Seconds that it is good for, 1 to 604,800.
            response_content_type, response_content_disposition: What readers are told.

        Raises:
            InvalidInput: A name or the time cannot be, or the client is anonymous.
        """
        request = GetObject(
            bucket=bucket,
            key=key,
            version_id=version_id,
            response_content_type=response_content_type,
            response_content_disposition=response_content_disposition,
        )
        return self._presigned(request, expires_s)

    def presign_head(self, bucket: str, key: str, *, expires_s: int = 900) -> PresignedUrl:
        """A URL to ask what an object is. See `presign_get`."""
        return self._presigned(HeadObject(bucket=bucket, key=key), expires_s)

    def presign_put(
        self,
        bucket: str,
        key: str,
        *,
        expires_s: int = 900,
        content_type: str | None = None,
        content_md5: str | None = None,
        forbid_overwrite: bool | None = None,
        metadata: dict[str, str] | None = None,
    ) -> PresignedUrl:
        """A URL to make an object; whoever uses it must send ``headers`` too. See `presign_get`."""
        names.check_metadata(metadata or {})
        request = PutObject(
            bucket=bucket,
            key=key,
            content_type=content_type,
            content_md5=content_md5,
            forbid_overwrite=forbid_overwrite,
            metadata=metadata or {},
        )
        return self._presigned(request, expires_s)

    def _presigned(self, request: ObjectRequest, expires_s: int) -> PresignedUrl:
        names.check_bucket(request.bucket)
        names.check_key(request.key)
        if not 1 <= expires_s <= MAX_EXPIRES_S:
            raise InvalidInput(
                f"a URL cannot be good for {expires_s:,} s",
                advice=f"Give 1 to {MAX_EXPIRES_S:,} seconds (7 days).",
            )
        operation = OPERATIONS.of(request)
        signer = self._requester.signer
        with self._requester.latch() as latch:
            url, headers = signer.presigned_url(operation, request, expires_s, latch)
        return PresignedUrl(url, operation.method, headers, signer.now() + expires_s)
