"""How many files and connections the system lets this process have open, and what the server makes of it."""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import Final

from penstock.server.http.bounds import Limits

logger = logging.getLogger("penstock.server")

_RESERVE: Final = 256
"""For what is not of a single connection: the store's connections to its metadata, callbacks, logs."""

_STEPS: Final = (1_048_576, 10_240)
"""What is tried where the system says that there is no limit, and then does not take that for an answer."""


def raise_limit() -> int:
    """Lets this process have as many files open as the system allows; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    tries = _STEPS if hard == resource.RLIM_INFINITY else (hard, *(step for step in _STEPS if step < hard))
    for wanted in tries:
        if soft == resource.RLIM_INFINITY or wanted <= soft:
            break
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            break
        except (OSError, ValueError):
            continue
    return open_files()


def open_files() -> int:
    """How many files this process may have open at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else _STEPS[0]


def within(limits: Limits, files: int) -> Limits:
    """
    The limits, with no more connections than there are descriptors for.

    Each connection may need a second one, for the file that it reads or writes.
    """
    most = max(1, (files - min(_RESERVE, files // 2)) // 2)
    return replace(limits, connections=min(limits.connections, most))


def warn_if_low(limits: Limits, files: int) -> None:
    """Says so if fewer connections can be had than were asked for."""
    had = within(limits, files).connections
    if had < limits.connections:
        logger.warning(
            "only %d connections at once instead of %d, because no more than %d files may be open; "
            "raise that limit (ulimit -Hn, LimitNOFILE= of systemd) or lower [limits] connections",
            had,
            limits.connections,
            files,
        )
