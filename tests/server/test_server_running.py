"""Running a server: its configuration file, limits, access log, and the port of those who run it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from server_desk import Wire, receive

from penstock.errors import InvalidInput
from penstock.server.access_log import shown_query
from penstock.server.config_file import read_settings
from penstock.server.guard.accounts import User
from penstock.server.http.bounds import Limits, Patience
from penstock.server.local_oss import LocalOss
from penstock.server.metrics import Metrics

Serve = Callable[..., tuple[LocalOss, Wire]]

WHOLE = """
directory = "data"
host = "127.0.0.1"
port = 0
region = "cn-beijing"
base_hosts = ["oss.example.com"]
strict_addressing = true
strict_framing = true
durability = "relaxed"
access_log = "access.jsonl"
lifecycle_every_s = 60
[tls]
certificate = "chain.pem"
key = "key.pem"
[metrics]
port = 9001
[limits]
connections = 10
requests = 5
request_s = 60
least_bytes_per_s = 1000
[[users]]
access_key_id = "first"
secret = "first-secret"
[[users]]
access_key_id = "second"
secret_file = "second.secret"
account = "2000"
name = "reader"
policy_file = "reader.json"
[[users]]
access_key_id = "third"
secret_env = "THIRD"
"""
POLICY = '{"Version": "1", "Statement": [{"Effect": "Allow", "Action": "oss:Get*", "Resource": "*"}]}'


def get(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urlopen(Request(url, method=method), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        pause.wait(0.005)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_configuration_file_says_all_of_a_server(tmp_path: Path) -> None:
    (tmp_path / "second.secret").write_text("two\n")
    (tmp_path / "reader.json").write_text(POLICY)
    (tmp_path / "oss.toml").write_text(WHOLE)
    settings = read_settings(tmp_path / "oss.toml", {"THIRD": "three"})
    assert settings.directory == tmp_path / "data"
    assert settings.access_log == str(tmp_path / "access.jsonl")
    assert (settings.region, settings.durability, settings.metrics) == (
        "cn-beijing",
        "relaxed",
        ("127.0.0.1", 9001),
    )
    assert "oss.example.com" in settings.base_hosts
    assert settings.strict_addressing
    assert settings.strict_framing
    assert settings.tls == (tmp_path / "chain.pem", tmp_path / "key.pem")
    assert settings.limits == Limits(connections=10, requests=5)
    assert (settings.patience.request_s, settings.patience.least_bytes_per_s) == (60, 1000)
    users = {name: user for name, user in settings.users.items() if isinstance(user, User)}
    assert [user.secret for user in users.values()] == ["first-secret", "two", "three"]
    assert (users["second"].account, users["second"].name) == ("2000", "reader")
    assert users["second"].policy is not None
    assert "first-secret" not in repr(settings)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "directory is missing"),
        ('directory = "d"', "no user"),
        ('directory = "d"\nprot = 1', "'prot' is not known"),
        ('directory = "d"\nport = "1"', "port cannot be"),
        ('directory = "d"\nport = true', "port cannot be"),
        ("directory = ", "Invalid value"),
        ('directory = "d"\n[[users]]\naccess_key_id = "a"', "one of secret"),
        ('directory = "d"\n[[users]]\naccess_key_id = "a"\nsecret_env = "NONE"', "secret of a is empty"),
        ('directory = "d"\n[[users]]\naccess_key_id = "a"\nsecret_file = "none"', "Reading"),
        (
            'directory = "d"\ndurability = "lax"\n[[users]]\naccess_key_id = "a"\nsecret = "s"',
            "durability is",
        ),
        (
            'directory = "d"\n[limits]\nrequests = 0\n[[users]]\naccess_key_id = "a"\nsecret = "s"',
            "requests is 1 to",
        ),
        (
            'directory = "d"\n[tls]\nkey = "k"\n[[users]]\naccess_key_id = "a"\nsecret = "s"',
            "certificate and key",
        ),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "oss.toml").write_text(text)
    with pytest.raises(InvalidInput, match=why):
        read_settings(tmp_path / "oss.toml", {})


USER = '[[users]]\naccess_key_id = "a"\nsecret = "s"\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lifecycle_every_s = -5", "lifecycle_every_s is 0.1 to"),
        ("lifecycle_every_s = nan", "lifecycle_every_s is 0.1 to"),
        ("lifecycle_every_s = inf", "lifecycle_every_s is 0.1 to"),
        ("lifecycle_every_s = 0.0001", "lifecycle_every_s is 0.1 to"),
        ("restore_s = -1", "restore_s is 0 to"),
        ("port = 70000", "port is 0 to 65,535"),
        ("processes = 0", "processes is 1 to 64"),
        ('host = ""', "host is empty"),
        ('region = ""', "region cannot be ''"),
        ('region = "Hang zhou"', "region cannot be"),
        ('account = ""', "account cannot be ''"),
        ('access_log = ""', "access_log is empty"),
        ('base_hosts = [1, ""]', "base_hosts are names"),
        ('base_hosts = [""]', "base host '' is not"),
        ('base_hosts = ["http://h"]', "base host 'http://h' is not"),
        ("[metrics]\nport = 99999", "port of .metrics. is 0 to"),
        ("[limits]\nhead_s = nan", "head_s is 0.1 to"),
        ("[limits]\nhead_s = inf", "head_s is 0.1 to"),
        ("[limits]\nidle_s = 0.0001", "idle_s is 0.1 to"),
        ("[limits]\nconnections = 0", "connections is 1 to"),
        (USER, "two users a"),
    ],
)
def test_values_that_make_no_server_are_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "oss.toml").write_text(f'directory = "d"\n{text}\n{USER}')
    with pytest.raises(InvalidInput, match=why) as refused:
        read_settings(tmp_path / "oss.toml", {})
    assert refused.value.message.startswith(str(tmp_path / "oss.toml"))


def test_what_is_off_may_be_said(tmp_path: Path) -> None:
    (tmp_path / "oss.toml").write_text(
        f'directory = "d"\nlifecycle_every_s = 0\nrestore_s = 0\n[limits]\nleast_bytes_per_s = 0\n{USER}'
    )
    settings = read_settings(tmp_path / "oss.toml", {})
    assert (settings.lifecycle_every_s, settings.restore_s, settings.patience.least_bytes_per_s) == (0, 0, 0)


def test_every_request_is_a_line_of_the_access_log(serve: Serve, tmp_path: Path) -> None:
    log = tmp_path / "access.jsonl"
    _, wire = serve(access_log=str(log))
    wire.ask("PUT", "/photos/")
    stored = wire.ask("PUT", "/photos/a", b"12345", user_agent="tests")
    wire.ask("GET", "/photos/none?x-oss-signature=abc")
    eventually(lambda: len(lines(log)) == 3)  # a line is written once its answer is sent
    _, put, missing = lines(log)
    assert put["request_id"] == stored.headers["x-oss-request-id"]
    wanted = {
        "operation": "PutObject",
        "bucket": "photos",
        "key": "a",
        "access_key_id": "ak",
        "status": 200,
        "received_bytes": 5,
        "user_agent": "tests",
    }
    assert wanted.items() <= put.items()
    assert (missing["status"], missing["query"]) == (400, "x-oss-signature=***")
    assert "authorization" not in log.read_text().lower()


def test_the_access_log_is_for_its_owner_unless_somebody_chose_otherwise(
    serve: Serve, tmp_path: Path
) -> None:
    log = tmp_path / "access.jsonl"
    _, wire = serve(access_log=str(log))
    wire.ask("GET", "/")
    eventually(lambda: len(lines(log)) == 1)
    assert log.stat().st_mode & 0o777 == 0o600
    log.rename(tmp_path / "access.1")
    log.touch(0o640)
    log.chmod(0o640)
    wire.ask("GET", "/")
    eventually(lambda: len(lines(log)) == 1)
    assert log.stat().st_mode & 0o777 == 0o640


def test_an_access_log_that_cannot_be_written_is_told_once_and_ends_no_connection(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    _, wire = serve(access_log=str(folder / "access.jsonl"))
    kept = wire.connect()
    kept.sendall(wire.head("GET", "/"))
    assert receive(kept).status == 200
    eventually(lambda: len(lines(folder / "access.jsonl")) == 1)
    folder.rename(tmp_path / "moved")
    for _ in range(3):
        kept.sendall(wire.head("GET", "/"))
        assert receive(kept).status == 200
    folder.mkdir()
    kept.sendall(wire.head("GET", "/"))
    assert receive(kept).status == 200
    eventually((folder / "access.jsonl").exists)
    assert caplog.text.count("lines of the access log are lost") == 1


def test_what_could_be_used_again_is_not_logged() -> None:
    query = "uploadId=1&Signature=a&security-token=b&x-oss-signature=c&x-oss-security-token=d&x"
    assert shown_query(query) == (
        "uploadId=1&Signature=***&security-token=***&x-oss-signature=***&x-oss-security-token=***&x"
    )


def test_those_who_run_a_server_see_how_it_is(serve: Serve) -> None:
    oss, wire = serve(metrics=("127.0.0.1", 0))
    wire.ask("PUT", "/photos/")
    wire.ask("PUT", "/photos/a", b"12345")
    wire.ask("GET", "/photos/none")
    assert get(f"{oss.watch}/-/health") == (200, "ok\n")
    eventually(lambda: 'operation="GetObject"' in get(f"{oss.watch}/-/metrics")[1])
    status, text = get(f"{oss.watch}/-/metrics")
    assert status == 200
    assert 'penstock_requests_total{operation="PutObject",status="200"} 1' in text
    assert 'penstock_requests_total{operation="GetObject",status="404"} 1' in text
    assert "penstock_received_bytes_total 5" in text
    assert 'penstock_request_seconds_bucket{operation="PutObject",le="+Inf"} 1' in text
    assert get(f"{oss.watch}/other")[0] == 404
    assert get(f"{oss.watch}/-/lifecycle", "POST") == (200, "expired 0, moved 0, aborted uploads 0\n")
    assert wire.ask("GET", "/-/health").code == "InvalidBucketName"


def test_counts_are_in_the_form_that_prometheus_reads() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.3, 99.0):
        metrics.note("GetObject", 200, received_bytes=1, sent_bytes=2, seconds=seconds)
    text = metrics.text()
    for le, count in (("0.001", 1), ("0.1", 1), ("0.5", 2), ("60.0", 2), ("+Inf", 3)):
        assert f'penstock_request_seconds_bucket{{operation="GetObject",le="{le}"}} {count}\n' in text
    assert 'penstock_request_seconds_count{operation="GetObject"} 3\n' in text
    for line in text.splitlines():
        assert line.startswith("# ") or len(line.rsplit(" ", 1)) == 2


def test_connections_beyond_the_limit_are_told_so(serve: Serve) -> None:
    _, wire = serve(limits=Limits(connections=2))
    kept = [wire.connect() for _ in range(2)]
    for connection in kept:
        connection.sendall(wire.head("GET", "/"))
        assert receive(connection).status == 200
    late = wire.connect()
    answer = receive(late)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    assert late.recv(1) == b""
    kept[0].close()
    deadline = time.monotonic() + 10
    pause = threading.Event()
    while True:
        again = wire.connect()
        again.sendall(wire.head("GET", "/"))
        if receive(again).status == 200:
            break
        assert time.monotonic() < deadline
        pause.wait(0.01)


def test_requests_beyond_the_limit_are_told_so(serve: Serve) -> None:
    _, wire = serve(limits=Limits(requests=1))
    assert wire.ask("PUT", "/photos/").status == 200
    held = wire.connect()
    held.sendall(wire.head("PUT", "/photos/a", expect="100-continue", content_length="200000"))
    assert receive(held).status == 100
    answer = wire.ask("GET", "/photos/")
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    held.sendall(bytes(200_000))
    assert receive(held).status == 200


def test_a_body_that_trickles_is_cut_off(serve: Serve) -> None:
    _, wire = serve(patience=Patience(body_s=0.4, least_bytes_per_s=1_000_000, linger_s=0.2))
    assert wire.ask("PUT", "/photos/").status == 200
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", content_length="9000000"))
    answered = threading.Event()

    def trickle() -> None:
        while not answered.wait(0.05):
            try:
                connection.sendall(b"x" * 100)
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    answer = receive(connection)
    answered.set()
    thread.join()
    assert (answer.status, answer.code) == (400, "RequestTimeout")
    assert wire.ask("GET", "/photos/a").code == "NoSuchKey"


def test_no_request_may_take_longer_than_all_may(serve: Serve) -> None:
    _, wire = serve(patience=Patience(request_s=0.3, linger_s=0.2))
    assert wire.ask("PUT", "/photos/").status == 200
    connection = wire.connect()
    connection.sendall(wire.head("PUT", "/photos/a", content_length="900000") + bytes(1000))
    pause = threading.Event()
    pause.wait(0.4)
    connection.sendall(bytes(1000))
    answer = receive(connection)
    assert (answer.code, answer.element("EC")) == ("RequestTimeout", "0017-00000703")


def test_lifecycle_rules_are_carried_out_on_demand(serve: Serve) -> None:
    ahead = [0.0]
    oss, wire = serve(clock=lambda: time.time() + ahead[0], lifecycle_every_s=0)
    wire.ask("PUT", "/photos/")
    wire.ask("PUT", "/photos/a", b"x")
    rule = "<Rule><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>"
    body = f"<LifecycleConfiguration>{rule}</LifecycleConfiguration>".encode()
    assert wire.ask("PUT", "/photos/?lifecycle", body).status == 200
    assert oss.run_lifecycle().expired == 0
    ahead[0] = 2 * 86_400
    assert oss.run_lifecycle("photos").expired == 1


def test_the_example_of_a_configuration_is_one(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "contrib" / "penstock.toml"
    text = example.read_text().replace("/run/credentials/penstock.service/uploader.secret", "uploader.secret")
    (tmp_path / "penstock.toml").write_text(text)
    (tmp_path / "uploader.secret").write_text("secret")
    settings = read_settings(tmp_path / "penstock.toml", {})
    assert settings.metrics == ("127.0.0.1", 9001)
    assert settings.limits == Limits()
