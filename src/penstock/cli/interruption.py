"""Ctrl-C and its relatives, turned into one abort."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from penstock.cli.ending import Interrupted, die_by

ENDING_SIGNALS = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
)
"""What users and systems end a command with: Ctrl-C, `kill`, the end of the terminal."""


class Interruption:
    """
    While it is entered, the first SIGINT, SIGTERM or SIGHUP calls ``abort``; a second one ends the process.

    A signal that was ignored when the process began (``nohup``) stays ignored.

    Args:
        abort: Called inside the signal handler: must not block, take locks or raise.
        let_go: Called likewise, before the second one ends the process.
    """

    def __init__(self, abort: Callable[[], object], let_go: Callable[[], object] = lambda: None) -> None:
        self._abort = abort
        self._let_go = let_go
        self._before: dict[int, Any] = {}
        self._number: int | None = None
        self._at_s = 0.0

    @property
    def happened(self) -> bool:
        """Whether a signal has come."""
        return self._number is not None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the signal."""
        return time.monotonic() - self._at_s

    def raise_again(self) -> None:
        """Raise `Interrupted` if a signal has come, so that the process ends by it."""
        if self._number is not None:
            raise Interrupted(self._number)

    def __enter__(self) -> Self:
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is not None:
            self._let_go()
            die_by(number)
        self._number = number
        self._at_s = time.monotonic()
        self._abort()
