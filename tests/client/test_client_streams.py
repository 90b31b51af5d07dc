"""Streams that do not block, or take less than they are given: nothing is left out of them."""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import penstock

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes that do not block")

DATA = os.urandom(3_000_000)
"""More than a pipe holds."""


class NonBlockingReader(io.FileIO):
    """The reading end of a pipe that says None where another one would wait."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        super().__init__(descriptor, "r")
        self.found_nothing = threading.Event()

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if data is None:
            self.found_nothing.set()
        return data


class ShortWriter(io.RawIOBase):
    """Takes a little at a time, as a disk that is nearly full does."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        self.taken += data[:70_001]
        return len(data[:70_001])


class SilentWriter:
    """Takes all, and does not say so."""

    def __init__(self) -> None:
        self.taken = bytearray()

    def write(self, data) -> None:
        self.taken += data


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    with NonBlockingReader(reading) as reader, io.FileIO(writing, "w") as writer:
        yield reader, writer


@pytest.fixture
def stored(client, oss_bucket):
    client.put_object(oss_bucket, "k", DATA)
    return lambda: client.get_object(oss_bucket, "k")


@pytest.mark.parametrize("length", [None, 20])
def test_a_stream_that_has_nothing_yet_is_waited_for(client, oss_bucket, pipe, length):
    reader, writer = pipe
    call = client.submit(client.put_object, oss_bucket, "k", reader, length=length)
    for _ in range(2):
        assert reader.found_nothing.wait(10)
        reader.found_nothing.clear()
        writer.write(b"0123456789")
    writer.close()
    call.result(timeout=10)
    assert client.get_object(oss_bucket, "k").read() == b"0123456789" * 2


def test_a_call_that_waits_for_a_stream_can_be_aborted(client, oss_bucket, pipe, assert_quiet):
    reader, _ = pipe
    call = client.submit(client.put_object, oss_bucket, "k", reader)
    assert reader.found_nothing.wait(10)
    call.abort()
    assert call.outcome().aborted
    assert_quiet(client)
    assert not client.object_exists(oss_bucket, "k")


def test_a_stream_that_has_nothing_and_cannot_be_waited_for_is_refused(client, oss_bucket):
    class Nothing(io.RawIOBase):
        def readable(self):
            return True

        def read(self, size=-1):
            return None

    with pytest.raises(penstock.SourceUnreadable, match="nothing at the moment"):
        client.put_object(oss_bucket, "k", Nothing())
    assert not client.object_exists(oss_bucket, "k")


def test_a_seekable_stream_that_has_nothing_and_cannot_be_waited_for_is_refused_in_parts(client, oss_bucket):
    class Nothing(io.BytesIO):
        def read(self, size=-1):
            return None

        def fileno(self):
            raise io.UnsupportedOperation("fileno")

    with pytest.raises(penstock.SourceUnreadable, match="nothing at the moment"):
        client.upload(Nothing(DATA), f"oss://{oss_bucket}/k", part_bytes=1 << 20).result(timeout_s=10)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="a device that never ends")
def test_a_device_is_no_empty_file(client, oss_bucket):
    with Path("/dev/zero").open("rb", buffering=0) as device:
        client.put_object(oss_bucket, "k", device, length=1000)
        assert client.get_object(oss_bucket, "k").read() == bytes(1000)
        seen = threading.Event()
        call = client.submit(client.put_object, oss_bucket, "k", device, progress=lambda *_: seen.set())
        assert seen.wait(10)
        call.abort()
        assert call.outcome().aborted


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a file whose length is not known")
def test_a_file_that_does_not_know_its_length_is_sent_to_its_end(client, oss_bucket):
    with Path("/proc/cpuinfo").open("rb", buffering=0) as file:
        client.put_object(oss_bucket, "k", file)
    assert client.get_object(oss_bucket, "k").read().startswith(b"processor")


@pytest.mark.parametrize("make", [ShortWriter, SilentWriter])
def test_all_bytes_reach_a_file_however_it_takes_them(stored, make):
    file = make()
    with stored() as body:
        assert body.copy_to(file) == len(DATA)
    assert file.taken == DATA


def test_all_bytes_reach_a_pipe_that_does_not_block(stored):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def copy() -> int:
        with io.FileIO(writing, "w") as file, stored() as body:
            return body.copy_to(file)

    with ThreadPoolExecutor() as pool, io.FileIO(reading) as reader:
        copied = pool.submit(copy)
        assert reader.readall() == DATA
        assert copied.result(10) == len(DATA)


def test_a_copy_that_waits_for_a_pipe_can_be_aborted(client, stored, eventually):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with io.FileIO(reading), io.FileIO(writing, "w") as file:
        full = threading.Event()

        class Telling(io.RawIOBase):
            def fileno(self):
                return writing

            def write(self, data):
                count = file.write(data)
                if count is None:
                    full.set()
                return count

        def copy():
            with stored() as body:
                body.copy_to(Telling())

        call = client.submit(copy)
        assert full.wait(10)
        call.abort()
        assert call.outcome().aborted
