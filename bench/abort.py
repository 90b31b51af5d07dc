"""
How soon an upload has stopped, in every state it can be in; and what others do at the same stalled server.

For each state a call is brought there, left for some milliseconds, and stopped from another thread (blocking)
or by cancelling its task (asyncio). ``abort()`` is the time that the stopping call itself takes; ``quiet`` is
the time until the call has ended and no connection of the client is open. Descriptors and threads are counted
after two warm-up tries and again after the last.

    python bench/abort.py                       # all of it, some minutes
    python bench/abort.py --tries 20 --no-peers
"""

from __future__ import annotations

import argparse
import asyncio
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import abort_peers
import penstock
import report
import sink
from penstock.client.sending.retry import RetryBudget
from stall import full_backlog, silent, stalled

_SETTLE_S = 0.008
_LARGE = bytes(64 << 20)
_VERY_LARGE = bytes(1 << 30)
_KEY = ("bucket", "key")


class _HungSource:
    """A stream whose read does not return before it is released; a new one for each try."""

    def __init__(self) -> None:
        self._released = threading.Event()

    def read(self, size: int = -1) -> bytes:
        self._released.wait()
        return b""

    def release(self) -> None:
        self._released.set()


class Scene(NamedTuple):
    """
    A state to be stopped in: how to make the body, and what to undo after each try.

    ``sends`` if a request has begun in it; ``keeps`` is how many idle connections it leaves meanwhile.
    """

    title: str
    endpoint: str
    ca_file: str | None
    make_body: Callable[[], Any] = lambda: bytes(4096)
    after: Callable[[Any], None] = lambda body: None
    before: Callable[[penstock.Client], Any] = lambda client: None
    max_workers: int = 128
    sends: bool = False
    keeps: int = 0


class Try(NamedTuple):
    abort_ms: float
    quiet_ms: float
    late_requests: int
    outcome: str


def _client_arguments(scene: Scene) -> dict[str, Any]:
    return {
        "endpoint": scene.endpoint,
        "region": "cn-hangzhou",
        "credentials": penstock.Credentials("LTAIexample", "secret"),
        "network": penstock.NetSettings(ca_file=scene.ca_file, proxy="", connect_timeout_s=60.0),
        "retry": penstock.RetryPolicy(max_attempts=100, base_delay_s=600.0, max_delay_s=600.0),
        "max_workers": scene.max_workers,
    }


def _in_use(client: penstock.Client) -> int:
    transport = client._requester._transport
    return transport.open_connections - len(transport._pool)


def _wait_until_silent(client: penstock.Client, connections: int) -> None:
    give_up = time.perf_counter() + 5.0
    while _in_use(client) > connections and time.perf_counter() < give_up:
        time.sleep(0)


def _arrived(client: penstock.Client, scene: Scene, requests: int) -> bool:
    transport = client._requester._transport
    return not scene.sends or (transport.requests_started > requests and len(transport._pool) == scene.keeps)


def _large_retry_budget(client: penstock.Client) -> None:
    client._requester._budget = RetryBudget(1_000_000)  # else it would end the tries one by one


def _stop_blocking(client: penstock.Client, scene: Scene) -> Try:
    transport = client._requester._transport
    body = scene.make_body()
    connections = 1 if scene.max_workers == 1 else 0
    requests = transport.requests_started
    call = client.submit(client.put_object, *_KEY, body)
    while not _arrived(client, scene, requests):
        time.sleep(0.001)
    time.sleep(_SETTLE_S * random.uniform(0.5, 1.5))
    assert not call.done(), call.outcome(0)
    requests = transport.requests_started
    begun = time.perf_counter()
    call.abort()
    returned = time.perf_counter()
    outcome = call.outcome(10.0)
    _wait_until_silent(client, connections)
    quiet = time.perf_counter()
    late = transport.requests_started - requests
    scene.after(body)
    return Try((returned - begun) * 1e3, (quiet - begun) * 1e3, late, str(getattr(outcome.error, "code", "")))


async def _stop_task(client: penstock.AsyncClient, scene: Scene) -> Try:
    transport = client.client._requester._transport
    body = scene.make_body()
    connections = 1 if scene.max_workers == 1 else 0
    requests = transport.requests_started
    task = asyncio.ensure_future(client.put_object(*_KEY, body))
    while not _arrived(client.client, scene, requests):
        await asyncio.sleep(0.001)
    await asyncio.sleep(_SETTLE_S * random.uniform(0.5, 1.5))
    assert not task.done()
    requests = transport.requests_started
    begun = time.perf_counter()
    task.cancel()
    returned = time.perf_counter()
    code = ""
    try:
        await task
    except asyncio.CancelledError as cancelled:
        code = str(getattr(cancelled.__cause__, "code", ""))
    _wait_until_silent(client.client, connections)
    quiet = time.perf_counter()
    late = transport.requests_started - requests
    scene.after(body)
    return Try((returned - begun) * 1e3, (quiet - begun) * 1e3, late, code)


def _descriptors() -> int:
    return sum(1 for _ in Path("/dev/fd").iterdir())


def _leftovers_settled(before: tuple[int, int]) -> tuple[int, int]:
    """Descriptors and threads more than before, once nothing ends any more."""
    give_up = time.perf_counter() + 2.0
    while True:
        more = (_descriptors() - before[0], threading.active_count() - before[1])
        if max(more) <= 0 or time.perf_counter() > give_up:
            return more
        time.sleep(0.05)


def _run_blocking(scene: Scene, tries: int) -> tuple[list[Try], tuple[int, int]]:
    client = penstock.Client(**_client_arguments(scene))
    held = scene.before(client)
    for _ in range(2):
        _stop_blocking(client, scene)
    before = (_descriptors(), threading.active_count())
    taken = [_stop_blocking(client, scene) for _ in range(tries)]
    more = _leftovers_settled(before)
    if held is not None:
        held.abort()
    client.close()
    return taken, more


def _run_tasks(scene: Scene, tries: int) -> tuple[list[Try], tuple[int, int]]:
    async def all_of_them() -> tuple[list[Try], tuple[int, int]]:
        client = penstock.AsyncClient(**_client_arguments(scene))
        held = scene.before(client.client)
        for _ in range(2):
            await _stop_task(client, scene)
        before = (_descriptors(), threading.active_count())
        taken = [await _stop_task(client, scene) for _ in range(tries)]
        more = _leftovers_settled(before)
        if held is not None:
            held.abort()
        client.client.close()
        return taken, more

    return asyncio.run(all_of_them())


@contextmanager
def _hung_resolver() -> Iterator[Callable[[Any], None]]:
    """Has every look-up of a name hang until the given function is called."""
    real = socket.getaddrinfo
    waiting: list[threading.Event] = []

    def hang(*args: Any, **kwargs: Any) -> Any:
        released = threading.Event()
        waiting.append(released)
        released.wait()
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    def release(_: Any) -> None:
        while waiting:
            waiting.pop().set()

    socket.getaddrinfo = hang
    try:
        yield release
    finally:
        socket.getaddrinfo = real
        release(None)


def _scenes(stack: ExitStack, folder: Path, tls: bool) -> Iterator[Scene]:
    scheme = "https" if tls else "http"
    certificate = folder / "server.pem" if tls else None
    ca_file = str(folder / "ca.pem") if tls else None

    def at(port: int) -> str:
        return f"{scheme}://127.0.0.1:{port}"

    no_reader = at(stack.enter_context(stalled("reads nothing", certificate)).port)
    no_answer = at(stack.enter_context(stalled("never answers", certificate)).port)
    busy = at(stack.enter_context(stalled("is busy", certificate)).port)
    yield Scene(
        "queued",
        no_answer,
        ca_file,
        before=lambda client: client.submit(client.put_object, *_KEY, b"holds the only thread"),
        max_workers=1,
    )
    with _hung_resolver() as release:
        yield Scene("resolving", f"{scheme}://oss.example.test", ca_file, after=release)
    with full_backlog() as port:
        yield Scene("connecting", at(port), ca_file)
    if tls:
        with silent() as port:
            yield Scene("TLS handshake", at(port), ca_file)
    yield Scene("sending to a stalled peer", no_reader, ca_file, make_body=lambda: _LARGE, sends=True)
    yield Scene("sending to a quick peer", no_answer, ca_file, make_body=lambda: _VERY_LARGE, sends=True)
    yield Scene("waiting for an answer", no_answer, ca_file, sends=True)
    yield Scene("back-off", busy, ca_file, before=_large_retry_budget, sends=True, keeps=1)
    yield Scene("hung source", no_answer, ca_file, make_body=_HungSource, after=_HungSource.release)


def _figures(values: Sequence[float]) -> str:
    ordered = sorted(values)
    p99 = ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]
    return f"{statistics.median(ordered):.2f} / {p99:.2f} / {ordered[-1]:.2f}"


def _ours(folder: Path, tries: int) -> tuple[list[list[str]], list[dict[str, Any]]]:
    rows, results = [], []
    runs: dict[str, Callable[[Scene, int], tuple[list[Try], tuple[int, int]]]]
    runs = {"blocking": _run_blocking, "asyncio": _run_tasks}
    for tls in (False, True):
        with ExitStack() as stack:
            for scene in _scenes(stack, folder, tls):
                for how, run in runs.items():
                    taken, (descriptors, threads) = run(scene, tries)
                    over = "TLS" if tls else "plain"
                    late = sum(one.late_requests for one in taken)
                    rows.append(
                        [
                            scene.title,
                            f"{how}, {over}",
                            _figures([one.abort_ms for one in taken]),
                            _figures([one.quiet_ms for one in taken]),
                            str(late),
                            f"{descriptors:+d} / {threads:+d}",
                            ", ".join(sorted({one.outcome for one in taken})),
                        ]
                    )
                    results.append(
                        {
                            "state": scene.title,
                            "how": how,
                            "tls": tls,
                            "descriptors_more": descriptors,
                            "threads_more": threads,
                            "tries": [one._asdict() for one in taken],
                        }
                    )
    return rows, results


def _on_what(surroundings: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in surroundings["packages"].items())
    return (
        f"Measured {surroundings['at']} on {surroundings['system']}, {surroundings['cpus']} processors, load "
        f"{surroundings['load_before']:.1f} before, Python {surroundings['python']}, {packages}."
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("--tries", type=int, default=200)
    options.add_argument("--no-peers", action="store_true", help="only penstock")
    options.add_argument("--patience", type=float, default=4.0, help="seconds to wait for a peer to stop")
    options.add_argument("--write", type=Path, help="a document whose figures are to be replaced")
    chosen = options.parse_args()
    surroundings = report.surroundings()
    with tempfile.TemporaryDirectory() as folder:
        sink.make_certificate(Path(folder))
        rows, results = _ours(Path(folder), chosen.tries)
        text = report.print_table(
            f"Stopping penstock ({chosen.tries} tries each; ms: median / p99 / max)",
            ["state", "", "abort() returns", "quiet", "requests begun after", "descriptors / threads left",
             "outcome"],
            rows,
        )  # fmt: skip
        peers: list[dict[str, Any]] = []
        if not chosen.no_peers:
            peers = abort_peers.measure(chosen.patience)
            text += "\n" + report.print_table(
                f"Stopping others, by the best means they have (waited for {chosen.patience:g} s at most)",
                ["client", "means", "state", "call ended after", "connection gone after"],
                [
                    [one["client"], one["means"], one["state"], one["call"], one["connection"]]
                    for one in peers
                ],
            )
    if chosen.write is not None:
        report.write_between_marks(chosen.write, f"{_on_what(surroundings)}\n\n{text}")
    path = report.write_json("abort", {"surroundings": surroundings, "penstock": results, "peers": peers})
    print(f"\n{path}")


if __name__ == "__main__":
    main()
