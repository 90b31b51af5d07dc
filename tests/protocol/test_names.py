import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidInput
from penstock.protocol.names import check_bucket, check_key, check_metadata, check_tags, is_bucket_name


@pytest.mark.parametrize("name", ["abc", "a-b", "0" * 63, "my-bucket-2026"])
def test_good_bucket_names_are_taken(name):
    check_bucket(name)
    assert is_bucket_name(name)


@pytest.mark.parametrize(
    "name", ["", "ab", "a" * 64, "-abc", "abc-", "Abc", "a_b", "a.b", "a b", "abc\n", "äbc", "a/b", "١٢٣"]
)
def test_bad_bucket_names_are_refused(name):
    assert not is_bucket_name(name)
    with pytest.raises(InvalidInput, match="not a bucket name") as caught:
        check_bucket(name)
    assert "3 to 63" in caught.value.advice


def test_a_bucket_name_in_capitals_is_refused_with_a_proposal():
    with pytest.raises(InvalidInput) as caught:
        check_bucket("MyBucket")
    assert "'mybucket'" in caught.value.advice


@pytest.mark.parametrize(
    "key", ["a", "a/b/", " ", "a\\b", "é" * 511, "a" * 1023, "\U0001f600" * 255, "a\x01b"]
)
def test_good_keys_are_taken(key):
    check_key(key)


@pytest.mark.parametrize("key", ["", "/a", "\\a", "a" * 1024, "é" * 512, "\U0001f600" * 256, "\ud800"])
def test_bad_keys_are_refused(key):
    with pytest.raises(InvalidInput) as caught:
        check_key(key)
    assert "1023 bytes" in caught.value.advice
    assert len(str(caught.value)) < 400


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=1100))
def test_a_key_is_taken_exactly_if_the_rules_of_oss_say_so(key):
    good = 1 <= len(key.encode()) <= 1023 and not key.startswith(("/", "\\"))
    try:
        check_key(key)
    except InvalidInput:
        assert not good
    else:
        assert good


def test_good_metadata_is_taken():
    check_metadata({"Colour": "blue", "owner-id": "42", "title": "Über", "empty": ""})


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"a b": "x"}, "cannot name"),
        ({"": "x"}, "cannot name"),
        ({"a:": "x"}, "cannot name"),
        ({"ü": "x"}, "cannot name"),
        ({"x-oss-meta-a": "x"}, "prefix already"),
        ({"a": "1", "A": "2"}, "twice"),
        ({"a": "x\r\nHost: evil"}, "cannot go into a header"),
        ({"a": " x"}, "cannot go into a header"),
        ({"a": "\ud800"}, "UTF-8"),
        ({"a": "x" * 8192}, "bytes"),
    ],
)
def test_bad_metadata_is_refused(metadata, why):
    with pytest.raises(InvalidInput, match=why):
        check_metadata(metadata)


def test_metadata_may_have_8_kib_and_not_one_byte_more():
    check_metadata({"a": "x" * (8192 - 12)})
    with pytest.raises(InvalidInput, match="8,193 bytes"):
        check_metadata({"a": "x" * (8192 - 11)})


def test_good_tags_are_taken():
    check_tags({"k" * 128: "v" * 256, "a:b/c": "1 + 2 = 3", "\u6807\u7b7e": "\u0939\u093f \u00e9"})
    check_tags({f"k{n}": "" for n in range(20)}, for_bucket=True)


@pytest.mark.parametrize(
    "tags",
    [
        {f"k{n}": "" for n in range(11)},
        {"": "v"},
        {"k" * 129: ""},
        {"k": "v" * 257},
        {"k": "a,b"},
        {"k?": ""},
    ],
)
def test_bad_tags_are_refused(tags):
    with pytest.raises(InvalidInput):
        check_tags(tags)
