"""What the official SDKs leave open is closed after each test."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def closed_connections(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the connections that a test's clients made: some SDKs have no way to close a client."""
    connection = sys.modules.get("urllib3.connection")
    if connection is None:
        yield
        return
    opened: list[socket.socket] = []
    make = connection.HTTPConnection._new_conn

    def noted(self: object) -> socket.socket:
        opened.append(make(self))
        return opened[-1]

    monkeypatch.setattr(connection.HTTPConnection, "_new_conn", noted)
    yield
    for one in opened:
        # An answer that was not read to its end keeps the socket open beyond `close`.
        if one.fileno() >= 0:
            os.close(one.detach())
