"""Ctrl-C in the middle of a copy, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PART_BYTES = 128 * 1024
PARTS = 20
LET_THROUGH = 7
PATIENCE_S = 20.0


def stop_in_the_middle(world, eventually, number: int, *extra: str) -> tuple[subprocess.Popen[bytes], str]:
    """A cp of a file that was stopped when OSS had some parts; the process and its standard error."""
    world.door.let_through = LET_THROUGH
    words = ("cp", world.folder / "big.bin", "oss://bucket/big.bin", "--part-size", "128K", *extra)
    process = world.start(*words)
    eventually(lambda: stored_parts(world) == LET_THROUGH)
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE_S)
    world.door.let_through = None
    return process, errors.decode()


def stored_parts(world) -> int:
    return len(stored_numbers(world))


def stored_numbers(world) -> set[int]:
    client = world.client
    open_here = [one for one in client.iter_multipart_uploads("bucket") if one.key == "big.bin"]
    return {part.number for one in open_here for part in client.iter_parts("bucket", one.key, one.upload_id)}


@pytest.fixture
def big(world):
    return world.file("big.bin", PART_BYTES * PARTS - 77)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_process_dies_by_the_signal_and_keeps_what_oss_has(world, big, number, eventually):
    process, errors = stop_in_the_middle(world, eventually, number)
    assert process.returncode == -number
    assert len(world.uploads()) == 1
    assert world.uploads()[0] in errors
    assert "Traceback" not in errors


def test_the_last_line_is_the_command_that_resumes_and_it_sends_only_what_is_missing(world, big, eventually):
    _, errors = stop_in_the_middle(world, eventually, signal.SIGINT)
    kept = stored_numbers(world)
    world.door.parts_received.clear()
    command = errors.splitlines()[-1]
    environment = {**os.environ, **world.environment}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, check=True)
    assert b"had been sent before" in done.stdout
    assert world.read("big.bin") == big.read_bytes()
    assert world.uploads() == []
    assert sorted(world.door.parts_received) == sorted(set(range(1, PARTS + 1)) - kept)
    assert not list((world.folder.parent / "state").rglob("*.journal"))


def test_the_same_command_resumes_too(world, big, run, eventually):
    stop_in_the_middle(world, eventually, signal.SIGINT)
    upload_ids = world.uploads()
    world.door.parts_received.clear()
    assert run("cp", big, "oss://bucket/big.bin").exit_code == 0
    assert world.read("big.bin") == big.read_bytes()
    assert len(world.door.parts_received) == PARTS - LET_THROUGH
    assert len(upload_ids) == 1
    assert world.uploads() == []


def test_no_resume_begins_anew_and_leaves_the_other_alone(world, big, run, eventually):
    stop_in_the_middle(world, eventually, signal.SIGINT)
    world.door.parts_received.clear()
    assert run("cp", big, "oss://bucket/big.bin", "--no-resume", "--part-size", "128K").exit_code == 0
    assert len(world.door.parts_received) == PARTS
    assert len(world.uploads()) == 1


def test_other_options_begin_another_upload_and_say_so(world, big, run, eventually):
    stop_in_the_middle(world, eventually, signal.SIGINT)
    result = run("cp", big, "oss://bucket/big.bin", "--acl", "public-read")
    assert result.exit_code == 0
    assert "begun with other options" in result.stderr


def test_a_file_that_was_changed_is_uploaded_as_it_is_now(world, big, run, eventually):
    stop_in_the_middle(world, eventually, signal.SIGINT)
    data = bytearray(big.read_bytes())
    data[0] ^= 1
    big.write_bytes(data)
    world.door.parts_received.clear()
    result = run("cp", big, "oss://bucket/big.bin")
    assert result.exit_code == 0
    assert "was changed since its upload began" in result.stderr
    assert world.read("big.bin") == data
    assert len(world.door.parts_received) == PARTS - LET_THROUGH + 1


def test_a_kill_is_resumed_by_the_same_command(world, big, run, eventually):
    process, _ = stop_in_the_middle(world, eventually, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    world.door.parts_received.clear()
    assert run("cp", big, "oss://bucket/big.bin").exit_code == 0
    assert world.read("big.bin") == big.read_bytes()
    assert len(world.door.parts_received) == PARTS - LET_THROUGH


def test_a_shell_loop_ends_with_the_interrupted_command(world, big, eventually):
    world.door.let_through = LET_THROUGH
    command = f"{sys.executable} -m penstock.cli cp {big} oss://bucket/big.bin --part-size 128K"
    shell = subprocess.Popen(
        ["bash", "-c", f"for n in 1 2 3; do echo round $n; {command}; done; echo the end"],
        env={**os.environ, **world.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    eventually(lambda: stored_parts(world) == LET_THROUGH)
    os.killpg(shell.pid, signal.SIGINT)
    output, _ = shell.communicate(timeout=PATIENCE_S)
    assert output.decode().split("\n") == ["round 1", ""]


def test_the_exit_code_is_5_where_that_is_wanted(world, big, eventually):
    world.environment["PENSTOCK_INTERRUPT_EXIT"] = "5"
    process, _ = stop_in_the_middle(world, eventually, signal.SIGINT)
    assert process.returncode == 5


def test_secrets_of_the_command_line_are_not_repeated(world, run, eventually):
    world.door.let_through = 0
    world.file("tree/big.bin", PART_BYTES * 4)
    words = ("cp", "-r", "-k", "sesame", "-i", "tester", "tree", "oss://bucket/t/", "--part-size", "128K")
    world.oss.users["tester"] = "not-a-secret"
    process = world.start(*[word if word != "sesame" else "not-a-secret" for word in words])
    eventually(lambda: len(world.uploads()) == 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert b"not-a-secret" not in errors
    shared = "--access-key-id=tester --access-key-secret=SECRET"
    command = f"{shared} cp -u -r --part-size=131072 tree oss://bucket/t/"
    assert errors.decode().splitlines()[-1].endswith(command)


def test_secrets_of_the_command_line_are_in_no_file_and_told_to_no_other_process(world, big, eventually):
    world.door.let_through = 0
    keys = ("-qk", "not-a-secret", "-i", "tester")
    words = ("cp", big, "oss://bucket/big.bin", "--part-size", "128K")
    process = world.start(*keys, *words)
    state = world.folder.parent / "state"
    eventually(lambda: any(state.glob("running/*.json")))
    eventually(lambda: len(world.uploads()) == 1)
    kept = {path: path.read_bytes() for path in state.rglob("*") if path.is_file()}
    other = world.start(*words)
    _, told = other.communicate(timeout=PATIENCE_S)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert any(path.name.endswith(".lock") for path in kept)
    assert [path for path, data in kept.items() if b"not-a-secret" in data] == []
    assert f"is locked by process {process.pid}".encode() in told
    assert b"(penstock.cli)" in told
    assert b"not-a-secret" not in told + errors
    again = errors.decode().splitlines()[-1]
    assert "--access-key-id=tester --access-key-secret=SECRET --quiet uploads resume" in again


def test_an_interrupted_batch_goes_on_with_the_printed_command(world, eventually):
    world.file("tree/a-small", 1000)
    big = world.file("tree/big.bin", PART_BYTES * PARTS)
    world.door.let_through = LET_THROUGH
    process = world.start("cp", "-r", "tree", "oss://bucket/", "--part-size", "128K", "--no-progress")
    # The small one is a part of its own.
    eventually(lambda: stored_parts(world) == LET_THROUGH - 1)
    eventually(lambda: world.client.object_exists("bucket", "a-small"))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    world.door.let_through = None
    command = errors.decode().splitlines()[-1]
    environment = {**os.environ, **world.environment}
    done = subprocess.run(
        command, shell=True, env=environment, cwd=world.folder, capture_output=True, check=True
    )
    assert b"1 were there already" in done.stdout
    assert world.read("big.bin") == big.read_bytes()
    assert world.uploads() == []


def test_an_interrupted_download_leaves_neither_file_nor_scratch(world, eventually):
    world.client.put_object("bucket", "big", b"x" * 1000)
    world.door.hold_downloads = True
    process = world.start("cp", "oss://bucket/big", "back.bin")
    eventually(lambda: world.door.downloads_held == 1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGINT
    assert errors.decode().splitlines()[-1].endswith("cp oss://bucket/big back.bin")
    assert list(world.folder.iterdir()) == []


def test_an_interrupted_stream_leaves_no_object(world, eventually):
    process = subprocess.Popen(
        [sys.executable, "-m", "penstock.cli", "cp", "-", "oss://bucket/stream"],
        env={**os.environ, **world.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin is not None
    process.stdin.write(b"x" * 600_000)
    process.stdin.flush()
    # Standard input stays open: the reading thread hangs in a read that nothing can interrupt.
    eventually(lambda: world.door.puts_begun == 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == -signal.SIGINT
    process.communicate(timeout=PATIENCE_S)
    assert not world.client.object_exists("bucket", "stream")
