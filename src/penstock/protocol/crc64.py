"""
CRC-64 as OSS computes it (CRC-64/XZ), and checksums of joined data without reading it again.

OSS reports it in decimal in the header ``x-oss-hash-crc64ecma``. The polynomial is ECMA-182, reflected,
with all bits set at the start and inverted at the end: ``crc64(b"123456789") == 0x995dc9bbdf1939fa``.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from fastcrc.crc64 import xz

Buffer: TypeAlias = bytes | bytearray | memoryview

_POLYNOMIAL = 0xC96C5795D7870F42
_ONE = 1 << 63
_X_TO_THE_8 = 1 << 55


def crc64(data: Buffer, initial: int = 0) -> int:
    """
    Give the CRC-64 of `data` as an unsigned number.

    `initial` is the CRC-64 of what came before, so that data can be handed in piece by piece. The GIL is
    released for large buffers, which must not change meanwhile.
    """
    return xz(data, initial)


def combine(crc_a: int, crc_b: int, b_bytes: int) -> int:
    """
    Give the CRC-64 of A followed by B from the CRC-64 of each and the length of B.

    The cost does not depend on the length, and is smallest when the same length comes again, as it does
    with the parts of an upload.
    """
    if b_bytes < 0:
        raise ValueError(f"A length cannot be negative: {b_bytes}")
    return _multiply(crc_a, _x_to_the(b_bytes)) ^ crc_b


def combine_all(parts: Iterable[tuple[int, int]]) -> int:
    """Give the CRC-64 of all parts joined, from ``(crc64, size_bytes)`` of each, in order; 0 if none."""
    whole = 0
    for crc, size_bytes in parts:
        whole = combine(whole, crc, size_bytes)
    return whole


def _multiply(a: int, b: int) -> int:
    # Polynomials over GF(2) modulo the CRC's own, bits reflected: the highest bit is the constant term.
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFFFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


@lru_cache(maxsize=256)
def _x_to_the(size_bytes: int) -> int:
    """Raise x to the power of eight times `size_bytes`: what so many bytes do to the checksum before them."""
    power = _ONE
    bit = 0
    while size_bytes >> bit:
        if size_bytes >> bit & 1:
            power = _multiply(power, _x_to_the_power_of_two(bit))
        bit += 1
    return power


@lru_cache(maxsize=64)
def _x_to_the_power_of_two(exponent: int) -> int:
    """Raise x to the power of ``8 * 2 ** exponent``."""
    if exponent == 0:
        return _X_TO_THE_8
    half = _x_to_the_power_of_two(exponent - 1)
    return _multiply(half, half)
