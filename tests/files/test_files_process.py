from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_SAY = "from penstock.files.process import program_name; print(program_name())"


def said(*words: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True, cwd=cwd)
    return done.stdout.strip()


def test_a_process_is_called_by_its_program_and_by_none_of_its_arguments(tmp_path: Path) -> None:
    script = tmp_path / "job.py"
    package = tmp_path / "package"
    package.mkdir()
    for file in (script, package / "__main__.py", package / "step.py"):
        file.write_text(_SAY)
    assert said(script, "-k", "secret") == "job.py"
    assert said("-m", "package", "-k", "secret", cwd=tmp_path) == "package"
    assert said("-m", "package.step", "secret", cwd=tmp_path) == "package.step"
    assert said("-c", _SAY, "secret") == Path(sys.executable).name
