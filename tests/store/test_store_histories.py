"""Many threads at one key: whatever they were answered can be explained by some order of their calls."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
from histories import MISSING, REFUSED, Call, Happened, Key, State, all_at_once, explain
from store_box import Box

from penstock.server.store import faults

ROUNDS = 6


@pytest.fixture(autouse=True)
def _threads_take_turns_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@contextmanager
def garbage_collected_all_the_time(box: Box) -> Iterator[None]:
    stop = threading.Event()

    def collect() -> None:
        while not stop.wait(0.001):
            box.store.collect_garbage()

    with ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(collect)
        try:
            yield
        finally:
            stop.set()
        collecting.result()


@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
@pytest.mark.parametrize("case", CASES)
def test_calls_that_collide_come_out_in_some_order(box: Box, case: str, versioned: bool) -> None:
    if versioned:
        box.set_versioning("Enabled")
    with garbage_collected_all_the_time(box):
        for turn in range(ROUNDS):
            key = Key(box, f"key{turn}")
            pieces = iter(range(10, 1000))
            upload_id, start = begin(box, key, State(versioned), OLD_PARTS)
            scripts = scripts_of(case, upload_id, pieces)
            assert_explained(box, key, start, all_at_once(key, scripts))
    assert_nothing_is_left_over(box)


def collide_at_random(box: Box, versioned: bool, rounds: int, seed: int) -> None:
    random = Random(seed)
    with garbage_collected_all_the_time(box):
        for turn in range(rounds):
            key = Key(box, f"key{seed}-{turn}")
            pieces = iter(range(10, 1000))
            first, state = begin(box, key, State(versioned), {1: 1, 2: 2})
            second, state = begin(box, key, state, {1: 3, 2: 4, 3: 5})
            scripts = [random_script(random, pieces, [first, second], random.randint(2, 5)) for _ in range(4)]
            assert_explained(box, key, state, all_at_once(key, scripts))
    assert_nothing_is_left_over(box)


@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
def test_random_calls_of_many_threads_come_out_in_some_order(box: Box, versioned: bool) -> None:
    if versioned:
        box.set_versioning("Enabled")
    collide_at_random(box, versioned, 25, 1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
def test_thousands_of_random_calls_come_out_in_some_order(box: Box, versioned: bool, seed: int) -> None:
    if versioned:
        box.set_versioning("Enabled")
    collide_at_random(box, versioned, 200, seed)


def test_versions_removed_beside_writers_come_out_in_some_order(box: Box) -> None:
    box.set_versioning("Enabled")
    random = Random(1)
    for turn in range(15):
        key = Key(box, f"key{turn}")
        pieces = iter(range(10, 1000))
        start = State(versioned=True)
        for _ in range(4):
            piece = next(pieces)
            start = start.with_version(key.happen(Call("put", (piece,))).result, (piece,))
        known = [version_id for version_id, _ in start.versions]
        scripts = [
            [
                random.choice(
                    [
                        Call("remove", (random.choice(known),)),
                        Call("remove", (random.choice(known),)),
                        Call("put", (next(pieces),)),
                        Call("delete"),
                        Call("get"),
                        Call("versions"),
                    ]
                )
                for _ in range(4)
            ]
            for _ in range(4)
        ]
        assert_explained(box, key, start, all_at_once(key, scripts))
    assert_nothing_is_left_over(box)


def test_an_upload_that_is_over_can_neither_be_aborted_nor_completed_again(box: Box) -> None:
    upload_id = box.begin("key")
    part = box.part("key", upload_id, 1, b"whole")
    box.complete("key", upload_id, [part])
    with pytest.raises(faults.UploadMissing):
        box.store.abort_upload(box.name, "key", upload_id)
    with pytest.raises(faults.UploadMissing):
        box.complete("key", upload_id, [part])
    with pytest.raises(faults.UploadMissing):
        box.part("key", upload_id, 1, b"again")
    box.store.collect_garbage()
    assert box.read("key") == b"whole"


# -- the judge itself


def happened(name: str, *arguments: object, began: int, ended: int, result: object) -> Happened:
    return Happened(Call(name, arguments), began, ended, result)


START = State(uploads=(("U", ((1, 1),)),))

WRONG: dict[str, list[Happened]] = {
    "an old value after a new one": [
        happened("put", 1, began=0, ended=1, result=None),
        happened("put", 2, began=2, ended=3, result=None),
        happened("get", began=4, ended=5, result=(1,)),
    ],
    "a value that comes and goes": [
        happened("put", 1, began=0, ended=9, result=None),
        happened("get", began=1, ended=2, result=(1,)),
        happened("get", began=3, ended=4, result=None),
    ],
    "both completed": [
        happened("complete", "U", None, began=0, ended=5, result=None),
        happened("complete", "U", None, began=0, ended=5, result=None),
    ],
    "completed and aborted": [
        happened("complete", "U", None, began=0, ended=5, result=None),
        happened("abort", "U", began=0, ended=5, result=None),
    ],
    "neither completed nor aborted": [
        happened("complete", "U", None, began=0, ended=5, result=MISSING),
        happened("abort", "U", began=0, ended=5, result=MISSING),
    ],
    "a mixture": [
        happened("part", "U", 2, 2, began=0, ended=1, result=None),
        happened("complete", "U", None, began=2, ended=3, result=None),
        happened("get", began=4, ended=5, result=(1,)),
    ],
    "a part that was refused and is in": [
        happened("part", "U", 2, 2, began=0, ended=9, result=MISSING),
        happened("complete", "U", None, began=0, ended=5, result=None),
        happened("get", began=6, ended=7, result=(1, 2)),
    ],
    "two first ones": [
        happened("put_if_absent", 1, began=0, ended=5, result=None),
        happened("put_if_absent", 2, began=0, ended=5, result=None),
    ],
    "refused without a reason": [happened("put_if_absent", 1, began=0, ended=5, result=REFUSED)],
}


@pytest.mark.parametrize("case", WRONG)
def test_the_judge_accepts_no_history_that_cannot_be(case: str) -> None:
    assert explain(START, WRONG[case]) is None


def test_the_judge_accepts_what_can_be() -> None:
    history = [
        happened("put", 1, began=0, ended=9, result=None),
        happened("get", began=1, ended=2, result=None),
        happened("get", began=3, ended=4, result=(1,)),
        happened("complete", "U", None, began=3, ended=8, result=None),
        happened("put_if_absent", 5, began=3, ended=8, result=REFUSED),
    ]
    assert explain(START, history) is not None
