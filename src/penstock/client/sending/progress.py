"""Tells a caller how far one request is, never going back."""

from __future__ import annotations

from collections.abc import Callable

OnSent = Callable[[int, int | None], None]
"""Called with the bytes sent so far and the bytes in all (None if not known)."""


class Meter:
    """
    Counts the bytes of one call over all its attempts.

    What is reported never goes back: a second attempt is reported from where it passes the first.
    """

    def __init__(self, report: OnSent, total: int | None) -> None:
        self._report = report
        self._total = total
        self._highest = 0

    def sent(self, so_far: int) -> None:
        """So many bytes of this attempt were handed to the network."""
        if so_far > self._highest:
            self._highest = so_far
            self._report(so_far, self._total)
