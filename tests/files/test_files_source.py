from __future__ import annotations

import doctest
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from penstock.errors import SourceEndedEarly, SourceUnreadable
from penstock.files import source as source_module
from penstock.files.source import SourceFile

DATA = bytes(range(256)) * 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "source"
    file.write_bytes(DATA)
    return file


def joined(source: SourceFile, offset: int, size_bytes: int, buffer: bytearray | None = None) -> bytes:
    return b"".join(bytes(block) for block in source.blocks(offset, size_bytes, buffer))


@given(
    offset=strategies.integers(0, len(DATA)),
    length=strategies.integers(0, 5000),
    room=strategies.integers(1, 999),
)
@settings(deadline=None)
def test_any_range_is_read_as_it_is_in_the_file(
    tmp_path_factory: pytest.TempPathFactory, offset: int, length: int, room: int
) -> None:
    file = tmp_path_factory.getbasetemp() / f"ranges-{os.getpid()}"
    if not file.exists():
        file.write_bytes(DATA)
    length = min(length, len(DATA) - offset)
    with SourceFile.open(file) as source:
        assert joined(source, offset, length, bytearray(room)) == DATA[offset : offset + length]


def test_reading_at_the_end_gives_what_there_is(path: Path) -> None:
    buffer = bytearray(10)
    with SourceFile.open(path) as source:
        assert source.read_at(len(DATA) - 4, buffer) == 4
        assert buffer[:4] == DATA[-4:]
        assert source.read_at(len(DATA), buffer) == 0


@pytest.mark.parametrize("has_preadv", [True, False])
def test_many_threads_read_the_same_file_at_their_own_places(
    path: Path, monkeypatch: pytest.MonkeyPatch, has_preadv: bool
) -> None:
    if not has_preadv:
        monkeypatch.setattr(source_module, "_preadv", None)
    wrong: list[int] = []
    with SourceFile.open(path) as source:

        def read(start: int) -> None:
            for offset in range(start, len(DATA) - 100, 7):
                if joined(source, offset, 100, bytearray(33)) != DATA[offset : offset + 100]:
                    wrong.append(offset)

        threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


def test_a_file_that_is_cut_short_while_it_is_read_is_an_error_and_never_a_short_part(path: Path) -> None:
    with SourceFile.open(path) as source:
        os.truncate(path, 100)
        with pytest.raises(SourceEndedEarly, match="ended at byte 100, expected 200"):
            joined(source, 50, 150)


def test_an_unchanged_file_keeps_its_identity(path: Path) -> None:
    with SourceFile.open(path) as source:
        joined(source, 0, len(DATA))
        assert source.identity_now() == source.identity


def test_a_change_is_seen_even_if_size_and_mtime_are_put_back(path: Path) -> None:
    with SourceFile.open(path) as source:
        before = path.stat()
        changed = bytearray(DATA)
        changed[0] ^= 1
        while path.stat().st_ctime_ns == before.st_ctime_ns:  # the clock of the file system has ticks
            path.write_bytes(changed)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        now = source.identity_now()
        assert (now.size_bytes, now.mtime_ns) == (source.identity.size_bytes, source.identity.mtime_ns)
        assert now != source.identity


def test_a_file_that_was_replaced_by_another_is_seen(path: Path, tmp_path: Path) -> None:
    with SourceFile.open(path) as source:
        other = tmp_path / "other"
        other.write_bytes(DATA)
        other.replace(path)
        assert source.identity_now().inode != source.identity.inode


def test_a_file_that_was_removed_is_an_error_and_the_open_one_can_still_be_read(path: Path) -> None:
    with SourceFile.open(path) as source:
        path.unlink()
        assert joined(source, 0, 10) == DATA[:10]
        with pytest.raises(SourceUnreadable, match="No such file"):
            source.identity_now()


def test_a_missing_file_is_refused_with_advice(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="No such file") as refused:
        SourceFile.open(tmp_path / "missing")
    assert refused.value.advice == "Check the path."


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreadable, match="directory"):
        SourceFile.open(tmp_path)


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SourceUnreadable, match="a pipe"):
        SourceFile.open(pipe)


def test_a_device_is_refused() -> None:
    with pytest.raises(SourceUnreadable, match="a device"):
        SourceFile.open("/dev/zero")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused_with_advice(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(SourceUnreadable, match="Permission") as refused:
        SourceFile.open(path)
    assert "permission" in refused.value.advice


def test_a_read_that_the_disk_refuses_names_file_and_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(source_module, "_preadv", fail)
    with (
        SourceFile.open(path) as source,
        pytest.raises(SourceUnreadable, match="at byte 7: Input/output error"),
    ):
        source.read_at(7, bytearray(1))


def test_closing_twice_is_nothing(path: Path) -> None:
    source = SourceFile.open(path)
    source.close()
    source.close()


def test_the_examples_run() -> None:
    result = doctest.testmod(source_module)
    assert (result.attempted > 0, result.failed) == (True, 0)
