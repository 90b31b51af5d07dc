"""Calls of a multipart upload, one by one; `Client.upload` puts them together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Unpack

from penstock.client.calls.caller import Caller, compare_crc64
from penstock.client.calls.options import (
    Callback,
    ObjectOptions,
    callback_headers,
    check_acl,
    check_traffic_limit,
    checked,
)
from penstock.client.sending.body import Source, body_of
from penstock.client.sending.progress import OnSent
from penstock.errors import InvalidInput, NoSuchUpload
from penstock.protocol import limits, names
from penstock.protocol.operation import Result
from penstock.protocol.operations import multipart as wire
from penstock.protocol.operations.headers import StoredResult
from penstock.protocol.text import CopySource


class MultipartCalls(Caller):
    """Initiate, send parts, complete, abort and list."""

    def initiate_multipart_upload(
        self,
        bucket: str,
        key: str,
        *,
        sequential: bool = False,
        forbid_overwrite: bool | None = None,
        **options: Unpack[ObjectOptions],
    ) -> wire.InitiateMultipartUploadResult:
        """
        Begin an upload in parts and return its UploadId; an object of that key is not touched.

        Args:
            sequential: Parts must come in order; OSS then computes an MD5 of the whole.
            **options: What the object will be is fixed here.
        """
        request = wire.InitiateMultipartUpload(
            bucket=bucket,
            key=key,
            sequential=sequential,
            forbid_overwrite=forbid_overwrite,
            encoding_type="url",
            **checked(options, key),
        )
        return self._call(request, wire.InitiateMultipartUploadResult)

    def upload_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        body: Source,
        *,
        length: int | None = None,
        content_md5: str | None = None,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnSent | None = None,
    ) -> StoredResult:
        """
        Send one part; a part of the same number is replaced.

        Args:
            number: 1 to 10,000.
            body: As in `Client.put_object`: 100 KiB to 5 GiB, the last part may be smaller.

        Raises:
            NoSuchUpload: The upload was completed or cancelled. And as `Client.put_object`.
        """
        _check_number(number)
        check_traffic_limit(traffic_limit_bits_per_s)
        request = wire.UploadPart(
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            number=number,
            content_md5=content_md5,
            traffic_limit=traffic_limit_bits_per_s,
        )
        content = body_of(body, self._errands, length=length)
        if content.length is not None and content.length > limits.MAX_PART_BYTES:
            content.close()
            raise InvalidInput(f"{content.length:,} bytes are too many for a part: at most 5 GiB")
        result = self._store(request, StoredResult, content, progress)
        compare_crc64(content.crc64, result.crc64, f"UploadPart {number} of oss://{bucket}/{key}")
        return result

    def upload_part_copy(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        source_bucket: str,
        source_key: str,
        *,
        start: int | None = None,
        end: int | None = None,
        source_version_id: str | None = None,
        source_if_match: str | None = None,
        source_if_none_match: str | None = None,
        source_if_modified_since: datetime | None = None,
        source_if_unmodified_since: datetime | None = None,
        traffic_limit_bits_per_s: int | None = None,
    ) -> wire.UploadPartCopyResult:
        """
        Make one part of an object, or of its bytes from ``start`` to before ``end``, inside OSS.

        Raises:
            NoSuchUpload, NoSuchKey, PreconditionFailed, and as every call.
        """
        _check_number(number)
        names.check_bucket(source_bucket)
        names.check_key(source_key)
        check_traffic_limit(traffic_limit_bits_per_s)
        if (start is None) != (end is None) or (start is not None and end is not None and end <= start):
            raise InvalidInput("a range to copy needs start and end, and end is the byte after its last one")
        request = wire.UploadPartCopy(
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            number=number,
            source=CopySource(source_bucket, source_key, source_version_id),
            source_range=None if start is None or end is None else f"bytes={start}-{end - 1}",
            source_if_match=source_if_match,
            source_if_none_match=source_if_none_match,
            source_if_modified_since=source_if_modified_since,
            source_if_unmodified_since=source_if_unmodified_since,
            traffic_limit=traffic_limit_bits_per_s,
        )
        return self._call(request, wire.UploadPartCopyResult)

    def complete_multipart_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Iterable[tuple[int, str]] | None,
        *,
        acl: str | None = None,
        forbid_overwrite: bool | None = None,
        callback: Callback | None = None,
    ) -> wire.CompleteMultipartUploadResult:
        """
        Make the object of its parts. It is not sent again once OSS may have carried it out.

        Args:
            parts: Pairs of number and ETag, in any order; None takes all parts that OSS holds, which
                cannot notice one that is missing.

        Raises:
            NoSuchUpload: The upload was completed or cancelled. And as every call.
        """
        check_acl(acl)
        chosen = None
        if parts is not None:
            ordered = sorted(parts)
            if not ordered:
                raise InvalidInput(
                    "an object needs at least one part", advice="Send a part; it may be empty."
                )
            for number, _ in ordered:
                _check_number(number)
            chosen = wire.PartList(
                parts=tuple(wire.CompletedPart(number=number, etag=etag) for number, etag in ordered)
            )
        request = wire.CompleteMultipartUpload(
            bucket=bucket,
            key=key,
            upload_id=upload_id,
            body=chosen,
            complete_all="yes" if chosen is None else None,
            acl=acl,
            forbid_overwrite=forbid_overwrite,
            encoding_type="url",
            **callback_headers(callback),
        )
        return self._call(request, wire.CompleteMultipartUploadResult)

    def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> Result:
        """
        Make the UploadId invalid and remove its parts (cancel the upload, in the words of this library).

        Parts that are still arriving survive it: stop their senders first, as `Transfer.cancel` does.

        Raises:
            NoSuchUpload: There is none, and it cannot have been this call that removed it. And as every call.
        """
        request = wire.AbortMultipartUpload(bucket=bucket, key=key, upload_id=upload_id)
        try:
            return self._call(request, Result)
        except NoSuchUpload as error:
            # An attempt whose answer was lost has done it, or somebody else has: it is gone, as was asked.
            if error.in_doubt:
                return Result()
            raise

    def list_parts(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        *,
        number_marker: int | None = None,
        max_parts: int | None = None,
    ) -> wire.ListPartsResult:
        """One page of the parts that OSS holds; `iter_parts` goes through all pages."""
        return self._call(
            wire.ListParts(
                bucket=bucket,
                key=key,
                upload_id=upload_id,
                number_marker=number_marker,
                max_parts=max_parts,
                encoding_type="url",
            ),
            wire.ListPartsResult,
        )

    def iter_parts(self, bucket: str, key: str, upload_id: str) -> Iterator[wire.ListedPart]:
        """All parts that OSS holds, numbers ascending; pages are asked for as needed."""
        marker: int | None = None
        while True:
            page = self.list_parts(
                bucket, key, upload_id, number_marker=marker, max_parts=limits.MAX_LIST_PARTS
            )
            yield from page.parts
            if not page.is_truncated:
                return
            marker = page.next_number_marker

    def list_multipart_uploads(
        self,
        bucket: str,
        *,
        prefix: str | None = None,
        delimiter: str | None = None,
        key_marker: str | None = None,
        upload_id_marker: str | None = None,
        max_uploads: int | None = None,
    ) -> wire.ListMultipartUploadsResult:
        """One page of the uploads that are open; `iter_multipart_uploads` goes through all pages."""
        return self._call(
            wire.ListMultipartUploads(
                bucket=bucket,
                prefix=prefix,
                delimiter=delimiter,
                key_marker=key_marker,
                upload_id_marker=upload_id_marker,
                max_uploads=max_uploads,
                encoding_type="url",
            ),
            wire.ListMultipartUploadsResult,
        )

    def iter_multipart_uploads(
        self, bucket: str, *, prefix: str | None = None
    ) -> Iterator[wire.ListedUpload]:
        """All uploads that are open, by key and then UploadId; pages are asked for as needed."""
        key_marker: str | None = None
        upload_id_marker: str | None = None
        while True:
            page = self.list_multipart_uploads(
                bucket,
                prefix=prefix,
                key_marker=key_marker,
                upload_id_marker=upload_id_marker,
                max_uploads=limits.MAX_LIST_UPLOADS,
            )
            yield from page.uploads
            if not page.is_truncated:
                return
            key_marker, upload_id_marker = page.next_key_marker, page.next_upload_id_marker


def _check_number(number: int) -> None:
    if not limits.MIN_PART_NUMBER <= number <= limits.MAX_PART_NUMBER:
        raise InvalidInput(
            f"a part number of {number} cannot be", advice="OSS numbers parts from 1 to 10,000."
        )
