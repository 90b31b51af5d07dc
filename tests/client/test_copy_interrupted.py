"""Many files copied by the command line, interrupted at any moment; the command that it prints goes on."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from penstock.server.http.response import Response
from penstock.server.interceptor import ConnectionCut, Interceptor, Seen
from penstock.server.local_oss import LocalOss
from penstock.server.settings import DEFAULT_BASE_HOSTS
from penstock.testing.served import ServedRequest, served_request

MIB = 1 << 20
PATIENCE_S = 240.0
SMALL_BYTES = 3000
PARTS_OF_A_LARGE_ONE = 5
LARGE_BYTES = (PARTS_OF_A_LARGE_ONE - 1) * 8 * MIB + 12_345


class Log(Interceptor):
    """
    All that was asked, in order, with what was answered.

    Attributes:
        hold_part: The so-manieth UploadPart is held when its head has come, until `let_go`; None for none.
        held: The request that is held.
    """

    def __init__(self) -> None:
        self.requests: list[ServedRequest] = []
        self.hold_part: int | None = None
        self.held: ServedRequest | None = None
        self._open: dict[int, ServedRequest] = {}
        self._parts = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gone = asyncio.Event()
        self._changed = threading.Condition()

    async def on_head(self, seen: Seen) -> Response | None:
        asked = served_request(seen.request, DEFAULT_BASE_HOSTS)
        self.requests.append(asked)
        self._open[seen.number] = asked
        self._parts += asked.operation == "UploadPart"
        if asked.operation == "UploadPart" and self._parts == self.hold_part:
            self._loop = asyncio.get_running_loop()
            self.held = asked
        with self._changed:
            self._changed.notify_all()
        if self.held is asked:
            await self._gone.wait()
            raise ConnectionCut
        return None

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition on what was asked."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S)

    def let_go(self) -> None:
        """Cut the request that is held."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._gone.set)

    async def before_response(self, seen: Seen, response: Response) -> Response:
        self._open.pop(seen.number).status = response.status
        return response

    def sent(self) -> dict[tuple[str | None, int | None], list[ServedRequest]]:
        """The requests that carried bytes, by object and part."""
        found = defaultdict(list)
        for asked in self.requests:
            if asked.operation in ("PutObject", "UploadPart"):
                found[asked.key, asked.number].append(asked)
        return found


@dataclass
class Tree:
    """A directory of files, small ones and a few large ones among them."""

    root: Path
    files: dict[str, bytes] = field(default_factory=dict)

    def fill(self, small: int, large: int) -> None:
        content = random.Random(small)
        for number in range(small):
            self._write(f"{number // 100:02}/{number:04}", content.randbytes(SMALL_BYTES))
        for number in range(large):
            # Among the small ones, so that both kinds are under way at most moments.
            folder = number * (small // 100) // max(large, 1)
            self._write(f"{folder:02}/{number}-large", content.randbytes(LARGE_BYTES))

    def _write(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.files[name] = data


@pytest.mark.parametrize(
    ("seed", "small", "large"),
    [
        (0, 200, 0),
        (1, 100, 1),
        *(pytest.param(seed, 2000, 5, marks=pytest.mark.slow) for seed in range(2, 12)),
    ],
)
def test_an_interrupted_batch_sends_nothing_twice_but_what_was_under_way(
    seed, small, large, tmp_path, oss_env, oss_server, make_client
):
    tree, log = Tree(tmp_path / "tree"), Log()
    tree.fill(small, large)
    with LocalOss.start(
        tmp_path / "oss", users=dict(oss_server.users), durability="none", interceptor=log
    ) as oss:
        environment = {**os.environ, **oss_env, "OSS_ENDPOINT": oss.endpoint}
        client = make_client(oss.endpoint, state_dir=oss_env["PENSTOCK_STATE_DIR"])
        client.put_bucket("bucket")
        log.requests.clear()
        # Half of them fall anywhere, which is mostly among the small ones; half fall upon a part.
        parts = large * PARTS_OF_A_LARGE_ONE
        moment = random.Random(seed).randrange(1, (small + parts) * 9 // 10)
        if seed % 2:
            log.hold_part = random.Random(seed).randrange(1, parts + 1)
        process = subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", "cp", "-r", "tree", "oss://bucket/to/", "--no-progress"],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            log.wait_until(lambda: bool(log.held) if seed % 2 else len(log.requests) >= moment)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
            process.communicate()
            log.let_go()
        assert process.returncode == -signal.SIGINT, errors
        first, asked = log.sent(), len(log.requests)
        taken = {what for what, requests in first.items() if requests[-1].status == 200}
        command = errors.splitlines()[-1]
        done = subprocess.run(
            command,
            check=False,
            shell=True,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr

        twice = {what: requests for what, requests in log.sent().items() if len(requests) > 1}
        print(f"stopped after {asked} requests: {len(taken)} taken before, {len(twice)} sent twice")
        assert log.held is None or (log.held.key, log.held.number) in twice
        for what, requests in twice.items():
            assert what not in taken
            assert [one.status for one in requests] == [None, 200], what
        assert len(log.sent()) == small + large * PARTS_OF_A_LARGE_ONE
        assert sum(len(requests) for requests in first.values()) - len(taken) >= len(twice)
        keys = {one.key.removeprefix("to/") for one in client.iter_objects("bucket")}
        assert keys == set(tree.files)
        for name, data in tree.files.items():
            assert client.get_object("bucket", f"to/{name}").read() == data
        assert list(client.iter_multipart_uploads("bucket")) == []
        assert list(client.unfinished_uploads()) == []
