"""Listens on a port and keeps its connections: accepts, times out, stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Sequence

from penstock.errors import InvalidInput
from penstock.protocol.error_table import fault
from penstock.server.app import App
from penstock.server.connection import Connection, Shared
from penstock.server.http.bounds import Limits, Patience
from penstock.server.http.stream import Stream
from penstock.server.http.wire import response_head
from penstock.server.http.workers import Workers
from penstock.server.interceptor import Interceptor
from penstock.server.metrics import Metrics

WORKER_THREADS = 64
WAITER_THREADS = 64
BACKLOG = 1024
"""Connections that wait to be accepted."""

_AGAIN_S = 1.0
"""After how long accepting is tried again, if nothing was given back before."""

logger = logging.getLogger("penstock.server")


def cannot_listen(host: str, port: int, error: OSError) -> InvalidInput:
    """Says which address cannot be had, and why."""
    return InvalidInput(
        f"Cannot listen on {host} port {port}: {error.strerror or error}",
        advice="Choose another port (0 takes any that is free) or host.",
    )


def listen_on(host: str, port: int) -> tuple[socket.socket, ...]:
    """
    Sockets that listen on all addresses of a host, on one port.

    Raises:
        InvalidInput: The address is taken, not of this machine, or not allowed.
    """
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((one[0], one[4]) for one in found):
            at = (address[0], made[0].getsockname()[1] if made else port, *address[2:])
            made.append(socket.create_server(at, family=family, backlog=BACKLOG))
            made[-1].setblocking(False)
    except OSError as error:
        for one in made:
            one.close()
        raise cannot_listen(host, port, error) from error
    return tuple(made)


class Listener:
    """
    HTTP/1.1 in front of an app, on the running loop.

    Args:
        app: Answers the requests.
        tls: For https.
        patience: How long to wait for clients.
        interceptor: See `penstock.server.interceptor`.
        limits: How much is taken on at once.
        metrics: Where requests are counted.
        strict_framing: Refuse a length beside chunks.
    """

    def __init__(
        self,
        app: App,
        *,
        tls: ssl.SSLContext | None = None,
        patience: Patience | None = None,
        interceptor: Interceptor | None = None,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        threads: int = WORKER_THREADS,
        strict_framing: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._workers = Workers(self._loop, threads)
        self._waiters = Workers(self._loop, WAITER_THREADS)
        waits = patience or Patience()
        self._shared = Shared(
            app,
            self._workers,
            self._waiters,
            waits,
            interceptor,
            [],
            limits=limits or Limits(),
            metrics=metrics or Metrics(),
            strict_framing=strict_framing,
        )
        self._tick_s = min(1.0, waits.idle_s / 4, waits.head_s / 4, waits.body_s / 4, waits.linger_s / 4)
        self._connections: dict[Stream, tuple[Connection, asyncio.Task[None]]] = {}
        self._sockets: Sequence[socket.socket] = ()
        self._accepting: list[asyncio.Task[None]] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._taken = 0
        self._given_back = asyncio.Event()
        self._ticking: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, shared: Sequence[socket.socket] = ()) -> tuple[str, int]:
        """
        Begin to listen; gives host and port, which differs from what was asked for 0.

        Args:
            host: Address to listen on.
            port: 0 takes any that is free.
            shared: Sockets that listen already and from which other processes accept, too.

        Raises:
            InvalidInput: The address is taken, not of this machine, or not allowed.
        """
        self._sockets = shared or listen_on(host, port)
        self._accepting = [self._loop.create_task(self._accept(one)) for one in self._sockets]
        self._ticking = self._loop.call_later(self._tick_s, self._tick)
        address = self._sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self, drain_s: float) -> None:
        """
        Accept nothing more, let requests under way end for at most ``drain_s``, then cut them.

        `join` must be called afterwards, off the loop.
        """
        self._shared.stopping = True
        for task in (*self._accepting, *self._opening):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._opening, return_exceptions=True)
        for one in self._sockets:
            one.close()
        for connection, _ in list(self._connections.values()):
            connection.end_if_idle()
        await self._wait(drain_s)
        for stream in list(self._connections):
            stream.abort()
        await self._wait(1.0)
        for _, task in list(self._connections.values()):
            task.cancel()
        await self._wait(1.0)
        if self._ticking is not None:
            self._ticking.cancel()

    def join(self) -> None:
        """Waits for what the workers are still doing, such as a commit whose client is gone."""
        self._waiters.close()
        self._workers.close()

    @property
    def request_count(self) -> int:
        """Requests so far."""
        return self._shared.started

    async def _wait(self, timeout_s: float) -> None:
        tasks = [task for _, task in self._connections.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    @property
    def workers(self) -> Workers:
        """The threads that blocking work runs on."""
        return self._workers

    async def _accept(self, listening: socket.socket) -> None:
        """Takes one connection after the other, and keeps no more than there is room for."""
        failing = False
        while True:
            try:
                taken, _ = await self._loop.sock_accept(listening)
                failing = False
            except ConnectionAbortedError:
                # It was gone before it was accepted.
                continue
            except OSError as error:
                if not failing:
                    logger.error("no connection can be accepted: %s", error.strerror or error)
                failing = True
                # Mostly the system has run out of something that is given back at the end of a connection.
                self._given_back.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._given_back.wait(), _AGAIN_S)
                continue
            self._take(taken)
            # The others have their turn, and so have other processes that accept from this socket.
            await asyncio.sleep(0)

    def _take(self, taken: socket.socket) -> None:
        shared = self._shared
        if self._taken >= shared.limits.connections and not shared.waiting.end_longest(self._loop.time()):
            shared.metrics.refused_connections += 1
            self._turn_away(taken)
            return
        self._taken += 1
        task = self._loop.create_task(self._open(taken))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, taken: socket.socket) -> None:
        """Makes a stream of a connection; with TLS, that takes until the other side has shaken hands."""
        task = asyncio.current_task()
        assert task is not None
        stream = Stream(self._loop, self._opened)
        handshake_s = self._shared.patience.head_s if self._tls else None
        self._shared.waiting.begin(task.cancel, self._loop.time())
        try:
            await self._loop.connect_accepted_socket(
                lambda: stream, taken, ssl=self._tls, ssl_handshake_timeout=handshake_s
            )
        except OSError:
            # Whoever does not get through the handshake has asked nothing.
            pass
        finally:
            self._shared.waiting.over(task.cancel)
            if not stream.opened:
                taken.close()
                self._give_back()

    def _turn_away(self, taken: socket.socket) -> None:
        """Tells whoever comes too much, if that can be done without waiting."""
        refusal = self._shared.app.refuse(fault("ServiceUnavailable"))
        assert isinstance(refusal.body, bytes)
        with taken, contextlib.suppress(OSError):
            taken.setblocking(False)
            if self._tls is None:
                taken.send(response_head(refusal, keep_alive=False) + refusal.body)
                # What is left unread would make the end a reset, which can overtake the answer.
                taken.recv(65_536)

    def _opened(self, stream: Stream) -> None:
        self._shared.metrics.connections += 1
        connection = Connection(stream, self._shared)
        task = self._loop.create_task(connection.serve())
        self._connections[stream] = (connection, task)
        task.add_done_callback(lambda _: self._closed(stream))
        if self._shared.stopping:
            stream.close()

    def _closed(self, stream: Stream) -> None:
        self._connections.pop(stream, None)
        self._shared.metrics.connections -= 1
        self._give_back()

    def _give_back(self) -> None:
        self._taken -= 1
        self._given_back.set()

    def _tick(self) -> None:
        now = self._loop.time()
        for stream in self._connections:
            stream.expire(now)
        self._ticking = self._loop.call_later(self._tick_s, self._tick)
