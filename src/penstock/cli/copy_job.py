"""One file or object to be copied: how it is carried out, and how far it is."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from penstock.errors import InvalidInput, NotFound
from penstock.protocol.urls import OssUrl
from penstock.transfer.progress import Progress

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.running.transfer import Transfer

_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """
    What came of a job.

    Attributes:
        resumed_bytes: Of the size, what an earlier run had sent, copied or fetched.
        crc64: Compared at both ends; None if the other side did not say.
        skipped: True if the target was as new already and nothing was done.
    """

    source: str
    target: str
    size_bytes: int
    resumed_bytes: int = 0
    crc64: int | None = None
    skipped: bool = False


class CopyJob(Protocol):
    """
    One copy, run once.

    Attributes:
        source: Where from, for people.
        target: Where to, for people.
        size_bytes: Length; 0 if it is not known before.
    """

    @property
    def source(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def progress(self) -> Progress:
        """How far it is; from any thread."""

    def run(self, client: Client) -> Copied:
        """Carry it out. Raises PenstockError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadOptions:
    """
    What the command line says about uploads, and copies and downloads as far as it concerns them.

    Attributes:
        object_options: Keyword arguments of `Client.upload` that describe the object.
        resume: False begins anew whatever is unfinished.
        force: True writes over what somebody else wrote meanwhile.
        update: True leaves out what is at the target already, as long and not older.
        keep_matching: True goes on with an unfinished upload although the file was changed.
    """

    part_bytes: int | None = None
    parallel: int | None = None
    forbid_overwrite: bool = False
    resume: bool = True
    force: bool = False
    update: bool = False
    keep_matching: bool = True
    object_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replaces_metadata(self) -> bool:
        """Whether a copy is described by the command line, and no longer as its source is."""
        return bool(self.object_options.keys() & {"metadata", "content_type"})


@dataclass(slots=True)
class UploadJob:
    """
    A local file to an object; goes on with an unfinished upload of the same file to the same key.

    Args:
        path: The file.
        url: The object.
        size_bytes: Length of the file when it was found.
        options: What the command line says.
        unfinished: Token of the unfinished upload to go on with, if there is one.
    """

    path: Path
    url: OssUrl
    size_bytes: int
    options: UploadOptions
    unfinished: str | None = None
    transfer: Transfer | None = None

    @property
    def source(self) -> str:
        return str(self.path)

    @property
    def target(self) -> str:
        return str(self.url)

    @property
    def progress(self) -> Progress:
        return _progress(self.transfer, self.size_bytes)

    def run(self, client: Client) -> Copied:
        options = self.options
        if options.update and self._is_there(client):
            return Copied(source=self.source, target=self.target, size_bytes=self.size_bytes, skipped=True)
        if self.unfinished is not None:
            # Of a changed file only the parts that still equal it are kept: each is compared by CRC-64.
            self.transfer = client.resume(
                self.unfinished,
                self.path,
                parallel=options.parallel,
                keep_matching=options.keep_matching,
                protect_target=not options.force,
            )
        else:
            self.transfer = client.upload(
                self.path,
                str(self.url),
                part_bytes=options.part_bytes,
                parallel=options.parallel,
                forbid_overwrite=options.forbid_overwrite,
                protect_target=not options.force,
                **options.object_options,
            )
        return _copied(self, self.transfer)

    def _is_there(self, client: Client) -> bool:
        try:
            there = client.get_object_meta(self.url.bucket, self.url.key)
            modified_s = self.path.stat().st_mtime
        except (NotFound, OSError):
            return False
        return (
            there.content_bytes == self.size_bytes
            and there.last_modified is not None
            and there.last_modified.timestamp() >= int(modified_s)
        )


@dataclass(slots=True)
class StreamUploadJob:
    """Standard input to an object, in one request; nothing of it can be resumed."""

    url: OssUrl
    options: UploadOptions
    source: str = "-"
    size_bytes: int = 0
    sent_bytes: int = 0

    @property
    def target(self) -> str:
        return str(self.url)

    @property
    def progress(self) -> Progress:
        return Progress(total_bytes=max(self.sent_bytes, 1), in_flight_bytes=self.sent_bytes)

    def run(self, client: Client) -> Copied:
        # Unbuffered: a thread that is left behind in a read must not hold a lock that the exit needs.
        with os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0) as stream:
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
class DownloadJob:
    """
    An object to a local file, which appears once it is complete and its CRC-64 was compared.

    Args:
        url: The object.
        path: The file.
        size_bytes: Length of the object when it was found.
        options: What the command line says.
        unfinished: Token of the unfinished download to go on with, if there is one.
    """

    url: OssUrl
    path: Path
    size_bytes: int
    options: UploadOptions
    unfinished: str | None = None
    transfer: Transfer | None = None

    @property
    def source(self) -> str:
        return str(self.url)

    @property
    def target(self) -> str:
        return str(self.path)

    @property
    def progress(self) -> Progress:
        return _progress(self.transfer, self.size_bytes)

    def run(self, client: Client) -> Copied:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{self.path.parent} cannot be made: {error.strerror}") from error
        if self.path.is_dir():
            raise InvalidInput(f"{self.path} is a directory", advice="Name the file that is to be made.")
        parallel = self.options.parallel
        if self.unfinished is not None:
            self.transfer = client.resume(self.unfinished, parallel=parallel)
        else:
            self.transfer = client.download(
                self.source, self.path, part_bytes=self.options.part_bytes, parallel=parallel
            )
        return _copied(self, self.transfer)


@dataclass(slots=True)
class StreamDownloadJob:
    """An object to an open stream."""

    url: OssUrl
    stream: BinaryIO
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

    def run(self, client: Client) -> Copied:
        buffer = memoryview(bytearray(_READ_BYTES))
        with client.get_object(self.url.bucket, self.url.key) as body:
            self.size_bytes = body.content_bytes or 0
            while count := body.readinto(buffer):
                self.stream.write(buffer[:count])
                self.received_bytes += count
        self.stream.flush()
        crc64 = body.description.crc64
        return Copied(source=self.source, target="-", size_bytes=self.received_bytes, crc64=crc64)


@dataclass(slots=True)
class RemoteCopyJob:
    """
    An object to another one, inside OSS.

    Args:
        source_url: The one that is copied.
        url: The one that is made.
        size_bytes: Length when it was found.
        options: What the command line says.
        unfinished: Token of the unfinished copy to go on with, if there is one.
    """

    source_url: OssUrl
    url: OssUrl
    size_bytes: int
    options: UploadOptions
    unfinished: str | None = None
    transfer: Transfer | None = None

    @property
    def source(self) -> str:
        return str(self.source_url)

    @property
    def target(self) -> str:
        return str(self.url)

    @property
    def progress(self) -> Progress:
        return _progress(self.transfer, self.size_bytes)

    def run(self, client: Client) -> Copied:
        options = self.options
        if self.unfinished is not None:
            self.transfer = client.resume(
                self.unfinished, parallel=options.parallel, protect_target=not options.force
            )
        else:
            self.transfer = client.copy(
                self.source,
                self.target,
                replace_metadata=options.replaces_metadata,
                part_bytes=options.part_bytes,
                parallel=options.parallel,
                forbid_overwrite=options.forbid_overwrite,
                protect_target=not options.force,
                **options.object_options,
            )
        return _copied(self, self.transfer)


@dataclass(slots=True)
class ResumeJob:
    """
    What was stopped, of any kind, goes on.

    Args:
        source: Where from, for people.
        target: Where to, for people.
        size_bytes: Length as far as it is known; else 0.
        options: What the command line says.
        what: A token or an address, as of `Client.resume`.
        given: The source if it is not where it was, or not known here: a path, or ``oss://bucket/key``.
    """

    source: str
    target: str
    size_bytes: int
    options: UploadOptions
    what: str
    given: str | None = None
    transfer: Transfer | None = None

    @property
    def progress(self) -> Progress:
        return _progress(self.transfer, self.size_bytes)

    def run(self, client: Client) -> Copied:
        options = self.options
        self.transfer = client.resume(
            self.what,
            self.given,
            parallel=options.parallel,
            keep_matching=options.keep_matching,
            protect_target=not options.force,
        )
        return _copied(self, self.transfer)


def _progress(transfer: Transfer | None, size_bytes: int) -> Progress:
    return transfer.progress if transfer is not None else Progress(total_bytes=size_bytes)


def _copied(job: CopyJob, transfer: Transfer) -> Copied:
    """Wait for the end of what carries a job out."""
    stored = transfer.result()
    return Copied(
        source=job.source,
        target=job.target,
        size_bytes=stored.size_bytes,
        resumed_bytes=transfer.progress.resumed_bytes,
        crc64=stored.crc64,
    )
