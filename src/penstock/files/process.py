"""Which process is meant: a pid alone may be another one's by now."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def program_name() -> str:
    """What this process calls itself to others: its program alone, since its arguments may be secret."""
    module = getattr(sys.modules.get("__main__"), "__spec__", None)
    if module is not None:  # run with -m
        return str(module.name).removesuffix(".__main__")
    name = Path(sys.argv[0] if sys.argv else "").name
    return name if name not in ("", "-c") else Path(sys.executable).name


def process_started(pid: int | None = None) -> int:
    """
    When the system started a process, in its own ticks since the machine did.

    Args:
        pid: None for this process.

    Returns:
        0 where the system does not say, or has no such process.
    """
    try:
        status = Path(f"/proc/{'self' if pid is None else pid}/stat").read_text("ascii", errors="replace")
    except OSError:
        return 0
    # The second field is the program's name in parentheses, and may hold spaces; the 22nd is what is wanted.
    return int(status.rpartition(")")[2].split()[19])


def is_running(pid: int, started: int) -> bool | None:
    """
    Whether a process is still the one that it was.

    Args:
        pid: Of this machine.
        started: What `process_started` said of it; 0 if it did not say.

    Returns:
        None if there is a process of this pid, and the system does not say whether it is the same.
    """
    if os.name == "nt":  # there `os.kill` ends the process
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's; whether ours before can only be told by its start
        pass
    now = process_started(pid)
    if not started or not now:
        return None
    return now == started
