"""An app in memory, and servers on real sockets."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.server.app import App
from penstock.server.call import Service
from penstock.server.connection import Patience
from penstock.server.guard.gate import Gate
from penstock.server.local_oss import LocalOss
from penstock.server.store import LocalStore

sys.path.insert(0, str(Path(__file__).parent))  # for server_desk, which the tests here share

from server_desk import NOW, OTHERS, REGION, USERS, Desk, Wire


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with LocalStore.open(tmp_path / "data", "none") as opened:
        yield opened


@pytest.fixture
def desk(store: LocalStore) -> Desk:
    clock = [float(NOW)]
    service = Service(store=store, region=REGION, clock=lambda: clock[0])
    return Desk(App(service, Gate(USERS | OTHERS, REGION), ("localhost", "oss.localhost")), service, clock)


@pytest.fixture
def bucket(desk: Desk) -> Desk:
    """The desk, with a bucket called ``photos``."""
    assert desk("PUT", "/photos/").status == 200
    return desk


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., tuple[LocalOss, Wire]]]:
    """Starts servers, and raw clients for them; all are stopped at the end."""
    running: list[tuple[LocalOss, Wire]] = []

    def start(**options: object) -> tuple[LocalOss, Wire]:
        given = {"users": USERS, "durability": "none", "patience": Patience(linger_s=2.0), **options}
        oss = LocalOss.start(tmp_path / f"oss-{len(running)}", **given)  # type: ignore[arg-type]
        host, port = oss.endpoint.partition("://")[2].rsplit(":", 1)
        running.append((oss, Wire(host, int(port))))
        return running[-1]

    yield start
    for oss, wire in running:
        for connection in wire.open:
            connection.close()
        oss.stop()


@pytest.fixture
def wire(serve: Callable[..., tuple[LocalOss, Wire]]) -> Wire:
    """A raw client of a server that has a bucket called ``photos``."""
    _, made = serve()
    assert made.ask("PUT", "/photos/").status == 200
    return made
