"""Copies inside OSS, of any size; those in parts are journaled, and can be gone on with."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from typing import Any, Unpack

import msgspec

from penstock.client.calls.options import ObjectOptions, check_traffic_limit, checked
from penstock.client.running.transfer import Transfer
from penstock.client.sending.requester import Requester
from penstock.client.transfers.copy_calls import CopyCalls
from penstock.client.transfers.driver import Journal
from penstock.client.transfers.object_parts import ObjectParts
from penstock.client.transfers.single_copy import SingleCopy
from penstock.client.transfers.upload_calls import OWNERSHIP_METADATA
from penstock.client.transfers.upload_driver import UploadDriver
from penstock.client.transfers.upload_job import begun_job, journaled_options
from penstock.client.transfers.uploads import OnProgress, ResumeOptions, UploadTransfers
from penstock.errors import InvalidInput
from penstock.files.journal_file import JournalFile
from penstock.protocol.limits import GIB, MAX_SINGLE_COPY_BYTES
from penstock.protocol.operations.objects import CopyObject
from penstock.protocol.operations.settings import GetObjectTagging, Tagging
from penstock.protocol.text import CopySource
from penstock.protocol.urls import OssUrl, parse_url
from penstock.transfer.copy import CopyMachine, copy_plan
from penstock.transfer.job import (
    Beginning,
    Fresh,
    FromJournal,
    FromToken,
    UploadJob,
    UploadSettings,
)
from penstock.transfer.journal import TransferKind
from penstock.transfer.plan import suggested_parallel

SINGLE_COPY_BYTES = GIB
"""Up to this size an object is copied in a single request, unless parts are asked for."""

_CONTENT_FIELDS = (
    "content_type",
    "cache_control",
    "content_disposition",
    "content_encoding",
    "content_language",
    "expires",
)


class CopyOptions(ObjectOptions, total=False):
    """Keyword arguments of `Client.copy`."""

    source_version_id: str | None
    replace_metadata: bool
    replace_tags: bool
    part_bytes: int | None
    parallel: int | None
    forbid_overwrite: bool
    protect_target: bool
    journal: bool
    bandwidth_limit_bytes_s: float | None
    traffic_limit_bits_per_s: int | None
    progress: OnProgress | None


class CopyTransfers(UploadTransfers):
    """Begin and resume copies."""

    def copy(
        self,
        source: str,
        target: str,
        *,
        source_version_id: str | None = None,
        replace_metadata: bool = False,
        replace_tags: bool = False,
        part_bytes: int | None = None,
        parallel: int | None = None,
        forbid_overwrite: bool = False,
        protect_target: bool = True,
        journal: bool = True,
        bandwidth_limit_bytes_s: float | None = None,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnProgress | None = None,
        **options: Unpack[ObjectOptions],
    ) -> Transfer:
        """
        Begin to copy an object of any size inside OSS, within one region; no byte of it passes through here.

        Up to 1 GiB it is a single request. Above, OSS makes an upload of it part by part, several at a time,
        which can be stopped and gone on with like any upload: `resume` has only those parts made that OSS
        does not have. Every part is bound to the ETag that the source has now.

        Args:
            source: ``oss://bucket/key``. It is looked at before this returns.
            target: ``oss://bucket/key``; a key that ends in ``/`` gets the last part of the source's key
                appended.
            replace_metadata: True takes content headers and metadata from ``options`` instead of the source.
            replace_tags: True takes ``tags`` from ``options`` instead of the source.
            part_bytes: 100 KiB to 5 GiB; 64 MiB by default, and more where that would make over 10,000
                parts. If it is given, the copy is made in parts whatever its size.
            parallel: Parts that are made at the same time; 4 by default, fewer for large parts.
            forbid_overwrite, protect_target, journal, progress: As in `upload`.
            bandwidth_limit_bytes_s: How fast bytes may flow that have to be read here, after the source was
                changed (see `resume`). What OSS copies itself is not held back.
            traffic_limit_bits_per_s: Speed that OSS allows each request.
            **options: See `ObjectOptions`.

        Returns:
            A handle, as of `upload`. Its result is the new object; its CRC-64 was compared with the source's.

        Raises:
            NoSuchKey: There is nothing to be copied.
            InvalidInput: Nothing was sent. And as every call.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        if parallel is not None and parallel < 1:
            raise InvalidInput(f"{parallel} parts at a time cannot be", advice="Give 1 or more.")
        source_url = _named_object(source)
        url = _target_url(target, source_url)
        checked(options, url.key)
        requester = self._limited(bandwidth_limit_bytes_s)
        parts = ObjectParts.inspect(requester, source_url, source_version_id or "")
        if _fits_one_request(parts, part_bytes):
            request = _copy_request(
                parts, url, options, replace_metadata=replace_metadata, replace_tags=replace_tags
            )
            request = msgspec.structs.replace(
                request, forbid_overwrite=forbid_overwrite or None, traffic_limit=traffic_limit_bits_per_s
            )
            single = SingleCopy(requester, parts, url, request, requester.latch(), on_progress=progress)
            return self._started(str(url), single, single, requester.bandwidth)
        plan = copy_plan(parts.total_bytes, part_bytes)
        fields = self._described(parts, options, url, replace_metadata=replace_metadata)
        if not replace_tags:
            fields["tags"] = self._tags_of(parts)
        job = UploadJob(
            job_id=secrets.token_hex(12),
            endpoint=str(self.settings.endpoint),
            region=self.settings.region,
            bucket=url.bucket,
            key=url.key,
            source=parts.identity,
            total_bytes=parts.total_bytes,
            part_bytes=plan.part_bytes,
            options=journaled_options(url, fields, secrets.token_hex(8)),
            kind=TransferKind.COPY,
            forbid_overwrite=forbid_overwrite,
        )
        settings = UploadSettings(
            parallel=parallel or suggested_parallel(plan), protect_target=protect_target
        )
        machine = CopyMachine(job, settings, Fresh())
        file = self._journals.create(job.job_id) if journal else None
        return self._run_copy(requester, machine, job, parts, file, progress, traffic_limit_bits_per_s)

    def _resume_copy(
        self,
        what: str,
        path: Path | None,
        beginning: Beginning,
        source: str | None,
        options: ResumeOptions,
    ) -> Transfer:
        """Go on with a copy; the arguments are those of `resume`, and what was found out about it."""
        requester = self._limited(options.get("bandwidth_limit_bytes_s"))
        file: JournalFile | None = None
        try:
            if path is not None:
                file, view = self._journals.open(path)
                beginning = FromJournal(view)
            url, version_id = _source_of(what, beginning, source)
            parts = ObjectParts.inspect(requester, url, version_id)
            job = begun_job(what, beginning, parts, self.settings)
            job = msgspec.structs.replace(job, kind=TransferKind.COPY)
            plan = copy_plan(job.total_bytes, job.part_bytes)
            settings = UploadSettings(
                parallel=options.get("parallel") or suggested_parallel(plan),
                protect_target=options.get("protect_target", True),
                keep_matching=options.get("keep_matching", False),
            )
            machine = CopyMachine(job, settings, beginning)
            if file is None and options.get("journal", True):
                file = self._journals.create(job.job_id)
        except BaseException:
            if file is not None:
                file.close()
            raise
        limit = options.get("traffic_limit_bits_per_s")
        return self._run_copy(requester, machine, job, parts, file, options.get("progress"), limit)

    def _run_copy(
        self,
        requester: Requester,
        machine: CopyMachine,
        job: UploadJob,
        parts: ObjectParts,
        journal: Journal | None,
        progress: OnProgress | None,
        traffic_limit_bits_per_s: int | None,
    ) -> Transfer:
        calls = CopyCalls(
            requester, job.bucket, job.key, parts, traffic_limit_bits_per_s=traffic_limit_bits_per_s
        )
        driver = UploadDriver(
            machine,
            calls,
            parts,
            journal,
            self._part_workers,
            requester.latch(),
            now=lambda: int(time.time()),
            on_progress=progress,
        )
        name = f"{parts.url} -> oss://{job.bucket}/{job.key}"
        return self._started(name, driver, self, requester.bandwidth, job.job_id)

    def _described(
        self, parts: ObjectParts, options: ObjectOptions, url: OssUrl, *, replace_metadata: bool
    ) -> dict[str, Any]:
        """What Initiate shall say of the object, so that a copy in parts is like one of a single request."""
        fields = checked(options, url.key)
        if not replace_metadata:
            fields.update({name: getattr(parts.found, name) for name in _CONTENT_FIELDS})
            fields["metadata"] = {
                name: text for name, text in parts.found.metadata.items() if name != OWNERSHIP_METADATA
            }
        return fields

    def _tags_of(self, parts: ObjectParts) -> dict[str, str] | None:
        if not parts.found.tag_count:
            return None
        request = GetObjectTagging(
            bucket=parts.url.bucket, key=parts.url.key, version_id=parts.version_id or None
        )
        found = self._call(request, Tagging)
        return {tag.key: tag.value for tag in found.tags}


def _copy_request(
    parts: ObjectParts, url: OssUrl, options: ObjectOptions, *, replace_metadata: bool, replace_tags: bool
) -> CopyObject:
    fields = checked(options, url.key)
    if not replace_metadata and "content_type" not in options:
        del fields["content_type"]
    return CopyObject(
        bucket=url.bucket,
        key=url.key,
        source=CopySource(parts.url.bucket, parts.url.key, parts.version_id or None),
        source_if_match=f'"{parts.found.etag}"',
        metadata_directive="REPLACE" if replace_metadata else None,
        tagging_directive="Replace" if replace_tags else None,
        **fields,
    )


def _fits_one_request(parts: ObjectParts, part_bytes: int | None) -> bool:
    if parts.total_bytes == 0:
        return True
    # OSS makes no parts of an appendable object.
    most = MAX_SINGLE_COPY_BYTES if parts.found.object_type == "Appendable" else SINGLE_COPY_BYTES
    return part_bytes is None and parts.total_bytes <= most


def _named_object(source: str) -> OssUrl:
    url = parse_url(source)
    if not url.bucket or not url.key:
        raise InvalidInput(f"{source[:80]!r} names no object", advice="Name it: oss://bucket/key.")
    return url


def _target_url(target: str, source: OssUrl) -> OssUrl:
    url = parse_url(target)
    if not url.bucket:
        raise InvalidInput(f"{target!r} names no bucket", advice="A target looks like oss://bucket/key.")
    if not url.names_prefix:
        return url
    name = source.key.rpartition("/")[2]
    if not name:
        raise InvalidInput(
            f"{target!r} ends in a folder, and so does {source}", advice="Name the object: oss://bucket/key."
        )
    return OssUrl(url.bucket, url.key + name)


def _source_of(what: str, beginning: Beginning, source: str | None) -> tuple[OssUrl, str]:
    """The object that a copy reads, and its version."""
    match beginning:
        case FromJournal(view=view) if view.intent.source is not None:
            known, version_id = view.intent.source.path, view.intent.source.version_id
        case FromToken(token=token) if token.source:
            known, version_id = token.source, token.source_version_id
        case _:
            if source is None:
                raise InvalidInput(
                    f"what {what[:80]} is a copy of is not known here",
                    advice="Name the source: client.resume(what, 'oss://bucket/key').",
                )
            return _named_object(source), ""
    if source is not None and str(_named_object(source)) != known:
        raise InvalidInput(
            f"{what[:80]} is a copy of {known}, not of {source}",
            advice="Leave the source out to go on, or begin a new copy.",
        )
    return parse_url(known), version_id
