"""The states that an upload can be stopped in, each with what brings it there."""

from __future__ import annotations

import multiprocessing
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import penstock
from penstock.client.sending.retry import RetryBudget
from penstock.files.source import SourceFile
from penstock.server.local_oss import LocalOss
from stall import Stalled, full_backlog, silent, stalled

KEY = ("bucket", "key")
_KEYS = ("LTAIexample", "secret")
_REGION = "cn-hangzhou"
_LARGE = bytes(64 << 20)
_VERY_LARGE = bytes(1 << 30)
_PART_BYTES = 16 << 20
_PARTS = 32
_LIMIT_BYTES_S = 1 << 16


def _put(client: penstock.Client, body: Any) -> Any:
    return client.submit(client.put_object, *KEY, body)


def _put_task(client: penstock.AsyncClient, body: Any) -> Awaitable[Any]:
    return client.put_object(*KEY, body)


def started(client: penstock.Client) -> int:
    """Requests that a client has begun."""
    return client._requester._transport.requests_started


@dataclass(frozen=True)
class Scene:
    """
    A state to be stopped in.

    Attributes:
        title: Its name.
        endpoint: Where the client goes.
        arguments: Of the client.
        make: What one try needs, such as its body; given to ``begin``, ``is_there`` and ``after``.
        begin: Begins an upload; returns what can be aborted and has an outcome.
        begin_task: The same for asyncio.
        before: Prepares a new client; what it returns is aborted at the end.
        is_there: Whether the state is reached; also given how many requests there were before.
        after: Undoes what a try has left.
        server: Counts the bytes that arrive, where a request is begun.
        in_use: Connections that are in use by others all the time.
    """

    title: str
    endpoint: str
    arguments: dict[str, Any]
    make: Callable[[], Any] = lambda: bytes(4096)
    begin: Callable[[penstock.Client, Any], Any] = _put
    begin_task: Callable[[penstock.AsyncClient, Any], Awaitable[Any]] = _put_task
    before: Callable[[penstock.Client], Any] = lambda client: None
    is_there: Callable[[penstock.Client, int, Any], bool] = lambda client, requests, made: True
    after: Callable[[Any], None] = lambda made: None
    server: Stalled | None = None
    in_use: int = 0


def client_arguments(endpoint: str, ca_file: str | None, **others: Any) -> dict[str, Any]:
    """Of a client that waits as long as it may, so that nothing but the stop ends its calls."""
    proxy = others.pop("proxy", "")
    return {
        "endpoint": endpoint,
        "region": _REGION,
        "credentials": penstock.Credentials(*_KEYS),
        "network": penstock.NetSettings(ca_file=ca_file, proxy=proxy, connect_timeout_s=60.0),
        "retry": penstock.RetryPolicy(max_attempts=100, base_delay_s=600.0, max_delay_s=600.0),
        **others,
    }


class _HungSource:
    """A stream whose read does not return before it is released; a new one for each try."""

    def __init__(self) -> None:
        self.is_read = threading.Event()
        self._released = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self.is_read.set()
        self._released.wait()
        return b""

    def release(self) -> None:
        self._released.set()


@dataclass
class _HungCall:
    """
    Stands in the place of a function that does not return before it is released, and fails then.

    It is released at the end of a scene: until then further calls of a client join the one that hangs.
    """

    error: Exception
    _waiting: list[threading.Event] = field(default_factory=list)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        released = threading.Event()
        self._waiting.append(released)
        released.wait()
        raise self.error

    def is_called(self) -> bool:
        return bool(self._waiting)

    def release(self) -> None:
        while self._waiting:
            self._waiting.pop().set()


@contextmanager
def _hung_resolver() -> Iterator[_HungCall]:
    real = socket.getaddrinfo
    hung = _HungCall(socket.gaierror(socket.EAI_NONAME, "no such name"))
    socket.getaddrinfo = hung
    try:
        yield hung
    finally:
        socket.getaddrinfo = real
        hung.release()


def _serve_oss(pipe: Connection, tls: tuple[str, str] | None) -> None:
    with LocalOss.start(users=dict([_KEYS]), region=_REGION, durability="none", tls=tls) as oss:
        pipe.send(oss.endpoint)
        pipe.recv()


@contextmanager
def _oss(certificate: Path | None) -> Iterator[str]:
    """The endpoint of an OSS in a process of its own."""
    start = multiprocessing.get_context("spawn")
    ours, theirs = start.Pipe()
    tls = (str(certificate), str(certificate)) if certificate is not None else None
    process = start.Process(target=_serve_oss, args=(theirs, tls))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("stop")
        process.join()


class _Hashing:
    """An unfinished upload at an OSS, and the file that it is compared with when it is gone on with."""

    def __init__(self, endpoint: str, ca_file: str | None, folder: Path) -> None:
        self.path = folder / "hashed"
        with self.path.open("wb") as file:
            file.truncate(_PART_BYTES * _PARTS)
        with penstock.Client(**client_arguments(endpoint, ca_file)) as client:
            client.put_bucket(KEY[0])
            upload_id = client.initiate_multipart_upload(*KEY).upload_id
            part = bytes(_PART_BYTES)
            for number in range(1, _PARTS):
                client.upload_part(*KEY, upload_id, number, part)

    def resume(self, client: penstock.Client, _: Any) -> Any:
        return client.resume(f"oss://{'/'.join(KEY)}", self.path, journal=False)

    async def resume_task(self, client: penstock.AsyncClient, _: Any) -> None:
        transfer = await client.resume(f"oss://{'/'.join(KEY)}", self.path, journal=False)
        await transfer.result()


@contextmanager
def _reads_noticed() -> Iterator[Callable[[], threading.Event]]:
    """Gives events that are set when a source file is read next."""
    real = SourceFile.read_at
    waiting: list[threading.Event] = []

    def read_at(self: SourceFile, offset: int, buffer: memoryview) -> int:
        while waiting:
            waiting.pop().set()
        return real(self, offset, buffer)

    def next_read() -> threading.Event:
        waiting.append(threading.Event())
        return waiting[-1]

    SourceFile.read_at = read_at  # type: ignore[method-assign]
    try:
        yield next_read
    finally:
        SourceFile.read_at = real  # type: ignore[method-assign]


def _large_retry_budget(client: penstock.Client) -> None:
    client._requester._budget = RetryBudget(1_000_000)  # else it would end the tries one by one


def _limit(client: penstock.Client) -> None:
    client.bandwidth_limit_bytes_s = _LIMIT_BYTES_S


def _has_sent(client: penstock.Client, requests: int, _: Any) -> bool:
    return started(client) > requests


def _has_answer(client: penstock.Client, requests: int, _: Any) -> bool:
    return started(client) > requests and len(client._requester._transport._pool) > 0


def scenes(folder: Path, *, tls: bool) -> Iterator[Scene]:
    """All states, each for as long as the next one is not asked for; ``folder`` has the certificates."""
    scheme = "https" if tls else "http"
    certificate = folder / "server.pem" if tls else None
    ca_file = str(folder / "ca.pem") if tls else None

    def at(port: int) -> str:
        return f"{scheme}://127.0.0.1:{port}"

    def scene(title: str, endpoint: str, **others: Any) -> Scene:
        given = others.pop("arguments", {})
        return Scene(title, endpoint, client_arguments(endpoint, ca_file, **given), **others)

    with ExitStack() as stack:
        deaf = stack.enter_context(stalled("reads nothing", certificate, noting=True))
        mute = stack.enter_context(stalled("never answers", certificate, noting=True))
        busy = stack.enter_context(stalled("is busy", certificate))
        not_counting = stack.enter_context(stalled("never answers", certificate))
        yield scene(
            "queued",
            at(not_counting.port),
            before=lambda client: client.submit(client.put_object, *KEY, b"holds the only thread"),
            arguments={"max_workers": 1},
            in_use=1,
        )
        provider = _HungCall(RuntimeError("no credentials any more"))
        yield scene(
            "refreshing credentials",
            at(not_counting.port),
            arguments={"credentials": provider},
            is_there=lambda *_: provider.is_called(),
        )
        provider.release()
        with _hung_resolver() as resolver:
            yield scene(
                "resolving",
                f"{scheme}://oss.example.test",
                is_there=lambda *_: resolver.is_called(),
            )
        with full_backlog() as port:
            yield scene("connecting", at(port))
        if tls:
            with silent() as port:
                yield scene("TLS handshake", at(port))
            with silent() as port:
                yield scene(
                    "proxy CONNECT",
                    "https://oss.example.test",
                    arguments={"proxy": f"http://127.0.0.1:{port}"},
                )
        for title, body, server in (
            ("sending to a stalled peer", _LARGE, deaf),
            ("sending to a quick peer", _VERY_LARGE, mute),
            ("waiting for an answer", bytes(4096), mute),
        ):
            yield scene(
                title, at(server.port), make=lambda body=body: body, is_there=_has_sent, server=server
            )
        yield scene(
            "rate-limited",
            at(mute.port),
            make=lambda: _LARGE,
            before=_limit,
            is_there=_has_sent,
            server=mute,
        )
        yield scene("back-off", at(busy.port), before=_large_retry_budget, is_there=_has_answer)
        yield scene(
            "hung source",
            at(not_counting.port),
            make=_HungSource,
            is_there=lambda client, requests, made: made.is_read.is_set(),
            after=_HungSource.release,
        )
        oss = stack.enter_context(_oss(certificate))
        hashed = stack.enter_context(tempfile.TemporaryDirectory())
        hashing = _Hashing(oss, ca_file, Path(hashed))
        with _reads_noticed() as next_read:
            yield scene(
                "hashing",
                oss,
                make=next_read,
                begin=hashing.resume,
                begin_task=hashing.resume_task,
                is_there=lambda client, requests, made: made.is_set(),
            )
