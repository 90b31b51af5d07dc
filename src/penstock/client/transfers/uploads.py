"""Uploads that are cut into parts, journaled, and can be gone on with."""

from __future__ import annotations

import secrets
import time
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypedDict, Unpack

import msgspec

from penstock.client.calls.caller import Caller
from penstock.client.calls.options import ObjectOptions, check_traffic_limit, checked
from penstock.client.identity.settings import Settings
from penstock.client.running.journals import Journals, UnfinishedUpload
from penstock.client.running.registry import Registry
from penstock.client.running.transfer import Aftermath, Driver, Transfer
from penstock.client.sending.requester import Requester
from penstock.client.sending.workers import Workers
from penstock.client.transfers.driver import Journal, carried_out
from penstock.client.transfers.part_source import PartSource, UploadSource, part_source
from penstock.client.transfers.single_upload import SingleUpload
from penstock.client.transfers.upload_calls import UploadCalls
from penstock.client.transfers.upload_driver import UploadDriver
from penstock.client.transfers.upload_job import (
    begun_job,
    journaled_options,
    known_source,
    known_total_bytes,
    target_url,
)
from penstock.errors import InvalidInput
from penstock.files.journal_file import JournalFile
from penstock.files.source import IDENTITY_IS_PROOF
from penstock.net.throttle import Bandwidth
from penstock.protocol.urls import is_oss_url, parse_url
from penstock.transfer import token as tokens
from penstock.transfer.events import Event
from penstock.transfer.job import (
    Beginning,
    Fresh,
    FromJournal,
    FromKey,
    FromToken,
    UploadJob,
    UploadSettings,
)
from penstock.transfer.journal import EndKind
from penstock.transfer.outcome import Outcome
from penstock.transfer.plan import AUTOMATIC_PART_BYTES, part_plan, suggested_parallel
from penstock.transfer.progress import Progress
from penstock.transfer.upload import UploadMachine

_ENDING_S = 1.0
"""How long a transfer that was told to stop may take to be quiet; it is within milliseconds."""

OnProgress = Callable[[Progress], None]


class ResumeOptions(TypedDict, total=False):
    """Keyword arguments of `Client.resume`."""

    parallel: int | None
    keep_matching: bool
    protect_target: bool
    journal: bool
    bandwidth_limit_bytes_s: float | None
    traffic_limit_bits_per_s: int | None
    progress: OnProgress | None


class UploadOptions(ObjectOptions, total=False):
    """Keyword arguments of `Client.upload`."""

    part_bytes: int | None
    parallel: int | None
    forbid_overwrite: bool
    protect_target: bool
    journal: bool
    bandwidth_limit_bytes_s: float | None
    traffic_limit_bits_per_s: int | None
    progress: OnProgress | None


class UploadTransfers(Caller):
    """Begin, resume and find uploads."""

    settings: Settings
    _journals: Journals
    _part_workers: Workers
    _registry: Registry
    _transfers: weakref.WeakSet[Transfer]

    def upload(
        self,
        source: UploadSource,
        target: str,
        *,
        part_bytes: int | None = None,
        parallel: int | None = None,
        forbid_overwrite: bool = False,
        protect_target: bool = True,
        journal: bool = True,
        bandwidth_limit_bytes_s: float | None = None,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnProgress | None = None,
        **options: Unpack[ObjectOptions],
    ) -> Transfer:
        """
        Begin an upload of any size; it goes on in the background, several parts at a time.

        It can be stopped at any time and gone on with under the same UploadId, in this process or another
        one, even after a kill: what it does is journaled in the user's state directory. Only what OSS does
        not have is sent again.

        Args:
            source: A path (text is a path), bytes, or a file open for reading that can seek.
            target: ``oss://bucket/key``; a key that ends in ``/`` gets the file's name appended.
            part_bytes: 100 KiB to 5 GiB; by default 8 MiB, and more where that would make over 10,000
                parts. A source of at most 8 MiB is sent in a single request unless this is given.
            parallel: Parts sent at the same time; 4 by default, fewer for large parts.
            forbid_overwrite: True refuses to replace an object.
            protect_target: True refuses to replace what somebody else wrote to the key since the start.
            journal: False keeps no journal: only `Transfer.resume_token` or the key then lead back.
            bandwidth_limit_bytes_s: How fast its bytes may flow; see `Transfer.bandwidth_limit_bytes_s`.
            traffic_limit_bits_per_s: Speed that OSS allows each request.
            progress: Called with a `Progress` as bytes are sent and acknowledged, on other threads.
            **options: See `ObjectOptions`.

        Returns:
            A handle: ``result()`` waits, ``abort()`` stops and keeps, ``cancel()`` stops and removes.

        Raises:
            InvalidInput, SourceUnreadable: Nothing was sent.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        requester = self._limited(bandwidth_limit_bytes_s)
        parts = part_source(source, self._errands)
        try:
            url = target_url(target, parts)
            fields = checked(options, url.key)
            plan = part_plan(parts.total_bytes, part_bytes)
            if parallel is not None and parallel < 1:
                raise InvalidInput(f"{parallel} parts at a time cannot be", advice="Give 1 or more.")
            ownership_token = secrets.token_hex(8)
            if part_bytes is None and parts.total_bytes <= AUTOMATIC_PART_BYTES:
                single = SingleUpload(
                    requester,
                    parts,
                    url,
                    fields,
                    ownership_token,
                    requester.latch(),
                    forbid_overwrite=forbid_overwrite,
                    on_progress=progress,
                    traffic_limit_bits_per_s=traffic_limit_bits_per_s,
                )
                return self._started(str(url), single, single, requester.bandwidth)
            job = UploadJob(
                job_id=secrets.token_hex(12),
                endpoint=str(self.settings.endpoint),
                region=self.settings.region,
                bucket=url.bucket,
                key=url.key,
                source=parts.identity,
                total_bytes=parts.total_bytes,
                part_bytes=part_bytes,
                options=journaled_options(url, fields, ownership_token),
                forbid_overwrite=forbid_overwrite,
            )
            settings = UploadSettings(
                parallel=parallel or suggested_parallel(plan),
                protect_target=protect_target,
                trust_identity=IDENTITY_IS_PROOF,
            )
            file = self._journals.create(job.job_id) if journal else None
        except BaseException:
            parts.close()
            raise
        return self._run(requester, job, settings, Fresh(), parts, file, progress, traffic_limit_bits_per_s)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """
        The transfers, of all kinds and endpoints, that journals of this user tell of.

        Unreadable journals are left out.
        """
        return self._journals.unfinished()

    @abstractmethod
    def cancel_upload(self, what: str) -> Outcome: ...

    @abstractmethod
    def resolve_upload(self, what: str) -> Outcome: ...

    # --- how

    def _resume_upload(
        self,
        what: str,
        path: Path | None,
        beginning: Beginning,
        source: UploadSource | None,
        *,
        parallel: int | None = None,
        keep_matching: bool = False,
        protect_target: bool = True,
        journal: bool = True,
        bandwidth_limit_bytes_s: float | None = None,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnProgress | None = None,
    ) -> Transfer:
        """Go on with an upload; the arguments are those of `resume`, and what was found out about it."""
        check_traffic_limit(traffic_limit_bits_per_s)
        requester = self._limited(bandwidth_limit_bytes_s)
        parts = part_source(known_source(what, source, beginning), self._errands)
        file: JournalFile | None = None
        try:
            if path is not None:
                file, view = self._journals.open(path)
                beginning = FromJournal(view)
            job = begun_job(what, beginning, parts, self.settings)
            if file is None and journal:
                file = self._journals.create(job.job_id)
        except BaseException:
            parts.close()
            if file is not None:
                file.close()
            raise
        settings = UploadSettings(
            parallel=parallel or suggested_parallel(part_plan(job.total_bytes, job.part_bytes)),
            protect_target=protect_target,
            keep_matching=keep_matching,
            trust_identity=IDENTITY_IS_PROOF,
        )
        return self._run(requester, job, settings, beginning, parts, file, progress, traffic_limit_bits_per_s)

    def _beginning(
        self, what: str, *, to_cancel: bool = False, by_journal: bool = False
    ) -> tuple[Path | None, Beginning]:
        """
        The journal, if there is one, and what else is known.

        Args:
            to_cancel: A transfer whose cancel is pending will do, too.
            by_journal: A transfer that a crash has cut off when all was made will do, too: nothing but its
                journal is asked for.
        """
        if not isinstance(what, str):
            raise InvalidInput(
                f"{what!r:.80} is neither a resume token nor an oss:// address",
                advice="A transfer whose resume_token is None left nothing to go on with: begin it again.",
            )
        if what.strip().startswith(tokens.PREFIX):
            token = tokens.decode(what)
            known = self._journals.of_job(token.job_id)
            return (known.path, FromJournal(known.view)) if known else (None, FromToken(token))
        if not is_oss_url(what):
            raise InvalidInput(
                f"{what[:80]!r} is neither a resume token nor an oss:// address",
                advice="`penstock uploads ls` lists what can be resumed.",
            )
        url = parse_url(what)
        if not url.bucket or not url.key:
            raise InvalidInput(f"{what[:80]!r} names no object", advice="Name it: oss://bucket/key.")
        target = (str(self.settings.endpoint), url.bucket, url.key)
        known = self._journals.of_target(*target)
        if known is None and to_cancel:
            known = self._journals.of_pending_cancel(*target)
        if known is None and by_journal:
            known = self._journals.of_target(*target, EndKind.COMMITTED)
        if known is not None:
            return known.path, FromJournal(known.view)
        return None, FromKey(except_for=self._journals.cancelled_uploads(*target))

    def _let_end(self, what: str) -> None:
        """
        Wait until transfers of this process that are meant, and were told to stop, have ended.

        It takes them milliseconds, and only then do their journals say all, and are free.
        """
        if not isinstance(what, str):
            return
        for transfer in {*self._transfers, *self._registry.running()}:
            if transfer.stopping and not transfer.done() and _is_meant(transfer, what.strip()):
                with suppress(TimeoutError):
                    transfer.outcome(_ENDING_S)

    def _without_source(
        self, what: str, path: Path | None, beginning: Beginning, first: Event | None, *, resolve_only: bool
    ) -> Outcome:
        """Run the machine of an upload to an end for which its bytes are not needed."""
        file: JournalFile | None = None
        try:
            if path is not None:
                file, view = self._journals.open(path)
                beginning = FromJournal(view)
            empty = part_source(b"", self._errands)
            job = begun_job(what, beginning, empty, self.settings)
            job = msgspec.structs.replace(job, total_bytes=known_total_bytes(beginning))
            machine = UploadMachine(job, UploadSettings(), beginning, resolve_only=resolve_only)
        except BaseException:
            if file is not None:
                file.close()
            raise
        return carried_out(self._driver(self._requester, machine, job, empty, file, None, None), first)

    def _limited(self, bandwidth_limit_bytes_s: float | None) -> Requester:
        """What one transfer sends its requests with, at a speed of its own."""
        requester = self._requester.for_transfer()
        requester.bandwidth.bytes_s = bandwidth_limit_bytes_s
        return requester

    def _run(
        self,
        requester: Requester,
        job: UploadJob,
        settings: UploadSettings,
        beginning: Beginning,
        parts: PartSource,
        file: JournalFile | None,
        progress: OnProgress | None,
        traffic_limit_bits_per_s: int | None,
    ) -> Transfer:
        try:
            machine = UploadMachine(job, settings, beginning)
        except BaseException:
            parts.close()
            if file is not None:
                file.close()
            raise
        driver = self._driver(requester, machine, job, parts, file, progress, traffic_limit_bits_per_s)
        name = f"oss://{job.bucket}/{job.key}"
        return self._started(name, driver, self, requester.bandwidth, job.job_id)

    def _driver(
        self,
        requester: Requester,
        machine: UploadMachine,
        job: UploadJob,
        parts: PartSource,
        journal: Journal | None,
        progress: OnProgress | None,
        traffic_limit_bits_per_s: int | None,
    ) -> UploadDriver:
        calls = UploadCalls(requester, job.bucket, job.key, traffic_limit_bits_per_s=traffic_limit_bits_per_s)
        return UploadDriver(
            machine,
            calls,
            parts,
            journal,
            self._part_workers,
            requester.latch(),
            now=lambda: int(time.time()),
            on_progress=progress,
        )

    def _started(
        self,
        name: str,
        driver: Driver,
        aftermath: Aftermath,
        bandwidth: Bandwidth | None = None,
        transfer_id: str | None = None,
    ) -> Transfer:
        transfer = Transfer(
            name, driver, aftermath, bandwidth, transfer_id=transfer_id, shown_by=self._registry.shown
        )
        self._transfers.add(transfer)
        return transfer

    def clean_up(self, ended: Outcome) -> Outcome:
        """Make OSS forget what a transfer left that has ended."""
        return self.cancel_upload(ended.resume_token) if ended.resume_token else ended

    def resolved(self, ended: Outcome) -> Outcome:
        """What became of a transfer that ended in doubt."""
        return self.resolve_upload(ended.resume_token) if ended.resume_token else ended


def _is_meant(transfer: Transfer, what: str) -> bool:
    """Whether a token, or an address, may be that of a running transfer."""
    if what.startswith(tokens.PREFIX):
        return transfer.transfer_id == tokens.decode(what).job_id
    return what in transfer.name.split(" -> ")
