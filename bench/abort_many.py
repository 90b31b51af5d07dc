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
_LONG_BODY = bytes(64 << 20)
_GATHER_S = 20.0
_SETTLE_S = 0.2
_NOTE_S = 5.0
_BOUND_BYTES = 256 * 1024


class Crowd(NamedTuple):
    """What was begun: how to stop it, and how to wait until it has ended."""

    stop: Callable[[], object]
    wait: Callable[[], object]


class Taken(NamedTuple):
    """
    One try.

    Attributes:
        abort_ms, quiet_ms: Until the stopping call returned, and until all had ended.
        late_bytes: Bytes that came after that call had returned, for each connection, at least and at most.
    """

    abort_ms: float
    quiet_ms: float
    late_bytes: list[tuple[int, int]]


def _wait_until_sending(client: penstock.Client, requests: int) -> None:
    give_up = time.perf_counter() + _GATHER_S
    while started(client) < requests and time.perf_counter() < give_up:
        time.sleep(0.001)
    time.sleep(_SETTLE_S)


@contextmanager
def _calls(url: str, count: int, body: bytes = _BODY) -> Iterator[Crowd]:
    with penstock.Client(**client_arguments(url, None), max_workers=count) as client:
        calls = [client.submit(client.put_object, "bucket", str(number), body) for number in range(count)]
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


@contextmanager
def _long_calls(url: str, count: int) -> Iterator[Crowd]:
    with _calls(url, count, _LONG_BODY) as crowd:
        yield crowd


CROWDS: dict[str, tuple[Callable[..., Any], int, str]] = {
    "16 calls that send to a stalled peer, `disable_requests()`": (_calls, 16, "reads nothing"),
    "128 calls that send to a stalled peer, `disable_requests()`": (_calls, 128, "reads nothing"),
    "16 calls that send to a quick peer, `disable_requests()`": (_long_calls, 16, "never answers"),
    "64 calls that send to a quick peer, `disable_requests()`": (_long_calls, 64, "never answers"),
    "128 calls that send to a quick peer, `disable_requests()`": (_long_calls, 128, "never answers"),
    "a group of 1,000, 3 of which send, `group.abort()`": (_group, 1_000, "reads nothing"),
    "a group of 20,000, 3 of which send, `group.abort()`": (_group, 20_000, "reads nothing"),
}


def measure(tries: int) -> list[tuple[str, list[Taken]]]:
    """What each try of each crowd took."""
    return [
        (what, [_stopped(crowd, count, behaviour) for _ in range(tries)])
        for what, (crowd, count, behaviour) in CROWDS.items()
    ]


def _stopped(crowd: Callable[..., Any], count: int, behaviour: str) -> Taken:
    with stall.stalled(behaviour, noting=True) as peer:
        with crowd(f"http://127.0.0.1:{peer.port}", count) as begun:
            began = time.perf_counter()
            begun.stop()
            stopped = time.perf_counter()
            begun.wait()
            ended = time.perf_counter()
        connections = 3 if crowd is _group else count
        notes = [peer.next_end(_NOTE_S) for _ in range(connections)]
    late_bytes = [note.bytes_after(stopped) for note in notes if note is not None]
    return Taken(
        (stopped - began) * 1e3, (ended - began) * 1e3, [late for late in late_bytes if late is not None]
    )


def print_figures(results: list[tuple[str, list[Taken]]], tries: int) -> str:
    """The table, which is printed too."""
    return report.print_table(
        f"Stopping many as one ({tries} tries each; ms: median / p99 / max)",
        ["what", "the call returns", "quiet", "connections with over 256 KiB after it", "bytes after, most"],
        [
            [
                what,
                report.spread([one.abort_ms for one in taken]),
                report.spread([one.quiet_ms for one in taken]),
                _share_of_late([late for one in taken for late, _ in one.late_bytes]),
                f"{max((late for one in taken for late, _ in one.late_bytes), default=0):,}",
            ]
            for what, taken in results
        ],
    )


def _share_of_late(late_bytes: list[int]) -> str:
    return f"{sum(1 for late in late_bytes if late > _BOUND_BYTES)} of {len(late_bytes)}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("--tries", type=int, default=20)
    chosen = options.parse_args()
    print_figures(measure(chosen.tries), chosen.tries)


if __name__ == "__main__":
    main()
