"""The switch of a whole client: DisableRequest and EnableRequest of the C++ SDK, made safe."""

from __future__ import annotations

from penstock.net.latch import Latch


class Switch:
    """
    Turns all requests of a client off and on.

    Every request belongs to the generation that was current when it began. Turning off retires that
    generation for good; turning on begins another and revives nothing of the old one, however quickly
    it follows.
    """

    def __init__(self, *parents: Latch) -> None:
        self._parents = parents
        self._generation = Latch(*parents)

    @property
    def generation(self) -> Latch:
        """The latch that new requests belong to; tripped while requests are off."""
        return self._generation

    @property
    def is_on(self) -> bool:
        """True if requests are let through."""
        return not self._generation.tripped

    def turn_off(self, reason: str = "disabled") -> None:
        """Stop all requests and refuse new ones; safe in a signal handler, any number of times."""
        self._generation.trip(reason)

    def turn_on(self) -> None:
        """Let new requests through; what was stopped stays stopped."""
        if self._generation.tripped:
            self._generation = Latch(*self._parents)
