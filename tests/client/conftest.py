"""What the tests of the client share: clients of every kind, states to abort in, and proof of quiet."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import penstock
from penstock.client.sending.retry import RetryPolicy
from penstock.server.local_oss import LocalOss

sys.path.insert(0, str(Path(__file__).parent))  # for programs, which the tests here share

from programs import Programs

PROMPT_S = 1.0
"""A ceiling that holds on a crowded machine; the figures of the promise are measured, not tested."""

PATIENCE_S = 20.0


class Patient(RetryPolicy):
    """Waits a minute before it tries again."""

    def delay_s(self, attempt: int, fraction: float) -> float:
        return 60.0


@pytest.fixture
def make_client(oss_server: LocalOss, tmp_path: Path) -> Iterator[Callable[..., penstock.Client]]:
    """Makes clients of the server; all are closed at the end."""
    made: list[penstock.Client] = []
    key_id = next(iter(oss_server.users))

    def make(endpoint: str | None = None, **options: Any) -> penstock.Client:
        network = {"proxy": "", **options.pop("network", {})}
        chosen = {
            "region": oss_server.region,
            "credentials": penstock.Credentials(key_id, oss_server.users[key_id]),
            "retry": RetryPolicy(base_delay_s=0.001, max_delay_s=0.01),
            "state_dir": tmp_path / "state",
            "network": penstock.NetSettings(**network),
            **options,
        }
        client = penstock.Client(endpoint or oss_server.endpoint, **chosen)
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., penstock.Client]) -> penstock.Client:
    return make_client()


@pytest.fixture
def programs(oss_env: dict[str, str]) -> Iterator[Programs]:
    """Starts programs in processes of their own; those that still run are killed at the end."""
    programs = Programs(oss_env)
    yield programs
    programs.end()


@pytest.fixture
def here(make_client: Callable[..., penstock.Client], oss_env: dict[str, str]) -> penstock.Client:
    """A client in this process with the state directory of the programs."""
    return make_client(state_dir=oss_env["PENSTOCK_STATE_DIR"])


def threads_at_work() -> list[str]:
    """Threads of clients that are within a request, or that carry out a call or a transfer."""
    frames = sys._current_frames()
    found = []
    for thread in threading.enumerate():
        if not thread.name.startswith(
            ("penstock-call", "penstock-part", "penstock-transfer", "penstock-errand")
        ):
            continue
        frame = frames.get(thread.ident or 0)
        names = []
        while frame is not None:
            names.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}")
            frame = frame.f_back
        if any(name.startswith(("requester.py", "wire.py", "tls.py", "dial.py")) for name in names):
            found.append(f"{thread.name}: {' < '.join(names)}")
    return found


@pytest.fixture
def assert_quiet() -> Callable[..., None]:
    """
    Asserts that nothing of a client is at work.

    ``kept`` is the number of connections that were idle before, and are kept.
    """

    def in_use(client: penstock.Client) -> int:
        return client._transport.open_connections - len(client._transport._pool)

    def check(client: penstock.Client, kept: int = 0) -> None:
        deadline = time.monotonic() + PROMPT_S
        pause = threading.Event()
        while (threads_at_work() or in_use(client)) and time.monotonic() < deadline:
            pause.wait(0.001)
        assert threads_at_work() == []
        assert in_use(client) == 0
        assert len(client._transport._pool) == kept

    return check


@pytest.fixture
def open_descriptors() -> Callable[[], int]:
    """How many descriptors this process has."""
    return lambda: sum(1 for _ in Path("/proc/self/fd").iterdir())


class Uploaded:
    """A file of random bytes."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.data = os.urandom(size)
        path.write_bytes(self.data)


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[[int], Uploaded]:
    """Makes a file of random bytes of this size."""

    def make(size: int, name: str = "source.bin") -> Uploaded:
        return Uploaded(tmp_path / name, size)

    return make
