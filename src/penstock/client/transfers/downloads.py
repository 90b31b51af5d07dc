"""Downloads in ranges that are journaled, and can be gone on with."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TypedDict

import msgspec

from penstock.client.calls.options import check_traffic_limit
from penstock.client.running.transfer import Transfer
from penstock.client.sending.requester import Requester
from penstock.client.transfers.download_calls import DownloadCalls
from penstock.client.transfers.download_driver import DownloadDriver
from penstock.client.transfers.driver import Journal, carried_out
from penstock.client.transfers.object_parts import ObjectParts
from penstock.client.transfers.partial_file import PartialFile
from penstock.client.transfers.upload_calls import target_state
from penstock.client.transfers.uploads import OnProgress, ResumeOptions, UploadTransfers
from penstock.errors import InvalidInput, JournalUnreadable
from penstock.files.target import check_target, real_path
from penstock.protocol.urls import OssUrl, parse_url
from penstock.transfer.download import DownloadMachine
from penstock.transfer.events import CancelRequested
from penstock.transfer.job import DownloadJob, DownloadSettings, Fresh, FromJournal
from penstock.transfer.journal import Intent
from penstock.transfer.outcome import Outcome
from penstock.transfer.plan import AUTOMATIC_PART_BYTES, part_plan, suggested_parallel


class DownloadOptions(TypedDict, total=False):
    """Keyword arguments of `Client.download`."""

    version_id: str | None
    resume: bool
    part_bytes: int | None
    parallel: int | None
    journal: bool
    bandwidth_limit_bytes_s: float | None
    traffic_limit_bits_per_s: int | None
    progress: OnProgress | None


class DownloadTransfers(UploadTransfers):
    """Begin, resume and remove downloads."""

    def download(
        self,
        source: str,
        path: str | os.PathLike[str],
        *,
        version_id: str | None = None,
        resume: bool = False,
        part_bytes: int | None = None,
        parallel: int | None = None,
        journal: bool = True,
        bandwidth_limit_bytes_s: float | None = None,
        traffic_limit_bits_per_s: int | None = None,
        progress: OnProgress | None = None,
    ) -> Transfer:
        """
        Begin to download an object of any size; it goes on in the background, several ranges at a time.

        The file appears under its name when it is complete and its CRC-64 was compared with that of the
        object; until then a file that was there before stays as it is. It can be stopped at any time and
        gone on with, in this process or another one, even after a kill: what has come lies beside the file,
        and what of it can be trusted is journaled in the user's state directory. Every range is bound to the
        ETag that the object has now.

        Args:
            source: ``oss://bucket/key``. It is looked at before this returns.
            path: The file to be made; in a directory it gets the last part of the key as its name.
            version_id: A version of the object, instead of the present one.
            resume: True goes on with an unfinished download of the same object to the same file, if there is
                one.
            part_bytes: Length of a range, 100 KiB to 5 GiB; by default 8 MiB, and more where that would make
                over 10,000 ranges. An object of at most 8 MiB is fetched in a single request, and nothing of
                it is kept after a stop, unless this is given.
            parallel: Ranges that are fetched at the same time; 4 by default, fewer for large ranges.
            journal: False keeps nothing after a stop.
            bandwidth_limit_bytes_s: How fast its bytes may flow; see `Transfer.bandwidth_limit_bytes_s`.
            traffic_limit_bits_per_s: Speed that OSS allows each range.
            progress: Called with a `Progress` as bytes come, on other threads.

        Returns:
            A handle: ``result()`` waits, ``abort()`` stops and keeps, ``cancel()`` stops and removes.

        Raises:
            NoSuchKey: There is no such object.
            InvalidInput: There can be no such file. And as every call.
        """
        check_traffic_limit(traffic_limit_bits_per_s)
        if parallel is not None and parallel < 1:
            raise InvalidInput(f"{parallel} ranges at a time cannot be", advice="Give 1 or more.")
        url = _object_url(source)
        file_path = _file_path(path, url)
        check_target(file_path)
        endpoint = str(self.settings.endpoint)
        if resume:
            known = self._journals.of_download(
                endpoint, url.bucket, url.key, version_id or "", str(file_path)
            )
            if known is not None:
                options = ResumeOptions(
                    parallel=parallel,
                    bandwidth_limit_bytes_s=bandwidth_limit_bytes_s,
                    traffic_limit_bits_per_s=traffic_limit_bits_per_s,
                    progress=progress,
                )
                return self._resume_download(known.path, options)
        requester = self._limited(bandwidth_limit_bytes_s)
        found = target_state(ObjectParts.inspect(requester, url, version_id or "").found)
        plan = part_plan(found.size_bytes, part_bytes)
        is_small = part_bytes is None and found.size_bytes <= AUTOMATIC_PART_BYTES
        job = DownloadJob(
            job_id=secrets.token_hex(12),
            endpoint=endpoint,
            region=self.settings.region,
            bucket=url.bucket,
            key=url.key,
            path=str(file_path),
            found=found,
            version_id=version_id or "",
            part_bytes=part_bytes,
        )
        settings = DownloadSettings(
            parallel=parallel or suggested_parallel(plan), keep=journal and not is_small
        )
        machine = DownloadMachine(job, settings, Fresh())
        file = self._journals.create(job.job_id) if settings.keep else None
        driver = self._download_driver(
            requester, machine, file, progress=progress, traffic_limit_bits_per_s=traffic_limit_bits_per_s
        )
        return self._started(_name(job), driver, self, requester.bandwidth, job.job_id)

    def _resume_download(self, path: Path, options: ResumeOptions) -> Transfer:
        """Go on with the download that a journal tells of; ``options`` are those of `resume`."""
        requester = self._limited(options.get("bandwidth_limit_bytes_s"))
        file, view = self._journals.open(path)
        try:
            intent = view.intent
            url = OssUrl(intent.bucket, intent.key)
            found = target_state(ObjectParts.inspect(requester, url, intent.version_id).found)
            job = msgspec.structs.replace(_job_of(intent), found=found)
            plan = part_plan(found.size_bytes, intent.part_bytes)
            settings = DownloadSettings(parallel=options.get("parallel") or suggested_parallel(plan))
            machine = DownloadMachine(job, settings, FromJournal(view))
        except BaseException:
            file.close()
            raise
        driver = self._download_driver(
            requester,
            machine,
            file,
            progress=options.get("progress"),
            traffic_limit_bits_per_s=options.get("traffic_limit_bits_per_s"),
        )
        return self._started(_name(job), driver, self, requester.bandwidth, job.job_id)

    def _cancel_download(self, path: Path) -> Outcome:
        """Remove what a download that no process carries out has left; OSS is not asked."""
        file, view = self._journals.open(path)
        try:
            machine = DownloadMachine(_job_of(view.intent), DownloadSettings(), FromJournal(view))
        except BaseException:
            file.close()
            raise
        return carried_out(self._download_driver(self._requester, machine, file), CancelRequested())

    def _download_driver(
        self,
        requester: Requester,
        machine: DownloadMachine,
        journal: Journal | None,
        *,
        progress: OnProgress | None = None,
        traffic_limit_bits_per_s: int | None = None,
    ) -> DownloadDriver:
        job = machine.job
        calls = DownloadCalls(
            requester,
            OssUrl(job.bucket, job.key),
            job.version_id,
            traffic_limit_bits_per_s=traffic_limit_bits_per_s,
        )
        return DownloadDriver(
            machine,
            calls,
            PartialFile(Path(job.path), job.job_id, self._errands, keep=machine.settings.keep),
            self._errands,
            journal,
            self._part_workers,
            requester.latch(),
            now=lambda: int(time.time()),
            on_progress=progress,
        )


def _object_url(source: str) -> OssUrl:
    url = parse_url(source)
    if not url.bucket or not url.key:
        raise InvalidInput(f"{source[:80]!r} names no object", advice="Name it: oss://bucket/key.")
    return url


def _file_path(path: str | os.PathLike[str], url: OssUrl) -> Path:
    """Where the file really goes."""
    file_path = real_path(path)
    if not file_path.is_dir():
        return file_path
    name = url.key.rpartition("/")[2]
    if name in ("", ".", "..") or Path(name).name != name:
        raise InvalidInput(
            f"{url} gives no name for a file in {file_path}", advice="Name the file that is to be made."
        )
    return real_path(file_path / name)


def _job_of(intent: Intent) -> DownloadJob:
    if intent.target is None:
        raise JournalUnreadable(
            f"the journal of job {intent.job_id} does not say what is downloaded",
            advice="Begin the download again.",
        )
    return DownloadJob(
        job_id=intent.job_id,
        endpoint=intent.endpoint,
        region=intent.region,
        bucket=intent.bucket,
        key=intent.key,
        path=intent.path,
        found=intent.target,
        version_id=intent.version_id,
        part_bytes=intent.part_bytes,
    )


def _name(job: DownloadJob) -> str:
    return f"oss://{job.bucket}/{job.key} -> {job.path}"
