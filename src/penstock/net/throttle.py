"""
Speed limits that can be changed while bytes flow.

A `Bandwidth` is a bucket that fills with permission to move bytes; those who want some stand in a line, so
that none is forgotten however many connections share it. A `Throttle` is what one connection obeys: all the
buckets that hold it, of which the emptiest decides.

No connection waits for ever: whoever has waited `TRICKLE_S` moves a single byte unasked. So a gate that is
closed (0 bytes a second), or that very many share, does not make the other side give the connection up.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque

from penstock.errors import InvalidInput
from penstock.net.latch import Latch

TRICKLE_S = 5.0
"""A connection moves at least one byte in this time, whatever the limit."""

_HELD_S = 0.1
"""A bucket holds what comes in this time: a thread that wakes late loses nothing, and a burst is short."""

_GRANT_S = 0.02
"""Nobody is woken for less than what comes in this time."""


class Bandwidth:
    """
    One limit, for all that is under it together.

    Safe to use from any number of threads; the limit may be set in a signal handler too.
    """

    __slots__ = ("_bytes_s", "_filled_at", "_held", "_line", "_lock")

    def __init__(self, bytes_s: float | None = None) -> None:
        self._bytes_s = _checked(bytes_s)
        self._held = 0.0
        self._filled_at = time.monotonic()
        self._lock = threading.Lock()
        self._line: deque[_Place] = deque()

    @property
    def bytes_s(self) -> float | None:
        """
        Bytes a second; None for no limit, 0 for a closed gate.

        Raises:
            InvalidInput: It is set to less than 0, or to no number.
        """
        return self._bytes_s

    @bytes_s.setter
    def bytes_s(self, bytes_s: float | None) -> None:
        # No lock: whoever waits looks at the limit after it has published what wakes it.
        self._bytes_s = _checked(bytes_s)
        for place in tuple(self._line):
            place.wake()

    def take(self, wanted: int, latch: Latch, until: float) -> int:
        """
        Wait for permission to move some bytes.

        Args:
            wanted: At most so many, 1 or more.
            latch: Ends the waiting.
            until: When to give up, on the monotonic clock.

        Returns:
            How many may be moved; 0 if the time was over first.

        Raises:
            Tripped: The latch tripped.
        """
        if self._bytes_s is None:
            return wanted
        place = self._join()
        try:
            while True:
                with Latch(latch) as place.turn:
                    granted, pause_s = self._look(place, wanted)
                    if granted:
                        return granted
                    left_s = until - time.monotonic()
                    if left_s <= 0:
                        return 0
                    place.turn.wait(left_s if pause_s is None else min(pause_s, left_s))
                    latch.check()
        finally:
            self._leave(place)

    def wait_until_open(self, latch: Latch) -> None:
        """Wait while the limit is 0. Raises Tripped if the latch trips first."""
        if self._bytes_s != 0:
            return
        place = self._join()
        try:
            while True:
                with Latch(latch) as place.turn:
                    if self._bytes_s != 0:
                        return
                    place.turn.wait(None)
                    latch.check()
        finally:
            self._leave(place)

    def charge(self, count: int) -> None:
        """Bytes were moved without permission (or, if negative, not moved with it): the next pay for it."""
        with self._lock:
            self._held -= count

    def _look(self, place: _Place, wanted: int) -> tuple[int, float | None]:
        """What may be moved now, else how long until it is worth looking again: None until woken."""
        with self._lock:
            bytes_s = self._bytes_s
            if bytes_s is None:
                return wanted, None
            now = time.monotonic()
            most = max(bytes_s * _HELD_S, 1.0)
            self._held = min(self._held + (now - self._filled_at) * bytes_s, most)
            self._filled_at = now
            if not bytes_s or self._line[0] is not place:
                return 0, None
            least = min(wanted, max(bytes_s * _GRANT_S, 1.0))
            if self._held < least:
                return 0, (least - self._held) / bytes_s
            granted = min(wanted, int(self._held))
            self._held -= granted
            return granted, None

    def _join(self) -> _Place:
        place = _Place()
        with self._lock:
            self._line.append(place)
        return place

    def _leave(self, place: _Place) -> None:
        with self._lock:
            self._line.remove(place)
            if self._line:
                self._line[0].wake()


class _Place:
    """A place in a line."""

    __slots__ = ("turn",)

    turn: Latch

    def __init__(self) -> None:
        self.turn = Latch()

    def wake(self) -> None:
        self.turn.trip("turn")


class Throttle:
    """
    All the limits that hold one flow of bytes.

    Args:
        *limits: From the narrowest scope to the widest.
    """

    __slots__ = ("_limits",)

    def __init__(self, *limits: Bandwidth) -> None:
        self._limits = limits

    def within(self, *narrower: Bandwidth) -> Throttle:
        """A throttle that obeys these too."""
        return Throttle(*narrower, *self._limits)

    @property
    def limited(self) -> bool:
        """Whether any limit is set. Costs next to nothing."""
        for limit in self._limits:  # noqa: SIM110 - a generator costs more than the loop
            if limit._bytes_s is not None:
                return True
        return False

    def take(self, wanted: int, latch: Latch) -> int:
        """
        Wait until some bytes may be moved, at most `TRICKLE_S`.

        Args:
            wanted: At most so many, 1 or more.
            latch: Ends the waiting.

        Returns:
            How many, 1 at least; what is not moved of them goes back with `charge`.

        Raises:
            Tripped: The latch tripped.
        """
        until = time.monotonic() + TRICKLE_S
        passed: list[tuple[Bandwidth, int]] = []
        granted = wanted
        try:
            for limit in self._limits:
                granted = limit.take(granted, latch, until)
                if not granted:
                    break
                passed.append((limit, granted))
        except BaseException:
            granted = 0
            raise
        finally:
            for limit, count in passed:
                if count > granted:
                    limit.charge(granted - count)
        return granted or 1

    def charge(self, count: int) -> None:
        """Bytes were moved beyond what was granted; negative: fewer were."""
        for limit in self._limits:
            limit.charge(count)

    def wait_until_open(self, latch: Latch) -> None:
        """
        Wait while any limit is 0: no time for anything new to begin.

        Raises:
            Tripped: The latch tripped.
        """
        for limit in self._limits:
            limit.wait_until_open(latch)


def _checked(bytes_s: float | None) -> float | None:
    if bytes_s is None:
        return None
    if isinstance(bytes_s, bool) or not isinstance(bytes_s, int | float) or not 0 <= bytes_s < math.inf:
        raise InvalidInput(
            f"a limit of {bytes_s!r} bytes a second cannot be",
            advice="Give 0 (closed) or more, or None for no limit.",
        )
    return bytes_s
