"""Something that a test waits for instead of sleeping."""

from __future__ import annotations

import threading

PATIENCE_S = 20.0
"""Longer than anything in a test may take; whoever waits this long has failed."""


class Moment:
    """
    Happens once, and lets all that wait for it through.

    Args:
        what: Completes the sentence "it did not come to pass within 20 s: ...".
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def happen(self) -> None:
        """Let everybody through; may be repeated."""
        self._event.set()

    def wait(self, timeout_s: float = PATIENCE_S) -> None:
        """
        Wait until it has happened.

        Raises:
            TimeoutError: It has not, within ``timeout_s``.
        """
        if not self._event.wait(timeout_s):
            raise TimeoutError(f"it did not come to pass within {timeout_s:g} s: {self._what}")
