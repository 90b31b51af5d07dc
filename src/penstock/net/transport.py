"""The face of the network engine: one request, one answer, stoppable at every point."""

from __future__ import annotations

import threading
from collections.abc import Callable

from penstock.errors import ConnectionLost
from penstock.net.connection import AnsweredEarly, Connection
from penstock.net.connector import Connector
from penstock.net.head import render_head
from penstock.net.latch import Latch
from penstock.net.outflow import Outflow
from penstock.net.payload import Payload, may_replay, payload_of
from penstock.net.pool import Pool
from penstock.net.request import Flight, HttpRequest, Origin
from penstock.net.response import HttpResponse
from penstock.net.settings import NetSettings
from penstock.net.throttle import Throttle


class HttpTransport:
    """
    Sends requests over kept connections, each on the thread of its caller.

    Example::

        transport = HttpTransport(NetSettings())
        with transport.send(request, latch, Flight()) as response:
            response.status, response.read()

    Args:
        settings: How connections are made and kept.
    """

    def __init__(self, settings: NetSettings | None = None) -> None:
        self.settings = settings or NetSettings()
        self._pool = Pool(self.settings.max_idle_per_origin, self.settings.idle_s)
        self._connector = Connector(self.settings)
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._requests_started = 0

    @property
    def open_connections(self) -> int:
        """Connections that exist now, in use or kept."""
        return len(self._open)

    @property
    def requests_started(self) -> int:
        """Requests of which a first byte was sent, or was about to be; replays are counted too."""
        return self._requests_started

    @property
    def abandoned_lookups(self) -> int:
        """Look-ups of names that hang in the system's resolver though nobody waits for them."""
        return self._connector.resolver.abandoned

    def send(
        self,
        request: HttpRequest,
        latch: Latch,
        flight: Flight | None = None,
        on_sent: Callable[[int], None] | None = None,
        throttle: Throttle | None = None,
    ) -> HttpResponse:
        """
        Sends a request and waits for the head of its answer.

        A connection that served before and turns out to be dead before any of the answer came is replaced
        once, silently, if the request may be sent again (`HttpRequest.replayable`). Nothing else is retried.

        Args:
            request: What to ask.
            latch: Ends the call at any point, and the reading of the answer too.
            flight: Is kept up to date; to be read after an error.
            on_sent: Called on this thread with the bytes of the body handed over so far.
            throttle: Says how fast the body may leave; for that of the answer see `HttpResponse.limit`.

        Returns:
            The answer, whatever its status; close it or read it to its end. An error status may come before
            the body was sent whole.

        Raises:
            Tripped: The latch tripped.
            NetworkError: One of its leaves: no answer came.
            SourceEndedEarly: The body was shorter than announced; the connection was reset.
            SourceGrew: The body was longer than announced; the connection was reset.
            InvalidInput: The request cannot be written as HTTP.
        """
        latch.check()
        flight = flight if flight is not None else Flight()
        payload = payload_of(request)
        head = self._head(request, payload)
        connection = self._take(request.origin, latch)
        while True:
            if connection is None:
                connection = self._connector.connect(request.origin, latch, self._open.discard)
                self._open.add(connection)
            flight.connection_reused = connection.reused
            flight.tries += 1
            try:
                outflow = Outflow(connection, flight, on_sent, throttle)
                return self._exchange(connection, request, head, payload, outflow)
            except ConnectionLost:
                if not connection.reused or connection.buffered() or latch.tripped:
                    raise
                if not may_replay(request, payload, flight):
                    raise
                flight.begin_again()
                connection = None

    def close(self) -> None:
        """Closes the kept connections. Requests under way go on, and close theirs at their end."""
        self._pool.close()

    def _head(self, request: HttpRequest, payload: Payload) -> bytes:
        proxy = self._connector.proxy(request.origin)
        via_proxy = proxy is not None and request.origin.scheme == "http"
        return render_head(
            request,
            payload.body_bytes,
            chunked=payload.chunked,
            via_proxy=via_proxy,
            proxy_authorization=proxy.authorization if proxy is not None and via_proxy else "",
        )

    def _take(self, origin: Origin, latch: Latch) -> Connection | None:
        connection = self._pool.take(origin)
        if connection is not None:
            try:
                connection.begin(latch)
            except BaseException:
                connection.close()
                raise
        return connection

    def _exchange(
        self, connection: Connection, request: HttpRequest, head: bytes, payload: Payload, outflow: Outflow
    ) -> HttpResponse:
        timeout_s = request.read_timeout_s
        connection.timeout_s = self.settings.read_timeout_s if timeout_s is None else timeout_s
        with self._lock:
            self._requests_started += 1
        flight = outflow.flight
        whole = True
        try:
            try:
                outflow.send(head, payload)
            except AnsweredEarly:
                whole = False
            answer = connection.read_head(request.method, flight)
            if not whole and answer.status < 300:
                raise connection.malformed(
                    f"it answered {answer.status} before it had the whole request", flight
                )
            return HttpResponse(answer, connection, flight, self._release, reusable=whole)
        except BaseException:
            connection.close()
            raise

    def _release(self, connection: Connection) -> None:
        if connection.channel.end() and not connection.latch.tripped:
            self._pool.put(connection)
        else:
            connection.close()
