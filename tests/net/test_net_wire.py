from __future__ import annotations

import socket
import sys

import pytest

from penstock.net.wire import new_wire


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads an option of Linux")
def test_only_while_a_peer_is_quick_more_may_wait_unsent():
    wire = new_wire(socket.AF_INET, not_sent_low_water_bytes=262_144)
    try:
        seen = [wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)]
        for is_quick in (True, False):
            wire._set_low_water(is_quick=is_quick)
            seen.append(wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT))
    finally:
        wire.sock.close()
    assert seen == [262_144, 1_048_576, 262_144]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads an option of Linux")
def test_what_the_kernel_was_left_to_decide_stays_so():
    wire = new_wire(socket.AF_INET, not_sent_low_water_bytes=0)
    try:
        before = wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT)
        wire._set_low_water(is_quick=True)
        assert wire.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == before
    finally:
        wire.sock.close()
