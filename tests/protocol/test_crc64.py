import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocol.crc64 import combine, combine_all, crc64


def test_the_check_value_is_that_of_oss():
    assert crc64(b"123456789") == 0x995DC9BBDF1939FA
    assert crc64(b"") == 0


def test_data_may_come_in_any_kind_of_buffer():
    data = b"0123456789" * 100
    assert crc64(bytearray(data)) == crc64(memoryview(data)) == crc64(data)


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_data_may_come_piece_by_piece(data, at):
    assert crc64(data[at:], crc64(data[:at])) == crc64(data)


@given(st.binary(max_size=2000), st.binary(max_size=2000))
def test_two_checksums_combine_to_that_of_the_joined_data(a, b):
    assert combine(crc64(a), crc64(b), len(b)) == crc64(a + b)


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_many_checksums_combine_to_that_of_the_joined_data(pieces):
    assert combine_all((crc64(piece), len(piece)) for piece in pieces) == crc64(b"".join(pieces))


def test_equal_parts_and_a_shorter_last_one_combine():
    whole = bytes(range(256)) * 5000
    parts = [whole[at : at + 102_400] for at in range(0, len(whole), 102_400)]
    assert len(parts[-1]) < len(parts[0])
    assert combine_all([(crc64(part), len(part)) for part in parts]) == crc64(whole)


@given(*[st.integers(0, 2**64 - 1)] * 3, *[st.integers(0, 5 * 2**40)] * 2)
def test_combining_does_not_depend_on_the_order_of_joining(a, b, c, b_bytes, c_bytes):
    left = combine(combine(a, b, b_bytes), c, c_bytes)
    right = combine(a, combine(b, c, c_bytes), b_bytes + c_bytes)
    assert left == right


def test_a_length_of_many_terabytes_combines_as_its_halves_do():
    zeros_of = {1: crc64(b"\0")}
    size = 1
    while size < 2**45:
        zeros_of[size * 2] = combine(zeros_of[size], zeros_of[size], size)
        size *= 2
    assert zeros_of[2**20] == crc64(bytes(2**20))
    assert combine(zeros_of[2**44], zeros_of[2**44], 2**44) == zeros_of[2**45]


def test_a_negative_length_is_refused():
    with pytest.raises(ValueError, match="negative"):
        combine(1, 2, -1)
