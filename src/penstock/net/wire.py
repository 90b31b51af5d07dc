"""
One TCP connection that can be cut from outside.

The socket blocks, with a time-out in the kernel of one tick: time enough to look whether the other side
answered already, or whether nothing moves any more. (`settimeout` would make the descriptor non-blocking and
return to Python for every gap in the send buffer: most of the speed is lost next to a busy Python thread.)

A send takes a slice, not all there is. The kernel keeps the socket locked while it copies, so with a peer
that reads as fast as that, on the same machine, a cut would wait for the last byte. Where a slice takes
longer the sender sleeps in between, and a cut finds the lock free: then the slice grows to what leaves in
some 20 ms, because each return from the kernel may cost a wait for a busy Python thread.

A process that is forked closes its copies: two processes on one connection would mix their bytes.

Who cuts and who owns are two threads. A cut dissolves the connection (`penstock.net.dissolve`), which wakes a
blocked send, receive, connect or poll; where that cannot be had it sets linger 0 and calls `shutdown`, and a
reset follows when the owner closes. It does not close, because the number of a closed descriptor may be given
to another file under the owner's running call. The last of the two to leave closes.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import struct
import sys
import time
import weakref
from contextlib import suppress
from typing import Protocol

from penstock.net.dissolve import dissolve
from penstock.net.latch import Attachment, Latch
from penstock.net.request import Buffer

TICK_S = 0.2
"""How long a blocked call stays in the kernel before it looks around."""

_LEAST_SLICE_BYTES = 1_048_576
_SLICE_S = 0.02
_SLOW_BYTES_PER_S = 4e8
_FAST_BYTES_PER_S = 1.5e9
_QUICK_LOW_WATER_BYTES = 1_048_576

_KERNEL_TIMEOUTS = sys.platform != "win32"
# Windows has the options too, but leaves a socket unusable after a send that timed out.
_TICK = struct.pack("ll", 0, int(TICK_S * 1e6))
_RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
# macOS has the option under this number; Windows has none, so more data may leave after an abort there.
_NOT_SENT_LOW_WATER = getattr(socket, "TCP_NOTSENT_LOWAT", 0x201 if sys.platform == "darwin" else None)


_WIRES: weakref.WeakSet[Wire] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for wire in list(_WIRES):
        # The connection stays the parent's: nothing is sent, and no option of it is changed.
        wire.sock.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


class Channel(Protocol):
    """A stream of bytes: `Wire`, or TLS over one."""

    def send(self, data: Buffer) -> int:
        """
        Hands over data, blocking for about a tick at most while nothing moves.

        Returns:
            How many bytes of ``data`` were taken; the next call must go on right after them.

        Raises:
            OSError: The connection is broken, or was cut.
        """

    def recv_into(self, view: memoryview) -> int | None:
        """Receives at least one byte: their number, 0 at the end of the stream, None if a tick passed."""

    def recv_now(self, view: memoryview) -> int | None:
        """Like `recv_into`, but takes only what is here already: None if there is nothing."""

    def begin(self, latch: Latch) -> None:
        """From now on a trip of the latch cuts the connection; raises `Tripped` if that is now."""

    def end(self) -> bool:
        """Leaves the latch; False if it was tripped, and the connection must be closed."""

    def close(self, *, reset: bool = True) -> None:
        """Ends the connection, with a reset that drops what was not sent yet; may be repeated."""


class Wire:
    """
    A `Channel` over plain TCP.

    Args:
        sock: Connected or still to be connected; owned by the wire from here on.
    """

    __slots__ = (
        "__weakref__", "_attachment", "_is_quick", "_low_water_bytes", "_poll", "_slice_bytes", "_users",
        "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, not_sent_low_water_bytes: int = 0) -> None:
        self.sock = sock
        self._low_water_bytes = not_sent_low_water_bytes
        self._is_quick = False
        self._attachment: Attachment | None = None
        self._users: set[str] = set()
        self._poll: select.poll | None = None
        self._slice_bytes = _LEAST_SLICE_BYTES
        _WIRES.add(self)

    def begin(self, latch: Latch) -> None:
        self._users = {"owner", "cutter"}
        self._attachment = latch.attach(self.cut)
        latch.check()

    def end(self) -> bool:
        attachment = self._attachment
        if attachment is None:
            return True
        if attachment.detach():
            self._attachment = None
            return True
        return False

    def cut(self) -> None:
        """Resets the connection from another thread, or from a signal handler, under the owner's feet."""
        sock = self.sock
        if not dissolve(sock.fileno()):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._leave("cutter")

    def close(self, *, reset: bool = True) -> None:
        if reset:
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        if self.end():
            self.sock.close()
        else:
            self._leave("owner")

    def _leave(self, user: str) -> None:
        self._users.discard(user)
        if not self._users:
            self.sock.close()

    def connected(self) -> None:
        """Turns a socket that has just connected into one that blocks for a tick."""
        sock = self.sock
        if _KERNEL_TIMEOUTS:
            sock.setblocking(True)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TICK)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TICK)
        else:
            sock.settimeout(TICK_S)

    def send(self, data: Buffer) -> int:
        if len(data) <= _LEAST_SLICE_BYTES:
            return self._send(data)
        begun = time.perf_counter()
        sent = self._send(memoryview(data)[: self._slice_bytes])
        bytes_per_s = sent / (time.perf_counter() - begun)
        if (bytes_per_s > _FAST_BYTES_PER_S) is not self._is_quick:
            self._set_low_water(is_quick=not self._is_quick)
        if bytes_per_s < _SLOW_BYTES_PER_S:
            self._slice_bytes = max(int(bytes_per_s * _SLICE_S), _LEAST_SLICE_BYTES)
        elif bytes_per_s > _FAST_BYTES_PER_S:
            self._slice_bytes = max(self._slice_bytes // 2, _LEAST_SLICE_BYTES)
        return sent

    def _set_low_water(self, *, is_quick: bool) -> None:
        """A peer that takes more than the low water in a fraction of a millisecond may have more waiting."""
        self._is_quick = is_quick
        if 0 < self._low_water_bytes < _QUICK_LOW_WATER_BYTES and _NOT_SENT_LOW_WATER is not None:
            low_water_bytes = _QUICK_LOW_WATER_BYTES if is_quick else self._low_water_bytes
            with suppress(OSError):
                self.sock.setsockopt(socket.IPPROTO_TCP, _NOT_SENT_LOW_WATER, low_water_bytes)

    def _send(self, data: Buffer) -> int:
        try:
            return self.sock.send(data)
        except (BlockingIOError, TimeoutError):
            return 0

    def recv_into(self, view: memoryview) -> int | None:
        try:
            return self.sock.recv_into(view)
        except (BlockingIOError, TimeoutError):
            return None

    def recv_now(self, view: memoryview) -> int | None:
        return self.sock.recv_into(view) if self._readable() else None

    def _readable(self) -> bool:
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([self.sock], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self.sock, select.POLLIN)
        return bool(self._poll.poll(0))


def new_wire(family: int, *, source_address: str | None = None, not_sent_low_water_bytes: int = 0) -> Wire:
    """
    A wire whose socket is made and tuned, and not yet connected.

    Raises:
        OSError: The source address is not one of this machine's, or no descriptor is left.
    """
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not_sent_low_water_bytes and _NOT_SENT_LOW_WATER is not None:
            with suppress(OSError):  # an older kernel: only more may leave after an abort
                sock.setsockopt(socket.IPPROTO_TCP, _NOT_SENT_LOW_WATER, not_sent_low_water_bytes)
        if source_address is not None:
            sock.bind((source_address, 0))
    except BaseException:
        sock.close()
        raise
    return Wire(sock, not_sent_low_water_bytes)


def wait_for_any(wires: list[Wire], timeout_s: float) -> list[Wire]:
    """Those of the connecting wires of which something is known, after at most ``timeout_s`` seconds."""
    # One that opens no descriptor of its own, unlike epoll and kqueue.
    selector = selectors.PollSelector() if hasattr(selectors, "PollSelector") else selectors.SelectSelector()
    with selector:
        for wire in wires:
            selector.register(wire.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, wire)
        return [key.data for key, _ in selector.select(timeout_s)]
