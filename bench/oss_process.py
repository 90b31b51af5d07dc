"""``penstock serve`` as a process, and requests to it that are as plain as can be."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from penstock.protocol.percent import parse_query
from penstock.protocol.signature_v4 import authorization_v4
from penstock.protocol.signing import Credentials
from penstock.server.store import BucketRecord

KEYS = Credentials("bench", "not-a-secret")
REGION = "cn-hangzhou"


def bucket_named(name: str) -> BucketRecord:
    """What a store is told of a bucket like any other."""
    return BucketRecord(
        name=name,
        owner="1000000000000001",
        region=f"oss-{REGION}",
        acl="private",
        storage_class="Standard",
        redundancy="LRS",
        created_ms=0,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def start(directory: Path, port: int, *more: str) -> subprocess.Popen[bytes]:
    """Starts a server; it need not answer yet."""
    config = directory.parent / "bench.toml"
    config.write_text(
        f'directory = "{directory.name}"\nport = {port}\nlifecycle_every_s = 0\n{"".join(more)}'
        f'[[users]]\naccess_key_id = "{KEYS.access_key_id}"\nsecret = "{KEYS.access_key_secret}"\n'
    )
    command = [sys.executable, "-m", "penstock.cli", "-q", "serve", "--config", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def cpu_s(pid: int) -> float:
    """Seconds of processor that a process has used so far, which a busy machine does not change. On Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def signed(method: str, bucket: str, key: str, query: str = "", **headers: str) -> dict[str, str]:
    """The headers of a request, with those of its signature."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return named | authorization_v4(
        method=method,
        bucket=bucket,
        key=key or None,
        query=parse_query(query),
        headers=named,
        credentials=KEYS,
        region=REGION,
        signed_at=int(time.time()),
    )


def ask(
    port: int, method: str, bucket: str, key: str, query: str = "", body: bytes = b"", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        target = f"/{bucket}/{key}" + (f"?{query}" if query else "")
        connection.request(method, target, body, signed(method, bucket, key, query, **headers))
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def first_answer(port: int, bucket: str, key: str, give_up_s: float = 60.0) -> bytes:
    """The body of the first GET that is answered, asked again and again until then."""
    until = time.perf_counter() + give_up_s
    while True:
        try:
            answer, body = ask(port, "GET", bucket, key)
        except ConnectionError:
            # Nobody listens yet, or somebody who is just being killed.
            if time.perf_counter() > until:
                raise
            time.sleep(0.001)
            continue
        if answer.status != 200:
            raise RuntimeError(f"{answer.status}: {body!r}")
        return body
