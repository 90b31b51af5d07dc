"""The smaller commands, and how errors are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request

import pytest


def test_ls_lists_buckets_folders_and_objects(world, run):
    world.client.put_object("bucket", "top", b"12345")
    world.client.put_object("bucket", "folder/inner", b"1")
    assert "oss://bucket" in run("ls").stdout
    listed = run("ls", "oss://bucket", "-s").stdout.split()
    assert listed == ["oss://bucket/folder/", "oss://bucket/top"]
    assert run("ls", "-rs", "oss://bucket").stdout.split() == [
        "oss://bucket/folder/inner",
        "oss://bucket/top",
    ]
    rows = [
        json.loads(line) for line in run("ls", "-r", "oss://bucket", "--format", "json").stdout.splitlines()
    ]
    assert [(row["key"], row["size_bytes"]) for row in rows] == [("folder/inner", 1), ("top", 5)]


def test_stat_tells_of_objects_and_buckets(world, run):
    world.client.put_object("bucket", "k", b"12345", metadata={"colour": "blue"})
    fields = json.loads(run("stat", "oss://bucket/k", "--format", "json").stdout)
    assert (fields["content_bytes"], fields["metadata"]) == (5, {"colour": "blue"})
    assert "colour: blue" in run("stat", "oss://bucket/k").stdout
    assert json.loads(run("stat", "oss://bucket", "--format", "json").stdout)["object_count"] == 1


def test_stat_tells_of_what_is_empty_and_writes_a_crc64_as_cp_does(world, run):
    assert "object_count" in run("stat", "oss://bucket").stdout
    assert json.loads(run("stat", "oss://bucket", "--format", "json").stdout)["upload_count"] == 0
    copied = json.loads(run("cp", world.file("empty", 0), "oss://bucket/", "--format", "json").stdout)
    fields = json.loads(run("stat", "oss://bucket/empty", "--format", "json").stdout)
    assert (fields["content_bytes"], fields["crc64"]) == (0, copied["crc64"])
    assert "content_bytes  0\n" in run("stat", "oss://bucket/empty").stdout


def test_cat_writes_the_bytes_and_nothing_else(world, run):
    world.client.put_object("bucket", "k", b"\x00\xff\n")
    assert run("cat", "oss://bucket/k", "oss://bucket/k").stdout_bytes == b"\x00\xff\n" * 2


def test_du_adds_up_objects_and_parts_of_unfinished_uploads(world, run):
    world.client.put_object("bucket", "k", b"12345")
    upload = world.client.initiate_multipart_upload("bucket", "big")
    world.client.upload_part("bucket", "big", upload.upload_id, 1, b"x" * 1000)
    fields = json.loads(run("du", "oss://bucket", "--format", "json").stdout)
    assert (fields["object_bytes"], fields["uploads"], fields["part_bytes"]) == (5, 1, 1000)


def test_mb_and_rb_make_and_remove_a_bucket(world, run):
    assert run("mb", "oss://another").exit_code == 0
    assert run("rb", "oss://another").exit_code == 0
    assert run("rb", "oss://another").exit_code == 2


def test_rm_removes_one_and_with_r_many_only_when_sure(world, run):
    for key in ("a/1", "a/2", "b"):
        world.client.put_object("bucket", key, b"")
    assert run("rm", "oss://bucket/b").exit_code == 0
    assert run("rm", "-r", "oss://bucket/a/").exit_code == 1
    assert run("rm", "-rn", "oss://bucket/a/").stdout.count("would remove") == 2
    assert run("rm", "-rf", "oss://bucket/a/").exit_code == 0
    assert list(world.client.iter_objects("bucket")) == []


def test_rm_of_a_bucket_needs_r(world, run):
    assert run("rm", "-f", "oss://bucket").exit_code == 1


def test_a_presigned_url_reads_the_object_without_keys(world, run):
    world.client.put_object("bucket", "k", b"12345")
    url = run("presign", "oss://bucket/k", "--expires", "1m").stdout.strip()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url) as answer:
        assert answer.read() == b"12345"


def test_doctor_finds_everything_right_and_shows_no_secret(world, run):
    result = run("doctor")
    assert result.exit_code == 0
    assert "OSS_ENDPOINT" in result.stdout
    assert "accepted" in result.stdout
    assert "not-a-secret" not in result.output


def test_doctor_says_when_the_keys_are_wrong(world, run, monkeypatch):
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "wrong")
    result = run("doctor")
    assert result.exit_code == 2
    assert "SignatureDoesNotMatch" in result.stderr


def test_doctor_says_when_nobody_answers(world, run, monkeypatch):
    world.oss.stop()
    result = run("doctor")
    assert result.exit_code == 3


def test_config_shows_no_secret(world, run):
    output = run("config").output
    assert "OSS_ACCESS_KEY_SECRET=(set)" in output
    assert "not-a-secret" not in output


def test_an_error_of_oss_is_told_with_code_request_id_and_advice_and_no_traceback(world, run):
    result = run("stat", "oss://no-such-bucket/k")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: OSS answered 404 for oss://no-such-bucket/k")
    assert "request id" in lines[1]
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(world, run):
    assert "Traceback" in run("--debug", "stat", "oss://no-such-bucket/k").stderr


def test_errors_for_programs_are_json(world, run):
    fields = json.loads(run("cat", "oss://bucket/missing", "--format", "json").stderr)
    assert (fields["code"], fields["status"]) == ("NoSuchKey", 404)


def test_missing_keys_exit_with_3(world, run, monkeypatch):
    monkeypatch.delenv("OSS_ACCESS_KEY_ID")
    assert run("ls").exit_code == 3


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["ls", "--no-such-option"],
        ["cp", "only-one"],
        ["cp", "a", "oss://bucket", "--part-size", "many"],
    ],
)
def test_words_that_make_no_command_exit_with_1(run, words):
    result = run(*words)
    assert result.exit_code == 1
    assert "Usage" in result.stderr


def test_options_of_the_connection_stand_before_or_after_the_command(world, run, monkeypatch):
    endpoint = os.environ["OSS_ENDPOINT"]
    monkeypatch.delenv("OSS_ENDPOINT")
    assert run("-e", endpoint, "ls").exit_code == 0
    assert run("ls", "-e", endpoint).exit_code == 0


def test_keys_on_the_command_line_are_used_and_warned_of(world, run, monkeypatch):
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", "wrong")
    result = run("ls", "-i", "tester", "-k", "not-a-secret")
    assert result.exit_code == 0
    assert "warning: other users" in result.stderr


def test_a_reader_that_goes_away_ends_it_quietly(world):
    world.client.put_object("bucket", "k", b"x" * 3_000_000)
    process = world.start("cat", "oss://bucket/k")
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == -signal.SIGPIPE


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--region", ""], "region cannot be"),
        (["--base-host", ""], "base host '' is not"),
        (["--drain", "9" * 400], "time to drain is 0 to"),
    ],
)
def test_serve_refuses_what_makes_no_server(run, tmp_path, words, why):
    done = run("serve", tmp_path / "data", "--port", "0", *words)
    assert done.exit_code == 1
    assert why in done.output
    assert not (tmp_path / "data").exists()


def test_serve_prints_an_environment_that_works_and_ends_with_a_signal(world, tmp_path):
    environment = {name: text for name, text in os.environ.items() if not name.startswith("OSS_")}
    words = [sys.executable, "-m", "penstock.cli", "serve", str(tmp_path / "data"), "--port", "0"]
    server = subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    exports = {}
    while "OSS_ACCESS_KEY_SECRET" not in exports:
        line = server.stdout.readline()
        assert line, server.stderr.read()
        if line.startswith("export "):
            name, _, text = line.removeprefix("export ").strip().partition("=")
            exports[name] = text
    done = subprocess.run(
        [sys.executable, "-m", "penstock.cli", "mb", "oss://made"],
        env={**environment, **exports},
        check=False,
    )
    assert done.returncode == 0
    server.send_signal(signal.SIGINT)
    server.communicate(timeout=20)
    assert server.returncode == 0


def test_serve_shows_no_secret_that_was_given(world):
    server = world.start("serve", "--port", "0")
    while b"OSS_REGION" not in (line := server.stdout.readline()):
        assert line
        assert b"not-a-secret" not in line
    server.send_signal(signal.SIGTERM)
    output, errors = server.communicate(timeout=20)
    assert b"not-a-secret" not in output + errors


def test_serve_refuses_half_of_tls(run, tmp_path):
    assert run("serve", str(tmp_path / "data"), "--tls-cert", "x.pem").exit_code == 1
