"""
An OSS in a thread of this process.

    with LocalOss.start() as oss:
        client = penstock.Client(endpoint=oss.endpoint, ...)
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from penstock.server.call import Service
from penstock.server.guard.accounts import User
from penstock.server.guard.keys import decide_keys
from penstock.server.http.bounds import Limits, Patience
from penstock.server.interceptor import Interceptor
from penstock.server.lifecycle import LifecycleReport, run_lifecycle
from penstock.server.opening import open_server
from penstock.server.settings import DEFAULT_BASE_HOSTS, DEFAULT_REGION, DRAIN_S, ServerSettings
from penstock.server.store import Durability
from penstock.server.store.faults import UploadMissing


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

    def forget_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Remove an unfinished upload, as a lifecycle rule does; parts that are arriving are refused."""
        assert self._service is not None
        with contextlib.suppress(UploadMissing):
            self._service.store.abort_upload(bucket, key, upload_id)

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
