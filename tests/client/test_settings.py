from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from penstock.client.identity.credentials import Credentials
from penstock.client.identity.settings import Settings, resolve_settings
from penstock.errors import CredentialsMissing, InvalidInput
from penstock.protocol.endpoint import Endpoint, Style

NOW = 1_790_000_000
KEYS = Credentials("LTAIid", "s3cr3tS3cr3t")


def resolve(home: Path, environ: dict[str, str] | None = None, **given: Any) -> Settings:
    given.setdefault("credentials", KEYS)
    return resolve_settings(environ=environ or {}, home=home, now=NOW, **given)


def write_ossutil(home: Path, text: str) -> Path:
    path = home / ".ossutilconfig"
    path.touch(mode=0o600)
    path.write_text(f"[default]\n{text}\n")
    return path


def write_aliyun_region(home: Path, region: str) -> None:
    path = home / ".aliyun" / "config.json"
    path.parent.mkdir()
    path.write_text(
        json.dumps({"current": "default", "profiles": [{"name": "default", "region_id": region}]})
    )


def test_the_endpoint_follows_from_the_region(tmp_path: Path) -> None:
    settings = resolve(tmp_path, region="cn-hangzhou")
    assert str(settings.endpoint) == "https://oss-cn-hangzhou.aliyuncs.com"
    assert settings.region == settings.endpoint.region == "cn-hangzhou"
    assert (settings.endpoint_from, settings.region_from) == ("the region of the call", "the call")


@pytest.mark.parametrize("host", ["oss-cn-hangzhou.aliyuncs.com", "oss-cn-hangzhou-internal.aliyuncs.com"])
def test_the_region_follows_from_the_endpoint(tmp_path: Path, host: str) -> None:
    settings = resolve(tmp_path, {"OSS_ENDPOINT": host})
    assert settings.region == settings.endpoint.region == "cn-hangzhou"
    assert settings.endpoint.host == host
    assert settings.region_from == "the endpoint of OSS_ENDPOINT in the environment"


def test_a_local_endpoint_needs_no_region(tmp_path: Path) -> None:
    settings = resolve(tmp_path, endpoint="http://127.0.0.1:9000")
    assert (settings.region, settings.region_from) == ("", "")
    assert settings.endpoint.style is Style.PATH


def test_a_local_endpoint_takes_the_region_that_is_said_anywhere(tmp_path: Path) -> None:
    write_aliyun_region(tmp_path, "cn-shenzhen")
    settings = resolve(tmp_path, endpoint="http://127.0.0.1:9000")
    assert settings.region == settings.endpoint.region == "cn-shenzhen"
    assert "config.json" in settings.region_from


def test_neither_endpoint_nor_region_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="Neither an endpoint nor a region") as caught:
        resolve(tmp_path, {"OSS_ENDPOINT": "", "OSS_REGION": ""})
    assert "OSS_REGION" in caught.value.advice
    assert "OSS_ENDPOINT" in caught.value.advice


def test_the_region_is_taken_in_the_documented_order(tmp_path: Path) -> None:
    write_aliyun_region(tmp_path, "cn-five")
    assert resolve(tmp_path).region == "cn-five"
    environ = {"ALIBABA_CLOUD_REGION_ID": "cn-four"}
    assert resolve(tmp_path, environ).region == "cn-four"
    path = write_ossutil(tmp_path, "region=oss-cn-three")
    settings = resolve(tmp_path, environ)
    assert (settings.region, settings.region_from) == ("cn-three", f"profile 'default' of {path}")
    environ["OSS_REGION"] = "cn-two"
    assert resolve(tmp_path, environ).region == "cn-two"
    assert resolve(tmp_path, environ, region="cn-one").region == "cn-one"


def test_the_endpoint_is_taken_in_the_documented_order(tmp_path: Path) -> None:
    path = write_ossutil(tmp_path, "endpoint=oss-cn-three.aliyuncs.com")
    environ: dict[str, str] = {}
    settings = resolve(tmp_path, environ)
    assert (settings.endpoint.region, settings.endpoint_from) == ("cn-three", f"profile 'default' of {path}")
    environ["OSS_ENDPOINT"] = "oss-cn-two.aliyuncs.com"
    assert resolve(tmp_path, environ).endpoint.region == "cn-two"
    settings = resolve(tmp_path, environ, endpoint="oss-cn-one.aliyuncs.com")
    assert (settings.endpoint.region, settings.endpoint_from) == ("cn-one", "the call")


def test_an_endpoint_of_the_call_goes_before_a_region_of_the_environment(tmp_path: Path) -> None:
    settings = resolve(tmp_path, {"OSS_REGION": "cn-beijing"}, endpoint="oss-cn-hangzhou.aliyuncs.com")
    assert settings.region == "cn-hangzhou"


def test_an_endpoint_that_names_no_region_takes_that_of_the_environment(tmp_path: Path) -> None:
    for endpoint in ("https://oss-accelerate.aliyuncs.com", "http://127.0.0.1:9000"):
        settings = resolve(tmp_path, {"OSS_REGION": "cn-beijing"}, endpoint=endpoint)
        assert settings.region == settings.endpoint.region == "cn-beijing"
        assert str(settings.endpoint) == endpoint


@pytest.mark.parametrize("said", ["call", "environment", "file"])
def test_an_endpoint_and_a_region_that_disagree_are_refused(tmp_path: Path, said: str) -> None:
    given: dict[str, str] = {}
    environ: dict[str, str] = {}
    if said == "file":
        write_ossutil(tmp_path, "endpoint=oss-cn-hangzhou.aliyuncs.com\nregion=cn-beijing")
    else:
        environ["OSS_ENDPOINT"] = "oss-cn-hangzhou.aliyuncs.com"
        if said == "call":
            given["region"] = "cn-beijing"
        else:
            environ["OSS_REGION"] = "cn-beijing"
    with pytest.raises(InvalidInput, match=r"in the region cn-hangzhou, but .* says cn-beijing"):
        resolve(tmp_path, environ, **given)


def test_files_are_not_opened_for_what_is_known(tmp_path: Path) -> None:
    (tmp_path / ".ossutilconfig").mkdir()
    assert resolve(tmp_path, endpoint="oss-cn-hangzhou.aliyuncs.com").region == "cn-hangzhou"
    environ = {"OSS_ENDPOINT": "http://127.0.0.1:9000", "OSS_REGION": "cn-beijing"}
    assert resolve(tmp_path, environ).region == "cn-beijing"


@pytest.mark.parametrize("text", ["cn-hangzhou", "oss-cn-hangzhou", " CN-Hangzhou ", "OSS-cn-hangzhou"])
def test_every_spelling_of_a_region_becomes_its_id(tmp_path: Path, text: str) -> None:
    assert resolve(tmp_path, {"OSS_REGION": text}).region == "cn-hangzhou"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("oss-cn-hangzhou.aliyuncs.com", "looks like an endpoint"),
        ("https://oss-cn-hangzhou.aliyuncs.com", "looks like an endpoint"),
        ("http://127.0.0.1:9000", "looks like an endpoint"),
        ("oss-cn-hangzhou-internal", "half an endpoint"),
        ("hangzhou", "not a region"),
        ("cn hangzhou", "not a region"),
        ("cn-hangzhou\nx", "not a region"),
    ],
)
def test_what_is_not_a_region_is_refused_with_its_origin(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        resolve(tmp_path, {"OSS_REGION": text})
    assert "OSS_REGION in the environment" in caught.value.message


@pytest.mark.parametrize("text", ["cn-hangzhou", "oss-cn-hangzhou", "us-west-1"])
def test_a_region_given_as_the_endpoint_is_told_apart(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput, match="which is a region"):
        resolve(tmp_path, endpoint=text)


def test_what_is_not_an_endpoint_is_refused_with_its_origin(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"is not an endpoint.*from OSS_ENDPOINT in the environment"):
        resolve(tmp_path, {"OSS_ENDPOINT": "https://oss-cn-hangzhou.aliyuncs.com/path"})


@pytest.mark.parametrize(
    ("style", "expected"),
    [("virtual", Style.VIRTUAL_HOST), ("path", Style.PATH), ("CNAME", Style.CNAME), ("", Style.VIRTUAL_HOST)],
)
def test_the_addressing_style_of_a_profile_goes_with_its_endpoint(
    tmp_path: Path, style: str, expected: Style
) -> None:
    write_ossutil(tmp_path, f"endpoint=oss.example.com\nregion=cn-hangzhou\naddressing-style={style}")
    assert resolve(tmp_path).endpoint.style is expected
    assert resolve(tmp_path, endpoint="http://127.0.0.1:9000").endpoint.style is Style.PATH


def test_an_addressing_style_that_is_none_is_refused(tmp_path: Path) -> None:
    write_ossutil(tmp_path, "endpoint=oss.example.com\naddressing-style=sideways")
    with pytest.raises(InvalidInput, match="'sideways'"):
        resolve(tmp_path)


def test_the_call_chooses_the_style(tmp_path: Path) -> None:
    own = resolve(tmp_path, endpoint="files.example.com", region="cn-hangzhou", cname=True)
    assert own.endpoint.style is Style.CNAME
    assert resolve(tmp_path, region="cn-hangzhou", path_style=True).endpoint.style is Style.PATH
    with pytest.raises(InvalidInput, match="no endpoint is given"):
        resolve(tmp_path, region="cn-hangzhou", cname=True)


def test_an_endpoint_made_already_is_taken_as_it_is(tmp_path: Path) -> None:
    made = Endpoint.parse("http://oss.example.com:8080", region="cn-hangzhou", path_style=True)
    assert resolve(tmp_path, endpoint=made).endpoint == made


def test_one_profile_gives_endpoint_region_and_credentials(tmp_path: Path) -> None:
    path = tmp_path / "own"
    path.touch(mode=0o600)
    path.write_text(
        "[default]\nregion=cn-beijing\n[profile dev]\nregion=cn-hangzhou\n"
        "access-key-id=LTAIdev\naccess-key-secret=devsecret\n"
    )
    settings = resolve(tmp_path, credentials=None, config_file=path, profile="dev")
    where = f"profile 'dev' of {path}"
    assert (settings.region_from, settings.credentials_from) == (where, where)
    assert settings.region == "cn-hangzhou"
    assert settings.credentials == Credentials("LTAIdev", "devsecret")


def test_missing_credentials_are_told_of_when_the_rest_is_there(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing, match="No credentials were found"):
        resolve(tmp_path, region="cn-hangzhou", credentials=None)


def test_settings_show_no_secret_not_even_that_of_a_provider(tmp_path: Path) -> None:
    provider = functools.partial(Credentials, "LTAIid", "s3cr3tS3cr3t")
    for credentials in (KEYS, provider):
        settings = resolve(tmp_path, region="cn-hangzhou", credentials=credentials)
        console = Console(quiet=False, width=200)
        with console.capture() as captured:
            console.print(settings)
        for text in (repr(settings), str(settings), captured.get()):
            assert "cn-hangzhou" in text
            assert "s3cr3t" not in text


@pytest.mark.parametrize("scheme", ["https://", "oss://", ""])
@pytest.mark.parametrize("secret", ["s3cr3tS3cr3t", "S3/s3cr3t"])
@pytest.mark.parametrize("argument", ["endpoint", "region"])
def test_a_password_in_an_endpoint_or_a_region_is_not_shown(
    tmp_path: Path, argument: str, secret: str, scheme: str
) -> None:
    text = f"{scheme}LTAIid:{secret}@oss-cn-hangzhou.aliyuncs.com"
    with pytest.raises(InvalidInput) as caught:
        resolve(tmp_path, **{argument: text})
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("named", [{"config_file": "no-such-file"}, {"profile": "no-such-profile"}])
def test_what_the_call_names_has_to_be_there_even_where_it_is_not_needed(
    tmp_path: Path, named: dict[str, str]
) -> None:
    write_ossutil(tmp_path, "region=cn-beijing")
    environ = {"OSS_ENDPOINT": "http://127.0.0.1:9000", "OSS_REGION": "cn-hangzhou"}
    with pytest.raises(CredentialsMissing, match=r"no-such"):
        resolve(tmp_path, environ, **named)
