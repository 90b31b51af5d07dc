"""Each example does what it says, against a local OSS, and exits with 0."""

from __future__ import annotations

import subprocess
import sys
from os import environ
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_the_example_prints_what_it_promises(world, path):
    done = subprocess.run(
        [sys.executable, str(path), "bucket"],
        env={**environ, **world.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout


def test_the_first_one_prints_a_line_for_each_of_the_four_calls(world):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "abort_an_upload.py"), "a-bucket-to-be-made"],
        env={**environ, **world.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "disable putobject success\n" * 4
    assert not world.client.object_exists("a-bucket-to-be-made", "exampledir/exampleobject.txt")


@pytest.mark.parametrize("name", ["abort_an_upload.py", "abort_then_resume.py"])
def test_a_file_that_is_not_there_is_told_and_not_made(world, name):
    missing = world.folder / "missing"
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), "bucket", str(missing)],
        env={**environ, **world.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert f"{missing} could not be read" in done.stdout + done.stderr
    assert not missing.exists()
