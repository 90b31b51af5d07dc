"""An object as the source of a copy: OSS reads it, and only where bytes must be compared do we."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.client.sending.body import Bytes
from penstock.client.sending.requester import Requester
from penstock.errors import (
    MalformedResponse,
    NotFound,
    PenstockError,
    PreconditionFailed,
    SourceChanged,
    SourceUnreadable,
)
from penstock.net.latch import Latch
from penstock.protocol.crc64 import crc64
from penstock.protocol.operations.headers import ObjectDescription
from penstock.protocol.operations.objects import GetObject, HeadObject
from penstock.protocol.urls import OssUrl
from penstock.transfer.journal import Source

BLOCK_BYTES = 256 * 1024


class ObjectParts:
    """
    Ranges of an object, all of the revision that was there at first.

    Args:
        requester: Carries out calls.
        url: The object.
        version_id: The version that was asked for, or an empty string.
        found: What HeadObject says of it.
    """

    def __init__(self, requester: Requester, url: OssUrl, version_id: str, found: ObjectDescription) -> None:
        self.url = url
        self.version_id = version_id
        self.found = found
        self.total_bytes = found.content_bytes or 0
        self._requester = requester
        self._source = _source(url, version_id, found)
        self.identity: Source | None = self._source

    @classmethod
    def inspect(cls, requester: Requester, url: OssUrl, version_id: str = "") -> ObjectParts:
        """
        Look at the object.

        Raises:
            NoSuchKey: There is none. And as every call.
        """
        with requester.latch() as latch:
            return cls(requester, url, version_id, _head(requester, url, version_id, latch))

    def part(self, offset: int, size_bytes: int) -> RangeBody:
        return RangeBody(self._requester, self.url, self._source, offset, size_bytes)

    def now(self, latch: Latch) -> Source | None:
        return _source(self.url, self.version_id, _head(self._requester, self.url, self.version_id, latch))

    def close(self) -> None:
        pass


class RangeBody:
    """A range of an object, read from OSS when it is wanted."""

    replayable = True

    def __init__(
        self, requester: Requester, url: OssUrl, source: Source, offset: int, size_bytes: int
    ) -> None:
        self.length: int | None = size_bytes
        self.crc64 = 0
        self._requester = requester
        self._name = str(url)
        self._size_bytes = size_bytes
        self._request = GetObject(
            bucket=url.bucket,
            key=url.key,
            range=f"bytes={offset}-{offset + size_bytes - 1}",
            range_behavior="standard",
            if_match=f'"{source.etag}"',
            version_id=source.version_id or None,
            accept_encoding="identity",
        )

    def content(self, latch: Latch) -> Iterator[Bytes]:
        return self.blocks(latch)

    def blocks(self, latch: Latch) -> Iterator[Bytes]:
        """
        The bytes in order; each block is valid until the next is asked for.

        Raises:
            Tripped: The latch was tripped.
            SourceChanged: The object is another one by now, or gone.
            SourceUnreadable: OSS could not be asked.
        """
        self.crc64 = 0
        try:
            yield from self._blocks(latch)
        except (PreconditionFailed, NotFound) as error:
            raise SourceChanged(
                f"{self._name} was written to, or removed, while it was read: {error.code}",
                advice="Begin a new copy.",
            ) from error
        except PenstockError as error:
            latch.check()
            raise SourceUnreadable(
                f"{self._name} could not be read: {error.message}", advice=error.advice
            ) from error

    def _blocks(self, latch: Latch) -> Iterator[Bytes]:
        buffer = memoryview(bytearray(min(BLOCK_BYTES, self._size_bytes)))
        left = self._size_bytes
        response, found = self._requester.open(self._request, ObjectDescription, latch)
        try:
            check_range(found, self._size_bytes, self._name)
            while left and (count := response.readinto(buffer[:left])):
                left -= count
                self.crc64 = crc64(buffer[:count], self.crc64)
                yield buffer[:count]
        finally:
            response.close()

    def close(self) -> None:
        pass


def check_range(found: ObjectDescription, size_bytes: int, name: str) -> None:
    """Raise `MalformedResponse` if an answer has another length than the range that was asked for."""
    if found.content_bytes != size_bytes:
        raise MalformedResponse(
            f"{size_bytes} bytes of {name} were asked for, and {found.content_bytes} were answered",
            advice="Check that the endpoint is OSS and that no proxy changes its answers.",
        )


def _head(requester: Requester, url: OssUrl, version_id: str, latch: Latch) -> ObjectDescription:
    request = HeadObject(bucket=url.bucket, key=url.key, version_id=version_id or None)
    return requester.call(request, ObjectDescription, latch=latch)


def _source(url: OssUrl, version_id: str, found: ObjectDescription) -> Source:
    return Source(
        path=str(url),
        size_bytes=found.content_bytes or 0,
        etag=found.etag or "",
        version_id=version_id,
        crc64=found.crc64,
    )
