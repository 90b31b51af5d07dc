"""Listens on a port and keeps its connections: accepts, times out, stops."""

from __future__ import annotations

import asyncio
import functools
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
BACKLOG = 1024
"""Connections that wait to be accepted."""


def cannot_listen(host: str, port: int, error: OSError) -> InvalidInput:
    """Says which address cannot be had, and why."""
    return InvalidInput(
        f"Cannot listen on {host} port {port}: {error.strerror or error}",
        advice="Choose another port (0 takes any that is free) or host.",
    )


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
        waits = patience or Patience()
        self._shared = Shared(
            app,
            self._workers,
            waits,
            interceptor,
            [],
            limits=limits or Limits(),
            metrics=metrics or Metrics(),
            strict_framing=strict_framing,
        )
        self._tick_s = min(1.0, waits.idle_s / 4, waits.head_s / 4, waits.body_s / 4, waits.linger_s / 4)
        self._connections: dict[Stream, tuple[Connection, asyncio.Task[None]]] = {}
        self._servers: list[asyncio.Server] = []
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
        create = functools.partial(
            self._loop.create_server,
            lambda: Stream(self._loop, self._opened),
            ssl=self._tls,
            ssl_handshake_timeout=self._shared.patience.head_s if self._tls else None,
        )
        try:
            if not shared:
                self._servers.append(await create(host=host, port=port, backlog=BACKLOG))
            for one in shared:
                # One connection at a time, so that the process accepts which has nothing better to do.
                self._servers.append(await create(sock=one, backlog=1))
                one.listen(BACKLOG)
        except OSError as error:
            raise cannot_listen(host, port, error) from error
        self._ticking = self._loop.call_later(self._tick_s, self._tick)
        address = self._servers[0].sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self, drain_s: float) -> None:
        """
        Accept nothing more, let requests under way end for at most ``drain_s``, then cut them.

        `join` must be called afterwards, off the loop.
        """
        self._shared.stopping = True
        for server in self._servers:
            server.close()
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

    def _opened(self, stream: Stream) -> None:
        metrics = self._shared.metrics
        if len(self._connections) >= self._shared.limits.connections:
            metrics.refused_connections += 1
            refusal = self._shared.app.refuse(fault("ServiceUnavailable"))
            assert isinstance(refusal.body, bytes)
            stream.write(response_head(refusal, keep_alive=False) + refusal.body)
            stream.close()
            return
        metrics.connections += 1
        connection = Connection(stream, self._shared)
        task = self._loop.create_task(connection.serve())
        self._connections[stream] = (connection, task)
        task.add_done_callback(lambda _: self._closed(stream))
        if self._shared.stopping:
            stream.close()

    def _closed(self, stream: Stream) -> None:
        self._connections.pop(stream, None)
        self._shared.metrics.connections -= 1

    def _tick(self) -> None:
        now = self._loop.time()
        for stream in self._connections:
            stream.expire(now)
        self._ticking = self._loop.call_later(self._tick_s, self._tick)
