"""
A plugin for pytest: leaves out exactly the tests that a file names, and notes what came of the others.

JUDGES_LEFT_OUT has one test to a line; JUDGES_OUTCOMES gets one line to a phase, ``outcome test``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    listed = set(Path(os.environ["JUDGES_LEFT_OUT"]).read_text(encoding="utf-8").splitlines())
    if unknown := listed - {item.nodeid for item in items}:
        raise pytest.UsageError(f"listed, but not in the suite: {', '.join(sorted(unknown))}")
    config.hook.pytest_deselected(items=[item for item in items if item.nodeid in listed])
    items[:] = [item for item in items if item.nodeid not in listed]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        with Path(os.environ["JUDGES_OUTCOMES"]).open("a", encoding="utf-8") as outcomes:
            outcomes.write(f"{report.outcome} {report.nodeid}\n")
