"""Names to addresses: on threads that can be left behind, one look-up per name, briefly remembered."""

from __future__ import annotations

import socket
import threading
import time
from itertools import chain, zip_longest
from typing import NamedTuple

from penstock.errors import NameNotResolved, TimedOut
from penstock.net.errand import Errand, Errands
from penstock.net.latch import Latch

_CACHE_S = 30.0
_THREADS = 16
_MOST_NAMES = 1024


class Address(NamedTuple):
    """One address to connect to, in the form that `socket.socket.connect` takes."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


class Resolver:
    """
    Finds the addresses of hosts.

    Args:
        cache_s: How long an answer is used again; errors are not remembered.
    """

    def __init__(self, cache_s: float = _CACHE_S) -> None:
        self._cache_s = cache_s
        self._errands = Errands(_THREADS, "penstock-resolver")
        self._known: dict[tuple[str, int], tuple[float, tuple[Address, ...]]] = {}
        self._lookups: dict[tuple[str, int], Errand[tuple[Address, ...]]] = {}
        self._lock = threading.Lock()

    @property
    def abandoned(self) -> int:
        """Look-ups that still hang in the system's resolver though nobody waits for them."""
        return self._errands.abandoned

    def resolve(self, host: str, port: int, latch: Latch, timeout_s: float) -> tuple[Address, ...]:
        """
        The addresses of a host, at least one, IPv6 and IPv4 by turns, first the one the system prefers.

        Raises:
            Tripped: The latch tripped; the look-up is left behind.
            NameNotResolved: There is no such name, or no resolver answers.
            TimedOut: No answer within ``timeout_s``.
        """
        key = (host, port)
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        try:
            return self._lookup(key).result(latch, timeout_s)
        except TimeoutError:
            raise TimedOut(
                f"Looked for the address of {host}; no resolver answered within {timeout_s:g} s.",
                host=f"{host}:{port}",
                advice="Check the network and the name servers of this machine.",
            ) from None
        except (OSError, UnicodeError) as error:
            raise NameNotResolved(
                f"Looked for the address of {host}: {getattr(error, 'strerror', None) or error}.",
                host=f"{host}:{port}",
                advice="Check the spelling of the endpoint and region, and that this machine has a network.",
            ) from error

    def forget(self, host: str, port: int) -> None:
        """Drops a remembered answer, because none of its addresses could be reached."""
        self._known.pop((host, port), None)

    def _lookup(self, key: tuple[str, int]) -> Errand[tuple[Address, ...]]:
        with self._lock:
            lookup = self._lookups.get(key)
            if lookup is None:
                lookup = self._lookups[key] = self._errands.start(lambda: self._ask(key))
            return lookup

    def _ask(self, key: tuple[str, int]) -> tuple[Address, ...]:
        try:
            found = socket.getaddrinfo(key[0], key[1], type=socket.SOCK_STREAM)
            addresses = _by_turns([Address(entry[0], entry[4]) for entry in found])  # type: ignore[arg-type]
            if len(self._known) >= _MOST_NAMES:
                self._known.clear()
            self._known[key] = (time.monotonic() + self._cache_s, addresses)
            return addresses
        finally:
            with self._lock:
                self._lookups.pop(key, None)


def _by_turns(addresses: list[Address]) -> tuple[Address, ...]:
    unique = list(dict.fromkeys(addresses))
    first = [address for address in unique if address.family == unique[0].family]
    other = [address for address in unique if address.family != unique[0].family]
    return tuple(address for address in chain.from_iterable(zip_longest(first, other)) if address is not None)
