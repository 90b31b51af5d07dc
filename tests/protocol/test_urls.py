import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidInput
from penstock.protocol.urls import OssUrl, is_oss_url, parse_url


@pytest.mark.parametrize(
    ("text", "bucket", "key", "endpoint"),
    [
        ("oss://", "", "", None),
        ("OSS://photos", "photos", "", None),
        ("oss://photos/", "photos", "", None),
        ("oss://photos/a/b.jpg", "photos", "a/b.jpg", None),
        ("oss://photos/a%20b?c#d@e", "photos", "a%20b?c#d@e", None),
        ("oss://photos/dir/", "photos", "dir/", None),
        (
            "oss://photos.oss-cn-hangzhou-internal.aliyuncs.com/a",
            "photos",
            "a",
            "https://oss-cn-hangzhou-internal.aliyuncs.com",
        ),
        (
            "http://photos.oss-cn-hangzhou.aliyuncs.com/a%20b",
            "photos",
            "a b",
            "http://oss-cn-hangzhou.aliyuncs.com",
        ),
        (
            "https://oss-cn-hangzhou.aliyuncs.com/photos/a/b",
            "photos",
            "a/b",
            "https://oss-cn-hangzhou.aliyuncs.com",
        ),
        ("http://127.0.0.1:9000/photos/a", "photos", "a", "http://127.0.0.1:9000"),
        ("http://[::1]:9000/photos/a", "photos", "a", "http://[::1]:9000"),
        ("https://oss-cn-hangzhou.aliyuncs.com", "", "", "https://oss-cn-hangzhou.aliyuncs.com"),
    ],
)
def test_every_form_is_read(text, bucket, key, endpoint):
    url = parse_url(text)
    assert (url.bucket, url.key) == (bucket, key)
    assert (str(url.endpoint) if url.endpoint else None) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "photos/a",
        "/local/file",
        "s3://photos/a",
        "oss:photos",
        "oss:///a",
        "oss://Photos/a",
        "oss://photos//a",
        "oss://photos/\\a",
        "oss://my.photos/a",
        "https://example.com/photos/a",
        "https://photos.oss-cn-hangzhou.aliyuncs.com/a?Signature=x",
        "https://photos.oss-cn-hangzhou.aliyuncs.com/%ff",
    ],
)
def test_what_names_nothing_in_oss_is_refused(text):
    with pytest.raises(InvalidInput) as caught:
        parse_url(text)
    assert caught.value.advice


@pytest.mark.parametrize(
    "text",
    [
        "oss://LTAIid:hushhush@oss-cn-hangzhou.aliyuncs.com/photos/a",
        "oss://LTAIid:hush/hush@oss-cn-hangzhou.aliyuncs.com/photos/a",
        "oss://LTAIid:hush.hush/hush@host/photos/a",
        "https://LTAIid:hushhush@photos.oss-cn-hangzhou.aliyuncs.com/a",
        "https://LTAIid:hush/hush@photos.oss-cn-hangzhou.aliyuncs.com/a",
    ],
)
def test_secrets_in_an_address_are_refused_and_not_repeated(text):
    with pytest.raises(InvalidInput, match="Never put secrets") as caught:
        parse_url(text)
    assert "hush" not in str(caught.value)


def test_a_signed_url_is_refused_without_its_signature():
    with pytest.raises(InvalidInput, match="signed") as caught:
        parse_url("https://photos.oss-cn-hangzhou.aliyuncs.com/a?Expires=1&Signature=hush")
    assert "hush" not in str(caught.value)


def test_a_bucket_and_a_key_with_a_slash_at_its_end_name_a_prefix():
    assert parse_url("oss://photos").names_prefix
    assert parse_url("oss://photos/a/").names_prefix
    assert not parse_url("oss://photos/a").names_prefix


def test_only_the_scheme_makes_an_address():
    assert is_oss_url("oss://x")
    assert is_oss_url("Oss://")
    assert not is_oss_url("oss/x")
    assert not is_oss_url("./oss://x")


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
        lambda k: k[0] not in "/\\"
    )
)
def test_an_address_comes_back_as_it_was_written(key):
    url = OssUrl("photos", key)
    assert parse_url(str(url)) == url
