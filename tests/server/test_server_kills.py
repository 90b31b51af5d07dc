"""SIGKILL to the server, again and again, under a mixed load: whatever it confirmed is there afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "store"))  # for the clients of the store's own tests

from remote_store import RemoteStore
from served import Served
from store_clients import PLAIN, VERSIONED, Client, held_by
from test_store_kills import holdings_of

from penstock.server.store import LocalStore

CLIENTS = 4


@dataclass
class Load:
    """
    Clients that work until their server is gone, or they are told to stop.

    Attributes:
        done: How many calls of each client were confirmed.
        working: How many of them still work.
    """

    served: Served
    seed: int
    done: Counter[int] = field(default_factory=Counter)
    working: int = 0
    _stopping: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def run(self, first: int, until: Callable[[], None]) -> None:
        """Begins with this client and some more, and ends when ``until`` has returned."""
        self.working = CLIENTS
        with ThreadPoolExecutor(CLIENTS) as pool:
            working = [pool.submit(self._work, number) for number in range(first, first + CLIENTS)]
            try:
                until()
            finally:
                self._stopping = True
            for one in working:
                one.result()

    def wait_for(self, more_calls: int) -> None:
        """Until so many more calls are confirmed, or nobody works any more."""
        with self._changed:
            wanted = self.done.total() + more_calls
            assert self._changed.wait_for(lambda: self.done.total() >= wanted or not self.working, 30)

    def _work(self, number: int) -> None:
        store, client = RemoteStore(self.served.wire()), Client(number, self.seed)
        try:
            while not self._stopping:
                step = client.next_step()
                client.take(step, store)  # type: ignore[arg-type]  # as much of a store as this needs
                with self._changed:
                    self.done[number] += 1
                    self._changed.notify_all()
        except (OSError, EOFError):
            # It was killed before it answered.
            pass
        finally:
            store.close()
            with self._changed:
                self.working -= 1
                self._changed.notify_all()


def prepare(served: Served) -> None:
    wire = served.wire()
    for name in (PLAIN, VERSIONED):
        assert wire.ask("PUT", f"/{name}/").status == 200
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    assert wire.ask("PUT", f"/{VERSIONED}/?versioning", enabled).status == 200


class Looked:
    """What a server holds: bytes over HTTP; the order of versions, which OSS does not show, from disk."""

    def __init__(self, served: Served, store: LocalStore) -> None:
        self._remote = RemoteStore(served.wire())
        self.list_object_versions = store.list_object_versions
        self.get_object = self._remote.get_object
        self.list_uploads = self._remote.list_uploads
        self.list_parts = self._remote.list_parts

    def held(self, number: int) -> object:
        store: Any = self
        return held_by(store, VERSIONED if number % 2 else PLAIN, f"{number}/")

    def assert_held(self, load: Load, numbers: Iterable[int]) -> dict[int, object]:
        """Each client has what was confirmed, byte for byte, and at most what it asked for last besides."""
        found = {}
        for number in numbers:
            found[number] = self.held(number)
            allowed = holdings_of(number, load.seed, load.done[number])
            assert found[number] in [one.comparable() for one in allowed]
        return found

    def close(self) -> None:
        self._remote.close()


@contextmanager
def looking(served: Served) -> Iterator[tuple[LocalStore, Looked]]:
    with LocalStore.join(served.data) as store, closing(Looked(served, store)) as looked:
        yield store, looked


def assert_sound(store: LocalStore) -> None:
    """The files and the metadata agree, and what the kill left behind can be swept."""
    report = store.check()
    assert report.sound, report
    assert len(report.orphans) <= CLIENTS
    store.repair()
    assert store.check().orphans == ()


def kill_again_and_again(folder: Path, *, kills: int, seed: int, processes: int) -> None:
    random = Random(seed)
    seen: dict[int, object] = {}
    with Served(folder, processes=processes) as served:
        prepare(served)
        for turn in range(kills):
            first = turn * CLIENTS
            load = Load(served, seed)

            def kill(load: Load = load) -> None:
                load.wait_for(random.randint(1, 60))
                served.kill()

            load.run(first, kill)
            served.restart()
            with looking(served) as (store, looked):
                seen |= looked.assert_held(load, range(first, first + CLIENTS))
                assert_sound(store)
            assert list((served.data / "staging").iterdir()) == []
        with looking(served) as (_, looked):
            for number, held in seen.items():
                assert looked.held(number) == held
        assert served.stop() == 0
    for words in (["--scrub"], ["--repair"]):
        checked = subprocess.run(
            [sys.executable, "-m", "penstock.cli", "fsck", str(served.data), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert "in order" in checked.stdout


def test_a_server_killed_five_times_has_all_that_it_confirmed(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=5, seed=1, processes=1)


def test_two_processes_killed_together_have_all_that_they_confirmed(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, kills=3, seed=2, processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_killed_a_hundred_times_has_all_that_it_confirmed(tmp_path: Path, processes: int) -> None:
    kill_again_and_again(tmp_path, kills=100, seed=3, processes=processes)


def kill_one_of_two(folder: Path, *, kills: int, seed: int) -> None:
    random = Random(seed)
    survivors = 0
    with Served(folder, processes=2) as served:
        prepare(served)
        for turn in range(kills):
            load, first = Load(served, seed), turn * CLIENTS
            children = served.wait_for_children(2)

            def kill_one(load: Load = load, mortal: int = random.choice(children)) -> None:
                nonlocal survivors
                load.wait_for(random.randint(1, 60))
                os.kill(mortal, signal.SIGKILL)
                load.wait_for(20)
                survivors += load.working

            load.run(first, kill_one)
            with looking(served) as (store, looked):
                looked.assert_held(load, range(first, first + CLIENTS))
                assert_sound(store)
        assert served.stop() == 0
    # Otherwise nothing was shown about the process that was left alone.
    assert survivors
    with LocalStore.open(served.data) as store:
        assert store.check(scrub=True).sound
        assert list((served.data / "staging").iterdir()) == []


def test_one_of_two_processes_killed_under_load_takes_nothing_with_it(tmp_path: Path) -> None:
    kill_one_of_two(tmp_path, kills=4, seed=4)


@pytest.mark.slow
def test_one_of_two_processes_killed_a_hundred_times_takes_nothing_with_it(tmp_path: Path) -> None:
    kill_one_of_two(tmp_path, kills=100, seed=5)
