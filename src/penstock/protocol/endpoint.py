"""
Where OSS is spoken to, how a bucket and a key become an address there, and back.

An endpoint is named as ``oss-cn-hangzhou.aliyuncs.com`` (virtual-host style: the bucket goes into the host
name), as an IP address or ``localhost`` (path style: the bucket is the first part of the path), or as a
domain of one's own that is bound to one bucket (``cname=True``: the bucket appears nowhere).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from penstock.errors import InvalidInput
from penstock.protocol import percent

_DEFAULT_PORTS = {"http": 80, "https": 443}
_EXAMPLE = (
    "An endpoint looks like oss-cn-hangzhou.aliyuncs.com, https://oss-cn-hangzhou.aliyuncs.com or "
    "http://127.0.0.1:9000."
)
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_REGION = re.compile(r"[a-z]{2,}(?:-[a-z0-9]+)+")
_OSS_HOST = re.compile(
    r"(?:oss-accelerate(?:-overseas)?|oss-(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+?)(?:-internal)?)"
    r"\.aliyuncs\.com"
)
_DUALSTACK_HOST = re.compile(r"(?P<region>[a-z]{2,}(?:-[a-z0-9]+)+)\.oss\.aliyuncs\.com")


class Style(StrEnum):
    """Where the name of the bucket stands."""

    VIRTUAL_HOST = "virtual"
    PATH = "path"
    CNAME = "cname"


class Address(NamedTuple):
    """
    Where one request goes.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Name or IP address to connect to, without brackets.
        port: Port to connect to.
        path: Target of the request without the query, percent-encoded.
        host_header: Value of ``Host``.
    """

    scheme: str
    host: str
    port: int
    path: str
    host_header: str


class Target(NamedTuple):
    """
    What a request that came in is about.

    Attributes:
        bucket: None for the service.
        key: None for the bucket; decoded.
        style: Where the bucket was named.
        path: The decoded path as it was sent, with the bucket in front of it in virtual-host style; what V1
            signs, and V4 too after encoding.
    """

    bucket: str | None
    key: str | None
    style: Style
    path: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """
    One way to OSS.

    Attributes:
        scheme: ``http`` or ``https``.
        host: In lower case; IPv6 without brackets.
        port: Always there.
        region: Region id without ``oss-`` (``cn-hangzhou``), or an empty string where nobody said.
        style: Where the bucket is named.
    """

    scheme: str
    host: str
    port: int
    region: str = ""
    style: Style = Style.VIRTUAL_HOST

    @classmethod
    def parse(
        cls,
        text: str,
        region: str | None = None,
        scheme: str = "https",
        path_style: bool | None = None,
        cname: bool = False,
    ) -> Endpoint:
        """
        Read an endpoint as people write it, with or without scheme and port.

        Args:
            text: ``oss-cn-hangzhou.aliyuncs.com``, ``http://127.0.0.1:9000`` ...
            region: Region id (with or without ``oss-``); None to take it from the name of the host.
            scheme: Used where the text has none.
            path_style: None for path style with IP addresses and ``localhost``, else virtual-host style.
            cname: True for a domain of one's own that is bound to a bucket.

        Raises:
            InvalidInput: The text is not an endpoint; the advice says what one looks like.
        """
        given_scheme, separator, rest = text.strip().partition("://")
        if not separator:
            given_scheme, rest = scheme, given_scheme
        given_scheme = given_scheme.lower()
        if given_scheme not in _DEFAULT_PORTS:
            raise _not_an_endpoint(text, f"its scheme is {given_scheme!r}; http and https are spoken here")
        host, port = _split_host(rest.removesuffix("/"), text, _DEFAULT_PORTS[given_scheme])
        if cname and path_style:
            raise InvalidInput(
                f"The endpoint {text!r} is asked to be both a domain of a bucket and path style",
                advice="Give cname=True or path_style=True, not both.",
            )
        if path_style is None:
            path_style = not cname and (host == "localhost" or _is_ip_address(host))
        style = Style.CNAME if cname else Style.PATH if path_style else Style.VIRTUAL_HOST
        if style is Style.VIRTUAL_HOST and _is_ip_address(host):
            raise InvalidInput(
                f"A bucket cannot stand in front of the IP address {host}",
                advice="Leave path_style out, or use a host name.",
            )
        return cls(given_scheme, host, port, _region_id(region) if region else _region_of(host), style)

    @staticmethod
    def for_region(region: str, *, internal: bool = False, accelerate: bool = False) -> Endpoint:
        """
        Give Alibaba Cloud's own endpoint of a region, over https.

        Args:
            region: Region id, with or without ``oss-``.
            internal: True for the network inside that region, free of charge there.
            accelerate: True for transfer acceleration, which must be switched on for the bucket.
        """
        region_id = _region_id(region)
        if internal and accelerate:
            raise InvalidInput(
                "An endpoint is either internal or accelerated",
                advice="Give internal=True or accelerate=True.",
            )
        host = "oss-accelerate" if accelerate else f"oss-{region_id}{'-internal' if internal else ''}"
        return Endpoint("https", f"{host}.aliyuncs.com", 443, region_id)

    @staticmethod
    def is_of_oss(host: str) -> bool:
        """Say whether a host (with or without a port) is one of Alibaba Cloud's endpoints."""
        name = host.lower().partition(":")[0]
        return bool(_OSS_HOST.fullmatch(name) or _DUALSTACK_HOST.fullmatch(name))

    @property
    def path_style(self) -> bool:
        """Whether the bucket is the first part of the path."""
        return self.style is Style.PATH

    def with_region(self, region: str) -> Endpoint:
        """Give the same endpoint in another region."""
        return replace(self, region=_region_id(region))

    def address(self, bucket: str = "", key: str = "") -> Address:
        """Give where a request about the service, a bucket, or an object goes, encoded for the wire."""
        host = self.host
        path = f"/{percent.encode(key, keep_slash=True)}" if key else "/"
        if bucket:
            if self.style is Style.PATH:
                path = f"/{bucket}{path}"
            elif self.style is Style.VIRTUAL_HOST:
                host = f"{bucket}.{host}"
        return Address(self.scheme, host, self.port, path, self._host_header(host))

    def _host_header(self, host: str) -> str:
        bracketed = f"[{host}]" if ":" in host else host
        return bracketed if self.port == _DEFAULT_PORTS[self.scheme] else f"{bracketed}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self._host_header(self.host)}"


def split_target(host_header: str, raw_path: str | bytes, base_hosts: Sequence[str]) -> Target:
    """
    Find what a request that came in is about.

    Args:
        host_header: Value of ``Host``; its port is not looked at.
        raw_path: Target of the request up to the ``?``, as it came. ``+`` is a space, as some clients mean
            it; a literal plus comes as ``%2B``.
        base_hosts: Hosts that this server is reached by; the bucket may stand in front of any of them.
            At an IP address or anything else it stands in the path.

    Raises:
        InvalidInput: The path is not percent-encoded UTF-8, or does not begin with ``/``.
    """
    path = percent.decode(raw_path, plus_is_space=True)
    if not path.startswith("/"):
        raise InvalidInput(f"The target {path[:80]!r} does not begin with /")
    bucket = _bucket_in_host(host_header, base_hosts)
    if bucket is not None:
        return Target(bucket, path[1:] or None, Style.VIRTUAL_HOST, f"/{bucket}{path}")
    # Some clients ask for the list of buckets with two slashes.
    if path == "//":
        path = "/"
    name, _, key = path[1:].partition("/")
    return Target(name or None, key or None, Style.PATH, path)


def is_address(host_header: str) -> bool:
    """Say whether the value of a ``Host`` header is an IP address, with or without a port."""
    host = host_header.strip()
    if host.startswith("["):
        return _is_ip_address(host[1:].partition("]")[0])
    return _is_ip_address(host.partition(":")[0])


def _bucket_in_host(host_header: str, base_hosts: Sequence[str]) -> str | None:
    host = host_header.strip().lower()
    if host.startswith("["):
        return None
    host = host.partition(":")[0].removesuffix(".")
    # One client puts a dot and no bucket in front when it asks for the list of buckets.
    for base in sorted(base_hosts, key=len, reverse=True):
        if host.removeprefix(".") == base.lower():
            return None
        name = host.removesuffix(f".{base.lower()}")
        if name != host and "." not in name:
            return name
    return None


def _split_host(rest: str, text: str, default_port: int) -> tuple[str, int]:
    """The host in lower case and the port, of what stands behind the scheme."""
    if not rest:
        raise _not_an_endpoint(text, "there is no host in it")
    for character, what in (("@", "a user name"), ("/", "a path"), ("?", "a query"), ("#", "a fragment")):
        if character in rest:
            raise _not_an_endpoint(_without_secret(text), f"it has {what}")
    host, colon, port = rest.lower(), "", ""
    if host.startswith("["):
        host, bracket, behind = host[1:].partition("]")
        if not bracket or behind[:1] not in ("", ":"):
            raise _not_an_endpoint(text, "its brackets do not match")
        colon, port = behind[:1], behind[1:]
    elif host.count(":") == 1:
        host, colon, port = host.partition(":")
    if colon and not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
        raise _not_an_endpoint(text, f"{port[:20]!r} is not a port")
    if not _is_ip_address(host):
        _check_host_name(host, text)
    return host.removesuffix("."), int(port) if port else default_port


def _check_host_name(host: str, text: str) -> None:
    if len(host) > 253 or not _HOST.fullmatch(host) or any(len(label) > 63 for label in host.split(".")):
        raise _not_an_endpoint(text, f"{host!r} is not the name of a host")
    if re.fullmatch(r"[0-9.]+", host):
        raise _not_an_endpoint(text, f"{host!r} is not an IP address")
    bucket, _, rest = host.partition(".")
    if Endpoint.is_of_oss(rest) and not Endpoint.is_of_oss(host):
        raise InvalidInput(
            f"{text!r} is not an endpoint: the bucket {bucket!r} is in front of it",
            advice=f"Give {rest} as the endpoint, and the bucket with each call.",
        )


def _is_ip_address(host: str) -> bool:
    for kind in (IPv4Address, IPv6Address):
        try:
            kind(host)
        except AddressValueError:
            continue
        return True
    return False


def _region_of(host: str) -> str:
    found = _OSS_HOST.fullmatch(host) or _DUALSTACK_HOST.fullmatch(host)
    return (found["region"] or "") if found else ""


def _region_id(region: str) -> str:
    region_id = region.strip().lower().removeprefix("oss-").removesuffix("-internal")
    if not _REGION.fullmatch(region_id):
        raise InvalidInput(
            f"{region!r} is not a region", advice="A region looks like cn-hangzhou or us-west-1."
        )
    return region_id


def _without_secret(text: str) -> str:
    """The text as it may be shown: without what stands before an ``@`` or behind a ``?``."""
    scheme, separator, rest = text.partition("://")
    plain, query, _ = rest.partition("?") if separator else scheme.partition("?")
    before, at, after = plain.rpartition("@")
    shown = f"...@{after}" if at else before or after
    return f"{scheme if separator else ''}{separator}{shown}{'?...' if query else ''}"


def _not_an_endpoint(text: str, why: str) -> InvalidInput:
    return InvalidInput(f"{_without_secret(text)!r} is not an endpoint: {why}", advice=_EXAMPLE)
