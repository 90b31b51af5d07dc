"""Copies from standard input and to standard output: one request, and nothing that could be gone on with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from penstock.cli.copy_job import Copied, CopyOptions
from penstock.cli.standard_streams import open_standard_input
from penstock.errors import STOPPED_IN_FLIGHT, Aborted
from penstock.protocol.urls import OssUrl
from penstock.transfer.progress import Progress

if TYPE_CHECKING:
    from penstock.client.client import Client

_READ_BYTES = 1024 * 1024


@dataclass(slots=True)
class StreamUploadJob:
    """Standard input to an object, in one request; nothing of it can be resumed."""

    url: OssUrl
    options: CopyOptions
    name: str = "-"
    source: str = "-"
    size_bytes: int = 0
    sent_bytes: int = 0

    @property
    def target(self) -> str:
        return str(self.url)

    @property
    def progress(self) -> Progress:
        return Progress(total_bytes=max(self.sent_bytes, 1), in_flight_bytes=self.sent_bytes)

    @property
    def kept_token(self) -> str | None:
        return None

    def would_be_skipped(self, client: Client) -> bool:
        return False

    def run(self, client: Client) -> Copied:
        with open_standard_input() as stream:
            stored = client.put_object(
                self.url.bucket,
                self.url.key,
                stream,
                forbid_overwrite=self.options.forbid_overwrite or None,
                progress=self._note,
                **self.options.object_options,
            )
        return Copied(source="-", target=self.target, size_bytes=self.sent_bytes, crc64=stored.crc64)

    def _note(self, sent: int, total: int | None) -> None:
        self.sent_bytes = sent


@dataclass(slots=True)
class StreamDownloadJob:
    """An object to an open stream."""

    url: OssUrl
    stream: BinaryIO
    name: str = "-"
    target: str = "-"
    size_bytes: int = 0
    received_bytes: int = 0

    @property
    def source(self) -> str:
        return str(self.url)

    @property
    def progress(self) -> Progress:
        return Progress(
            total_bytes=max(self.size_bytes, self.received_bytes), acknowledged_bytes=self.received_bytes
        )

    @property
    def kept_token(self) -> str | None:
        return None

    def would_be_skipped(self, client: Client) -> bool:
        return False

    def run(self, client: Client) -> Copied:
        # Imported when it is needed, as the client is.
        from penstock.client.sending.scope import scopes_around
        from penstock.net.errand import Errands
        from penstock.net.latch import Latch, Tripped

        buffer = memoryview(bytearray(_READ_BYTES))
        errands, latch = Errands(1, "penstock-output"), Latch(*scopes_around())
        with client.get_object(self.url.bucket, self.url.key) as body:
            self.size_bytes = body.content_bytes or 0
            while count := body.readinto(buffer):
                try:
                    # Whoever reads our output may have stopped reading, and a stop does not wait for that.
                    errands.run(partial(self.stream.write, buffer[:count]), latch, None)
                except Tripped as tripped:
                    raise self._aborted(tripped.reason) from None
                self.received_bytes += count
        self.stream.flush()
        crc64 = body.description.crc64
        return Copied(source=self.source, target="-", size_bytes=self.received_bytes, crc64=crc64)

    def _aborted(self, reason: str) -> Aborted:
        return Aborted(
            f"{self.source} was stopped after {self.received_bytes:,} bytes ({reason})",
            code=STOPPED_IN_FLIGHT,
            reason=reason,
            advice="Standard output cannot be gone on with: begin again.",
        )
