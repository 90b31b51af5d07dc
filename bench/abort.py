"""
How soon an upload has stopped, in every state it can be in; and what others do at the same stalled server.

For each state a call is brought there, left for some milliseconds, and stopped from another thread (blocking)
or by cancelling its task (asyncio). ``abort()`` is the time that the stopping call itself takes; ``quiet`` is
the time until the call has ended and no connection of the client is in use. Bytes after are those that the
other end's kernel took once ``abort()`` had returned, or the loop had passed the cancellation on; it tells
when each packet came. Descriptors and threads are counted after two warm-up tries and again after the last.

    python bench/abort.py                       # all of it, some minutes
    python bench/abort.py --tries 20 --no-peers --only "hashing,back-off"
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import abort_many
import abort_peers
import penstock
import report
import sink
from abort_scenes import Scene, scenes, started

_SETTLE_S = 0.008
_ARRIVE_S = 20.0
_PATIENCE_S = 10.0
_ROUNDS_TO_CANCEL = 2
"""After so many rounds of its loop a task has been told that it is cancelled, and has stopped its call."""


class Try(NamedTuple):
    """``late_bytes`` is None where no request had begun, or the system does not tell."""

    abort_ms: float
    quiet_ms: float
    late_requests: int
    late_bytes: tuple[int, int] | None
    outcome: str


def _in_use(client: penstock.Client) -> int:
    transport = client._requester._transport
    return transport.open_connections - len(transport._pool)


def _wait_until_silent(client: penstock.Client, scene: Scene) -> None:
    give_up = time.perf_counter() + 5.0
    while _in_use(client) > scene.in_use and time.perf_counter() < give_up:
        time.sleep(0)


def _late_bytes(scene: Scene, moment: float) -> tuple[int, int] | None:
    if scene.server is None:
        return None
    end = scene.server.next_end(_PATIENCE_S)
    assert end is not None, f"{scene.title}: the connection did not end"
    return end.bytes_after(moment)


def _stop_blocking(client: penstock.Client, scene: Scene) -> Try:
    made = scene.make()
    requests = started(client)
    running = scene.begin(client, made)
    give_up = time.perf_counter() + _ARRIVE_S
    while not scene.is_there(client, requests, made) and time.perf_counter() < give_up:
        time.sleep(0.001)
    assert scene.is_there(client, requests, made), f"{scene.title} was not reached"
    time.sleep(_SETTLE_S * random.uniform(0.5, 1.5))
    assert not running.done(), running.outcome(0)
    requests = started(client)
    begun = time.perf_counter()
    running.abort()
    returned = time.perf_counter()
    outcome = running.outcome(_PATIENCE_S)
    _wait_until_silent(client, scene)
    quiet = time.perf_counter()
    late = started(client) - requests
    scene.after(made)
    code = str(getattr(outcome.error, "code", ""))
    return Try((returned - begun) * 1e3, (quiet - begun) * 1e3, late, _late_bytes(scene, returned), code)


async def _stop_task(client: penstock.AsyncClient, scene: Scene) -> Try:
    made = scene.make()
    requests = started(client.client)
    task = asyncio.ensure_future(scene.begin_task(client, made))
    give_up = time.perf_counter() + _ARRIVE_S
    while not scene.is_there(client.client, requests, made) and time.perf_counter() < give_up:
        await asyncio.sleep(0.001)
    assert scene.is_there(client.client, requests, made), f"{scene.title} was not reached"
    await asyncio.sleep(_SETTLE_S * random.uniform(0.5, 1.5))
    assert not task.done(), task
    requests = started(client.client)
    begun = time.perf_counter()
    task.cancel()
    returned = time.perf_counter()
    for _ in range(_ROUNDS_TO_CANCEL):
        await asyncio.sleep(0)
    cancelled_at = time.perf_counter()
    code = ""
    try:
        await task
    except asyncio.CancelledError as cancelled:
        code = str(getattr(cancelled.__cause__, "code", ""))
    _wait_until_silent(client.client, scene)
    quiet = time.perf_counter()
    late = started(client.client) - requests
    scene.after(made)
    return Try((returned - begun) * 1e3, (quiet - begun) * 1e3, late, _late_bytes(scene, cancelled_at), code)


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
    client = penstock.Client(**scene.arguments)
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
        client = penstock.AsyncClient(**scene.arguments)
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


def _most_bytes(taken: Sequence[Try]) -> str:
    counts = [one.late_bytes for one in taken if one.late_bytes is not None]
    return report.between(counts) if counts else "-"


def _ours(folder: Path, tries: int, only: set[str]) -> tuple[list[list[str]], list[dict[str, Any]]]:
    rows, results = [], []
    runs: dict[str, Callable[[Scene, int], tuple[list[Try], tuple[int, int]]]]
    runs = {"blocking": _run_blocking, "asyncio": _run_tasks}
    for tls in (False, True):
        over = "TLS" if tls else "plain"
        for scene in scenes(folder, tls=tls):
            if only and scene.title not in only:
                continue
            for how, run in runs.items():
                taken, (descriptors, threads) = run(scene, tries)
                rows.append(
                    [
                        scene.title,
                        f"{how}, {over}",
                        report.spread([one.abort_ms for one in taken]),
                        report.spread([one.quiet_ms for one in taken]),
                        str(sum(one.late_requests for one in taken)),
                        _most_bytes(taken),
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
    options.add_argument("--only", default="", help="states, with commas in between")
    options.add_argument("--no-peers", action="store_true", help="only penstock")
    options.add_argument("--patience", type=float, default=4.0, help="seconds to wait for a peer to stop")
    options.add_argument("--write", type=Path, help="a document whose figures are to be replaced")
    chosen = options.parse_args()
    surroundings = report.surroundings()
    with tempfile.TemporaryDirectory() as folder:
        sink.make_certificate(Path(folder))
        rows, results = _ours(Path(folder), chosen.tries, set(filter(None, chosen.only.split(","))))
        text = report.print_table(
            f"Stopping penstock ({chosen.tries} tries each; ms: median / p99 / max)",
            ["state", "", "abort() returns", "quiet", "requests begun after", "bytes after, most",
             "descriptors / threads left", "outcome"],
            rows,
        )  # fmt: skip
        many = []
        if not chosen.only:
            many_tries = max(1, chosen.tries // 10)
            many = abort_many.measure(many_tries)
            text += "\n" + abort_many.print_figures(many, many_tries)
        peers: list[dict[str, Any]] = []
        if not chosen.no_peers:
            peers = abort_peers.measure(chosen.patience)
            text += "\n" + report.print_table(
                f"Stopping others, by the best means they have (waited for {chosen.patience:g} s at most)",
                ["client", "means", "state", "call ended after", "connection gone after", "bytes after"],
                [
                    [one[what] for what in ("client", "means", "state", "call", "connection", "late")]
                    for one in peers
                ],
            )
    if chosen.write is not None:
        report.write_between_marks(chosen.write, f"{_on_what(surroundings)}\n\n{text}")
    path = report.write_json(
        "abort", {"surroundings": surroundings, "penstock": results, "many": many, "peers": peers}
    )
    print(f"\n{path}")


if __name__ == "__main__":
    main()
