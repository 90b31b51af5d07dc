"""Connecting: the addresses of a host, each tried a little after the last, until one answers."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections import deque
from collections.abc import Iterable

from penstock.errors import ConnectFailed, TimedOut
from penstock.net.latch import Latch
from penstock.net.resolver import Address
from penstock.net.settings import NetSettings
from penstock.net.wire import TICK_S, Wire, new_wire, wait_for_any

_STAGGER_S = 0.25
_IN_PROGRESS = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY}
# Linux wakes a poll when a connecting socket is shut down; elsewhere the latch is looked at this often.
_WAIT_S = TICK_S if sys.platform == "linux" else 0.02


def dial(
    addresses: Iterable[Address], peer: str, latch: Latch, settings: NetSettings, limit_s: float
) -> Wire:
    """
    A connected wire that the latch can cut (`Wire.begin` was called).

    A new address is tried whenever the last try failed, or has not answered for a quarter of a second; all
    tries go on meanwhile, and the first to answer wins.

    Args:
        addresses: Where to connect, best first.
        peer: ``host:port`` for errors.
        latch: Ends it.
        settings: Source address and socket options.
        limit_s: Longest time for all of it.

    Raises:
        Tripped: The latch tripped.
        ConnectFailed: Every address refused.
        TimedOut: None answered in time.
    """
    queue = deque(addresses)
    tries: dict[Wire, Address] = {}
    failures: list[str] = []
    deadline = time.monotonic() + limit_s
    next_try = 0.0
    try:
        while True:
            now = time.monotonic()
            if queue and (now >= next_try or not tries):
                address = queue.popleft()
                failure = _begin(address, tries, latch, settings)
                if failure is not None:
                    failures.append(f"{address.sockaddr[0]}: {failure}")
                    continue
                next_try = now + _STAGGER_S
            latch.check()
            if not tries:
                raise _refused(peer, failures)
            if now >= deadline:
                raise _timed_out(peer, [tried.sockaddr[0] for tried in tries.values()], limit_s)
            until = min(deadline, next_try) if queue else deadline
            for wire in wait_for_any(list(tries), min(until - now, _WAIT_S)):
                latch.check()
                failed = wire.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not failed and not _has_peer(wire):
                    continue
                address = tries[wire]
                if not failed:
                    wire.connected()
                    del tries[wire]
                    return wire
                del tries[wire]
                wire.close()
                failures.append(f"{address.sockaddr[0]}: {os.strerror(failed)}")
                next_try = 0.0
    finally:
        for wire in tries:
            wire.close()


def _begin(address: Address, tries: dict[Wire, Address], latch: Latch, settings: NetSettings) -> str | None:
    try:
        wire = new_wire(
            address.family,
            source_address=settings.source_address,
            not_sent_low_water_bytes=settings.not_sent_low_water_bytes,
        )
    except OSError as error:
        return error.strerror or str(error)
    tries[wire] = address
    # Published first, so that a trip either cuts it or is seen by the caller's next look at the latch.
    wire.begin(latch)
    code = wire.sock.connect_ex(address.sockaddr)
    if code in _IN_PROGRESS:
        return None
    del tries[wire]
    wire.close()
    latch.check()
    return os.strerror(code)


def _has_peer(wire: Wire) -> bool:
    try:
        wire.sock.getpeername()
    except OSError:
        return False
    return True


def _refused(peer: str, failures: list[str]) -> ConnectFailed:
    return ConnectFailed(
        f"Tried to connect to {peer}: {'; '.join(failures) or 'it has no address'}.",
        host=peer,
        advice="Check that the endpoint and its port are right, and that no firewall is in between.",
    )


def _timed_out(peer: str, hosts: list[str], limit_s: float) -> TimedOut:
    return TimedOut(
        f"Tried to connect to {peer} ({', '.join(hosts)}); no answer within {limit_s:g} s.",
        host=peer,
        advice="Check the endpoint, the network and any firewall in between, or set a proxy.",
    )
