"""
Who signs: key pairs, where they are found, and how long they are kept.

A key pair is never put together from two places, and a place that has only half of one is an error, not
something to go past. No message, ``repr`` or log line holds a secret or a token.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from penstock.client.identity.config_file import Profile, aliyun_file_ignored, aliyun_profile, ossutil_profile
from penstock.errors import CredentialsMissing, InvalidInput
from penstock.files.home import home_directory

_ADVICE = (
    "Set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET (and OSS_SESSION_TOKEN with temporary ones), "
    "or hand credentials over in the call."
)
_READABLE_MODES = frozenset({"", "ak", "ststoken"})


class _Names(msgspec.Struct, frozen=True):
    """What the three parts are called where they come from."""

    id: str = "access_key_id"
    secret: str = "access_key_secret"  # noqa: S105 - the name of one
    token: str = "security_token"  # noqa: S105
    where: str = "the given credentials"


class Credentials(msgspec.Struct, frozen=True):
    """
    A key pair, with the token that goes with a temporary one.

    Both halves are always there, and none of the three holds white space or anything but ASCII.

    Args:
        access_key_id: Begins with ``LTAI``, or with ``STS.`` if temporary.
        access_key_secret: Never shown.
        security_token: Of temporary credentials; None for lasting ones. Never shown.
        expires_at: When they end, in seconds since 1970; None if they do not, or nobody knows.

    Raises:
        CredentialsMissing: A half is missing, is blank, or holds white space.
    """

    access_key_id: str
    access_key_secret: str
    security_token: str | None = None
    expires_at: int | None = None

    def __post_init__(self) -> None:
        _check(self.access_key_id, self.access_key_secret, self.security_token, _Names())

    def __repr__(self) -> str:
        token = ", with a security token" if self.security_token else ""
        end = f", expires_at={self.expires_at}" if self.expires_at is not None else ""
        return f"<Credentials {self.access_key_id[:4]}...{token}{end}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("access_key_id", f"{self.access_key_id[:4]}...")]


CredentialsProvider: TypeAlias = Callable[[], Credentials]
"""Anything that gives credentials when called; it may take long, and may be called from any thread."""


@dataclass(frozen=True, slots=True)
class StaticCredentials:
    """Gives the same credentials each time."""

    credentials: Credentials

    def __call__(self) -> Credentials:
        return self.credentials


@dataclass(frozen=True, slots=True)
class EnvironmentCredentials:
    """
    Gives what the environment holds at the time of the call.

    ``OSS_ACCESS_KEY_ID``, ``OSS_ACCESS_KEY_SECRET`` and ``OSS_SESSION_TOKEN`` go first, then
    ``ALIBABA_CLOUD_ACCESS_KEY_ID``, ``ALIBABA_CLOUD_ACCESS_KEY_SECRET`` and ``ALIBABA_CLOUD_SECURITY_TOKEN``.
    An empty variable is one that is not set.

    Args:
        environ: None for that of the process.
    """

    environ: Mapping[str, str] | None = field(default=None, repr=False)

    def __call__(self) -> Credentials:
        environ = os.environ if self.environ is None else self.environ
        for names in (_OSS_NAMES, _ALIBABA_CLOUD_NAMES):
            if found := _from_environment(environ, names):
                return found
        raise CredentialsMissing(
            f"There are no credentials in the environment: neither {_OSS_NAMES.id} "
            f"nor {_ALIBABA_CLOUD_NAMES.id} is set",
            advice=_ADVICE,
        )


@dataclass(frozen=True, slots=True)
class ConfigFileCredentials:
    """
    Gives what a configuration file holds at the time of the call.

    Without a path this is ``~/.ossutilconfig`` (or ``OSSUTIL_CONFIG_FILE``), then ``~/.aliyun/config.json``.
    Modes ``AK`` and ``StsToken`` are read; any other is an error.

    Args:
        path: The file; one that ends in ``.json`` has the form of the aliyun command line.
        profile: The profile in it; None for the one that the environment or the file chooses.
        environ: None for that of the process.
        home: None for that of the user.
    """

    path: str | Path | None = None
    profile: str | None = None
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    home: Path | None = None

    def __call__(self) -> Credentials:
        environ = os.environ if self.environ is None else self.environ
        home = self.home or home_directory()
        if self.path is not None and str(self.path).endswith(".json"):
            readers = [aliyun_profile]
        elif self.path is not None or self.profile is not None:
            readers = [ossutil_profile]
        else:
            readers = [ossutil_profile, aliyun_profile]
        for read in readers:
            profile = read(environ, home, config_file=self.path, profile=self.profile)
            if profile is not None and (found := _from_profile(profile)):
                return found
        place = self.path or f"{home / '.ossutilconfig'} or {home / '.aliyun' / 'config.json'}"
        raise CredentialsMissing(f"There are no credentials in {place}", advice=_ADVICE)


def find_credentials(
    explicit: Credentials | CredentialsProvider | None,
    environ: Mapping[str, str],
    home: Path,
    now: int,
    *,
    config_file: str | Path | None = None,
    profile: str | None = None,
) -> tuple[Credentials | CredentialsProvider, str]:
    """
    Take credentials from the first place that has some.

    The order is ossutil's: ``explicit``, the ``OSS_*`` variables, ``~/.ossutilconfig``; then the
    ``ALIBABA_CLOUD_*`` variables and ``~/.aliyun/config.json``. A place that has only half of what it
    should have, or is named and has nothing, is an error; the next one is not asked.

    Args:
        explicit: What the caller handed over; a provider is not called here.
        environ: The environment.
        home: The user's home directory.
        now: Seconds since 1970.
        config_file: Stands for ``~/.ossutilconfig``, and has to be there.
        profile: The profile in it, which has to be there.

    Returns:
        The credentials, or a provider if they can be had anew before they expire; and the place in words.

    Raises:
        CredentialsMissing: Nothing was found, or half of something, or it has expired.
        InvalidInput: A configuration file cannot be understood.
    """
    if explicit is not None:
        return _given(explicit, now), "the call"
    if found := _from_environment(environ, _OSS_NAMES):
        return found, f"{_OSS_NAMES.id} in {_OSS_NAMES.where}"
    ossutil = ossutil_profile(environ, home, config_file=config_file, profile=profile)
    if ossutil is not None:
        if found := _from_profile(ossutil):
            return _kept(found, ossutil, environ, home, now), ossutil.where
        named = config_file or profile or environ.get("OSSUTIL_CONFIG_FILE") or environ.get("OSSUTIL_PROFILE")
        if named:
            raise CredentialsMissing(f"There are no credentials in {ossutil.where}", advice=_ADVICE)
    if found := _from_environment(environ, _ALIBABA_CLOUD_NAMES):
        return found, f"{_ALIBABA_CLOUD_NAMES.id} in {_ALIBABA_CLOUD_NAMES.where}"
    aliyun = aliyun_profile(environ, home)
    if aliyun is not None and (found := _from_profile(aliyun)):
        return _kept(found, aliyun, environ, home, now), aliyun.where
    raise _nothing_found(environ, home, ossutil, aliyun)


_OSS_NAMES = _Names("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN", "the environment")
_ALIBABA_CLOUD_NAMES = _Names(
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "the environment",
)


def _check(key_id: str | None, secret: str | None, token: str | None, names: _Names) -> None:
    missing = [name for name, text in ((names.id, key_id), (names.secret, secret)) if not text]
    if missing:
        there = [n for n, text in ((names.id, key_id), (names.secret, secret), (names.token, token)) if text]
        but = f", though {' and '.join(there)} {'is' if len(there) == 1 else 'are'} there" if there else ""
        raise CredentialsMissing(
            f"The key pair of {names.where} is not complete: no {' and no '.join(missing)}{but}",
            advice="An AccessKey id and its secret are needed together, from the same place.",
        )
    for name, text in ((names.id, key_id), (names.secret, secret), (names.token, token)):
        if text is not None:
            _check_characters(name, text, names.where)


def _check_characters(name: str, text: object, where: str) -> None:
    if not isinstance(text, str):
        why = f"is of type {type(text).__name__}, not str"
    elif not text.strip():
        why = "is blank"
    elif any(character.isspace() for character in text):
        why = "holds a space or a line end"
    elif not (text.isascii() and text.isprintable()):
        why = "holds a character that no key has"
    else:
        return
    raise CredentialsMissing(
        f"{name} of {where} {why}", advice="Copy it again, without quotes, spaces or line ends around it."
    )


def _made(
    key_id: str | None, secret: str | None, token: str | None, expires_at: int | None, names: _Names
) -> Credentials:
    _check(key_id, secret, token, names)
    assert key_id is not None
    assert secret is not None
    return Credentials(key_id, secret, token, expires_at)


def _from_environment(environ: Mapping[str, str], names: _Names) -> Credentials | None:
    key_id, secret, token = (environ.get(name) or None for name in (names.id, names.secret, names.token))
    if not (key_id or secret or token):
        return None
    return _made(key_id, secret, token, None, names)


def _from_profile(profile: Profile) -> Credentials | None:
    """The credentials of a profile, or None if it does not speak of any."""
    mode = (profile.mode or "").lower().replace("-", "").replace("_", "")
    if mode not in _READABLE_MODES:
        raise CredentialsMissing(
            f"{profile.where} has the mode {profile.mode!r}; only AK and StsToken are read",
            advice=f"{_ADVICE} A function that gives credentials will do, whatever it asks.",
        )
    if not profile.has_keys:
        return None
    # The aliyun command line leaves the token of an earlier login there, and does not use it in this mode.
    token = None if mode == "ak" else profile.security_token
    names = _Names("access-key-id", "access-key-secret", "sts-token", profile.where)
    if mode == "ststoken" and not token:
        raise CredentialsMissing(
            f"{profile.where} has the mode {profile.mode!r} and no sts-token",
            advice="Add the token, or set the mode to AK if the pair is a lasting one.",
        )
    expires_at = profile.expires_at if token else None
    return _made(profile.access_key_id, profile.access_key_secret, token, expires_at, names)


def _given(explicit: object, now: int) -> Credentials | CredentialsProvider:
    if isinstance(explicit, Credentials):
        check_not_expired(explicit, now, "the given credentials")
        return explicit
    if callable(explicit) and not isinstance(explicit, type):
        return explicit
    kind = f"the class {explicit.__name__}" if isinstance(explicit, type) else type(explicit).__name__
    raise InvalidInput(
        f"credentials is {kind}, which is neither Credentials nor a function that gives them",
        advice="Give Credentials(access_key_id, access_key_secret), or a function without arguments.",
    )


def _kept(
    found: Credentials, profile: Profile, environ: Mapping[str, str], home: Path, now: int
) -> Credentials | CredentialsProvider:
    """What was found, or the way to read it again if it expires: whoever wrote the file will renew it."""
    if found.expires_at is None:
        return found
    check_not_expired(found, now, profile.where)
    return ConfigFileCredentials(profile.path, profile.name, environ, home)


def check_not_expired(credentials: Credentials, now: float, where: str) -> None:
    """Raise `CredentialsMissing` if they have ended."""
    if has_expired(credentials, now):
        end = credentials.expires_at or 0
        raise CredentialsMissing(
            f"The key pair of {where} expired {int(now - end):,} s ago",
            advice="Ask for new ones; if they are new, set the clock of this machine.",
        )


def has_expired(credentials: Credentials, now: float) -> bool:
    """True if they have ended."""
    return credentials.expires_at is not None and now >= credentials.expires_at


def _nothing_found(
    environ: Mapping[str, str], home: Path, ossutil: Profile | None, aliyun: Profile | None
) -> CredentialsMissing:
    ossutil_state = "not there, or without a default profile" if ossutil is None else "no keys in it"
    if aliyun_file_ignored(environ):
        aliyun_state = "ignored, as the environment asks"
    else:
        aliyun_state = "not there, or without the current profile" if aliyun is None else "no keys in it"
    return CredentialsMissing(
        "No credentials were found. Looked at: "
        f"{_OSS_NAMES.id} (not set), "
        f"{home / '.ossutilconfig'} ({ossutil_state}), "
        f"{_ALIBABA_CLOUD_NAMES.id} (not set), "
        f"{home / '.aliyun' / 'config.json'} ({aliyun_state})",
        advice=_ADVICE,
    )
