"""Downloads, and copies inside OSS: stopped, gone on with, shown and removed like uploads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PART_BYTES = 128 * 1024
PARTS = 12
LET_THROUGH = 5
TOTAL_BYTES = PARTS * PART_BYTES - 77
PATIENCE_S = 20.0

DOWN = ("cp", "oss://bucket/big", "back.bin", "--part-size", "128K", "--no-progress")
ACROSS = ("cp", "oss://bucket/big", "oss://bucket/copy", "--part-size", "128K", "--no-progress")


@pytest.fixture
def data(world):
    data = os.urandom(TOTAL_BYTES)
    world.client.put_object("bucket", "big", data, metadata={"colour": "blue"})
    return data


@pytest.fixture
def interrupt(world, run, eventually, data, monkeypatch):
    """Stop a command once so many parts are there; gives its standard error."""
    monkeypatch.chdir(world.folder)
    started = []

    def interrupt(words, number=signal.SIGINT, kept=LET_THROUGH):
        world.door.ranges_let_through = world.door.let_through = kept
        process = world.start(*words)
        started.append(process)
        eventually(lambda: any(row["acknowledged_bytes"] == kept * PART_BYTES for row in listed(run)))
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == -number, errors
        world.door.ranges_let_through = world.door.let_through = None
        world.door.ranges.clear()
        world.door.parts_received.clear()
        return errors.decode()

    yield interrupt
    for process in started:
        process.kill()
        process.communicate()


def listed(run):
    return [json.loads(line) for line in run("uploads", "ls", "--format", "json").stdout.splitlines()]


def carry_out(world, command):
    environment = {**os.environ, **world.environment}
    return subprocess.run(
        command, shell=True, env=environment, cwd=world.folder, capture_output=True, check=True
    )


def left_beside(world):
    return [path for path in world.folder.iterdir() if path.name != "back.bin"]


def journals(world):
    return list((world.folder.parent / "state").rglob("*.journal"))


def test_a_stopped_download_prints_the_command_that_fetches_only_what_is_missing(world, interrupt, data):
    (world.folder / "back.bin").write_bytes(b"old")
    errors = interrupt(DOWN)
    assert (world.folder / "back.bin").read_bytes() == b"old"
    assert "640.0 KiB are kept beside the file" in errors
    assert "Traceback" not in errors
    done = carry_out(world, errors.splitlines()[-1])
    assert b"had been fetched before" in done.stdout
    assert (world.folder / "back.bin").read_bytes() == data
    assert len(world.door.ranges) == PARTS - LET_THROUGH
    assert left_beside(world) == []
    assert journals(world) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_goes_on_with_a_download(world, run, interrupt, data, number):
    interrupt(DOWN, number)
    assert run("cp", "oss://bucket/big", "back.bin").exit_code == 0
    assert (world.folder / "back.bin").read_bytes() == data
    assert len(world.door.ranges) == PARTS - LET_THROUGH
    assert left_beside(world) == []


def test_no_resume_fetches_all_again_and_leaves_the_other_alone(world, run, interrupt, data):
    interrupt(DOWN)
    assert run(*DOWN, "--no-resume").exit_code == 0
    assert (world.folder / "back.bin").read_bytes() == data
    assert len(world.door.ranges) == PARTS
    assert len(listed(run)) == 1


def test_an_object_that_was_written_anew_is_fetched_as_it_is_now(world, run, interrupt):
    interrupt(DOWN)
    world.client.put_object("bucket", "big", b"x" * TOTAL_BYTES)
    result = run(*DOWN)
    assert result.exit_code == 0
    assert "was changed since its unfinished download" in result.stderr
    assert (world.folder / "back.bin").read_bytes() == b"x" * TOTAL_BYTES
    assert run("uploads", "cancel", result.stderr.strip().rpartition(" ")[2].rstrip(")"), "-f").exit_code == 0
    assert left_beside(world) == []


def test_an_interrupted_batch_of_downloads_goes_on_with_the_printed_command(world, interrupt, data):
    words = ("cp", "-r", "oss://bucket/", "back", "--part-size", "128K", "--no-progress", "-j", "1")
    errors = interrupt(words)
    carry_out(world, errors.splitlines()[-1])
    assert (world.folder / "back" / "big").read_bytes() == data
    assert len(world.door.ranges) == PARTS - LET_THROUGH
    assert [path.name for path in (world.folder / "back").iterdir()] == ["big"]


def test_a_download_that_runs_elsewhere_is_not_carried_out_twice(world, run, eventually, data, monkeypatch):
    monkeypatch.chdir(world.folder)
    world.door.ranges_let_through = 1
    process = world.start(*DOWN)
    try:
        eventually(lambda: any(row["acknowledged_bytes"] for row in listed(run)))
        result = run(*DOWN)
        assert result.exit_code == 3
        assert str(process.pid) in result.stderr
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_directory_is_no_file_to_be_made(world, run, data):
    (world.folder / "into" / "big").mkdir(parents=True)
    result = run("cp", "oss://bucket/big", world.folder / "into")
    assert result.exit_code == 1
    assert "is a directory" in result.stderr


def test_show_and_ls_of_a_download_say_where_it_goes_and_what_is_missing(world, run, interrupt):
    interrupt(DOWN)
    (row,) = listed(run)
    path = str(world.folder / "back.bin")
    assert (row["kind"], row["path"], row["upload_id"]) == ("download", path, None)
    assert f"oss://bucket/big  -> {path}" in run("uploads", "ls").stdout
    fields = json.loads(run("uploads", "show", row["id"], "--format", "json").stdout)
    assert (fields["parts"], fields["stored_parts"]) == (PARTS, LET_THROUGH)
    shown = run("uploads", "show", row["id"]).stdout
    assert "UploadId" not in shown
    assert f"{LET_THROUGH} of {PARTS} parts" in shown


@pytest.mark.parametrize("by", ["id", "address", "token"])
def test_resume_of_a_download_needs_no_file(world, run, interrupt, data, by):
    interrupt(DOWN)
    id_ = listed(run)[0]["id"]
    token = json.loads(run("uploads", "show", id_, "--format", "json").stdout)["token"]
    result = run("uploads", "resume", {"id": id_, "address": "oss://bucket/big", "token": token}[by])
    assert result.exit_code == 0, result.output
    assert "1 object downloaded" in result.stdout
    assert (world.folder / "back.bin").read_bytes() == data
    assert len(world.door.ranges) == PARTS - LET_THROUGH


def test_resume_of_a_download_takes_no_other_file_and_no_other_machine(world, run, interrupt, monkeypatch):
    interrupt(DOWN)
    id_ = listed(run)[0]["id"]
    token = json.loads(run("uploads", "show", id_, "--format", "json").stdout)["token"]
    refused = run("uploads", "resume", id_, "elsewhere.bin")
    assert (refused.exit_code, "Leave the source out" in refused.stderr) == (1, True)
    monkeypatch.setenv("PENSTOCK_STATE_DIR", str(world.folder / "another-machine"))
    refused = run("uploads", "resume", token)
    assert (refused.exit_code, "where it began" in refused.stderr) == (1, True)


@pytest.mark.parametrize("by", ["id", "address"])
def test_cancel_of_a_download_removes_what_was_fetched(world, run, interrupt, by):
    interrupt(DOWN)
    assert len(left_beside(world)) == 1
    what = listed(run)[0]["id"] if by == "id" else "oss://bucket/big"
    result = run("uploads", "cancel", what, "-f")
    assert result.exit_code == 0, result.output
    assert "nothing of it is left beside the file" in result.stdout
    assert left_beside(world) == []
    assert journals(world) == []


def test_a_stopped_copy_prints_the_command_that_copies_only_what_is_missing(world, interrupt, data):
    errors = interrupt(ACROSS)
    assert world.uploads()[0] in errors
    done = carry_out(world, errors.splitlines()[-1])
    assert b"had been copied before" in done.stdout
    assert world.read("copy") == data
    assert world.client.head_object("bucket", "copy").metadata["colour"] == "blue"
    assert len(world.door.parts_received) == PARTS - LET_THROUGH
    assert world.uploads() == []
    assert journals(world) == []


def test_the_same_command_goes_on_with_a_copy(world, run, interrupt, data):
    interrupt(ACROSS)
    assert run("cp", "oss://bucket/big", "oss://bucket/copy").exit_code == 0
    assert world.read("copy") == data
    assert len(world.door.parts_received) == PARTS - LET_THROUGH
    assert world.uploads() == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--no-resume"], ""),
        (["--meta", "colour:red"], "begun with other options"),
        (["--storage-class", "IA"], "begun with other options"),
    ],
)
def test_a_copy_that_is_asked_for_otherwise_begins_anew(world, run, interrupt, data, more, said):
    interrupt(ACROSS)
    result = run(*ACROSS, *more)
    assert result.exit_code == 0
    assert said in result.stderr
    assert world.read("copy") == data
    assert len(world.door.parts_received) == PARTS
    assert len(world.uploads()) == 1


def test_a_source_that_was_written_anew_is_copied_as_it_is_now(world, run, interrupt):
    interrupt(ACROSS)
    world.client.put_object("bucket", "big", b"x" * TOTAL_BYTES)
    result = run(*ACROSS)
    assert result.exit_code == 0
    assert "was changed since its unfinished copy" in result.stderr
    assert world.read("copy") == b"x" * TOTAL_BYTES


def test_resume_show_and_cancel_know_a_copy(world, run, interrupt, data):
    interrupt(ACROSS)
    (row,) = listed(run)
    assert (row["kind"], row["address"], row["source"]) == ("copy", "oss://bucket/copy", "oss://bucket/big")
    fields = json.loads(run("uploads", "show", row["id"], "--format", "json").stdout)
    assert (fields["parts"], fields["stored_parts"]) == (PARTS, LET_THROUGH)
    result = run("uploads", "resume", row["id"])
    assert result.exit_code == 0, result.output
    assert "1 object copied" in result.stdout
    assert world.read("copy") == data
    interrupt(ACROSS)
    result = run("uploads", "cancel", "oss://bucket/copy", "-f")
    assert result.exit_code == 0, result.output
    assert world.uploads() == []
    assert journals(world) == []


def test_a_copy_goes_on_without_its_journal_where_the_source_is_named(
    world, run, interrupt, data, monkeypatch
):
    interrupt(ACROSS)
    monkeypatch.setenv("PENSTOCK_STATE_DIR", str(world.folder / "another-machine"))
    result = run("uploads", "resume", "oss://bucket/copy", "oss://bucket/big")
    assert result.exit_code == 0, result.output
    assert world.read("copy") == data
    assert len(world.door.parts_received) == PARTS - LET_THROUGH
