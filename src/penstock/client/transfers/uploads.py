"""Uploads that are cut into parts, journaled, and can be gone on with."""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Any, TypedDict, Unpack

import msgspec

from penstock.client.calls.caller import Caller
from penstock.client.calls.options import ObjectOptions, check_traffic_limit, checked
from penstock.client.identity.settings import Settings
from penstock.client.running.journals import Journals, UnfinishedUpload
from penstock.client.running.registry import Registry
from penstock.client.running.transfer import Aftermath, Driver, Transfer
from penstock.client.sending.requester import Requester
from penstock.client.sending.workers import Workers
from penstock.client.transfers.driver import Journal
from penstock.client.transfers.part_source import FileParts, PartSource, UploadSource, part_source
from penstock.client.transfers.single_upload import SingleUpload
from penstock.client.transfers.upload_calls import UploadCalls
from penstock.client.transfers.upload_driver import UploadDriver
from penstock.errors import InvalidInput
from penstock.files.journal_file import JournalFile
from penstock.files.source import IDENTITY_IS_PROOF
from penstock.net.throttle import Bandwidth
from penstock.protocol.operations import OPERATIONS
from penstock.protocol.operations.multipart import InitiateMultipartUpload
from penstock.protocol.urls import OssUrl, is_oss_url, parse_url
from penstock.transfer import journal as records
from penstock.transfer import token as tokens
from penstock.transfer.events import CancelRequested, Event
from penstock.transfer.job import (
    Beginning,
    Fresh,
    FromJournal,
    FromKey,
    FromToken,
    UploadJob,
    UploadSettings,
    resumed_job,
)
from penstock.transfer.outcome import Outcome
from penstock.transfer.plan import AUTOMATIC_PART_BYTES, part_plan, suggested_parallel
from penstock.transfer.progress import Progress
from penstock.transfer.upload import UploadMachine

OnProgress = Callable[[Progress], None]


class ResumeOptions(TypedDict, total=False):
    """Keyword arguments of `Client.resume`."""

    parallel: int | None
    keep_matching: bool
    protect_target: bool
    journal: bool
    traffic_limit_bits_per_s: int | None
    progress: OnProgress | None


class UploadOptions(ObjectOptions, total=False):
    """Keyword arguments of `Client.upload`."""

    part_bytes: int | None
    parallel: int | None
    forbid_overwrite: bool
    protect_target: bool
    journal: bool
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
            journal: False keeps no journal: only `resume_token` or the key then lead back to the upload.
            progress: Called with a `Progress` as bytes are sent and acknowledged, on other threads.
            **options: See `ObjectOptions`.

        Returns:
            A handle: ``result()`` waits, ``abort()`` stops and keeps, ``cancel()`` stops and removes.

        Raises:
            InvalidInput, SourceUnreadable: Nothing was sent.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        parts = part_source(source, self._errands)
        try:
            url = _object_url(target, parts)
            fields = checked(options, url.key)
            plan = part_plan(parts.total_bytes, part_bytes)
            if parallel is not None and parallel < 1:
                raise InvalidInput(f"{parallel} parts at a time cannot be", advice="Give 1 or more.")
            ownership_token = secrets.token_hex(8)
            if part_bytes is None and parts.total_bytes <= AUTOMATIC_PART_BYTES:
                requester = self._requester.for_transfer()
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
            )
            settings = UploadSettings(
                parallel=parallel or suggested_parallel(plan),
                protect_target=protect_target,
                forbid_overwrite=forbid_overwrite,
                trust_identity=IDENTITY_IS_PROOF,
            )
            file = self._journals.create(job.job_id) if journal else None
        except BaseException:
            parts.close()
            raise
        return self._run(job, settings, Fresh(), parts, file, progress, traffic_limit_bits_per_s)

    def resume(
        self,
        what: str,
        source: UploadSource | None = None,
        *,
        parallel: int | None = None,
        keep_matching: bool = False,
        protect_target: bool = True,
        journal: bool = True,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnProgress | None = None,
    ) -> Transfer:
        """
        Go on with an upload that was stopped, under the same UploadId; only what OSS lacks is sent.

        Args:
            what: A resume token, or ``oss://bucket/key``. The journal of this user is asked first; without
                one, the unfinished upload is found at OSS and its parts are compared with the source by
                CRC-64.
            source: Where the bytes are; None takes the file that the journal names.
            keep_matching: True goes on although the source was changed, and sends again only the parts that
                differ.

        Raises:
            JournalLocked: Another process carries out this upload, and is named.
            InvalidInput: Nothing of that name is known, or the source has to be named.
            SourceUnreadable: The source cannot be read.

        Every other refusal is the transfer's result: `SourceChanged`, `TargetChanged`, `UploadLost`.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        path, beginning = self._beginning(what)
        parts = part_source(_named_source(what, source, beginning), self._errands)
        file: JournalFile | None = None
        try:
            if path is not None:
                file, view = self._journals.open(path)
                beginning = FromJournal(view)
            job = self._resumed_job(what, beginning, parts)
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
        return self._run(job, settings, beginning, parts, file, progress, traffic_limit_bits_per_s)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """
        The transfers, of all kinds and endpoints, that journals of this user tell of.

        Unreadable journals are left out.
        """
        return self._journals.unfinished()

    def cancel_upload(self, what: str) -> Outcome:
        """
        Make OSS forget an unfinished upload that no process carries out, and remove its journal.

        Works while requests are disabled.

        Args:
            what: As in `resume`.

        Returns:
            How it ended; ``clean_up`` is ``verified``, ``pending`` or ``failed``.

        Raises:
            JournalLocked: A process carries it out; abort it there.
        """
        return self._without_source(what, CancelRequested(), resolve_only=False)

    def resolve_upload(self, what: str) -> Outcome:
        """
        Find out what became of an upload whose Complete was not answered; nothing is sent but questions.

        Args:
            what: As in `resume`.

        Returns:
            ``committed`` is ``yes`` or ``no``, told by the upload and the object themselves. It stays
            ``unknown`` only if the evidence could not be had. An upload that is gone without leaving our
            object ends with `UploadLost`.

        Raises:
            JournalLocked: A process carries it out.
        """
        return self._without_source(what, None, resolve_only=True)

    # --- how

    def _beginning(self, what: str, *, to_cancel: bool = False) -> tuple[Path | None, Beginning]:
        """The journal, if there is one, and what else is known."""
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
        return (known.path, FromJournal(known.view)) if known else (None, FromKey())

    def _without_source(self, what: str, first: Event | None, *, resolve_only: bool) -> Outcome:
        """Run the machine of an upload to an end for which its bytes are not needed."""
        path, beginning = self._beginning(what, to_cancel=first is not None)
        file: JournalFile | None = None
        if path is not None:
            file, view = self._journals.open(path)
            beginning = FromJournal(view)
        empty = part_source(b"", self._errands)
        job = self._resumed_job(what, beginning, empty)
        job = msgspec.structs.replace(job, total_bytes=_total_bytes(beginning))
        machine = UploadMachine(job, UploadSettings(), beginning, resolve_only=resolve_only)
        return self._driver(self._requester, machine, job, empty, file, None, None).run(first)

    def _resumed_job(self, what: str, beginning: Beginning, parts: PartSource) -> UploadJob:
        match beginning:
            case FromJournal(view=view):
                return resumed_job(view.intent, parts.identity, parts.total_bytes)
            case FromToken(token=token):
                return UploadJob(
                    job_id=token.job_id,
                    endpoint=token.endpoint,
                    region=token.region,
                    bucket=token.bucket,
                    key=token.key,
                    source=parts.identity,
                    total_bytes=parts.total_bytes,
                    part_bytes=token.part_bytes,
                )
        url = parse_url(what)
        return UploadJob(
            job_id=secrets.token_hex(12),
            endpoint=str(self.settings.endpoint),
            region=self.settings.region,
            bucket=url.bucket,
            key=url.key,
            source=parts.identity,
            total_bytes=parts.total_bytes,
        )

    def _run(
        self,
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
        requester = self._requester.for_transfer()
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


def _object_url(target: str, parts: PartSource) -> OssUrl:
    url = parse_url(target)
    if not url.bucket:
        raise InvalidInput(f"{target!r} names no bucket", advice="A target looks like oss://bucket/key.")
    if not url.names_prefix:
        return url
    if not isinstance(parts, FileParts) or parts.identity is None:
        raise InvalidInput(
            f"{target!r} ends in a folder, and the source has no name",
            advice="Name the object: oss://bucket/key.",
        )
    return parse_url(f"oss://{url.bucket}/{url.key}{PurePath(parts.identity.path).name}")


def _named_source(what: str, source: UploadSource | None, beginning: Beginning) -> UploadSource:
    if source is not None:
        return source
    if isinstance(beginning, FromJournal) and beginning.view.intent.source is not None:
        return beginning.view.intent.source.path
    raise InvalidInput(
        f"where the bytes of {what[:80]} come from is not known here",
        advice="Name the source: client.resume(what, source).",
    )


def journaled_options(url: OssUrl, fields: dict[str, Any], ownership_token: str) -> records.ObjectOptions:
    """What Initiate shall say, as headers: they mean the same to any later version."""
    request = InitiateMultipartUpload(bucket=url.bucket, key=url.key, **fields)
    headers = dict(OPERATIONS.of(request).to_wire(request).headers)
    content_type = headers.pop("content-type", None)
    plain = {name: text for name, text in headers.items() if not name.startswith("x-oss-meta-")}
    return records.ObjectOptions(
        content_type=content_type,
        headers=plain,
        metadata=dict(request.metadata),
        ownership_token=ownership_token,
    )


def _total_bytes(beginning: Beginning) -> int:
    match beginning:
        case FromJournal(view=view):
            return view.intent.total_bytes
        case FromToken(token=token):
            return token.total_bytes
    return 0
