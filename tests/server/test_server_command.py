"""``penstock serve`` as people run it: stopped by a signal, over TLS, and the examples of how to run it."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
import trustme
from served import Served
from server_desk import receive

EXAMPLES = Path(__file__).parents[2] / "contrib"

both = pytest.mark.parametrize("processes", [1, 2])


@both
def test_a_stop_lets_what_is_under_way_end_and_takes_nothing_new(tmp_path: Path, processes: int) -> None:
    with Served(tmp_path, processes=processes) as served:
        wire = served.wire()
        assert wire.ask("PUT", "/photos/").status == 200
        busy = wire.connect()
        busy.sendall(wire.head("PUT", "/photos/a", content_length="10", expect="100-continue"))
        assert receive(busy).status == 100
        idle = wire.connect()
        idle.sendall(wire.head("GET", "/photos/"))
        assert receive(idle).status == 200
        served.process.send_signal(signal.SIGTERM)
        # A connection without a request ends at once, which also shows that the signal has come.
        assert idle.recv(1) == b""
        with pytest.raises(ConnectionError):
            while True:
                wire.connect()
        busy.sendall(b"0123456789")
        assert receive(busy).status == 200
        assert served.process.wait(10) == 0
        served.restart()
        assert served.wire().ask("GET", "/photos/a").body == b"0123456789"


@both
def test_what_does_not_end_in_time_is_cut(tmp_path: Path, processes: int) -> None:
    with Served(tmp_path, processes=processes, drain="100ms") as served:
        wire = served.wire()
        assert wire.ask("PUT", "/photos/").status == 200
        busy = wire.connect()
        busy.sendall(wire.head("PUT", "/photos/a", content_length="10", expect="100-continue"))
        assert receive(busy).status == 100
        begun = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - begun < 5
        with pytest.raises((EOFError, ConnectionError)):
            receive(busy)
        served.restart()
        assert served.wire().ask("GET", "/photos/a").status == 404


def tls_files(folder: Path) -> tuple[trustme.CA, str]:
    """A certificate of 127.0.0.1 in files, the authority that made it, and the lines that configure them."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (folder / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    (folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
    return authority, '[tls]\ncertificate = "chain.pem"\nkey = "key.pem"\n'


@both
def test_certificate_files_make_it_https(tmp_path: Path, processes: int) -> None:
    authority, lines = tls_files(tmp_path)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    data = os.urandom(300_000)
    with Served(tmp_path, processes=processes, more=lines) as served:
        wire = served.wire()
        with context.wrap_socket(wire.connect(), server_hostname="127.0.0.1") as secure:
            for target, body in (("/photos/", b""), ("/photos/a", data)):
                secure.sendall(wire.head("PUT", target, content_length=str(len(body))) + body)
                assert receive(secure).status == 200
            secure.sendall(wire.head("GET", "/photos/a"))
            assert receive(secure).body == data
        with pytest.raises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(wire.connect(), server_hostname="127.0.0.1")
        assert served.stop() == 0


@both
def test_a_key_that_does_not_fit_is_refused_before_anything_is_served(tmp_path: Path, processes: int) -> None:
    tls_files(tmp_path)
    (tmp_path / "key.pem").write_bytes(trustme.CA().issue_cert("127.0.0.1").private_key_pem.bytes())
    options = ["--tls-cert", str(tmp_path / "chain.pem"), "--tls-key", str(tmp_path / "key.pem")]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "penstock.cli", "serve", str(tmp_path / "data"), "--port", "0"),
            *("--processes", str(processes), *options),
        ],
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert b"are not a certificate and its key" in done.stderr


# -- the examples


def test_the_image_and_the_unit_keep_things_where_the_example_of_a_configuration_says() -> None:
    settings = tomllib.loads((EXAMPLES / "penstock.toml").read_text())
    image = (EXAMPLES / "Dockerfile").read_text()
    assert f"VOLUME {settings['directory']}\n" in image
    made = next(line for line in image.splitlines() if "install -d" in line).split()
    assert {settings["directory"], str(Path(settings["access_log"]).parent)} <= set(made)
    assert f"EXPOSE {settings['port']}\n" in image
    assert f"http://{settings['metrics']['host']}:{settings['metrics']['port']}/-/health" in image
    unit = ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
    unit.read(EXAMPLES / "penstock.service")
    service = unit["Service"]
    assert settings["directory"] == f"/var/lib/{service['StateDirectory']}"
    assert str(Path(settings["access_log"]).parent) == f"/var/log/{service['LogsDirectory']}"
    credential = service["LoadCredential"].partition(":")[0]
    assert settings["users"][0]["secret_file"] == f"/run/credentials/penstock.service/{credential}"
    assert float(service["TimeoutStopSec"]) > 10
