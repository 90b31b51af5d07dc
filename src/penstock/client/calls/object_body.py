"""The bytes of an object as they come, checked against its CRC-64 at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import BinaryIO

from penstock.client.sending.scope import stopped_with_reader
from penstock.errors import STOPPED_IN_FLIGHT, Aborted, ChecksumMismatch, ConnectionLost, TimedOut
from penstock.net.latch import Latch, Tripped
from penstock.net.response import HttpResponse
from penstock.net.stream import write_all
from penstock.protocol.crc64 import crc64
from penstock.protocol.operations.headers import ObjectDescription

CHUNK_BYTES = 256 * 1024

Reopen = Callable[[int], HttpResponse]
"""Opens the same revision of the object again, from a position of this body on."""


class ObjectBody:
    """
    What `Client.get_object` returns: the bytes of an object, and what OSS says of it.

    Read it with `read`, `readinto`, by iterating (chunks of 256 KiB), or `copy_to` a file; close it, or use
    it as a context manager. A connection that is lost half-way is taken up again where it was lost, for the
    same revision of the object. When the whole object was read, its CRC-64 is compared with OSS's.

    Attributes:
        description: All that the answer's headers say.
    """

    def __init__(
        self,
        response: HttpResponse,
        description: ObjectDescription,
        latch: Latch,
        *,
        resource: str,
        whole: bool,
        reopen: Reopen | None,
    ) -> None:
        self.description = description
        self._response = response
        self._latch = latch
        self._resource = resource
        self._expected_crc64 = description.crc64 if whole else None
        self._length = description.content_bytes
        self._reopen = reopen
        self._crc64 = 0
        self._position = 0
        self._ended = False

    @property
    def content_bytes(self) -> int | None:
        """Length of this body: of the range, if one was asked for."""
        return self.description.content_bytes

    @property
    def content_type(self) -> str | None:
        """Media type."""
        return self.description.content_type

    @property
    def etag(self) -> str | None:
        """ETag without quotes."""
        return self.description.etag

    @property
    def last_modified(self) -> datetime | None:
        """When the object was made."""
        return self.description.last_modified

    @property
    def metadata(self) -> dict[str, str]:
        """User metadata, names in lower case."""
        return dict(self.description.metadata)

    def read(self, size: int = -1) -> bytes:
        """
        The next ``size`` bytes, fewer only at the end; all that is left if negative.

        Raises:
            Aborted: The call was stopped.
            ConnectionLost: The connection was lost and could not be taken up again.
            ChecksumMismatch: The end was reached and the bytes are not those that OSS has.
        """
        if size < 0:
            return b"".join(self)
        buffer = bytearray(size)
        view = memoryview(buffer)
        count = 0
        while count < size:
            got = self.readinto(view[count:])
            if got == 0:
                break
            count += got
        return bytes(view[:count])

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Fill some of ``buffer``; returns how much, 0 only at the end. Raises as `read`."""
        view = memoryview(buffer)
        if not view or self._ended:
            return 0
        try:
            with stopped_with_reader(self._latch):
                count = self._readinto(view)
        except Tripped as tripped:
            self.close()
            raise self._aborted(tripped.reason) from None
        if count:
            self._crc64 = crc64(view[:count], self._crc64)
            self._position += count
        else:
            self._end()
        return count

    def _readinto(self, view: memoryview) -> int:
        try:
            return self._response.readinto(view)
        except (ConnectionLost, TimedOut):
            self._latch.check()
            if self._reopen is None or self._length is None or self._position >= self._length:
                raise
            self._response.close()
            self._response = self._reopen(self._position)
            return self._response.readinto(view)

    def _end(self) -> None:
        self._ended = True
        self.close()
        if self._expected_crc64 is not None and self._crc64 != self._expected_crc64:
            raise ChecksumMismatch(
                f"{self._resource} was read whole, but its CRC-64 is {self._crc64} and OSS says "
                f"{self._expected_crc64}",
                expected=self._expected_crc64,
                actual=self._crc64,
                advice="The bytes were damaged on the way. Read it again.",
            )

    def __iter__(self) -> Iterator[bytes]:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        while count := self.readinto(buffer):
            yield bytes(buffer[:count])

    def copy_to(self, file: BinaryIO) -> int:
        """
        Write all that is left into an open file, which need not block; returns how many bytes.

        Raises:
            OSError: The file could not be written. Else as `read`.
        """
        buffer = memoryview(bytearray(4 * CHUNK_BYTES))
        written = 0
        while count := self.readinto(buffer):
            try:
                with stopped_with_reader(self._latch):
                    write_all(file, buffer[:count], self._latch)
            except Tripped as tripped:
                self.close()
                raise self._aborted(tripped.reason) from None
            written += count
        return written

    def close(self) -> None:
        """Let go of the connection; what was not read is thrown away."""
        self._response.close()
        self._latch.close()

    def __enter__(self) -> ObjectBody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _aborted(self, reason: str) -> Aborted:
        return Aborted(
            f"GetObject {self._resource} was stopped after {self._position:,} bytes ({reason})",
            code=STOPPED_IN_FLIGHT,
            reason=reason,
            advice="Call it again, with a range from there on, to go on.",
        )
