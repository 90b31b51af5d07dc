"""What an upload is made of: where it goes, what it is described as, what is known of one that was begun."""

from __future__ import annotations

import secrets
from pathlib import PurePath
from typing import Any

from penstock.client.identity.settings import Settings
from penstock.client.transfers.part_source import FileParts, PartSource, UploadSource
from penstock.errors import InvalidInput
from penstock.protocol.operations import OPERATIONS
from penstock.protocol.operations.multipart import InitiateMultipartUpload
from penstock.protocol.urls import OssUrl, parse_url
from penstock.transfer import journal as records
from penstock.transfer.job import Beginning, FromJournal, FromToken, UploadJob, resumed_job


def target_url(target: str, parts: PartSource) -> OssUrl:
    """Where an upload goes; a folder gets the name of the file appended."""
    url = parse_url(target)
    if not url.bucket:
        raise InvalidInput(f"{target!r} names no bucket", advice="A target looks like oss://bucket/key.")
    if not url.names_prefix:
        return url
    if not isinstance(parts, FileParts) or parts.identity is None:
        raise InvalidInput(
            f"{target!r} ends in a folder, and the source has no name",
            advice="Name the object: oss://bucket/key.",
        )
    return parse_url(f"oss://{url.bucket}/{url.key}{PurePath(parts.identity.path).name}")


def known_source(what: str, source: UploadSource | None, beginning: Beginning) -> UploadSource:
    """Where the bytes are: what was named, or what the journal names."""
    if source is not None:
        return source
    if isinstance(beginning, FromJournal) and beginning.view.intent.source is not None:
        return beginning.view.intent.source.path
    raise InvalidInput(
        f"where the bytes of {what[:80]} come from is not known here",
        advice="Name the source: client.resume(what, source).",
    )


def journaled_options(url: OssUrl, fields: dict[str, Any], ownership_token: str) -> records.ObjectOptions:
    """What Initiate shall say, as headers: they mean the same to any later version."""
    request = InitiateMultipartUpload(bucket=url.bucket, key=url.key, **fields)
    headers = dict(OPERATIONS.of(request).to_wire(request).headers)
    content_type = headers.pop("content-type", None)
    plain = {name: text for name, text in headers.items() if not name.startswith("x-oss-meta-")}
    return records.ObjectOptions(
        content_type=content_type,
        headers=plain,
        metadata=dict(request.metadata),
        ownership_token=ownership_token,
    )


def begun_job(what: str, beginning: Beginning, parts: PartSource, settings: Settings) -> UploadJob:
    """
    The upload that was begun, with the source as it is now.

    Args:
        what: A token, or ``oss://bucket/key``.
    """
    match beginning:
        case FromJournal(view=view):
            return resumed_job(view.intent, parts.identity, parts.total_bytes)
        case FromToken(token=token):
            return UploadJob(
                job_id=token.job_id,
                endpoint=token.endpoint,
                region=token.region,
                bucket=token.bucket,
                key=token.key,
                source=parts.identity,
                total_bytes=parts.total_bytes,
                part_bytes=token.part_bytes,
                forbid_overwrite=token.forbid_overwrite,
            )
    url = parse_url(what)
    return UploadJob(
        job_id=secrets.token_hex(12),
        endpoint=str(settings.endpoint),
        region=settings.region,
        bucket=url.bucket,
        key=url.key,
        source=parts.identity,
        total_bytes=parts.total_bytes,
    )


def known_total_bytes(beginning: Beginning) -> int:
    """How long the source was, without looking at it; 0 if nobody here knows."""
    match beginning:
        case FromJournal(view=view):
            return view.intent.total_bytes
        case FromToken(token=token):
            return token.total_bytes
    return 0
