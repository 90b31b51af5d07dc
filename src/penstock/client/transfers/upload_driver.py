"""Carries out what an upload machine decides: parts are read from a source, and sent."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from penstock.client.sending.workers import Workers
from penstock.client.transfers.driver import Journal, TransferDriver
from penstock.client.transfers.part_source import PartSource
from penstock.client.transfers.upload_calls import UploadCalls
from penstock.errors import PenstockError, SourceError
from penstock.net.latch import Latch, Tripped
from penstock.protocol.crc64 import crc64
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.progress import Progress
from penstock.transfer.upload import UploadMachine


class UploadDriver(TransferDriver):
    """
    Runs one upload machine, or one copy machine, to its end.

    Args:
        machine: What decides.
        calls: What speaks to OSS.
        source: The bytes.
        journal, workers, latch, now, on_progress: See `TransferDriver`.
    """

    def __init__(
        self,
        machine: UploadMachine,
        calls: UploadCalls,
        source: PartSource,
        journal: Journal | None,
        workers: Workers,
        latch: Latch,
        *,
        now: Callable[[], int],
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        super().__init__(machine, journal, workers, latch, now=now, on_progress=on_progress)
        self._calls = calls
        self._source = source

    def _let_go(self) -> None:
        self._source.close()

    def _work_of(self, command: do.Command) -> Callable[[Latch], on.Event]:
        match command:
            case do.SendPart():
                return lambda latch: self._send_part(command, latch)
            case do.HashPart():
                return lambda latch: self._hash_part(command, latch)
            case do.InspectSource():
                return self._inspect_source
            case _:
                return lambda latch: self._calls.answer(command, latch)

    def _send_part(self, command: do.SendPart, latch: Latch) -> on.Event:
        number = command.number
        body = self._source.part(command.offset, command.size_bytes)

        def sent(so_far: int) -> None:
            self._note_moved(number, so_far)

        try:
            return self._calls.send_part(command, body, latch, sent)
        finally:
            self._moved.pop(number, None)

    def _hash_part(self, command: do.HashPart, latch: Latch) -> on.Event:
        total = 0
        digest = hashlib.md5() if command.with_md5 else None
        try:
            for block in self._source.part(command.offset, command.size_bytes).blocks(latch):
                total = crc64(block, total)
                if digest is not None:
                    digest.update(block)
        except SourceError as error:
            return on.HashPartFailed(number=command.number, error=error)
        except Tripped as tripped:
            return on.HashPartFailed(number=command.number, error=self._calls.stopped(tripped.reason))
        md5 = digest.hexdigest().upper() if digest is not None else ""
        return on.PartHashed(number=command.number, crc64=total, md5=md5)

    def _inspect_source(self, latch: Latch) -> on.Event:
        try:
            return on.SourceInspected(source=self._source.now(latch))
        except PenstockError as error:
            return on.InspectSourceFailed(error=error)
