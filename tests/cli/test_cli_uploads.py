"""penstock uploads: list, show, resume, cancel, clean."""

from __future__ import annotations

import json

import pytest

PART_BYTES = 128 * 1024


def halted(world, key: str = "big.bin", size_bytes: int = 5 * PART_BYTES):
    """A file whose upload was aborted once OSS had two parts of it."""
    import threading

    file = world.file(key, size_bytes)
    enough = threading.Event()
    go_on = threading.Event()

    def hold(progress) -> None:
        if progress.acknowledged_bytes >= 2 * PART_BYTES:
            enough.set()
            go_on.wait(20)

    transfer = world.client.upload(
        file, f"oss://bucket/{key}", part_bytes=PART_BYTES, parallel=1, progress=hold
    )
    assert enough.wait(20)
    transfer.abort()
    go_on.set()
    assert transfer.outcome().aborted
    return file, transfer


def the_id(run) -> str:
    return json.loads(run("uploads", "ls", "--format", "json").stdout)["id"]


def test_ls_lists_what_was_aborted_without_asking_oss(world, run):
    halted(world)
    world.oss.stop()
    result = run("uploads", "ls")
    assert "oss://bucket/big.bin" in result.stdout
    assert "40% of" in result.stdout
    assert result.stderr == "1 unfinished transfer on this machine\n"


def test_ls_of_a_bucket_lists_uploads_of_others_too(world, run):
    theirs = world.client.initiate_multipart_upload("bucket", "theirs").upload_id
    _, ours = halted(world)
    rows = [
        json.loads(line)
        for line in run("uploads", "ls", "oss://bucket", "--format", "json").stdout.splitlines()
    ]
    assert {row["upload_id"]: row["id"] is None for row in rows} == {theirs: True, ours.upload_id: False}
    assert [row["part_bytes"] for row in rows] == [2 * PART_BYTES, 0]


def test_show_tells_what_is_missing_and_a_token_that_resumes(world, run):
    _, transfer = halted(world)
    fields = json.loads(run("uploads", "show", the_id(run), "--format", "json").stdout)
    assert (fields["parts"], fields["stored_parts"]) == (5, 2)
    assert world.client.resume(fields["token"]).result().size_bytes == 5 * PART_BYTES
    assert transfer.upload_id not in world.uploads()


def test_show_takes_a_token_and_an_address_too(world, run):
    _, transfer = halted(world)
    for name in (transfer.resume_token, "oss://bucket/big.bin"):
        fields = json.loads(run("uploads", "show", name, "--format", "json").stdout)
        assert fields["id"].startswith(the_id(run))
    halted(world)
    assert "2 unfinished transfers are called" in run("uploads", "show", "oss://bucket/big.bin").stderr
    assert "no unfinished transfer" in run("uploads", "show", "oss://bucket/other").stderr


def test_show_names_the_missing_parts(world, run):
    halted(world)
    assert "3-5" in run("uploads", "show", the_id(run)).stdout


def test_resume_needs_only_the_id(world, run, monkeypatch):
    file, _ = halted(world)
    for name in ("OSS_ENDPOINT", "OSS_REGION"):
        monkeypatch.delenv(name)
    result = run("uploads", "resume", the_id(run))
    assert result.exit_code == 0, result.output
    assert world.read("big.bin") == file.read_bytes()


def test_resume_finds_the_upload_by_address_and_file_without_a_journal(world, run, monkeypatch):
    file, _ = halted(world)
    monkeypatch.setenv("PENSTOCK_STATE_DIR", str(world.folder / "another-machine"))
    world.door.parts_received.clear()
    result = run("uploads", "resume", "oss://bucket/big.bin", file)
    assert result.exit_code == 0, result.output
    assert world.read("big.bin") == file.read_bytes()
    assert sorted(world.door.parts_received) == [3, 4, 5]


def test_resume_refuses_a_changed_file_and_keep_matching_takes_it(world, run):
    file, _ = halted(world)
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)
    refused = run("uploads", "resume", the_id(run))
    assert refused.exit_code == 3
    assert "SourceChanged" in refused.stderr
    assert run("uploads", "resume", the_id(run), "--keep-matching").exit_code == 0
    assert world.read("big.bin") == data


def test_a_refusal_names_the_option_that_goes_on_all_the_same(world, run):
    file, _ = halted(world)
    world.client.put_object("bucket", "big.bin", b"somebody else's")
    refused = run("cp", file, "oss://bucket/big.bin")
    assert "TargetChanged" in refused.stderr
    assert refused.stderr.splitlines()[-1].endswith(f"uploads resume {the_id(run)} --force")
    file.write_bytes(file.read_bytes()[:-1])
    refused = run("uploads", "resume", the_id(run), "--force")
    assert "SourceChanged" in refused.stderr
    assert refused.stderr.splitlines()[-1].endswith(f"uploads resume {the_id(run)} --keep-matching")
    assert run("uploads", "resume", the_id(run), "--force", "--keep-matching").exit_code == 0
    assert world.read("big.bin") == file.read_bytes()


def test_cancel_leaves_nothing_at_oss_and_no_journal(world, run):
    halted(world)
    result = run("uploads", "cancel", the_id(run), "-f")
    assert result.exit_code == 0
    assert "nothing of it is left" in result.stdout
    assert world.uploads() == []
    assert run("uploads", "ls").stdout == ""


def test_aborting_what_does_not_run_says_so_and_keeps_it(world, run):
    halted(world)
    result = run("uploads", "abort", the_id(run))
    assert result.exit_code == 1
    assert "nothing that runs now" in result.stderr
    assert len(world.uploads()) == 1


def test_cancel_asks_and_does_nothing_when_nobody_answers(world, run):
    halted(world)
    result = run("uploads", "cancel", the_id(run))
    assert result.exit_code == 1
    assert "-f" in result.stderr
    assert len(world.uploads()) == 1


def test_cancel_by_address_takes_uploads_of_others(world, run):
    world.client.initiate_multipart_upload("bucket", "theirs")
    world.client.initiate_multipart_upload("bucket", "theirs-too")
    assert run("uploads", "cancel", "oss://bucket/theirs", "-f").exit_code == 0
    assert [found.key for found in world.client.iter_multipart_uploads("bucket")] == ["theirs-too"]


def test_clean_takes_only_what_is_old_enough(world, run):
    halted(world)
    young = run("uploads", "clean", "--older-than", "3h", "-f")
    assert young.exit_code == 0
    assert "left alone: 1 unfinished upload, younger than 3 h" in young.stderr
    assert len(world.uploads()) == 1
    assert run("uploads", "clean", "--older-than", "0s", "-f").exit_code == 0
    assert world.uploads() == []


def test_clean_of_a_bucket_takes_what_no_journal_tells_of(world, run):
    world.client.initiate_multipart_upload("bucket", "forgotten")
    halted(world)
    dry = run("uploads", "clean", "oss://bucket", "--older-than", "0s", "-n")
    assert dry.stdout.count("oss://bucket/") == 2
    assert len(world.uploads()) == 2
    assert run("uploads", "clean", "oss://bucket", "--older-than", "0s", "-f").exit_code == 0
    assert world.uploads() == []


def test_an_id_that_nobody_has_is_an_error_in_words(world, run):
    result = run("uploads", "show", "ffff")
    assert result.exit_code == 1
    assert "uploads ls" in result.stderr


# Stopped before it began


def unbegun(world, key: str = "big.bin"):
    """A file whose upload was aborted before OSS was asked for anything."""
    import penstock

    file = world.file(key, 5 * PART_BYTES)
    with penstock.abort_scope() as scope:
        scope.abort()
        transfer = world.client.upload(file, f"oss://bucket/{key}", part_bytes=PART_BYTES)
        assert transfer.outcome().error.code == penstock.NOT_SENT
    return file


def test_what_was_stopped_before_it_began_is_listed_shown_and_resumed(world, run):
    file = unbegun(world)
    assert "0% of" in run("uploads", "ls").stdout
    assert "stopped before it began" in run("uploads", "show", the_id(run)).stdout
    assert run("uploads", "resume", the_id(run)).exit_code == 0
    assert world.client.get_object("bucket", "big.bin").read() == file.read_bytes()
    assert run("uploads", "ls", "--format", "json").stdout == ""


def test_cp_goes_on_with_what_was_stopped_before_it_began(world, run):
    file = unbegun(world)
    assert run("cp", file, "oss://bucket/big.bin").exit_code == 0
    assert run("uploads", "ls", "--format", "json").stdout == ""


def test_what_was_stopped_before_it_began_is_cancelled_by_its_address_too(world, run):
    unbegun(world)
    result = run("uploads", "cancel", "-y", "oss://bucket/big.bin")
    assert result.exit_code == 0
    assert "nothing of it is left" in result.stdout
    assert run("uploads", "ls", "--format", "json").stdout == ""


def test_cp_that_may_overwrite_does_not_go_on_with_one_that_must_not(world, run):
    import penstock

    file = world.file("big.bin", 5 * PART_BYTES)
    world.client.put_object("bucket", "big.bin", b"old")
    with penstock.abort_scope() as scope:
        scope.abort()
        world.client.upload(
            file, "oss://bucket/big.bin", part_bytes=PART_BYTES, forbid_overwrite=True
        ).outcome()
    result = run("cp", file, "oss://bucket/big.bin")
    assert result.exit_code == 0
    assert "begun with other options" in result.stderr
    assert world.client.get_object("bucket", "big.bin").read() == file.read_bytes()


def test_a_command_that_is_shown_names_a_relative_state_directory_as_a_whole(
    world, run, tmp_path, monkeypatch
):
    """Another upload of the file is unfinished, and a command is shown that removes it."""
    import penstock

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PENSTOCK_STATE_DIR", "my state")
    file = world.file("big.bin", 5 * PART_BYTES)
    with penstock.Client() as client, penstock.abort_scope() as scope:
        scope.abort()
        client.upload(file, "oss://bucket/big.bin", part_bytes=PART_BYTES).outcome()
    result = run("cp", file, "oss://bucket/big.bin", "--part-size", "256K")
    assert f"PENSTOCK_STATE_DIR='{tmp_path}/here/my state' penstock uploads cancel" in result.stderr


@pytest.mark.parametrize("words", [["cp", "-u"], ["cp", "--ignore-existing"]], ids=" ".join)
def test_an_upload_that_was_complete_when_it_was_stopped_ends_when_its_file_is_found_there(
    world, run, eventually, words
):
    file = world.file("big.bin", 3 * PART_BYTES)
    world.door.hold_completes = True
    transfer = world.client.upload(file, "oss://bucket/big.bin", part_bytes=PART_BYTES)
    eventually(lambda: world.door.completed == 1)
    transfer.abort()
    assert transfer.outcome(20).committed == "unknown"
    world.door.hold_completes = False
    assert "big.bin" in run("uploads", "ls").stdout
    result = run(*words, file, "oss://bucket/big.bin")
    assert result.exit_code == 0
    assert sorted(world.door.parts_received) == [1, 2, 3]
    assert run("uploads", "ls", "--format", "json").stdout == ""


def test_an_upload_stays_unfinished_when_its_file_is_found_there_from_elsewhere(world, run):
    file = unbegun(world)
    world.client.put_object("bucket", "big.bin", str(file))
    assert run("cp", "-u", file, "oss://bucket/big.bin").exit_code == 0
    assert "big.bin" in run("uploads", "ls").stdout
