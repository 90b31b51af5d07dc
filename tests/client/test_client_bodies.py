"""Whatever is handed in arrives whole and as it was, or nothing of it is stored."""

from __future__ import annotations

import io
import os
import threading

import pytest

import penstock
from penstock.protocol.crc64 import crc64

MIB = 1 << 20
SIZES = [0, 1, 65_536, 262_144, 262_145, 3 * MIB + 7]
LARGE = 24 * MIB
"""More than all buffers between the source and a server that has stopped reading."""


def generated(data, block=100_000):
    yield b""
    for start in range(0, len(data), block):
        yield data[start : start + block]


class Unseekable(io.RawIOBase):
    """Gives a few bytes at a time and cannot go back."""

    def __init__(self, data):
        self._rest = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, size=-1):
        return self._rest.read(min(size, 77_777))


KINDS = {
    "bytes": lambda file: (file.data, None),
    "bytearray": lambda file: (bytearray(file.data), None),
    "memoryview": lambda file: (memoryview(file.data), None),
    "text path": lambda file: (str(file.path), None),
    "path": lambda file: (file.path, None),
    "open file": lambda file: (file.path.open("rb"), None),
    "unbuffered file": lambda file: (file.path.open("rb", buffering=0), None),
    "BytesIO": lambda file: (io.BytesIO(file.data), None),
    "stream": lambda file: (Unseekable(file.data), None),
    "stream of known length": lambda file: (Unseekable(file.data), len(file.data)),
    "list": lambda file: ([file.data[:10], file.data[10:]], None),
    "generator": lambda file: (generated(file.data), None),
    "generator of known length": lambda file: (generated(file.data), len(file.data)),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_body_of_any_kind_and_size_arrives_as_it_was(client, oss_bucket, new_file, kind, size):
    file = new_file(size)
    body, length = KINDS[kind](file)
    sent = []
    stored = client.put_object(
        oss_bucket, "k", body, length=length, progress=lambda so_far, total: sent.append((so_far, total))
    )
    assert stored.crc64 == crc64(file.data)
    assert client.get_object(oss_bucket, "k").read() == file.data
    assert [so_far for so_far, _ in sent][-1:] == ([size] if size else [])
    assert sent == sorted(sent)
    if hasattr(body, "close"):
        body.close()


def test_a_view_with_gaps_arrives_as_it_is_read(client, oss_bucket):
    data = bytes(range(256)) * 1000
    client.put_object(oss_bucket, "k", memoryview(data)[::2])
    assert client.get_object(oss_bucket, "k").read() == data[::2]
    client.put_object(oss_bucket, "k", memoryview(data).cast("I"))
    assert client.get_object(oss_bucket, "k").read() == data


def test_an_open_file_is_sent_from_where_it_stands(client, oss_bucket, new_file):
    file = new_file(MIB)
    with file.path.open("rb") as opened:
        opened.seek(1000)
        client.put_object(oss_bucket, "k", opened)
    assert client.get_object(oss_bucket, "k").read() == file.data[1000:]


def test_a_stream_is_read_no_further_than_it_was_announced(client, oss_bucket):
    stream = Unseekable(b"a" * 300_000 + b"rest")
    client.put_object(oss_bucket, "k", stream, length=300_000)
    assert client.head_object(oss_bucket, "k").content_bytes == 300_000
    assert stream.read(10) == b"rest"


@pytest.mark.parametrize(
    "make",
    [generated, lambda data: [data], Unseekable, io.BytesIO],
    ids=["generator", "list", "stream", "BytesIO"],
)
@pytest.mark.parametrize("missing", [1, 400_000])
def test_a_source_that_ends_early_stores_nothing(client, oss_bucket, make, missing, assert_quiet):
    client.put_object(oss_bucket, "k", b"old")
    data = bytes(500_000)
    outcome = client.submit(
        client.put_object, oss_bucket, "k", make(data), length=len(data) + missing
    ).outcome(20)
    assert isinstance(outcome.error, penstock.SourceEndedEarly)
    assert outcome.committed == penstock.Committed.NO
    assert client.get_object(oss_bucket, "k").read() == b"old"


@pytest.mark.parametrize("make", [generated, lambda data: [data, b"1"]], ids=["generator", "list"])
@pytest.mark.parametrize("length", [0, 1, 499_999])
def test_a_source_that_gives_more_stores_nothing(client, oss_bucket, make, length):
    client.put_object(oss_bucket, "k", b"old")
    with pytest.raises(penstock.SourceGrew):
        client.put_object(oss_bucket, "k", make(bytes(500_000)), length=length)
    assert client.get_object(oss_bucket, "k").read() == b"old"


def shorten(file):
    os.truncate(file.path, LARGE // 2)


def lengthen(file):
    with file.path.open("ab") as opened:
        opened.write(b"more")


def rewrite_in_secret(file):
    """Change bytes, and put back size and times: only ctime tells."""
    status = file.path.stat()
    with file.path.open("r+b") as opened:
        opened.seek(LARGE - MIB)
        opened.write(os.urandom(MIB))
    os.utime(file.path, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace(file):
    other = file.path.with_name("other")
    other.write_bytes(os.urandom(LARGE))
    other.replace(file.path)


SOURCES = {"path": lambda file: file.path, "open file": lambda file: file.path.open("rb")}


@pytest.mark.parametrize(
    ("source", "change"),
    [
        *[("path", change) for change in (shorten, lengthen, rewrite_in_secret, replace)],
        # What is open stays what it was when another file takes its place.
        *[("open file", change) for change in (shorten, lengthen, rewrite_in_secret)],
    ],
)
def test_a_file_that_changes_while_it_is_sent_stores_nothing(
    client, oss_bucket, oss_faults, new_file, source, change
):
    client.put_object(oss_bucket, "k", b"old")
    fault = oss_faults.on("PutObject").stall(after_bytes=MIB)
    file = new_file(LARGE)
    body = SOURCES[source](file)
    call = client.submit(client.put_object, oss_bucket, "k", body)
    fault.reached.wait()
    change(file)
    fault.release()
    outcome = call.outcome(20)
    assert isinstance(outcome.error, penstock.SourceChanged | penstock.SourceEndedEarly)
    assert outcome.committed == penstock.Committed.NO
    assert client.get_object(oss_bucket, "k").read() == b"old"
    assert oss_faults.count("PutObject") == 2
    if hasattr(body, "close"):
        body.close()


def test_a_path_that_leads_to_no_file_is_refused_at_once(client, oss_faults, tmp_path):
    os.mkfifo(tmp_path / "fifo")  # nobody writes to it
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("fifo", "folder", "dangling", "missing"):
        with pytest.raises(penstock.SourceUnreadable) as caught:
            client.put_object("bucket", "k", tmp_path / name)
        assert name in str(caught.value)
        assert caught.value.advice
    assert oss_faults.count() == 0


def test_a_path_is_opened_once_and_closed(client, oss_bucket, new_file, open_descriptors):
    file = new_file(MIB)
    client.put_object(oss_bucket, "k", file.path)
    before = open_descriptors()
    for _ in range(5):
        client.put_object(oss_bucket, "k", file.path)
    with pytest.raises(penstock.NoSuchBucket):
        client.put_object("no-such-bucket-here", "k", file.path)
    assert open_descriptors() <= before


class Broken(io.RawIOBase):
    def __init__(self, error):
        self.error = error
        self.asked = 0

    def readable(self):
        return True

    def read(self, size=-1):
        self.asked += 1
        if self.asked == 1:
            return b"1" * 100_000
        raise self.error


def broken(error):
    yield b"1" * 100_000
    raise error


def test_a_stream_that_cannot_be_read_stores_nothing(client, oss_bucket):
    with pytest.raises(penstock.SourceUnreadable, match="at byte 100000: disk on fire"):
        client.put_object(oss_bucket, "k", Broken(OSError("disk on fire")))
    assert not client.object_exists(oss_bucket, "k")


@pytest.mark.parametrize("make", [Broken, broken])
@pytest.mark.parametrize("length", [None, 1_000_000])
def test_a_mistake_in_the_callers_source_comes_back_to_the_caller(
    client, oss_bucket, make, length, assert_quiet
):
    with pytest.raises(ZeroDivisionError):
        client.put_object(oss_bucket, "k", make(ZeroDivisionError()), length=length)
    assert_quiet(client)
    assert not client.object_exists(oss_bucket, "k")


def test_text_is_not_bytes(client, oss_bucket, tmp_path):
    (tmp_path / "text").write_text("text")
    with pytest.raises(penstock.InvalidInput, match="not bytes"), (tmp_path / "text").open() as opened:
        client.put_object(oss_bucket, "k", opened)
    with pytest.raises(penstock.InvalidInput, match="str, not bytes"):
        client.put_object(oss_bucket, "k", ["text"])
    assert not client.object_exists(oss_bucket, "k")


def test_a_generator_is_closed_when_its_call_is_over(client, oss_bucket, oss_faults):
    closed = threading.Event()

    def blocks():
        try:
            while True:
                yield bytes(100_000)
        finally:
            closed.set()

    fault = oss_faults.on("PutObject").stall(after_bytes=MIB)
    call = client.submit(client.put_object, oss_bucket, "k", blocks())
    fault.reached.wait()
    call.abort()
    assert call.outcome(20).aborted
    assert closed.wait(20)


def test_a_mistake_in_a_progress_callback_comes_back_and_nothing_is_stored(client, oss_bucket, assert_quiet):
    def progress(sent, total):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        client.put_object(oss_bucket, "k", bytes(32 * MIB), progress=progress)
    assert_quiet(client)
    assert not client.object_exists(oss_bucket, "k")


def test_a_body_may_be_a_part_or_an_append(client, oss_bucket, new_file):
    file = new_file(300_000)
    upload_id = client.initiate_multipart_upload(oss_bucket, "parts").upload_id
    parts = [
        client.upload_part(oss_bucket, "parts", upload_id, number, KINDS[kind](file)[0])
        for number, kind in enumerate(["bytes", "path", "generator", "stream"], 1)
    ]
    tags = [(number, part.etag) for number, part in enumerate(parts, 1)]
    client.complete_multipart_upload(oss_bucket, "parts", upload_id, tags)
    assert client.get_object(oss_bucket, "parts").read() == file.data * 4
    position = 0
    for kind in ("bytes", "path", "generator", "stream"):
        position = client.append_object(oss_bucket, "log", position, KINDS[kind](file)[0]).next_position
    assert client.get_object(oss_bucket, "log").read() == file.data * 4
