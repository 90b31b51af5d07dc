"""What signals leave behind: nothing on the disk, and the terminal as it was."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys

import pytest

from penstock.cli import interruption
from penstock.cli.interruption import Interruption
from penstock.cli.meter import BarMeter, Reading
from penstock.transfer.progress import Progress

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PATIENCE_S = 20.0


@pytest.fixture
def scratch(world):
    """Where the program makes what is temporary."""
    folder = world.folder / "scratch"
    folder.mkdir()
    world.environment["TMPDIR"] = str(folder)
    return folder


SERVE = ("serve", "--port", "0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("words", [("demo",), SERVE, (*SERVE, "--processes", "2")], ids=" ".join)
def test_nothing_temporary_outlives_a_signal_that_comes_early(world, scratch, words, number, eventually):
    process = world.start(*words)
    eventually(lambda: any(scratch.iterdir()))
    process.send_signal(number)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in (0, -number)
    assert b"Traceback" not in errors
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("words", [SERVE, (*SERVE, "--processes", "2")], ids=" ".join)
def test_a_server_ends_in_order_with_its_terminal(world, scratch, words):
    process = world.start(*words)
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"OSS at")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert list(scratch.iterdir()) == []


def test_a_server_that_was_to_outlive_its_terminal_does(world, scratch):
    words = [sys.executable, "-m", "penstock.cli", *SERVE]
    process = subprocess.Popen(
        ["nohup", *words],
        env={**os.environ, **world.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith(b"OSS at")
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, b"stopping" in errors) == (0, True)


_SIGNAL_INSIDE = """
import os, signal
from pathlib import Path
from penstock.cli.ending import Interrupted
from penstock.cli.temporary import temporary_directory

place = None
try:
    with temporary_directory("x-") as place:
        (place / "file").touch()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)   # while what was made is put away
            os.kill(os.getpid(), signal.SIGINT)
except Interrupted as interrupted:
    print(interrupted.number == signal.SIGTERM, place.exists(), signal.getsignal(signal.SIGTERM))
"""


def test_only_the_first_signal_interrupts_so_that_what_was_made_is_put_away():
    done = subprocess.run([sys.executable, "-c", _SIGNAL_INSIDE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", str(signal.SIG_DFL)]


def test_the_second_ctrl_c_shows_the_cursor_again(monkeypatch, eventually):
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    died, said = [], bytearray()
    monkeypatch.setattr(interruption, "die_by", died.append)
    monkeypatch.setenv("TERM", "xterm")

    def has_said(text):
        with contextlib.suppress(BlockingIOError):
            said.extend(os.read(ours, 65536))
        return text in said

    with (
        os.fdopen(theirs, "w") as terminal,
        BarMeter(terminal, color=False) as meter,
        Interruption(lambda: None, meter.let_go),
    ):
        meter.show(Reading("x", Progress(total_bytes=2, acknowledged_bytes=1)))
        eventually(lambda: has_said(b"\x1b[?25l"))
        os.kill(os.getpid(), signal.SIGINT)
        assert died == []
        os.kill(os.getpid(), signal.SIGINT)
        assert died == [signal.SIGINT]
        eventually(lambda: has_said(b"\x1b[?25h"))
    os.close(ours)
