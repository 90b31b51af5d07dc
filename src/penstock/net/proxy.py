"""Which proxy a request goes through, and how to ask it for a way to a host."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Mapping
from typing import Literal, cast
from urllib.parse import unquote, urlsplit

import msgspec

from penstock.errors import InvalidInput
from penstock.net.request import Origin


class Proxy(msgspec.Struct, frozen=True):
    """
    A proxy.

    Attributes:
        origin: Where it listens; with ``https`` it is spoken to over TLS.
        authorization: Value of Proxy-Authorization, or an empty string; a secret.
    """

    origin: Origin
    authorization: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.origin.scheme}://{self.origin.address})"


def proxy_for(origin: Origin, setting: str | None, environment: Mapping[str, str]) -> Proxy | None:
    """
    The proxy for an origin, or None to go there directly.

    Args:
        origin: Who is asked.
        setting: `NetSettings.proxy`.
        environment: Looked at if the setting is None: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in
            lower case first, then in upper case. HTTP_PROXY in upper case is left alone where
            REQUEST_METHOD is set, because in a CGI program the other side chooses its value.

    Raises:
        InvalidInput: It is not the URL of an HTTP proxy. The message shows no password.
    """
    if setting is not None:
        return parse_proxy(setting) if setting else None
    for name in (f"{origin.scheme}_proxy", "all_proxy"):
        value = environment.get(name)
        if value is None and not (name == "http_proxy" and "REQUEST_METHOD" in environment):
            value = environment.get(name.upper())
        if value:
            exempt = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
            return None if is_exempt(origin, exempt) else parse_proxy(value)
    return None


def parse_proxy(url: str) -> Proxy:
    """
    Reads ``[http[s]://][user:password@]host[:port]``.

    Raises:
        InvalidInput: It is something else.
    """
    parts = urlsplit(url if "://" in url else f"http://{url}")
    shown = f"{parts.scheme}://...@{url.rpartition('@')[2]}" if "@" in url else url
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise InvalidInput(
            f"The proxy {shown} is not http://host:port or https://host:port.",
            advice="SOCKS proxies are not supported.",
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode()}"
    scheme = cast('Literal["http", "https"]', parts.scheme)
    return Proxy(Origin(scheme, parts.hostname, port or (443 if scheme == "https" else 80)), authorization)


def is_exempt(origin: Origin, exempt: str) -> bool:
    """
    Whether a NO_PROXY list names an origin.

    Entries are separated by commas or blanks: ``*``, a domain (with its subdomains, with or without a leading
    dot or ``*.``), an address, a network such as ``10.0.0.0/8``; each may end in ``:port``.
    """
    host = origin.host.lower().rstrip(".")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    for entry in exempt.replace(",", " ").lower().split():
        if entry == "*":
            return True
        name, port = _split_port(entry)
        if port is not None and port != origin.port:
            continue
        if address is not None:
            try:
                if address in ipaddress.ip_network(name, strict=False):
                    return True
            except ValueError:
                continue
        else:
            name = name.removeprefix("*").lstrip(".").rstrip(".")
            if name and (host == name or host.endswith(f".{name}")):
                return True
    return False


def _split_port(entry: str) -> tuple[str, int | None]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, int(rest[1:]) if rest.startswith(":") and rest[1:].isdigit() else None
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name and port.isdigit():
        return name, int(port)
    return entry, None
