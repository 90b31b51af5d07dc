"""One file or object to be copied: how it is carried out, and how far it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penstock.cli.likeness import Likeness, Side, is_alike, local_side, remote_side
from penstock.errors import InvalidInput, PenstockError
from penstock.files.source import unreadable_because
from penstock.protocol.urls import OssUrl
from penstock.transfer.progress import Progress

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.running.transfer import Transfer

FindSide = Callable[["Client"], Side | None]
"""Tells what one side of a copy is; None if it is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """
    What came of a job.

    Attributes:
        resumed_bytes: Of the size, what an earlier run had sent, copied or fetched.
        crc64: Compared at both ends; None if the other side did not say.
        skipped: True if the target was alike already and nothing was done.
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
        name: Path below what is copied, with ``/``; of a single file, its name.
        source: Where from, for people.
        target: Where to, for people.
        size_bytes: Length; 0 if it is not known before.
    """

    @property
    def name(self) -> str: ...

    @property
    def source(self) -> str: ...

    @property
    def target(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def progress(self) -> Progress:
        """How far it is; from any thread."""

    @property
    def kept_token(self) -> str | None:
        """What goes on with it, if something of it was kept when it ended."""

    def would_be_skipped(self, client: Client) -> bool:
        """Whether its target is alike already, and nothing would be done."""

    def run(self, client: Client) -> Copied:
        """Carry it out. Raises PenstockError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """
    What the command line says about uploads, and copies and downloads as far as it concerns them.

    Attributes:
        object_options: Keyword arguments of `Client.upload` that describe the object.
        resume: False begins anew whatever is unfinished.
        force: True writes over what somebody else wrote meanwhile.
        enough: How like its source a target has to be to be left as it is.
        keep_matching: True goes on with an unfinished upload although the file was changed.
    """

    part_bytes: int | None = None
    parallel: int | None = None
    forbid_overwrite: bool = False
    resume: bool = True
    force: bool = False
    enough: Likeness = Likeness.NOTHING
    keep_matching: bool = True
    object_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def replaces_metadata(self) -> bool:
        """Whether a copy is described by the command line, and no longer as its source is."""
        return bool(self.object_options.keys() & {"metadata", "content_type"})


@dataclass(frozen=True, slots=True)
class ClosedDirectoryJob:
    """A directory that cannot be looked into: what is in it fails as one, and all else goes on."""

    name: str
    source: str
    target: str
    error: OSError
    size_bytes: int = 0
    kept_token: str | None = None
    progress: Progress = field(default_factory=lambda: Progress(total_bytes=0))

    def would_be_skipped(self, client: Client) -> bool:
        """As of `CopyJob`; raises as `run`, since nobody knows what would be."""
        raise unreadable_because(self.source, self.error) from self.error

    def run(self, client: Client) -> Copied:
        """Raise SourceUnreadable."""
        raise unreadable_because(self.source, self.error) from self.error


@dataclass(slots=True, kw_only=True)
class TransferJob(ABC):
    """
    A copy that is a transfer of the client: it can be stopped and gone on with.

    Args:
        name: As of `CopyJob`.
        size_bytes: Length when it was found.
        options: What the command line says.
        unfinished: Token of the unfinished transfer to go on with, if there is one.
        target_side: What is at the target, where that is known without asking; else it is asked for.
    """

    name: str
    size_bytes: int
    options: CopyOptions
    unfinished: str | None = None
    target_side: FindSide | None = None
    transfer: Transfer | None = None

    @property
    @abstractmethod
    def source(self) -> str: ...

    @property
    @abstractmethod
    def target(self) -> str: ...

    @property
    def progress(self) -> Progress:
        """How far it is; from any thread."""
        return self.transfer.progress if self.transfer is not None else Progress(total_bytes=self.size_bytes)

    @property
    def kept_token(self) -> str | None:
        """As of `CopyJob`."""
        return self.transfer.resume_token if self.transfer is not None else None

    def run(self, client: Client) -> Copied:
        """Carry it out. Raises PenstockError."""
        if self.would_be_skipped(client):
            self._settle(client)
            return Copied(source=self.source, target=self.target, size_bytes=self.size_bytes, skipped=True)
        if self.unfinished is None:
            self.transfer = self._begin(client)
        else:
            self.transfer = self._go_on(client, self.unfinished)
        stored = self.transfer.result()
        return Copied(
            source=self.source,
            target=self.target,
            size_bytes=stored.size_bytes,
            resumed_bytes=self.transfer.progress.resumed_bytes,
            crc64=stored.crc64,
        )

    def _settle(self, client: Client) -> None:
        """The target is as it should be: what is unfinished may have made it, and then it ends here."""
        if self.unfinished is not None:
            # Anything else stays as it is; a download is never in doubt.
            with suppress(PenstockError):
                client.resolve_upload(self.unfinished)

    def would_be_skipped(self, client: Client) -> bool:
        """As of `CopyJob`."""
        if self.options.enough is Likeness.NOTHING:
            return False
        source = self._find_source(client)
        target = (self.target_side or self._find_target)(client)
        return source is not None and is_alike(self.options.enough, source, target)

    @abstractmethod
    def _find_source(self, client: Client) -> Side | None: ...

    @abstractmethod
    def _find_target(self, client: Client) -> Side | None: ...

    @abstractmethod
    def _begin(self, client: Client) -> Transfer: ...

    @abstractmethod
    def _go_on(self, client: Client, token: str) -> Transfer: ...


@dataclass(slots=True, kw_only=True)
class UploadJob(TransferJob):
    """A local file to an object; goes on with an unfinished upload of the same file to the same key."""

    path: Path
    url: OssUrl

    @property
    def source(self) -> str:
        return str(self.path)

    @property
    def target(self) -> str:
        return str(self.url)

    def _find_source(self, client: Client) -> Side | None:
        return local_side(self.path)

    def _find_target(self, client: Client) -> Side | None:
        return remote_side(client, self.url)

    def _begin(self, client: Client) -> Transfer:
        return client.upload(
            self.path,
            self.target,
            part_bytes=self.options.part_bytes,
            parallel=self.options.parallel,
            forbid_overwrite=self.options.forbid_overwrite,
            protect_target=not self.options.force,
            **self.options.object_options,
        )

    def _go_on(self, client: Client, token: str) -> Transfer:
        # Of a changed file only the parts that still equal it are kept: each is compared by CRC-64.
        return client.resume(
            token,
            self.path,
            parallel=self.options.parallel,
            keep_matching=self.options.keep_matching,
            protect_target=not self.options.force,
        )


@dataclass(slots=True, kw_only=True)
class DownloadJob(TransferJob):
    """An object to a local file, which appears once it is complete and its CRC-64 was compared."""

    url: OssUrl
    path: Path

    @property
    def source(self) -> str:
        return str(self.url)

    @property
    def target(self) -> str:
        return str(self.path)

    def run(self, client: Client) -> Copied:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{self.path.parent} cannot be made: {error.strerror}") from error
        if self.path.is_dir():
            raise InvalidInput(f"{self.path} is a directory", advice="Name the file that is to be made.")
        return TransferJob.run(self, client)

    def _find_source(self, client: Client) -> Side | None:
        return remote_side(client, self.url)

    def _find_target(self, client: Client) -> Side | None:
        return local_side(self.path)

    def _begin(self, client: Client) -> Transfer:
        return client.download(
            self.source, self.path, part_bytes=self.options.part_bytes, parallel=self.options.parallel
        )

    def _go_on(self, client: Client, token: str) -> Transfer:
        return client.resume(token, parallel=self.options.parallel)


@dataclass(slots=True, kw_only=True)
class RemoteCopyJob(TransferJob):
    """An object to another one, inside OSS."""

    source_url: OssUrl
    url: OssUrl

    @property
    def source(self) -> str:
        return str(self.source_url)

    @property
    def target(self) -> str:
        return str(self.url)

    def _find_source(self, client: Client) -> Side | None:
        return remote_side(client, self.source_url)

    def _find_target(self, client: Client) -> Side | None:
        return remote_side(client, self.url)

    def _begin(self, client: Client) -> Transfer:
        return client.copy(
            self.source,
            self.target,
            replace_metadata=self.options.replaces_metadata,
            part_bytes=self.options.part_bytes,
            parallel=self.options.parallel,
            forbid_overwrite=self.options.forbid_overwrite,
            protect_target=not self.options.force,
            **self.options.object_options,
        )

    def _go_on(self, client: Client, token: str) -> Transfer:
        return client.resume(token, parallel=self.options.parallel, protect_target=not self.options.force)


@dataclass(slots=True, kw_only=True)
class ResumeJob(TransferJob):
    """
    What was stopped, of any kind, goes on; ``unfinished`` is a token or an address, as of `Client.resume`.

    Args:
        begun_from: Where from, for people.
        begun_to: Where to, for people.
        given: The source if it is not where it was, or not known here: a path, or ``oss://bucket/key``.
    """

    begun_from: str
    begun_to: str
    given: str | None = None

    @property
    def source(self) -> str:
        return self.begun_from

    @property
    def target(self) -> str:
        return self.begun_to

    def _find_source(self, client: Client) -> Side | None:
        return None

    def _find_target(self, client: Client) -> Side | None:
        return None

    def _begin(self, client: Client) -> Transfer:
        raise InvalidInput(f"nothing unfinished to {self.target} is named")

    def _go_on(self, client: Client, token: str) -> Transfer:
        return client.resume(
            token,
            self.given,
            parallel=self.options.parallel,
            keep_matching=self.options.keep_matching,
            protect_target=not self.options.force,
        )
