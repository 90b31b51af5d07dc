"""SIGKILL at any moment, again and again, under a mixed load of several threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from killed_server import CLIENTS
from store_box import bucket_named
from store_clients import PLAIN, VERSIONED, Client, Holding, held_by

from penstock.server.store import LocalStore

SCRIPT = Path(__file__).with_name("killed_server.py")


@contextmanager
def server(directory: Path, seed: int, *how: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), str(directory), str(seed), *how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run_until_killed(process: subprocess.Popen[str], first: int, kill_after: int) -> Counter[int]:
    """Lets clients work, kills them after so many confirmed calls, and says how many each had confirmed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{first}\n")
    process.stdin.flush()
    child, ended = 0, ""
    done: Counter[int] = Counter()
    for line in process.stdout:
        word, value = line.split()
        match word:
            case "pid":
                child = int(value)
            case "d":
                done[int(value)] += 1
            case "end":
                ended = value
                break
        if child and done.total() >= kill_after:
            os.kill(child, signal.SIGKILL)
            kill_after = sys.maxsize
    assert ended == str(-signal.SIGKILL)
    return done


def holdings_of(number: int, seed: int, calls: int) -> list[Holding]:
    """What a client holds after so many calls, and after one more."""
    client = Client(number, seed)
    held = [client.holding]
    for _ in range(calls + 1):
        client.holding = client.next_step().after
        held.append(client.holding)
    return held[-2:]


def kill_again_and_again(directory: Path, kills: int, seed: int) -> None:
    random = Random(seed)
    with LocalStore.open(directory, "strict") as store:
        store.create_bucket(bucket_named(PLAIN))
        store.create_bucket(bucket_named(VERSIONED))
        store.update_bucket(VERSIONED, lambda old: bucket_named(old.name, versioning="Enabled"))
    seen: dict[int, tuple[object, object]] = {}
    with server(directory, seed) as process:
        for turn in range(kills):
            first = turn * CLIENTS
            done = run_until_killed(process, first, random.randint(1, 40))
            with LocalStore.open(directory, "strict") as store:
                assert list((directory / "staging").iterdir()) == []
                for number in range(first, first + CLIENTS):
                    held = held_by(store, VERSIONED if number % 2 else PLAIN, f"{number}/")
                    allowed = [one.comparable() for one in holdings_of(number, seed, done[number])]
                    assert held in allowed
                    seen[number] = held
                report = store.check(scrub=True)
                assert report.sound, report
                assert len(report.orphans) <= CLIENTS
                store.repair()
                assert store.check().orphans == ()
    with LocalStore.open(directory, "strict") as store:
        for number, held in seen.items():
            assert held_by(store, VERSIONED if number % 2 else PLAIN, f"{number}/") == held


def test_a_store_killed_twenty_times_has_all_that_it_confirmed(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path / "data", 20, 1)


@pytest.mark.slow
def test_a_store_killed_a_hundred_times_has_all_that_it_confirmed(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path / "data", 100, 2)
