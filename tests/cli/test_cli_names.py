"""Names that are not UTF-8, locales that know only ASCII, users without a home, and what a terminal obeys."""

from __future__ import annotations

import json
import os
import pty
import pwd
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names of files that are any bytes")

PROGRAM = [sys.executable, "-m", "penstock.cli"]
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
PART_BYTES = 128 * 1024


def done(world, *words, locale=None):
    """What a command comes to in a process of its own, with standard streams of its own."""
    environment = {**os.environ, **world.environment, **(locale or {})}
    return subprocess.run(
        [*PROGRAM, *words], env=environment, cwd=world.folder, capture_output=True, check=False
    )


def test_a_name_that_is_not_utf8_fails_alone_and_is_reported(world):
    odd = os.fsdecode(b"odd\xff.bin")
    for name in ("good", odd):
        world.file(f"tree/{name}", 10)
    report = world.folder / "failed.jsonl"
    words = ("-r", world.folder / "tree", "oss://bucket/t/")
    assert b"odd\xff.bin -> oss://bucket/t/odd\xff.bin" in done(world, "cp", "-n", *words).stdout
    assert done(world, "cp", "--report", report, *words).returncode == 4
    assert world.client.object_exists("bucket", "t/good")
    line = report.read_bytes().decode()
    assert json.loads(line)["name"] == odd
    again = done(world, "--format", "json", "cp", "--files-from", report, *words)
    assert [json.loads(line)["code"] for line in again.stderr.splitlines()] == ["ValidateError"]
    (world.folder / "names").write_bytes(b"odd\xff.bin\n")
    assert b"1 failure" in done(world, "cp", "--files-from", world.folder / "names", *words).stdout


def test_a_file_with_such_a_name_is_sent_fetched_and_gone_on_with(world, eventually):
    path = world.file(os.fsdecode(b"odd\xff.bin"), 20 * PART_BYTES)
    world.door.let_through = 3
    process = world.start("cp", path, "oss://bucket/k", "--part-size", "128K")
    eventually(
        lambda: any(len(list(world.client.iter_parts("bucket", "k", one))) == 3 for one in world.uploads())
    )
    assert b"odd\xff.bin" in done(world, "uploads", "ls").stdout
    process.kill()
    process.communicate()
    world.door.let_through = None
    assert b"odd\xff.bin" in done(world, "uploads", "ls").stdout
    assert b"had been sent before" in done(world, "cp", path, "oss://bucket/k").stdout
    back = world.folder / os.fsdecode(b"back\xff.bin")
    assert done(world, "cp", "oss://bucket/k", back).returncode == 0
    assert back.read_bytes() == path.read_bytes()


def test_names_go_both_ways_where_the_locale_knows_only_ascii(world):
    world.file("tree/é.bin", 10)
    data = (world.folder / "tree/é.bin").read_bytes()
    for words in (
        ("cp", "tree/é.bin", "oss://bucket/é/"),
        ("cp", "-r", "oss://bucket/é/", "back"),
        ("sync", "--delete", "-y", "oss://bucket/é", "back"),
        ("cp", "-n", "-r", "tree", "oss://bucket/x/"),
    ):
        copied = done(world, *words, locale=ASCII)
        assert (copied.returncode, b"Traceback" in copied.stderr) == (0, False), copied.stderr
    assert world.read("é/é.bin") == data
    assert (world.folder / "back/é.bin").read_bytes() == data
    world.client.put_object("bucket", "big/中.bin", os.urandom(3_000_000))
    words = ("cp", "-r", "oss://bucket/big/", "back", "--part-size", "1M")
    assert done(world, *words, locale=ASCII).returncode == 0
    assert (world.folder / "back/中.bin").read_bytes() == world.read("big/中.bin")


def test_a_user_without_a_home_needs_none(world, run, monkeypatch):
    def nobody(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("HOME", "PENSTOCK_STATE_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert run("ls", "oss://bucket").exit_code == 0
    assert "/nonexistent" in run("config").stdout
    assert run("uploads", "ls").exit_code == 0


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("ls", "-s", "oss://bucket"), rb"oss://bucket/a\x07\x1b[2J\nb"),
        (("rm", "-r", "-n", "oss://bucket"), rb"would remove oss://bucket/a\x07\x1b[2J\nb"),
        (
            ("cp", "-r", "-n", "oss://bucket/", "into"),
            rb"oss://bucket/a\x07\x1b[2J\nb -> into/a\x07\x1b[2J\nb",
        ),
    ],
)
def test_a_terminal_is_given_no_orders_by_names(world, words, shown):
    key = "a\x07\x1b[2J\nb"
    world.client.put_object("bucket", key, b"x")
    ours, theirs = pty.openpty()
    environment = {**os.environ, **world.environment}
    subprocess.run([*PROGRAM, *words], env=environment, stdout=theirs, stderr=subprocess.PIPE, check=True)
    os.close(theirs)
    seen = os.read(ours, 65536)
    os.close(ours)
    assert shown in seen
    assert b"\x1b[2J" not in seen
    assert b"a\x07" in done(world, *words).stdout
