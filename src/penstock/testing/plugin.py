"""
The pytest fixtures of penstock. pytest finds them by itself where penstock is installed.

* ``oss_server``: an OSS on 127.0.0.1 for the whole test session (one per pytest-xdist worker), its bytes in
  a temporary directory.
* ``oss_bucket``: the name of a fresh bucket; it goes with all that is in it at the end of the test.
* ``oss_env``: environment variables that lead penstock, oss2 and alibabacloud-oss-v2 to the server.
* ``oss_client``: a `penstock.Client` of the server.
* ``oss_faults``: makes the server fail on request, and tells what it was asked; see
  `penstock.testing.faults`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# pytest imports this file for every run, so what the fixtures need is imported when one is used.
if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.server.local_oss import LocalOss
    from penstock.testing.faults import Faults, Switchboard

ACCESS_KEY_ID = "penstock-test"
ACCESS_KEY_SECRET = "penstock-test-secret"  # noqa: S105 - of a server that only this machine reaches
REGION = "cn-hangzhou"

# Who makes and removes buckets; what it asks meets no fault and is not counted.
_HOUSEKEEPER_ID = "penstock-housekeeper"

_LOOPBACK = "127.0.0.1,localhost"
_ELSEWHERE = (
    "OSS_SESSION_TOKEN",
    "OSS_ENDPOINT",
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_REGION_ID",
)


@pytest.fixture(scope="session")
def _oss_switchboard() -> Switchboard:
    from penstock.testing.faults import Switchboard

    return Switchboard(passed_by=_HOUSEKEEPER_ID)


@pytest.fixture(scope="session")
def oss_server(_oss_switchboard: Switchboard) -> Iterator[LocalOss]:
    """
    A running OSS for the whole session.

    Its ``endpoint``, ``region`` and ``users`` (secret by access key id) say how to reach it. Nothing that it
    stores outlives the session.
    """
    from penstock.server.local_oss import LocalOss

    with LocalOss.start(
        users={ACCESS_KEY_ID: ACCESS_KEY_SECRET, _HOUSEKEEPER_ID: secrets.token_hex(16)},
        region=REGION,
        durability="none",
        interceptor=_oss_switchboard,
    ) as server:
        yield server


@pytest.fixture(scope="session")
def _oss_housekeeper(oss_server: LocalOss, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with _new_client(oss_server, _HOUSEKEEPER_ID, tmp_path_factory.mktemp("penstock")) as client:
        yield client


@pytest.fixture
def oss_bucket(_oss_housekeeper: Client, _oss_switchboard: Switchboard) -> Iterator[str]:
    """The name of a fresh, empty bucket. After the test it is removed, with its objects and open uploads."""
    name = f"test-{secrets.token_hex(8)}"
    _oss_housekeeper.put_bucket(name)
    yield name
    _end_faults(_oss_switchboard)
    _remove_bucket(_oss_housekeeper, name)


@pytest.fixture
def oss_env(
    oss_server: LocalOss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """
    Lead code that reads its settings from the environment to the server, for one test.

    Returns:
        What was set: ``OSS_ENDPOINT``, ``OSS_REGION``, ``OSS_ACCESS_KEY_ID``, ``OSS_ACCESS_KEY_SECRET`` and
        some more. The official SDKs take the keys from there; endpoint and region have to be handed to
        them.
    """
    for name in _ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    past_proxies = ",".join(filter(None, (os.environ.get("NO_PROXY"), _LOOPBACK)))
    environment = {
        "OSS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "OSS_ACCESS_KEY_SECRET": ACCESS_KEY_SECRET,
        "OSS_ENDPOINT": oss_server.endpoint,
        "OSS_REGION": oss_server.region,
        "PENSTOCK_STATE_DIR": str(tmp_path / "penstock-state"),
        "NO_PROXY": past_proxies,
        "no_proxy": past_proxies,
    }
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    yield environment
    _remove_what_killed_processes_left(tmp_path / "penstock-state")


@pytest.fixture
def oss_client(oss_server: LocalOss, tmp_path: Path) -> Iterator[Client]:
    """
    A client of the server, closed after the test; what still runs then is stopped.

    It waits only some hundredths of a second before it tries again.
    """
    client = _new_client(oss_server, ACCESS_KEY_ID, tmp_path / "penstock-state")
    yield client
    client.close()


@pytest.fixture
def oss_faults(_oss_switchboard: Switchboard, oss_server: LocalOss) -> Iterator[Faults]:
    """
    Make the server fail on request, and see what it was asked since the test began.

    After the test all faults are taken back, and requests that they still hold are cut off.
    """
    from penstock.testing.faults import Faults

    faults = Faults(oss_server.forget_upload)
    _oss_switchboard.faults = faults
    yield faults
    _end_faults(_oss_switchboard)


def _new_client(server: LocalOss, access_key_id: str, state_dir: Path) -> Client:
    from penstock.client.client import Client
    from penstock.client.identity.credentials import Credentials
    from penstock.client.sending.retry import RetryPolicy
    from penstock.net.settings import NetSettings

    return Client(
        server.endpoint,
        region=server.region,
        credentials=Credentials(access_key_id, server.users[access_key_id]),
        retry=RetryPolicy(base_delay_s=0.01, max_delay_s=0.05),
        network=NetSettings(proxy=""),
        state_dir=state_dir,
    )


def _remove_what_killed_processes_left(state_dir: Path) -> None:
    """A process that a test has killed leaves its socket in the system's folder for temporary files."""
    from penstock.client.running.registry import remove_stale
    from penstock.errors import TransferError
    from penstock.files.state_dir import StateDir

    with suppress(TransferError):  # the test has taken the permission away
        remove_stale(StateDir(state_dir))


def _end_faults(switchboard: Switchboard) -> None:
    faults, switchboard.faults = switchboard.faults, None
    if faults is not None:
        faults.end()


def _remove_bucket(client: Client, bucket: str) -> None:
    from penstock.errors import Conflict, NoSuchBucket, NoSuchUpload

    for _ in range(3):
        try:
            for upload in list(client.iter_multipart_uploads(bucket)):
                try:
                    client.abort_multipart_upload(bucket, upload.key, upload.upload_id)
                except NoSuchUpload:
                    continue
            keys = [found.key for found in client.iter_objects(bucket)]
            for at in range(0, len(keys), 1000):
                client.delete_multiple_objects(bucket, keys[at : at + 1000], quiet=True)
            client.delete_bucket(bucket)
        except NoSuchBucket:
            return
        except Conflict:  # a request that the test has left behind was quicker
            continue
        return
