"""Those who hold a connection of the server and have not asked it anything yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

SPARED_S: Final = 1.0
"""Whoever has been waited for no longer than this may be about to ask."""


class Waiting:
    """
    Whom the server waits for: for a handshake, a request, its head, or a small body. Used on one thread.

    When there is no room for another connection, the one goes that has been waited for the longest; else
    whoever opens many and asks nothing would keep everybody else out.
    """

    def __init__(self) -> None:
        self._since: dict[Callable[[], object], float] = {}

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, end: Callable[[], object], now_s: float) -> None:
        """Something is waited for from now on; ``end`` would end the connection, and stands for it."""
        self._since.pop(end, None)
        self._since[end] = now_s

    def over(self, end: Callable[[], object]) -> None:
        """It came, or will not come; may be called again."""
        self._since.pop(end, None)

    def end_longest(self, now_s: float) -> bool:
        """Ends the connection that has been waited for the longest; False if there is none to be ended."""
        longest = next(iter(self._since), None)
        if longest is None or now_s - self._since[longest] < SPARED_S:
            return False
        del self._since[longest]
        longest()
        return True
