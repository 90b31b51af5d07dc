"""The job that runs the SDKs' own suites: what it lets pass, and what it tells."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).with_name("run_sdk_suites.py")
SUITE = """
import os, unittest, urllib.request

class TestSuite(unittest.TestCase):
    def test_finds_a_server(self):
        url = os.environ["OSS_TEST_ENDPOINT"] + "/nowhere"
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url)
        self.assertEqual(refused.exception.code, 404)
        refused.exception.close()
    def test_signs_as_asked(self):
        self.assertEqual(os.environ["OSS_TEST_AUTH_VERSION"], "v4")
    def test_wants_what_is_not_there(self):
        self.fail("it is not there")
    def test_wants_what_is_not_there_either(self):
        pass
    @unittest.skip("not now")
    def test_is_not_run(self):
        pass
"""
MISSING = "tests/test_suite.py::TestSuite::test_wants_what_is_not_there"
PASSING = "tests/test_suite.py::TestSuite::test_finds_a_server"


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_sdk_suites", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(made, "EXCLUDED", tmp_path / "excluded.toml")
    tests = tmp_path / "checkout" / "tests"
    tests.mkdir(parents=True)
    (tests / "test_suite.py").write_text(SUITE)
    return made


def run(
    job: ModuleType, tmp_path: Path, listed_tests: list[str], *, listed: bool = False, sometimes: bool = False
) -> bool:
    names = "".join(f'"{test}",' for test in listed_tests)
    group = f'[[oss2]]\nreason = "a reason"\nsometimes = {str(sometimes).lower()}\ntests = [{names}]\n'
    if sometimes:
        group += f'[[oss2]]\nreason = "another reason"\ntests = ["{MISSING}"]\n'
    (tmp_path / "excluded.toml").write_text(group)
    return bool(job.judge(job.SUITES[0], tmp_path / "checkout", "v4", sys.executable, listed=listed))


def test_a_suite_passes_without_what_is_listed(
    job: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(job, tmp_path, [MISSING])
    assert "oss2 v4: 3 passed, 1 skipped; 1 listed" in capfd.readouterr().out


def test_what_fails_and_is_not_listed_fails_the_run(
    job: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not run(job, tmp_path, [PASSING])
    assert f"failed, and is not listed: {MISSING}" in capfd.readouterr().out


def test_what_is_listed_and_passes_is_told(
    job: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not run(job, tmp_path, [MISSING, PASSING], listed=True)
    told = capfd.readouterr().out
    assert f"passes now, take it off the list: {PASSING} a reason" in told
    assert f"take it off the list: {MISSING}" not in told
    assert run(job, tmp_path, [MISSING], listed=True)
    assert run(job, tmp_path, [PASSING], listed=True, sometimes=True)


def test_a_list_that_names_what_is_not_in_the_suite_is_out_of_date(
    job: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = "tests/test_suite.py::TestSuite::test_is_gone"
    assert not run(job, tmp_path, [MISSING, gone])
    assert f"listed, but not in the suite: {gone}" in "".join(capfd.readouterr())


def test_a_suite_that_runs_nothing_is_no_success(job: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "tests" / "test_suite.py").write_text("import what_is_not_there\n")
    assert not run(job, tmp_path, [MISSING])


def test_the_list_can_be_read_and_names_nothing_twice(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "EXCLUDED", SCRIPT.with_name("excluded.toml"))
    for suite in job.SUITES:
        for signature in suite.signatures:
            found = job.excluded(suite.name, signature)
            assert found
            assert all("::" in test and reason for test, reason in found.items())
