"""
An OSS on this machine: in a thread of this process, or as the process itself.

    with LocalOss.start() as oss:
        client = penstock.Client(endpoint=oss.endpoint, ...)
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import logging.handlers
import os
import signal
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from penstock.errors import InvalidInput
from penstock.server import access_log, postman
from penstock.server.app import App
from penstock.server.arriving import Arriving
from penstock.server.call import Service
from penstock.server.guard.accounts import User
from penstock.server.guard.gate import Gate
from penstock.server.guard.keys import check_keys, decide_keys
from penstock.server.guard.sts import Tokens
from penstock.server.http.bounds import Limits, Patience
from penstock.server.in_turn import InTurn
from penstock.server.interceptor import Interceptor
from penstock.server.lifecycle import LifecycleReport, Schedule, run_lifecycle
from penstock.server.listen import Listener
from penstock.server.metrics import Metrics
from penstock.server.place import TELL_EVERY_S, Place
from penstock.server.settings import DEFAULT_BASE_HOSTS, DEFAULT_REGION, DRAIN_S, ServerSettings
from penstock.server.store import Durability, LocalStore
from penstock.server.sweeper import Sweeper
from penstock.server.watch import Watch

__all__ = ["DEFAULT_BASE_HOSTS", "DEFAULT_REGION", "DRAIN_S", "LocalOss", "ServerSettings", "serve_forever"]


class LocalOss:
    """
    A running OSS in a background thread of this process. Made by `start`; leaving the context stops it.

    Attributes:
        endpoint: Where it is, such as ``http://127.0.0.1:40123``.
        region: Region id that requests must be signed for.
        users: Secret by access key id.
        directory: Where it keeps its data.
        watch: Where those who run it look, such as ``http://127.0.0.1:9001``; empty without such a port.
    """

    def __init__(self, settings: ServerSettings, remove: Callable[[], None] | None) -> None:
        self.region = settings.region
        self.users = {
            name: user if isinstance(user, str) else user.secret for name, user in settings.users.items()
        }
        self.directory = settings.directory
        self.endpoint = ""
        self.watch = ""
        self._service: Service | None = None
        self._remove = remove
        self._started: Future[str] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._drain_s = DRAIN_S
        self._thread = threading.Thread(
            target=self._run, args=(settings,), name="penstock-local-oss", daemon=True
        )

    @classmethod
    def start(
        cls,
        directory: str | os.PathLike[str] | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        users: Mapping[str, User | str] | None = None,
        region: str = DEFAULT_REGION,
        durability: Durability = "strict",
        tls: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None,
        base_hosts: Sequence[str] = DEFAULT_BASE_HOSTS,
        strict_addressing: bool = False,
        strict_framing: bool = False,
        interceptor: Interceptor | None = None,
        patience: Patience | None = None,
        clock: Callable[[], float] = time.time,
        limits: Limits | None = None,
        metrics: tuple[str, int] | None = None,
        access_log: str | None = None,
        lifecycle_every_s: float = 3600.0,
        restore_s: float = 3.0,
    ) -> Self:
        """
        Start a server and return once it accepts requests.

        Args:
            directory: Data directory; None for a temporary one that is removed at the end.
            users: As in `ServerSettings`; None for those of the environment, else the development pair.
            tls: Files of certificate chain and private key, both PEM, for https.
            interceptor: Sees and bends requests; see `penstock.server.interceptor`.

        Other arguments are those of `ServerSettings`.

        Raises:
            InvalidInput: The address cannot be had, the keys protect nothing, or the certificate is not one.
            StoreError: The directory cannot be used, or another server has it.
        """
        if users is None:
            users = decide_keys(os.environ, host).users
        remove = None
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="penstock-oss-", ignore_cleanup_errors=True)
            directory, remove = temporary.name, temporary.cleanup
        settings = ServerSettings(
            directory=Path(directory),
            host=host,
            port=port,
            users=users,
            region=region,
            durability=durability,
            tls=tls,
            base_hosts=base_hosts,
            strict_addressing=strict_addressing,
            strict_framing=strict_framing,
            interceptor=interceptor,
            patience=patience or Patience(),
            clock=clock,
            limits=limits or Limits(),
            metrics=metrics,
            access_log=access_log,
            lifecycle_every_s=lifecycle_every_s,
            restore_s=restore_s,
        )
        running = cls(settings, remove)
        running._thread.start()
        try:
            running.endpoint = running._started.result()
        except BaseException:
            running._thread.join()
            if remove is not None:
                remove()
            raise
        return running

    def stop(self, drain_s: float = 1.0) -> None:
        """
        Stop: requests under way may end for ``drain_s`` seconds, then they are cut. May be called again.

        What was answered is stored, and a temporary directory is removed.
        """
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._drain_s = drain_s
            with contextlib.suppress(RuntimeError):  # the loop ended by itself just now
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._remove is not None:
            self._remove()
            self._remove = None

    def run_lifecycle(self, bucket: str | None = None) -> LifecycleReport:
        """Carry out the lifecycle rules now, of one bucket or of all."""
        assert self._service is not None
        return run_lifecycle(self._service, bucket)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _run(self, settings: ServerSettings) -> None:
        try:
            with open_server(settings) as (service, run):
                self._service = service
                asyncio.run(run(self._ready, lambda: self._drain_s))
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    def _ready(self, endpoint: str, watch: str, stop: asyncio.Event) -> None:
        self.watch = watch
        self._loop, self._stop = asyncio.get_running_loop(), stop
        self._started.set_result(endpoint)


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
        run = functools.partial(_run, settings, place, service, app, tls, listeners)
        if place is None or place.first:
            sweeper = Sweeper(store)
            sweeper.start()
            stack.callback(sweeper.stop)
            if settings.lifecycle_every_s:
                schedule = Schedule(service, settings.lifecycle_every_s)
                schedule.start()
                stack.callback(schedule.stop)
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
        limits=settings.limits,
        metrics=metrics,
        threads=settings.threads,
        strict_framing=settings.strict_framing,
    )
    listeners.append(listener)
    host, port = await listener.start(
        settings.host, settings.port, place.listening if place is not None else ()
    )
    watch = Watch(service, metrics, listener.workers, place)
    watched = ""
    if settings.metrics is not None and (place is None or place.first):
        watched = await watch.start(*settings.metrics, place.watching if place is not None else ())
    telling = asyncio.create_task(_tell(place, metrics)) if place is not None else None
    try:
        ready(endpoint_of(settings, host, port), watched, stop)
        await stop.wait()
    finally:
        await watch.stop()
        await listener.stop(drain_s())
        if place is not None and telling is not None:
            telling.cancel()
            place.tell(metrics.counts())


async def _tell(place: Place, metrics: Metrics) -> None:
    while True:
        place.tell(metrics.counts())
        await asyncio.sleep(TELL_EVERY_S)


@contextlib.contextmanager
def _access_log(target: str) -> Iterator[None]:
    """Sends the lines of requests to a file, which may be moved away at any time, or to standard output."""
    handler: logging.Handler = logging.StreamHandler(sys.stdout)
    if target != "-":
        try:
            handler = logging.handlers.WatchedFileHandler(target, encoding="utf-8")
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


def serve_forever(
    settings: ServerSettings,
    on_ready: Callable[[str], None],
    on_stopping: Callable[[], None] | None = None,
    drain_s: float = DRAIN_S,
) -> None:
    """
    Serve on this thread until SIGTERM or SIGINT; a second one cuts what is still under way.

    Args:
        settings: What the server is to be.
        on_ready: Called with the endpoint once requests are accepted, by all processes if there are several.
        on_stopping: Called when the first signal came.
        drain_s: How long requests under way may take after it.

    Raises:
        InvalidInput, StoreError: As `LocalOss.start`.
    """

    async def main(run: Run) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def ready(endpoint: str, watch: str, stop: asyncio.Event) -> None:
            def asked_to_stop() -> None:
                if stop.is_set():
                    task.cancel()
                elif on_stopping is not None:
                    on_stopping()
                stop.set()

            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, asked_to_stop)
            on_ready(endpoint)

        with contextlib.suppress(asyncio.CancelledError):
            await run(ready, lambda: drain_s)

    if settings.processes > 1:
        # Only here, as it imports this module.
        from penstock.server.processes import serve_together

        serve_together(settings, on_ready, on_stopping, drain_s)
        return
    with open_server(settings) as (_, run):
        asyncio.run(main(run))


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
