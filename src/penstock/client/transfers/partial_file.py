"""What a download does on this machine's disk: commands in, events out, errors told and never raised."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from penstock.client.sending.readahead import Fill, read_ahead
from penstock.errors import Aborted, InvalidInput, PenstockError, TransferError
from penstock.files.source import SourceFile
from penstock.files.target import DownloadTarget
from penstock.net.errand import Errands
from penstock.net.latch import Latch, Tripped
from penstock.protocol.crc64 import crc64
from penstock.transfer import commands as do
from penstock.transfer import events as on

READ_BYTES = 256 * 1024


class PartialFile:
    """
    The file that a download makes, and what has come of it so far.

    Syncing and reading may hang with the disk: they run as errands, which a stop leaves behind.

    Args:
        path: Where the file goes.
        job_id: Tells the partial file from those of other downloads.
        errands: Where blocking calls are done.
        keep: It is to be found again by the job after a stop; else nothing of it is.
    """

    def __init__(self, path: Path, job_id: str, errands: Errands, *, keep: bool) -> None:
        self._path = path
        self._job_id = job_id
        self._errands = errands
        self._keep = keep
        self._target: DownloadTarget | None = None

    def answer(self, command: do.Command, latch: Latch) -> on.Event:
        """What comes of a command that needs no network."""
        match command:
            case do.OpenPartial():
                return self._open(command)
            case do.HashPart():
                return self._hash_part(command, latch)
            case do.SyncPartial():
                return self._sync(latch)
            case do.Publish():
                return self._publish(command, latch)
            case do.HashPublished():
                return self._hash_published(latch)
            case do.DiscardPartial():
                return self._discard()
        raise AssertionError(f"{type(command).__name__} needs the network")

    def write(self, offset: int, data: memoryview) -> None:
        """
        Put bytes into the partial file.

        Raises:
            TransferError: The disk refused: it is full, say.
        """
        self._opened.write_at(offset, data)

    def close(self) -> None:
        """Let go of the partial file, and keep it if it is to be kept."""
        if self._target is None:
            return
        if self._keep:
            self._target.close()
        else:
            with suppress(OSError):  # the next download of the same file removes it
                self._target.discard()

    @property
    def _opened(self) -> DownloadTarget:
        assert self._target is not None, "the partial file was opened before"
        return self._target

    def _open(self, command: do.OpenPartial) -> on.Event:
        try:
            if command.create and not self._keep:
                self._target = DownloadTarget.create(self._path)
            elif command.create:
                self.close()
                self._target = DownloadTarget.begin(self._path, self._job_id, command.total_bytes)
            else:
                self._target = DownloadTarget.reopen(self._path, self._job_id)
        except (InvalidInput, TransferError) as error:
            return on.OpenPartialFailed(error=error)
        if self._target is None:
            return on.PartialMissing()
        return on.PartialOpened(size_bytes=self._target.size_bytes)

    def _hash_part(self, command: do.HashPart, latch: Latch) -> on.Event:
        target = self._opened
        try:
            found = self._crc64(
                lambda position, buffer: target.read_at(command.offset + position, buffer),
                command.size_bytes,
                latch,
            )
        except Tripped as tripped:
            return on.HashPartFailed(number=command.number, error=self._stopped(tripped.reason))
        except PenstockError as error:
            return on.HashPartFailed(number=command.number, error=error)
        return on.PartHashed(number=command.number, crc64=found)

    def _sync(self, latch: Latch) -> on.Event:
        try:
            self._errands.run(self._opened.sync, latch, None)
        except Tripped as tripped:
            return on.SyncPartialFailed(error=self._stopped(tripped.reason))
        except TransferError as error:
            return on.SyncPartialFailed(error=error)
        return on.PartialSynced()

    def _publish(self, command: do.Publish, latch: Latch) -> on.Event:
        try:
            self._errands.run(self._opened.sync, latch, None)
            latch.check()
            # From here on a stop comes too late: the name is given, and brought to disk.
            self._opened.publish(command.total_bytes)
        except Tripped as tripped:
            return on.PublishFailed(error=self._stopped(tripped.reason))
        except TransferError as error:
            return on.PublishFailed(error=error)
        return on.Published()

    def _hash_published(self, latch: Latch) -> on.Event:
        if not self._path.exists():
            return on.PublishedMissing()
        try:
            with SourceFile.open(self._path) as file:
                size_bytes = file.identity.size_bytes
                found = self._crc64(file.read_at, size_bytes, latch)
        except Tripped as tripped:
            return on.HashPublishedFailed(error=self._stopped(tripped.reason))
        except PenstockError as error:
            return on.HashPublishedFailed(error=error)
        return on.PublishedHashed(size_bytes=size_bytes, crc64=found)

    def _discard(self) -> on.Event:
        if not self._keep:
            return self._discard_unkept()
        self.close()
        try:
            was_there = DownloadTarget.discard_job(self._path, self._job_id)
        except TransferError as error:
            return on.DiscardPartialFailed(error=error)
        return on.PartialDiscarded(was_there=was_there)

    def _discard_unkept(self) -> on.Event:
        if self._target is None:
            return on.PartialDiscarded(was_there=False)
        try:
            self._target.discard()
        except OSError as error:
            refused = TransferError(
                f"what was fetched for {self._path} could not be removed: {error.strerror or error}",
                advice=f"Remove {self._target.temporary}, or download the file again.",
            )
            return on.DiscardPartialFailed(error=refused)
        return on.PartialDiscarded(was_there=True)

    def _crc64(self, fill: Fill, size_bytes: int, latch: Latch) -> int:
        total = 0
        for block in read_ahead(fill, size_bytes, READ_BYTES, self._errands, latch):
            total = crc64(block, total)
        return total

    def _stopped(self, reason: str) -> Aborted:
        return Aborted(f"the download to {self._path} was stopped ({reason})", reason=reason)
