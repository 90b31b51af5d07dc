"""Several processes on one port: they know what the others were told, and one that dies is replaced."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from served import Served
from server_desk import Answer, Wire, receive

from penstock.errors import InvalidInput, StoreError
from penstock.protocol import dates
from penstock.protocol.percent import parse_query
from penstock.protocol.signature_v4 import authorization_v4
from penstock.protocol.signing import Credentials
from penstock.server.arriving import Arriving
from penstock.server.guard.accounts import User
from penstock.server.guard.sts import Tokens, signature
from penstock.server.in_turn import InTurn
from penstock.server.listen import listen_on
from penstock.server.metrics import Metrics
from penstock.server.place import Place
from penstock.server.store import LocalStore

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")

METRICS = '[metrics]\nhost = "127.0.0.1"\nport = 0\n'


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path, processes=2) as running:
        assert running.wire().ask("PUT", "/photos/").status == 200
        yield running


@contextlib.contextmanager
def only(served: Served, index: int) -> Iterator[Wire]:
    """All that is asked goes to this one of the two processes."""
    other = served.children()[1 - index]
    os.kill(other, signal.SIGSTOP)
    wait_until(lambda: state_of(other) == "T")
    try:
        yield served.wire()
    finally:
        os.kill(other, signal.SIGCONT)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    give_up = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_what_one_process_stored_another_one_has(served: Served) -> None:
    body = os.urandom(100_000)
    with only(served, 0) as wire:
        assert wire.ask("PUT", "/photos/a", body).status == 200
    with only(served, 1) as wire:
        assert wire.ask("GET", "/photos/a").body == body


def test_a_policy_holds_in_all_processes_at_once(served: Served) -> None:
    text = {
        "Version": "1",
        "Statement": [{"Effect": "Deny", "Action": ["oss:PutObject"], "Principal": ["*"], "Resource": ["*"]}],
    }
    for index in (0, 1):
        with only(served, index) as wire:
            assert wire.ask("PUT", "/photos/a", b"x").status == 200
    with only(served, 0) as wire:
        assert wire.ask("PUT", "/photos/?policy", json.dumps(text).encode()).status == 200
    for index in (1, 0):
        with only(served, index) as wire:
            assert wire.ask("PUT", "/photos/a", b"x").code == "AccessDenied"
    with only(served, 1) as wire:
        assert wire.ask("DELETE", "/photos/?policy").status == 204
    with only(served, 0) as wire:
        assert wire.ask("PUT", "/photos/a", b"x").status == 200


def ask_as(wire: Wire, keys: Credentials, target: str) -> Answer:
    named = {"x-oss-security-token": keys.security_token or ""}
    signed = authorization_v4(
        method="GET",
        bucket="photos",
        key=None,
        query=parse_query(target.partition("?")[2]),
        headers=named,
        credentials=keys,
        region="cn-hangzhou",
        signed_at=int(time.time()),
    )
    lines = [
        f"GET {target} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {text}" for name, text in signed.items()),
    ]
    connection = wire.connect()
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return receive(connection)


def test_temporary_keys_of_one_process_are_known_to_the_others(served: Served) -> None:
    given = {
        "Action": "AssumeRole",
        "Format": "JSON",
        "AccessKeyId": "ak",
        "Timestamp": dates.to_iso(int(time.time())).replace(".000Z", "Z"),
        "RoleArn": "acs:ram::1000000000000001:role/uploader",
        "RoleSessionName": "session",
    }
    given["Signature"] = signature("GET", given, "sk")
    with only(served, 0) as wire:
        connection = wire.connect()
        connection.sendall(f"GET /?{urlencode(given)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        issued = json.loads(receive(connection).body)["Credentials"]
    keys = Credentials(issued["AccessKeyId"], issued["AccessKeySecret"], issued["SecurityToken"])
    with only(served, 1) as wire:
        assert ask_as(wire, keys, "/photos/").status == 200
        forged = Credentials(keys.access_key_id, keys.access_key_secret, f"{keys.security_token}x")
        assert ask_as(wire, forged, "/photos/").code == "InvalidSecurityToken"


def test_an_abort_in_one_process_does_not_remove_a_part_that_arrives_in_another(served: Served) -> None:
    with only(served, 0) as wire:
        upload = wire.ask("POST", "/photos/a?uploads").element("UploadId")
        arriving = wire.connect()
        target = f"/photos/a?partNumber=1&uploadId={upload}"
        arriving.sendall(wire.head("PUT", target, content_length="10", expect="100-continue"))
        assert receive(arriving).status == 100
    with only(served, 1) as wire:
        assert wire.ask("DELETE", f"/photos/a?uploadId={upload}").status == 204
        assert wire.ask("GET", f"/photos/a?uploadId={upload}").status == 200
    arriving.sendall(b"0123456789")
    assert receive(arriving).status == 200
    with only(served, 1) as wire:
        assert wire.ask("DELETE", f"/photos/a?uploadId={upload}").status == 204
        assert wire.ask("GET", f"/photos/a?uploadId={upload}").code == "NoSuchUpload"


def test_a_process_that_is_killed_is_replaced_while_the_other_serves(served: Served) -> None:
    for index in (0, 1):
        before = served.children()
        os.kill(before[index], signal.SIGKILL)
        assert served.wire().ask("PUT", f"/photos/{index}", b"x").status == 200
        wait_until(lambda: len(served.children()) == 2 and before[index] not in served.children())  # noqa: B023
        with only(served, served.children().index(max(served.children()))) as wire:
            assert wire.ask("GET", f"/photos/{index}").body == b"x"


def test_a_process_that_cannot_be_replaced_now_is_replaced_later(tmp_path: Path) -> None:
    log, away = tmp_path / "log", tmp_path / "away"
    log.mkdir()
    with Served(tmp_path, processes=2, top=f'access_log = "{log}/access.jsonl"\n') as served:
        first, _ = served.children()
        log.rename(away)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: "Writing the access log" in served.errors())
        assert served.wire().ask("PUT", "/photos/").status == 200
        away.rename(log)
        served.wait_for_children(2)
        assert served.stop() == 0


def test_a_signal_lets_what_is_under_way_in_each_process_end(served: Served) -> None:
    busy = []
    for index in (0, 1):
        with only(served, index) as wire:
            connection = wire.connect()
            connection.sendall(
                wire.head("PUT", f"/photos/{index}", content_length="10", expect="100-continue")
            )
            assert receive(connection).status == 100
            busy.append(connection)
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: refused(served.port))
    for connection in busy:
        connection.sendall(b"0123456789")
        assert receive(connection).status == 200
    assert served.process.wait(20) == 0


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # Just while it is being closed.
        return False
    return False


def test_a_second_signal_cuts_what_does_not_end(served: Served) -> None:
    wire = served.wire()
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", content_length="10", expect="100-continue"))
    assert receive(busy).status == 100
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: refused(served.port))
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(10) == 0


def test_signals_to_the_whole_group_count_once(served: Served) -> None:
    wire = served.wire()
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", content_length="10", expect="100-continue"))
    assert receive(busy).status == 100
    os.killpg(served.process.pid, signal.SIGINT)
    wait_until(lambda: refused(served.port))
    busy.sendall(b"0123456789")
    assert receive(busy).status == 200
    assert served.process.wait(20) == 0


def test_no_process_outlives_the_first_one(served: Served) -> None:
    wire = served.wire()
    busy = wire.connect()
    busy.sendall(wire.head("PUT", "/photos/a", content_length="10", expect="100-continue"))
    assert receive(busy).status == 100
    with pytest.raises(StoreError, match="in use"):
        LocalStore.open(served.data)
    served.process.kill()
    served.process.wait(10)
    # They hold the lock as well, so that nobody opens the store while they work on it.
    wait_until(lambda: can_be_opened(served.data))


def can_be_opened(directory: Path) -> bool:
    try:
        LocalStore.open(directory, "none").close()
    except StoreError:
        return False
    return True


def test_nothing_of_the_processes_is_left_in_the_directory_after_a_stop(served: Served) -> None:
    assert served.stop() == 0
    assert list((served.data / "members").iterdir()) == []
    assert not (served.data / "processes").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [('access_log = "/nowhere/at/all"\n', "access log"), ("port = {port}\n", "Cannot listen")],
)
def test_what_keeps_the_processes_from_starting_is_said(tmp_path: Path, more: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "oss.toml"
        config.write_text(
            'directory = "data"\nprocesses = 2\n'
            + more.format(port=taken.getsockname()[1])
            + '[[users]]\naccess_key_id = "ak"\nsecret = "sk"\n'
        )
        done = subprocess.run(
            [sys.executable, "-m", "penstock.cli", "serve", "--config", str(config)],
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert words in done.stderr.decode()
    assert can_be_opened(tmp_path / "data")


# -- what they tell each other


def test_counts_of_all_processes_are_added_up(tmp_path: Path) -> None:
    first = Place(0, 2, b"seal", (), (), tmp_path)
    mine, theirs, gone = Metrics(), Metrics(), Metrics()
    for metrics, count in ((mine, 1), (theirs, 2), (gone, 4)):
        metrics.connections = count
        for _ in range(count):
            metrics.note("GetObject", 200, received_bytes=0, sent_bytes=10, seconds=0.01)
    first.tell(mine.counts())
    (tmp_path / f"{os.getpid()}.json").rename(tmp_path / "1.json")
    first.tell(gone.counts())
    (tmp_path / f"{os.getpid()}.json").rename(tmp_path / "2.json")
    os.utime(tmp_path / "2.json", (0, 0))
    total = Metrics()
    total.add(theirs.counts(), running=True)
    first.add_others(total)
    text = total.text()
    assert "penstock_connections 3" in text
    assert 'penstock_requests_total{operation="GetObject",status="200"} 7' in text
    assert "penstock_sent_bytes_total 70" in text
    assert 'penstock_request_seconds_count{operation="GetObject"} 7' in text
    assert first.silent() == 1


def test_counts_that_cannot_be_left_make_a_process_silent_and_end_nothing(tmp_path: Path) -> None:
    place = Place(0, 1, b"seal", (), (), tmp_path / "gone")
    place.tell(Metrics().counts())
    assert place.silent() == 1


def test_one_port_shows_the_health_and_the_counts_of_all(tmp_path: Path) -> None:
    watch_port = free_port()
    more = METRICS.replace("port = 0", f"port = {watch_port}")
    with Served(tmp_path, processes=2, more=more) as served:
        for index in (0, 1):
            with only(served, index) as wire:
                assert wire.ask("PUT", f"/photos{index}/").status == 200
        wait_until(lambda: look(watch_port, "/-/health").status == 200)
        counted = 'penstock_requests_total{operation="PutBucket",status="200"} 2'
        wait_until(lambda: counted in look(watch_port, "/-/metrics").body.decode())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def look(port: int, path: str) -> Answer:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return receive(connection)


def test_two_that_share_a_file_know_of_each_others_parts(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from penstock.server.arriving import Arriving\n"
        "one = Arriving(Path(sys.argv[1])); one.begin('A' * 32); print('begun', flush=True)\n"
        "sys.stdin.readline(); one.end('A' * 32); print('ended', flush=True); sys.stdin.readline()\n"
    )
    here = Arriving(tmp_path / "arriving")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "arriving")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert here.any("A" * 32)
        assert not here.any("B" * 32)
        assert not here.any("what is no id at all")
        here.begin("A" * 32)
        here.end("A" * 32)
        assert here.any("A" * 32)
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"ended\n"
        assert not here.any("A" * 32)
        process.stdin.close()
    here.close()


def test_a_part_that_arrives_in_a_process_that_dies_arrives_no_more(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from penstock.server.arriving import Arriving\n"
        "one = Arriving(Path(sys.argv[1])); one.begin('A' * 32); print('begun', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    here = Arriving(tmp_path / "arriving")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "arriving")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert here.any("A" * 32)
        process.kill()
        process.wait(10)
        assert not here.any("A" * 32)
    here.close()


def test_processes_take_turns_where_reading_and_writing_belong_together(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from penstock.server.in_turn import InTurn\n"
        "turn, counter = InTurn(Path(sys.argv[1])), Path(sys.argv[2])\n"
        "for _ in range(300):\n"
        "    with turn:\n"
        "        counter.write_text(str(int(counter.read_text()) + 1))\n"
    )
    (tmp_path / "counter").write_text("0")
    command = [sys.executable, "-c", script, str(tmp_path / "turn"), str(tmp_path / "counter")]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(30) for process in both] == [0, 0]
    assert (tmp_path / "counter").read_text() == "600"


def test_a_turn_can_be_taken_without_a_file() -> None:
    turn = InTurn()
    for _ in range(2):
        with turn:
            pass


def test_temporary_keys_are_worth_nothing_under_another_seal() -> None:
    users = {"ak": User("sk", account="1")}
    here, there = Tokens(b"one"), Tokens(b"other")
    access_key_id, secret, token = here.issue("ak", "session", expires_s=10, policy=None)
    assert here.secret_of(access_key_id) == secret
    assert here.open(access_key_id, token, users) is not None
    assert there.secret_of(access_key_id) is None
    assert there.open(access_key_id, token, users) is None
    # A token is of its own id, and of a user who is still there.
    other_id = here.issue("ak", "session", expires_s=10, policy=None)[0]
    assert here.open(other_id, token, users) is None
    assert here.open(access_key_id, token, {}) is None


def test_a_port_is_had_on_all_addresses_of_a_host_or_not_at_all() -> None:
    made = listen_on("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in made}) == 1
        with pytest.raises(InvalidInput, match="Cannot listen"):
            listen_on("localhost", made[0].getsockname()[1])
    finally:
        for one in made:
            one.close()
