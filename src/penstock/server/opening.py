"""A server put together from its settings, ready to be run by whoever has an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from penstock.errors import InvalidInput
from penstock.server import access_log, descriptors
from penstock.server.app import App
from penstock.server.arriving import Arriving
from penstock.server.call import Service
from penstock.server.chore import Chore
from penstock.server.guard.gate import Gate
from penstock.server.guard.keys import check_keys
from penstock.server.guard.sts import Tokens
from penstock.server.in_turn import InTurn
from penstock.server.lifecycle import Schedule
from penstock.server.listen import Listener
from penstock.server.metrics import Metrics
from penstock.server.place import TELL_EVERY_S, Place
from penstock.server.postman import Postman
from penstock.server.settings import ServerSettings
from penstock.server.store import LocalStore
from penstock.server.sweeper import Sweeper
from penstock.server.watch import Watch

Ready = Callable[[str, str, asyncio.Event], None]
Run = Callable[[Ready, Callable[[], float]], Coroutine[Any, Any, None]]


@contextlib.contextmanager
def open_server(settings: ServerSettings, place: Place | None = None) -> Iterator[tuple[Service, Run]]:
    """
    Open the store, and give it with the coroutine function that serves it until its event is set.

    The store is closed once nothing works on it any more.

    Args:
        settings: What the server is to be.
        place: Of this process among those of the server; None where it is the only one.
    """
    check_keys(settings.users, settings.host)
    tls = tls_context(settings.tls) if settings.tls else None
    listeners: list[Listener] = []
    with contextlib.ExitStack() as stack:
        open_store = LocalStore.join if place is not None else LocalStore.open
        store = stack.enter_context(open_store(settings.directory, settings.durability, clock=settings.clock))
        arriving = Arriving(place.folder / "arriving" if place is not None else None)
        stack.callback(arriving.close)
        in_turn = InTurn(place.folder / "turn" if place is not None else None)
        stack.callback(in_turn.close)
        postman = Postman()
        stack.callback(postman.close)
        service = Service(
            store=store,
            region=settings.region,
            owner=settings.account,
            clock=settings.clock,
            post=postman.post if settings.callbacks else None,
            arriving=arriving,
            restore_s=settings.restore_s,
            in_turn=in_turn,
        )
        if settings.access_log is not None:
            stack.enter_context(_access_log(settings.access_log))
        gate = Gate(
            settings.users,
            None if settings.any_region else settings.region,
            Tokens(place.seal if place is not None else None),
            owner=settings.account,
        )
        app = App(service, gate, settings.base_hosts, strict_addressing=settings.strict_addressing)
        chores: list[Chore] = []
        if place is None or place.first:
            chores.append(Sweeper(store))
            if settings.lifecycle_every_s:
                chores.append(Schedule(service, settings.lifecycle_every_s))
        for chore in chores:
            chore.start()
            stack.callback(chore.stop)

        def ended() -> list[str]:
            return [*store.ended_threads(), *(chore.name for chore in chores if not chore.alive)]

        run = functools.partial(_run, settings, place, service, app, tls, listeners, ended)
        try:
            yield service, run
        finally:
            for listener in listeners:
                listener.join()


async def _run(
    settings: ServerSettings,
    place: Place | None,
    service: Service,
    app: App,
    tls: ssl.SSLContext | None,
    listeners: list[Listener],
    ended: Callable[[], list[str]],
    ready: Ready,
    drain_s: Callable[[], float],
) -> None:
    stop = asyncio.Event()
    metrics = Metrics()
    listener = Listener(
        app,
        tls=tls,
        patience=settings.patience,
        interceptor=settings.interceptor,
        limits=descriptors.within(settings.limits, descriptors.open_files()),
        metrics=metrics,
        threads=settings.threads,
        strict_framing=settings.strict_framing,
    )
    listeners.append(listener)
    host, port = await listener.start(
        settings.host, settings.port, place.listening if place is not None else ()
    )
    watch = Watch(service, metrics, listener.workers, ended, place)
    telling = None
    try:
        watched = ""
        if settings.metrics is not None and (place is None or place.first):
            watched = await watch.start(*settings.metrics, place.watching if place is not None else ())
        if place is not None:
            telling = asyncio.create_task(_tell(place, metrics, ended))
        ready(endpoint_of(settings, host, port), watched, stop)
        await stop.wait()
    finally:
        await watch.stop()
        await listener.stop(drain_s())
        if place is not None and telling is not None:
            telling.cancel()
            place.tell(metrics.counts())


async def _tell(place: Place, metrics: Metrics, ended: Callable[[], list[str]]) -> None:
    # A process of which a part has ended falls silent, so that it shows in the health of the whole.
    while not ended():
        place.tell(metrics.counts())
        await asyncio.sleep(TELL_EVERY_S)


@contextlib.contextmanager
def _access_log(target: str) -> Iterator[None]:
    """Sends the lines of requests to a file, which may be moved away at any time, or to standard output."""
    handler: logging.Handler = logging.StreamHandler(sys.stdout)
    if target != "-":
        try:
            handler = access_log.LogFile(target)
        except OSError as error:
            raise InvalidInput(f"Writing the access log {target}: {error.strerror or error}") from error
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = access_log.logger
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before
        handler.close()


def endpoint_of(settings: ServerSettings, host: str, port: int) -> str:
    """Where clients find a server that listens there."""
    # A wildcard address is not one to connect to; this machine reaches it by loopback.
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    bracketed = f"[{shown}]" if ":" in shown else shown
    return f"{'https' if settings.tls else 'http'}://{bracketed}:{port}"


def tls_context(files: tuple[str | os.PathLike[str], str | os.PathLike[str]]) -> ssl.SSLContext:
    """For https with this certificate chain and key; raises `InvalidInput`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    certificate, key = files
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise InvalidInput(
            f"{os.fspath(certificate)} and {os.fspath(key)} are not a certificate and its key: {error}",
            advice="Give the PEM files of the certificate chain and of the private key.",
        ) from error
    return context
