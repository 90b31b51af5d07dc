"""penstock demo keeps its promises, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest


def start(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    environment = {
        **os.environ,
        "TMPDIR": str(scratch),
        "HOME": str(tmp_path),
        "HTTP_PROXY": "http://127.0.0.1:9",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "penstock.cli", "demo", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "file.bin"]


def test_all_is_as_promised(tmp_path):
    file = tmp_path / "file.bin"
    file.write_bytes(os.urandom(6 * 1024 * 1024))
    process = start(tmp_path, str(file))
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    assert re.search(r"afterwards +0 bytes and 0 requests", output)
    assert re.search(r"sent again +0 of the \d+", output)
    assert "all equal" in output
    assert f"{sys.executable} -m penstock.cli serve\n" in output, "what it names can be typed as it is"
    assert "\r" not in output
    assert "\x1b" not in output
    assert left_behind(tmp_path) == []


def test_without_a_file_it_finds_one(tmp_path):
    process = start(tmp_path)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, output + errors
    assert left_behind(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_nothing_is_left(tmp_path, number):
    process = start(tmp_path)
    while "half-way" not in (line := process.stdout.readline()):
        assert line
    process.send_signal(number)
    process.communicate(timeout=20)
    assert process.returncode == -number
    assert left_behind(tmp_path) == []


def test_a_small_file_is_refused_in_words(run, tmp_path):
    file = tmp_path / "small"
    file.write_bytes(b"small")
    result = run("demo", file)
    assert result.exit_code == 1
    assert "at least 1 MiB" in result.stderr
