"""
The port for those who run a server, apart from that for those who use it.

``GET /-/health`` (200 while the store answers and no thread of the server has ended by mistake, else 503),
``GET /-/metrics`` (for Prometheus), and ``POST /-/lifecycle`` (carry out the lifecycle rules now). Nobody is
asked who they are: listen where only they can reach it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from penstock.errors import InvalidInput, StoreError
from penstock.server.call import Service
from penstock.server.http.workers import Workers
from penstock.server.lifecycle import run_lifecycle
from penstock.server.metrics import Metrics
from penstock.server.place import Place

logger = logging.getLogger("penstock.server")

_HEAD_S: Final = 10.0
_LIMIT_BYTES: Final = 16 * 1024
_TEXT: Final = "text/plain; charset=utf-8"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"

Answer = tuple[int, str, str]


class Watch:
    """
    Answers on the port of those who run the server, on the running loop.

    Args:
        service: The server.
        metrics: What it counts.
        workers: Where the store is asked.
        ended: Names those threads of the server that have ended, though they should not have.
        place: Of this process among those of the server, for which it answers; None where it is alone.
    """

    def __init__(
        self,
        service: Service,
        metrics: Metrics,
        workers: Workers,
        ended: Callable[[], Sequence[str]],
        place: Place | None = None,
    ) -> None:
        self._place = place
        self._ended = ended
        self._service = service
        self._metrics = metrics
        self._workers = workers
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, shared: Sequence[socket.socket] = ()) -> str:
        """
        Begin to listen, on ``shared`` sockets if there are any, and give the address.

        Raises:
            InvalidInput: The address cannot be had.
        """
        try:
            create = functools.partial(asyncio.start_server, self._visited, limit=_LIMIT_BYTES)
            if shared:
                self._servers = [await create(sock=one) for one in shared]
            else:
                self._servers = [await create(host=host, port=port)]
        except OSError as error:
            raise InvalidInput(
                f"Cannot listen on {host} port {port} for metrics: {error.strerror or error}",
                advice="Choose another port (0 takes any that is free) or host.",
            ) from error
        address = self._servers[0].sockets[0].getsockname()
        return f"http://{f'[{address[0]}]' if ':' in address[0] else address[0]}:{address[1]}"

    async def stop(self) -> None:
        """Ends it, with what is being asked."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1.0)

    async def _visited(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            method, _, rest = head.decode("latin-1").partition(" ")
            status, kind, text = await self._answer_or_fail(method, rest.partition(" ")[0])
            body = text.encode()
            writer.write(
                f"HTTP/1.1 {status} {'OK' if status == 200 else 'Error'}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + (b"" if method == "HEAD" else body)
            )
            async with asyncio.timeout(_HEAD_S):
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # Whoever does not ask properly gets no answer.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer_or_fail(self, method: str, path: str) -> Answer:
        try:
            return await self._answer(method, path)
        except Exception:
            # The wall of this port: whoever runs the server must hear that something is wrong.
            logger.exception("%s %s failed", method, path)
            return 500, _TEXT, "failed, see the log\n"

    async def _answer(self, method: str, path: str) -> Answer:
        known: dict[tuple[str, str], Callable[[], Awaitable[Answer]]] = {
            ("GET", "/-/health"): self._health,
            ("GET", "/-/metrics"): self._show_metrics,
            ("POST", "/-/lifecycle"): self._run_lifecycle,
        }
        answer = known.get(("GET" if method == "HEAD" else method, path))
        if answer is None:
            return 404, _TEXT, "there is /-/health, /-/metrics and POST /-/lifecycle\n"
        return await answer()

    async def _health(self) -> Answer:
        try:
            await self._workers.run(self._ask_store)
        except StoreError as error:
            return 503, _TEXT, f"{error.message}\n"
        if ended := self._ended():
            return 503, _TEXT, f"ended, though it should not have: {', '.join(ended)}; restart the server\n"
        if self._place is not None and (silent := self._place.silent()):
            return 503, _TEXT, f"{silent} of {self._place.count} processes do not answer\n"
        return 200, _TEXT, "ok\n"

    def _ask_store(self) -> None:
        self._service.store.list_buckets(limit=1)

    async def _show_metrics(self) -> Answer:
        if self._place is None:
            return 200, _PROMETHEUS, self._metrics.text()
        total = Metrics()
        total.add(self._metrics.counts(), running=True)
        self._place.add_others(total)
        return 200, _PROMETHEUS, total.text()

    async def _run_lifecycle(self) -> Answer:
        try:
            report = await self._workers.run(run_lifecycle, self._service)
        except StoreError as error:
            return 503, _TEXT, f"{error.message}\n"
        done = f"expired {report.expired}, moved {report.moved}, aborted uploads {report.aborted_uploads}"
        if report.failed_buckets:
            return 500, _TEXT, f"{done}; failed in {report.failed_buckets} buckets, see the log\n"
        return 200, _TEXT, f"{done}\n"
