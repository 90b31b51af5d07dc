"""The table of features says what is there."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from penstock.protocol.operations import OPERATIONS
from penstock.server.handlers import BODY_HANDLERS, HANDLERS

SCRIPT = Path(__file__).parents[2] / "docs" / "make_features.py"


def test_the_table_of_features_is_as_its_script_writes_it() -> None:
    spec = importlib.util.spec_from_file_location("make_features", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    written = script.FILE.read_text(encoding="utf-8")
    assert written == script.text(), "run: python docs/make_features.py"
    names = {one.name for one in OPERATIONS}
    assert names >= set(script.PARTLY) | set(script.COMMANDS)


def test_every_call_is_answered_by_one_handler() -> None:
    for operation in OPERATIONS:
        bodies = operation.request in BODY_HANDLERS
        assert bodies is (operation.body == "stream"), operation.name
        assert bodies is not (operation.request in HANDLERS), operation.name
