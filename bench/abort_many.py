"""
How soon much has stopped that is stopped as one: many calls of a client, and a group in which many wait.

    python bench/abort_many.py --tries 20
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import penstock
import report
import stall
from abort_scenes import client_arguments, started

_BODY = bytes(4 << 20)
_GATHER_S = 20.0
_SETTLE_S = 0.2


class Crowd(NamedTuple):
    """What was begun: how to stop it, and how to wait until it has ended."""

    stop: Callable[[], object]
    wait: Callable[[], object]


def _wait_until_sending(client: penstock.Client, requests: int) -> None:
    give_up = time.perf_counter() + _GATHER_S
    while started(client) < requests and time.perf_counter() < give_up:
        time.sleep(0.001)
    time.sleep(_SETTLE_S)


@contextmanager
def _calls(url: str, count: int) -> Iterator[Crowd]:
    with penstock.Client(**client_arguments(url, None), max_workers=count) as client:
        calls = [client.submit(client.put_object, "bucket", str(number), _BODY) for number in range(count)]
        _wait_until_sending(client, count)
        yield Crowd(client.disable_requests, lambda: [call.exception() for call in calls])


@contextmanager
def _group(url: str, count: int) -> Iterator[Crowd]:
    with penstock.Client(**client_arguments(url, None)) as client:
        group = client.group(parallel=3)
        for number in range(count):
            group.upload(_BODY, f"oss://bucket/{number}")
        _wait_until_sending(client, 3)
        yield Crowd(group.abort, group.wait)


CROWDS: dict[str, tuple[Callable[..., Any], int]] = {
    "16 calls that send, `disable_requests()`": (_calls, 16),
    "128 calls that send, `disable_requests()`": (_calls, 128),
    "a group of 1,000, 3 of which send, `group.abort()`": (_group, 1_000),
    "a group of 20,000, 3 of which send, `group.abort()`": (_group, 20_000),
}


def measure(tries: int) -> list[dict[str, Any]]:
    """Milliseconds of each try: until the stopping call returned, and until all had ended."""
    results = []
    with stall.stalled("reads nothing") as peer:
        for what, (crowd, count) in CROWDS.items():
            taken = []
            for _ in range(tries):
                with crowd(f"http://127.0.0.1:{peer.port}", count) as begun:
                    began = time.perf_counter()
                    begun.stop()
                    stopped = time.perf_counter()
                    begun.wait()
                    ended = time.perf_counter()
                taken.append(((stopped - began) * 1e3, (ended - began) * 1e3))
            results.append({"what": what, "tries": taken})
    return results


def print_figures(results: list[dict[str, Any]], tries: int) -> str:
    """The table, which is printed too."""
    return report.print_table(
        f"Stopping many as one ({tries} tries each; ms: median / p99 / max)",
        ["what", "the call returns", "quiet"],
        [
            [
                one["what"],
                report.spread([abort_ms for abort_ms, _ in one["tries"]]),
                report.spread([quiet_ms for _, quiet_ms in one["tries"]]),
            ]
            for one in results
        ],
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("--tries", type=int, default=20)
    chosen = options.parse_args()
    print_figures(measure(chosen.tries), chosen.tries)


if __name__ == "__main__":
    main()
