"""What is left out of a copy, what is chosen, and what is removed."""

from __future__ import annotations

import json
import os

import pytest

SITE = {"index.html": 100, "img/a.png": 2000, "img/b.jpg": 3000, "img/deep/c.png": 400, "notes.tmp": 5}


@pytest.fixture
def site(world):
    for name, size_bytes in SITE.items():
        world.file(f"site/{name}", size_bytes)
    return world.folder / "site"


def keys(world, prefix="site/"):
    return {found.key.removeprefix(prefix) for found in world.client.iter_objects("bucket", prefix=prefix)}


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def age(path, seconds):
    status = path.stat()
    os.utime(path, (status.st_atime, status.st_mtime - seconds))


def test_a_second_sync_copies_nothing(world, run, site):
    assert run("sync", site, "oss://bucket/site/").exit_code == 0
    assert keys(world) == set(SITE)
    again = run("sync", site, "oss://bucket/site")
    assert again.exit_code == 0
    assert "0 files uploaded" in again.stdout
    assert "5 were there already" in again.stdout


def test_only_what_was_changed_is_copied_again(world, run, site):
    run("sync", site, "oss://bucket/site/")
    (site / "img/a.png").write_bytes(b"another length")
    result = run("sync", "--format", "json", site, "oss://bucket/site/")
    assert [json.loads(line)["target"] for line in result.stdout.splitlines()] == [
        "oss://bucket/site/img/a.png"
    ]
    assert world.read("site/img/a.png") == b"another length"


def test_what_is_in_the_target_alone_goes_only_with_delete(world, run, site):
    run("sync", site, "oss://bucket/site/")
    world.client.put_object("bucket", "site/old.html", b"old")
    world.client.put_object("bucket", "elsewhere/old.html", b"not below the target")
    run("sync", site, "oss://bucket/site/")
    assert "old.html" in keys(world)
    result = run("sync", "--delete", "-y", site, "oss://bucket/site/")
    assert "removed oss://bucket/site/old.html" in result.stdout
    assert keys(world) == set(SITE)
    assert world.read("elsewhere/old.html") == b"not below the target"


def test_removing_is_asked_for_and_not_done_where_nobody_answers(world, run, site):
    world.client.put_object("bucket", "site/old.html", b"old")
    result = run("sync", "--delete", site, "oss://bucket/site/")
    assert result.exit_code == 1
    assert "nobody is there to answer" in result.stderr
    assert "Add -y if it is meant" in result.stderr
    assert keys(world) == {*SITE, "old.html"}


def test_a_dry_run_says_what_would_be_done_and_does_nothing(world, run, site):
    run("sync", site, "oss://bucket/site/")
    (site / "notes.tmp").write_bytes(b"longer than before")
    world.client.put_object("bucket", "site/old.html", b"old")
    result = run("sync", "-n", "--delete", site, "oss://bucket/site/")
    assert result.stdout.count(" -> ") == 1
    assert "would remove oss://bucket/site/old.html" in result.stdout
    assert keys(world) == {*SITE, "old.html"}
    assert len(world.read("site/notes.tmp")) == 5


def test_nothing_is_removed_when_something_could_not_be_copied(world, run, site):
    world.client.put_object("bucket", "site/old.html", b"old")
    (site / "pipe").symlink_to("nowhere")
    result = run("sync", "--delete", "-y", site, "oss://bucket/site/")
    assert result.exit_code == 0
    assert "left out" in result.stderr
    assert "nothing was removed, since not all was copied" in result.stderr
    assert "old.html" in keys(world)


def test_what_is_excluded_is_neither_copied_nor_removed(world, run, site):
    world.client.put_object("bucket", "site/kept.tmp", b"not ours to remove")
    run("sync", "--delete", "-y", "--exclude", "*.tmp", site, "oss://bucket/site/")
    assert keys(world) == {*SITE, "kept.tmp"} - {"notes.tmp"}


def test_delete_and_a_limit_of_size_are_refused_together(world, run, site):
    result = run("sync", "--delete", "-y", "--max-size", "1K", site, "oss://bucket/site/")
    assert result.exit_code == 1
    assert keys(world) == set()


def test_a_directory_becomes_like_a_prefix(world, run, site):
    run("sync", site, "oss://bucket/site/")
    into = world.folder / "back"
    assert run("sync", "oss://bucket/site/", into).exit_code == 0
    assert files(into) == set(SITE)
    assert "5 were there already" in run("sync", "oss://bucket/site/", into).stdout
    (into / "extra").write_bytes(b"x")
    assert run("sync", "--delete", "-y", "oss://bucket/site/", into).exit_code == 0
    assert files(into) == set(SITE)


def test_a_prefix_becomes_like_another_one(world, run, site):
    run("sync", site, "oss://bucket/site/")
    world.client.put_object("bucket", "mirror/old.html", b"old")
    assert run("sync", "--delete", "-y", "oss://bucket/site/", "oss://bucket/mirror/").exit_code == 0
    assert keys(world, "mirror/") == set(SITE)
    assert "5 were there already" in run("sync", "oss://bucket/site/", "oss://bucket/mirror/").stdout


@pytest.mark.parametrize(
    ("words", "copied"),
    [
        ((), True),
        (("--update",), True),
        (("--size-only",), False),
        (("--checksum",), True),
        (("--ignore-existing",), False),
    ],
)
def test_a_change_that_keeps_the_size_is_seen_by_time_and_by_checksum(world, run, words, copied):
    path = world.file("one.bin", 1000)
    world.client.put_object("bucket", "one.bin", bytes(1000))
    age(path, -3600)  # changed an hour after it was uploaded
    result = run("cp", *words, path, "oss://bucket/one.bin")
    assert result.exit_code == 0, result.stderr
    assert (world.read("one.bin") == path.read_bytes()) is copied


def test_a_touched_file_with_the_same_bytes_is_left_out_by_checksum(world, run):
    path = world.file("one.bin", 1000)
    run("cp", path, "oss://bucket/one.bin")
    age(path, -3600)
    assert "1 were there already" in run("cp", "--checksum", path, "oss://bucket/one.bin").stdout


@pytest.mark.parametrize("words", [("-u", "--checksum"), ("--size-only", "--ignore-existing")])
def test_two_ways_of_comparing_are_refused(world, run, words):
    result = run("cp", *words, world.file("one.bin", 1), "oss://bucket/one.bin")
    assert result.exit_code == 1
    assert "say different things" in result.stderr


def test_recursive_copies_within_oss_leave_out_what_is_alike(world, run, site):
    run("cp", "-r", site, "oss://bucket/site/")
    assert "5 files copied" in run("cp", "-r", "-u", "oss://bucket/site/", "oss://bucket/two/").stdout
    assert "5 were there already" in run("cp", "-r", "-u", "oss://bucket/site/", "oss://bucket/two/").stdout


def test_files_are_chosen_by_name_and_size(world, run, site):
    run("cp", "-r", "--include", "*.png", "--max-size", "1K", site, "oss://bucket/site/")
    assert keys(world) == {"img/deep/c.png"}


def test_choosing_from_one_file_is_refused(world, run):
    result = run("cp", "--include", "*.png", world.file("a.png", 1), "oss://bucket/a.png")
    assert result.exit_code == 1
    assert "Add -r" in result.stderr


def test_a_report_names_what_failed_and_is_taken_back_as_a_list(world, run, site):
    (site / "bad\nname.txt").write_bytes(b"x")
    broken = site / "img/a.png"
    broken.unlink()
    broken.symlink_to(site / "img/b.jpg")
    report = world.folder / "failed.jsonl"
    world.client.put_object("bucket", "site/img/b.jpg", b"in the way")
    result = run("cp", "-r", "--forbid-overwrite", "--report", report, site, "oss://bucket/site/")
    assert result.exit_code == 4
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [(line["name"], line["code"]) for line in lines] == [("img/b.jpg", "FileAlreadyExists")]
    assert lines[0]["request_id"]
    again = run("cp", "-r", "--files-from", report, site, "oss://bucket/site/")
    assert "1 file uploaded" in again.stdout
    assert world.read("site/img/b.jpg") == (site / "img/b.jpg").read_bytes()


def test_a_directory_that_cannot_be_looked_into_fails_alone_and_nothing_is_removed(
    world, run, site, monkeypatch
):
    run("sync", site, "oss://bucket/site/")
    world.file("site/zoo/new", 10)
    real = os.scandir

    def scandir(path="."):
        if str(path) == str(site / "img"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    report = world.folder / "failed.jsonl"
    result = run("sync", "--delete", "-y", "--report", report, site, "oss://bucket/site/")
    assert result.exit_code == 4
    assert f"{site / 'img'} could not be read: Permission denied" in result.stderr
    assert "1 file uploaded" in result.stdout
    assert keys(world) == {*SITE, "zoo/new"}
    assert [json.loads(line)["name"] for line in report.read_text().splitlines()] == ["img"]
    assert run("sync", "-n", "--delete", site, "oss://bucket/site/").exit_code == 3
    assert run("sync", "--exclude", "img/**", site, "oss://bucket/site/").exit_code == 0
    assert run("sync", site / "img", "oss://bucket/other/").exit_code == 3
    assert run("sync", "--files-from", report, site, "oss://bucket/taken-back/").exit_code == 3
    monkeypatch.setattr(os, "scandir", real)
    assert run("sync", "--files-from", report, site, "oss://bucket/taken-back/").exit_code == 0
    assert keys(world, "taken-back/") == {name for name in SITE if name.startswith("img/")}


def test_names_of_a_list_for_which_there_is_nothing_are_told(world, run, site):
    names = world.folder / "names"
    names.write_text("index.html\nimg\nmissing\n")
    result = run("cp", "-r", "--files-from", names, site, "oss://bucket/site/")
    assert "4 files uploaded" in result.stdout
    assert result.stderr == "nothing was found for 1 name of the list, such as missing\n"


def test_a_report_that_cannot_be_written_ends_the_command_before_anything_is_sent(world, run, site):
    result = run("cp", "-r", "--report", world.folder / "no" / "r", site, "oss://bucket/site/")
    assert result.exit_code == 1
    assert keys(world) == set()


def test_a_link_to_a_directory_is_said_and_what_is_below_it_is_kept(world, run, site):
    run("sync", site, "oss://bucket/site/")
    (site / "img").rename(world.folder / "elsewhere")
    (site / "img").symlink_to(world.folder / "elsewhere")
    result = run("sync", "--delete", "-y", site, "oss://bucket/site/")
    assert result.exit_code == 0
    assert f"left out: {site / 'img'} is a link to a directory" in result.stderr
    assert "nothing was removed, since not all was copied" in result.stderr
    assert keys(world) == set(SITE)


def test_a_link_that_was_not_meant_keeps_nothing_from_being_removed_but_what_is_below_it(world, run, site):
    (site / "cache").symlink_to(world.folder)
    for name in ("cache/kept", "old.html"):
        world.client.put_object("bucket", f"site/{name}", b"old")
    result = run("sync", "--delete", "-y", "--exclude", "cache/**", site, "oss://bucket/site/")
    assert "left out" not in result.stderr
    assert keys(world) == {*SITE, "cache/kept"}


@pytest.mark.parametrize("dry", [(), ("-n",)])
def test_an_empty_source_does_not_empty_its_target(world, run, site, dry):
    empty = world.folder / "empty"
    empty.mkdir()
    run("sync", site, "oss://bucket/site/")
    for source, target in ((empty, "oss://bucket/site/"), ("oss://bucket/sitee/", site)):
        result = run("sync", "--delete", "-y", *dry, source, target)
        assert result.exit_code == 1
        assert "--allow-empty" in result.stderr
        assert files(site) == keys(world) == set(SITE)
    nothing_meant = ("sync", "--delete", "-y", "--include", "*.jpeg", site, "oss://bucket/site/")
    assert run(*nothing_meant).exit_code == 0


def test_an_empty_source_empties_its_target_where_that_is_meant(world, run, site):
    run("sync", site, "oss://bucket/site/")
    result = run("sync", "--delete", "-y", "--allow-empty", "oss://bucket/sitee/", site)
    assert result.exit_code == 0
    assert files(site) == set()


def test_a_source_in_oss_is_a_folder_with_or_without_its_slash(world, run, site):
    run("sync", site, "oss://bucket/site/")
    world.client.put_object("bucket", "sitemap.xml", b"not below site")
    assert run("sync", "--delete", "-y", "oss://bucket/site", site).exit_code == 0
    assert files(site) == set(SITE)


@pytest.mark.parametrize("words", [("sync",), ("cp", "-ru")])
def test_an_edit_in_the_second_of_the_upload_is_copied(world, run, words):
    path = world.file("site/one", 5)
    run(*words, path.parent, "oss://bucket/site/")
    stored_s = world.client.head_object("bucket", "site/one").last_modified.timestamp()
    os.utime(path, (stored_s + 0.9, stored_s + 0.9))
    assert "1 were there already" in run(*words, path.parent, "oss://bucket/site/").stdout
    path.write_bytes(b"later")
    os.utime(path, (stored_s + 0.9, stored_s + 0.9))
    assert "1 file uploaded" in run(*words, path.parent, "oss://bucket/site/").stdout
    assert world.read("site/one") == b"later"
