"""From two words of the command line to the jobs that they mean."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from penstock.cli.copy_job import (
    CopyJob,
    DownloadJob,
    RemoteCopyJob,
    StreamDownloadJob,
    StreamUploadJob,
    UploadJob,
    UploadOptions,
)
from penstock.cli.unfinished import open_uploads, short_id, token_of
from penstock.errors import InvalidInput, SourceUnreadable
from penstock.protocol.urls import OssUrl, parse_url
from penstock.transfer.journal import TransferKind

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.protocol.operations.headers import ObjectDescription
    from penstock.protocol.operations.listing import ListedObject
    from penstock.transfer.journal import JournalView

STANDARD_STREAM = "-"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """
    What is copied where.

    Attributes:
        source: A path, or ``-``; None if it is in OSS.
        source_url: None if it is not in OSS.
        target: A path, or ``-``; None if it is in OSS.
        target_url: None if it is not in OSS.
    """

    source: str | None
    source_url: OssUrl | None
    target: str | None
    target_url: OssUrl | None
    recursive: bool
    options: UploadOptions

    @property
    def endpoint(self) -> str | None:
        """The endpoint that an address names, if one does."""
        for url in (self.source_url, self.target_url):
            if url is not None and url.endpoint is not None:
                return str(url.endpoint)
        return None

    @property
    def verb(self) -> str:
        """What is done, in the past tense."""
        if self.source_url is None:
            return "uploaded"
        return "downloaded" if self.target_url is None else "copied"

    @property
    def part_verb(self) -> str:
        """What is done with a part, in the past tense."""
        if self.source_url is None:
            return "sent"
        return "fetched" if self.target_url is None else "copied"


def copy_plan(source: str, target: str, *, recursive: bool, options: UploadOptions) -> CopyPlan:
    """
    Understand what was typed.

    Raises:
        InvalidInput: Neither is in OSS, a key cannot be, or a stream and ``-r`` were asked for together.
    """
    source_url = parse_url(source) if "://" in source else None
    target_url = parse_url(target) if "://" in target else None
    if source_url is None and target_url is None:
        raise InvalidInput(
            f"neither {source!r} nor {target!r} is in OSS", advice="One of them looks like oss://bucket/key."
        )
    for url in (source_url, target_url):
        if url is not None and not url.bucket:
            raise InvalidInput("oss:// names no bucket", advice="An address looks like oss://bucket/key.")
    if target_url is not None and target_url.key[:1] in ("/", "\\"):
        raise InvalidInput(
            f"the key of {target} begins with {target_url.key[0]!r}", advice="Leave it out: oss://bucket/key."
        )
    if recursive and STANDARD_STREAM in (source, target):
        raise InvalidInput("a stream is one file, and -r copies many", advice="Leave -r out.")
    if source == STANDARD_STREAM and target_url is not None and target_url.names_prefix:
        raise InvalidInput(
            f"{target} ends in a folder, and standard input has no name",
            advice="Name the object: oss://bucket/key.",
        )
    return CopyPlan(
        source=None if source_url else source,
        source_url=source_url,
        target=None if target_url else target,
        target_url=target_url,
        recursive=recursive,
        options=options,
    )


def copy_jobs(plan: CopyPlan, client: Client, say: Say) -> Iterator[CopyJob]:
    """
    The jobs, found while they are asked for.

    Args:
        say: Told what is left out, or not as usual.

    Raises:
        SourceUnreadable, InvalidInput, ServiceError: Also while it is iterated.
    """
    match plan:
        case CopyPlan(source=str(source), target_url=OssUrl() as url):
            if source == STANDARD_STREAM:
                return iter([StreamUploadJob(url, plan.options)])
            return _uploads(Path(source), url, plan, client, say)
        case CopyPlan(source_url=OssUrl() as url, target=str(target)):
            if target == STANDARD_STREAM:
                return iter([StreamDownloadJob(url, sys.stdout.buffer)])
            return _downloads(url, target, plan, client, say)
        case CopyPlan(source_url=OssUrl() as url, target_url=OssUrl() as target_url):
            return _remote_copies(url, target_url, plan, client, say)
    raise AssertionError("one side is in OSS")


def _uploads(path: Path, url: OssUrl, plan: CopyPlan, client: Client, say: Say) -> Iterator[CopyJob]:
    try:
        status = path.stat()
    except OSError as error:
        raise SourceUnreadable(f"{path} cannot be read: {error.strerror}") from error
    is_directory = stat.S_ISDIR(status.st_mode)
    if is_directory and not plan.recursive:
        raise InvalidInput(f"{path} is a directory", advice="Add -r to copy what is in it.")
    unfinished = _Unfinished(client, plan.options, say) if plan.options.resume else None
    if not is_directory:
        key = f"{url.key}{path.name}" if url.names_prefix else url.key
        yield _upload(path, status.st_size, OssUrl(url.bucket, key), plan, unfinished)
        return
    prefix = url.key if url.names_prefix else f"{url.key}/"
    for found, size_bytes in _files_below(path, say):
        key = prefix + found.relative_to(path).as_posix()
        yield _upload(found, size_bytes, OssUrl(url.bucket, key), plan, unfinished)


def _upload(
    path: Path, size_bytes: int, url: OssUrl, plan: CopyPlan, unfinished: _Unfinished | None
) -> UploadJob:
    token = unfinished.of(path, url) if unfinished is not None else None
    return UploadJob(path, url, size_bytes, plan.options, unfinished=token)


class _Unfinished:
    """The unfinished transfers of this user, looked up by source and target; read once."""

    def __init__(self, client: Client, options: UploadOptions, say: Say) -> None:
        endpoint = str(client.settings.endpoint)
        self._client = client
        self._options = options
        self._say = say
        self._views: dict[tuple[str, str], JournalView] = {}
        for upload in open_uploads():
            intent = upload.view.intent
            if upload.view.end is not None or intent.endpoint != endpoint:
                continue
            if intent.kind is TransferKind.DOWNLOAD:
                if not intent.version_id:
                    self._views[upload.url, intent.path] = upload.view
            elif intent.source is not None and not intent.source.version_id:
                self._views[intent.source.path, upload.url] = upload.view

    def of(self, path: Path, url: OssUrl) -> str | None:
        """The token of the newest upload of this file to this key that was begun with the same options."""
        absolute = os.path.abspath(path)  # noqa: PTH100 - as journals name it: links are not followed
        view = self._views.get((absolute, str(url)))
        if view is None:
            return None
        if not self._is_alike(view):
            self._say_left(
                f"{url} has an unfinished upload of this file that was begun with other options", view
            )
            return None
        source = view.intent.source
        status = path.stat()
        if source is not None and (source.size_bytes, source.mtime_ns) != (
            status.st_size,
            status.st_mtime_ns,
        ):
            self._say(f"{path} was changed since its upload began; parts that still equal it are kept")
        return token_of(view)

    def of_download(self, url: OssUrl, path: Path, etag: str | None) -> str | None:
        """The token of the newest download of this object, as it is now, to this file."""
        view = self._views.get((str(url), os.path.realpath(path)))
        if view is None:
            return None
        target = view.intent.target
        if target is None or target.etag != etag:
            self._say_left(f"{url} was changed since its unfinished download to {path} began", view)
            return None
        return token_of(view)

    def of_copy(self, source_url: OssUrl, url: OssUrl) -> str | None:
        """The token of the newest copy of this object, as it is now, that was begun with the same options."""
        view = self._views.get((str(source_url), str(url)))
        if view is None or view.intent.source is None:
            return None
        there = self._client.head_object(source_url.bucket, source_url.key)
        # Other parts would have to be read here to be compared: OSS makes them anew with less.
        if there.etag != view.intent.source.etag:
            self._say_left(f"{source_url} was changed since its unfinished copy to {url} began", view)
            return None
        if not self._is_alike(view, there):
            self._say_left(
                f"{url} has an unfinished copy of {source_url} that was begun with other options", view
            )
            return None
        return token_of(view)

    def _is_alike(self, view: JournalView, copied: ObjectDescription | None = None) -> bool:
        """Whether it was begun with these options; ``copied`` is the object that a copy reads."""
        from penstock.client.transfers.upload_calls import OWNERSHIP_METADATA

        wanted = self._options.object_options
        begun = view.intent.options
        headers = begun.headers
        content_type, metadata = wanted.get("content_type"), dict(wanted.get("metadata", {}))
        if copied is not None and not self._options.replaces_metadata:
            content_type, metadata = copied.content_type, dict(copied.metadata)
            metadata.pop(OWNERSHIP_METADATA, None)
        return (
            self._options.part_bytes in (None, view.intent.part_bytes)
            and content_type in (None, begun.content_type)
            and metadata == begun.metadata
            and wanted.get("acl") == headers.get("x-oss-object-acl")
            and wanted.get("storage_class") == headers.get("x-oss-storage-class")
        )

    def _say_left(self, why: str, view: JournalView) -> None:
        remove = f"penstock uploads cancel {short_id(view.intent.job_id)}"
        self._say(f"{why}; this is a new one (to remove the old one: {remove})")


def _files_below(root: Path, say: Say) -> Iterator[tuple[Path, int]]:
    """Regular files, by name; links to files are followed, links to directories are not."""

    def unreadable(error: OSError) -> None:
        raise SourceUnreadable(f"{error.filename} cannot be read: {error.strerror}") from error

    for directory, folders, names in os.walk(root, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            path = Path(directory, name)
            try:
                status = path.stat()
            except OSError as error:
                say(f"left out: {path} cannot be read: {error.strerror}")
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, status.st_size
            else:
                say(f"left out: {path} is not a regular file")


def _downloads(url: OssUrl, target: str, plan: CopyPlan, client: Client, say: Say) -> Iterator[CopyJob]:
    into = Path(target)
    unfinished = _Unfinished(client, plan.options, say) if plan.options.resume else None
    if not plan.recursive:
        if url.names_prefix:
            raise InvalidInput(f"{url} is not an object", advice="Add -r to copy all that is below it.")
        is_folder = into.is_dir() or target.endswith(("/", os.sep))
        path = into / _local_path(url.key.rpartition("/")[2]) if is_folder else into
        there = client.head_object(url.bucket, url.key)
        size_bytes = there.content_bytes or 0
        modified_s = there.last_modified.timestamp() if there.last_modified else None
        if not (plan.options.update and _is_newer(path, size_bytes, modified_s)):
            token = unfinished.of_download(url, path, there.etag) if unfinished is not None else None
            yield DownloadJob(url, path, size_bytes, plan.options, unfinished=token)
        return
    if into.exists() and not into.is_dir():
        raise InvalidInput(f"{target} is a file, and many are to be put there", advice="Name a directory.")
    for found, relative in _objects_below(url, client):
        try:
            path = into / _local_path(relative)
        except InvalidInput as error:
            say(f"left out: {error.message}")
            continue
        modified_s = found.last_modified.timestamp() if found.last_modified else None
        if not (plan.options.update and _is_newer(path, found.size_bytes, modified_s)):
            object_url = OssUrl(url.bucket, found.key)
            token = unfinished.of_download(object_url, path, found.etag) if unfinished is not None else None
            yield DownloadJob(object_url, path, found.size_bytes, plan.options, unfinished=token)


def _remote_copies(
    url: OssUrl, target: OssUrl, plan: CopyPlan, client: Client, say: Say
) -> Iterator[CopyJob]:
    unfinished = _Unfinished(client, plan.options, say) if plan.options.resume else None
    if not plan.recursive:
        if url.names_prefix:
            raise InvalidInput(f"{url} is not an object", advice="Add -r to copy all that is below it.")
        key = target.key + url.key.rpartition("/")[2] if target.names_prefix else target.key
        size_bytes = client.head_object(url.bucket, url.key).content_bytes or 0
        yield _remote_copy(url, size_bytes, OssUrl(target.bucket, key), plan, unfinished)
        return
    prefix = target.key if target.names_prefix else f"{target.key}/"
    for found, relative in _objects_below(url, client):
        copied = OssUrl(target.bucket, prefix + relative)
        yield _remote_copy(OssUrl(url.bucket, found.key), found.size_bytes, copied, plan, unfinished)


def _remote_copy(
    source_url: OssUrl, size_bytes: int, url: OssUrl, plan: CopyPlan, unfinished: _Unfinished | None
) -> RemoteCopyJob:
    token = unfinished.of_copy(source_url, url) if unfinished is not None else None
    return RemoteCopyJob(source_url, url, size_bytes, plan.options, unfinished=token)


def _objects_below(url: OssUrl, client: Client) -> Iterator[tuple[ListedObject, str]]:
    """Objects, and their names below the folder that the prefix is in; folder marks are left out."""
    folder = url.key[: url.key.rfind("/") + 1]
    for found in client.iter_objects(url.bucket, prefix=url.key or None):
        if not found.key.endswith("/"):
            yield found, found.key.removeprefix(folder)


def _local_path(name: str) -> PurePosixPath:
    """
    A key as a path below a directory.

    Raises:
        InvalidInput: It would lead out of the directory, or no file can have this name.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part or (os.name == "nt" and "\\" in part) for part in parts):
        raise InvalidInput(
            f"the key {name!r} is no path below a directory",
            advice="Copy the object alone, under another name.",
        )
    return PurePosixPath(*parts)


def _is_newer(path: Path, size_bytes: int, modified_s: float | None) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return modified_s is not None and status.st_size == size_bytes and status.st_mtime >= modified_s
