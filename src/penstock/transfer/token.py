"""
A short text with which an upload can be resumed from anywhere: no path, no secret, versioned, checksummed.
"""

from __future__ import annotations

import base64
import binascii
import zlib

import msgspec
from msgspec import Struct

from penstock.errors import InvalidInput
from penstock.transfer.journal import Intent, TargetState, TransferKind

PREFIX = "pstk1-"
"""Says what the text is, and the version of what follows."""

_CHECKSUM_BYTES = 4


class ResumeToken(Struct, frozen=True, kw_only=True, array_like=True):
    """
    What another machine must know to go on.

    Attributes:
        upload_id: None if Initiate was sent and its answer not seen, or not sent at all.
        whole_crc64: CRC-64 of the whole source if Complete may have been sent, else None.
        started_at, server_clock: As in the journal's INTENT.
        target: What the key held at the start; meaningless unless ``target_known``.
        kind: What is gone on with. A download goes on only where its journal and partial file are.
        source, source_etag: Of a copy: ``oss://bucket/key``, and the revision that its parts are of.
        source_version_id: The version of the source that was asked for, or an empty string.
        forbid_overwrite, unbegun: As in the journal's INTENT.
        acknowledged_bytes: As shown when the token was made, so that it does not fall elsewhere either.
    """

    job_id: str
    endpoint: str
    region: str
    bucket: str
    key: str
    upload_id: str | None
    total_bytes: int
    part_bytes: int
    started_at: int
    server_clock: bool = False
    ownership_token: str = ""
    whole_crc64: int | None = None
    target: TargetState | None = None
    target_known: bool = False
    kind: TransferKind = TransferKind.UPLOAD
    source: str = ""
    source_etag: str = ""
    source_version_id: str = ""
    forbid_overwrite: bool = False
    unbegun: bool = False
    acknowledged_bytes: int = 0


def token_of(intent: Intent, upload_id: str | None, whole_crc64: int | None) -> ResumeToken:
    """
    The token of a transfer that began with ``intent``.

    Args:
        upload_id: None if OSS gave none yet, or there never will be one.
        whole_crc64: CRC-64 of the whole if Complete may have been sent, else None.
    """
    copied = intent.source if intent.kind is TransferKind.COPY else None
    return ResumeToken(
        job_id=intent.job_id,
        endpoint=intent.endpoint,
        region=intent.region,
        bucket=intent.bucket,
        key=intent.key,
        upload_id=upload_id,
        total_bytes=intent.total_bytes,
        part_bytes=intent.part_bytes,
        started_at=intent.started_at,
        server_clock=intent.server_clock,
        ownership_token=intent.options.ownership_token,
        whole_crc64=whole_crc64,
        target=intent.target,
        target_known=intent.target_known,
        kind=intent.kind,
        source=copied.path if copied else "",
        source_etag=copied.etag if copied else "",
        source_version_id=copied.version_id if copied else "",
        forbid_overwrite=intent.forbid_overwrite,
        unbegun=intent.unbegun,
        acknowledged_bytes=intent.acknowledged_bytes,
    )


def encode(token: ResumeToken) -> str:
    """The token as text: letters, digits, ``-`` and ``_`` only."""
    payload = msgspec.msgpack.encode(token)
    checksum = zlib.crc32(payload).to_bytes(_CHECKSUM_BYTES, "big")
    return PREFIX + base64.urlsafe_b64encode(payload + checksum).decode("ascii").rstrip("=")


def decode(text: str) -> ResumeToken:
    """
    Read a token; white space around and inside it, as mail programs add, is ignored.

    Raises:
        InvalidInput: It is no token, of another version, or was damaged on its way.
    """
    compact = "".join(text.split())
    if not compact.startswith(PREFIX):
        raise InvalidInput(
            "this is not a resume token that this version reads",
            advice=f"A token starts with {PREFIX}; copy it again, or name oss://bucket/key instead.",
        )
    body = compact[len(PREFIX) :]
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        payload, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
        if zlib.crc32(payload).to_bytes(_CHECKSUM_BYTES, "big") != checksum:
            raise _damaged()
        return msgspec.msgpack.decode(payload, type=ResumeToken)
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise _damaged() from error


def _damaged() -> InvalidInput:
    return InvalidInput(
        "the resume token is damaged or incomplete",
        advice="Copy all of it again, or name oss://bucket/key instead.",
    )
