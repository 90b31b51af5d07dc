"""Several processes at one store: the same promises as those of many threads, and one that is killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from collisions import (
    CASES,
    OLD_PARTS,
    assert_explained,
    assert_nothing_is_left_over,
    begin,
    random_script,
    scripts_of,
)
from histories import Call, Happened, Key, State
from killed_server import CLIENTS
from store_box import PART, Box, bucket_named
from store_clients import PLAIN, VERSIONED, held_by
from test_store_kills import holdings_of, run_until_killed, server

from penstock.errors import StoreError
from penstock.server.store import Attributes, DirectoryLock, LocalStore

SCRIPT = Path(__file__).with_name("sharing_process.py")
ROUNDS = 4
HEAD_START_NS = 3_000_000

Process = subprocess.Popen[bytes]


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[LocalStore]:
    """A store that any number of processes may join; one of them is this one."""
    (tmp_path / "data").mkdir()
    lock = DirectoryLock(tmp_path / "data")
    try:
        with LocalStore.open(tmp_path / "data", "none", lock=lock) as prepared:
            prepared.create_bucket(bucket_named(Box.name))
        with LocalStore.join(tmp_path / "data", "none") as store:
            yield store
            report = store.check(scrub=True)
            assert report.sound, report
    finally:
        lock.close()


@pytest.fixture
def processes(shared: LocalStore, tmp_path: Path) -> Iterator[list[Process]]:
    """Two more that use it."""
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(tmp_path / "data"), "none"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            made.append(process)
        for process in made:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"!"
        yield made


def spread_out(processes: list[Process], key: Key, scripts: list[list[Call]]) -> list[Happened]:
    """Has each script carried out by a thread of one process or the other, all beginning together."""
    known = {argument for script in scripts for call in script for argument in call.arguments}
    pieces = [*range(10), *(one for one in known if isinstance(one, int))]
    begin_ns = time.perf_counter_ns() + HEAD_START_NS
    busy = []
    for index, process in enumerate(processes):
        mine = scripts[index :: len(processes)]
        if mine:
            assert process.stdin is not None
            pickle.dump((key.name, pieces, mine, begin_ns), process.stdin)
            process.stdin.flush()
            busy.append(process)
    history: list[Happened] = []
    for process in busy:
        assert process.stdout is not None
        history += pickle.load(process.stdout)
    for piece in pieces:
        key.piece(piece)
    return history


@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
@pytest.mark.parametrize("case", CASES)
def test_calls_of_two_processes_that_collide_come_out_in_some_order(
    shared: LocalStore, processes: list[Process], case: str, versioned: bool
) -> None:
    box = Box(shared)
    if versioned:
        box.set_versioning("Enabled")
    for turn in range(ROUNDS):
        key = Key(box, f"key{turn}")
        pieces = iter(range(10, 1000))
        upload_id, start = begin(box, key, State(versioned), OLD_PARTS)
        scripts = scripts_of(case, upload_id, pieces)
        assert_explained(box, key, start, spread_out(processes, key, scripts))
    assert_nothing_is_left_over(box)


def collide_at_random(
    shared: LocalStore, processes: list[Process], *, versioned: bool, rounds: int, seed: int
) -> None:
    box, random = Box(shared), Random(seed)
    if versioned:
        box.set_versioning("Enabled")
    for turn in range(rounds):
        key = Key(box, f"key{seed}-{turn}")
        pieces = iter(range(10, 1000))
        first, state = begin(box, key, State(versioned), {1: 1, 2: 2})
        second, state = begin(box, key, state, {1: 3, 2: 4, 3: 5})
        scripts = [random_script(random, pieces, [first, second], random.randint(2, 5)) for _ in range(4)]
        assert_explained(box, key, state, spread_out(processes, key, scripts))
    assert_nothing_is_left_over(box)


@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
def test_random_calls_of_two_processes_come_out_in_some_order(
    shared: LocalStore, processes: list[Process], versioned: bool
) -> None:
    collide_at_random(shared, processes, versioned=versioned, rounds=15, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
def test_thousands_of_calls_of_two_processes_come_out_in_some_order(
    shared: LocalStore, processes: list[Process], versioned: bool, seed: int
) -> None:
    collide_at_random(shared, processes, versioned=versioned, rounds=200, seed=seed)


# -- what one process must leave to another


def test_what_one_process_reads_stays_while_another_collects_garbage(
    shared: LocalStore, tmp_path: Path
) -> None:
    box = Box(shared)
    upload_id = box.begin("key")
    parts = [box.part("key", upload_id, number, bytes([number]) * PART) for number in range(1, 20)]
    box.complete("key", upload_id, parts)
    with LocalStore.join(tmp_path / "data", "none") as other:
        # More files than are opened ahead, so that they are needed until the end.
        with shared.get_object(Box.name, "key") as found:
            other.delete_object(Box.name, "key")
            assert other.collect_garbage() == 0
            assert found.read() == b"".join(bytes([number]) * PART for number in range(1, 20))
        # Whichever process is first: one of them may have looked by itself since the read ended.
        other.collect_garbage()
        assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()] == []


def test_a_reader_keeps_only_what_it_may_need(shared: LocalStore, tmp_path: Path) -> None:
    box = Box(shared)
    upload_id = box.begin("kept")
    parts = [box.part("kept", upload_id, number, bytes([number]) * PART) for number in range(1, 20)]
    box.complete("kept", upload_id, parts)
    with LocalStore.join(tmp_path / "data", "none") as other:
        box.put("key", bytes(PART))
        box.put("key", bytes(PART))
        with other.get_object(Box.name, "kept"):
            pass
        # By now the other process knows of the garbage above, and keeps none of it.
        with other.get_object(Box.name, "kept"):
            shared.collect_garbage()
            assert shared.check().garbage_count == 0


def test_what_one_process_is_about_to_commit_is_no_orphan_to_another(
    shared: LocalStore, tmp_path: Path
) -> None:
    with LocalStore.join(tmp_path / "data", "none") as other:
        with shared.stage(PART) as staged:
            staged.write(bytes(PART))
            staged.seal()
            assert other.check().orphans == ()
            assert other.repair().orphans == ()
            shared.put_object(Box.name, "key", staged, Attributes())
        assert Box(other).read("key") == bytes(PART)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look after the store of somebody else")
def test_what_root_leaves_in_the_store_of_another_user_is_that_users(tmp_path: Path) -> None:
    directory, owner = tmp_path / "data", 12345
    LocalStore.open(directory, "none").close()
    for path in (directory, *directory.rglob("*")):
        os.chown(path, owner, owner)
    for name in ("turn.now", "turn.next"):
        (directory / name).unlink()
    (directory / "members").rmdir()
    with LocalStore.join(directory, "none") as store:
        store.check()
        assert {path.stat().st_uid for path in directory.rglob("*")} == {owner}


def test_garbage_stays_while_it_cannot_be_told_who_reads(shared: LocalStore, tmp_path: Path) -> None:
    box = Box(shared)
    box.put("key", bytes(PART))
    (tmp_path / "data" / "members" / "not a file").mkdir()
    box.put("key", b"x")
    with pytest.raises(StoreError, match="looking who uses"):
        shared.collect_garbage()
    assert [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]
    (tmp_path / "data" / "members" / "not a file").rmdir()
    shared.collect_garbage()
    assert shared.check().garbage_count == 0
    assert not [path for path in (tmp_path / "data" / "blobs").rglob("*") if path.is_file()]


def test_a_directory_that_holds_no_store_cannot_be_joined(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no store"):
        LocalStore.join(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_joined_is_still_locked(shared: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="in use by process"):
        LocalStore.open(tmp_path / "data", "none")


# -- one of two is killed


def kill_beside_another(directory: Path, *, kills: int, seed: int) -> None:
    random = Random(seed)
    directory.mkdir()
    lock = DirectoryLock(directory)
    with ExitStack() as stack:
        stack.callback(lock.close)
        with LocalStore.open(directory, "strict", lock=lock) as store:
            store.create_bucket(bucket_named(PLAIN))
            store.create_bucket(bucket_named(VERSIONED, versioning="Enabled"))
        store = stack.enter_context(LocalStore.join(directory, "strict"))
        steady = stack.enter_context(server(directory, seed, "join"))
        mortal = stack.enter_context(server(directory, seed, "join"))
        pool = stack.enter_context(ThreadPoolExecutor(1))
        survivors = 1_000_000
        living = pool.submit(run_until_killed, steady, survivors, kills * 25)
        numbers = {}
        for turn in range(kills):
            done = run_until_killed(mortal, turn * CLIENTS, random.randint(1, 40))
            for number in range(turn * CLIENTS, (turn + 1) * CLIENTS):
                numbers[number] = done[number]
                assert_held(store, number, seed, done[number])
            report = store.check()
            assert report.sound, report
            assert len(report.orphans) <= CLIENTS
            store.repair()
        done = living.result(60)
        for number in range(survivors, survivors + CLIENTS):
            numbers[number] = done[number]
        for number, count in numbers.items():
            assert_held(store, number, seed, count)
        store.repair()
        report = store.check(scrub=True)
        assert report.sound, report
        assert (report.orphans, report.garbage_count) == ((), 0)
        assert list((directory / "staging").iterdir()) == []
        assert len(list((directory / "members").iterdir())) == 1


@pytest.mark.parametrize("link", [True, False])
def test_a_backup_made_beside_a_process_that_writes_is_whole(tmp_path: Path, link: bool) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    lock = DirectoryLock(directory)
    try:
        with LocalStore.open(directory, "none", lock=lock) as store:
            store.create_bucket(bucket_named(PLAIN))
            store.create_bucket(bucket_named(VERSIONED, versioning="Enabled"))
        with server(directory, 1, "join") as process, ThreadPoolExecutor(1) as pool:
            writing = pool.submit(run_until_killed, process, 0, 300)
            count = 0
            while not writing.done():
                with LocalStore.join(directory, "none") as store:
                    store.backup(tmp_path / f"copy{count}", link=link)
                count += 1
            writing.result()
    finally:
        lock.close()
    assert count
    for number in range(count):
        with LocalStore.open(tmp_path / f"copy{number}", "none") as store:
            report = store.check(scrub=True)
            assert report.sound, report
            assert report.orphans == ()


def assert_held(store: LocalStore, number: int, seed: int, calls: int) -> None:
    held = held_by(store, VERSIONED if number % 2 else PLAIN, f"{number}/")
    assert held in [one.comparable() for one in holdings_of(number, seed, calls)]


def test_one_of_two_processes_killed_ten_times_leaves_all_that_was_confirmed(tmp_path: Path) -> None:
    kill_beside_another(tmp_path / "data", kills=10, seed=1)


@pytest.mark.slow
def test_one_of_two_processes_killed_a_hundred_times_leaves_all_that_was_confirmed(tmp_path: Path) -> None:
    kill_beside_another(tmp_path / "data", kills=100, seed=2)
