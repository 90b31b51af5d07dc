"""From two words of the command line to the jobs that they mean."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from penstock.cli.address import oss_url
from penstock.cli.copy_job import (
    ClosedDirectoryJob,
    CopyJob,
    CopyOptions,
    DownloadJob,
    FindSide,
    RemoteCopyJob,
    UploadJob,
)
from penstock.cli.likeness import Side, listed_side, local_side
from penstock.cli.names import file_name, key_name
from penstock.cli.selection import EVERYTHING, Selection, telling_of_absent
from penstock.cli.standard_streams import standard_output
from penstock.cli.stream_job import StreamDownloadJob, StreamUploadJob
from penstock.cli.unfinished_copies import Say, UnfinishedCopies
from penstock.errors import InvalidInput
from penstock.files.source import unreadable_because
from penstock.protocol.urls import OssUrl

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.protocol.operations.listing import ListedObject

STANDARD_STREAM = "-"


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """
    What is copied where.

    Attributes:
        source: A path, or ``-``; None if it is in OSS.
        source_url: None if it is not in OSS.
        target: A path, or ``-``; None if it is in OSS.
        target_url: None if it is not in OSS.
        selection: Which of many are meant.
        targets: What is below the target, by name, if that was looked up before; None to ask one by one.
    """

    source: str | None
    source_url: OssUrl | None
    target: str | None
    target_url: OssUrl | None
    recursive: bool
    options: CopyOptions
    selection: Selection = EVERYTHING
    targets: Mapping[str, Side] | None = None

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

    def target_side(self, name: str) -> FindSide | None:
        """What is at the target of a name, if that was looked up before."""
        if self.targets is None:
            return None
        found = self.targets.get(name)
        return lambda _: found


def copy_plan(
    source: str, target: str, *, recursive: bool, options: CopyOptions, selection: Selection = EVERYTHING
) -> CopyPlan:
    """
    Understand what was typed.

    Raises:
        InvalidInput: Neither is in OSS, a key cannot be, or what is for many was asked for one.
    """
    source_url = oss_url(source) if "://" in source else None
    target_url = oss_url(target) if "://" in target else None
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
    if not recursive and selection != EVERYTHING:
        raise InvalidInput("files are chosen from many, and one is to be copied", advice="Add -r.")
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
        selection=selection,
    )


class LeftOut:
    """
    What is in the source and cannot be copied; so it cannot be told what belongs at its target.

    Attributes:
        was_meant: Whether any of it would have been copied.

    Args:
        say: Told of what would have been copied.
        selection: Which files are meant.
    """

    def __init__(self, say: Say, selection: Selection) -> None:
        self.was_meant = False
        self._say = say
        self._selection = selection
        self._names: set[str] = set()

    def add(self, name: str, why: str, *, is_directory: bool = False) -> None:
        """Note a file, or all that is in a directory, by its path below the source."""
        self._names.add(name)
        if self._selection.may_take(name, below=is_directory):
            self.was_meant = True
            self._say(f"left out: {why}")

    def covers(self, name: str) -> bool:
        """Whether a file is, or is below, what was left out."""
        return name in self._names or any(str(above) in self._names for above in PurePosixPath(name).parents)


def copy_jobs(plan: CopyPlan, client: Client, say: Say, left_out: LeftOut | None = None) -> Iterator[CopyJob]:
    """
    The jobs, found while they are asked for.

    Args:
        say: Told what is left out, or not as usual.
        left_out: Gets what is left out because it cannot be copied.

    Raises:
        SourceUnreadable, InvalidInput, ServiceError: Also while it is iterated.
    """
    jobs = _jobs(plan, client, say, left_out or LeftOut(say, plan.selection))
    return jobs if plan.selection.names is None else telling_of_absent(jobs, plan.selection.names, say)


def _jobs(plan: CopyPlan, client: Client, say: Say, left_out: LeftOut) -> Iterator[CopyJob]:
    match plan:
        case CopyPlan(source=str(source), target_url=OssUrl() as url):
            if source == STANDARD_STREAM:
                return iter([StreamUploadJob(url, plan.options)])
            return _uploads(Path(source), url, plan, _unfinished(plan, client, say), left_out)
        case CopyPlan(source_url=OssUrl() as url, target=str(target)):
            if target == STANDARD_STREAM:
                return iter([StreamDownloadJob(url, standard_output())])
            return _downloads(url, target, plan, client, _unfinished(plan, client, say), left_out)
        case CopyPlan(source_url=OssUrl() as url, target_url=OssUrl() as target_url):
            return _remote_copies(url, target_url, plan, client, _unfinished(plan, client, say))
    raise AssertionError("one side is in OSS")


def targets_below(plan: CopyPlan, client: Client) -> dict[str, Side]:
    """What is below the target of a recursive plan, by name; all of it, whatever is selected."""
    if plan.target_url is not None:
        bucket, prefix = plan.target_url.bucket, folder_key(plan.target_url)
        return {
            found.key.removeprefix(prefix): listed_side(client, OssUrl(bucket, found.key), found)
            for found in client.iter_objects(bucket, prefix=prefix or None)
            if not found.key.endswith("/")
        }
    root = Path(plan.target or "")
    if not root.exists():
        return {}
    # What is no file at the target is neither compared nor removed.
    passed_over = LeftOut(lambda why: None, EVERYTHING)

    def refuse(error: OSError) -> None:
        raise unreadable_because(error.filename, error) from error

    sides = ((name, local_side(path)) for path, name, _ in _files_below(root, passed_over, refuse))
    return {name: side for name, side in sides if side is not None}


def folder_key(url: OssUrl) -> str:
    """The key of a target, as that of a folder: empty, or with a slash at its end."""
    return url.key if url.names_prefix else f"{url.key}/"


def _unfinished(plan: CopyPlan, client: Client, say: Say) -> UnfinishedCopies | None:
    return UnfinishedCopies(client, plan.options, say) if plan.options.resume else None


def _uploads(
    path: Path, url: OssUrl, plan: CopyPlan, unfinished: UnfinishedCopies | None, left_out: LeftOut
) -> Iterator[CopyJob]:
    try:
        status = path.stat()
    except OSError as error:
        raise unreadable_because(str(path), error) from error
    is_directory = stat.S_ISDIR(status.st_mode)
    if is_directory and not plan.recursive:
        raise InvalidInput(f"{path} is a directory", advice="Add -r to copy what is in it.")

    def job(found: Path, size_bytes: int, name: str, key: str) -> UploadJob:
        object_url = OssUrl(url.bucket, key)
        return UploadJob(
            name=name,
            path=found,
            url=object_url,
            size_bytes=size_bytes,
            options=plan.options,
            unfinished=unfinished.of(found, object_url) if unfinished is not None else None,
            target_side=plan.target_side(name),
        )

    if not is_directory:
        name = key_name(path.name)
        yield job(path, status.st_size, name, url.key + name if url.names_prefix else url.key)
        return
    closed: list[OSError] = []
    for found, name, size_bytes in _files_below(path, left_out, closed.append):
        if plan.selection.takes(name, size_bytes):
            yield job(found, size_bytes, name, folder_key(url) + name)
    for why in closed:
        if Path(why.filename) == path:
            raise unreadable_because(str(path), why) from why
        name = _name_below(path, Path(why.filename))
        if plan.selection.may_take(name, below=True):
            yield ClosedDirectoryJob(name, why.filename, f"oss://{url.bucket}/{folder_key(url)}{name}/", why)


def _files_below(
    root: Path, left_out: LeftOut, on_closed: Callable[[OSError], None]
) -> Iterator[tuple[Path, str, int]]:
    """
    Regular files, in order: path, path below the root, size.

    Links to files are followed, links to directories are not: they may lead in a circle. ``on_closed`` gets
    the error of each directory that cannot be looked into.
    """
    for directory, folders, names in os.walk(root, onerror=on_closed):
        folders.sort()
        for path in (Path(directory, folder) for folder in folders):
            if path.is_symlink():
                why = f"{path} is a link to a directory; name the directory itself to copy it"
                left_out.add(_name_below(root, path), why, is_directory=True)
        for path in (Path(directory, name) for name in sorted(names)):
            name = _name_below(root, path)
            try:
                status = path.stat()
            except OSError as error:
                left_out.add(name, f"{path} cannot be read: {error.strerror}")
                continue
            if stat.S_ISREG(status.st_mode):
                yield path, name, status.st_size
            else:
                left_out.add(name, f"{path} is not a regular file")


def _name_below(root: Path, path: Path) -> str:
    return key_name(path.relative_to(root).as_posix())


def _downloads(
    url: OssUrl,
    target: str,
    plan: CopyPlan,
    client: Client,
    unfinished: UnfinishedCopies | None,
    left_out: LeftOut,
) -> Iterator[CopyJob]:
    into = Path(target)

    def job(source: OssUrl, size_bytes: int, etag: str | None, name: str, path: Path) -> DownloadJob:
        return DownloadJob(
            name=name,
            url=source,
            path=path,
            size_bytes=size_bytes,
            options=plan.options,
            unfinished=unfinished.of_download(source, path, etag) if unfinished is not None else None,
            target_side=plan.target_side(name),
        )

    if not plan.recursive:
        name = _object_name(url)
        is_folder = into.is_dir() or target.endswith(("/", os.sep))
        there = client.head_object(url.bucket, url.key)
        path = into / local_path(name) if is_folder else into
        yield job(url, there.content_bytes or 0, there.etag, name, path)
        return
    if into.exists() and not into.is_dir():
        raise InvalidInput(f"{target} is a file, and many are to be put there", advice="Name a directory.")
    for found, name in _objects_below(url, plan, client):
        try:
            path = into / local_path(name)
        except InvalidInput as error:
            left_out.add(name, error.message)
            continue
        yield job(OssUrl(url.bucket, found.key), found.size_bytes, found.etag, name, path)


def _remote_copies(
    url: OssUrl, target: OssUrl, plan: CopyPlan, client: Client, unfinished: UnfinishedCopies | None
) -> Iterator[CopyJob]:
    def job(source: OssUrl, size_bytes: int, name: str, key: str) -> RemoteCopyJob:
        copied = OssUrl(target.bucket, key)
        return RemoteCopyJob(
            name=name,
            source_url=source,
            url=copied,
            size_bytes=size_bytes,
            options=plan.options,
            unfinished=unfinished.of_copy(source, copied) if unfinished is not None else None,
            target_side=plan.target_side(name),
        )

    if not plan.recursive:
        name = _object_name(url)
        size_bytes = client.head_object(url.bucket, url.key).content_bytes or 0
        yield job(url, size_bytes, name, target.key + name if target.names_prefix else target.key)
        return
    for found, name in _objects_below(url, plan, client):
        yield job(OssUrl(url.bucket, found.key), found.size_bytes, name, folder_key(target) + name)


def _object_name(url: OssUrl) -> str:
    """The last part of the key of a single object."""
    if url.names_prefix:
        raise InvalidInput(f"{url} is not an object", advice="Add -r to copy all that is below it.")
    return url.key.rpartition("/")[2]


def _objects_below(url: OssUrl, plan: CopyPlan, client: Client) -> Iterator[tuple[ListedObject, str]]:
    """Selected objects, and their names below the folder that the prefix is in; no folder marks."""
    folder = url.key[: url.key.rfind("/") + 1]
    for found in client.iter_objects(url.bucket, prefix=url.key or None):
        name = found.key.removeprefix(folder)
        if not name.endswith("/") and name and plan.selection.takes(name, found.size_bytes):
            yield found, name


def local_path(name: str) -> PurePosixPath:
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
    return PurePosixPath(file_name(name))
