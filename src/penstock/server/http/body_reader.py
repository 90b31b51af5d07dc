"""Finds the body of a request in what arrives. No I/O."""

from __future__ import annotations

from penstock.server.http.chunked import ChunkedDecoder

_MOST_PIECES = 32
"""More are joined: each costs whoever stores it a call of the system."""


class BodyReader:
    """Finds the body in what arrives: by its length, or by its chunks."""

    def __init__(self, length: int | None) -> None:
        self._left = length
        self._chunks = ChunkedDecoder() if length is None else None

    @property
    def done(self) -> bool:
        return self._chunks.done if self._chunks else self._left == 0

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        """
        Pieces of the body within ``data``, and how much of it was taken: what belongs to this request, or
        less, if the pieces are many; then the rest is fed again.
        """
        if self._chunks is not None:
            pieces, size = self._chunks.feed(data)
            return (pieces if len(pieces) <= _MOST_PIECES else [memoryview(b"".join(pieces))]), size
        assert self._left is not None
        piece = data[: self._left]
        self._left -= len(piece)
        return [piece], len(piece)
