from __future__ import annotations

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from penstock.client.identity.cached_credentials import CachedCredentials
from penstock.client.identity.credentials import (
    ConfigFileCredentials,
    Credentials,
    EnvironmentCredentials,
    StaticCredentials,
    find_credentials,
)
from penstock.errors import CredentialsMissing, InvalidInput, PenstockError, TimedOut
from penstock.net.errand import Errand, Errands
from penstock.net.latch import Latch, Tripped

ID, SECRET, TOKEN = "LTAI5tQwertyuiop", "s3cr3tS3cr3tS3cr3t", "t0kenT0kenT0ken"
NOW = 1_790_000_000
WAIT_S = 10.0
T = TypeVar("T")

OSS = {"OSS_ACCESS_KEY_ID": ID, "OSS_ACCESS_KEY_SECRET": SECRET}
ALIBABA_CLOUD = {
    "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIalibabacloud",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "alibabacloudsecret",
}


def write_ossutil(home: Path, text: str, name: str = ".ossutilconfig") -> Path:
    path = home / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def write_aliyun(home: Path, *profiles: dict[str, object], current: str = "default") -> Path:
    path = home / ".aliyun" / "config.json"
    path.parent.mkdir(exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"current": current, "profiles": profiles, "meta_path": ""}))
    return path


# Credentials


@pytest.mark.parametrize("expires_at", [None, NOW])
def test_neither_repr_nor_rich_nor_str_shows_a_secret(expires_at: int | None) -> None:
    credentials = Credentials(ID, SECRET, TOKEN, expires_at)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(credentials)
    for text in (repr(credentials), str(credentials), f"{credentials}", captured.get()):
        assert SECRET not in text
        assert TOKEN not in text
        assert ID not in text
    assert "LTAI..." in repr(credentials)


def test_credentials_are_values_that_can_be_pickled() -> None:
    credentials = Credentials(ID, SECRET, TOKEN, NOW)
    assert pickle.loads(pickle.dumps(credentials)) == credentials
    assert hash(credentials) == hash(Credentials(ID, SECRET, TOKEN, NOW))


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((ID, ""), "no access_key_secret, though access_key_id is there"),
        ((ID, None), "no access_key_secret"),
        (("", SECRET), "no access_key_id, though access_key_secret is there"),
        (("", "", TOKEN), "no access_key_id and no access_key_secret, though security_token is there"),
        (("   ", SECRET), "access_key_id of the given credentials is blank"),
        ((ID, SECRET + "\n"), "access_key_secret of the given credentials holds a space or a line end"),
        ((ID, "s3cr3t S3cr3t"), "access_key_secret of the given credentials holds a space"),
        ((ID + "\u00a0", SECRET), "access_key_id of the given credentials holds a space"),
        ((ID, SECRET, ""), "security_token of the given credentials is blank"),
        ((ID, SECRET, "t0ken\r"), "security_token of the given credentials holds a space"),
        ((ID, "s3cr3t\u00e9"), "holds a character that no key has"),
        ((ID, "s3cr3t\x00"), "holds a character that no key has"),
        ((ID, b"s3cr3t"), "is of type bytes, not str"),
    ],
)
def test_incomplete_credentials_say_what_is_wrong_and_never_what_it_is(
    parts: tuple[str, ...], says: str
) -> None:
    with pytest.raises(CredentialsMissing) as caught:
        Credentials(*parts)
    assert says in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert "t0ken" not in str(caught.value)


@given(st.text(), st.text())
def test_only_what_can_go_into_a_header_as_it_is_is_accepted(key_id: str, secret: str) -> None:
    key_id, secret = f"LTAI{key_id}", f"s3cr3t{secret}"
    if all(0x21 <= ord(character) <= 0x7E for character in key_id + secret):
        assert Credentials(key_id, secret).access_key_secret == secret
    else:
        with pytest.raises(CredentialsMissing) as caught:
            Credentials(key_id, secret)
        assert "s3cr3t" not in str(caught.value)


# One place at a time


def test_the_environment_gives_the_oss_names_before_the_others() -> None:
    everything = {**OSS, "OSS_SESSION_TOKEN": TOKEN, **ALIBABA_CLOUD}
    assert EnvironmentCredentials(everything)() == Credentials(ID, SECRET, TOKEN)
    alibaba_cloud = EnvironmentCredentials({**ALIBABA_CLOUD, "ALIBABA_CLOUD_SECURITY_TOKEN": TOKEN})()
    assert alibaba_cloud == Credentials("LTAIalibabacloud", "alibabacloudsecret", TOKEN)


def test_the_environment_is_read_at_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = EnvironmentCredentials()
    for name in ("first", "second"):
        monkeypatch.setenv("OSS_ACCESS_KEY_ID", name)
        monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", SECRET)
        monkeypatch.delenv("OSS_SESSION_TOKEN", raising=False)
        assert provider() == Credentials(name, SECRET)


def test_an_environment_without_keys_says_what_to_set() -> None:
    with pytest.raises(CredentialsMissing, match="neither OSS_ACCESS_KEY_ID nor ALIBABA_CLOUD_ACCESS_KEY_ID"):
        EnvironmentCredentials({"OSS_ACCESS_KEY_ID": "", "OSS_ACCESS_KEY_SECRET": ""})()


def test_no_provider_shows_what_it_was_made_with() -> None:
    providers = (StaticCredentials(Credentials(ID, SECRET, TOKEN)), EnvironmentCredentials({**OSS}))
    for provider in (*providers, ConfigFileCredentials(environ=OSS)):
        assert SECRET not in repr(provider)
        assert TOKEN not in repr(provider)


def test_a_config_file_is_read_at_each_call(tmp_path: Path) -> None:
    provider = ConfigFileCredentials(environ={}, home=tmp_path)
    for name in ("first", "second"):
        write_ossutil(tmp_path, f"[default]\naccess-key-id={name}\naccess-key-secret={SECRET}\n")
        assert provider() == Credentials(name, SECRET)


def test_config_files_are_looked_at_in_the_order_of_ossutil_then_aliyun(tmp_path: Path) -> None:
    provider = ConfigFileCredentials(environ={}, home=tmp_path)
    with pytest.raises(CredentialsMissing, match=r"\.ossutilconfig or .*config\.json"):
        provider()
    aliyun = write_aliyun(
        tmp_path, {"name": "default", "mode": "AK", "access_key_id": "cli", "access_key_secret": SECRET}
    )
    assert provider().access_key_id == "cli"
    write_ossutil(tmp_path, f"[default]\naccess-key-id={ID}\naccess-key-secret={SECRET}\n")
    assert provider().access_key_id == ID
    assert ConfigFileCredentials(aliyun, environ={}, home=tmp_path)().access_key_id == "cli"


@pytest.mark.parametrize("mode", ["AK", "ak", "", None])
def test_a_lasting_pair_of_the_aliyun_command_line_goes_without_a_token_left_behind(
    tmp_path: Path, mode: str | None
) -> None:
    write_aliyun(
        tmp_path,
        {
            "name": "default",
            "mode": mode,
            "access_key_id": ID,
            "access_key_secret": SECRET,
            "sts_token": TOKEN,
            "sts_expiration": NOW,
        },
    )
    credentials = ConfigFileCredentials(environ={}, home=tmp_path)()
    with_token = Credentials(ID, SECRET, TOKEN, NOW)
    assert credentials == (Credentials(ID, SECRET) if mode else with_token)


@pytest.mark.parametrize("mode", ["StsToken", "sts-token", "STSTOKEN"])
def test_a_temporary_pair_needs_its_token(tmp_path: Path, mode: str) -> None:
    text = f"[default]\nmode={mode}\naccess-key-id={ID}\naccess-key-secret={SECRET}\n"
    write_ossutil(tmp_path, text)
    with pytest.raises(CredentialsMissing, match="no sts-token"):
        ConfigFileCredentials(environ={}, home=tmp_path)()
    write_ossutil(tmp_path, f"{text}sts-token={TOKEN}\n")
    assert ConfigFileCredentials(environ={}, home=tmp_path)() == Credentials(ID, SECRET, TOKEN)


@pytest.mark.parametrize("mode", ["EcsRamRole", "RamRoleArn", "oidcRoleArn", "Process", "Anonymous"])
def test_a_mode_that_is_not_read_is_an_error_and_not_passed_over(tmp_path: Path, mode: str) -> None:
    write_ossutil(tmp_path, f"[default]\nmode={mode}\n")
    with pytest.raises(CredentialsMissing, match=f"the mode '{mode}'; only AK and StsToken"):
        find_credentials(None, ALIBABA_CLOUD, tmp_path, NOW)


# Finding


def test_credentials_are_found_in_the_documented_order(tmp_path: Path) -> None:
    ossutil = write_ossutil(
        tmp_path, f"[default]\naccess-key-id=ossutil\naccess-key-secret={SECRET}\nregion=cn-beijing\n"
    )
    aliyun = write_aliyun(
        tmp_path, {"name": "default", "mode": "AK", "access_key_id": "cli", "access_key_secret": SECRET}
    )
    environ = {**OSS, **ALIBABA_CLOUD}
    given = Credentials("given", SECRET)

    assert find_credentials(given, environ, tmp_path, NOW) == (given, "the call")
    found, where = find_credentials(None, environ, tmp_path, NOW)
    assert (found, where) == (Credentials(ID, SECRET), "OSS_ACCESS_KEY_ID in the environment")
    found, where = find_credentials(None, ALIBABA_CLOUD, tmp_path, NOW)
    assert (found, where) == (Credentials("ossutil", SECRET), f"profile 'default' of {ossutil}")
    ossutil.unlink()
    found, where = find_credentials(None, ALIBABA_CLOUD, tmp_path, NOW)
    assert where == "ALIBABA_CLOUD_ACCESS_KEY_ID in the environment"
    found, where = find_credentials(None, {}, tmp_path, NOW)
    assert (found, where) == (Credentials("cli", SECRET), f"profile 'default' of {aliyun}")


def test_an_ossutil_file_that_only_has_a_region_does_not_hide_the_places_after_it(tmp_path: Path) -> None:
    write_ossutil(tmp_path, "[default]\nregion=cn-beijing\naccess-key-id=\n")
    assert find_credentials(None, ALIBABA_CLOUD, tmp_path, NOW)[1].startswith("ALIBABA_CLOUD_ACCESS_KEY_ID")


@pytest.mark.parametrize(
    ("environ", "config", "says"),
    [
        ({"OSS_ACCESS_KEY_ID": ID}, "", "no OSS_ACCESS_KEY_SECRET, though OSS_ACCESS_KEY_ID is there"),
        ({"OSS_ACCESS_KEY_SECRET": SECRET}, "", "the environment is not complete: no OSS_ACCESS_KEY_ID,"),
        ({"OSS_SESSION_TOKEN": TOKEN}, "", "no OSS_ACCESS_KEY_ID and no OSS_ACCESS_KEY_SECRET"),
        (
            {**OSS, "OSS_ACCESS_KEY_SECRET": SECRET + "\n"},
            "",
            "OSS_ACCESS_KEY_SECRET of the environment holds",
        ),
        ({}, f"access-key-id={ID}", "no access-key-secret, though access-key-id is there"),
        ({}, f"accessKeySecret={SECRET}", r"profile 'default' of .*\.ossutilconfig is not complete"),
        ({}, f"access-key-id={ID}\n  access-key-secret={SECRET}", "access-key-secret"),
    ],
)
def test_half_a_pair_is_an_error_although_another_place_has_a_whole_one(
    tmp_path: Path, environ: dict[str, str], config: str, says: str
) -> None:
    write_ossutil(tmp_path, f"[default]\n{config}\n")
    with pytest.raises(CredentialsMissing, match=says) as caught:
        find_credentials(None, {**environ, **ALIBABA_CLOUD}, tmp_path, NOW)
    assert SECRET not in str(caught.value)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("named", ["file", "profile", "file argument", "profile argument"])
def test_a_file_or_profile_that_is_named_has_to_have_credentials(tmp_path: Path, named: str) -> None:
    path = write_ossutil(tmp_path, "[profile dev]\nregion=cn-beijing\n[default]\nregion=cn-beijing\n")
    environ = {"file": {"OSSUTIL_CONFIG_FILE": str(path)}, "profile": {"OSSUTIL_PROFILE": "dev"}}.get(
        named, {}
    )
    with pytest.raises(CredentialsMissing, match="no credentials in profile"):
        find_credentials(
            None,
            {**environ, **ALIBABA_CLOUD},
            tmp_path,
            NOW,
            config_file=path if named == "file argument" else None,
            profile="dev" if named == "profile argument" else None,
        )


def test_nothing_found_names_every_place_and_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing) as caught:
        find_credentials(None, {}, tmp_path, NOW)
    for place in ("OSS_ACCESS_KEY_ID", ".ossutilconfig", "ALIBABA_CLOUD_ACCESS_KEY_ID", "config.json"):
        assert place in caught.value.message
    assert "OSS_ACCESS_KEY_SECRET" in caught.value.advice


def test_a_provider_is_handed_back_without_being_called(tmp_path: Path) -> None:
    def provider() -> Credentials:
        raise AssertionError("nobody asked for credentials yet")

    assert find_credentials(provider, OSS, tmp_path, NOW) == (provider, "the call")


@pytest.mark.parametrize("wrong", [(ID, SECRET), ID, {"id": ID}, EnvironmentCredentials])
def test_what_is_neither_credentials_nor_a_function_is_refused_unseen(tmp_path: Path, wrong: object) -> None:
    with pytest.raises(InvalidInput, match="neither Credentials nor a function") as caught:
        find_credentials(wrong, OSS, tmp_path, NOW)  # type: ignore[arg-type]
    assert SECRET not in str(caught.value)


def test_credentials_that_have_expired_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(CredentialsMissing, match="expired 60 s ago"):
        find_credentials(Credentials(ID, SECRET, TOKEN, NOW - 60), {}, tmp_path, NOW)


def test_a_file_with_an_expiry_is_read_again_from_the_same_profile(tmp_path: Path) -> None:
    entry = {"name": "dev", "mode": "StsToken", "access_key_id": ID, "access_key_secret": SECRET}
    write_aliyun(tmp_path, {**entry, "sts_token": "old", "sts_expiration": NOW + 900}, current="dev")
    provider, where = find_credentials(None, {}, tmp_path, NOW)
    assert "'dev'" in where
    assert callable(provider)
    renewed = {**entry, "sts_token": "new", "sts_expiration": NOW + 3600}
    write_aliyun(tmp_path, {"name": "other", "mode": "AK"}, renewed, current="other")
    assert provider() == Credentials(ID, SECRET, "new", NOW + 3600)


# Keeping


class CountedErrands(Errands):
    """Counts what was started, at the moment it is."""

    def __init__(self) -> None:
        super().__init__(8, "test-credentials")
        self.starts = 0

    def start(self, fn: Callable[[], T]) -> Errand[T]:
        self.starts += 1
        return super().start(fn)


@pytest.fixture
def errands() -> CountedErrands:
    return CountedErrands()


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


class Provider:
    """Gives numbered credentials that last `lasts_s`; can be held, and can be made to fail."""

    def __init__(self, clock: Clock, lasts_s: int | None = 3600) -> None:
        self.clock, self.lasts_s = clock, lasts_s
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.fails_with: Exception | None = None
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> Credentials:
        self.calls += 1
        mine = self.calls
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.entered.set()
        assert self.go_on.wait(WAIT_S)
        self.at_once -= 1
        if self.fails_with is not None:
            raise self.fails_with
        return Credentials(f"id{mine}", SECRET, TOKEN, self.lasts_s and int(self.clock.now) + self.lasts_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def provider(clock: Clock) -> Iterator[Provider]:
    made = Provider(clock)
    yield made
    made.go_on.set()


@pytest.fixture
def cached(provider: Provider, clock: Clock, errands: CountedErrands) -> CachedCredentials:
    return CachedCredentials(provider, start=errands.start, clock=clock)


def eventually(condition: Callable[[], bool]) -> None:
    waiting = Latch()
    for _ in range(2000):
        if condition():
            return
        waiting.wait(0.005)
    pytest.fail("the condition never held")


def test_credentials_are_asked_for_once_while_they_hold(
    cached: CachedCredentials, provider: Provider, clock: Clock
) -> None:
    first = cached.get(Latch())
    clock.now += 3600 - 301
    assert cached.get(Latch()) is first
    assert provider.calls == 1


def test_credentials_that_never_expire_are_asked_for_once(clock: Clock, errands: CountedErrands) -> None:
    provider = Provider(clock, lasts_s=None)
    cached = CachedCredentials(provider, start=errands.start, clock=clock)
    cached.get(Latch())
    clock.now += 10**9
    assert cached.get(Latch()).access_key_id == "id1"


def test_lasting_credentials_are_given_without_a_thread(clock: Clock, errands: CountedErrands) -> None:
    cached = CachedCredentials(Credentials(ID, SECRET), start=errands.start, clock=clock)
    assert cached.get(Latch()) == Credentials(ID, SECRET)
    assert errands.threads == 0


def test_many_calls_at_once_share_one_answer(cached: CachedCredentials, provider: Provider) -> None:
    provider.go_on.clear()
    with ThreadPoolExecutor(16) as pool:
        waiting = [pool.submit(cached.get, Latch()) for _ in range(16)]
        assert provider.entered.wait(WAIT_S)
        provider.go_on.set()
        answers = {future.result(WAIT_S).access_key_id for future in waiting}
    assert answers == {"id1"}
    assert provider.most_at_once == 1


def test_a_renewal_is_fetched_beside_the_old_ones_and_nobody_waits(
    cached: CachedCredentials, provider: Provider, clock: Clock
) -> None:
    cached.get(Latch())
    provider.entered.clear()
    provider.go_on.clear()
    clock.now += 3600 - 299
    for _ in range(5):
        assert cached.get(Latch()).access_key_id == "id1"
    assert provider.entered.wait(WAIT_S)
    assert provider.calls == 2
    provider.go_on.set()
    eventually(lambda: cached.get(Latch()).access_key_id == "id2")
    assert provider.calls == 2


def test_a_failed_renewal_leaves_the_old_ones_and_is_not_tried_for_each_call(
    cached: CachedCredentials, provider: Provider, clock: Clock, errands: CountedErrands
) -> None:
    cached.get(Latch())
    provider.fails_with = OSError("no way there")
    clock.now += 3600 - 299
    assert cached.get(Latch()).access_key_id == "id1"
    eventually(lambda: cached._fetch is None)
    clock.now += 9
    assert cached.get(Latch()).access_key_id == "id1"
    assert errands.starts == 2
    provider.fails_with = None
    clock.now += 2
    assert cached.get(Latch()).access_key_id == "id1"
    assert errands.starts == 3
    eventually(lambda: cached.get(Latch()).access_key_id == "id3")


def test_expired_credentials_are_never_given(
    cached: CachedCredentials, provider: Provider, clock: Clock
) -> None:
    cached.get(Latch())
    clock.now += 3600
    assert cached.get(Latch()).access_key_id == "id2"
    provider.fails_with = OSError("no way there")
    clock.now += 3600
    with pytest.raises(CredentialsMissing, match="raised OSError"):
        cached.get(Latch())


@pytest.mark.parametrize(("lasts_s", "quiet_s"), [(120, 60), (12, 10)])
def test_credentials_for_a_short_time_are_not_asked_for_with_each_call(
    clock: Clock, errands: CountedErrands, lasts_s: int, quiet_s: int
) -> None:
    provider = Provider(clock, lasts_s)
    cached = CachedCredentials(provider, start=errands.start, clock=clock)
    cached.get(Latch())
    clock.now += quiet_s - 1
    cached.get(Latch())
    assert errands.starts == 1
    clock.now += 1
    assert cached.get(Latch()).access_key_id == "id1"
    assert errands.starts == 2
    eventually(lambda: cached.get(Latch()).access_key_id == "id2")


def test_an_abort_leaves_a_hanging_provider_behind(cached: CachedCredentials, provider: Provider) -> None:
    provider.go_on.clear()
    latches = [Latch() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(cached.get, latch) for latch in latches]
        assert provider.entered.wait(WAIT_S)
        for latch in latches:
            latch.trip()
        for future in waiting:
            with pytest.raises(Tripped):
                future.result(WAIT_S)
    provider.go_on.set()
    assert cached.get(Latch()).access_key_id == "id1"
    assert provider.calls == 1


def test_a_provider_that_hangs_is_given_up_and_its_late_answer_thrown_away(
    provider: Provider, clock: Clock, errands: CountedErrands
) -> None:
    cached = CachedCredentials(provider, start=errands.start, clock=clock, timeout_s=0.05)
    provider.go_on.clear()
    with pytest.raises(TimedOut, match=r"gave nothing in 0\.05 s"):
        cached.get(Latch())
    patient = CachedCredentials(provider, start=errands.start, clock=clock)
    hung, provider.go_on = provider.go_on, threading.Event()
    provider.go_on.set()
    cached._timeout_s = WAIT_S
    assert cached.get(Latch()).access_key_id == "id2"
    hung.set()
    eventually(lambda: provider.at_once == 0 and errands.abandoned == 0)
    assert cached.get(Latch()).access_key_id == "id2"
    assert patient.get(Latch()).access_key_id == "id3"


def test_refused_credentials_are_asked_for_anew(cached: CachedCredentials) -> None:
    first = cached.get(Latch())
    cached.forget(first)
    second = cached.get(Latch())
    assert second.access_key_id == "id2"
    cached.forget(first)
    assert cached.get(Latch()) is second


def test_an_error_of_the_provider_is_the_cause_and_not_the_message(
    cached: CachedCredentials, provider: Provider
) -> None:
    provider.fails_with = RuntimeError(f"could not use {SECRET}")
    with pytest.raises(CredentialsMissing, match="Provider raised RuntimeError") as caught:
        cached.get(Latch())
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is provider.fails_with
    provider.fails_with = None
    assert cached.get(Latch()).access_key_id == "id2"


def test_an_error_of_our_own_comes_through_as_it_is(cached: CachedCredentials, provider: Provider) -> None:
    provider.fails_with = PenstockError("as it is")
    with pytest.raises(PenstockError) as caught:
        cached.get(Latch())
    assert caught.value is provider.fails_with


def test_a_provider_that_gives_something_else_is_told_so(clock: Clock, errands: CountedErrands) -> None:
    def tuples() -> Credentials:
        return (ID, SECRET)  # type: ignore[return-value]

    cached = CachedCredentials(tuples, start=errands.start, clock=clock)
    with pytest.raises(InvalidInput, match="gave tuple, not Credentials") as caught:
        cached.get(Latch())
    assert SECRET not in str(caught.value)


def test_credentials_that_come_expired_are_refused(clock: Clock, errands: CountedErrands) -> None:
    cached = CachedCredentials(Provider(clock, lasts_s=-5), start=errands.start, clock=clock)
    with pytest.raises(CredentialsMissing, match="expired 5 s ago"):
        cached.get(Latch())


def test_given_credentials_that_expire_are_used_to_their_end_and_no_longer(
    clock: Clock, errands: CountedErrands
) -> None:
    given = Credentials(ID, SECRET, TOKEN, NOW + 600)
    cached = CachedCredentials(given, start=errands.start, clock=clock)
    for _ in range(599):
        clock.now += 1
        assert cached.get(Latch()) == given
    clock.now += 1
    eventually(lambda: cached._fetch is None)
    with pytest.raises(CredentialsMissing, match="expired"):
        cached.get(Latch())
