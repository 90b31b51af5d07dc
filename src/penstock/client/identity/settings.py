"""Where OSS is and who asks: endpoint, region and credentials of a client, and where each came from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import IntEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from penstock.client.identity.config_file import Profile, aliyun_profile, ossutil_profile
from penstock.client.identity.credentials import Credentials, CredentialsProvider, find_credentials
from penstock.errors import InvalidInput
from penstock.protocol.endpoint import Endpoint

_ADVICE = (
    "Set OSS_REGION (such as cn-hangzhou) or OSS_ENDPOINT (such as https://oss-cn-hangzhou.aliyuncs.com or "
    "http://127.0.0.1:9000), or give region or endpoint in the call."
)
_REGION_ALONE = re.compile(r"(?:oss-)?(?:cn|us|eu|ap|me|na|sa|af)-[a-z0-9-]+", re.IGNORECASE)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a client needs to know before its first request.

    Attributes:
        endpoint: Where requests go; its ``region`` is `region`.
        endpoint_from: Where the endpoint was found, in words.
        region: Region id such as ``cn-hangzhou``; empty where nobody said (a local server, a domain of
            one's own), and then nothing can be signed with V4 until somebody does.
        region_from: Where the region was found, in words; empty if it was not.
        credentials: They, or what gives them.
        credentials_from: Where the credentials were found, in words.
    """

    endpoint: Endpoint
    endpoint_from: str
    region: str
    region_from: str
    credentials: Credentials | CredentialsProvider
    credentials_from: str

    # A provider's own repr is somebody else's, and may hold what it was made with.
    def __repr__(self) -> str:
        region = f"{self.region} (from {self.region_from})" if self.region else "unknown"
        return (
            f"<Settings endpoint {self.endpoint} (from {self.endpoint_from}), region {region}, "
            f"credentials from {self.credentials_from}>"
        )

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [
            ("endpoint", str(self.endpoint)),
            ("region", self.region),
            ("credentials_from", self.credentials_from),
        ]


def resolve_settings(
    *,
    environ: Mapping[str, str],
    home: Path,
    now: int,
    endpoint: str | Endpoint | None = None,
    region: str | None = None,
    credentials: Credentials | CredentialsProvider | None = None,
    config_file: str | Path | None = None,
    profile: str | None = None,
    path_style: bool | None = None,
    cname: bool | None = None,
) -> Settings:
    """
    Put together what the call, the environment and the configuration files say, in this order.

    The endpoint comes from the call, ``OSS_ENDPOINT``, the profile of ``~/.ossutilconfig``, or is that of the
    region. The region comes from the call, ``OSS_REGION``, that profile, ``ALIBABA_CLOUD_REGION_ID``,
    ``~/.aliyun/config.json``; but an endpoint that names a region goes before what was said further down. The
    files are opened only for what is not known without them, and where the call names them.

    Args:
        environ: The environment.
        home: The user's home directory.
        now: Seconds since 1970.
        endpoint: As people write it, or one that is made already and is taken as it is.
        region: Region id, with or without ``oss-``.
        credentials: They, or what gives them; see `find_credentials`.
        config_file: Stands for ``~/.ossutilconfig``, and has to be there.
        profile: The profile in it, which has to be there.
        path_style: True for the bucket in the path; None for what the host and the profile suggest.
        cname: True for a domain that is bound to a bucket; None for what the profile suggests.

    Raises:
        InvalidInput: There is neither endpoint nor region, one of them is not what it should be, or the two
            disagree.
        CredentialsMissing: A file or profile that the call names is not there; else see `find_credentials`.
    """
    sources = _Sources(environ, home, config_file, profile)
    if config_file is not None or profile is not None:
        # Whoever names it means it, even where the environment says all that it might.
        sources.ossutil()
    found_endpoint = _find_endpoint(sources, endpoint, path_style=path_style, cname=cname)
    found_region = _find_region(sources, region, found_endpoint)
    if found_endpoint is None:
        if found_region is None:
            raise InvalidInput("Neither an endpoint nor a region of OSS is known", advice=_ADVICE)
        made = _for_region(found_region, path_style=path_style, cname=cname)
        found_endpoint = _FoundEndpoint(made, f"the region of {found_region.where}", found_region.rank)
    name, region_from = (found_region.text, found_region.where) if found_region else ("", "")
    settled = found_endpoint.endpoint.with_region(name) if name else found_endpoint.endpoint
    found, credentials_from = find_credentials(
        credentials, environ, home, now, config_file=config_file, profile=profile
    )
    return Settings(
        endpoint=settled,
        endpoint_from=found_endpoint.where,
        region=name,
        region_from=region_from,
        credentials=found,
        credentials_from=credentials_from,
    )


class _Rank(IntEnum):
    """Who goes before whom; the lowest number first."""

    CALL = 0
    OSS_ENVIRONMENT = 1
    OSSUTIL_FILE = 2
    ALIBABA_CLOUD_ENVIRONMENT = 3
    ALIYUN_FILE = 4


class _Region(NamedTuple):
    text: str
    where: str
    rank: _Rank


class _FoundEndpoint(NamedTuple):
    endpoint: Endpoint
    where: str
    rank: _Rank


class _Sources:
    """The places to look at; a file is read when it is first asked for, and once."""

    def __init__(
        self, environ: Mapping[str, str], home: Path, config_file: str | Path | None, profile: str | None
    ) -> None:
        self.environ = environ
        self._home = home
        self._config_file = config_file
        self._profile = profile
        self._ossutil: tuple[Profile | None] | None = None

    def ossutil(self) -> Profile | None:
        if self._ossutil is None:
            self._ossutil = (
                ossutil_profile(
                    self.environ, self._home, config_file=self._config_file, profile=self._profile
                ),
            )
        return self._ossutil[0]

    def aliyun(self) -> Profile | None:
        return aliyun_profile(self.environ, self._home)


def _find_endpoint(
    sources: _Sources, given: str | Endpoint | None, *, path_style: bool | None, cname: bool | None
) -> _FoundEndpoint | None:
    if isinstance(given, Endpoint):
        return _FoundEndpoint(given, "the call", _Rank.CALL)
    if given is not None:
        text, where, rank = given, "the call", _Rank.CALL
    elif from_environment := sources.environ.get("OSS_ENDPOINT"):
        text, where, rank = from_environment, "OSS_ENDPOINT in the environment", _Rank.OSS_ENVIRONMENT
    elif (profile := sources.ossutil()) is not None and profile.endpoint:
        text, where, rank = profile.endpoint, profile.where, _Rank.OSSUTIL_FILE
        if path_style is None and cname is None:
            path_style, cname = _addressing(profile)
    else:
        return None
    if "@" in text:
        raise InvalidInput(
            f"The endpoint of {where} has a user name in front of the host",
            advice="Take it out; keys go into OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET.",
        )
    if _REGION_ALONE.fullmatch(text.strip()):
        raise InvalidInput(
            f"The endpoint of {where} is {text!r}, which is a region",
            advice="Give it as the region (OSS_REGION), and the endpoint follows from it.",
        )
    try:
        endpoint = Endpoint.parse(text, path_style=path_style, cname=bool(cname))
    except InvalidInput as error:
        raise InvalidInput(f"{error.message} (from {where})", advice=error.advice) from None
    return _FoundEndpoint(endpoint, where, rank)


def _find_region(sources: _Sources, given: str | None, found: _FoundEndpoint | None) -> _Region | None:
    if found is None or not found.endpoint.region:
        return next(_regions(sources, given, _Rank.ALIYUN_FILE), None)
    said = next(_regions(sources, given, found.rank), None)
    if said is None:
        return _Region(found.endpoint.region, f"the endpoint of {found.where}", found.rank)
    if said.text != found.endpoint.region:
        raise InvalidInput(
            f"The endpoint {found.endpoint} (from {found.where}) is in the region "
            f"{found.endpoint.region}, but {said.where} says {said.text}",
            advice="Give endpoint and region together, or only one of them.",
        )
    return said


def _regions(sources: _Sources, given: str | None, last: _Rank) -> Iterator[_Region]:
    """What is said about the region, down to the rank ``last``, the one that goes before the others first."""
    if given is not None:
        yield _region(given, "the call", _Rank.CALL)
    if last >= _Rank.OSS_ENVIRONMENT and (text := sources.environ.get("OSS_REGION")):
        yield _region(text, "OSS_REGION in the environment", _Rank.OSS_ENVIRONMENT)
    if last < _Rank.OSSUTIL_FILE:
        return
    ossutil = sources.ossutil()
    if ossutil is not None and ossutil.region:
        yield _region(ossutil.region, ossutil.where, _Rank.OSSUTIL_FILE)
    if last < _Rank.ALIYUN_FILE:
        return
    if text := sources.environ.get("ALIBABA_CLOUD_REGION_ID"):
        where = "ALIBABA_CLOUD_REGION_ID in the environment"
        yield _region(text, where, _Rank.ALIBABA_CLOUD_ENVIRONMENT)
    aliyun = sources.aliyun()
    if aliyun is not None and aliyun.region:
        yield _region(aliyun.region, aliyun.where, _Rank.ALIYUN_FILE)


def _region(text: str, where: str, rank: _Rank) -> _Region:
    plain = text.strip().lower()
    if "." in plain or ":" in plain or "/" in plain:
        raise InvalidInput(
            f"The region of {where} is {_without_user(text)!r}, which looks like an endpoint",
            advice="Give it as the endpoint (OSS_ENDPOINT); a region looks like cn-hangzhou.",
        )
    if plain.endswith("-internal"):
        region_id = plain.removeprefix("oss-").removesuffix("-internal")
        raise InvalidInput(
            f"The region of {where} is {text!r}, which is half an endpoint",
            advice=f"The region is {region_id}; the endpoint inside it is "
            f"https://oss-{region_id}-internal.aliyuncs.com.",
        )
    try:
        return _Region(Endpoint.for_region(text).region, where, rank)
    except InvalidInput as error:
        raise InvalidInput(f"{error.message} (from {where})", advice=error.advice) from None


def _for_region(region: _Region, *, path_style: bool | None, cname: bool | None) -> Endpoint:
    if cname:
        raise InvalidInput(
            "A domain of one's own is asked for (cname), and no endpoint is given",
            advice="Give the domain as the endpoint.",
        )
    return Endpoint.parse(str(Endpoint.for_region(region.text)), path_style=path_style)


def _addressing(profile: Profile) -> tuple[bool | None, bool | None]:
    """``addressing-style`` of a profile as path_style and cname."""
    match (profile.addressing_style or "virtual").lower():
        case "virtual":
            return None, None
        case "path":
            return True, False
        case "cname":
            return None, True
    raise InvalidInput(
        f"The addressing-style of {profile.where} is {profile.addressing_style!r}",
        advice="It is virtual, path or cname.",
    )


def _without_user(text: str) -> str:
    return re.sub(r".*@", "...@", text, flags=re.DOTALL)
