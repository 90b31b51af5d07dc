"""What may collide at one key, and how to tell whether it went well."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from histories import Call, Happened, Key, State, describe, explain
from store_box import Box

OLD_PARTS = {1: 1, 2: 2}
"""The parts of the upload that a case begins with: their pieces by number."""


def begin(box: Box, key: Key, state: State, pieces: dict[int, int]) -> tuple[str, State]:
    """Opens an upload that holds these parts."""
    upload_id = box.begin(key.name)
    for number, piece in pieces.items():
        assert key.happen(Call("part", (upload_id, number, piece))).result is None
    return upload_id, state.with_upload(upload_id, pieces)


def assert_explained(box: Box, key: Key, start: State, history: list[Happened]) -> None:
    # What is there afterwards belongs to the history: nothing may be half done, or come back.
    afterwards = [key.happen(Call("get"))]
    afterwards += [key.happen(Call("parts", (upload_id,))) for upload_id, _ in start.uploads]
    if start.versioned:
        afterwards.append(key.happen(Call("versions")))
    whole = [*history, *afterwards]
    assert explain(start, whole) is not None, describe(whole)


CASES: dict[str, list[list[tuple[str, object]]]] = {
    "two complete": [[("complete", None), ("get", None)], [("complete", None), ("get", None)]],
    "complete beside abort": [[("complete", None)], [("abort", None)], [("get", None), ("get", None)]],
    "complete, then abort what is over": [
        [("complete", None), ("abort", None), ("get", None)],
        [("abort", None), ("get", None)],
    ],
    "a completion is asked again": [
        [("complete", "listed"), ("complete", "listed"), ("get", None)],
        [("get", None)] * 3,
    ],
    "a part again beside completion": [
        [("complete", None)],
        [("part", 2), ("part", 2)],
        [("get", None), ("parts", None), ("get", None)],
    ],
    "a part again beside a completion that lists the old one": [
        [("complete", "listed"), ("get", None)],
        [("part", 2), ("complete", None)],
    ],
    "a part again beside abort": [[("abort", None)], [("part", 1), ("part", 3), ("parts", None)]],
    "overwrite beside read": [[("put", None)] * 3, [("get", None)] * 5, [("get", None)] * 5],
    "delete beside read": [
        [("put", None), ("delete", None), ("put", None)],
        [("get", None)] * 5,
        [("delete", None), ("get", None)],
    ],
    "lifecycle abort beside a slow upload": [
        [("part", 1), ("part", 2), ("part", 3), ("complete", None)],
        [("sweep", None), ("sweep", None)],
        [("parts", None), ("get", None)],
    ],
    "many create at once": [[("put_if_absent", None), ("get", None)]] * 4,
    "complete over a put and a delete": [
        [("complete", None), ("get", None)],
        [("put", None), ("get", None)],
        [("delete", None), ("get", None)],
    ],
}


def scripts_of(case: str, upload_id: str, pieces: Iterator[int]) -> list[list[Call]]:
    """The calls of a case, a list for each of those who make them."""
    arguments = {
        "complete": lambda what: (upload_id, tuple(OLD_PARTS.items()) if what == "listed" else None),
        "abort": lambda _: (upload_id,),
        "parts": lambda _: (upload_id,),
        "part": lambda number: (upload_id, number, next(pieces)),
        "put": lambda _: (next(pieces),),
        "put_if_absent": lambda _: (next(pieces),),
    }
    return [
        [Call(name, arguments.get(name, lambda _: ())(what)) for name, what in script]
        for script in CASES[case]
    ]


def random_script(random: Random, pieces: Iterator[int], upload_ids: list[str], count: int) -> list[Call]:
    script = []
    for _ in range(count):
        upload_id = random.choice(upload_ids)
        script.append(
            random.choice(
                [
                    Call("put", (next(pieces),)),
                    Call("put_if_absent", (next(pieces),)),
                    Call("get"),
                    Call("get"),
                    Call("delete"),
                    Call("part", (upload_id, random.randint(1, 3), next(pieces))),
                    Call("part", (upload_id, random.randint(1, 3), next(pieces))),
                    Call("parts", (upload_id,)),
                    Call("complete", (upload_id, random.choice([None, ((1, 1), (2, 2)), ((2, 4),)]))),
                    Call("abort", (upload_id,)),
                    Call("sweep"),
                ]
            )
        )
    return script


def assert_nothing_is_left_over(box: Box) -> None:
    """Every file belongs to a row, and is gone when the rows are."""
    box.store.collect_garbage()
    report = box.store.check(scrub=True)
    assert report.sound, report
    assert (report.orphans, report.garbage_count) == ((), 0)
    while versions := box.versions():
        box.store.delete_objects(box.name, [(one.key, one.version_id or "null") for one in versions])
    while uploads := box.store.list_uploads(box.name).uploads:
        for upload in uploads:
            box.store.abort_upload(box.name, upload.key, upload.upload_id)
    box.store.collect_garbage()
    assert box.store.check().blob_count == 0
