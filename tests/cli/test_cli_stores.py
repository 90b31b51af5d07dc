"""``penstock fsck`` and ``penstock backup``, beside a server that is running."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.server.local_oss import LocalOss

SIZE = 200_000


def blobs(store: Path) -> list[Path]:
    return [path for path in (store / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
def store(world) -> Path:
    """The store of a server that runs, with an object in a file of its own."""
    world.client.put_object("bucket", "holiday/photo", bytes(SIZE))
    return world.oss.directory


def test_a_store_in_order_is_said_to_be_while_it_is_served(world, run, store):
    done = run("fsck", store)
    assert done.exit_code == 0
    assert "in order (1 file looked at, not the bytes)" in done.output
    assert "every byte" in run("fsck", store, "--scrub").output
    assert world.read("holiday/photo") == bytes(SIZE)


def test_a_missing_file_is_reported_with_the_object_that_needs_it(run, store):
    (lost,) = blobs(store)
    lost.unlink()
    for words in ([], ["--repair"]):
        done = run("fsck", store, *words)
        assert done.exit_code == 4
        assert f"file {lost.name} is missing" in done.output
        assert "oss://bucket/holiday/photo" in done.output


def test_only_a_scrub_finds_bytes_that_changed(run, store):
    (path,) = blobs(store)
    path.write_bytes(b"x" + bytes(SIZE - 1))
    assert run("fsck", store).exit_code == 0
    done = run("fsck", store, "--scrub", "--json")
    assert done.exit_code == 4
    said = json.loads(done.output)
    assert (said["sound"], said["damaged"], said["repaired"]) == (False, [path.name], None)
    assert said["needy"][0]["key"] == "holiday/photo"


def test_what_a_crash_left_is_removed_on_request_and_nothing_else(world, run, store):
    (path,) = blobs(store)
    orphan = path.with_name(f"{path.name[:-1]}{'0' if path.name[-1] != '0' else '1'}")
    orphan.write_bytes(b"left behind")
    done = run("fsck", store)
    assert done.exit_code == 0
    assert "1 file left behind by a crash" in done.output
    assert "removed 1 file that nothing needed" in run("fsck", store, "--repair").output
    assert blobs(store) == [path]
    assert world.read("holiday/photo") == bytes(SIZE)


def test_nothing_is_removed_from_a_store_that_is_damaged(world, run, store):
    (path,) = blobs(store)
    moved = path.with_name(f"{path.name[:-1]}{'0' if path.name[-1] != '0' else '1'}")
    path.rename(moved)
    done = run("fsck", store, "--repair")
    assert done.exit_code == 4
    assert "nothing is removed from a store that is damaged" in done.output
    moved.rename(path)
    assert run("fsck", store).exit_code == 0
    assert world.read("holiday/photo") == bytes(SIZE)


def test_many_findings_are_cut_short_for_people_only(world, run, store):
    for number in range(30):
        world.client.put_object("bucket", f"more/{number}", bytes(SIZE))
    for path in blobs(store):
        path.unlink()
    shown = run("fsck", store).output
    assert "and 11 more; --json shows all" in shown
    assert len(json.loads(run("fsck", store, "--output-format", "json").output)["missing"]) == 31


@pytest.mark.parametrize("how", [[], ["--copy"]])
def test_a_backup_of_a_running_server_can_be_served(world, run, store, tmp_path, how):
    done = run("backup", store, tmp_path / "copy", *how)
    assert done.exit_code == 0
    assert "1 file of 195.3 KiB" in done.output
    assert ("linked" in done.output) == (not how)
    world.client.put_object("bucket", "holiday/photo", b"later")
    assert run("fsck", tmp_path / "copy", "--scrub").exit_code == 0
    with LocalOss.start(tmp_path / "copy", users={"tester": "not-a-secret"}, durability="none") as other:
        client = type(world.client)(other.endpoint, other.region)
        with client, client.get_object("bucket", "holiday/photo") as body:
            assert body.read() == bytes(SIZE)


def test_a_backup_does_not_overwrite(world, store, tmp_path):
    process = world.start("backup", store, tmp_path)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 3
    assert b"exists already" in errors


@pytest.mark.parametrize("words", [["fsck"], ["backup"]])
def test_a_directory_without_a_store_is_refused_and_left_alone(world, tmp_path, words):
    (tmp_path / "empty").mkdir()
    more = [tmp_path / "target"] if words == ["backup"] else []
    process = world.start(*words, tmp_path / "empty", *more)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 3
    assert b"holds no store" in errors
    assert list((tmp_path / "empty").iterdir()) == []
