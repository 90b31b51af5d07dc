"""Which parts wait, fly, are in doubt and are acknowledged; the only place that counts them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from penstock.errors import IncompleteUpload
from penstock.protocol.crc64 import combine_all
from penstock.transfer.journal import PartStored
from penstock.transfer.plan import Part, Plan
from penstock.transfer.progress import Progress


class Ledger:
    """
    The books of one upload.

    Always: every part of the plan is in exactly one of waiting, in flight and acknowledged; what
    `Progress.acknowledged_bytes` says never falls, unless the source itself became shorter.

    Args:
        plan: All parts; at the start all of them wait.
        acknowledged_before: Acknowledged bytes that earlier runs have shown.
    """

    def __init__(self, plan: Plan, acknowledged_before: int = 0) -> None:
        self.plan = plan
        self.stored: dict[int, PartStored] = {}
        self.in_flight: set[int] = set()
        self._waiting = list(range(1, plan.count + 1))
        self._doubtful_bytes: dict[int, int] = {}
        self._attempts: dict[int, int] = {}
        self._stored_bytes = 0
        self._resumed: set[int] = set()
        self._resumed_bytes = 0
        self._in_flight_bytes = 0
        self._shown_bytes = acknowledged_before

    @property
    def all_stored(self) -> bool:
        return len(self.stored) == self.plan.count

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    @property
    def acknowledged_bytes(self) -> int:
        """See `Progress`; from any thread."""
        return min(self._shown_bytes, self.plan.total_bytes)

    def take(self) -> Part:
        """Move the lowest waiting part into flight."""
        part = self.plan.part(heapq.heappop(self._waiting))
        self.in_flight.add(part.number)
        self._in_flight_bytes += part.size_bytes
        self._attempts[part.number] = self._attempts.get(part.number, 0) + 1
        return part

    def untake(self, number: int) -> None:
        """Take back a `take` that was never carried out."""
        self.put_back(number)
        self._attempts[number] -= 1

    def attempts(self, number: int) -> int:
        return self._attempts.get(number, 0)

    def put_back(self, number: int, sent_bytes: int = 0) -> None:
        """A part that flew is not acknowledged: it waits again, ``sent_bytes`` of it are in doubt."""
        self._land(number)
        heapq.heappush(self._waiting, number)
        if sent_bytes:
            self._doubtful_bytes[number] = min(sent_bytes, self.plan.part(number).size_bytes)

    def put_back_all(self) -> None:
        """Nothing flies any more, and nobody knows how far it got: all of it is in doubt."""
        for number in tuple(self.in_flight):
            self.put_back(number, self.plan.part(number).size_bytes)

    def acknowledge(self, part: PartStored) -> None:
        """OSS confirmed a part that flew."""
        self._land(part.number)
        self._store(part)

    def resume(self, parts: Iterable[PartStored]) -> None:
        """Parts that wait turn out to be stored already."""
        found = list(parts)
        numbers = {part.number for part in found}
        self._waiting = [number for number in self._waiting if number not in numbers]
        heapq.heapify(self._waiting)
        for part in found:
            self._store(part)
            self._resumed.add(part.number)
            self._resumed_bytes += part.size_bytes

    def forget(self, numbers: Iterable[int]) -> None:
        """Stored parts are stored no more, or no longer equal the source: they wait again."""
        for number in numbers:
            part = self.stored.pop(number)
            self._stored_bytes -= part.size_bytes
            self._attempts.pop(number, None)
            if number in self._resumed:
                self._resumed.remove(number)
                self._resumed_bytes -= part.size_bytes
            heapq.heappush(self._waiting, number)

    def replan(self, plan: Plan) -> None:
        """The source has another length: stored parts that fit the new plan stay, all others wait."""
        assert not self.in_flight, "a plan is not changed under parts in flight"
        fitting = {
            number: part
            for number, part in self.stored.items()
            if number <= plan.count and _is_range_of(plan.part(number), part)
        }
        self.plan = plan
        self.stored = fitting
        self._stored_bytes = sum(part.size_bytes for part in fitting.values())
        self._waiting = [number for number in range(1, plan.count + 1) if number not in fitting]
        self._resumed &= fitting.keys()
        self._resumed_bytes = sum(fitting[number].size_bytes for number in self._resumed)
        self._doubtful_bytes.clear()
        self._attempts.clear()

    def check_complete(self) -> None:
        """
        Raises:
            IncompleteUpload: The acknowledged parts are not exactly those of the plan.
        """
        wrong = [
            part.number
            for part in self.plan.parts()
            if (stored := self.stored.get(part.number)) is None or not _is_range_of(part, stored)
        ]
        total_bytes = sum(part.size_bytes for part in self.stored.values())
        if wrong or len(self.stored) != self.plan.count or total_bytes != self.plan.total_bytes:
            raise IncompleteUpload(
                f"{len(self.stored)} parts with {total_bytes} bytes are acknowledged, expected "
                f"{self.plan.count} with {self.plan.total_bytes}; the upload was not completed",
                advice="Resume the upload. If this comes again, please report it: it should not be possible.",
            )

    def whole_crc64(self) -> int | None:
        """CRC-64 of the source from the local CRC-64 of its parts; None unless all are acknowledged."""
        if not self.all_stored:
            return None
        ordered = (self.stored[number] for number in range(1, self.plan.count + 1))
        return combine_all((part.crc64, part.size_bytes) for part in ordered)

    def progress(self) -> Progress:
        return Progress(
            total_bytes=self.plan.total_bytes,
            acknowledged_bytes=self.acknowledged_bytes,
            in_flight_bytes=self._in_flight_bytes,
            in_doubt_bytes=sum(self._doubtful_bytes.values()),
            resumed_bytes=self._resumed_bytes,
            parts_total=self.plan.count,
            parts_done=len(self.stored),
        )

    def _store(self, part: PartStored) -> None:
        self.stored[part.number] = part
        self._doubtful_bytes.pop(part.number, None)
        self._stored_bytes += part.size_bytes
        self._shown_bytes = max(self._shown_bytes, self._stored_bytes)

    def _land(self, number: int) -> None:
        self.in_flight.remove(number)
        self._in_flight_bytes -= self.plan.part(number).size_bytes


def _is_range_of(part: Part, stored: PartStored) -> bool:
    return (stored.offset, stored.size_bytes) == (part.offset, part.size_bytes)
