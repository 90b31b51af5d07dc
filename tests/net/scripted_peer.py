"""A peer on real sockets that does what a test tells it to, one thread per connection."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from penstock.net import Origin

PATIENCE_S = 20.0
"""Longer than anything here may take; a test that waits this long has failed."""


class PeerConnection:
    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.sock = sock
        self.peer = peer
        self.buffer = b""
        self.ended = ""

    def handshake(self, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self.peer.track(self.sock)

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError(self.buffer)
            self.buffer += data
        found, _, self.buffer = self.buffer.partition(mark)
        return found + mark

    def read_exactly(self, count: int) -> bytes:
        pieces = [self.buffer[:count]]
        self.buffer = self.buffer[count:]
        missing = count - len(pieces[0])
        while missing:
            data = self.sock.recv(min(missing, 1 << 20))
            if not data:
                raise EOFError(b"".join(pieces))
            pieces.append(data)
            missing -= len(data)
        return b"".join(pieces)

    def read_request(self) -> tuple[str, dict[str, str], bytes]:
        head = self.read_until(b"\r\n\r\n").decode()
        line, *fields = head[:-4].split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self.read_until(b"\r\n"), 16):
                body += self.read_exactly(size)
                assert self.read_exactly(2) == b"\r\n"
            assert self.read_exactly(2) == b"\r\n"
        else:
            body = self.read_exactly(int(headers.get("content-length", 0)))
        self.peer.requests.append((line, headers, body))
        return line, headers, body

    def read_to_end(self) -> int:
        """Counts what comes, below TLS, to the end; ``ended`` then says how it came: ``fin`` or ``reset``."""
        total = len(self.buffer)
        buffer = bytearray(1 << 18)
        try:
            while count := socket.socket.recv_into(self.sock, buffer):
                total += count
            self.ended = "fin"
        except ConnectionError:
            self.ended = "reset"
        return total

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def answer(self, status: int = 200, body: bytes = b"", extra: str = "") -> None:
        head = f"HTTP/1.1 {status} Whatever\r\nContent-Length: {len(body)}\r\n{extra}\r\n"
        self.send(head.encode() + body)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def hold(self) -> None:
        """Does nothing until the test is over."""
        self.peer.over.wait(PATIENCE_S)


class Peer:
    """
    Listens on a free port, and runs the script for each connection.

    ``failures`` holds what went wrong in scripts other than the other side going away.
    """

    def __init__(
        self,
        script: Callable[[PeerConnection], None],
        *,
        receive_buffer_bytes: int = 0,
        family: int = socket.AF_INET,
    ) -> None:
        self.script = script
        self.over = threading.Event()
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections: list[PeerConnection] = []
        self.failures: list[BaseException] = []
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._changed = threading.Condition()
        self._listener = socket.socket(family)
        if receive_buffer_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._listener.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def origin(self, scheme: str = "http", host: str = "127.0.0.1") -> Origin:
        return Origin(scheme, host, self.port)  # type: ignore[arg-type]

    def track(self, sock: socket.socket) -> None:
        self._sockets.append(sock)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Waits until a condition on this peer holds; it is looked at whenever a script said `noted`."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), "the condition never came to hold"

    def noted(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = PeerConnection(sock, self)
            self._sockets.append(sock)
            self.connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()
            self.noted()

    def _serve(self, connection: PeerConnection) -> None:
        try:
            self.script(connection)
        except (OSError, EOFError):
            pass
        except BaseException as failure:  # noqa: BLE001 - the test looks at it
            self.failures.append(failure)
        finally:
            connection.sock.close()
            self.noted()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE_S)
        for sock in self._sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a script did not end"
        for sock in self._sockets:
            sock.close()
        if exc[0] is None:
            assert not self.failures, self.failures


def answering(status: int = 200, body: bytes = b"", extra: str = "") -> Callable[[PeerConnection], None]:
    """A script that reads requests and answers each in the same way."""

    def script(connection: PeerConnection) -> None:
        while True:
            connection.read_request()
            connection.answer(status, body, extra)

    return script
