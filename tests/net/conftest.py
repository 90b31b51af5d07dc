from __future__ import annotations

import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from penstock.net import HttpTransport, Latch, NetSettings, Tripped

sys.path.insert(0, str(Path(__file__).parent))  # for scripted_peer, which the tests here share

from scripted_peer import PATIENCE_S


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


class PeerSocket(ssl.SSLSocket):
    """CPython forgets to close the socket when the other side is gone before it is wrapped."""

    def __del__(self) -> None:
        self.close()


@pytest.fixture(scope="session")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslsocket_class = PeerSocket
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def transports(ca_file: str) -> Iterator[Callable[..., HttpTransport]]:
    made: list[HttpTransport] = []

    def make(**settings: Any) -> HttpTransport:
        transport = HttpTransport(NetSettings(**{"proxy": "", "ca_file": ca_file, **settings}))
        made.append(transport)
        return transport

    yield make
    for transport in made:
        transport.close()
        assert transport.open_connections == 0


@pytest.fixture
def transport(transports: Callable[..., HttpTransport]) -> HttpTransport:
    return transports()


class Caller:
    """A call on a thread of its own."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended_at = 0.0
        self._call = call
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.value = self._call()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.error = error
        self.ended_at = time.perf_counter()

    def join(self) -> Caller:
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the call did not end"
        return self


@pytest.fixture
def call() -> Callable[[Callable[[], Any]], Caller]:
    return Caller


@pytest.fixture
def no_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocked calls stay blocked, so that only the latch itself can end them."""
    import struct

    monkeypatch.setattr("penstock.net.wire._TICK", struct.pack("ll", 3600, 0))
    monkeypatch.setattr("penstock.net.dial._WAIT_S", 3600.0)


@pytest.fixture(params=["dissolved", "shut down"])
def both_ways_of_cutting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut dissolves the connection where the system can, and shuts it down where it cannot."""
    if request.param == "shut down":
        monkeypatch.setattr("penstock.net.wire.dissolve", lambda descriptor: False)


@pytest.fixture
def trip() -> Callable[[Latch, Caller], float]:
    def trip_and_join(latch: Latch, caller: Caller) -> float:
        assert caller.thread.is_alive(), caller.error or caller.value
        tripped_at = time.perf_counter()
        latch.trip("enough")
        caller.join()
        assert isinstance(caller.error, Tripped), caller.error
        assert caller.error.reason == "enough"
        return caller.ended_at - tripped_at

    return trip_and_join
