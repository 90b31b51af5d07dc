"""The records that OSS selected, as they come, taken out of their frames."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

from penstock.client.sending.scope import stopped_with_reader
from penstock.errors import (
    STOPPED_IN_FLIGHT,
    Aborted,
    ChecksumMismatch,
    ConnectionLost,
    MalformedResponse,
    ServiceError,
)
from penstock.net.latch import Latch, Tripped
from penstock.net.response import HttpResponse
from penstock.net.stream import write_all
from penstock.protocol.error_table import error_from_response
from penstock.protocol.operations.select import SelectObjectResult
from penstock.protocol.select_frames import (
    DataFrame,
    EndFrame,
    FrameDamaged,
    FrameInvalid,
    FrameReader,
    MetaEndFrame,
)

_BUFFER_BYTES = 256 * 1024


class SelectBody:
    """
    What `Client.select_object` returns: the records that were selected.

    Read it with `read`, by iterating (pieces as OSS sends them), or `copy_to` a file; close it, or use it as
    a context manager. Every frame's CRC-32 is compared, and the end frame says whether these are all records:
    reading raises if they are not.

    Attributes:
        description: What the answer's headers say.
        scanned_bytes: How much of the object OSS has looked at so far.
        ending: The end frame, once it was read.
    """

    def __init__(
        self, response: HttpResponse, description: SelectObjectResult, latch: Latch, *, what: str
    ) -> None:
        self.description = description
        self.scanned_bytes = 0
        self.ending: EndFrame | MetaEndFrame | None = None
        self._response = response
        self._latch = latch
        self._what = what
        self._frames = FrameReader()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._ready = bytearray()
        self._closed = False

    def read(self, size: int = -1) -> bytes:
        """
        The next ``size`` bytes of records, fewer only at the end; all that is left if negative.

        Raises:
            Aborted: The call was stopped.
            ServiceError: OSS could not go on; what was read before is not all.
            ConnectionLost, MalformedResponse: The answer ended before its end frame, or has none.
            ChecksumMismatch: A frame was damaged on the way.
        """
        while (size < 0 or len(self._ready) < size) and self._more():
            pass
        if size < 0 and self._failure is not None:
            raise self._failure
        count = len(self._ready) if size < 0 else min(size, len(self._ready))
        data = bytes(memoryview(self._ready)[:count])
        del self._ready[:count]
        return data

    def __iter__(self) -> Iterator[bytes]:
        while self._ready or self._more():
            if self._ready:
                data = bytes(self._ready)
                self._ready.clear()
                yield data

    def copy_to(self, file: BinaryIO) -> int:
        """
        Write all that is left into an open file, which need not block; returns how many bytes.

        Raises:
            OSError: The file could not be written. Else as `read`.
        """
        written = 0
        for data in self:
            try:
                with stopped_with_reader(self._latch):
                    write_all(file, data, self._latch)
            except Tripped as tripped:
                self.close()
                raise self._aborted(tripped.reason) from None
            written += len(data)
        return written

    def close(self) -> None:
        """Let go of the connection; what was not read is thrown away."""
        self._closed = True
        self._response.close()
        self._latch.close()

    def __enter__(self) -> SelectBody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _more(self) -> bool:
        """Takes what comes next; False after the end frame, which raises once all before it was read."""
        if self.ending is not None:
            if self._failure is not None and not self._ready:
                raise self._failure
            return False
        if self._closed:
            return False
        try:
            with stopped_with_reader(self._latch):
                count = self._response.readinto(self._buffer)
            if count == 0:
                raise ConnectionLost(
                    f"{self._what} was answered without an end: records may be missing",
                    request_sent=True,
                    advice="Select again.",
                )
            self._take(self._buffer[:count])
        except Tripped as tripped:
            self.close()
            raise self._aborted(tripped.reason) from None
        except FrameInvalid as error:
            self.close()
            raise self._unreadable(error) from error
        return True

    def _take(self, data: memoryview) -> None:
        for frame in self._frames.feed(data):
            if self.ending is not None:
                raise FrameInvalid("something follows the end frame")
            self.scanned_bytes = frame.offset
            if isinstance(frame, DataFrame):
                self._ready += frame.data
            elif isinstance(frame, EndFrame | MetaEndFrame):
                self.ending = frame
        if self.ending is not None:
            if not self._frames.between_frames:
                raise FrameInvalid("something follows the end frame")
            self._finish()

    def _finish(self) -> None:
        # The last chunk of the answer is read too, so that the connection can be used again.
        if self._response.readinto(self._buffer[:1]):
            raise FrameInvalid("something follows the end frame")
        self.close()

    @property
    def _failure(self) -> ServiceError | None:
        """What the end frame says, if it says that not all went well."""
        ending = self.ending
        if ending is None or 200 <= ending.status < 300:
            return None
        codes, _, message = ending.message.partition(".")
        return error_from_response(
            ending.status,
            codes.partition(",")[0] or "SelectOperationFailed",
            message or "no details",
            request_id=self.description.request_id,
            resource=self._what.rpartition(" ")[2],
        )

    def _unreadable(self, error: FrameInvalid) -> MalformedResponse | ChecksumMismatch:
        if isinstance(error, FrameDamaged):
            return ChecksumMismatch(
                f"{self._what} was answered with {error}",
                expected=error.expected,
                actual=error.actual,
                advice="The bytes were damaged on the way. Select again.",
            )
        return MalformedResponse(
            f"{self._what} was answered with something that OSS does not answer: {error}",
            request_sent=True,
            advice="Check that the endpoint is OSS and that no proxy changes its answers.",
        )

    def _aborted(self, reason: str) -> Aborted:
        return Aborted(
            f"{self._what} was stopped after {self.scanned_bytes:,} bytes of the object ({reason})",
            code=STOPPED_IN_FLIGHT,
            reason=reason,
            advice="Call it again if it is still wanted.",
        )
