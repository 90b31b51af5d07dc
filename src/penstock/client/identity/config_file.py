"""
The files in which ossutil and the aliyun command line keep keys, endpoints and regions.

``~/.ossutilconfig`` is INI. ossutil 2 writes ``[default]`` and ``[profile NAME]``, ossutil 1 wrote
``[Credentials]``; names of sections and keys are the same in any case and with ``-``, ``_`` or neither
(OSS documentation: "Configure ossutil"; ``lib/config_helper.go`` of ossutil 1.7). ``~/.aliyun/config.json``
holds a list of profiles and the name of the current one (``config/profile.go`` of aliyun-cli 3).

Nothing here is ever shown but paths, line numbers and names of sections: what a line holds may be a secret.
"""

from __future__ import annotations

import functools
import logging
import os
import stat
from collections.abc import Mapping
from configparser import Error as IniError
from configparser import MissingSectionHeaderError, ParsingError, RawConfigParser
from pathlib import Path
from typing import Any

import msgspec

from penstock.errors import CredentialsMissing, InvalidInput

_LOG = logging.getLogger("penstock")
_MAX_FILE_BYTES = 1024 * 1024
_DEFAULT = "default"

# Spellings of ossutil 1 that are not the newer ones with other dashes; its `access_key` is the secret.
_OLDER_NAMES = {
    "accessid": "accesskeyid",
    "accesskey": "accesskeysecret",
    "host": "endpoint",
}
_KEY_NAMES = frozenset({"accesskeyid", "accesskeysecret", "ststoken"})


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one profile of a file says; None for whatever it leaves out or leaves empty.

    Attributes:
        path: The file.
        name: The profile in it.
        mode: How the credentials are to be had (``AK``, ``StsToken`` ...), as written.
        expires_at: When the security token ends, in seconds since 1970.
        addressing_style: ``virtual``, ``path`` or ``cname``.
    """

    path: Path
    name: str
    mode: str | None = None
    access_key_id: str | None = None
    access_key_secret: str | None = None
    security_token: str | None = None
    expires_at: int | None = None
    endpoint: str | None = None
    region: str | None = None
    addressing_style: str | None = None

    @property
    def where(self) -> str:
        """The place, as it stands in messages."""
        return f"profile {self.name!r} of {self.path}"

    @property
    def has_keys(self) -> bool:
        """Whether any part of a key pair is there, be it half of it."""
        return any((self.access_key_id, self.access_key_secret, self.security_token))

    def __repr__(self) -> str:
        return f"<{self.where}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("where", self.where)]


def ossutil_profile(
    environ: Mapping[str, str],
    home: Path,
    *,
    config_file: str | Path | None = None,
    profile: str | None = None,
) -> Profile | None:
    """
    Read the profile of ``~/.ossutilconfig`` that the arguments or the environment choose.

    Args:
        environ: ``OSSUTIL_CONFIG_FILE`` and ``OSSUTIL_PROFILE`` are looked at.
        home: The user's home directory.
        config_file: Goes before ``OSSUTIL_CONFIG_FILE``.
        profile: Goes before ``OSSUTIL_PROFILE``.

    Returns:
        The profile. None if neither file nor profile was named and there is none.

    Raises:
        InvalidInput: The file cannot be read or understood.
        CredentialsMissing: A file or profile that was named is not there.
    """
    named_file = config_file or environ.get("OSSUTIL_CONFIG_FILE")
    named_profile = profile or environ.get("OSSUTIL_PROFILE")
    path = _expanded(named_file, home) if named_file else home / ".ossutilconfig"
    data = _read(path)
    if data is None:
        if named_file or named_profile:
            raise _no_such_file(path, named_profile)
        return None
    sections = _ini_sections(data.text, path)
    name = " ".join(named_profile.lower().split()) if named_profile else _DEFAULT
    if name not in sections:
        if named_profile:
            raise _no_such_profile(path, named_profile, sections)
        return None
    chosen = _profile_from(_inherited(sections, name, path), name, path)
    return _warned(chosen, readable_by_all=data.readable_by_all)


def aliyun_profile(
    environ: Mapping[str, str],
    home: Path,
    *,
    config_file: str | Path | None = None,
    profile: str | None = None,
) -> Profile | None:
    """
    Read the current profile of ``~/.aliyun/config.json``, or the one that is named.

    Args:
        environ: ``ALIBABA_CLOUD_PROFILE`` names a profile; ``ALIBABA_CLOUD_IGNORE_PROFILE=TRUE`` and
            ``ALIBABA_CLOUD_CLI_PROFILE_DISABLED=true`` have the file left alone.
        home: The user's home directory.
        config_file: Another file of the same form, read whatever the environment says.
        profile: Goes before ``ALIBABA_CLOUD_PROFILE``.

    Returns:
        The profile. None if nothing was named and there is none, or if the file is to be left alone.

    Raises:
        InvalidInput: The file cannot be read or understood.
        CredentialsMissing: A file or profile that was named is not there.
    """
    if config_file is None and aliyun_file_ignored(environ):
        return None
    named_profile = profile or environ.get("ALIBABA_CLOUD_PROFILE")
    path = _expanded(config_file, home) if config_file else home / ".aliyun" / "config.json"
    data = _read(path)
    if data is None:
        if config_file or named_profile:
            raise _no_such_file(path, named_profile)
        return None
    config = _aliyun_config(data.text, path)
    name = named_profile or config.current or _DEFAULT
    by_name = {entry.name: entry for entry in config.profiles}
    if name not in by_name:
        if named_profile:
            raise _no_such_profile(path, name, by_name)
        return None
    entry = by_name[name]
    chosen = Profile(
        path=path,
        name=name,
        mode=entry.mode or None,
        access_key_id=entry.access_key_id or None,
        access_key_secret=entry.access_key_secret or None,
        security_token=entry.sts_token or None,
        expires_at=entry.sts_expiration or None,
        region=entry.region_id or None,
    )
    return _warned(chosen, readable_by_all=data.readable_by_all)


def aliyun_file_ignored(environ: Mapping[str, str]) -> bool:
    """Say whether the environment has the file of the aliyun command line left alone."""
    switches = ("ALIBABA_CLOUD_IGNORE_PROFILE", "ALIBABA_CLOUD_CLI_PROFILE_DISABLED")
    return any(environ.get(name, "").lower() == "true" for name in switches)


class _FileText(msgspec.Struct, frozen=True):
    text: str
    readable_by_all: bool


class _AliyunProfile(msgspec.Struct, frozen=True):
    name: str = ""
    mode: str | None = None
    access_key_id: str | None = None
    access_key_secret: str | None = None
    sts_token: str | None = None
    sts_expiration: int | None = None
    region_id: str | None = None


class _AliyunConfig(msgspec.Struct, frozen=True):
    current: str | None = None
    profiles: tuple[_AliyunProfile, ...] = ()


class _IniParser(RawConfigParser):
    def __init__(self) -> None:
        # No section passes its values on to the others; ossutil's [DEFAULT] is one like any other.
        super().__init__(delimiters=("=",), strict=False, default_section="")

    def optionxform(self, optionstr: str) -> str:
        plain = optionstr.lower().replace("-", "").replace("_", "")
        return _OLDER_NAMES.get(plain, plain)


def _expanded(path: str | Path, home: Path) -> Path:
    text = str(path)
    return home / text[2:] if text.startswith("~/") else Path(text)


def _read(path: Path) -> _FileText | None:
    """The text of a file, or None if there is no such file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(_MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InvalidInput(
            f"The configuration file {path} cannot be read: {error.strerror}",
            advice="Make it readable for this user, or name another one with OSSUTIL_CONFIG_FILE.",
        ) from error
    if len(data) > _MAX_FILE_BYTES:
        raise InvalidInput(f"The configuration file {path} has more than {_MAX_FILE_BYTES:,} bytes")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_lines(path, [data.count(b"\n", 0, error.start) + 1], "not UTF-8") from None
    # On Windows the mode says nothing about who may read.
    return _FileText(text, os.name == "posix" and bool(mode & stat.S_IROTH))


def _ini_sections(text: str, path: Path) -> dict[str, dict[str, str]]:
    """The values of each profile by its name in lower case; their keys are plain, and none is empty."""
    parser = _IniParser()
    try:
        parser.read_string(text)
    except MissingSectionHeaderError as error:
        raise _bad_lines(path, [error.lineno], "before the first [section]") from None
    except ParsingError as error:
        # Some of its kinds, from Python 3.13 on, carry one line number in place of the list.
        lines = [line for line, _ in getattr(error, "errors", ())] or [getattr(error, "lineno", 0)]
        raise _bad_lines(path, lines, "neither [section] nor key=value") from None
    except IniError:
        raise InvalidInput(f"The configuration file {path} is not INI") from None
    sections: dict[str, dict[str, str]] = {}
    from_ossutil_1: dict[str, str] = {}
    for title in parser.sections():
        values = {key: plain for key, value in parser.items(title) if (plain := _unquoted(value))}
        section = " ".join(title.lower().split())
        if section == "credentials":
            from_ossutil_1.update(values)
        elif section == _DEFAULT or section.startswith("profile "):
            sections.setdefault(section.removeprefix("profile "), {}).update(values)
    if from_ossutil_1:
        sections[_DEFAULT] = _merged(sections.get(_DEFAULT, {}), from_ossutil_1)
    return sections


def _inherited(sections: Mapping[str, Mapping[str, str]], name: str, path: Path) -> Mapping[str, str]:
    """The values of a profile, with those of its ``source-profile`` where it has none."""
    values = sections[name]
    seen = [name]
    while source := values.get("sourceprofile"):
        source = " ".join(source.lower().split())
        if source in seen:
            raise InvalidInput(
                f"In {path} the profiles {', '.join(map(repr, seen))} have each other as source-profile",
                advice="Take out one source-profile.",
            )
        if source not in sections:
            raise _no_such_profile(path, source, sections)
        seen.append(source)
        values = _merged(
            {key: text for key, text in values.items() if key != "sourceprofile"}, sections[source]
        )
    return values


def _merged(values: Mapping[str, str], fallback: Mapping[str, str]) -> dict[str, str]:
    """Both together; a key pair, and the mode that goes with it, comes from one side only."""
    own_keys = not _KEY_NAMES.isdisjoint(values)
    taken = {k: text for k, text in fallback.items() if not (own_keys and (k in _KEY_NAMES or k == "mode"))}
    return {**taken, **values}


def _profile_from(values: Mapping[str, str], name: str, path: Path) -> Profile:
    return Profile(
        path=path,
        name=name,
        mode=values.get("mode"),
        access_key_id=values.get("accesskeyid"),
        access_key_secret=values.get("accesskeysecret"),
        security_token=values.get("ststoken"),
        endpoint=values.get("endpoint"),
        region=values.get("region"),
        addressing_style=values.get("addressingstyle"),
    )


def _aliyun_config(text: str, path: Path) -> _AliyunConfig:
    try:
        return msgspec.json.decode(text, type=_AliyunConfig)
    except msgspec.ValidationError as error:
        # Says the place and the types, never the value: Expected `str`, got `int` - at `$.profiles[0].name`.
        raise InvalidInput(
            f"The configuration file {path} is not as the aliyun command line writes it: {error}"
        ) from None
    except msgspec.DecodeError:
        raise InvalidInput(
            f"The configuration file {path} is not JSON", advice="Write it anew with `aliyun configure`."
        ) from None


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value


def _warned(profile: Profile, *, readable_by_all: bool) -> Profile:
    if readable_by_all and profile.access_key_secret:
        _warn_once(str(profile.path))
    return profile


@functools.cache
def _warn_once(path: str) -> None:
    _LOG.warning("%s holds an AccessKey secret and every user may read it; run: chmod 600 %s", path, path)


def _bad_lines(path: Path, lines: list[int], what: str) -> InvalidInput:
    which = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines[:5]))}"
    return InvalidInput(
        f"The configuration file {path} cannot be understood: {which}: {what}",
        advice="A line is [section], key=value, empty, or begins with #.",
    )


def _no_such_file(path: Path, profile: str | None) -> CredentialsMissing:
    wanted = f", in which the profile {profile!r} is to be" if profile else ""
    return CredentialsMissing(
        f"There is no configuration file {path}{wanted}",
        advice="Create it, or take its name or the profile's out of the call and the environment.",
    )


def _no_such_profile(path: Path, name: str, known: Mapping[str, object]) -> CredentialsMissing:
    return CredentialsMissing(
        f"There is no profile {name!r} in {path}",
        advice=f"It has {', '.join(map(repr, sorted(known)))}." if known else "It has no profile at all.",
    )
