"""Waiting so that Ctrl-C is heard."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any

HEARING_S = 0.2
"""
The longest that the main thread waits at a stretch.

Python looks for signals between its own steps. One that arrives when the thread is about to block, and still
waits for its turn to run, is seen only when that wait ends: so no wait is without end.
"""


def wait_for(future: Future[Any], timeout_s: float | None) -> bool:
    """Wait until a future is done, at most ``timeout_s`` seconds (None: for ever); True if it is."""
    hears_signals = threading.current_thread() is threading.main_thread()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while not future.done():
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            return False
        if hears_signals:
            left_s = HEARING_S if left_s is None else min(left_s, HEARING_S)
        with suppress(FutureTimeout):
            future.exception(left_s)
    return True
