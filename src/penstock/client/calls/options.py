"""What may be said of an object when it is made; the same words in every call that makes one."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, TypedDict, cast

from penstock.errors import InvalidInput
from penstock.protocol import limits, names
from penstock.protocol.content_type import content_type_of


class ObjectOptions(TypedDict, total=False):
    """
    Keyword arguments of every call that makes an object.

    Keys:
        content_type: By default told by the key's ending, else ``application/octet-stream``.
        cache_control, content_disposition, content_encoding, content_language, expires: Sent to readers.
        metadata: Names and values of your own; names come back in lower case. 8 KiB in all.
        acl: ``private``, ``public-read``, ``public-read-write`` or ``default``.
        storage_class: ``Standard``, ``IA``, ``Archive``, ``ColdArchive`` or ``DeepColdArchive``.
        tags: At most 10.
        server_side_encryption, server_side_encryption_key_id, server_side_data_encryption: As OSS names them.
    """

    content_type: str | None
    cache_control: str | None
    content_disposition: str | None
    content_encoding: str | None
    content_language: str | None
    expires: str | None
    metadata: Mapping[str, str]
    acl: str | None
    storage_class: str | None
    tags: Mapping[str, str] | None
    server_side_encryption: str | None
    server_side_encryption_key_id: str | None
    server_side_data_encryption: str | None


class Callback(TypedDict, total=False):
    """
    What OSS asks your server after it stored an object.

    Keys:
        url: Where; up to five, separated by ``;``.
        body: What is sent, with OSS's ``${...}`` variables.
        body_type: Media type of ``body``.
        host: ``Host`` header of the request.
        variables: Your own ``x:`` variables.
    """

    url: str
    body: str
    body_type: str
    host: str
    variables: Mapping[str, str]


_ACLS = frozenset({"private", "public-read", "public-read-write", "default"})


def checked(options: ObjectOptions, key: str) -> dict[str, Any]:
    """
    The options as fields of a request, with the content type filled in.

    Raises:
        InvalidInput: Metadata, tags or access are not what OSS takes.
    """
    unknown = set(options) - ObjectOptions.__optional_keys__
    if unknown:
        raise TypeError(
            f"unknown option {', '.join(sorted(unknown))}; known are "
            f"{', '.join(sorted(ObjectOptions.__optional_keys__))}"
        )
    fields = dict(cast("dict[str, Any]", options))
    if metadata := fields.get("metadata"):
        names.check_metadata(metadata)
    elif "metadata" in fields:
        del fields["metadata"]
    if (tags := fields.get("tags")) is not None:
        names.check_tags(tags)
    check_acl(fields.get("acl"))
    if fields.get("content_type") is None:
        fields["content_type"] = content_type_of(key)
    return fields


def check_acl(acl: str | None) -> None:
    """Raise InvalidInput if this is not an access rule."""
    if acl is not None and acl not in _ACLS:
        raise InvalidInput(f"{acl!r} is not an access rule", advice=f"Use one of {', '.join(sorted(_ACLS))}.")


def check_traffic_limit(bits_per_s: int | None) -> None:
    """Raise InvalidInput if OSS cannot limit a request to this."""
    low, high = limits.MIN_TRAFFIC_LIMIT_BITS_PER_S, limits.MAX_TRAFFIC_LIMIT_BITS_PER_S
    if bits_per_s is not None and not low <= bits_per_s <= high:
        raise InvalidInput(
            f"a traffic limit of {bits_per_s:,} bit/s cannot be",
            advice=f"OSS takes {low:,} to {high:,} bit/s for one request.",
        )


def callback_headers(callback: Callback | None) -> dict[str, Any]:
    """
    The request fields of a callback.

    Raises:
        InvalidInput: It has no url or body, too many urls, or is too long.
    """
    if callback is None:
        return {}
    if not callback.get("url") or not callback.get("body"):
        raise InvalidInput(
            "a callback needs a url and a body", advice="Give both, or leave the callback out."
        )
    if callback["url"].count(";") >= limits.MAX_CALLBACK_URLS:
        raise InvalidInput(f"a callback has at most {limits.MAX_CALLBACK_URLS} urls")
    words = {
        "callbackUrl": callback["url"],
        "callbackHost": callback.get("host"),
        "callbackBody": callback["body"],
        "callbackBodyType": callback.get("body_type"),
    }
    headers = {"callback": _packed({name: text for name, text in words.items() if text is not None})}
    if variables := callback.get("variables"):
        for name in variables:
            if not name.startswith("x:") or name != name.lower():
                raise InvalidInput(
                    f"the callback variable {name!r} cannot be",
                    advice="Names begin with x: and are lower-case.",
                )
        headers["callback_var"] = _packed(variables)
    for text in headers.values():
        if len(text) > limits.MAX_CALLBACK_BYTES:
            raise InvalidInput(f"the callback is longer than {limits.MAX_CALLBACK_BYTES:,} bytes")
    return headers


def _packed(words: Mapping[str, str]) -> str:
    return base64.b64encode(json.dumps(dict(words), separators=(",", ":")).encode()).decode()


def byte_range(start: int | None, end: int | None) -> str | None:
    """
    The ``Range`` of the bytes from ``start`` up to ``end``, which is the byte after the last; None for all.

    Raises:
        InvalidInput: It holds no byte.
    """
    if start is None and end is None:
        return None
    first = start or 0
    if first < 0 or (end is not None and end <= first):
        raise InvalidInput(
            f"the range from {first} to {end} holds no byte",
            advice="end is the byte after the last one wanted.",
        )
    return f"bytes={first}-{'' if end is None else end - 1}"
