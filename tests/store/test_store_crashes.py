"""A power cut at any moment: what was confirmed is there to the byte, and nothing is half there."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TypeGuard

import pytest
from power_cut import (
    BytesOnly,
    Chance,
    Choice,
    Disk,
    Event,
    Everything,
    Flushed,
    Made,
    NamesOnly,
    Noted,
    Recorder,
    Removed,
    Written,
)
from store_box import Box, bucket_named
from store_clients import LARGE_BYTES, PLAIN, VERSIONED, Client, Holding, held_by

from penstock.errors import StoreError
from penstock.server.store import LocalStore, blobs, faults
from penstock.server.store.schema import Durability

CLIENTS = 3
READY = "ready"


@dataclass(frozen=True)
class Begun:
    client: int


@dataclass(frozen=True)
class Done:
    client: int


@dataclass(frozen=True)
class Recording:
    """
    What a disk was asked, and what each client may expect.

    Attributes:
        holdings: For each client what it holds before its first call, after it, after the second ...
    """

    log: list[Event]
    holdings: list[list[Holding]]


def open_store(directory: Path, durability: Durability) -> LocalStore:
    store = LocalStore.open(directory, durability)
    # So that the log is carried over into the tables many times, not once in a blue moon.
    store._writer.run("configuring", lambda db: db.pragma("wal_autocheckpoint", 30) and None)
    return store


def make_buckets(store: LocalStore) -> None:
    store.create_bucket(bucket_named(PLAIN))
    store.create_bucket(bucket_named(VERSIONED))
    store.update_bucket(VERSIONED, lambda old: bucket_named(old.name, versioning="Enabled"))


def record(
    directory: Path,
    seed: int,
    *,
    durability: Durability = "strict",
    calls: int = 14,
    deaf_to: str = "",
) -> Recording:
    """Lets clients work in a new store, which is closed and opened again half-way."""
    recorder = Recorder(directory, deaf_to)
    clients = [Client(number, seed) for number in range(CLIENTS)]
    holdings = [[client.holding] for client in clients]

    def work(store: LocalStore, number: int) -> None:
        for turn in range(calls):
            step = clients[number].next_step()
            holdings[number].append(step.after)
            recorder.note(Begun(number))
            clients[number].take(step, store)
            recorder.note(Done(number))
            if turn % 4 == 3:
                store.collect_garbage()

    with recorder.listening():
        for first_time in (True, False):
            with open_store(directory, durability) as store, ThreadPoolExecutor(CLIENTS) as pool:
                if first_time:
                    make_buckets(store)
                    recorder.note(READY)
                for done in [pool.submit(work, store, number) for number in range(CLIENTS)]:
                    done.result()
                store.collect_garbage()
    return Recording(recorder.log, holdings)


def choices(random: Random) -> Iterator[Choice]:
    while True:
        yield from (Choice(), Everything(), NamesOnly(), BytesOnly())
        yield from (Chance(random) for _ in range(5))


@dataclass
class Cut:
    """
    A power cut in a recording.

    Attributes:
        ready: True if the buckets were confirmed.
        done: How many calls of each client were confirmed.
    """

    disk: Disk
    ready: bool
    done: Counter[int]


def cuts(recording: Recording, count: int, seed: int) -> Iterator[tuple[Cut, Choice]]:
    """So many power cuts, all over the recording, each with a choice of what is left."""
    random = Random(seed)
    moments = [
        at
        for at, event in enumerate(recording.log)
        # Most is written, but it is names that make the difference.
        for _ in range(0 if isinstance(event, Noted) else 1 if isinstance(event, Written) else 4)
    ]
    # From each stretch one, so that none is left out.
    wanted = Counter(
        random.choice(moments[len(moments) * turn // count : len(moments) * (turn + 1) // count] or moments)
        for turn in range(count)
    )
    cut = Cut(Disk(), False, Counter())
    unfinished = choices(random)
    for at, event in enumerate(recording.log):
        match event:
            case Noted(what=Done(client)):
                cut.done[client] += 1
            case Noted(what=what):
                cut.ready = cut.ready or what == READY
            case _:
                cut.disk.replay(event)
        for _ in range(wanted[at]):
            yield cut, next(unfinished)


def assert_survived(directory: Path, cut: Cut, recording: Recording, *, confirmed_stays: bool = True) -> None:
    """Opens what is left and looks at all of it."""
    with LocalStore.open(directory, "none") as store:
        assert list((directory / "staging").iterdir()) == []
        report = store.check(scrub=True)
        assert report.sound, report
        names = [one.name for one in store.list_buckets().buckets]
        if cut.ready and confirmed_stays:
            assert names == [PLAIN, VERSIONED]
            assert store.head_bucket(VERSIONED).versioning == "Enabled"
        if names == [PLAIN, VERSIONED]:
            for number, holdings in enumerate(recording.holdings):
                confirmed = cut.done[number]
                first = confirmed if confirmed_stays else 0
                allowed = [held.comparable() for held in holdings[first : confirmed + 2]]
                bucket = PLAIN if number % 2 == 0 else VERSIONED
                assert held_by(store, bucket, f"{number}/") in allowed
        store.repair()
        report = store.check()
        assert report.sound, report
        assert (report.orphans, report.garbage_count) == ((), 0)
        assert_works(store)


def assert_undamaged(directory: Path, cut: Cut, recording: Recording) -> None:
    """The same, where what was confirmed may be undone."""
    assert_survived(directory, cut, recording, confirmed_stays=False)


def assert_works(store: LocalStore) -> None:
    try:
        store.create_bucket(bucket_named("after"))
    except faults.BucketExists:
        pass
    store.put_config("after", "works", b"yes")
    assert store.get_config("after", "works") == b"yes"


def survive_cuts(
    tmp_path: Path,
    recording: Recording,
    count: int,
    seed: int,
    *,
    look: Callable[[Path, Cut, Recording], None] = assert_survived,
) -> None:
    for turn, (cut, choice) in enumerate(cuts(recording, count, seed)):
        left = tmp_path / f"left{turn}"
        cut.disk.leave(left, choice)
        look(left, cut, recording)
        shutil.rmtree(left)


@pytest.mark.parametrize("seed", range(4))
def test_a_strict_store_has_all_that_it_confirmed_after_a_power_cut(tmp_path: Path, seed: int) -> None:
    survive_cuts(tmp_path, record(tmp_path / "data", seed), 60, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
def test_a_strict_store_survives_thousands_of_power_cuts(tmp_path: Path, seed: int) -> None:
    survive_cuts(tmp_path, record(tmp_path / "data", seed, calls=40), 400, seed)


@pytest.mark.parametrize("seed", range(2))
def test_a_relaxed_store_may_forget_the_last_answers_and_is_never_damaged(tmp_path: Path, seed: int) -> None:
    recording = record(tmp_path / "data", seed, durability="relaxed")
    survive_cuts(tmp_path, recording, 60, seed, look=assert_undamaged)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 110))
def test_a_relaxed_store_survives_thousands_of_power_cuts(tmp_path: Path, seed: int) -> None:
    recording = record(tmp_path / "data", seed, durability="relaxed", calls=40)
    survive_cuts(tmp_path, recording, 400, seed, look=assert_undamaged)


@pytest.mark.parametrize("seed", range(2))
def test_what_a_killed_process_committed_is_durable_before_the_next_one_acts_on_it(
    tmp_path: Path, seed: int
) -> None:
    recording = record(tmp_path / "data", seed)
    wal = {event.inode for event in recording.log if isinstance(event, Made) and event.path.endswith("-wal")}
    ready = recording.log.index(Noted(READY))
    # Killed when all of a commit was written and none of it flushed: the next process sees that commit.
    kills = [
        at
        for at, event in enumerate(recording.log)
        if at > ready and isinstance(event, Flushed) and event.inode in wal
    ]
    for at in Random(seed).sample(kills, min(30, len(kills))):
        killed = tmp_path / f"killed{at}"
        recorder = Recorder.after_a_kill(recording.log[:at], killed)
        with recorder.listening(), LocalStore.open(killed, "strict") as store:
            store.collect_garbage()
            log = list(recorder.log)
        disk = Disk()
        done = Counter(event.what.client for event in log[:at] if is_done(event))
        for position, event in enumerate(log):
            disk.replay(event)
            if position > at and isinstance(event, Removed) and event.path.startswith("blobs/"):
                left = tmp_path / f"left{at}-{position}"
                disk.leave(left, NamesOnly())
                assert_survived(left, Cut(disk, True, done), recording)


def is_done(event: Event) -> TypeGuard[Noted]:
    return isinstance(event, Noted) and isinstance(event.what, Done)


def skip(*_: object) -> None:
    """Does not flush what it should."""


@pytest.mark.parametrize("confirmed", [True, False])
def test_garbage_goes_only_after_its_commit_is_durable(
    tmp_path: Path, confirmed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path / "data")
    disk = Disk()
    with recorder.listening():
        with LocalStore.open(tmp_path / "data", "relaxed") as store:
            store.create_bucket(bucket_named(Box.name))
            Box(store).put("key", bytes(LARGE_BYTES))
        # Closing made all of it durable.
        with LocalStore.open(tmp_path / "data", "relaxed") as store:
            if not confirmed:
                monkeypatch.setattr(store._garbage, "_confirm", skip)
            Box(store).delete("key")
            assert store.collect_garbage() <= 1
            for event in list(recorder.log):
                disk.replay(event)
    disk.leave(tmp_path / "left", NamesOnly())
    with LocalStore.open(tmp_path / "left", "none") as store:
        assert store.check().sound == confirmed
        assert Box(store).keys() == ([] if confirmed else ["key"])


@pytest.mark.parametrize("missing", ["sync_file", "sync_directory", "sqlite"])
def test_a_store_that_left_out_a_flush_would_not_survive(
    tmp_path: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        if missing != "sqlite":
            patched.setattr(blobs, missing, skip)
        recording = record(tmp_path / "data", 0, deaf_to=missing)
    with pytest.raises((AssertionError, StoreError)):
        survive_cuts(tmp_path, recording, 200, 0)
