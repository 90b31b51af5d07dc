from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import penstock
from penstock.cli.program import cli
from penstock.server.local_oss import LocalOss

sys.path.insert(0, str(Path(__file__).parent))  # for cli_world, which the tests here share

from cli_world import KEYS, Door, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    door = Door()
    with LocalOss.start(tmp_path / "oss", users=dict([KEYS]), durability="none", interceptor=door) as oss:
        environment = {
            "OSS_ENDPOINT": oss.endpoint,
            "OSS_REGION": oss.region,
            "OSS_ACCESS_KEY_ID": KEYS[0],
            "OSS_ACCESS_KEY_SECRET": KEYS[1],
            "PENSTOCK_STATE_DIR": str(tmp_path / "state"),
            "HOME": str(tmp_path),
        }
        for name, text in environment.items():
            monkeypatch.setenv(name, text)
        for name in (
            "OSS_SESSION_TOKEN",
            "OSSUTIL_CONFIG_FILE",
            "OSSUTIL_PROFILE",
            "PENSTOCK_INTERRUPT_EXIT",
        ):
            monkeypatch.delenv(name, raising=False)
        folder = tmp_path / "files"
        folder.mkdir()
        with penstock.Client() as client:
            client.put_bucket("bucket")
            yield World(oss, client, door, folder, environment)


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run a command line in this process."""

    def call(*words: str | Path, input: str | None = None) -> Result:
        return CliRunner().invoke(cli, [str(word) for word in words], input=input, catch_exceptions=False)

    return call
