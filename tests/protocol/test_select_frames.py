"""The frames of SelectObject, against what OSS has sent and against themselves."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocol.select_frames import (
    ContinuousFrame,
    DataFrame,
    EndFrame,
    Frame,
    FrameDamaged,
    FrameInvalid,
    FrameReader,
    MetaEndFrame,
    encode,
)

_count = st.integers(0, 2**64 - 1)
_small = st.integers(0, 2**32 - 1)
FRAMES = st.one_of(
    st.builds(DataFrame, _count, st.binary(max_size=300)),
    st.builds(ContinuousFrame, _count),
    st.builds(EndFrame, _count, _count, _small, st.text(max_size=40)),
    st.builds(MetaEndFrame, _count, _count, _small, _small, _count, st.none() | _small, st.text(max_size=40)),
)


def test_an_end_frame_is_written_byte_for_byte_as_oss_writes_it() -> None:
    recorded = bytes.fromhex("01800005000000140000000000000000000000a200000000000000a2000000c8e3c5c650")
    frame = EndFrame(0xA2, 0xA2, 200)
    assert encode(frame) == recorded
    assert FrameReader().feed(recorded) == [frame]


def test_a_data_frame_is_written_byte_for_byte_as_oss_writes_it() -> None:
    recorded = bytes.fromhex(
        "018000010000002d0000000000000000000000a24c617772656e636520526f73732c5363686f6f6c2c4d65744c69666520"
        "496e632e2c32340a0573d261"
    )
    frame = DataFrame(0xA2, b"Lawrence Ross,School,MetLife Inc.,24\n")
    assert encode(frame) == recorded
    assert FrameReader().feed(recorded) == [frame]


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_frames_come_back_however_their_bytes_are_cut(frames: list[Frame], cuts: list[int]) -> None:
    data = b"".join(map(encode, frames))
    reader = FrameReader()
    found: list[Frame] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        found += reader.feed(data[start:end])
    assert found == frames
    assert reader.between_frames


@given(FRAMES, st.data())
def test_a_frame_that_is_cut_short_is_not_given(frame: Frame, data: st.DataObject) -> None:
    whole = encode(frame)
    reader = FrameReader()
    assert reader.feed(whole[: data.draw(st.integers(1, len(whole) - 1))]) == []
    assert not reader.between_frames


@given(FRAMES, st.data())
def test_a_payload_that_was_changed_is_told(frame: Frame, data: st.DataObject) -> None:
    whole = bytearray(encode(frame))
    whole[data.draw(st.integers(12, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FrameDamaged):
        FrameReader().feed(whole)


def test_without_checksums_nothing_is_compared() -> None:
    whole = bytearray(encode(DataFrame(3, b"abc")))
    whole[-1] ^= 1
    assert FrameReader(check_crc=False).feed(whole) == [DataFrame(3, b"abc")]


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\n",
        bytes.fromhex("01800002000000080000000000"),
        bytes.fromhex("018000017fffffff00000000"),
        bytes.fromhex("0180000500000001000000000041"),
    ],
    ids=["no frame", "unknown type", "too large", "too short"],
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameInvalid):
        FrameReader(check_crc=False).feed(data + bytes(8))
