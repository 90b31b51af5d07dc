"""From an origin to a connection that can carry requests: name, TCP, proxy, TLS."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections.abc import Callable

from penstock.errors import ConnectionLost, MalformedResponse, NetworkError, ProxyRefused
from penstock.net.connection import AnsweredEarly, Connection
from penstock.net.dial import dial
from penstock.net.head import render_connect
from penstock.net.latch import Latch
from penstock.net.outflow import Outflow
from penstock.net.proxy import Proxy, proxy_for
from penstock.net.request import Flight, Origin
from penstock.net.resolver import Resolver
from penstock.net.settings import NetSettings
from penstock.net.tls import TlsChannel, new_context
from penstock.net.wire import Channel, Wire


class Connector:
    """
    Makes connections.

    Args:
        settings: How.
    """

    def __init__(self, settings: NetSettings) -> None:
        self._settings = settings
        self.resolver = Resolver()
        self._proxies: dict[Origin, Proxy | None] = {}
        self._context: ssl.SSLContext | None = None
        self._lock = threading.Lock()

    def proxy(self, origin: Origin) -> Proxy | None:
        """The proxy that an origin is reached through; the environment is looked at once per origin."""
        try:
            return self._proxies[origin]
        except KeyError:
            proxy = self._proxies[origin] = proxy_for(origin, self._settings.proxy, os.environ)
            return proxy

    def connect(self, origin: Origin, latch: Latch, on_close: Callable[[Connection], None]) -> Connection:
        """
        A new connection, begun with the latch.

        Raises:
            Tripped: The latch tripped.
            NameNotResolved, ConnectFailed, ProxyRefused, TlsFailed, TimedOut: What its name says.
        """
        proxy = self.proxy(origin)
        first = origin if proxy is None else proxy.origin
        wire = self._dial(first, latch)
        try:
            channel: Channel = wire
            if first.scheme == "https":
                channel = self._secure(channel, first, latch)
            if proxy is not None and origin.scheme == "https":
                self._open_way(channel, origin, proxy, latch)
                channel = self._secure(channel, origin, latch)
            return Connection(channel, origin, latch, on_close)
        except BaseException:
            wire.close()
            raise

    def _dial(self, origin: Origin, latch: Latch) -> Wire:
        limit_s = self._settings.connect_timeout_s
        began = time.monotonic()
        addresses = self.resolver.resolve(origin.host, origin.port, latch, limit_s)
        left_s = max(limit_s - (time.monotonic() - began), 0.001)
        try:
            return dial(addresses, origin.address, latch, self._settings, left_s)
        except NetworkError:
            self.resolver.forget(origin.host, origin.port)
            raise

    def _secure(self, below: Channel, origin: Origin, latch: Latch) -> TlsChannel:
        with self._lock:
            if self._context is None:
                self._context = new_context(self._settings)
        channel = TlsChannel(below, self._context, origin.host, origin.address)
        channel.handshake(latch, self._settings.connect_timeout_s)
        return channel

    def _open_way(self, channel: Channel, origin: Origin, proxy: Proxy, latch: Latch) -> None:
        way = Connection(channel, proxy.origin, latch, lambda _: None)
        way.timeout_s = self._settings.connect_timeout_s
        flight = Flight()
        try:
            Outflow(way, flight, None).send_bytes(render_connect(origin, proxy), b"")
            answer = way.read_head("CONNECT", flight)
        except (AnsweredEarly, ConnectionLost, MalformedResponse) as error:
            raise ProxyRefused(
                f"Asked the proxy {proxy.origin.address} for a way to {origin.address}; it gave no answer.",
                host=origin.address,
                advice="Check that the proxy's address is right and that it is an HTTP proxy.",
            ) from error
        if answer.status >= 300 or way.buffered():
            raise ProxyRefused(
                f"Asked the proxy {proxy.origin.address} for a way to {origin.address}; "
                f"it answered {answer.status} {answer.reason}.",
                host=origin.address,
                advice=_advice_for(answer.status),
            )


def _advice_for(status: int) -> str:
    if status == 407:
        return "Put user:password into the proxy's URL, or correct them."
    return "Ask who runs the proxy whether it allows this host, or exempt the host with NO_PROXY."
