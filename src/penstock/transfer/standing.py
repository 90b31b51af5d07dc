"""Where an upload stands: what is known of it, what is in doubt, and how to say so."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from penstock.errors import Committed, PenstockError, TransferError
from penstock.transfer.commands import AppendJournal
from penstock.transfer.events import FoundUpload
from penstock.transfer.job import Beginning, Fresh, FromJournal, FromKey, FromToken, UploadJob
from penstock.transfer.journal import (
    Intent,
    NotCompleted,
    ObjectOptions,
    PartStored,
    Record,
    TargetState,
    Upload,
)
from penstock.transfer.ledger import Ledger
from penstock.transfer.outcome import CleanUp, Outcome, OutcomeKind, Stored
from penstock.transfer.plan import part_plan
from penstock.transfer.resolve import Proof
from penstock.transfer.search import CLOCK_SLACK_S, UNKNOWN_CLOCK_SLACK_S, begun_since
from penstock.transfer.token import ResumeToken, encode, token_of


class Standing:
    """
    The facts of one upload, as far as they are known; it decides nothing.

    Attributes:
        job: What is uploaded; its source is the revision that counts now.
        intent: What was, or is to be, written as INTENT; None until the start is known.
        is_journaled: The journal has the intent, and the UploadId if there is one.
        is_candidate: ``upload_id`` was found by key and not yet proven to hold parts of the source.
        known: Parts with a CRC-64 that an earlier run computed, by number.
        initiate_in_doubt: Initiate may have made an upload whose id is not known.
        complete_in_doubt: Complete may have made the object.
        announced_crc64: CRC-64 of the whole as COMPLETING said it.
        source_in_doubt: Nothing proves yet that the stored parts come from this revision of the source.
        is_unbegun: Nothing was asked of OSS yet that could leave anything there: to go on is to begin.
        is_resumed: It was stopped before, begun or not: a failure keeps what there is to go on with.
        now: Unix seconds when this run began.
    """

    def __init__(self, job: UploadJob, beginning: Beginning, *, trust_identity: bool) -> None:
        self.job = job
        self.intent: Intent | None = None
        self.upload_id: str | None = None
        self.is_journaled = False
        self.is_candidate = False
        self.journal_failed = False
        self.known: dict[int, PartStored] = {}
        self.request_started = False
        self.initiate_in_doubt = False
        self.complete_in_doubt = False
        self.announced_crc64: int | None = None
        self.source_in_doubt = False
        self.is_unbegun = isinstance(beginning, Fresh)
        self.is_resumed = not isinstance(beginning, Fresh) or beginning.is_resumed
        self.now = 0
        self.unclaimed_uploads: tuple[str, ...] = ()
        acknowledged_bytes = 0
        part_bytes = job.part_bytes
        match beginning:
            case Fresh():
                pass
            case FromKey():
                self.source_in_doubt = True
                # The token in its metadata, if any, was another run's.
                unproven = msgspec.structs.replace(job.options, ownership_token="")
                self.job = msgspec.structs.replace(job, options=unproven)
            case FromJournal(view=view):
                self.intent = view.intent
                self.upload_id = view.upload_id
                self.is_journaled = True
                self.known = dict(view.parts)
                self.initiate_in_doubt = view.upload_id is None and view.end is None
                self.complete_in_doubt = view.completing is not None
                self.announced_crc64 = view.completing.crc64 if view.completing else None
                before = view.intent.source
                same = before is not None and before.is_same_revision(job.source)
                self.source_in_doubt = not (same and trust_identity)
                acknowledged_bytes = view.acknowledged_bytes
                part_bytes = view.intent.part_bytes
            case FromToken(token=token):
                self.intent = _intent_of(token, job)
                self.upload_id = token.upload_id
                self.initiate_in_doubt = token.upload_id is None
                self.complete_in_doubt = token.whole_crc64 is not None
                self.announced_crc64 = token.whole_crc64
                self.source_in_doubt = True
                acknowledged_bytes = token.acknowledged_bytes
                part_bytes = token.part_bytes
        self.ledger = Ledger(part_plan(job.total_bytes, part_bytes), acknowledged_bytes)

    def new_intent(
        self, *, started_at: int, server_clock: bool, target: TargetState | None, target_known: bool
    ) -> Intent:
        """The INTENT of an upload that begins now."""
        return Intent(
            job_id=self.job.job_id,
            endpoint=self.job.endpoint,
            region=self.job.region,
            bucket=self.job.bucket,
            key=self.job.key,
            source=self.job.source,
            total_bytes=self.ledger.plan.total_bytes,
            part_bytes=self.ledger.plan.part_bytes,
            options=self.job.options,
            started_at=started_at,
            server_clock=server_clock,
            target=target,
            target_known=target_known,
            kind=self.job.kind,
            forbid_overwrite=self.job.forbid_overwrite,
        )

    def unbegun_intent(self) -> Intent:
        """The INTENT of an upload that was stopped before it began."""
        intent = self.new_intent(started_at=self.now, server_clock=False, target=None, target_known=False)
        return msgspec.structs.replace(intent, unbegun=True)

    def proof(self) -> Proof:
        """By what the object is known to be ours."""
        assert self.intent is not None
        crc64 = self.announced_crc64
        return Proof(
            ownership_token=self.intent.options.ownership_token,
            total_bytes=self.intent.total_bytes,
            crc64=self.ledger.whole_crc64() if crc64 is None else crc64,
            started_at=self.intent.started_at - self._clock_slack_s,
        )

    @property
    def _clock_slack_s(self) -> int:
        assert self.intent is not None
        return CLOCK_SLACK_S if self.intent.server_clock else UNKNOWN_CLOCK_SLACK_S

    def begun_since_start(self) -> Callable[[FoundUpload], bool]:
        """Which uploads of the key are young enough to be ours."""
        assert self.intent is not None
        return begun_since(self.intent.started_at, self._clock_slack_s)

    @property
    def may_be_on_server(self) -> bool:
        return self.initiate_in_doubt or (self.upload_id is not None and not self.is_candidate)

    @property
    def name(self) -> str:
        """``oss://bucket/key``."""
        return f"oss://{self.job.bucket}/{self.job.key}"

    def write_down(self, record: Record, *, durable: bool) -> list[AppendJournal]:
        """The command for one record; none once the journal has refused one."""
        return [] if self.journal_failed else [AppendJournal(record=record, durable=durable)]

    def write_beginning(self) -> list[AppendJournal]:
        """INTENT, and UPLOAD if there is one, unless the journal has them."""
        if self.is_journaled or self.intent is None:
            return []
        self.is_journaled = True
        commands = self.write_down(self.intent, durable=True)
        if self.upload_id is not None:
            commands += self.write_down(Upload(upload_id=self.upload_id, adopted=True), durable=True)
        return commands

    def write_revision(self) -> list[AppendJournal]:
        """`write_beginning`, or INTENT again if the source is another revision than the one it names."""
        assert self.intent is not None
        total_bytes = self.ledger.plan.total_bytes
        same = (self.intent.source, self.intent.total_bytes) == (self.job.source, total_bytes)
        self.intent = msgspec.structs.replace(
            self.intent,
            source=self.job.source,
            total_bytes=total_bytes,
            acknowledged_bytes=self.ledger.acknowledged_bytes,
        )
        if same or not self.is_journaled:
            return self.write_beginning()
        return self.write_down(self.intent, durable=True)

    def write_upload(self, upload_id: str, *, adopted: bool) -> list[AppendJournal]:
        """The UploadId is known."""
        self.upload_id = upload_id
        self.initiate_in_doubt = False
        return self.write_down(Upload(upload_id=upload_id, adopted=adopted), durable=True)

    def write_not_completed(self) -> list[AppendJournal]:
        """Nothing came of the Complete. If this is lost, a resume only looks once more."""
        return self.write_down(NotCompleted(), durable=False) if self.is_journaled else []

    def resume_token(self, *, is_initiating: bool = False) -> str | None:
        """Text to go on, or to begin, from anywhere; None if there is nothing to go on with."""
        if self.is_unbegun:
            return encode(token_of(self.unbegun_intent(), None, None))
        if self.intent is None or not (self.may_be_on_server or is_initiating):
            return None
        whole_crc64 = self.announced_crc64 if self.complete_in_doubt else None
        intent = msgspec.structs.replace(self.intent, acknowledged_bytes=self.ledger.acknowledged_bytes)
        return encode(token_of(intent, self.upload_id, whole_crc64))

    def outcome(
        self,
        kind: OutcomeKind,
        *,
        committed: Committed | None = None,
        stored: Stored | None = None,
        error: PenstockError | None = None,
        reason: str = "",
        clean_up: CleanUp | None = None,
        is_over: bool = False,
    ) -> Outcome:
        """
        The outcome of this standing.

        Args:
            committed: None reads it from what is in doubt.
            is_over: Nothing can be resumed.
        """
        if committed is None:
            committed = Committed.UNKNOWN if self.complete_in_doubt else Committed.NO
        upload_id = None if is_over else self.upload_id
        is_left = not is_over and kind is not OutcomeKind.CANCELLED
        if kind is OutcomeKind.FAILED and self.is_unbegun and not self.is_resumed:
            is_left = False
        resume_token = self.resume_token() if is_left else None
        if isinstance(error, TransferError):
            error.upload_id = upload_id
            error.resume_token = resume_token
        return Outcome(
            kind=kind,
            committed=committed,
            progress=self.ledger.progress(),
            upload_id=upload_id,
            resume_token=resume_token,
            stored=stored,
            error=error,
            reason=reason,
            request_started=self.request_started,
            clean_up=clean_up,
            unclaimed_uploads=self.unclaimed_uploads,
            transfer=self.job.kind,
        )


def _intent_of(token: ResumeToken, job: UploadJob) -> Intent:
    options = ObjectOptions(
        content_type=job.options.content_type,
        headers=job.options.headers,
        metadata=job.options.metadata,
        ownership_token=token.ownership_token,
    )
    return Intent(
        job_id=token.job_id,
        endpoint=token.endpoint,
        region=token.region,
        bucket=token.bucket,
        key=token.key,
        source=job.source,
        total_bytes=token.total_bytes,
        part_bytes=token.part_bytes,
        options=options,
        started_at=token.started_at,
        server_clock=token.server_clock,
        target=token.target,
        target_known=token.target_known,
        kind=token.kind,
        forbid_overwrite=token.forbid_overwrite,
        acknowledged_bytes=token.acknowledged_bytes,
    )
