"""
Servers that keep a client waiting in a state of its choice, in a process of their own.

On demand one notes when a connection began and ended, on the clock that all processes of a machine share, so
that what a client says about having stopped can be compared with what reached the other end.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

_GONE = select.POLLHUP | select.POLLERR | getattr(select, "POLLRDHUP", select.POLLIN)
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nx-oss-request-id: 5C06A3B67B8B5A3DA422299D\r\n"
    b"Content-Length: 0\r\n\r\n"
)

Behaviour = Callable[[socket.socket], None]
Note = Callable[[str], None]


def _reads_nothing(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(sock, _GONE)
    poll.poll()


def _never_answers(sock: socket.socket) -> None:
    buffer = bytearray(1 << 20)
    while sock.recv_into(buffer):
        pass


def _is_busy(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        sock.sendall(_BUSY)


_BEHAVIOURS: dict[str, Behaviour] = {
    "reads nothing": _reads_nothing,
    "never answers": _never_answers,
    "is busy": _is_busy,
}


def _attend(sock: socket.socket, behave: Behaviour, context: ssl.SSLContext | None, note: Note) -> None:
    note("began")
    with sock:
        with suppress(OSError):
            if context is None:
                behave(sock)
            else:
                with context.wrap_socket(sock, server_side=True) as secured:
                    behave(secured)
        note("ended")


def _serve(pipe: Connection, behaviour: str, certificate: Path | None, noting: bool) -> None:
    lock = threading.Lock()

    def note(what: str) -> None:
        if noting:
            with lock:
                pipe.send((what, time.perf_counter()))

    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    pipe.send(listener.getsockname()[1])
    while True:
        sock, _ = listener.accept()
        arguments = (sock, _BEHAVIOURS[behaviour], context, note)
        threading.Thread(target=_attend, args=arguments, daemon=True).start()


class Stalled:
    """A running server: its port, and its notes."""

    def __init__(self, pipe: Connection) -> None:
        self.port: int = pipe.recv()
        self._pipe = pipe

    def next_note(self, timeout_s: float) -> tuple[str, float] | None:
        """``began`` or ``ended`` of a connection, and when by `time.perf_counter`; None if none in time."""
        return self._pipe.recv() if self._pipe.poll(max(0.0, timeout_s)) else None


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
