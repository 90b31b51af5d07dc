"""The requests of a download: commands in, events out, errors told and never raised."""

from __future__ import annotations

from collections.abc import Callable

from penstock.client.sending.requester import Requester
from penstock.client.transfers.object_parts import check_range
from penstock.client.transfers.upload_calls import is_final
from penstock.errors import STOPPED_IN_FLIGHT, Aborted, ConnectionLost, PenstockError
from penstock.net.latch import Latch, Tripped
from penstock.protocol.crc64 import crc64
from penstock.protocol.operations.headers import ObjectDescription
from penstock.protocol.operations.objects import GetObject
from penstock.protocol.urls import OssUrl
from penstock.transfer import commands as do
from penstock.transfer import events as on

BLOCK_BYTES = 512 * 1024
"""So much is collected before it is written: large enough for speed, small enough to stay in the cache."""

Write = Callable[[int, memoryview], None]


class DownloadCalls:
    """
    Fetches ranges of one object.

    Args:
        requester: Carries out calls.
        url: The object.
        version_id: The version that was asked for, or an empty string.
        traffic_limit_bits_per_s: Speed that OSS allows each range.
    """

    def __init__(
        self,
        requester: Requester,
        url: OssUrl,
        version_id: str,
        *,
        traffic_limit_bits_per_s: int | None = None,
    ) -> None:
        self._requester = requester
        self._url = url
        self._version_id = version_id
        self._traffic_limit = traffic_limit_bits_per_s

    def fetch(
        self, command: do.FetchRange, write: Write, latch: Latch, on_received: Callable[[int], None]
    ) -> on.Event:
        """
        What comes of fetching a range.

        Args:
            write: Takes bytes and where in the object they belong.
            on_received: Called with the bytes of this range that have come so far.
        """
        try:
            whole_crc64 = self._fetch(command, write, latch, on_received)
        except Tripped as tripped:
            return on.RangeFailed(number=command.number, error=self.stopped(tripped.reason), is_final=False)
        except PenstockError as error:
            return on.RangeFailed(number=command.number, error=error, is_final=is_final(error))
        return on.RangeFetched(number=command.number, size_bytes=command.size_bytes, crc64=whole_crc64)

    def stopped(self, reason: str) -> Aborted:
        """The error of work that was stopped."""
        return Aborted(
            f"the download of {self._url} was stopped ({reason})", code=STOPPED_IN_FLIGHT, reason=reason
        )

    def _fetch(
        self, command: do.FetchRange, write: Write, latch: Latch, on_received: Callable[[int], None]
    ) -> int:
        total = 0
        received = 0
        buffer = memoryview(bytearray(min(BLOCK_BYTES, command.size_bytes)))
        response, found = self._requester.open(self._request(command), ObjectDescription, latch)
        try:
            check_range(found, command.size_bytes, str(self._url))
            while received < command.size_bytes:
                block = buffer[: min(len(buffer), command.size_bytes - received)]
                filled = 0
                while filled < len(block):
                    count = response.readinto(block[filled:])
                    if not count:
                        raise self._cut_short(received + filled, command.size_bytes)
                    filled += count
                    on_received(received + filled)
                total = crc64(block, total)
                write(command.offset + received, block)
                received += len(block)
        finally:
            response.close()
        return total

    def _request(self, command: do.FetchRange) -> GetObject:
        last = command.offset + command.size_bytes - 1
        return GetObject(
            bucket=self._url.bucket,
            key=self._url.key,
            range=None if command.whole else f"bytes={command.offset}-{last}",
            range_behavior=None if command.whole else "standard",
            if_match=f'"{command.etag}"',
            version_id=self._version_id or None,
            traffic_limit=self._traffic_limit,
            # An answer packed by a proxy has neither the length nor the CRC-64 of the object.
            accept_encoding="identity",
        )

    def _cut_short(self, received_bytes: int, size_bytes: int) -> ConnectionLost:
        return ConnectionLost(
            f"{received_bytes} bytes of a range of {self._url} came, {size_bytes} were announced",
            advice="Resume the download.",
        )
