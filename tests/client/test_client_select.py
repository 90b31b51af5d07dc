"""SQL over an object: records, the frames around them, and how it is stopped."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Iterator

import pytest

import penstock
from penstock.protocol.select_frames import DataFrame, EndFrame, encode
from penstock.server.handlers import selecting
from penstock.server.local_oss import LocalOss

CSV = b"name,age\nLora,27\nRosie,44\nAnn,soon\n"
USE = penstock.CsvInput(header="use")
OLDER = "select name from ossobject where age > 30"


@pytest.fixture
def table(client: penstock.Client, oss_bucket: str) -> tuple[penstock.Client, str]:
    """A client, and a bucket with ``a.csv``."""
    client.put_object(oss_bucket, "a.csv", CSV)
    return client, oss_bucket


def test_records_are_read_in_every_way_that_bodies_are(table: tuple[penstock.Client, str]) -> None:
    client, bucket = table
    sql = "select name from ossobject where name != 'Ann'"

    def selected() -> penstock.SelectBody:
        return client.select_object(bucket, "a.csv", sql, input=USE)

    assert selected().read() == b"Lora\nRosie\n"
    with selected() as body:
        assert (body.read(3), body.read(4), body.read(9), body.read(9)) == (b"Lor", b"a\nRo", b"sie\n", b"")
        assert body.scanned_bytes == len(CSV)
        assert body.ending == EndFrame(len(CSV), len(CSV), 200)
    assert b"".join(selected()) == b"Lora\nRosie\n"
    file = io.BytesIO()
    assert selected().copy_to(file) == 11
    assert file.getvalue() == b"Lora\nRosie\n"
    with selected() as body:
        pass
    assert body.read() == b""


def test_an_answer_that_was_read_to_its_end_leaves_the_connection_to_the_next(
    table: tuple[penstock.Client, str],
) -> None:
    client, bucket = table
    used = set()
    for _ in range(3):
        client.select_object(bucket, "a.csv", "select * from ossobject").read()
        client.create_select_object_meta(bucket, "a.csv")
        used |= client._transport._open
    assert len(used) == 1


def test_every_option_reaches_oss(table: tuple[penstock.Client, str]) -> None:
    client, bucket = table
    client.put_object(bucket, "b.csv", b"#x\r\n'a|b'|1\r\nc|2\r\nd|3\r\ne\r\n")
    given = penstock.CsvInput(
        record_delimiter="\r\n", field_delimiter="|", quote="'", comment="#", lines=(0, 3)
    )
    with client.select_object(
        bucket,
        "b.csv",
        "select _2 from ossobject",
        input=given,
        output_record_delimiter=";",
        output_field_delimiter=",",
        keep_all_columns=True,
        skip_partial_records=True,
        max_skipped_records=1,
    ) as body:
        assert body.read() == b",1;,2;,3;"
    plain = penstock.CsvInput(quoted_record_delimiters=False)
    with client.select_object(
        bucket, "a.csv", "select _1 from ossobject", input=plain, start=1, end=10
    ) as body:
        assert body.read() == b"Lora\n"
    with client.select_object(
        bucket, "a.csv", "select age from ossobject", input=USE, output_header=True
    ) as body:
        assert body.read() == b"age\n27\n44\nsoon\n"


def test_json_is_asked_likewise(client: penstock.Client, oss_bucket: str) -> None:
    client.put_object(oss_bucket, "a.json", b'{"people": [{"n": 1.50}, {"n": 2}]}')
    document = penstock.JsonInput(document=True, numbers_as_strings=True)
    body = client.select_object(oss_bucket, "a.json", "select n from ossobject.people[*]", input=document)
    assert body.read() == b'{"n":1.50}\n{"n":2}\n'
    client.put_object(oss_bucket, "b.json", b'{"n":1}\n{"n":2}\n{"n":3}')
    last = penstock.JsonInput(lines=(None, 2))
    body = client.select_object(
        oss_bucket, "b.json", "select * from ossobject", input=last, output_record_delimiter=","
    )
    assert body.read() == b'{"n":2},{"n":3},'
    meta = client.create_select_object_meta(oss_bucket, "b.json", input=penstock.JsonInput())
    assert meta == penstock.SelectMeta(rows=3, splits=1, columns=None, scanned_bytes=23)


def test_an_object_is_counted(table: tuple[penstock.Client, str]) -> None:
    client, bucket = table
    found = client.create_select_object_meta(bucket, "a.csv", overwrite=True)
    assert found == penstock.SelectMeta(rows=4, splits=1, columns=2, scanned_bytes=len(CSV))
    client.put_object(bucket, "bad.csv", b'a,"b\n')
    with pytest.raises(penstock.ServiceError) as caught:
        client.create_select_object_meta(bucket, "bad.csv")
    assert (caught.value.code, caught.value.status) == ("InvalidCsvLine", 400)


def test_what_is_wrong_from_the_beginning_is_an_error_at_once(table: tuple[penstock.Client, str]) -> None:
    client, bucket = table
    with pytest.raises(penstock.ServiceError) as caught:
        client.select_object(bucket, "a.csv", "select name from ossobject")
    assert caught.value.code == "SqlInvalidColumnName"
    with pytest.raises(penstock.NoSuchKey):
        client.select_object(bucket, "b.csv", "select * from ossobject")


def test_what_goes_wrong_later_is_never_taken_for_the_end(table: tuple[penstock.Client, str]) -> None:
    client, bucket = table

    def selected() -> penstock.SelectBody:
        return client.select_object(bucket, "a.csv", OLDER, input=USE)

    with pytest.raises(penstock.ServiceError) as caught:
        selected().read()
    assert (caught.value.code, caught.value.status) == ("InvalidCsvLine", 400)
    assert caught.value.resource == f"oss://{bucket}/a.csv"
    assert len(caught.value.request_id) == 24
    with selected() as body:
        assert body.read(100) == b"Rosie\n"
        with pytest.raises(penstock.ServiceError):
            body.read(100)
    pieces = iter(selected())
    assert next(pieces) == b"Rosie\n"
    with pytest.raises(penstock.ServiceError):
        next(pieces)
    body = client.select_object(bucket, "a.csv", OLDER, input=USE, max_skipped_records=1)
    assert body.read() == b"Rosie\n"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ([encode(DataFrame(1, b"a"))], penstock.ConnectionLost),
        ([encode(DataFrame(1, b"a"))[:-1]], penstock.ConnectionLost),
        ([b"something else altogether"], penstock.MalformedResponse),
        ([encode(DataFrame(1, b"a"))[:-1] + b"\0"], penstock.ChecksumMismatch),
        ([encode(EndFrame(1, 1, 200)), b"more"], penstock.MalformedResponse),
        ([encode(EndFrame(1, 1, 200)) + b"more"], penstock.MalformedResponse),
        ([encode(EndFrame(1, 1, 200)) * 2], penstock.MalformedResponse),
        ([encode(EndFrame(1, 1, 500, "InternalError.no disk"))], penstock.ServiceError),
        ([encode(EndFrame(1, 1, 400, "A,B.both"))], penstock.ServiceError),
        ([encode(EndFrame(1, 1, 400))], penstock.ServiceError),
    ],
    ids=[
        "no end",
        "torn",
        "no frames",
        "damaged",
        "more",
        "more at once",
        "two ends",
        "500",
        "codes",
        "no words",
    ],
)
def test_frames_that_are_not_whole_and_good_are_never_taken_for_records(
    table: tuple[penstock.Client, str],
    monkeypatch: pytest.MonkeyPatch,
    answer: list[bytes],
    error: type[penstock.PenstockError],
) -> None:
    client, bucket = table
    monkeypatch.setattr(selecting, "_framed", lambda call, pieces: iter(answer))
    body = client.select_object(bucket, "a.csv", "select * from ossobject")
    with pytest.raises(error):
        body.read()


@pytest.mark.parametrize(
    "options",
    [
        {"input": penstock.CsvInput(field_delimiter="ab")},
        {"input": penstock.CsvInput(record_delimiter="")},
        {"input": penstock.CsvInput(header="perhaps")},
        {"input": penstock.CsvInput(lines=(2, 1))},
        {"input": penstock.CsvInput(lines=(None, None))},
        {"input": penstock.CsvInput(lines=(0, 1), splits=(0, 1))},
        {"output_field_delimiter": "\u4e2d"},
        {"max_skipped_records": -1},
        {"start": 5, "end": 5},
    ],
)
def test_what_cannot_be_asked_is_not_sent(client: penstock.Client, options: dict[str, object]) -> None:
    with pytest.raises(penstock.InvalidInput):
        client.select_object("nowhere", "a.csv", "select * from ossobject", **options)  # type: ignore[arg-type]


# -- stopping


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Objects without an end; what comes is set once some of one was read."""
    begun = threading.Event()

    def read(opened: object) -> Iterator[tuple[int, bytes]]:
        end = 0
        while True:
            end += 8
            begun.set()
            yield end, b"abc,def\n"

    monkeypatch.setattr(selecting, "_read", read)
    return begun


@pytest.mark.parametrize("condition", ["_1 = 'x'", "true"], ids=["silent", "talking"])
def test_a_scan_is_stopped_while_it_is_read(
    table: tuple[penstock.Client, str], endless: threading.Event, condition: str
) -> None:
    client, bucket = table

    def read_all() -> None:
        for _ in client.select_object(bucket, "a.csv", f"select * from ossobject where {condition}"):
            pass

    call = client.submit(read_all)
    assert endless.wait(20)
    call.abort()
    error = call.outcome(20).error
    assert isinstance(error, penstock.Aborted)
    assert error.committed is penstock.Committed.NO


def test_closing_a_body_lets_go_of_the_connection(
    table: tuple[penstock.Client, str], endless: threading.Event
) -> None:
    client, bucket = table
    with client.select_object(bucket, "a.csv", "select * from ossobject") as body:
        assert body.read(4) == b"abc,"
    assert client.head_object(bucket, "a.csv").content_bytes == len(CSV)


def test_tasks_await_records_and_cancelling_one_stops_its_scan(
    table: tuple[penstock.Client, str],
    oss_server: LocalOss,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, bucket = table

    async def drive() -> None:
        key_id = next(iter(oss_server.users))
        async with penstock.AsyncClient(
            oss_server.endpoint,
            region=oss_server.region,
            credentials=penstock.Credentials(key_id, oss_server.users[key_id]),
            network=penstock.NetSettings(proxy=""),
        ) as client:
            async with await client.select_object(
                bucket, "a.csv", "select name from ossobject limit 2", input=USE
            ) as body:
                assert [piece async for piece in body] == [b"Lora\nRosie\n"]
                assert body.scanned_bytes == len(CSV)
            meta = await client.create_select_object_meta(bucket, "a.csv")
            assert meta.rows == 4

            begun = threading.Event()

            def read(opened: object) -> Iterator[tuple[int, bytes]]:
                while True:
                    begun.set()
                    yield 8, b"abc,def\n"

            monkeypatch.setattr(selecting, "_read", read)
            silent = await client.select_object(bucket, "a.csv", "select * from ossobject where _1 = 'x'")
            task = asyncio.create_task(silent.read())
            assert await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            silent.close()

    asyncio.run(drive())
