"""Finds the body of a request in what arrives. No I/O."""

from __future__ import annotations

from penstock.server.http.chunked import ChunkedDecoder


class BodyReader:
    """Finds the body in what arrives: by its length, or by its chunks."""

    def __init__(self, length: int | None) -> None:
        self._left = length
        self._chunks = ChunkedDecoder() if length is None else None

    @property
    def done(self) -> bool:
        return self._chunks.done if self._chunks else self._left == 0

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        """Pieces of the body within ``data``, and how much of it belongs to this request."""
        if self._chunks is not None:
            return self._chunks.feed(data)
        assert self._left is not None
        piece = data[: self._left]
        self._left -= len(piece)
        return [piece], len(piece)
