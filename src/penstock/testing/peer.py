"""Peers that misbehave below HTTP, on real sockets of this machine."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

from penstock.testing.moment import PATIENCE_S, Moment

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_READ_BYTES = 64 * 1024


class _Listening:
    """A listener on a free port, with one thread that accepts."""

    def __init__(self, receive_buffer_bytes: int = 0) -> None:
        self.connected = Moment("somebody connected")
        self._sockets: list[socket.socket] = []
        self._listener = socket.socket()
        if receive_buffer_bytes:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(128)
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, name="penstock-peer", daemon=True)
        self._acceptor.start()

    def endpoint(self, scheme: str = "http") -> str:
        """An endpoint that leads here."""
        return f"{scheme}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Stop, and reset all connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(PATIENCE_S)
        for sock in self._sockets:
            _reset(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(sock)
            self._accepted(sock)
            self.connected.happen()

    def _accepted(self, sock: socket.socket) -> None:
        pass


class SilentPeer(_Listening):
    """
    Accepts connections, and neither reads nor answers: a TLS handshake stalls, a request fills the buffers.

    Args:
        receive_buffer_bytes: What the kernel takes for it; 0 for its default.

    Attributes:
        connected: The moment of the first connection.
        port: Where it listens, on 127.0.0.1.
    """

    @property
    def connections(self) -> int:
        """How many connections were accepted."""
        return len(self._sockets)

    def peek(self, timeout_s: float = PATIENCE_S) -> None:
        """
        Wait until bytes of the first connection are there, without taking any.

        Raises:
            TimeoutError: None came.
        """
        self.connected.wait(timeout_s)
        self._sockets[0].settimeout(timeout_s)
        self._sockets[0].recv(1, socket.MSG_PEEK)

    def read_to_end(self, timeout_s: float = PATIENCE_S) -> tuple[int, bool]:
        """
        Read what ever comes over the first connection, to its end.

        Returns:
            The number of bytes, and whether the end was a reset.

        Raises:
            TimeoutError: It does not end.
        """
        self.connected.wait(timeout_s)
        sock, total = self._sockets[0], 0
        sock.settimeout(timeout_s)
        try:
            while count := len(sock.recv(_READ_BYTES)):
                total += count
        except ConnectionError:
            return total, True
        return total, False


class FullBacklog:
    """
    A port on which connecting hangs: the queue of its listener is full.

    Attributes:
        port: On 127.0.0.1.
    """

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._fillers = [socket.socket() for _ in range(4)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))

    def endpoint(self, scheme: str = "http") -> str:
        """An endpoint that leads here."""
        return f"{scheme}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Let the port go."""
        for sock in (*self._fillers, self._listener):
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class CuttingProxy(_Listening):
    """
    Passes bytes on to a port of this machine, and cuts a connection when it has passed on enough.

    Args:
        target_port: On 127.0.0.1.
        cut_after_sent_bytes: Cut after so many bytes towards the target; None never cuts.
        cut_after_received_bytes: Likewise for bytes from the target.
        times: So many connections; the later ones are left alone.

    Attributes:
        cut: The moment of the first cut.
    """

    def __init__(
        self,
        target_port: int,
        *,
        cut_after_sent_bytes: int | None = None,
        cut_after_received_bytes: int | None = None,
        times: int = 1,
    ) -> None:
        self.cut = Moment("the proxy cut a connection")
        self._target_port = target_port
        self._limits = (cut_after_sent_bytes, cut_after_received_bytes)
        self._left = times
        self._pumps: list[threading.Thread] = []
        super().__init__()

    def close(self) -> None:
        """Stop, and reset all connections."""
        for sock in list(self._sockets):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        super().close()
        for pump in self._pumps:
            pump.join(PATIENCE_S)

    def _accepted(self, sock: socket.socket) -> None:
        onward = socket.create_connection(("127.0.0.1", self._target_port))
        self._sockets.append(onward)
        limits: tuple[int | None, int | None] = (None, None)
        if self._left:
            self._left -= 1
            limits = self._limits
        for source, drain, limit in ((sock, onward, limits[0]), (onward, sock, limits[1])):
            pump = threading.Thread(target=self._pump, args=(source, drain, limit), daemon=True)
            self._pumps.append(pump)
            pump.start()

    def _pump(self, source: socket.socket, drain: socket.socket, limit: int | None) -> None:
        passed = 0
        try:
            while limit is None or passed < limit:
                most = _READ_BYTES if limit is None else min(_READ_BYTES, limit - passed)
                data = source.recv(most)
                if not data:
                    drain.shutdown(socket.SHUT_WR)
                    return
                drain.sendall(data)
                passed += len(data)
        except OSError:
            _hang_up(source, drain)
            return
        self.cut.happen()
        _hang_up(source, drain)


def _hang_up(*sockets: socket.socket) -> None:
    """Reset connections that other threads may be using; whoever made them closes them."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()
