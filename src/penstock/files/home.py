"""The user's home directory, which not every user has."""

from __future__ import annotations

from pathlib import Path

from penstock.errors import InvalidInput

NO_HOME = Path("/nonexistent")
"""Where systems say that users live who have no home."""


def home_directory() -> Path:
    """The home directory; `NO_HOME` where neither HOME nor the system's list of users names one."""
    try:
        return Path.home()
    except RuntimeError:
        return NO_HOME


def expanded(path: Path) -> Path:
    """
    A path with ``~`` at its beginning replaced.

    Raises:
        InvalidInput: It begins with ``~`` and the name of a user that is not known.
    """
    if path.parts[:1] == ("~",):
        return home_directory().joinpath(*path.parts[1:])
    try:
        return path.expanduser()
    except RuntimeError:
        raise InvalidInput(f"nobody knows the home directory that {path} begins with") from None
