from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from penstock.errors import StoreError
from penstock.server.store import LocalStore
from penstock.server.store.blobs import path_below
from penstock.server.sweeper import Sweeper


def left_behind(directory: Path, age_s: float) -> Path:
    """A file that a process was about to make known when it was killed, so long ago."""
    moment_ms = int((time.time() - age_s) * 1000)
    path = path_below(directory / "blobs", f"{moment_ms:012x}0001{'0' * 16}")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"left behind")
    return path


def test_what_was_left_behind_yesterday_is_swept_and_what_is_young_stays(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    with LocalStore.open(tmp_path, "none") as store:
        old, young = left_behind(tmp_path, 90_000), left_behind(tmp_path, 60)
        sweeper = Sweeper(store, first_s=0)
        sweeper.start()
        eventually(lambda: not old.exists())
        sweeper.stop()
        assert young.exists()


def test_a_sweep_that_fails_is_tried_again(
    tmp_path: Path, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    tries = []

    class Failing(LocalStore):
        def sweep_orphans(self, grace_s: float = 86_400) -> tuple[str, ...]:
            tries.append(grace_s)
            raise StoreError("the disk is tired")

    with Failing(tmp_path, "none", time.time, shared=False) as store:
        sweeper = Sweeper(store, first_s=0, every_s=0)
        sweeper.start()
        eventually(lambda: len(tries) >= 3)
        sweeper.stop()


def test_a_sweeper_ends_before_its_first_sweep(tmp_path: Path) -> None:
    with LocalStore.open(tmp_path, "none") as store:
        sweeper = Sweeper(store)
        sweeper.start()
        sweeper.stop()
