"""Kept connections, the one used last first."""

from __future__ import annotations

import time

from penstock.net.connection import Connection
from penstock.net.request import Origin


class Pool:
    """
    Connections that wait for their next request.

    Lists and dicts are used only in single steps that need no lock.

    Args:
        max_idle_per_origin: Most connections kept for one origin.
        idle_s: A connection that waited longer is closed instead of used.
    """

    def __init__(self, max_idle_per_origin: int, idle_s: float) -> None:
        self._max_idle = max_idle_per_origin
        self._idle_s = idle_s
        self._idle: dict[Origin, list[Connection]] = {}
        self._closed = False

    def take(self, origin: Origin) -> Connection | None:
        """A connection that is open and silent, now the caller's; None if there is none."""
        kept = self._idle.get(origin)
        while kept:
            try:
                connection = kept.pop()
            except IndexError:  # another thread was quicker
                break
            if time.monotonic() - connection.idle_since < self._idle_s and connection.quiet():
                return connection
            connection.close(reset=False)
        return None

    def put(self, connection: Connection) -> None:
        """Keeps a connection for later, or closes it where there are enough."""
        connection.idle_since = now = time.monotonic()
        kept = self._idle.setdefault(connection.origin, [])
        if self._closed or len(kept) >= self._max_idle:
            connection.close(reset=False)
            return
        kept.append(connection)
        if now - kept[0].idle_since > self._idle_s:
            self._drop_oldest(kept)
        if self._closed:
            self.close()

    def _drop_oldest(self, kept: list[Connection]) -> None:
        try:
            kept.pop(0).close(reset=False)
        except IndexError:
            return

    def close(self) -> None:
        """Closes what is kept, and whatever is put in later."""
        self._closed = True
        for kept in list(self._idle.values()):
            while kept:
                try:
                    kept.pop().close(reset=False)
                except IndexError:
                    break

    def __len__(self) -> int:
        return sum(len(kept) for kept in list(self._idle.values()))
