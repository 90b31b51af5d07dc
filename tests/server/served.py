"""``penstock serve`` as a process of its own, to be asked, stopped and killed."""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from server_desk import Wire

CONFIG = """
directory = "data"
port = 0
durability = "strict"
callbacks = false
[[users]]
access_key_id = "ak"
secret = "sk"
"""


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _before(files: int | None) -> None:
    """Tests that are killed themselves leave no server behind, where the system can see to it."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


class Served:
    """
    A server in a process group of its own, which serves ``folder / "data"``.

    Attributes:
        port: The same one again after a restart.
    """

    def __init__(
        self,
        folder: Path,
        *,
        processes: int = 1,
        top: str = "",
        more: str = "",
        drain: str = "20s",
        files: int | None = None,
    ) -> None:
        self._files = files
        self.data = folder / "data"
        self.port = 0
        self._config = folder / "oss.toml"
        self._text = f"processes = {processes}\n{top}{CONFIG}{more}"
        self._errors = folder / "errors.txt"
        self._drain = drain
        self._connections: list[socket.socket] = []
        self.process = self._start()

    def wire(self) -> Wire:
        """A raw client, whose connections are closed in the end."""
        return Wire("127.0.0.1", self.port, self._connections)

    def say(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip()

    def errors(self) -> str:
        """All that it has written to standard error, and its predecessors too."""
        return self._errors.read_text()

    def children(self) -> list[int]:
        """The processes that work, where there are several, in the order of their start."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()]

    def wait_for_children(self, count: int) -> list[int]:
        """Until there are so many again; a process that ends soon after its start is not replaced at once."""
        give_up = time.monotonic() + 20
        while len(self.children()) != count:
            assert time.monotonic() < give_up
            time.sleep(0.01)
        return self.children()

    def kill(self) -> None:
        """SIGKILL to all of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._let_go()

    def restart(self) -> None:
        """Starts it again, once it has ended."""
        self._let_go()
        self.process = self._start()

    def stop(self) -> int:
        """SIGTERM, and what it ended with."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._let_go()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        if self.process.poll() is None:
            self.kill()
        self._let_go()

    def _start(self) -> subprocess.Popen[bytes]:
        self._config.write_text(self._text.replace("port = 0", f"port = {self.port}"))
        command = [sys.executable, "-m", "penstock.cli", "-q", "serve", "--drain", self._drain]
        with self._errors.open("ab") as errors:
            process = subprocess.Popen(
                [*command, "--config", str(self._config)],
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                preexec_fn=lambda: _before(self._files),  # noqa: PLW1509  # it makes calls of the system only
            )
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 30)[0], "the server does not begin to serve"
        line = process.stdout.readline().decode()
        assert "http" in line, line + self.errors()
        self.port = int(line.strip().rpartition(":")[2])
        return process

    def _let_go(self) -> None:
        if self.process.stdout is not None:
            self.process.stdout.close()
