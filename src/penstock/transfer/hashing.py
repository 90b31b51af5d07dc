"""Comparing what is stored with the local bytes, several parts at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from penstock.errors import PenstockError, SourceEndedEarly
from penstock.protocol.crc64 import combine_all
from penstock.transfer.commands import Command, HashPart
from penstock.transfer.events import Event, HashPartFailed, PartHashed
from penstock.transfer.journal import PartStored
from penstock.transfer.plan import Plan
from penstock.transfer.resume import Comparison, compared


class PartHashing:
    """
    Hash the local bytes of stored parts.

    When ``done``: ``error``, or every part is in ``matching`` or its number in ``differing``.

    Always: at most ``parallel`` HashPart are unanswered.
    """

    def __init__(self, comparisons: Iterable[Comparison], parallel: int) -> None:
        self.matching: list[PartStored] = []
        self.differing: list[int] = []
        self.error: PenstockError | None = None
        self._waiting = deque(comparisons)
        self._running: dict[int, Comparison] = {}
        self._parallel = parallel

    @property
    def done(self) -> bool:
        return self.error is not None or not (self._waiting or self._running)

    def begin(self) -> list[Command]:
        commands: list[Command] = []
        while self._waiting and len(self._running) < self._parallel:
            comparison = self._waiting.popleft()
            part = comparison.part
            self._running[part.number] = comparison
            commands.append(
                HashPart(
                    number=part.number,
                    offset=part.offset,
                    size_bytes=part.size_bytes,
                    with_md5=comparison.listed.crc64 is None,
                )
            )
        return commands

    def handle(self, event: Event) -> list[Command]:
        match event:
            case PartHashed(number=number, crc64=crc64, md5=md5) if number in self._running:
                part = compared(self._running.pop(number), crc64, md5)
                if part is None:
                    self.differing.append(number)
                else:
                    self.matching.append(part)
            case HashPartFailed(number=number, error=error) if number in self._running:
                del self._running[number]
                if isinstance(error, SourceEndedEarly):
                    self.differing.append(number)
                else:
                    self.error = error
            case _:
                return []
        return [] if self.done else self.begin()


class WholeHashing:
    """
    Find the CRC-64 of the whole source.

    When ``done``: ``error``, or ``crc64``.

    Args:
        known: CRC-64 of the parts that need not be read, by number.

    Always: at most ``parallel`` HashPart are unanswered.
    """

    def __init__(self, plan: Plan, known: Mapping[int, int], parallel: int) -> None:
        self.error: PenstockError | None = None
        self._plan = plan
        self._crcs = dict(known)
        self._waiting = deque(part for part in plan.parts() if part.number not in known)
        self._running: set[int] = set()
        self._parallel = parallel

    @property
    def done(self) -> bool:
        return self.error is not None or not (self._waiting or self._running)

    @property
    def crc64(self) -> int:
        return combine_all((self._crcs[part.number], part.size_bytes) for part in self._plan.parts())

    def begin(self) -> list[Command]:
        commands: list[Command] = []
        while self._waiting and len(self._running) < self._parallel:
            part = self._waiting.popleft()
            self._running.add(part.number)
            commands.append(
                HashPart(number=part.number, offset=part.offset, size_bytes=part.size_bytes, with_md5=False)
            )
        return commands

    def handle(self, event: Event) -> list[Command]:
        match event:
            case PartHashed(number=number, crc64=crc64) if number in self._running:
                self._running.remove(number)
                self._crcs[number] = crc64
            case HashPartFailed(number=number, error=error) if number in self._running:
                self._running.remove(number)
                self.error = error
            case _:
                return []
        return [] if self.done else self.begin()
