"""An upload small enough for one request, behind the same handle as one in parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from penstock.client.deadline import ALARMS, Alarm
from penstock.client.outcome import committed_by
from penstock.client.part_source import PartSource
from penstock.client.requester import Requester
from penstock.client.upload_calls import OWNERSHIP_METADATA, UploadCalls
from penstock.errors import Aborted, ChecksumMismatch, Committed, PenstockError
from penstock.net.latch import Latch
from penstock.protocol.operations.objects import PutObject, PutObjectResult
from penstock.protocol.urls import OssUrl
from penstock.transfer.commands import Wait
from penstock.transfer.events import Waited
from penstock.transfer.outcome import Outcome, OutcomeKind, Stored
from penstock.transfer.progress import Progress
from penstock.transfer.resolve import Proof, Resolution, Verdict

SETTLE_S = 10.0
"""How long an unanswered PutObject may take to show itself."""


class SingleUpload:
    """
    Sends a whole source with one PutObject.

    There is no UploadId and nothing to go on with: an aborted one is begun again.
    """

    upload_id: str | None = None
    resume_token: str | None = None

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
        self._requester = requester
        self._source = source
        self._latch = latch
        self._on_progress = on_progress
        self._crc64: int | None = None
        self._alarm: Alarm | None = None
        self._progress = Progress(total_bytes=source.total_bytes, parts_total=1)
        metadata = {**fields.pop("metadata", {}), OWNERSHIP_METADATA: ownership_token}
        self._request = PutObject(
            bucket=url.bucket,
            key=url.key,
            metadata=metadata,
            forbid_overwrite=forbid_overwrite or None,
            traffic_limit=traffic_limit_bits_per_s,
            **fields,
        )

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return self._progress

    def abort(self, reason: str) -> None:
        """Stop now."""
        self._latch.trip(reason)

    def drain(self, timeout_s: float) -> None:
        """Let the one request finish, for at most so long."""
        self._alarm = ALARMS.ring_in(timeout_s, lambda: self._latch.trip("drain"))

    def cancel(self, reason: str = "cancel") -> None:
        """Stop now; there is nothing to clean up."""
        self._latch.trip(reason)

    def run(self) -> Outcome:
        """Send it."""
        total = self._source.total_bytes
        body = self._source.part(0, total)
        try:
            with self._latch:
                stored = self._requester.call(
                    self._request, PutObjectResult, body, on_sent=self._note_sent, latch=self._latch
                )
            if stored.crc64 is not None and stored.crc64 != body.crc64:
                raise ChecksumMismatch(
                    f"oss://{self._request.bucket}/{self._request.key} was stored, but not as it was sent",
                    expected=body.crc64,
                    actual=stored.crc64,
                    advice="The bytes were damaged on the way. Upload it again.",
                )
        except PenstockError as error:
            aborted = isinstance(error, Aborted)
            return Outcome(
                kind=OutcomeKind.ABORTED if aborted else OutcomeKind.FAILED,
                committed=committed_by(error),
                progress=self._progress,
                error=error,
                reason=error.reason if isinstance(error, Aborted) else "",
                request_started=error.code.endswith("42") if aborted else True,
            )
        finally:
            self._crc64 = body.crc64
            self._source.close()
            if self._alarm is not None:
                self._alarm.call_off()
                ALARMS.wake()
        return self._committed(stored.etag or "", stored.version_id or "")

    def clean_up(self, ended: Outcome) -> Outcome:
        """Nothing is left of a single request that could be cleaned up."""
        return ended

    def resolved(self, ended: Outcome) -> Outcome:
        """Look for the object until it shows itself as ours, or its time is over."""
        calls = UploadCalls(self._requester, self._request.bucket, self._request.key)
        proof = Proof(
            ownership_token=self._request.metadata[OWNERSHIP_METADATA],
            total_bytes=self._source.total_bytes,
            crc64=self._crc64,
            started_at=0,
        )
        resolution = Resolution(None, proof, SETTLE_S)
        with self._requester.latch() as latch:
            commands = resolution.begin()
            while not resolution.done:
                (command,) = commands
                if isinstance(command, Wait):
                    latch.wait(command.seconds)
                    commands = resolution.handle(Waited())
                else:
                    commands = resolution.handle(calls.answer(command, latch))
        if resolution.verdict is Verdict.COMMITTED and resolution.target is not None:
            return self._committed(resolution.target.etag, resolution.target.version_id, by_evidence=True)
        if resolution.verdict is None:
            return ended
        return msgspec.structs.replace(ended, committed=Committed.NO)

    def _committed(self, etag: str, version_id: str, *, by_evidence: bool = False) -> Outcome:
        total = self._source.total_bytes
        self._show(Progress(total_bytes=total, acknowledged_bytes=total, parts_total=1, parts_done=1))
        return Outcome(
            kind=OutcomeKind.COMMITTED,
            committed=Committed.YES,
            progress=self._progress,
            stored=Stored(
                etag=etag,
                crc64=self._crc64 or 0,
                size_bytes=total,
                version_id=version_id,
                by_evidence=by_evidence,
            ),
            request_started=True,
        )

    def _note_sent(self, so_far: int) -> None:
        self._show(Progress(total_bytes=self._source.total_bytes, in_flight_bytes=so_far, parts_total=1))

    def _show(self, progress: Progress) -> None:
        self._progress = progress
        if self._on_progress is not None:
            self._on_progress(progress)
