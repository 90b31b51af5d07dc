"""penstock cp, both ways, without interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def test_a_file_comes_back_as_it_went(world, run):
    file = world.file("a.bin", 300_000)
    assert run("cp", file, "oss://bucket/x/").exit_code == 0
    assert world.read("x/a.bin") == file.read_bytes()
    back = world.folder / "back.bin"
    assert run("cp", "oss://bucket/x/a.bin", back).exit_code == 0
    assert back.read_bytes() == file.read_bytes()


def test_the_result_is_on_standard_output_and_says_succeed(world, run):
    result = run("cp", world.file("a.bin", 10), "oss://bucket/")
    assert result.stdout.startswith("Succeed: 1 object uploaded, 10 B in ")
    assert result.stderr == ""


def test_json_tells_source_target_and_checksum(world, run):
    result = run("cp", world.file("a.bin", 10), "oss://bucket/k", "--format", "json")
    fields = json.loads(result.stdout)
    assert fields["target"] == "oss://bucket/k"
    assert fields["crc64"] == str(world.client.head_object("bucket", "k").crc64)


def test_options_describe_the_object(world, run):
    words = ["--meta", "colour:blue", "--content-type", "text/x-test", "--acl", "public-read"]
    assert run("cp", world.file("a", 5), "oss://bucket/k", *words).exit_code == 0
    found = world.client.head_object("bucket", "k")
    assert (found.content_type, found.metadata["colour"]) == ("text/x-test", "blue")
    assert world.client.get_object_acl("bucket", "k").grant == "public-read"


def test_forbid_overwrite_refuses_and_tells_the_code(world, run):
    world.client.put_object("bucket", "k", b"before")
    result = run("cp", world.file("a", 5), "oss://bucket/k", "--forbid-overwrite")
    assert result.exit_code == 2
    assert "FileAlreadyExists" in result.stderr
    assert world.read("k") == b"before"


def test_a_directory_is_copied_with_its_folders_and_back(world, run):
    for name in ("one", "deep/two", "deep/er/three"):
        world.file(f"tree/{name}", 1000)
    assert run("cp", "-r", world.folder / "tree", "oss://bucket/t/").exit_code == 0
    keys = [found.key for found in world.client.iter_objects("bucket")]
    assert keys == ["t/deep/er/three", "t/deep/two", "t/one"]
    assert run("cp", "-r", "oss://bucket/t/", world.folder / "back").exit_code == 0
    for name in ("one", "deep/two", "deep/er/three"):
        assert (world.folder / "back" / name).read_bytes() == (world.folder / "tree" / name).read_bytes()


def test_update_leaves_out_what_is_there_already(world, run):
    world.file("tree/one", 1000)
    world.file("tree/two", 1000)
    run("cp", "-r", world.folder / "tree", "oss://bucket/t/")
    world.file("tree/two", 2000)
    result = run("cp", "-ru", world.folder / "tree", "oss://bucket/t/")
    assert "1 file uploaded" in result.stdout
    assert "1 were there already" in result.stdout


def test_some_failures_of_many_exit_with_4_and_the_others_are_copied(world, run):
    world.file("tree/good", 10)
    world.file("tree/there", 10)
    world.client.put_object("bucket", "t/there", b"before")
    result = run("cp", "-r", world.folder / "tree", "oss://bucket/t/", "--forbid-overwrite")
    assert result.exit_code == 4
    assert result.stdout.startswith("FinishWithError: 1 file uploaded")
    assert world.client.object_exists("bucket", "t/good")


def test_a_copy_that_fails_says_what_is_kept_and_the_command_that_goes_on(world, run):
    big = world.file("big.bin", 4 * 128 * 1024)
    words = ("cp", big, "oss://bucket/big.bin", "--part-size", "128K", "--parallel", "1")
    world.door.refused_part = 3
    failed = run(*words)
    assert failed.exit_code == 2
    assert f"OSS keeps 256.0 KiB under UploadId {world.uploads()[0]}" in failed.stderr
    told = run(*words, "--format", "json").stderr
    assert json.loads(told)["code"] == "AccessDenied"
    world.door.refused_part = None
    again = failed.stderr.splitlines()[-1].split()
    assert run(*again[again.index("uploads") :]).exit_code == 0
    assert world.read("big.bin") == big.read_bytes()


def test_a_missing_bucket_stops_a_batch_at_once(world, run):
    for number in range(50):
        world.file(f"tree/{number}", 10)
    result = run("cp", "-r", "-j", "1", world.folder / "tree", "oss://no-such-bucket/t/")
    assert result.exit_code == 2
    assert result.stderr.count("NoSuchBucket") == 1
    words = ("--report", world.folder / "failed", "oss://no-such-bucket/t/", world.folder / "back")
    assert run("cp", "-r", *words).stdout.endswith("1 failure\n")  # of no file, so it is not in the report


def test_keys_that_lead_out_of_the_directory_are_left_out(world, run):
    for key in ("t/../../evil", "t/good", "t//absolute"):
        world.client.put_object("bucket", key, b"x")
    result = run("cp", "-r", "oss://bucket/t/", world.folder / "back")
    assert result.exit_code == 0
    assert [path.name for path in (world.folder / "back").rglob("*")] == ["good"]
    assert not (world.folder.parent / "evil").exists()
    assert result.stderr.count("left out") == 2


def test_a_directory_needs_r(world, run):
    world.file("tree/one", 1)
    result = run("cp", world.folder / "tree", "oss://bucket/")
    assert result.exit_code == 1
    assert "Add -r" in result.stderr


@pytest.mark.parametrize(
    "words", [("a", "b"), ("a", "oss://"), ("-", "oss://bucket/folder/"), ("a", "oss://bucket//key")]
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(world, run, words):
    assert run("cp", *words).exit_code == 1
    assert list(world.client.iter_objects("bucket")) == []


def test_a_dry_run_copies_nothing(world, run):
    result = run("cp", "-n", world.file("a", 5), "oss://bucket/")
    assert result.exit_code == 0
    assert "-> oss://bucket/a" in result.stdout
    assert list(world.client.iter_objects("bucket")) == []


def test_standard_input_and_output_are_dashes(world):
    data = os.urandom(700_000)
    environment = {**os.environ, **world.environment}
    words = [sys.executable, "-m", "penstock.cli", "cp"]
    subprocess.run(
        [*words, "-", "oss://bucket/s"], input=data, env=environment, check=True, capture_output=True
    )
    done = subprocess.run([*words, "oss://bucket/s", "-"], env=environment, check=True, capture_output=True)
    assert done.stdout == data
    assert b"Succeed" in done.stderr


def test_a_download_that_fails_leaves_the_old_file_and_nothing_else(world, run):
    target = world.folder / "target"
    target.write_bytes(b"old")
    assert run("cp", "oss://bucket/missing", target).exit_code == 2
    assert target.read_bytes() == b"old"
    assert list(world.folder.iterdir()) == [target]


def test_a_copy_inside_oss(world, run):
    world.client.put_object("bucket", "a/one", b"1")
    world.client.put_object("bucket", "a/two", b"2")
    assert run("cp", "oss://bucket/a/one", "oss://bucket/b").exit_code == 0
    assert run("cp", "-r", "oss://bucket/a/", "oss://bucket/c/").exit_code == 0
    assert (world.read("b"), world.read("c/two")) == (b"1", b"2")
