"""A real file of this machine that is large enough to watch its upload."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import InvalidInput, SourceUnreadable

SMALLEST_BYTES = 1024 * 1024
"""A file below this has too few parts to be stopped half-way."""

_LARGE_ENOUGH_BYTES = 24 * 1024 * 1024
_TOO_LARGE_BYTES = 192 * 1024 * 1024
_MADE_BYTES = 48 * 1024 * 1024
_SEARCH_S = 1.0


@dataclass(frozen=True, slots=True)
class DemoFile:
    """
    The file, and where it comes from in words.

    Attributes:
        made: True if it was put together of many files, in the scratch directory.
    """

    path: Path
    size_bytes: int
    made: bool


def given_file(path: Path) -> DemoFile:
    """
    The file that the user named.

    Raises:
        SourceUnreadable: It is no regular file that can be read.
        InvalidInput: It is too small.
    """
    try:
        status = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        raise SourceUnreadable(f"{path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise SourceUnreadable(f"{path} is not a regular file")
    if status.st_size < SMALLEST_BYTES:
        raise InvalidInput(
            f"{path} has {status.st_size:,} bytes: it would be there before it could be stopped",
            advice="Name a file of at least 1 MiB.",
        )
    return DemoFile(path, status.st_size, made=False)


def found_file(scratch: Path, most_bytes: int) -> DemoFile:
    """
    The largest file of the Python installation that suits, else one made of many of its files.

    Args:
        scratch: Where one may be made.
        most_bytes: The disk has no room for more.
    """
    most_bytes = min(most_bytes, _TOO_LARGE_BYTES)
    largest = max(_files(time.monotonic() + _SEARCH_S), default=(0, ""), key=_suiting(most_bytes))
    size_bytes, name = largest
    if _LARGE_ENOUGH_BYTES <= size_bytes <= most_bytes:
        return DemoFile(Path(name), size_bytes, made=False)
    return _made(scratch / "many-files-of-python.bin", min(most_bytes, _MADE_BYTES))


def _suiting(most_bytes: int) -> Callable[[tuple[int, str]], int]:
    return lambda found: found[0] if found[0] <= most_bytes else 0


def _files(deadline_s: float) -> Iterator[tuple[int, str]]:
    """Sizes and paths of readable regular files of this Python, until the time is over."""
    roots = dict.fromkeys(
        [
            sysconfig.get_path("stdlib"),
            sysconfig.get_path("platlib"),
            str(Path(sys.executable).resolve().parent),
        ]
    )
    waiting = [root for root in roots if root]
    while waiting and time.monotonic() < deadline_s:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False) and os.access(entry.path, os.R_OK):
                    yield entry.stat().st_size, entry.path
            except OSError:
                continue


def _made(path: Path, size_bytes: int) -> DemoFile:
    """A file of so many bytes, of real files one after the other, round and round."""
    sources = [name for size, name in sorted(_files(time.monotonic() + _SEARCH_S), reverse=True) if size]
    with path.open("wb") as made:
        while made.tell() < size_bytes:
            before = made.tell()
            for name in sources:
                if made.tell() >= size_bytes:
                    break
                try:
                    with Path(name).open("rb") as source:
                        shutil.copyfileobj(source, made)
                except OSError:
                    continue
            if made.tell() == before:
                raise SourceUnreadable(
                    "no file of this Python installation can be read",
                    advice="Name a file: penstock demo FILE",
                )
        made.truncate(size_bytes)
    return DemoFile(path, size_bytes, made=True)
