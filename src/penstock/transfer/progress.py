"""How far a transfer is, with what is known and what is hoped kept apart."""

from __future__ import annotations

from msgspec import Struct


class Progress(Struct, frozen=True, kw_only=True):
    """
    One reading of a transfer's meter.

    Attributes:
        total_bytes: Length of the source.
        acknowledged_bytes: Confirmed by OSS. Never falls, across abort and resume too.
        in_flight_bytes: Sizes of the parts that are being sent.
        in_doubt_bytes: Handed over in attempts that ended without an answer, and not confirmed since.
        resumed_bytes: Of the acknowledged bytes, those that earlier runs had sent and this one did not.
        parts_total: Parts of the plan.
        parts_done: Parts that stand acknowledged now; falls only when a changed source takes parts back.
    """

    total_bytes: int
    acknowledged_bytes: int = 0
    in_flight_bytes: int = 0
    in_doubt_bytes: int = 0
    resumed_bytes: int = 0
    parts_total: int = 0
    parts_done: int = 0

    @property
    def fraction(self) -> float:
        """Acknowledged share of the whole, 0.0 to 1.0; 1.0 for an empty source."""
        return self.acknowledged_bytes / self.total_bytes if self.total_bytes else 1.0
