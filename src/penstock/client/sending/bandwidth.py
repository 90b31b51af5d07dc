"""
The speed limits around a piece of code, from the innermost outwards.

Like the scopes that stop things (`penstock.client.sending.scope`) they travel in a context variable: a
group's transfers find the group's limit there when they are begun.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.net.throttle import Bandwidth

_AROUND: contextvars.ContextVar[tuple[Bandwidth, ...]] = contextvars.ContextVar(
    "penstock_bandwidths", default=()
)


def bandwidths_around() -> tuple[Bandwidth, ...]:
    """The limits that hold what is begun here, innermost first."""
    return _AROUND.get()


@contextmanager
def limited_by(bandwidth: Bandwidth) -> Iterator[None]:
    """Let ``bandwidth`` hold the transfers that are begun inside."""
    token = _AROUND.set((bandwidth, *_AROUND.get()))
    try:
        yield
    finally:
        _AROUND.reset(token)
