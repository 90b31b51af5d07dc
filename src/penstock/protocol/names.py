"""
What buckets, objects, metadata and tags may be called (documentation of OSS: "Terms", "Limits", "Tags").

Each function returns nothing if the name is good and raises `InvalidInput` that says what is wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from penstock.errors import InvalidInput
from penstock.protocol.limits import (
    MAX_BUCKET_CHARACTERS,
    MAX_BUCKET_TAGS,
    MAX_KEY_BYTES,
    MAX_METADATA_BYTES,
    MAX_OBJECT_TAGS,
    MAX_TAG_KEY_CHARACTERS,
    MAX_TAG_VALUE_CHARACTERS,
    MIN_BUCKET_CHARACTERS,
)

METADATA_PREFIX = "x-oss-meta-"

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_METADATA_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_TAG_SIGNS = frozenset("+-=._:/ ")
_CONTROL = re.compile("[\x00-\x1f\x7f]")

_BUCKET_RULE = "A bucket name is 3 to 63 of a-z, 0-9 and -, with no - at either end."
_KEY_RULE = f"A key is 1 to {MAX_KEY_BYTES} bytes of UTF-8 and begins with neither / nor \\."


def is_bucket_name(name: str) -> bool:
    """Say whether a bucket can be called so."""
    return MIN_BUCKET_CHARACTERS <= len(name) <= MAX_BUCKET_CHARACTERS and _BUCKET.fullmatch(name) is not None


def check_bucket(name: str) -> None:
    """Refuse what no bucket can be called."""
    if is_bucket_name(name):
        return
    advice = _BUCKET_RULE
    lowered = name.lower()
    if lowered != name and is_bucket_name(lowered):
        advice = f"{_BUCKET_RULE} Perhaps {lowered!r} is meant."
    elif "/" in name:
        advice = f"{_BUCKET_RULE} The key goes into an argument of its own."
    raise InvalidInput(f"{name!r} is not a bucket name", advice=advice)


def check_key(key: str) -> None:
    """Refuse what no object can be called."""
    if key and key[0] not in "/\\" and len(key) * 4 <= MAX_KEY_BYTES and key.isascii():
        return
    if not key:
        raise InvalidInput("The key of the object is empty", advice=_KEY_RULE)
    if key[0] in "/\\":
        raise InvalidInput(
            f"The key {_short(key)} begins with {key[0]}",
            advice=f"{_KEY_RULE} Perhaps {_short(key.lstrip('/' + chr(92)))} is meant.",
        )
    try:
        size_bytes = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"The key {_short(key)} cannot be written as UTF-8", advice=_KEY_RULE) from None
    if size_bytes > MAX_KEY_BYTES:
        raise InvalidInput(f"The key {_short(key)} has {size_bytes:,} bytes", advice=_KEY_RULE)


def check_metadata(metadata: Mapping[str, str]) -> None:
    """
    Refuse user metadata that OSS would refuse, or that HTTP would change on the way.

    Names are given without ``x-oss-meta-``; they come back in lower case.
    """
    size_bytes = 0
    seen: set[str] = set()
    _check_texts(metadata, "metadata")
    for name, value in metadata.items():
        if not _METADATA_NAME.fullmatch(name):
            raise InvalidInput(
                f"{name!r} cannot name user metadata",
                advice="Use letters, digits and -; the prefix x-oss-meta- is added by itself.",
            )
        if name.lower().startswith(METADATA_PREFIX):
            raise InvalidInput(
                f"The metadata name {name!r} has the prefix already",
                advice=f"Write {name[len(METADATA_PREFIX) :]!r}; the prefix is added by itself.",
            )
        if name.lower() in seen:
            raise InvalidInput(
                f"The metadata name {name.lower()!r} is given twice",
                advice="Upper and lower case are the same name.",
            )
        seen.add(name.lower())
        size_bytes += len(METADATA_PREFIX) + len(name) + _metadata_value_bytes(name, value)
    if size_bytes > MAX_METADATA_BYTES:
        raise InvalidInput(
            f"The user metadata has {size_bytes:,} bytes",
            advice=f"Names (with x-oss-meta-) and values may have {MAX_METADATA_BYTES:,} bytes together.",
        )


def check_tags(tags: Mapping[str, str], *, for_bucket: bool = False) -> None:
    """Refuse tags that OSS would refuse; a bucket may have 20, an object 10."""
    _check_texts(tags, "tags")
    most = MAX_BUCKET_TAGS if for_bucket else MAX_OBJECT_TAGS
    if len(tags) > most:
        raise InvalidInput(f"{len(tags)} tags are given", advice=f"At most {most} are allowed.")
    for name, value in tags.items():
        if not 1 <= len(name) <= MAX_TAG_KEY_CHARACTERS:
            raise InvalidInput(
                f"The tag {_short(name)} has a name of {len(name)} characters",
                advice=f"A tag's name has 1 to {MAX_TAG_KEY_CHARACTERS} characters.",
            )
        if len(value) > MAX_TAG_VALUE_CHARACTERS:
            raise InvalidInput(
                f"The tag {name!r} has a value of {len(value)} characters",
                advice=f"A tag's value has at most {MAX_TAG_VALUE_CHARACTERS} characters.",
            )
        if not for_bucket and not (is_tag_text(name) and is_tag_text(value)):
            raise InvalidInput(
                f"The tag {name!r}={value!r} has a character that tags cannot hold",
                advice="Tags of objects hold letters, digits, spaces and + - = . _ : / only.",
            )


def _check_texts(pairs: object, what: str) -> None:
    advice = "Give a mapping of names to values, all of them text: {'name': 'value'}."
    if not isinstance(pairs, Mapping):
        raise InvalidInput(f"{type(pairs).__name__} cannot be {what}", advice=advice)
    for name, value in pairs.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise InvalidInput(f"the {what} {name!r}: {value!r:.100} are not text", advice=advice)


def is_tag_text(text: str) -> bool:
    """Say whether a tag of an object may have such a name or value."""
    # Letters, digits and the marks that some scripts write vowels with, of any script.
    return all(sign in _TAG_SIGNS or unicodedata.category(sign)[0] in "LMN" for sign in text)


def _metadata_value_bytes(name: str, value: str) -> int:
    if _CONTROL.search(value) or value != value.strip():
        raise InvalidInput(
            f"The value of the metadata {name!r} cannot go into a header as it is: {_short(value)}",
            advice="Leave out control characters, line ends, and spaces at either end, or encode the value.",
        )
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"The value of the metadata {name!r} cannot be written as UTF-8") from None


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:60]}...")
