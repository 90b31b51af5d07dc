"""
Servers that keep a client waiting in a state of its choice, in a process of their own.

On demand one notes when a connection began and ended and how many bytes had arrived at which moment, on the
clock that all processes of a machine share, so that what a client says about having stopped can be compared
with what reached the other end. The bytes are those that the kernel took (Linux only), read or not.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", select.POLLIN)
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nx-oss-request-id: 5C06A3B67B8B5A3DA422299D\r\n"
    b"Content-Length: 0\r\n\r\n"
)

_LOOK_EVERY_MS = 1
_BLOCK_BYTES = 1 << 16
_MOST_SAMPLES = 4096
_TCP_INFO_BYTES = 136
_BYTES_RECEIVED_AT = 128  # tcpi_bytes_received
_TIMESTAMPS = 35  # SO_TIMESTAMPNS, with the time of the last packet read
_SAID_BYTES = 64


class Note(NamedTuple):
    """
    What became of a connection.

    Attributes:
        what: ``began`` or ``ended``.
        at: When, by `time.perf_counter`.
        arrived: At the end: how many bytes had come by when, as pairs of a time and a number.
    """

    what: str
    at: float
    arrived: list[tuple[float, int]]

    def bytes_after(self, moment: float) -> tuple[int, int] | None:
        """Bytes that came after a moment, at least and at most; None where the system does not tell."""
        if not self.arrived:
            return None
        # The kernel forgets what nobody has read when a reset comes: a count that falls takes nothing back.
        end = max(count for _, count in self.arrived)
        before = max((count for at, count in self.arrived if at <= moment), default=0)
        since = min((count for at, count in self.arrived if at > moment), default=end)
        return end - max(before, since), end - before


class _Arrivals:
    """How many bytes a connection has brought by when: the kernel knows, whenever they are read."""

    def __init__(self, sock: socket.socket, wanted: bool) -> None:
        self._sock = sock
        self._wanted = wanted and sys.platform == "linux"
        self._clock_offset_s = time.perf_counter() - time.time()
        self._read = 0
        self.samples: deque[tuple[float, int]] = deque(maxlen=_MOST_SAMPLES)
        if self._wanted:
            sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
            self.look()
            self._read = self.samples[-1][1]  # TLS has read its handshake

    def receive(self, buffer: bytearray) -> int:
        """Receive some bytes as they come over the wire, encrypted or not; 0 at the end."""
        if not self._wanted:
            return self._sock.recv_into(buffer)
        # That of the class below: the one of an SSLSocket refuses.
        count, said, _, _ = socket.socket.recvmsg_into(self._sock, [buffer], _SAID_BYTES)
        self._read += count
        for _, kind, data in said:
            if kind == _TIMESTAMPS:
                seconds, nanoseconds = struct.unpack("qq", data[:16])
                self.samples.append((seconds + nanoseconds / 1e9 + self._clock_offset_s, self._read))
        return count

    def look(self) -> None:
        """Note how many have come by now, read or not (TCP_INFO)."""
        if self._wanted:
            now = time.perf_counter()
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
            self.samples.append((now, struct.unpack_from("Q", info, _BYTES_RECEIVED_AT)[0]))


Behaviour = Callable[[socket.socket, _Arrivals], None]


def _reads_nothing(sock: socket.socket, arrivals: _Arrivals) -> None:
    poll = select.poll()
    poll.register(sock, _GONE)
    while not poll.poll(_LOOK_EVERY_MS):
        arrivals.look()


def _never_answers(sock: socket.socket, arrivals: _Arrivals) -> None:
    buffer = bytearray(_BLOCK_BYTES)
    while arrivals.receive(buffer):
        pass


def _is_busy(sock: socket.socket, arrivals: _Arrivals) -> None:
    while sock.recv(_BLOCK_BYTES):
        arrivals.look()
        sock.sendall(_BUSY)


_BEHAVIOURS: dict[str, Behaviour] = {
    "reads nothing": _reads_nothing,
    "never answers": _never_answers,
    "is busy": _is_busy,
}


def _attend(
    sock: socket.socket,
    behave: Behaviour,
    context: ssl.SSLContext | None,
    tell: Callable[[Note], None] | None,
) -> None:
    if tell is not None:
        tell(Note("began", time.perf_counter(), []))
    with sock, suppress(OSError):
        stream = sock if context is None else context.wrap_socket(sock, server_side=True)
        with stream:
            arrivals = _Arrivals(stream, tell is not None)
            with suppress(OSError):
                arrivals.look()
                behave(stream, arrivals)
            ended = time.perf_counter()
            arrivals.look()
            if tell is not None:
                tell(Note("ended", ended, list(arrivals.samples)))


def _serve(pipe: Connection, behaviour: str, certificate: Path | None, noting: bool) -> None:
    lock = threading.Lock()

    def tell(note: Note) -> None:
        with lock:
            pipe.send(tuple(note))

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    pipe.send(listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        arguments = (sock, _BEHAVIOURS[behaviour], context, tell if noting else None)
        threading.Thread(target=_attend, args=arguments, daemon=True).start()


class Stalled:
    """A running server: its port, and its notes."""

    def __init__(self, pipe: Connection) -> None:
        self.port: int = pipe.recv()
        self._pipe = pipe

    def next_note(self, timeout_s: float) -> Note | None:
        """What became of a connection; None if nothing did in time."""
        return Note(*self._pipe.recv()) if self._pipe.poll(max(0.0, timeout_s)) else None

    def next_end(self, timeout_s: float) -> Note | None:
        """The end of a connection; None if there was none in time."""
        give_up = time.perf_counter() + timeout_s
        while (note := self.next_note(give_up - time.perf_counter())) is not None:
            if note.what == "ended":
                return note
        return None


@contextmanager
def stalled(behaviour: str, certificate: Path | None = None, *, noting: bool = False) -> Iterator[Stalled]:
    """
    A server for the length of a ``with`` block.

    Args:
        behaviour: ``reads nothing``, ``never answers``, ``is busy`` (503).
        certificate: Serve TLS with it.
        noting: Note the connections; somebody must read the notes.
    """
    start = multiprocessing.get_context("spawn")
    ours, theirs = start.Pipe()
    process = start.Process(target=_serve, args=(theirs, behaviour, certificate, noting), daemon=True)
    process.start()
    try:
        yield Stalled(ours)
    finally:
        process.kill()
        process.join()
        ours.close()
        theirs.close()


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port that answers no connection, neither yes nor no (Linux); the queue of its listener is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fillers = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            fillers.append(filler)
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def silent() -> Iterator[int]:
    """A port where connections are made by the kernel and nobody ever speaks."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        yield listener.getsockname()[1]
