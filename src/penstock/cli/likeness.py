"""Whether what is to be copied is at its target already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import NotFound
from penstock.files.source import READ_BYTES, SourceFile
from penstock.protocol.crc64 import crc64

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.protocol.operations.listing import ListedObject
    from penstock.protocol.urls import OssUrl


class Likeness(Enum):
    """What is enough for a target to be left as it is."""

    NOTHING = "nothing"
    EXISTENCE = "existence"
    SIZE = "size"
    SIZE_AND_TIME = "size and time"
    CHECKSUM = "checksum"


@dataclass(frozen=True, slots=True)
class Side:
    """
    A file or an object, as far as it is compared.

    Attributes:
        modified_s: In unix seconds; None if it is not known.
        crc64: Gives the CRC-64; None if the other side does not say.
    """

    size_bytes: int
    modified_s: float | None
    crc64: Callable[[], int | None]


def is_alike(enough: Likeness, source: Side, target: Side | None) -> bool:
    """Whether a copy can be left out; a target that is not there is never alike."""
    if target is None or enough is Likeness.NOTHING:
        return False
    if enough is Likeness.EXISTENCE:
        return True
    if source.size_bytes != target.size_bytes:
        return False
    if enough is Likeness.SIZE_AND_TIME:
        if source.modified_s is None or target.modified_s is None:
            return False
        # OSS keeps whole seconds, so of two in the same second either may be the older one.
        if int(source.modified_s) != int(target.modified_s):
            return source.modified_s < target.modified_s
        return _has_same_bytes(source, target)
    if enough is Likeness.CHECKSUM:
        return _has_same_bytes(source, target)
    return True


def _has_same_bytes(source: Side, target: Side) -> bool:
    expected = source.crc64()
    return expected is not None and expected == target.crc64()


def local_side(path: Path) -> Side | None:
    """A file of this machine; None if there is none that could be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Side(status.st_size, status.st_mtime, lambda: _crc64_of(path))


def remote_side(client: Client, url: OssUrl) -> Side | None:
    """An object; None if there is none."""
    try:
        there = client.head_object(url.bucket, url.key)
    except NotFound:
        return None
    modified_s = there.last_modified.timestamp() if there.last_modified is not None else None
    return Side(there.content_bytes or 0, modified_s, lambda: there.crc64)


def listed_side(client: Client, url: OssUrl, found: ListedObject) -> Side:
    """An object as a listing shows it; its CRC-64 is asked for if it is needed."""

    def ask() -> int | None:
        there = remote_side(client, url)
        return None if there is None else there.crc64()

    modified_s = found.last_modified.timestamp() if found.last_modified is not None else None
    return Side(found.size_bytes, modified_s, ask)


def _crc64_of(path: Path) -> int:
    whole = 0
    with SourceFile.open(path) as source:
        for block in source.blocks(0, source.identity.size_bytes, bytearray(READ_BYTES)):
            whole = crc64(block, whole)
    return whole
