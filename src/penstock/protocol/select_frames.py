"""
The frames in which OSS answers SelectObject and CreateSelectObjectMeta, written and read.

    version (1 byte), type (3) | payload length (4) | header checksum (4) | payload | CRC-32 of it (4)

All numbers are big-endian. Data frames carry records, continuous frames say that the work goes on, and an
end frame says how it ended: its status counts, not that of the HTTP answer. OSS leaves the header checksum 0.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import Final

import msgspec

VERSION: Final = 1
MAX_PAYLOAD_BYTES: Final = 64 * 1024 * 1024
"""No frame is larger; one that says so is none."""

_HEAD = struct.Struct(">III")
_OFFSET = struct.Struct(">Q")
_END = struct.Struct(">QQI")
_CSV_META_END = struct.Struct(">QQIIQI")
_JSON_META_END = struct.Struct(">QQIIQ")
_CRC = struct.Struct(">I")


class FrameType(IntEnum):
    """What a frame is for."""

    DATA = 0x800001
    CONTINUOUS = 0x800004
    END = 0x800005
    CSV_META_END = 0x800006
    JSON_META_END = 0x800007


class FrameInvalid(ValueError):
    """The bytes are no frames of OSS."""


class FrameDamaged(FrameInvalid):
    """
    The payload of a frame was changed on the way.

    Attributes:
        expected: CRC-32 of the payload that came.
        actual: CRC-32 that came with it.
    """

    def __init__(self, expected: int, actual: int) -> None:
        super().__init__(f"a frame whose CRC-32 is {expected}, and says {actual}")
        self.expected = expected
        self.actual = actual


class DataFrame(msgspec.Struct, frozen=True):
    """Records; ``offset`` is how much of the object was looked at before they were sent."""

    offset: int
    data: bytes


class ContinuousFrame(msgspec.Struct, frozen=True):
    """Nothing was found for a while; the work goes on at ``offset``."""

    offset: int


class EndFrame(msgspec.Struct, frozen=True):
    """
    How the work ended.

    Attributes:
        offset: Where in the object it ended.
        scanned_bytes: How much was looked at.
        status: HTTP status; outside 200 to 299 the records before it are not all.
        message: Error codes, a full stop and what happened; empty if all went well.
    """

    offset: int
    scanned_bytes: int
    status: int
    message: str = ""


class MetaEndFrame(msgspec.Struct, frozen=True):
    """As `EndFrame`, with what CreateSelectObjectMeta found; ``columns`` is None for JSON."""

    offset: int
    scanned_bytes: int
    status: int
    splits: int
    rows: int
    columns: int | None = None
    message: str = ""


Frame = DataFrame | ContinuousFrame | EndFrame | MetaEndFrame


def encode(frame: Frame) -> bytes:
    """The bytes of a frame."""
    match frame:
        case DataFrame(offset=offset, data=data):
            return _framed(FrameType.DATA, _OFFSET.pack(offset) + data)
        case ContinuousFrame(offset=offset):
            return _framed(FrameType.CONTINUOUS, _OFFSET.pack(offset))
        case EndFrame():
            fixed = _END.pack(frame.offset, frame.scanned_bytes, frame.status)
            return _framed(FrameType.END, fixed + frame.message.encode())
        case MetaEndFrame():
            found = (frame.offset, frame.scanned_bytes, frame.status, frame.splits, frame.rows)
            if frame.columns is None:
                kind, fixed = FrameType.JSON_META_END, _JSON_META_END.pack(*found)
            else:
                kind, fixed = FrameType.CSV_META_END, _CSV_META_END.pack(*found, frame.columns)
            return _framed(kind, fixed + frame.message.encode())


def _framed(kind: FrameType, payload: bytes) -> bytes:
    head = _HEAD.pack(VERSION << 24 | kind, len(payload), 0)
    return b"".join((head, payload, _CRC.pack(zlib.crc32(payload))))


class FrameReader:
    """
    Reads frames from bytes that come in pieces of any size.

    Args:
        check_crc: False where OSS was not asked for checksums; it may leave them out then.
    """

    def __init__(self, *, check_crc: bool = True) -> None:
        self._check_crc = check_crc
        self._buffer = bytearray()

    @property
    def between_frames(self) -> bool:
        """True if nothing of a frame is left over."""
        return not self._buffer

    def feed(self, data: bytes | bytearray | memoryview) -> list[Frame]:
        """
        The frames that these bytes complete, in order.

        Raises:
            FrameInvalid: They are no frames; `FrameDamaged` where a checksum does not fit.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        at = 0
        while len(buffer) - at >= _HEAD.size:
            word, length, _ = _HEAD.unpack_from(buffer, at)
            kind = _known(word & 0xFFFFFF)
            if length > MAX_PAYLOAD_BYTES:
                raise FrameInvalid(f"a frame of {length:,} bytes, where {MAX_PAYLOAD_BYTES:,} are the most")
            start = at + _HEAD.size
            end = start + length + _CRC.size
            if len(buffer) < end:
                break
            payload = bytes(memoryview(buffer)[start : start + length])
            (crc,) = _CRC.unpack_from(buffer, start + length)
            if self._check_crc and crc != zlib.crc32(payload):
                raise FrameDamaged(zlib.crc32(payload), crc)
            frames.append(_decoded(kind, payload))
            at = end
        del buffer[:at]
        return frames


def _known(kind: int) -> FrameType:
    try:
        return FrameType(kind)
    except ValueError:
        raise FrameInvalid(f"there is no frame of type {kind:#x}") from None


def _decoded(kind: FrameType, payload: bytes) -> Frame:
    try:
        match kind:
            case FrameType.DATA:
                (offset,) = _OFFSET.unpack_from(payload)
                return DataFrame(offset, payload[_OFFSET.size :])
            case FrameType.CONTINUOUS:
                (offset,) = _OFFSET.unpack_from(payload)
                return ContinuousFrame(offset)
            case FrameType.END:
                offset, scanned, status = _END.unpack_from(payload)
                return EndFrame(offset, scanned, status, _text(payload, _END.size))
            case FrameType.CSV_META_END:
                offset, scanned, status, splits, rows, columns = _CSV_META_END.unpack_from(payload)
                message = _text(payload, _CSV_META_END.size)
                return MetaEndFrame(offset, scanned, status, splits, rows, columns, message)
            case FrameType.JSON_META_END:
                offset, scanned, status, splits, rows = _JSON_META_END.unpack_from(payload)
                message = _text(payload, _JSON_META_END.size)
                return MetaEndFrame(offset, scanned, status, splits, rows, None, message)
    except struct.error:
        raise FrameInvalid(f"a frame of type {kind:#x} with {len(payload)} bytes is too short") from None


def _text(payload: bytes, start: int) -> str:
    return payload[start:].decode("utf-8", "replace")
