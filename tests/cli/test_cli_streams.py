"""Standard input, output and error that are closed, full, slow or not blocking: nothing is lost unnoticed."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

from penstock.cli.standard_streams import StandardError, StandardOutput

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors of POSIX")

PATIENCE_S = 20.0
PROGRAM = [sys.executable, "-m", "penstock.cli"]
DATA = os.urandom(3_000_000)
LIMIT_BYTES = 100_000


@pytest.fixture
def stored(world):
    world.client.put_object("bucket", "big", DATA)
    world.client.put_object("bucket", "k", b"small")
    return world


def begin(world, *words, **settings):
    environment = {**os.environ, **world.environment, **settings.pop("environment", {})}
    settings = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, **settings}
    return subprocess.Popen([*PROGRAM, *words], env=environment, cwd=world.folder, **settings)


def in_shell(world, line):
    """What a line of a shell comes to; ``penstock`` in it is this program."""
    environment = {**os.environ, **world.environment, "P": " ".join(PROGRAM)}
    return subprocess.run(
        ["sh", "-c", line.replace("penstock", "$P")],
        env=environment,
        cwd=world.folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def test_standard_input_that_has_nothing_yet_is_waited_for(world, eventually):
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    process = begin(world, "cp", "-", "oss://bucket/stream", stdin=reading, stdout=subprocess.DEVNULL)
    os.close(reading)
    os.write(writing, b"first")
    eventually(lambda: world.door.puts_begun == 1)
    os.write(writing, b"second")
    os.close(writing)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (0, b"")
    assert world.read("stream") == b"firstsecond"


@pytest.mark.parametrize("words", [("cat", "oss://bucket/big"), ("cp", "oss://bucket/big", "-")])
def test_standard_output_that_does_not_block_gets_all_of_an_object(stored, words):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = begin(stored, *words, stdout=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        assert output.read() == DATA
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0


@pytest.mark.parametrize("words", [("cat", "oss://bucket/big"), ("cp", "oss://bucket/big", "-")])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_write_that_comes_short_is_a_failure(stored, words, unbuffered):
    def allow_little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))

    with (stored.folder / "out").open("wb") as output:
        environment = {"PYTHONUNBUFFERED": unbuffered}
        process = begin(stored, *words, stdout=output, environment=environment, preexec_fn=allow_little)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 3
    assert errors.decode().splitlines()[0] == "error: standard output: File too large"
    assert (stored.folder / "out").read_bytes() == DATA[:LIMIT_BYTES]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full")  # noqa: PTH110
@pytest.mark.parametrize("words", ["cat oss://bucket/k", "ls oss://bucket", "cp oss://bucket/k -"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_a_failure_that_is_told(stored, words, unbuffered):
    stored.environment["PYTHONUNBUFFERED"] = unbuffered
    done = in_shell(stored, f"penstock {words} > /dev/full")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "error: standard output: No space left on device"
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full")  # noqa: PTH110
def test_what_cannot_be_said_does_not_keep_the_work_from_being_done(stored):
    done = in_shell(stored, "penstock ls -s oss://bucket 2> /dev/full")
    assert (done.returncode, done.stdout) == (0, "oss://bucket/big\noss://bucket/k\n")
    assert in_shell(stored, "penstock cat oss://bucket/missing 2> /dev/full").returncode == 2


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("line", ["cp oss://bucket/big back", "ls oss://bucket", "--help", "nonsense"])
def test_closed_streams_change_nothing_but_what_is_said(stored, closed, line):
    done = in_shell(stored, f"penstock {line} {closed}")
    assert done.returncode == (1 if line == "nonsense" else 0)
    assert "Traceback" not in done.stderr
    if line.startswith("cp"):
        assert (stored.folder / "back").read_bytes() == DATA


def test_data_for_a_closed_stream_is_a_failure(stored):
    for words in ("cat oss://bucket/k", "cp oss://bucket/k -"):
        done = in_shell(stored, f"penstock {words} >&-")
        assert (done.returncode, "standard output: it is closed" in done.stderr) == (3, True)
    done = in_shell(stored, "penstock cp - oss://bucket/new <&-")
    assert (done.returncode, "standard input: it is closed" in done.stderr) == (3, True)
    assert not stored.client.object_exists("bucket", "new")


@pytest.mark.parametrize("words", [("cat", "oss://bucket/big"), ("cp", "oss://bucket/big", "-")])
def test_a_reader_that_has_gone_ends_the_command_as_it_ends_others(stored, words):
    process = begin(stored, *words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) == DATA[:1]
    process.stdout.close()
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, errors) == (-signal.SIGPIPE, b"")


def test_a_copy_to_a_reader_that_stopped_reading_is_interrupted_at_once(stored):
    process = begin(stored, "cp", "oss://bucket/big", "-", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(1) == DATA[:1]
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == -signal.SIGINT
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert errors.decode().splitlines()[-1].endswith("cp oss://bucket/big -")


_INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
from penstock.cli.main import main
main()
"""


def test_ctrl_c_before_anything_is_done_ends_without_a_word():
    done = subprocess.run([sys.executable, "-c", _INTERRUPTED_IMPORT], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_a_short_write_is_followed_by_another_one(monkeypatch):
    taken = bytearray()

    def write(descriptor, data):
        taken.extend(data[:3])
        return len(data[:3])

    monkeypatch.setattr(os, "write", write)
    assert StandardOutput(1, "standard output").write(b"0123456789") == 10
    assert StandardError(2, "standard error").write(b"0123456789") == 10
    assert taken == b"0123456789" * 2
