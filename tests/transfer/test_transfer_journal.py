from __future__ import annotations

import pytest
from hypothesis import given, strategies
from msgspec import structs

from penstock.errors import JournalUnreadable
from penstock.transfer import journal
from penstock.transfer.journal import (
    Completing,
    End,
    EndKind,
    Intent,
    NotCompleted,
    ObjectOptions,
    PartStored,
    Record,
    Source,
    TargetState,
    Upload,
    frame,
    journal_view,
    records,
)

INTENT = Intent(
    job_id="job",
    endpoint="oss.test",
    region="r",
    bucket="b",
    key="a key/ä",
    source=Source(path="/data/f", size_bytes=300_000, mtime_ns=1, ctime_ns=2, device=3, inode=4),
    total_bytes=300_000,
    part_bytes=102_400,
    options=ObjectOptions(content_type="text/plain", metadata={"x": "y"}, ownership_token="t"),
    started_at=5,
    target=TargetState(etag="e", size_bytes=1, modified_at=2),
    target_known=True,
)
UPLOAD = Upload(upload_id="0004B9895DBBB6EC98E3")
PARTS = [
    PartStored(number=n, offset=(n - 1) * 102_400, size_bytes=102_400, crc64=2**64 - n, etag=f"E{n}")
    for n in (1, 2, 3)
]
COMPLETING = Completing(part_count=3, total_bytes=300_000, crc64=7)
END = End(kind=EndKind.COMMITTED)
ALL: list[Record] = [INTENT, UPLOAD, *PARTS, COMPLETING, NotCompleted(), END]


def written(entries: list[Record]) -> bytes:
    return b"".join(frame(entry) for entry in entries)


def test_records_come_back_as_they_were_written() -> None:
    data = written(ALL)
    assert records(data) == (ALL, len(data))
    assert records(b"") == ([], 0)


def test_a_tail_torn_at_any_byte_costs_only_the_record_that_it_tore() -> None:
    data = written(ALL)
    ends = [len(written(ALL[:n])) for n in range(len(ALL) + 1)]
    for length in range(len(data) + 1):
        whole = max(n for n, end in enumerate(ends) if end <= length)
        assert records(data[:length]) == (ALL[:whole], ends[whole])


@given(garbage=strategies.binary(max_size=300))
def test_garbage_behind_the_last_record_is_ignored(garbage: bytes) -> None:
    data = written(ALL)
    assert records(data + garbage)[0][: len(ALL)] == ALL


@pytest.mark.parametrize("length", [1, 8, 9, 10, 4096])
def test_a_tail_of_zeros_as_a_power_loss_leaves_it_is_ignored(length: int) -> None:
    data = written(ALL)
    assert records(data + bytes(length)) == (ALL, len(data))


def test_any_changed_bit_in_the_last_record_is_noticed() -> None:
    data = written([INTENT, UPLOAD, PARTS[0]])
    start = len(written([INTENT, UPLOAD]))
    for position in range(start * 8, len(data) * 8):
        changed = bytearray(data)
        changed[position // 8] ^= 1 << position % 8
        assert records(bytes(changed))[0] == [INTENT, UPLOAD]


def test_a_part_record_lost_in_a_power_failure_takes_only_what_follows_it() -> None:
    data = bytearray(written(ALL))
    start, end = len(written(ALL[:3])), len(written(ALL[:4]))
    data[start:end] = bytes(end - start)
    assert records(bytes(data)) == (ALL[:3], start)


@pytest.mark.parametrize("damaged", [0, 1])
def test_a_damaged_beginning_is_not_taken_for_a_torn_tail(damaged: int) -> None:
    data = bytearray(written(ALL))
    data[len(written(ALL[:damaged])) + 12] ^= 0xFF
    with pytest.raises(JournalUnreadable, match="damaged"):
        records(bytes(data))


def test_a_record_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "VERSION", 2)
    data = frame(INTENT)
    monkeypatch.undo()
    with pytest.raises(JournalUnreadable, match="version 2") as refused:
        records(data)
    assert "version" in refused.value.advice


def test_a_view_adds_up_the_records() -> None:
    assert journal_view([]) is None
    view = journal_view([INTENT])
    assert view is not None
    assert (view.upload_id, view.acknowledged_bytes) == (None, 0)
    view = journal_view([INTENT, UPLOAD, *PARTS[:2]])
    assert view is not None
    assert (view.upload_id, set(view.parts), view.acknowledged_bytes) == (UPLOAD.upload_id, {1, 2}, 204_800)
    view = journal_view([INTENT, UPLOAD, *PARTS, COMPLETING])
    assert view is not None
    assert view.completing == COMPLETING
    view = journal_view(ALL)
    assert view is not None
    assert (view.completing, view.end) == (None, END)


def test_a_part_behind_a_completing_says_that_the_complete_was_refused() -> None:
    view = journal_view([INTENT, UPLOAD, PARTS[0], COMPLETING, PARTS[1]])
    assert view is not None
    assert view.completing is None


def test_a_second_intent_takes_back_the_parts_and_keeps_the_upload_and_what_was_shown() -> None:
    revised = structs.replace(INTENT, source=None, acknowledged_bytes=204_800)
    view = journal_view([INTENT, UPLOAD, *PARTS[:2], COMPLETING, revised])
    assert view is not None
    assert view.completing is None
    view = journal_view([INTENT, UPLOAD, *PARTS[:2], revised, PARTS[2]])
    assert view is not None
    assert (view.intent, view.upload_id, set(view.parts)) == (revised, UPLOAD.upload_id, {3})
    assert view.acknowledged_bytes == 204_800


def test_another_upload_begins_with_none_of_the_parts_of_the_one_before() -> None:
    view = journal_view([INTENT, UPLOAD, *PARTS, Upload(upload_id="another")])
    assert view is not None
    assert (view.upload_id, view.parts) == ("another", {})


@pytest.mark.parametrize(
    "entries",
    [
        [UPLOAD],
        [PARTS[0]],
        [INTENT, PARTS[0]],
        [INTENT, COMPLETING],
        [INTENT, structs.replace(INTENT, job_id="another")],
    ],
)
def test_an_order_that_no_transfer_writes_is_refused(entries: list[Record]) -> None:
    with pytest.raises(JournalUnreadable):
        journal_view(entries)


def test_another_path_to_the_same_file_is_the_same_revision_and_any_other_change_is_not() -> None:
    source = INTENT.source
    assert source is not None
    assert source.is_same_revision(structs.replace(source, path="/renamed"))
    assert not source.is_same_revision(None)
    for name in ("size_bytes", "mtime_ns", "ctime_ns", "device", "inode"):
        assert not source.is_same_revision(structs.replace(source, **{name: 99}))


def test_an_object_is_another_one_as_soon_as_anything_that_tells_of_a_write_differs() -> None:
    target = TargetState(etag="e", size_bytes=1, modified_at=2, version_id="v")
    assert target.is_same_object(structs.replace(target))
    for change in ({"etag": "f"}, {"size_bytes": 9}, {"modified_at": 9}, {"version_id": "w"}):
        assert not target.is_same_object(structs.replace(target, **change)), change


@given(strategies.text(strategies.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_a_path_of_any_bytes_comes_back(text: str) -> None:
    path = f"{text}\udcff\udc80{text}\udce9"
    source = Source(path=path, size_bytes=1, mtime_ns=1, ctime_ns=2, device=3, inode=4)
    intent = structs.replace(INTENT, path=path, source=source)
    assert records(frame(intent))[0] == [intent]
