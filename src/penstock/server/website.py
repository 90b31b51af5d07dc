"""
A bucket shown as a website: what unsigned requests of browsers get for folders and for what is not there.

Of the routing rules, those that redirect (``External``, ``AliCDN``) are followed; fetching from an origin
(``Mirror``) is not done.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.errors import ServiceError
from penstock.protocol import percent
from penstock.protocol.operations.website import RoutingRedirect, RoutingRule, Website
from penstock.server.http.request import Request
from penstock.server.http.response import Response
from penstock.server.store.faults import StoreFault
from penstock.server.store.interface import Store
from penstock.server.store.records import ObjectKind

_METHODS = frozenset({"GET", "HEAD"})
_NOT_THERE = frozenset({"NoSuchKey", "SymlinkTargetNotExist"})


def page_key(website: Website | None, method: str, key: str, *, asks_more: bool) -> str | None:
    """
    The key of the page that a browser wants; None if it wants no page.

    Args:
        website: None where the bucket is not one.
        method: Of the request.
        key: As asked; empty for the bucket itself.
        asks_more: True if the query asks for something special.
    """
    if website is None or website.index is None or method not in _METHODS or asks_more:
        return None
    if not key.endswith("/") and key:
        return None
    return f"{key}{website.index.suffix}" if website.index.sub_folders else website.index.suffix


def page_instead(
    website: Website,
    store: Store,
    bucket: str,
    key: str,
    *,
    error: ServiceError,
    request: Request,
    base: Mapping[str, str],
) -> Response | None:
    """
    What a browser gets instead of the document of an error; None for that document.

    Args:
        key: As asked.
        error: What would be answered.
        request: What was asked.
        base: Headers of every answer.
    """
    if error.code not in _NOT_THERE:
        return None
    rules = website.routing.rules if website.routing is not None else ()
    for rule in sorted(rules, key=lambda one: one.number or 0):
        if _fits(rule, key, error.status, request.headers) and rule.redirect is not None:
            location = _location(rule, rule.redirect, key, request)
            if location is not None:
                return Response(rule.redirect.status or 302, {**base, "location": location})
    index = website.index
    if index is not None and index.sub_folders and not index.kind and key and not key.endswith("/"):
        folder = f"{key}/{index.suffix}"
        if _exists(store, bucket, folder):
            return Response(302, {**base, "location": f"/{percent.encode(key, keep_slash=True)}/"})
    return _error_page(website, store, bucket, base)


def _error_page(website: Website, store: Store, bucket: str, base: Mapping[str, str]) -> Response | None:
    if website.error is None:
        return None
    try:
        with store.get_object(bucket, website.error.key) as found:
            if found.record.kind is ObjectKind.SYMLINK or found.record.attributes.acl == "private":
                return None
            kind = found.record.attributes.content_type or "text/html"
            return Response(website.error.status or 404, {**base, "content-type": kind}, found.read())
    except StoreFault:
        return None


def _exists(store: Store, bucket: str, key: str) -> bool:
    try:
        store.head_object(bucket, key)
    except StoreFault:
        return False
    return True


def _fits(rule: RoutingRule, key: str, status: int, headers: Mapping[str, str]) -> bool:
    condition = rule.condition
    if condition is None:
        return True
    if condition.error_code is not None and condition.error_code != status:
        return False
    if not key.startswith(condition.key_prefix or "") or not key.endswith(condition.key_suffix or ""):
        return False
    for wanted in condition.headers:
        value = headers.get((wanted.key or "").lower(), "")
        if wanted.equals is not None and value != wanted.equals:
            return False
        if not value.startswith(wanted.starts_with or "") or not value.endswith(wanted.ends_with or ""):
            return False
    return True


def _location(rule: RoutingRule, redirect: RoutingRedirect, key: str, request: Request) -> str | None:
    if redirect.redirect_type not in ("External", "AliCDN"):
        return None
    target = key
    if redirect.key_with is not None:
        target = redirect.key_with.replace("${key}", key)
    elif redirect.key_prefix_with is not None or redirect.replace_prefix:
        prefix = (rule.condition.key_prefix or "") if rule.condition is not None else ""
        target = f"{redirect.key_prefix_with or ''}{key.removeprefix(prefix)}"
    host = redirect.host or request.headers.get("host", "")
    passed = f"?{request.query}" if redirect.pass_query and request.query else ""
    return f"{redirect.protocol or 'http'}://{host}/{percent.encode(target, keep_slash=True)}{passed}"
