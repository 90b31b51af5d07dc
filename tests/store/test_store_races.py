from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from store_box import PART, Box

from penstock.server.store import Attributes, CopySource, faults

ROUNDS = 25


def body(number: int) -> bytes:
    return bytes([number % 256]) * PART


def together(*calls: Callable[[], Any]) -> list[Any]:
    """Makes the calls at the same moment; gives what each returned, or the fault it raised."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        start.wait(10)
        try:
            return call()
        except faults.StoreFault as fault:
            return fault

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def assert_nothing_is_left_over(box: Box, blob_count: int) -> None:
    box.store.collect_garbage()
    report = box.store.check(scrub=True)
    assert report.sound, report
    assert (report.blob_count, report.orphans) == (blob_count, ())


def test_of_two_completions_one_wins_and_no_byte_is_lost(box: Box) -> None:
    for turn in range(ROUNDS):
        key = f"key{turn}"
        upload_id = box.begin(key)
        parts = [box.part(key, upload_id, number, body(number)) for number in (1, 2)]
        done = together(*[lambda: box.complete(key, upload_id, parts)] * 4)  # noqa: B023
        assert sum(isinstance(one, faults.UploadMissing) for one in done) == 3
        assert box.read(key) == body(1) + body(2)
    assert_nothing_is_left_over(box, 2 * ROUNDS)


def test_a_completion_and_an_abort_never_make_half_an_object(box: Box) -> None:
    completed = 0
    for turn in range(ROUNDS):
        key = f"key{turn}"
        upload_id = box.begin(key)
        parts = [box.part(key, upload_id, number, body(number)) for number in (1, 2)]
        made, aborted = together(
            lambda: box.complete(key, upload_id, parts),  # noqa: B023
            lambda: box.store.abort_upload(box.name, key, upload_id),  # noqa: B023
        )
        assert isinstance(made, faults.UploadMissing) != isinstance(aborted, faults.UploadMissing)
        if aborted is None:
            with pytest.raises(faults.KeyMissing):
                box.read(key)
        else:
            completed += 1
            assert box.read(key) == body(1) + body(2)
    assert_nothing_is_left_over(box, 2 * completed)


def test_a_part_sent_again_during_completion_is_in_whole_or_not_at_all(box: Box) -> None:
    for turn in range(ROUNDS):
        key = f"key{turn}"
        upload_id = box.begin(key)
        for number in (1, 2):
            box.part(key, upload_id, number, body(number))
        made, part = together(
            lambda: box.complete(key, upload_id, None),  # noqa: B023
            lambda: box.part(key, upload_id, 2, body(9)),  # noqa: B023
        )
        found = box.read(key)
        assert found == body(1) + (body(2) if isinstance(part, faults.UploadMissing) else body(9))
        assert made == box.store.head_object(box.name, key)
    assert_nothing_is_left_over(box, 2 * ROUNDS)


def test_completion_ends_although_parts_keep_changing(box: Box) -> None:
    upload_id = box.begin("key")
    for number in (1, 2):
        box.part("key", upload_id, number, body(number))
    stop = threading.Event()

    def send_again() -> int:
        count = 0
        while not stop.is_set():
            try:
                box.part("key", upload_id, 2, body(3))
            except faults.UploadMissing:
                break
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        senders = [pool.submit(send_again) for _ in range(3)]
        try:
            box.complete("key", upload_id, None)
        finally:
            stop.set()
        for sender in senders:
            sender.result()
    assert box.read("key") in (body(1) + body(2), body(1) + body(3))
    assert_nothing_is_left_over(box, 2)


@pytest.mark.parametrize("size_bytes", [100, PART])
def test_readers_never_see_a_mixture_or_a_missing_file(box: Box, size_bytes: int) -> None:
    box.put("key", bytes(size_bytes))
    stop = threading.Event()

    def read() -> int:
        count = 0
        while not stop.is_set():
            with box.store.get_object(box.name, "key") as found:
                data = found.read()
                assert len(data) == size_bytes == found.record.size_bytes
                assert len(set(data)) == 1
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        try:
            for number in range(60):
                box.put("key", bytes([number]) * size_bytes)
                box.store.collect_garbage()
        finally:
            stop.set()
        assert all(reader.result() for reader in readers)
    assert_nothing_is_left_over(box, 1 if size_bytes == PART else 0)


def test_a_read_beside_a_delete_gives_all_bytes_or_none(box: Box) -> None:
    def read() -> bytes | None:
        with box.store.get_object(box.name, "key") as found:
            return found.read()

    for _ in range(ROUNDS):
        box.put("key", body(1))
        first, second, gone = together(read, read, lambda: box.store.delete_object(box.name, "key"))
        assert gone.existed
        assert {type(one) for one in (first, second)} <= {bytes, faults.KeyMissing}
        assert {one for one in (first, second) if isinstance(one, bytes)} <= {body(1)}
    assert_nothing_is_left_over(box, 0)


def test_only_one_of_many_may_create_a_key(box: Box) -> None:
    for turn in range(ROUNDS):
        key = f"key{turn}"
        done = together(
            *[lambda number=number: box.put(key, body(number), forbid_overwrite=True) for number in range(4)]  # noqa: B023
        )
        (won,) = [number for number, one in enumerate(done) if not isinstance(one, faults.AlreadyExists)]
        assert box.read(key) == body(won)
    assert_nothing_is_left_over(box, ROUNDS)


def test_of_appends_at_one_position_one_succeeds(box: Box) -> None:
    for turn in range(ROUNDS):
        done = together(*[lambda: box.append("log", turn * PART, body(turn))] * 3)  # noqa: B023
        refused = [one for one in done if isinstance(one, faults.PositionMismatch)]
        assert [one.actual for one in refused] == [(turn + 1) * PART] * 2
    assert box.read("log") == b"".join(body(turn) for turn in range(ROUNDS))


def test_copying_beside_a_delete_copies_all_or_nothing(box: Box) -> None:
    copied = 0
    for turn in range(ROUNDS):
        box.put("key", body(turn))
        upload_id = box.begin("parts")
        made, part, _ = together(
            lambda: box.store.copy_object(
                CopySource(box.name, "key"),
                box.name,
                f"copy{turn}",  # noqa: B023
                lambda _: Attributes(),
            ),
            lambda: box.store.copy_part(CopySource(box.name, "key"), box.name, "parts", upload_id, 1),  # noqa: B023
            lambda: box.store.delete_object(box.name, "key"),
        )
        box.store.collect_garbage()
        if not isinstance(made, faults.KeyMissing):
            copied += 1
            assert box.read(f"copy{turn}") == body(turn)
        if isinstance(part, faults.KeyMissing):
            box.store.abort_upload(box.name, "parts", upload_id)
        else:
            box.complete("parts", upload_id, [part])
            assert box.read("parts") == body(turn)
    box.store.delete_object(box.name, "parts")
    assert_nothing_is_left_over(box, copied)
