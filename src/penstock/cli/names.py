"""Names of files as keys, and keys as names of files, where the locale knows less than UTF-8."""

from __future__ import annotations

import os


def key_name(path: str) -> str:
    """
    A path, or what was typed, as it stands in a key.

    Bytes that the locale does not know are taken for UTF-8; if they are not, they stay as Python reads them,
    and no key can be made of them.
    """
    if path.isascii() or not any("\ud800" <= character <= "\udfff" for character in path):
        return path
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeError:
        return path


def file_name(name: str) -> str:
    """What stands in a key as a path: in the locale's encoding, or in UTF-8 where that cannot write it."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return os.fsdecode(name.encode("utf-8"))
    return name
