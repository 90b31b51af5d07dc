"""An upload that is killed at any instant whatever: one resume completes it, with exactly what is missing."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from programs import PATIENCE_S, Programs, kill

from penstock.server.local_oss import LocalOss
from penstock.testing.faults import Faults

PART = 102_400
PARTS = 12
SIZE = (PARTS - 1) * PART + 1000
KILLS = 200
ORDINARY_KILLS = 20

UPLOADS = """
    import time
    for _ in range(2):  # the first one is slower: it warms up
        begun = time.perf_counter()
        client.upload(source, url + "-before", part_bytes=102_400, parallel=3).result()
    print(time.perf_counter() - begun)
    client.upload(source, url, part_bytes=102_400, parallel=3).result()
    print("made")
    sys.stdin.read()
"""


class Site:
    """An OSS of its own, which can be made to finish all that it still does for clients that are gone."""

    def __init__(self, directory: Path, users: dict[str, str]) -> None:
        self.faults = Faults(lambda bucket, key, upload_id: None)
        self._directory = directory
        self._users = users
        self._server = self._start(0)
        self.endpoint = self._server.endpoint

    def _start(self, port: int) -> LocalOss:
        return LocalOss.start(
            self._directory, port=port, users=self._users, durability="none", interceptor=self.faults
        )

    def settle(self) -> None:
        """Let what is under way end, and forget what was asked so far."""
        self._server.stop(PATIENCE_S)
        self.faults.requests.clear()
        self._server = self._start(int(self.endpoint.rpartition(":")[2]))

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture
def site(tmp_path, oss_server):
    site = Site(tmp_path / "oss", dict(oss_server.users))
    yield site
    site.faults.end()
    site.stop()


@pytest.fixture
def programs(site, oss_env):
    programs = Programs({**oss_env, "OSS_ENDPOINT": site.endpoint})
    yield programs
    programs.end()


@pytest.fixture
def here(make_client, site, oss_env):
    return make_client(site.endpoint, state_dir=oss_env["PENSTOCK_STATE_DIR"])


def stored_numbers(client) -> set[int]:
    """The parts that the one open upload has; none if there is no upload."""
    found = list(client.iter_multipart_uploads("bucket"))
    assert len(found) <= 1
    return {part.number for one in found for part in client.iter_parts("bucket", one.key, one.upload_id)}


@pytest.mark.parametrize(
    "seed",
    [pytest.param(n, marks=[pytest.mark.slow] if n >= ORDINARY_KILLS else []) for n in range(KILLS)],
)
def test_a_kill_at_any_instant_is_made_good_by_one_resume(seed, site, programs, here, new_file):
    file, url = new_file(SIZE), "oss://bucket/k"
    here.put_bucket("bucket")
    process = programs.start(UPLOADS, source=str(file.path), url=url)
    duration_s = float(process.stdout.readline())
    # The instant is what the test is about: wherever it falls, what is asserted below has to hold.
    time.sleep(random.Random(seed).random() * duration_s)
    kill(process)
    was_made = "made" in process.stdout.read()
    site.settle()

    left = list(here.unfinished_uploads())
    has_object = here.object_exists("bucket", "k")
    open_before = len(list(here.iter_multipart_uploads("bucket")))
    stored = stored_numbers(here)
    print(f"killed: {_instant(left, has_object, stored)}")
    site.faults.requests.clear()
    if left:
        transfer = here.resume(url)
        assert transfer.result(PATIENCE_S).size_bytes == SIZE
        missing = set() if has_object else set(range(1, PARTS + 1)) - stored
        assert sorted(one.number for one in site.faults.asked("UploadPart")) == sorted(missing)
        assert site.faults.count("InitiateMultipartUpload") == (0 if has_object else 1 - open_before)
        assert site.faults.count("CompleteMultipartUpload") == (0 if has_object else 1)
    else:
        assert open_before == 0
        assert has_object or not was_made
    if left or has_object:
        assert here.get_object("bucket", "k").read() == file.data
    assert list(here.iter_multipart_uploads("bucket")) == []
    assert list(here.unfinished_uploads()) == []


def _instant(left, has_object: bool, stored: set[int]) -> str:
    if not left:
        return "made" if has_object else "before INTENT"
    view = left[0].view
    if view.end is not None:
        return "after END"
    if view.completing is not None:
        return "made, not told" if has_object else "completing, not made"
    if view.upload_id is None:
        return "initiating"
    return f"{len(stored)} of {PARTS} parts"
