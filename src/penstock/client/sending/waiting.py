"""Waiting so that Ctrl-C is heard."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import Any, TypeVar

from penstock.errors import InvalidInput

T = TypeVar("T")

HEARING_S = 0.2
"""
The longest that the main thread waits at a stretch.

Python looks for signals between its own steps. One that arrives when the thread is about to block, and still
waits for its turn to run, is seen only when that wait ends: so no wait is without end.
"""


def acquire(lock: threading.Lock, timeout_s: float | None) -> bool:
    """Take a lock, waiting at most ``timeout_s`` seconds (None: for ever); True if it was had."""
    hears_signals = threading.current_thread() is threading.main_thread()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = HEARING_S if hears_signals or deadline is None else threading.TIMEOUT_MAX
        if deadline is not None:
            left_s = min(left_s, max(deadline - time.monotonic(), 0.0))
        if lock.acquire(timeout=left_s):
            return True
        if deadline is not None and time.monotonic() >= deadline:
            return False


class Ending(Future[T]):
    """The end of something that runs in this process, and not in one that is forked from it."""

    def __init__(self) -> None:
        super().__init__()
        self.process_id = os.getpid()


def wait_for(ending: Ending[Any], timeout_s: float | None) -> bool:
    """
    Wait until something has ended, at most ``timeout_s`` seconds (None: for ever); True if it has.

    Raises:
        InvalidInput: It would never end here, because it runs in the process that this one was forked from.
    """
    hears_signals = threading.current_thread() is threading.main_thread()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while not ending.done():
        if ending.process_id != os.getpid():
            raise InvalidInput(
                f"it was begun by process {ending.process_id}, from which this one was forked",
                advice="Wait for it there, or begin another one here.",
            )
        left_s = None if deadline is None else deadline - time.monotonic()
        if left_s is not None and left_s <= 0:
            return False
        longest_s = HEARING_S if hears_signals else threading.TIMEOUT_MAX
        left_s = longest_s if left_s is None else min(left_s, longest_s)
        with suppress(FutureTimeout):
            ending.exception(left_s)
    return True
