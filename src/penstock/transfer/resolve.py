"""
What became of a request that can commit and whose answer was not seen. Only evidence tells: the upload and
the object.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from penstock.errors import Forbidden, PenstockError
from penstock.transfer.backoff import pauses
from penstock.transfer.commands import Command, ConfirmGone, InspectTarget, Wait
from penstock.transfer.events import (
    CancelConfirmed,
    ConfirmGoneFailed,
    Event,
    InspectTargetFailed,
    TargetInspected,
    UploadStillListed,
    Waited,
)
from penstock.transfer.journal import TargetState


class UploadEvidence(StrEnum):
    LISTED = "listed"
    GONE = "gone"
    NONE = "none"
    """It was a single PUT, which has no upload."""


class Verdict(StrEnum):
    COMMITTED = "committed"
    ASK_AGAIN = "ask again"
    NOT_COMMITTED = "not committed"
    LOST = "lost"


class Proof(Struct, frozen=True, kw_only=True):
    """
    By what an object is known to be ours.

    Attributes:
        ownership_token: Put into the metadata at the start; empty if it was turned off or is not known.
        crc64: Of the whole source, from local bytes; None if not known.
        started_at: Unix seconds; an older object is not ours.
    """

    ownership_token: str
    total_bytes: int
    crc64: int | None
    started_at: int


def is_ours(target: TargetState | None, proof: Proof) -> bool:
    """
    True only if the object is proven to come from this transfer; likeness is not enough.

    With a token: the object bears it, and neither its size nor its CRC-64 says otherwise. Without: size and
    CRC-64 are equal and it is not older than the start.
    """
    if target is None or target.size_bytes != proof.total_bytes:
        return False
    if proof.ownership_token:
        crcs = {target.crc64, proof.crc64} - {None}
        return target.ownership_token == proof.ownership_token and len(crcs) <= 1
    return proof.crc64 is not None and target.crc64 == proof.crc64 and target.modified_at >= proof.started_at


def verdict(upload: UploadEvidence, *, object_is_ours: bool, settled: bool) -> Verdict:
    """
    Read the evidence.

    Args:
        upload: What ListParts said, asked before the object was looked at.
        settled: OSS has had its time to finish what it may have begun.
    """
    if object_is_ours:
        return Verdict.COMMITTED
    if upload is UploadEvidence.GONE:
        return Verdict.LOST
    return Verdict.NOT_COMMITTED if settled else Verdict.ASK_AGAIN


class Resolution:
    """
    Ask for the upload, then for the object, until they tell.

    When ``done``: ``verdict`` with ``target`` (the object as last seen), or ``error`` if the evidence could
    not be had in ``settle_s``.

    Args:
        upload_id: None for a single PUT.
    """

    def __init__(self, upload_id: str | None, proof: Proof, settle_s: float) -> None:
        self.verdict: Verdict | None = None
        self.target: TargetState | None = None
        self.error: PenstockError | None = None
        self._upload_id = upload_id
        self._proof = proof
        self._pauses = pauses(settle_s)
        self._evidence = UploadEvidence.NONE

    @property
    def done(self) -> bool:
        return self.verdict is not None or self.error is not None

    @property
    def upload_is_listed(self) -> bool:
        """OSS had the upload when it was asked last."""
        return self._evidence is UploadEvidence.LISTED

    def begin(self) -> list[Command]:
        return [InspectTarget()] if self._upload_id is None else [ConfirmGone(upload_id=self._upload_id)]

    def handle(self, event: Event) -> list[Command]:
        match event:
            case CancelConfirmed():
                self._evidence = UploadEvidence.GONE
                return [InspectTarget()]
            case UploadStillListed():
                self._evidence = UploadEvidence.LISTED
                return [InspectTarget()]
            case TargetInspected(target=target):
                self.target = target
                return self._judge(is_ours(target, self._proof))
            case ConfirmGoneFailed(error=error) | InspectTargetFailed(error=error):
                return self._not_known(error)
            case Waited():
                return self.begin()
        return []

    def _judge(self, object_is_ours: bool) -> list[Command]:
        found = verdict(self._evidence, object_is_ours=object_is_ours, settled=False)
        if found is not Verdict.ASK_AGAIN:
            self.verdict = found
            return []
        pause = next(self._pauses, None)
        if pause is None:
            self.verdict = verdict(self._evidence, object_is_ours=object_is_ours, settled=True)
            return []
        return [Wait(seconds=pause)]

    def _not_known(self, error: PenstockError) -> list[Command]:
        pause = None if isinstance(error, Forbidden) else next(self._pauses, None)
        if pause is None:
            self.error = error
            return []
        return [Wait(seconds=pause)]
