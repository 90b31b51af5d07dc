"""Groups of transfers for asyncio."""

from __future__ import annotations

import asyncio
import os
from types import TracebackType
from typing import Self, Unpack

from penstock.client.aio_transfer import AsyncTransfer, began
from penstock.client.sending.outcome import Outcome
from penstock.client.transfers.copies import CopyOptions
from penstock.client.transfers.downloads import DownloadOptions
from penstock.client.transfers.group import Group, raise_first
from penstock.client.transfers.part_source import UploadSource
from penstock.client.transfers.uploads import ResumeOptions, UploadOptions
from penstock.transfer.outcome import CleanUp, Stored
from penstock.transfer.progress import Progress


class AsyncGroup:
    """
    As `Group`, awaited. Made by `AsyncClient.group`; best used as an asynchronous context manager.

    Cancelling a task that waits for the group aborts all of it; the task ends when all is quiet.
    """

    def __init__(self, group: Group) -> None:
        self._group = group

    async def upload(
        self, source: UploadSource, target: str, **options: Unpack[UploadOptions]
    ) -> AsyncTransfer:
        """As `Group.upload`."""
        return await began(lambda: self._group.upload(source, target, **options))

    async def download(
        self, source: str, path: str | os.PathLike[str], **options: Unpack[DownloadOptions]
    ) -> AsyncTransfer:
        """As `Group.download`."""
        return AsyncTransfer(self._group.download(source, path, **options))

    async def copy(self, source: str, target: str, **options: Unpack[CopyOptions]) -> AsyncTransfer:
        """As `Group.copy`."""
        return AsyncTransfer(self._group.copy(source, target, **options))

    async def resume(
        self, what: str, source: UploadSource | None = None, **options: Unpack[ResumeOptions]
    ) -> AsyncTransfer:
        """As `Group.resume`."""
        return AsyncTransfer(self._group.resume(what, source, **options))

    def abort(self, reason: str = "abort") -> None:
        """As `Group.abort`; it does not wait, so it is not awaited."""
        self._group.abort(reason)

    def drain(self, timeout_s: float = 30.0) -> None:
        """As `Group.drain`; it does not wait, so it is not awaited."""
        self._group.drain(timeout_s)

    async def cancel(self, timeout_s: float | None = 60.0) -> CleanUp:
        """As `Group.cancel`."""
        return await asyncio.to_thread(self._group.cancel, timeout_s)

    async def outcomes(self) -> list[Outcome[Stored]]:
        """As `Group.outcomes`, without a time-out of its own."""
        try:
            for transfer in self.transfers:
                await transfer.outcome()
        except asyncio.CancelledError:
            self._group.abort("cancelled")
            await self.wait_until_quiet()
            raise
        return self._group.outcomes(0)

    @property
    def transfers(self) -> list[AsyncTransfer]:
        """As `Group.transfers`."""
        return [AsyncTransfer(transfer) for transfer in self._group.transfers]

    @property
    def progress(self) -> Progress:
        """As `Group.progress`."""
        return self._group.progress

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        """As `Group.bandwidth_limit_bytes_s`."""
        return self._group.bandwidth_limit_bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self._group.bandwidth_limit_bytes_s = bytes_s

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._group.abort("exception")
            await self.wait_until_quiet()
            return
        raise_first(await self.outcomes())

    async def wait_until_quiet(self) -> None:
        """Wait until all have ended, however they did; cancelling the task does not cut this short."""
        for transfer in self.transfers:
            await transfer.wait_until_quiet()
