"""
A power loss at any instant of a whole upload, with every write that was not synced lost or torn.

The upload is recorded once: what it does to its journal, and what OSS has meanwhile. Then each state that a
power loss could have left is laid out again, journal and OSS, and one resume has to complete the object.
"""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from programs import PATIENCE_S
from recorded_disk import Files, RecordedDisk

from penstock.client.transfers import uploads
from penstock.server.local_oss import LocalOss
from penstock.testing.faults import Faults
from penstock.transfer.job import UploadSettings
from penstock.transfer.journal import journal_view, records

PART = 102_400
PARTS = 4
SIZE = (PARTS - 1) * PART + 1000
URL = "oss://bucket/k"
ALL = set(range(1, PARTS + 1))
SAMPLED_PER_OPERATION = 2


@dataclass(frozen=True)
class Crash:
    """What is left, and after which operation."""

    operation: str
    journals: Files
    oss: Path

    def view(self):
        """What the journal says; None if it says nothing."""
        return journal_view(entry for data in self.journals.values() for entry in records(data)[0])


class Recording:
    """An upload, part after part, and every crash that could have come meanwhile."""

    def __init__(self, tmp_path, users, make_client, file) -> None:
        self.users = users
        self.file = file
        self.faults = Faults(lambda bucket, key, upload_id: None)
        self.crashes: list[Crash] = []
        self._oss = tmp_path / "oss"
        self._snapshots = tmp_path / "snapshots"
        state = tmp_path / "recorded"
        server = self.serve(self._oss)
        self.port = int(server.endpoint.rpartition(":")[2])
        try:
            client = make_client(server.endpoint, state_dir=state)
            client.put_bucket("bucket")
            disk = RecordedDisk(state / "journals", lambda operation: self._note(operation, disk))
            self._note("start", disk)
            with pytest.MonkeyPatch.context() as patch:
                disk.watch(patch)
                client.upload(file.path, URL, part_bytes=PART, parallel=1).result(PATIENCE_S)
            client.close()
        finally:
            server.stop()

    def serve(self, directory: Path, port: int = 0) -> LocalOss:
        return LocalOss.start(
            directory,
            port=port,
            users=self.users,
            durability="none",
            interceptor=self.faults,
            lifecycle_every_s=0,
        )

    def _note(self, operation: str, disk: RecordedDisk) -> None:
        # Nothing is asked while the journal is written: what OSS has stands still.
        done = sum(one.status == 200 for one in self.faults.requests if one.operation != "HeadObject")
        snapshot = self._snapshots / str(done)
        if not snapshot.exists():
            shutil.copytree(self._oss, snapshot)
        place = f"{len({crash.operation for crash in self.crashes})} {operation}"
        self.crashes.extend(Crash(place, state, snapshot) for state in disk.states())

    def sample(self) -> list[Crash]:
        """After each operation: all kept, all lost, and some in between; the same ones each time."""
        chosen: list[Crash] = []
        for operation in dict.fromkeys(crash.operation for crash in self.crashes):
            found = [crash for crash in self.crashes if crash.operation == operation]
            between = found[1:-1]
            some = random.Random(operation).sample(between, min(SAMPLED_PER_OPERATION, len(between)))
            chosen += [found[0], *some, *found[-1:]]
        return chosen


@pytest.fixture
def recording(tmp_path, oss_server, make_client, new_file, monkeypatch):
    monkeypatch.setattr(uploads, "UploadSettings", partial(UploadSettings, settle_s=0.1))
    return Recording(tmp_path, dict(oss_server.users), make_client, new_file(SIZE))


def test_one_resume_completes_the_upload_after_a_sample_of_power_losses(recording, make_client, tmp_path):
    check(recording, recording.sample(), make_client, tmp_path)


@pytest.mark.slow
def test_one_resume_completes_the_upload_after_every_power_loss(recording, make_client, tmp_path):
    check(recording, recording.crashes, make_client, tmp_path)


def check(recording, crashes, make_client, tmp_path):
    operations = [crash.operation.split(" ", 1)[1] for crash in crashes]
    assert {"start", "create", "write", "sync", "sync of the directory", "unlink"} <= set(operations)
    for number, crash in enumerate(crashes):
        oss, state = tmp_path / f"oss-{number}", tmp_path / f"state-{number}"
        shutil.copytree(crash.oss, oss)
        (state / "journals").mkdir(parents=True)
        for name, data in crash.journals.items():
            (state / "journals" / name).write_bytes(data)
        with recording.serve(oss, recording.port) as server:
            client = make_client(server.endpoint, state_dir=state)
            try:
                complete(recording, crash, client)
            except BaseException as error:
                error.add_note(f"crash {number} of {len(crashes)}, {crash.operation}: {crash.view()}")
                raise
            finally:
                client.close()
        shutil.rmtree(oss)


def complete(recording, crash, client):
    """One resume; what it sends and leaves."""
    faults = recording.faults
    open_before = list(client.iter_multipart_uploads("bucket"))
    stored = {
        part.number for one in open_before for part in client.iter_parts("bucket", one.key, one.upload_id)
    }
    has_object = client.object_exists("bucket", "k")
    if crash.view() is None:
        # Nothing was sent yet, or all was made and told.
        assert open_before == []
        return
    faults.requests.clear()
    transfer = client.resume(URL)
    assert transfer.result(PATIENCE_S).size_bytes == SIZE
    sent = sorted(one.number for one in faults.asked("UploadPart"))
    assert sent == ([] if has_object else sorted(ALL - stored))
    assert faults.count("InitiateMultipartUpload") == (0 if has_object or open_before else 1)
    assert faults.count("CompleteMultipartUpload") == (0 if has_object else 1)
    assert client.get_object("bucket", "k").read() == recording.file.data
    assert list(client.iter_multipart_uploads("bucket")) == []
    assert list(client.unfinished_uploads()) == []
