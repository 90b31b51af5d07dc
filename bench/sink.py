"""
A server that takes whatever is put to it, throws it away and says that all is well.

It answers as OSS and as S3 do, with the least that a client accepts, so that a benchmark compares clients and
not servers. Plain bytes are thrown away inside the kernel (MSG_TRUNC), TLS is decrypted from memory, one
thread a connection.

    python bench/sink.py --port 9100            # serve until Ctrl-C
    python bench/sink.py --port 9443 --tls DIR  # DIR gets ca.pem for the clients to trust
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: sink\r\nDate: Sun, 22 Nov 2026 14:53:27 GMT\r\n"
    b"x-oss-request-id: 5C06A3B67B8B5A3DA422299D\r\n"
    b'ETag: "D41D8CD98F00B204E9800998ECF8427E"\r\nContent-Length: 0\r\n\r\n'
)
_HEAD_BYTES = 65_536
_BLOCK_BYTES = 1 << 20
_DISCARD = getattr(socket, "MSG_TRUNC", 0) if sys.platform == "linux" else 0


class _Plain:
    """Bytes as they come over TCP."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.send = sock.sendall
        self.recv_into = sock.recv_into
        self._trash = bytearray(_BLOCK_BYTES)

    def discard(self, count: int) -> None:
        while count:
            received = self._sock.recv_into(self._trash, min(count, _BLOCK_BYTES), _DISCARD)
            if not received:
                raise ConnectionResetError
            count -= received


class _Tls:
    """Bytes under TLS; one system call brings in many records."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._received = memoryview(bytearray(_BLOCK_BYTES))
        self._trash = memoryview(bytearray(_BLOCK_BYTES))
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._take_in()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._sock.sendall(self._outgoing.read())

    def _take_in(self) -> None:
        count = self._sock.recv_into(self._received)
        if not count:
            raise ConnectionResetError
        self._incoming.write(self._received[:count])

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def recv_into(self, view: memoryview) -> int:
        while True:
            try:
                return self._tls.read(len(view), view)
            except ssl.SSLWantReadError:
                self._take_in()

    def discard(self, count: int) -> None:
        while count:
            received = self.recv_into(self._trash[: min(count, _BLOCK_BYTES)])
            if not received:
                raise ConnectionResetError
            count -= received


def _swallow(sock: socket.socket, context: ssl.SSLContext | None) -> None:
    """Answers one connection until its client leaves."""
    with sock, suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = _Plain(sock) if context is None else _Tls(sock, context)
        buffer = bytearray(_HEAD_BYTES)
        view = memoryview(buffer)
        end = 0
        while True:
            while (head_end := buffer.find(b"\r\n\r\n", 0, end)) < 0:
                count = stream.recv_into(view[end:])
                if not count:
                    return
                end += count
            head = bytes(view[: head_end + 4])
            if _EXPECT.search(head):
                stream.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            if _CHUNKED.search(head):
                tail = bytes(view[head_end + 4 : end])
                while not tail.endswith(b"0\r\n\r\n"):
                    count = stream.recv_into(view)
                    if not count:
                        return
                    tail = tail[-8:] + bytes(view[max(0, count - 8) : count])
                end = 0
            else:
                length = _LENGTH.search(head)
                missing = int(length[1]) if length else 0
                here = end - head_end - 4
                if here <= missing:
                    end = 0
                    stream.discard(missing - here)
                else:
                    rest = bytes(view[head_end + 4 + missing : end])
                    end = len(rest)
                    view[:end] = rest
            stream.send(_ANSWER)


def make_certificate(folder: Path) -> Path:
    """Writes ``server.pem`` for 127.0.0.1 and ``ca.pem`` to trust; returns the latter."""
    import trustme  # only a sink with TLS needs it

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = authority.issue_cert("127.0.0.1", "localhost")
    server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    return folder / "ca.pem"


def _listen(port: int, shared: bool) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    return listener


def _serve(listener: socket.socket, context: ssl.SSLContext | None) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_swallow, args=(sock, context), daemon=True).start()


def prefer_cpu(cpus: set[int]) -> None:
    """Puts this process on some CPUs and before all others, where the system allows it."""
    if hasattr(os, "sched_setaffinity"):
        with suppress(OSError):
            os.sched_setaffinity(0, cpus)
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


@contextmanager
def running(*, tls: Path | None = None, cpus: set[int] | None = None) -> Iterator[int]:
    """A sink in processes of its own for the length of a ``with`` block; gives its port."""
    command = [sys.executable, __file__, "--port", "0"]
    if tls is not None:
        command += ["--tls", str(tls)]
    if cpus:
        command += ["--cpus", ",".join(map(str, cpus))]
    sink = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert sink.stdout is not None
        yield int(sink.stdout.readline())
    finally:
        sink.terminate()
        sink.wait()
        sink.stdout.close()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--tls", type=Path, help="folder for the certificate; serve TLS")
    options.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 1) // 2))
    options.add_argument("--cpus", help="such as 1 or 2,3: stay on these")
    chosen = options.parse_args()
    if chosen.cpus:
        prefer_cpu({int(cpu) for cpu in chosen.cpus.split(",")})
    context = None
    if chosen.tls is not None:
        if not (chosen.tls / "server.pem").exists():
            make_certificate(chosen.tls)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chosen.tls / "server.pem")
    shared = chosen.processes > 1
    listener = _listen(chosen.port, shared)
    port = listener.getsockname()[1]
    children = []
    for _ in range(chosen.processes - 1):
        child = os.fork()
        if child == 0:
            listener.close()
            _serve(_listen(port, shared), context)
        children.append(child)
    print(port, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        _serve(listener, context)
    except (KeyboardInterrupt, SystemExit):
        pass
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)


if __name__ == "__main__":
    main()
