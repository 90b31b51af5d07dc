"""Takes chunked bodies apart, without I/O and without copying what they carry."""

from __future__ import annotations

import re
from enum import Enum, auto

MAX_LINE_BYTES = 1024
"""A chunk's size with its extensions, or one trailer."""

MAX_TRAILER_BYTES = 16 * 1024

MAX_EXTENSION_BYTES = 16 * 1024
"""All extensions of a body together; no client of OSS sends any, and they mean nothing here."""

MAX_LINES_AT_ONCE = 1024
"""So many lines between chunks are read in one go: chunks of one byte must not hold up everybody else."""

_WINDOW_BYTES = 64
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})([ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\x00-\x08\x0a-\x1f\x7f]*")


class ChunksInvalid(Exception):
    """The body does not follow the rules of chunked encoding; where it ends cannot be known."""


class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class ChunkedDecoder:
    """
    Splits what arrives into body bytes and the frames around them.

    Attributes:
        done: True once the last chunk and its trailers have been seen.
    """

    def __init__(self) -> None:
        self._state = _State.SIZE
        self._left = 0
        self._line = bytearray()
        self._trailer_bytes = 0
        self._extension_bytes = 0

    @property
    def done(self) -> bool:
        return self._state is _State.DONE

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        """
        Take what arrived.

        Returns:
            The views of body bytes within ``data``, and how many bytes of it were taken: all that belong to
            this body, or fewer if it has many small chunks. Then it is fed the rest again.

        Raises:
            ChunksInvalid: Something is where no chunk can begin or end.
        """
        pieces: list[memoryview] = []
        at = lines = 0
        while at < len(data) and lines < MAX_LINES_AT_ONCE and self._state is not _State.DONE:
            if self._state is _State.DATA:
                piece = data[at : at + self._left]
                pieces.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left == 0:
                    self._state = _State.DATA_END
                continue
            lines += 1
            line, at = self._take_line(data, at)
            if line is not None:
                self._end_of_line(line)
        return pieces, at

    def _take_line(self, data: memoryview, at: int) -> tuple[bytes | None, int]:
        """The line that ends in ``data``, without its CRLF, or None if more must come."""
        window = bytes(data[at : at + min(_WINDOW_BYTES, MAX_LINE_BYTES + 2 - len(self._line))])
        newline = window.find(b"\n")
        taken = len(window) if newline < 0 else newline + 1
        self._line += window[:taken]
        if newline < 0:
            if len(self._line) > MAX_LINE_BYTES:
                raise ChunksInvalid("a line between chunks has no end")
            return None, at + taken
        line = bytes(self._line)
        self._line.clear()
        if not line.endswith(b"\r\n"):
            raise ChunksInvalid("a line between chunks does not end with CR LF")
        return line[:-2], at + taken

    def _end_of_line(self, line: bytes) -> None:
        if self._state is _State.SIZE:
            found = _SIZE.fullmatch(line)
            if found is None:
                raise ChunksInvalid(f"{line[:40]!r} is not the size of a chunk")
            self._extension_bytes += len(found[2] or b"")
            if self._extension_bytes > MAX_EXTENSION_BYTES:
                raise ChunksInvalid("the extensions of the chunks are too long")
            self._left = int(found[1], 16)
            self._state = _State.DATA if self._left else _State.TRAILER
        elif self._state is _State.DATA_END:
            if line:
                raise ChunksInvalid("a chunk is longer than it says")
            self._state = _State.SIZE
        else:
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MAX_TRAILER_BYTES:
                raise ChunksInvalid("the trailers after the body are too long")
            if not line:
                self._state = _State.DONE
            elif _TRAILER.fullmatch(line) is None:
                raise ChunksInvalid(f"{line[:40]!r} is not a trailer")
