from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import InvalidInput
from penstock.files.home import NO_HOME, home_directory
from penstock.files.journal_file import JournalFile
from penstock.files.state_dir import ENVIRONMENT_VARIABLE, StateDir


def test_the_environment_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "here"))
    assert StateDir().root == tmp_path / "here"


def test_without_it_the_directory_is_the_platforms_and_not_the_working_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    root = StateDir().root
    assert root.is_relative_to(tmp_path)
    assert root.name == "penstock"
    assert not root.exists(), "nothing is made before it is needed"


def test_journals_are_listed_and_nothing_else(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    assert state.journal_paths() == []
    for job_id in ("b", "a"):
        JournalFile.create(state.journal_path(job_id)).close()
    assert [path.stem for path in state.journal_paths()] == ["a", "b"]


@pytest.mark.parametrize("job_id", ["", "../x", "a/b", "a.b", "x" * 129, "ä"])
def test_a_job_id_cannot_lead_out_of_the_directory(tmp_path: Path, job_id: str) -> None:
    with pytest.raises(InvalidInput):
        StateDir(tmp_path).journal_path(job_id)


def test_a_user_without_a_home_may_name_the_directory_and_has_a_place_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_STATE_HOME", ENVIRONMENT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    assert home_directory() == NO_HOME
    assert StateDir().root.is_relative_to(NO_HOME)
    assert StateDir(Path("~/here")).root == NO_HOME / "here"
    assert StateDir(tmp_path).root == tmp_path
    with pytest.raises(InvalidInput, match="home directory"):
        StateDir(Path("~nobody-of-this-name/here"))
