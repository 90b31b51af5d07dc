"""The command line starts quickly, because it imports little."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest

_LIST_MODULES = """
import json, sys
import penstock.cli.program
from penstock.cli.program import cli
before = set(sys.modules)
try:
    cli.main(["--help"])
except SystemExit:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""
HELP_CPU_S = 0.25  # 0.07 on a quiet machine


def modules_after_help() -> set[str]:
    done = subprocess.run([sys.executable, "-c", _LIST_MODULES], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_imports_no_command_and_nothing_that_draws():
    loaded = modules_after_help()
    commands = {"demo", "serve", "cp", "ls", "rm", "uploads", "doctor", "batch", "copy_job", "meter"}
    assert not {f"penstock.cli.{name}" for name in commands} & loaded
    lower_layers = ("penstock.client", "penstock.net", "penstock.server")
    assert not {name for name in loaded if name.startswith(lower_layers)}
    assert not {name for name in loaded if name.split(".")[0] in ("rich", "apsw", "httptools", "sqlite3")}


def test_the_modules_of_commands_do_not_import_the_client_until_they_run():
    source = (
        "import sys\n"
        "import penstock.cli.cp, penstock.cli.ls, penstock.cli.demo\n"
        "import penstock.cli.serve, penstock.cli.uploads_ls\n"
        "print([m for m in sys.modules if m.startswith(('penstock.client', 'rich'))])\n"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(sys.platform == "win32", reason="no CPU time of children")
def test_help_takes_little_cpu_time():
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "penstock.cli", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent_s < HELP_CPU_S


@pytest.mark.parametrize(
    "name",
    ["demo", "serve", "cp", "cat", "presign", "ls", "stat", "du", "rm", "mb", "rb", "doctor", "config"],
)
def test_every_command_has_help(run, name):
    result = run(name, "--help")
    assert result.exit_code == 0
    assert f"penstock {name}" in result.output


@pytest.mark.parametrize("name", ["ls", "show", "resume", "abort", "drain", "limit", "cancel", "clean"])
def test_every_command_about_uploads_has_help(run, name):
    result = run("uploads", name, "--help")
    assert result.exit_code == 0


def test_aborting_keeps_and_cancelling_does_not(run):
    assert "can be resumed" in run("uploads", "abort", "--help").output
    assert "cannot be resumed" in run("uploads", "cancel", "--help").output
