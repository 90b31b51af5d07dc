from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.errors import JournalLocked
from penstock.files import lock as lock_module
from penstock.files.lock import FileLock, is_locked, read_owner

HOLDER = """
import sys
import threading
from pathlib import Path
from penstock.files.lock import FileLock
lock = FileLock(Path(sys.argv[1]), command="penstock cp")
lock.acquire()
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "job.journal.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_has_one_owner_and_is_free_when_let_go(path: Path) -> None:
    with FileLock(path) as lock:
        assert lock.is_held
        assert is_locked(path)
        with pytest.raises(JournalLocked):
            FileLock(path).acquire()
    assert not lock.is_held
    assert not is_locked(path)
    with FileLock(path):
        pass


def test_another_process_is_refused_and_told_who_has_the_lock(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(JournalLocked) as refused:
        FileLock(path).acquire()
    message = refused.value.message
    assert f"process {holder.pid} on {os.uname().nodename} (penstock cp)" in message
    assert str(holder.pid) in refused.value.advice
    owner = read_owner(path)
    assert owner is not None
    assert (owner.pid, owner.process_started > 0, owner.since > 0) == (
        holder.pid,
        sys.platform == "linux",
        True,
    )


def test_a_lock_that_is_let_go_can_be_taken_by_another_process(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    assert holder.stdin is not None
    assert holder.stdout is not None
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "released\n"
    with FileLock(path):
        pass


def test_a_killed_process_lets_its_lock_go(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    with FileLock(path):
        owner = read_owner(path)
        assert owner is not None
        assert owner.pid == os.getpid()


def test_a_lock_can_be_removed_when_it_is_let_go(path: Path) -> None:
    lock = FileLock(path)
    lock.acquire()
    lock.release(remove=True)
    lock.release(remove=True)
    assert not path.exists()
    with FileLock(path):
        assert path.exists()


def test_only_the_owner_may_read_the_lock_file(path: Path) -> None:
    with FileLock(path):
        assert path.stat().st_mode & 0o777 == 0o600


def test_an_owner_that_cannot_be_read_is_not_named(path: Path) -> None:
    with FileLock(path):
        path.write_bytes(b"{")
        with pytest.raises(JournalLocked, match="locked by another process"):
            FileLock(path).acquire()
    assert read_owner(path.with_name("missing")) is None
    assert not is_locked(path.with_name("missing"))


def test_a_lock_file_that_its_owner_removed_meanwhile_is_not_mistaken_for_the_lock(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_lock = lock_module.try_lock
    removed: list[Path] = []

    def remove_first(descriptor: int) -> bool:
        if not removed:  # the owner lets go, and removes the file, between our opening and our locking of it
            path.unlink()
            removed.append(path)
        return try_lock(descriptor)

    monkeypatch.setattr(lock_module, "try_lock", remove_first)
    with FileLock(path):
        assert is_locked(path), "the lock that others will look at is the one that is held"


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not tell who has locks")
def test_looking_at_a_lock_never_keeps_anybody_from_taking_it(path: Path) -> None:
    lock = FileLock(path)
    lock.acquire()
    lock.release()
    over = threading.Event()
    looked: list[bool] = []

    def look() -> None:
        while not over.is_set():
            looked.append(is_locked(path))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(2000):
            lock.acquire()
            lock.release()
    finally:
        over.set()
        thread.join()
    assert looked


def test_what_the_system_says_of_locks_is_what_trying_says(path: Path) -> None:
    assert not is_locked(path)
    lock = FileLock(path)
    with lock:
        assert is_locked(path)
        assert lock_module._is_refused(path)
    assert not is_locked(path)
    assert not lock_module._is_refused(path)


def test_where_the_system_does_not_say_the_lock_is_tried(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "_told_by_system", lambda path: None)
    with FileLock(path):
        assert is_locked(path)
    assert not is_locked(path)
    assert not is_locked(tmp_path / "missing")
