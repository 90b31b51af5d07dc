import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import InvalidInput
from penstock.protocol.endpoint import Endpoint, Style, is_address, split_target

BASES = ["localhost", "oss.localhost", "oss-cn-hangzhou.aliyuncs.com"]


@pytest.mark.parametrize(
    ("text", "shown", "region", "style"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "virtual"),
        ("OSS-CN-Hangzhou.aliyuncs.com/", "https://oss-cn-hangzhou.aliyuncs.com", "cn-hangzhou", "virtual"),
        ("HTTP://oss-us-west-1.aliyuncs.com:80", "http://oss-us-west-1.aliyuncs.com", "us-west-1", "virtual"),
        (
            " oss-cn-hangzhou-internal.aliyuncs.com ",
            "https://oss-cn-hangzhou-internal.aliyuncs.com",
            "cn-hangzhou",
            "virtual",
        ),
        (
            "oss-cn-shanghai-finance-1-internal.aliyuncs.com",
            "https://oss-cn-shanghai-finance-1-internal.aliyuncs.com",
            "cn-shanghai-finance-1",
            "virtual",
        ),
        ("cn-hangzhou.oss.aliyuncs.com", "https://cn-hangzhou.oss.aliyuncs.com", "cn-hangzhou", "virtual"),
        ("oss-accelerate.aliyuncs.com", "https://oss-accelerate.aliyuncs.com", "", "virtual"),
        (
            "oss-accelerate-overseas.aliyuncs.com",
            "https://oss-accelerate-overseas.aliyuncs.com",
            "",
            "virtual",
        ),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000", "", "path"),
        ("localhost:9000", "https://localhost:9000", "", "path"),
        ("http://[::1]:9000/", "http://[::1]:9000", "", "path"),
        ("::1", "https://[::1]", "", "path"),
        ("http://oss.localhost:9000", "http://oss.localhost:9000", "", "virtual"),
        ("gateway.example.com", "https://gateway.example.com", "", "virtual"),
        ("minio_1:9000", "https://minio_1:9000", "", "virtual"),
    ],
)
def test_endpoints_are_read_as_people_write_them(text, shown, region, style):
    endpoint = Endpoint.parse(text)
    assert str(endpoint) == shown
    assert endpoint.region == region
    assert endpoint.style == style
    assert Endpoint.parse(str(endpoint)) == endpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "https://",
        "oss://photos",
        "ftp://host",
        "https://oss-cn-hangzhou.aliyuncs.com/photos",
        "oss-cn-hangzhou.aliyuncs.com?x",
        "oss-cn-hangzhou.aliyuncs.com#x",
        "photos.oss-cn-hangzhou.aliyuncs.com",
        "https://photos.oss-cn-hangzhou-internal.aliyuncs.com",
        "oss cn hangzhou.aliyuncs.com",
        "host:",
        "host:0",
        "host:65536",
        "host:9x",
        "host:" + "9" * 5000,
        "http://[::1",
        "http://[::1]9000",
        "1.2.3",
        "1.2.3.4.5",
        "-host",
        "a..b",
        "bücher.example",
        "a" * 64,
    ],
)
def test_what_is_no_endpoint_is_refused_with_an_example(text):
    with pytest.raises(InvalidInput) as caught:
        Endpoint.parse(text)
    assert "oss-cn-hangzhou" in caught.value.advice


@pytest.mark.parametrize(
    "text", ["https://LTAIid:hush@host", "LTAIid:hush@host", "https://LTAIid:hu/sh@host", "u:a@hush@host"]
)
def test_secrets_in_an_endpoint_are_refused_and_not_repeated(text):
    with pytest.raises(InvalidInput) as caught:
        Endpoint.parse(text)
    for secret in ("hush", "hu/", "LTAIid"):
        assert secret not in str(caught.value)


def test_a_bucket_in_front_of_an_endpoint_is_named():
    with pytest.raises(InvalidInput, match="'photos'") as caught:
        Endpoint.parse("https://photos.oss-cn-hangzhou.aliyuncs.com")
    assert "oss-cn-hangzhou.aliyuncs.com as the endpoint" in caught.value.advice


def test_what_is_said_goes_before_what_the_name_says():
    assert Endpoint.parse("oss-cn-hangzhou.aliyuncs.com", region="oss-cn-beijing").region == "cn-beijing"
    assert Endpoint.parse("host", scheme="http").port == 80
    assert Endpoint.parse("https://host", scheme="http").port == 443
    assert Endpoint.parse("host", path_style=True).style is Style.PATH
    assert Endpoint.parse("localhost", path_style=False).style is Style.VIRTUAL_HOST
    assert Endpoint.parse("img.example.com", cname=True).style is Style.CNAME
    assert Endpoint.parse("127.0.0.1", cname=True).style is Style.CNAME


def test_styles_that_cannot_be_are_refused():
    with pytest.raises(InvalidInput, match="IP address"):
        Endpoint.parse("127.0.0.1", path_style=False)
    with pytest.raises(InvalidInput, match="both"):
        Endpoint.parse("img.example.com", cname=True, path_style=True)


@pytest.mark.parametrize("region", ["", "hangzhou", "cn hangzhou", "CN_hangzhou", "cn-", "oss-"])
def test_what_is_no_region_is_refused(region):
    with pytest.raises(InvalidInput, match="not a region"):
        Endpoint.for_region(region)


def test_every_region_has_its_endpoints():
    assert str(Endpoint.for_region("cn-hangzhou")) == "https://oss-cn-hangzhou.aliyuncs.com"
    assert (
        str(Endpoint.for_region("oss-us-west-1", internal=True))
        == "https://oss-us-west-1-internal.aliyuncs.com"
    )
    accelerated = Endpoint.for_region("cn-hangzhou", accelerate=True)
    assert (str(accelerated), accelerated.region) == ("https://oss-accelerate.aliyuncs.com", "cn-hangzhou")
    with pytest.raises(InvalidInput, match="either"):
        Endpoint.for_region("cn-hangzhou", internal=True, accelerate=True)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "key", "address"),
    [
        (
            Endpoint.parse("oss-cn-hangzhou.aliyuncs.com"),
            "photos",
            "a b/ü+",
            (
                "https",
                "photos.oss-cn-hangzhou.aliyuncs.com",
                443,
                "/a%20b/%C3%BC%2B",
                "photos.oss-cn-hangzhou.aliyuncs.com",
            ),
        ),
        (
            Endpoint.parse("oss-cn-hangzhou.aliyuncs.com"),
            "photos",
            "",
            ("https", "photos.oss-cn-hangzhou.aliyuncs.com", 443, "/", "photos.oss-cn-hangzhou.aliyuncs.com"),
        ),
        (
            Endpoint.parse("oss-cn-hangzhou.aliyuncs.com"),
            "",
            "",
            ("https", "oss-cn-hangzhou.aliyuncs.com", 443, "/", "oss-cn-hangzhou.aliyuncs.com"),
        ),
        (
            Endpoint.parse("http://127.0.0.1:9000"),
            "photos",
            "a",
            ("http", "127.0.0.1", 9000, "/photos/a", "127.0.0.1:9000"),
        ),
        (
            Endpoint.parse("http://127.0.0.1:9000"),
            "photos",
            "",
            ("http", "127.0.0.1", 9000, "/photos/", "127.0.0.1:9000"),
        ),
        (Endpoint.parse("http://127.0.0.1:9000"), "", "", ("http", "127.0.0.1", 9000, "/", "127.0.0.1:9000")),
        (
            Endpoint.parse("http://[::1]:9000"),
            "photos",
            "a",
            ("http", "::1", 9000, "/photos/a", "[::1]:9000"),
        ),
        (
            Endpoint.parse("img.example.com", cname=True),
            "photos",
            "a",
            ("https", "img.example.com", 443, "/a", "img.example.com"),
        ),
    ],
)
def test_a_bucket_and_a_key_become_an_address(endpoint, bucket, key, address):
    assert tuple(endpoint.address(bucket, key)) == address


@pytest.mark.parametrize(
    ("host", "path", "bucket", "key", "style", "signed"),
    [
        ("127.0.0.1:9000", "/", None, None, "path", "/"),
        ("127.0.0.1:9000", "//", None, None, "path", "/"),
        ("127.0.0.1:9000", "/photos", "photos", None, "path", "/photos"),
        ("127.0.0.1:9000", "/photos/", "photos", None, "path", "/photos/"),
        ("127.0.0.1:9000", "/photos/a/b", "photos", "a/b", "path", "/photos/a/b"),
        ("127.0.0.1:9000", "/photos%2Fa%2Fb", "photos", "a/b", "path", "/photos/a/b"),
        ("127.0.0.1:9000", b"/photos/\xc3\xbc+x%2By", "photos", "ü x+y", "path", "/photos/ü x+y"),
        ("[::1]:9000", "/photos/a", "photos", "a", "path", "/photos/a"),
        ("localhost", "/photos/a", "photos", "a", "path", "/photos/a"),
        ("unknown.example", "/photos/a", "photos", "a", "path", "/photos/a"),
        ("", "/photos/a", "photos", "a", "path", "/photos/a"),
        ("photos.localhost:9000", "/", "photos", None, "virtual", "/photos/"),
        ("photos.localhost:9000", "/a%2Fb", "photos", "a/b", "virtual", "/photos/a/b"),
        ("PHOTOS.oss.localhost", "/a", "photos", "a", "virtual", "/photos/a"),
        ("oss.localhost", "/photos/a", "photos", "a", "path", "/photos/a"),
        ("photos.oss-cn-hangzhou.aliyuncs.com.", "//a", "photos", "/a", "virtual", "/photos//a"),
        (".oss-cn-hangzhou.aliyuncs.com", "/", None, None, "path", "/"),
    ],
)
def test_a_server_finds_the_bucket_and_the_key(host, path, bucket, key, style, signed):
    assert tuple(split_target(host, path, BASES)) == (bucket, key, style, signed)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:9000", True),
        ("[::1]", True),
        ("[::1]:9000", True),
        ("localhost", False),
        ("localhost:9000", False),
        ("oss.localhost", False),
        ("127.0.0.1.example.com", False),
        ("[nonsense]", False),
        ("", False),
    ],
)
def test_a_host_is_an_address_or_a_name(host, address):
    assert is_address(host) is address


@pytest.mark.parametrize("path", ["", "*", "photos", "/%", "/%ff"])
def test_a_target_that_is_no_path_is_refused(path):
    with pytest.raises(InvalidInput):
        split_target("localhost", path, BASES)


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200).filter(
    lambda key: key[0] not in "/\\"
)


@given(
    st.from_regex(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", fullmatch=True),
    keys,
    st.sampled_from(
        ["http://127.0.0.1:9000", "http://oss.localhost:9000", "https://oss-cn-hangzhou.aliyuncs.com"]
    ),
)
def test_what_a_client_addresses_is_what_a_server_finds(bucket, key, base):
    address = Endpoint.parse(base).address(bucket, key)
    target = split_target(address.host_header, address.path, BASES)
    assert (target.bucket, target.key, target.path) == (bucket, key, f"/{bucket}/{key}")


@pytest.mark.parametrize(
    "text",
    [
        "oss://LTAIid:hush@oss-cn-hangzhou.aliyuncs.com",
        "http://LTAIid:hush@oss-cn-hangzhou.aliyuncs.com",
        "LTAIid:hush@oss-cn-hangzhou.aliyuncs.com",
        "https://b.oss-cn-hangzhou.aliyuncs.com/k?Signature=hush",
        "ftp://oss-cn-hangzhou.aliyuncs.com?Signature=hush",
    ],
)
def test_no_refusal_of_an_endpoint_repeats_a_secret(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Endpoint.parse(text)
    assert "hush" not in str(caught.value)
