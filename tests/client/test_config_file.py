from __future__ import annotations

import json
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client.identity.config_file import Profile, aliyun_profile, ossutil_profile
from penstock.errors import CredentialsMissing, InvalidInput

SECRET = "s3cr3tS3cr3tS3cr3t"


def write(path: Path, data: str | bytes, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    path.chmod(mode)
    return path


def read(home: Path, text: str | bytes, **chosen: str) -> Profile:
    write(home / ".ossutilconfig", text)
    profile = ossutil_profile({}, home, **chosen)
    assert profile is not None
    return profile


@pytest.mark.parametrize(
    ("id_name", "secret_name", "token_name"),
    [
        ("access-key-id", "access-key-secret", "sts-token"),
        ("access_key_id", "access_key_secret", "sts_token"),
        ("accessKeyID", "accessKeySecret", "stsToken"),
        ("AccessKeyId", "AccessKeySecret", "StsToken"),
        ("accesskeyid", "accesskeysecret", "ststoken"),
        ("access_id", "access_key", "stsToken"),
        ("accessid", "accesskey", "STSTOKEN"),
    ],
)
@pytest.mark.parametrize("section", ["default", "Default", "profile default", "Credentials", "DEFAULT"])
def test_every_spelling_of_ossutil_1_and_2_is_read(
    tmp_path: Path, section: str, id_name: str, secret_name: str, token_name: str
) -> None:
    profile = read(
        tmp_path, f"[{section}]\n{id_name} = LTAIid\n{secret_name} = {SECRET}\n{token_name} = token\n"
    )
    assert profile.access_key_id == "LTAIid"
    assert profile.access_key_secret == SECRET
    assert profile.security_token == "token"


def test_a_file_as_ossutil_1_writes_it_is_read(tmp_path: Path) -> None:
    profile = read(
        tmp_path,
        "[Credentials]\nlanguage=EN\nendpoint=oss-cn-hangzhou.aliyuncs.com\naccessKeyID=LTAIid\n"
        f"accessKeySecret={SECRET}\n[Bucket-Endpoint]\nmy-bucket=oss-cn-beijing.aliyuncs.com\n"
        "[Default]\nuserAgent=me\nloglevel=info\n[AkService]\nak-service=http://100.100.100.200/\n",
    )
    assert (profile.endpoint, profile.access_key_id) == ("oss-cn-hangzhou.aliyuncs.com", "LTAIid")


def test_a_file_as_ossutil_2_has_it_is_read(tmp_path: Path) -> None:
    text = (
        "# the one that is used\n[default]\naccessKeyID = LTAIid\n"
        f'accessKeySecret = "{SECRET}"\nregion = cn-hangzhou\n'
        "[profile Dev]\nmode=StsToken\naccess-key-id='STS.id'\naccess-key-secret=a=b==\nsts-token=t+/=\n"
        "endpoint=http://127.0.0.1:9000\naddressing-style=path\n"
        "[buckets mine]\nmy-bucket =\n  region = cn-beijing\n  endpoint = oss-cn-beijing.aliyuncs.com\n"
    )
    default = read(tmp_path, text)
    assert (default.access_key_secret, default.region, default.endpoint) == (SECRET, "cn-hangzhou", None)
    dev = read(tmp_path, text, profile="dev")
    assert dev == read(tmp_path, text, profile=" DEV ")
    assert (dev.mode, dev.access_key_id, dev.access_key_secret) == ("StsToken", "STS.id", "a=b==")
    assert (dev.security_token, dev.endpoint, dev.addressing_style) == (
        "t+/=",
        "http://127.0.0.1:9000",
        "path",
    )
    assert dev.region is None


def test_a_byte_order_mark_windows_line_ends_and_percent_signs_do_no_harm(tmp_path: Path) -> None:
    profile = read(tmp_path, b"\xef\xbb\xbf[default]\r\naccess-key-id=LTAI\r\naccess-key-secret=%(x)s%\r\n")
    assert (profile.access_key_id, profile.access_key_secret) == ("LTAI", "%(x)s%")


def test_empty_values_are_as_good_as_none(tmp_path: Path) -> None:
    profile = read(tmp_path, '[default]\naccess-key-id=\naccess-key-secret=""\nendpoint=\n')
    assert not profile.has_keys
    assert profile.endpoint is None


def test_a_pair_is_never_put_together_from_two_sections(tmp_path: Path) -> None:
    profile = read(
        tmp_path,
        f"[Credentials]\naccessKeyID=LTAIold\naccessKeySecret={SECRET}\nstsToken=old\nmode=StsToken\n"
        "endpoint=oss-cn-hangzhou.aliyuncs.com\n[default]\naccess-key-id=LTAInew\n",
    )
    assert (profile.access_key_id, profile.access_key_secret, profile.security_token, profile.mode) == (
        "LTAInew",
        None,
        None,
        None,
    )
    assert profile.endpoint == "oss-cn-hangzhou.aliyuncs.com"


def test_a_profile_takes_what_it_lacks_from_its_source_profile(tmp_path: Path) -> None:
    text = (
        f"[default]\naccess-key-id=LTAIid\naccess-key-secret={SECRET}\nregion=cn-hangzhou\n"
        "[profile a]\nsource-profile=Default\nregion=cn-beijing\n"
        "[profile b]\nsource_profile=a\nendpoint=http://127.0.0.1:9000\n"
        f"[profile c]\nsource_profile=b\naccess-key-id=LTAIown\naccess-key-secret={SECRET}\n"
    )
    b = read(tmp_path, text, profile="b")
    assert (b.access_key_id, b.region, b.endpoint) == ("LTAIid", "cn-beijing", "http://127.0.0.1:9000")
    assert b.name == "b"
    assert read(tmp_path, text, profile="c").access_key_id == "LTAIown"


def test_source_profiles_in_a_circle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="'a', 'b' have each other"):
        read(tmp_path, "[profile a]\nsource-profile=b\n[profile b]\nsource-profile=a\n", profile="a")


def test_a_source_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing, match="no profile 'gone'"):
        read(tmp_path, "[default]\nsource-profile=gone\n")


def test_the_environment_chooses_file_and_profile_and_the_call_goes_before_it(tmp_path: Path) -> None:
    write(tmp_path / "one", "[default]\nregion=cn-one\n[profile x]\nregion=cn-onex\n")
    write(tmp_path / "two", "[default]\nregion=cn-two\n[profile x]\nregion=cn-twox\n")
    environ = {"OSSUTIL_CONFIG_FILE": "~/one"}

    def region(environ: dict[str, str], **chosen: str) -> str | None:
        profile = ossutil_profile(environ, tmp_path, **chosen)
        return profile and profile.region

    assert region(environ) == "cn-one"
    assert region({**environ, "OSSUTIL_PROFILE": "x"}) == "cn-onex"
    assert region({**environ, "OSSUTIL_PROFILE": "x"}, profile="default") == "cn-one"
    assert region(environ, config_file=str(tmp_path / "two")) == "cn-two"
    assert region({**environ, "OSSUTIL_PROFILE": ""}, profile="x") == "cn-onex"


def test_no_file_is_no_profile_unless_one_was_named(tmp_path: Path) -> None:
    assert ossutil_profile({}, tmp_path) is None
    assert aliyun_profile({}, tmp_path) is None
    for environ in ({"OSSUTIL_CONFIG_FILE": "/nowhere/at/all"}, {"OSSUTIL_PROFILE": "dev"}):
        with pytest.raises(CredentialsMissing, match="no configuration file"):
            ossutil_profile(environ, tmp_path)
    with pytest.raises(CredentialsMissing, match="in which the profile 'dev'"):
        aliyun_profile({"ALIBABA_CLOUD_PROFILE": "dev"}, tmp_path)


def test_a_profile_that_is_not_there_is_an_error_that_lists_the_others(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing, match="no profile 'dve'") as caught:
        read(tmp_path, "[default]\nregion=a\n[profile dev]\nregion=b\n", profile="dve")
    assert "'default', 'dev'" in caught.value.advice


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (f"access-key-secret={SECRET}\n", "line 1: before the first"),
        (f"[default]\n\naccess-key-secret {SECRET}\n", "line 3: neither"),
        (f"[default]\n{SECRET}\n\n{SECRET}\n", "lines 2, 4: neither"),
        (f"[default]\nx={SECRET}\ny=\xff".encode("latin-1"), "line 3: not UTF-8"),
        (f"[default]\n  ={SECRET}", "line 2"),
    ],
)
def test_what_cannot_be_understood_is_named_by_its_line_and_not_shown(
    tmp_path: Path, data: str | bytes, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says) as caught:
        read(tmp_path, data)
    assert SECRET not in str(caught.value)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@given(before=st.text(max_size=50), after=st.text(max_size=50))
def test_any_text_is_read_or_refused_without_being_shown(
    tmp_path_factory: pytest.TempPathFactory, before: str, after: str
) -> None:
    home = tmp_path_factory.getbasetemp()
    text = f"[default]\n{before}{SECRET}{after}\n"
    path = write(home / "any-text", text.encode(errors="replace"))
    try:
        shown = repr(ossutil_profile({}, home, config_file=path))
    except InvalidInput as error:
        shown = str(error)
    assert SECRET not in shown


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".ossutilconfig").mkdir()
    with pytest.raises(InvalidInput, match=r"\.ossutilconfig cannot be read: Is a directory"):
        ossutil_profile({}, tmp_path)


def test_a_file_of_absurd_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="more than 1,048,576 bytes"):
        read(tmp_path, b"#" * (1024 * 1024 + 1))


def aliyun_text(*profiles: dict[str, object], current: str = "default") -> str:
    return json.dumps({"current": current, "profiles": list(profiles), "meta_path": "", "plugin": []})


def test_the_current_profile_of_the_aliyun_command_line_is_read(tmp_path: Path) -> None:
    dev = {
        "name": "dev",
        "mode": "StsToken",
        "access_key_id": "STS.id",
        "access_key_secret": SECRET,
        "sts_token": "token",
        "sts_expiration": 1_790_000_000,
        "region_id": "cn-beijing",
        "output_format": "json",
        "retry_timeout": 0,
    }
    path = write(
        tmp_path / ".aliyun" / "config.json", aliyun_text({"name": "default", "mode": ""}, dev, current="dev")
    )
    profile = aliyun_profile({}, tmp_path)
    assert profile == Profile(
        path=path,
        name="dev",
        mode="StsToken",
        access_key_id="STS.id",
        access_key_secret=SECRET,
        security_token="token",
        expires_at=1_790_000_000,
        region="cn-beijing",
    )
    chosen = aliyun_profile({"ALIBABA_CLOUD_PROFILE": "default"}, tmp_path)
    assert chosen is not None
    assert not chosen.has_keys


def test_a_fresh_file_of_the_aliyun_command_line_has_no_keys(tmp_path: Path) -> None:
    write(
        tmp_path / ".aliyun" / "config.json",
        aliyun_text({"name": "default", "mode": "AK", "access_key_id": "", "access_key_secret": ""}),
    )
    profile = aliyun_profile({}, tmp_path)
    assert profile is not None
    assert not profile.has_keys


@pytest.mark.parametrize(
    "environ",
    [{"ALIBABA_CLOUD_IGNORE_PROFILE": "TRUE"}, {"ALIBABA_CLOUD_CLI_PROFILE_DISABLED": "true"}],
)
def test_the_file_of_the_aliyun_command_line_is_left_alone_if_asked(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    write(tmp_path / ".aliyun" / "config.json", "not JSON at all")
    assert aliyun_profile(environ, tmp_path) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'{{"profiles": "{SECRET}"}}', "not as the aliyun command line writes it"),
        (f'{{"profiles": [{{"name": "default", "access_key_secret": ["{SECRET}"]}}]}}', r"\$\.profiles\[0\]"),
        (f'{{"{SECRET}', "is not JSON"),
        ("", "is not JSON"),
    ],
)
def test_a_broken_json_file_is_refused_without_being_shown(tmp_path: Path, text: str, says: str) -> None:
    write(tmp_path / ".aliyun" / "config.json", text)
    with pytest.raises(InvalidInput, match=says) as caught:
        aliyun_profile({}, tmp_path)
    assert SECRET not in str(caught.value)


def test_a_profile_never_shows_its_values(tmp_path: Path) -> None:
    profile = read(
        tmp_path, f"[default]\naccess-key-id=LTAIid\naccess-key-secret={SECRET}\nsts-token=t0ken\n"
    )
    shown = f"{profile!r} {profile} {profile.__rich_repr__()}"
    assert SECRET not in shown
    assert "t0ken" not in shown


@pytest.mark.skipif(os.name != "posix", reason="only there the mode says who may read")
@pytest.mark.parametrize("kind", ["ossutil", "aliyun"])
def test_a_secret_that_every_user_may_read_is_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    if kind == "ossutil":
        path = write(tmp_path / ".ossutilconfig", f"[default]\naccess-key-secret={SECRET}\n", 0o644)
        read_it = ossutil_profile
    else:
        text = aliyun_text({"name": "default", "access_key_secret": SECRET})
        path = write(tmp_path / ".aliyun" / "config.json", text, 0o644)
        read_it = aliyun_profile
    with caplog.at_level(logging.WARNING, logger="penstock"):
        read_it({}, tmp_path)
        read_it({}, tmp_path)
    assert len(caplog.records) == 1
    message = caplog.records[0].getMessage()
    assert str(path) in message
    assert "chmod 600" in message
    assert SECRET not in message


@pytest.mark.skipif(os.name != "posix", reason="only there the mode says who may read")
@pytest.mark.parametrize(("text", "mode"), [("access-key-secret=x", 0o640), ("region=cn-hangzhou", 0o644)])
def test_a_file_that_gives_nothing_away_is_not_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, mode: int
) -> None:
    write(tmp_path / ".ossutilconfig", f"[default]\n{text}\n", mode)
    with caplog.at_level(logging.WARNING, logger="penstock"):
        assert ossutil_profile({}, tmp_path) is not None
    assert not caplog.records
