"""GZIP taken apart piece by piece, however much it grows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from penstock.protocol.error_table import fault

_GZIP_ONLY: Final = 16 + zlib.MAX_WBITS

Chunk = tuple[int, bytes]
"""Bytes of an object, and where in it they end."""


def gunzipped(chunks: Iterator[Chunk], most_bytes: int) -> Iterator[Chunk]:
    """
    What the chunks hold unpacked, at most ``most_bytes`` at a time; their ends are those in the object.

    Several members one after the other are taken as one.

    Raises:
        ServiceError: DecompressFailure.
    """
    unpack = zlib.decompressobj(_GZIP_ONLY)
    for end, data in chunks:
        left = data
        while left:
            if unpack.eof:
                # Some writers fill up with zeros behind the last member.
                left = left.lstrip(b"\0")
                if not left:
                    break
                unpack = zlib.decompressobj(_GZIP_ONLY)
            out = _unpacked(unpack, left, most_bytes)
            left = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
            yield end, out
            # What the unpacker still holds comes without more input.
            while not unpack.eof and not left and len(out) == most_bytes:
                out = _unpacked(unpack, b"", most_bytes)
                yield end, out
    if not unpack.eof:
        raise fault("DecompressFailure", message="The compressed object ends too early.")


def _unpacked(unpack: zlib._Decompress, data: bytes, most_bytes: int) -> bytes:
    try:
        return unpack.decompress(data, most_bytes)
    except zlib.error:
        raise fault("DecompressFailure") from None
