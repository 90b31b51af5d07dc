"""Whatever a caller hands in as a source: its bytes are sent, or it is refused in words."""

from __future__ import annotations

import array
import bz2
import gzip
import io
import lzma
import mmap
import os
import tempfile
from pathlib import Path

import pytest

import penstock
from penstock.errors import InvalidInput, SourceUnreadable
from penstock.files import opened_file
from penstock.files.opened_file import OpenedFile

PART = 102_400
DATA = os.urandom(3 * PART + 7)
PATIENCE_S = 20.0
WAYS = ["upload", "upload in parts", "put_object"]


@pytest.fixture(params=WAYS)
def store(request, client, oss_bucket):
    """Stores a source in one of the ways there are; gives what OSS then has."""

    def store(source):
        if request.param == "put_object":
            client.put_object(oss_bucket, "k", source)
        else:
            part_bytes = PART if request.param == "upload in parts" else None
            client.upload(source, f"oss://{oss_bucket}/k", part_bytes=part_bytes).result(PATIENCE_S)
        return client.get_object(oss_bucket, "k").read()

    return store


@pytest.mark.parametrize("packed", [gzip, bz2, lzma])
def test_a_stream_that_unpacks_a_file_gives_what_it_unpacks(store, tmp_path, packed):
    path = tmp_path / "packed"
    path.write_bytes(packed.compress(DATA))
    with packed.open(path, "rb") as stream:
        assert store(stream) == DATA


def test_a_buffer_over_a_stream_that_unpacks_gives_what_that_unpacks(store, tmp_path):
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(DATA))
    with gzip.open(path, "rb") as stream, io.BufferedReader(stream) as buffered:
        assert store(buffered) == DATA


def test_a_reader_that_changes_what_it_reads_is_read_itself(store, tmp_path):
    class Decrypting(io.FileIO):
        def readinto(self, buffer):
            count = super().readinto(buffer)
            buffer[:count] = bytes(byte ^ 1 for byte in buffer[:count])
            return count

        def read(self, size=-1):
            buffer = bytearray(os.fstat(self.fileno()).st_size if size < 0 else size)
            return bytes(buffer[: self.readinto(buffer)])

    path = tmp_path / "secret"
    path.write_bytes(bytes(byte ^ 1 for byte in DATA))
    with Decrypting(path) as raw:
        assert store(raw) == DATA
    with io.BufferedReader(Decrypting(path)) as buffered:
        assert store(buffered) == DATA


def opened_by_name(path):
    return path.open("rb")


def unbuffered(path):
    return path.open("rb", buffering=0)


def for_writing_too(path):
    return path.open("r+b")


def by_descriptor(path):
    return os.fdopen(os.open(path, os.O_RDONLY), "rb")


def temporary(path):
    file = tempfile.NamedTemporaryFile(dir=path.parent)  # noqa: SIM115
    file.write(path.read_bytes())
    file.seek(0)
    return file


@pytest.mark.parametrize("how", [opened_by_name, unbuffered, for_writing_too, by_descriptor, temporary])
def test_an_open_file_is_sent_and_known_as_a_file(store, tmp_path, how):
    path = tmp_path / "file"
    path.write_bytes(DATA)
    with how(path) as stream:
        assert OpenedFile.of(stream) is not None
        assert store(stream) == DATA


def test_a_file_that_has_no_name_any_more_is_watched_for_changes(client, oss_bucket, tmp_path):
    with tempfile.TemporaryFile(dir=tmp_path) as stream:
        stream.write(DATA)
        stream.seek(0)
        edited = []

        def progress(told):
            if told.parts_done and not edited:
                edited.append(os.pwrite(stream.fileno(), b"EDIT", 2 * PART))

        transfer = client.upload(
            stream, f"oss://{oss_bucket}/k", part_bytes=PART, parallel=1, progress=progress
        )
        assert isinstance(transfer.outcome(PATIENCE_S).error, penstock.SourceChanged)


MEMORY = {
    "a strided view": lambda: memoryview(b"a1b2c3")[::2],
    "a view of numbers": lambda: memoryview(array.array("i", [1, 2])),
    "a view of a map": lambda: memoryview(_mapped()),
}


def _mapped():
    mapped = mmap.mmap(-1, len(DATA))
    mapped.write(DATA)
    return mapped


@pytest.mark.parametrize("make", MEMORY.values(), ids=MEMORY)
def test_every_view_of_memory_is_sent(store, make):
    view = make()
    assert store(view) == view.tobytes()


def test_an_empty_file_stays_empty(store, tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert store(path) == b""
    with path.open("rb") as stream:
        assert store(stream) == b""


MADE = Path("/proc/version")


@pytest.mark.skipif(not MADE.exists(), reason="this system has no /proc")
class TestFileThatTheSystemMakes:
    def test_is_refused_by_its_path(self, client, oss_bucket):
        assert MADE.stat().st_size == 0
        for part_bytes in (None, PART):
            with pytest.raises(SourceUnreadable, match="says that it is empty"):
                client.upload(MADE, f"oss://{oss_bucket}/k", part_bytes=part_bytes)
            with MADE.open("rb") as stream, pytest.raises(SourceUnreadable) as refused:
                client.upload(stream, f"oss://{oss_bucket}/k", part_bytes=part_bytes)
            assert refused.value.advice
        with pytest.raises(SourceUnreadable, match="says that it is empty"):
            client.put_object(oss_bucket, "k", MADE)
        assert not client.object_exists(oss_bucket, "k")

    def test_is_read_to_its_end_as_an_open_file(self, client, oss_bucket):
        with MADE.open("rb") as stream:
            client.put_object(oss_bucket, "k", stream)
        assert client.get_object(oss_bucket, "k").read() == MADE.read_bytes()


def test_a_file_without_a_length_that_can_be_sought_to_its_end_is_not_taken_for_empty(
    client, oss_bucket, tmp_path, monkeypatch
):
    """Some files of the system let their end be sought, and find it at the beginning."""
    path = tmp_path / "empty"
    path.touch()
    with path.open("rb") as stream:
        monkeypatch.setattr(opened_file, "yields_bytes", lambda descriptor: True)
        with by_descriptor(path) as unnamed, pytest.raises(SourceUnreadable, match="says that it is empty"):
            client.upload(unnamed, f"oss://{oss_bucket}/k", part_bytes=PART)
        client.put_object(oss_bucket, "k", stream)


def closed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"1")
    with path.open("rb") as stream:
        pass
    return stream


REFUSED = {
    "a closed file": closed,
    "a path with a NUL": lambda tmp_path: "a\0b",
    "a path that is no text": lambda tmp_path: "\ud800",
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_source_is_refused_in_words(store, tmp_path, make):
    with pytest.raises(InvalidInput) as refused:
        store(make(tmp_path))
    assert refused.value.advice


def test_a_map_is_refused_in_words_or_sent(client, oss_bucket):
    """From Python 3.13 on it says that it can seek."""
    mapped = _mapped()
    if hasattr(mapped, "seekable"):
        mapped.seek(0)
        client.upload(mapped, f"oss://{oss_bucket}/k", part_bytes=PART).result(PATIENCE_S)
        assert client.get_object(oss_bucket, "k").read() == DATA
        return
    with pytest.raises(InvalidInput, match="mmap") as refused:
        client.upload(mapped, f"oss://{oss_bucket}/k", part_bytes=PART)
    assert "memoryview" in refused.value.advice


MISTAKES = {
    "metadata of None": {"metadata": {"a": None}},
    "metadata of a number": {"metadata": {"a": 5}},
    "metadata that is no mapping": {"metadata": 5},
    "tags of a number": {"tags": {"a": 5}},
    "half a part": {"part_bytes": 1.5e6},
    "a part in words": {"part_bytes": "8M"},
}


@pytest.mark.parametrize("options", MISTAKES.values(), ids=MISTAKES)
def test_an_option_of_the_wrong_kind_is_refused_in_words(client, oss_bucket, options):
    with pytest.raises(InvalidInput) as refused:
        client.upload(b"1", f"oss://{oss_bucket}/k", **options)
    assert refused.value.advice


@pytest.mark.parametrize("target", [None, 5, b"oss://bucket/key"])
def test_a_target_that_is_no_text_is_refused_in_words(client, target):
    with pytest.raises(InvalidInput, match="is not an address") as refused:
        client.upload(b"1", target)
    assert refused.value.advice


@pytest.mark.parametrize("path", ["a\0b", "\ud800"])
def test_a_download_to_what_cannot_be_a_path_is_refused_in_words(client, oss_bucket, path):
    client.put_object(oss_bucket, "k", b"1")
    with pytest.raises(InvalidInput, match="cannot be a path"):
        client.download(f"oss://{oss_bucket}/k", path)


@pytest.mark.parametrize("parallel", [0, -1])
def test_no_parts_at_a_time_is_refused_by_a_resume_too(client, oss_bucket, parallel):
    with pytest.raises(InvalidInput, match="at a time"):
        client.resume(f"oss://{oss_bucket}/k", b"1", parallel=parallel)


class Odd(io.RawIOBase):
    """A stream whose reads give something odd."""

    def __init__(self, gives):
        self.gives = gives

    def read(self, size=-1):
        return self.gives(size)


@pytest.mark.parametrize("gives", [lambda size: 5, lambda size: ["a"], lambda size: bytes(size + 1)])
def test_a_stream_that_gives_no_bytes_or_too_many_is_refused_in_words(client, oss_bucket, gives):
    with pytest.raises(InvalidInput, match="was asked for") as refused:
        client.put_object(oss_bucket, "k", Odd(gives))
    assert refused.value.advice
    assert not client.object_exists(oss_bucket, "k")


def test_a_stream_that_stands_behind_its_end_gives_nothing(store):
    stream = io.BytesIO(b"abc")
    stream.seek(30)
    assert store(stream) == b""
