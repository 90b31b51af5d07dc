"""penstock uploads, about what runs in another process: seen, limited, stopped, cancelled."""

from __future__ import annotations

import json
import signal
import threading
import time

import pytest

PATIENCE_S = 20.0
PART_BYTES = 128 * 1024


@pytest.fixture
def copying(world, run):
    """A copy in another process, of which OSS has two parts and gets no more."""
    world.door.let_through = 2
    file = world.file("big.bin", 6 * PART_BYTES)
    process = world.start("cp", "--part-size", "128K", "--no-progress", file, "oss://bucket/big.bin")
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not (
        (rows := listed(run)) and rows[0]["reachable"] and rows[0]["acknowledged_bytes"] == 2 * PART_BYTES
    ):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, rows
        pause.wait(0.01)
    yield process
    process.kill()
    process.communicate()


def listed(run):
    return [json.loads(line) for line in run("uploads", "ls", "--format", "json").stdout.splitlines()]


def test_ls_shows_what_runs_and_how_far_it_is(copying, run):
    (row,) = listed(run)
    assert row["running"]
    assert row["pid"] == copying.pid
    assert row["acknowledged_bytes"] == 2 * PART_BYTES
    assert "running" in run("uploads", "ls").stdout


@pytest.mark.parametrize("named", ["by id", "by address"])
def test_stop_keeps_what_oss_has_and_resume_goes_on(copying, world, run, named):
    id_ = listed(run)[0]["id"]
    result = run("uploads", "abort", id_ if named == "by id" else "oss://bucket/big.bin")
    assert result.exit_code == 0, result.output
    assert "256.0 KiB of 768.0 KiB are kept" in result.stdout
    _, err = copying.communicate(timeout=PATIENCE_S)
    assert copying.returncode not in (0, -signal.SIGINT)
    assert b"stopped by another process; OSS keeps 256.0 KiB" in err
    world.door.let_through = None
    assert run("uploads", "resume", id_).exit_code == 0
    assert sorted(world.door.parts_received) == [1, 2, 3, 4, 5, 6]
    assert world.read("big.bin") == (world.folder / "big.bin").read_bytes()


def test_drain_gives_up_after_its_time(copying, run):
    result = run("uploads", "drain", "--timeout", "50ms", "oss://bucket/big.bin", "--format", "json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["end"]["acknowledged_bytes"] == 2 * PART_BYTES
    copying.communicate(timeout=PATIENCE_S)


def test_cancel_stops_it_and_leaves_nothing(copying, world, run):
    result = run("uploads", "cancel", listed(run)[0]["id"], "-f")
    assert result.exit_code == 0, result.output
    assert "nothing of it is left" in result.stdout
    copying.communicate(timeout=PATIENCE_S)
    assert world.uploads() == []
    assert listed(run) == []


def test_limit_sets_the_speed_and_lifts_it(copying, run):
    assert run("uploads", "limit", "oss://bucket/big.bin", "500K").exit_code == 0
    assert "500.0 KiB/s" in run("uploads", "limit", "oss://bucket/big.bin", "500K/s").stderr
    assert "no limit" in run("uploads", "limit", "oss://bucket/big.bin", "none").stderr
    assert run("uploads", "limit", "oss://bucket/big.bin", "fast").exit_code != 0


@pytest.mark.parametrize("verb", ["abort", "drain", "limit"])
def test_what_does_not_run_cannot_be_stopped(world, run, verb):
    words = ["uploads", verb, "oss://bucket/nothing", *(["1M"] if verb == "limit" else [])]
    result = run(*words)
    assert result.exit_code == 1
    assert "nothing that runs now" in result.stderr
