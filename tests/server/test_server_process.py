"""The server as a process of its own: signals, and what is left after them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_desk import Wire, receive

SCRIPT = """
import sys
from pathlib import Path
from penstock.server.serve import serve_forever
from penstock.server.settings import ServerSettings
settings = ServerSettings(directory=Path(sys.argv[1]), users={"ak": "sk"}, durability="none")
say = lambda text="stopping": print(text, flush=True)
serve_forever(settings, say, say, drain_s=20)
print("stopped", flush=True)
"""

Process = subprocess.Popen[str]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[Process, Wire]]:
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        host, port = running.stdout.readline().strip().partition("://")[2].split(":")
        wire = Wire(host, int(port))
        yield running, wire
        for connection in wire.open:
            connection.close()
        running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_request_under_way_end(process: tuple[Process, Wire], number: int) -> None:
    running, wire = process
    assert running.stdout is not None
    wire.ask("PUT", "/photos/")
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", **{"content-length": "10", "expect": "100-continue"}))
    assert receive(busy).status == 100
    running.send_signal(number)
    assert running.stdout.readline() == "stopping\n"
    busy.sendall(b"0123456789")
    assert receive(busy).status == 200
    assert running.stdout.readline() == "stopped\n"
    assert running.wait(10) == 0


def test_a_second_signal_cuts_what_does_not_end(process: tuple[Process, Wire]) -> None:
    running, wire = process
    assert running.stdout is not None
    wire.ask("PUT", "/photos/")
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", **{"content-length": "10", "expect": "100-continue"}))
    assert receive(busy).status == 100
    running.send_signal(signal.SIGTERM)
    assert running.stdout.readline() == "stopping\n"
    running.send_signal(signal.SIGTERM)
    assert running.stdout.readline() == "stopped\n"
    assert running.wait(10) == 0


def test_the_command_serves_what_a_file_says(tmp_path: Path) -> None:
    (tmp_path / "oss.toml").write_text(
        'directory = "data"\nport = 0\ndurability = "none"\naccess_log = "-"\n'
        '[[users]]\naccess_key_id = "ak"\nsecret = "sk"\n'
    )
    command = [sys.executable, "-m", "penstock.cli", "serve", "--config", str(tmp_path / "oss.toml")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        host, port = running.stdout.readline().strip().partition("://")[2].split(":")
        wire = Wire(host, int(port))
        assert wire.ask("PUT", "/photos/").status == 200
        logged = next(line for line in running.stdout if line.startswith("{"))
        assert '"operation":"PutBucket"' in logged
        for connection in wire.open:
            connection.close()
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    assert (tmp_path / "data").is_dir()


def test_the_command_serves_as_strictly_as_it_is_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "penstock.cli", "serve", "--port", "0", "--durability", "none"]
    command += ["--strict-addressing", "--strict-framing", str(tmp_path / "data")]
    keys = {"OSS_ACCESS_KEY_ID": "ak", "OSS_ACCESS_KEY_SECRET": "sk"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env={**os.environ, **keys}
    ) as running:
        assert running.stdout is not None
        host, port = running.stdout.readline().strip().partition("://")[2].split(":")
        wire = Wire(host, int(port))
        try:
            assert wire.ask("PUT", "/photos/").status == 200
            connection = wire.connect()
            connection.sendall(b"GET /photos/a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert receive(connection).code == "SecondLevelDomainForbidden"
            both = {"content-length": "1", "transfer-encoding": "chunked"}
            connection.sendall(wire.head("PUT", "/photos/a", **both) + b"1\r\nx\r\n0\r\n\r\n")
            assert receive(connection).code == "BadRequest"
        finally:
            for connection in wire.open:
                connection.close()
            running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
