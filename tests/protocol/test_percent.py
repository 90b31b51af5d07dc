import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidInput
from penstock.protocol.percent import decode, encode, format_query, parse_query

texts = st.text()


@given(texts, st.booleans())
def test_decoding_undoes_encoding(text, keep_slash):
    encoded = encode(text, keep_slash=keep_slash)
    assert decode(encoded) == decode(encoded.encode("ascii")) == text
    assert decode(encoded, plus_is_space=True) == text


@given(texts)
def test_only_unreserved_characters_stay_as_they_are(text):
    unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~"
    expected = "".join(c if c in unreserved else "".join(f"%{b:02X}" for b in c.encode()) for c in text)
    assert encode(text) == expected


def test_the_slash_is_kept_only_if_asked():
    assert encode("a/b") == "a%2Fb"
    assert encode("a/b c", keep_slash=True) == "a/b%20c"


def test_plus_is_a_space_only_if_asked():
    assert decode("a+b%2Bc") == "a+b+c"
    assert decode("a+b%2Bc", plus_is_space=True) == "a b+c"


def test_raw_utf8_is_read_as_it_is():
    assert decode("über/%C3%BC".encode()) == "über/ü"
    assert decode("über") == "über"


@pytest.mark.parametrize("text", ["%", "a%2", "%zz", "100%!"])
def test_a_broken_escape_is_refused(text):
    with pytest.raises(InvalidInput, match="hexadecimal"):
        decode(text)


@pytest.mark.parametrize("text", ["%ff", b"\xff", "%C3", "%ED%A0%80", "\ud800", "%C0%AF"])
def test_what_is_not_utf8_is_refused(text):
    with pytest.raises(InvalidInput, match="UTF-8"):
        decode(text)


def test_a_lone_surrogate_cannot_be_encoded():
    with pytest.raises(InvalidInput, match="UTF-8"):
        encode("a\ud800")


def test_a_query_keeps_its_order_and_tells_no_value_from_an_empty_one():
    assert parse_query("uploads&prefix=&a=1&a=%3D=&") == [
        ("uploads", None),
        ("prefix", ""),
        ("a", "1"),
        ("a", "=="),
    ]
    assert parse_query("") == []


def test_a_query_of_bytes_may_hold_raw_utf8():
    assert parse_query("prefix=é+%20".encode(), plus_is_space=True) == [("prefix", "é  ")]


@given(st.lists(st.tuples(st.text(min_size=1), st.none() | texts)))
def test_a_query_comes_back_as_it_was_written(query):
    assert parse_query(format_query(query)) == query
    assert parse_query(format_query(query).encode(), plus_is_space=True) == query
