"""Calls about objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Unpack

from penstock.client.calls.caller import Caller, compare_crc64
from penstock.client.calls.object_body import ObjectBody
from penstock.client.calls.options import (
    Callback,
    ObjectOptions,
    byte_range,
    callback_headers,
    check_traffic_limit,
    checked,
)
from penstock.client.sending.body import Body, Source, body_of
from penstock.client.sending.progress import OnSent
from penstock.errors import InvalidInput, NoSuchBucket, NotFound
from penstock.files.target import DownloadTarget
from penstock.net.response import HttpResponse
from penstock.protocol import limits, names
from penstock.protocol.crc64 import combine
from penstock.protocol.operations import objects as wire
from penstock.protocol.operations.headers import ObjectDescription
from penstock.protocol.text import CopySource


class ObjectCalls(Caller):
    """Put, append, get, head, copy and delete."""

    def put_object(
        self,
        bucket: str,
        key: str,
        body: Source,
        *,
        length: int | None = None,
        content_md5: str | None = None,
        forbid_overwrite: bool | None = None,
        traffic_limit_bits_per_s: int | None = None,
        callback: Callback | None = None,
        progress: OnSent | None = None,
        **options: Unpack[ObjectOptions],
    ) -> wire.PutObjectResult:
        """
        Make an object of ``body``, at most 5 GiB; it appears whole or not at all. `Client.upload` takes more.

        Args:
            bucket: Its name.
            key: Its name.
            body: Bytes; a path (text is a path, never content); a file open for reading bytes; an iterable
                of bytes.
            length: Bytes that a stream or iterable will give, if known; without it the body is sent in
                chunks.
            content_md5: Base64 of the MD5, for OSS to check.
            forbid_overwrite: True refuses to replace an object (409 FileAlreadyExists).
            traffic_limit_bits_per_s: Speed that OSS allows this request.
            callback: What OSS asks your server afterwards; the answer is ``callback_body``.
            progress: Called with bytes sent and bytes in all; it may abort.
            **options: See `ObjectOptions`.

        Returns:
            ETag, CRC-64 and version. The CRC-64 of the bytes sent was compared with OSS's.

        Raises:
            InvalidInput, SourceError: Nothing was stored.
            Aborted: It was stopped; see ``committed``.
            ChecksumMismatch: OSS stored something else than was sent.
            NetworkError, ServiceError: It failed.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        request = wire.PutObject(
            bucket=bucket,
            key=key,
            content_md5=content_md5,
            forbid_overwrite=forbid_overwrite,
            traffic_limit=traffic_limit_bits_per_s,
            **callback_headers(callback),
            **checked(options, key),
        )
        content = body_of(body, self._errands, length=length)
        _check_size(content, "a single PutObject", "Use client.upload, which sends parts.")
        result = self._store(request, wire.PutObjectResult, content, progress)
        compare_crc64(content.crc64, result.crc64, f"PutObject oss://{bucket}/{key}")
        return result

    def append_object(
        self,
        bucket: str,
        key: str,
        position: int,
        body: Source,
        *,
        length: int | None = None,
        crc64_before: int | None = None,
        content_md5: str | None = None,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnSent | None = None,
        **options: Unpack[ObjectOptions],
    ) -> wire.AppendObjectResult:
        """
        Add bytes to the end of an appendable object; the first call, at position 0, makes it.

        Args:
            position: Length of the object so far; OSS refuses any other (409 PositionNotEqualToLength).
            crc64_before: CRC-64 of the object so far, as the last call returned it; with it the whole
                object is checked. Known without asking at position 0.
            options: Only the first call's count.

        Returns:
            ``next_position`` is where to go on.

        Raises:
            As `put_object`. An append is not sent again once OSS may have carried it out.
        """
        if position < 0:
            raise InvalidInput(f"an append position of {position} cannot be")
        check_traffic_limit(traffic_limit_bits_per_s)
        request = wire.AppendObject(
            bucket=bucket,
            key=key,
            position=position,
            content_md5=content_md5,
            traffic_limit=traffic_limit_bits_per_s,
            **checked(options, key),
        )
        content = body_of(body, self._errands, length=length)
        _check_size(content, "AppendObject", "Append in smaller pieces.")
        result = self._store(request, wire.AppendObjectResult, content, progress)
        before = 0 if position == 0 else crc64_before
        if before is not None and content.length is not None:
            whole = combine(before, content.crc64, content.length)
            compare_crc64(whole, result.crc64, f"AppendObject oss://{bucket}/{key}")
        return result

    def get_object(
        self,
        bucket: str,
        key: str,
        *,
        start: int | None = None,
        end: int | None = None,
        last_bytes: int | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        if_modified_since: datetime | None = None,
        if_unmodified_since: datetime | None = None,
        version_id: str | None = None,
        traffic_limit_bits_per_s: int | None = None,
        process: str | None = None,
        response_headers: Mapping[str, str] | None = None,
    ) -> ObjectBody:
        """
        Read an object, or a range of it.

        Args:
            start: First byte wanted, from 0.
            end: Byte after the last one wanted; None for the end.
            last_bytes: Instead of both: only so many bytes from the end.
            if_match, if_none_match: ETags. if_modified_since, if_unmodified_since: aware datetimes.
            process: Image processing and the like.
            response_headers: Headers that OSS shall answer instead of the object's own, such as
                ``{"content-type": "text/plain"}``.

        Returns:
            A body to read, open until it is closed or read to its end.

        Raises:
            NoSuchKey, NotModified, PreconditionFailed, and as every call.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        range_ = _range(start, end, last_bytes)
        request = wire.GetObject(
            bucket=bucket,
            key=key,
            range=range_,
            # Without it OSS answers a range it cannot serve with the whole object.
            range_behavior="standard" if range_ else None,
            if_match=if_match,
            if_none_match=if_none_match,
            if_modified_since=if_modified_since,
            if_unmodified_since=if_unmodified_since,
            version_id=version_id,
            traffic_limit=traffic_limit_bits_per_s,
            # An answer packed by a proxy has neither the length nor the CRC-64 of the object.
            accept_encoding="identity",
            process=process,
            **_overrides(response_headers),
        )
        latch = self._requester.latch()
        try:
            response, description = self._requester.open(request, ObjectDescription, latch)
        except BaseException:
            latch.close()
            raise
        first = start or 0
        etag = description.etag

        def reopen(position: int) -> HttpResponse:
            last = "" if end is None else str(end - 1)
            again = wire.GetObject(
                bucket=bucket,
                key=key,
                range=f"bytes={first + position}-{last}",
                range_behavior="standard",
                if_match=f'"{etag}"',
                version_id=version_id,
                accept_encoding="identity",
            )
            return self._requester.open(again, ObjectDescription, latch)[0]

        can_reopen = etag is not None and last_bytes is None and process is None
        return ObjectBody(
            response,
            description,
            latch,
            resource=f"oss://{bucket}/{key}",
            whole=range_ is None and process is None and response.status == 200,
            reopen=reopen if can_reopen else None,
        )

    def head_object(
        self,
        bucket: str,
        key: str,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        if_modified_since: datetime | None = None,
        if_unmodified_since: datetime | None = None,
        version_id: str | None = None,
    ) -> ObjectDescription:
        """Ask what an object is. Raises NoSuchKey if there is none."""
        return self._call(
            wire.HeadObject(
                bucket=bucket,
                key=key,
                if_match=if_match,
                if_none_match=if_none_match,
                if_modified_since=if_modified_since,
                if_unmodified_since=if_unmodified_since,
                version_id=version_id,
            ),
            ObjectDescription,
        )

    def get_object_meta(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectDescription:
        """Ask for length, ETag and time only, which is cheaper. Raises NoSuchKey if there is none."""
        return self._call(
            wire.GetObjectMeta(bucket=bucket, key=key, version_id=version_id), ObjectDescription
        )

    def object_exists(self, bucket: str, key: str) -> bool:
        """True if there is such an object. Raises NoSuchBucket if there is no such bucket."""
        try:
            self.get_object_meta(bucket, key)
        except NoSuchBucket:
            raise
        except NotFound:
            return False
        return True

    def delete_object(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> wire.DeleteObjectResult:
        """Remove an object; removing what is not there is a success too."""
        return self._call(
            wire.DeleteObject(bucket=bucket, key=key, version_id=version_id), wire.DeleteObjectResult
        )

    def delete_multiple_objects(
        self, bucket: str, keys: Iterable[str | tuple[str, str]], *, quiet: bool = False
    ) -> wire.DeleteMultipleObjectsResult:
        """
        Remove up to 1,000 objects in one call.

        Args:
            keys: Keys, or pairs of key and version id.
            quiet: True answers with no list.
        """
        wanted = tuple(
            wire.ObjectToDelete(key=item)
            if isinstance(item, str)
            else wire.ObjectToDelete(key=item[0], version_id=item[1])
            for item in keys
        )
        if not 1 <= len(wanted) <= limits.MAX_DELETE_KEYS:
            raise InvalidInput(
                f"{len(wanted):,} objects cannot be removed in one call",
                advice=f"Name 1 to {limits.MAX_DELETE_KEYS:,} of them.",
            )
        for one in wanted:
            names.check_key(one.key)
        body = wire.DeletionList(quiet=quiet, objects=wanted)
        return self._call(
            wire.DeleteMultipleObjects(bucket=bucket, body=body, encoding_type="url"),
            wire.DeleteMultipleObjectsResult,
        )

    def copy_object(
        self,
        bucket: str,
        key: str,
        source_bucket: str,
        source_key: str,
        *,
        source_version_id: str | None = None,
        replace_metadata: bool = False,
        replace_tags: bool = False,
        source_if_match: str | None = None,
        source_if_none_match: str | None = None,
        source_if_modified_since: datetime | None = None,
        source_if_unmodified_since: datetime | None = None,
        forbid_overwrite: bool | None = None,
        traffic_limit_bits_per_s: int | None = None,
        **options: Unpack[ObjectOptions],
    ) -> wire.CopyObjectResult:
        """
        Make ``bucket/key`` of ``source_bucket/source_key``, inside OSS. At most 5 GiB.

        Args:
            replace_metadata: True takes content headers and metadata from ``options`` instead of the source.
            replace_tags: True takes ``tags`` from ``options`` instead of the source.
        """
        names.check_bucket(source_bucket)
        names.check_key(source_key)
        check_traffic_limit(traffic_limit_bits_per_s)
        fields = checked(options, key)
        if not replace_metadata and "content_type" not in options:
            del fields["content_type"]
        return self._call(
            wire.CopyObject(
                bucket=bucket,
                key=key,
                source=CopySource(source_bucket, source_key, source_version_id),
                metadata_directive="REPLACE" if replace_metadata else None,
                tagging_directive="Replace" if replace_tags else None,
                source_if_match=source_if_match,
                source_if_none_match=source_if_none_match,
                source_if_modified_since=source_if_modified_since,
                source_if_unmodified_since=source_if_unmodified_since,
                forbid_overwrite=forbid_overwrite,
                traffic_limit=traffic_limit_bits_per_s,
                **fields,
            ),
            wire.CopyObjectResult,
        )

    def get_object_to_file(self, bucket: str, key: str, path: str | Path) -> ObjectDescription:
        """
        Read a whole object into a file, which appears only when it is complete and its CRC-64 was compared.

        Raises:
            SourceUnreadable: The file cannot be written. And as `get_object`.
        """
        with DownloadTarget.create(Path(path)) as target, self.get_object(bucket, key) as body:
            position = 0
            for chunk in body:
                target.write_at(position, chunk)
                position += len(chunk)
            target.commit()
            return body.description


def _range(start: int | None, end: int | None, last_bytes: int | None) -> str | None:
    if last_bytes is not None:
        if start is not None or end is not None or last_bytes < 1:
            raise InvalidInput("last_bytes is at least 1 and goes without start and end")
        return f"bytes=-{last_bytes}"
    return byte_range(start, end)


_OVERRIDES = {
    "content-type": "response_content_type",
    "content-language": "response_content_language",
    "expires": "response_expires",
    "cache-control": "response_cache_control",
    "content-disposition": "response_content_disposition",
    "content-encoding": "response_content_encoding",
}


def _overrides(headers: Mapping[str, str] | None) -> dict[str, Any]:
    fields = {}
    for name, text in (headers or {}).items():
        field = _OVERRIDES.get(name.lower())
        if field is None:
            raise InvalidInput(
                f"OSS does not override the header {name!r}", advice=f"It overrides {', '.join(_OVERRIDES)}."
            )
        fields[field] = text
    return fields


def _check_size(body: Body, what: str, advice: str) -> None:
    if body.length is not None and body.length > limits.MAX_SINGLE_PUT_BYTES:
        body.close()
        raise InvalidInput(f"{body.length:,} bytes are too many for {what}: at most 5 GiB", advice=advice)
