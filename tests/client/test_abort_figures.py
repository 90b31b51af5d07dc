"""
Every state is left at once, blocking and in asyncio, plain and over TLS.

The states are those of `bench/abort.py`, which takes the figures of `docs/contract.md`. Here a multiple of
the promise is the ceiling, and the best of a few tries counts: how late the others are says how busy the
machine is. What waits for a time-out, or for the next look around, is later than that every time.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import penstock

TRIES = 3
RETURNED_MS, QUIET_MS, LATE_BYTES = 20, 100, 256 * 1024
IN_FLIGHT = {"sending to a stalled peer", "sending to a quick peer", "waiting for an answer", "rate-limited"}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_every_state_is_left_at_once(tls, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "bench")
    import abort
    import sink

    sink.make_certificate(tmp_path)
    seen = set()
    for scene in abort.scenes(tmp_path, tls=tls):
        seen.add(scene.title)
        for run in (abort._run_blocking, abort._run_tasks):
            taken, (descriptors, _) = run(scene, TRIES)
            where = f"{scene.title}, {run.__name__}: {taken}"
            assert min(one.abort_ms for one in taken) <= RETURNED_MS, where
            assert min(one.quiet_ms for one in taken) <= QUIET_MS, where
            assert not any(one.late_requests for one in taken), where
            # At least so many; at most, where it was not looked at for a while, is no proof.
            assert all(one.late_bytes is None or one.late_bytes[0] <= LATE_BYTES for one in taken), where
            expected = penstock.STOPPED_IN_FLIGHT if scene.title in IN_FLIGHT else penstock.NOT_SENT
            assert {one.outcome for one in taken} == {expected}, where
            assert descriptors < TRIES, where
    assert len(seen) == (13 if tls else 11)
