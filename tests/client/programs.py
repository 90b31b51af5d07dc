"""Programs in processes of their own, which speak to the server of the test and share its state directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping

from penstock.testing.fault import Fault

PATIENCE_S = 20.0


class Programs:
    """
    Starts programs, and kills what is left of them.

    A program is a text of Python; it finds ``os``, ``sys``, ``penstock`` and a ``client``, and what it is
    given by name. What it warns of is an error.

    Args:
        environment: Variables that lead to the server.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**os.environ, **environment}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, text: str, **names: object) -> subprocess.Popen[str]:
        """Start a program and let it run."""
        begin = "import os, sys, penstock\nclient = penstock.Client()\n"
        values = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        process = subprocess.Popen(
            [sys.executable, "-u", "-W", "error", "-c", begin + values + textwrap.dedent(text)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        self._started.append(process)
        return process

    def end_of(self, process: subprocess.Popen[str]) -> list[str]:
        """Wait for the end of a program; the words that it said. What it says of errors fails the test."""
        out, err = process.communicate(timeout=PATIENCE_S)
        assert not err, err
        return out.split()

    def run(self, text: str, **names: object) -> list[str]:
        """Run a program to its end; the words that it said."""
        return self.end_of(self.start(text, **names))

    def killed(self, fault: Fault, text: str, **names: object) -> None:
        """Run a program until a request of it is held, then kill it, and cut the request."""
        process = self.start(text, **names)
        fault.reached.wait()
        kill(process)
        fault.end()

    def end(self) -> None:
        """Kill what still runs."""
        for process in self._started:
            process.kill()
            process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """End a process by SIGKILL, and wait until it is gone."""
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)
