from __future__ import annotations

import socket
import sys

import pytest

from penstock.net.dissolve import dissolve
from penstock.net.wire import Wire, new_wire


def connected_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.settimeout(10)
    return ours, theirs


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere the reset comes when the owner closes"
)
def test_a_cut_resets_at_once_although_nothing_was_under_way():
    ours, theirs = connected_pair()
    with ours, theirs:
        Wire(ours).cut()
        with pytest.raises(ConnectionResetError):
            theirs.recv(1)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="elsewhere the reset comes when the owner closes"
)
def test_what_waits_in_the_send_buffer_does_not_leave_after_a_cut():
    ours, theirs = connected_pair()
    with ours, theirs:
        ours.setblocking(False)
        handed_over = 0
        with pytest.raises(BlockingIOError):
            while True:
                handed_over += ours.send(bytes(1 << 20))
        Wire(ours).cut()
        arrived = 0
        with pytest.raises(ConnectionResetError):
            while True:
                arrived += len(theirs.recv(1 << 20))
        assert arrived < handed_over


def test_what_is_no_connection_cannot_be_dissolved():
    assert not dissolve(-1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        assert not dissolve(other.fileno())


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
