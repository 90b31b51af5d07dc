"""A directory that nothing is left of, however the command ends."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from penstock.cli.ending import Interrupted
from penstock.cli.interruption import ENDING_SIGNALS


@contextmanager
def temporary_directory(prefix: str) -> Iterator[Path]:
    """
    A directory that is removed when the block is left.

    Meanwhile the first of the `ENDING_SIGNALS` raises `Interrupted` in the block, and those that follow do
    nothing; unless the block itself does something else with them.

    Args:
        prefix: What its name begins with.
    """
    signals = _Signals()
    try:
        path = Path(tempfile.mkdtemp(prefix=prefix))
        try:
            signals.let_raise()
            yield path
        finally:
            signals.hold()
            shutil.rmtree(path, ignore_errors=True)
    finally:
        signals.restore()
    signals.raise_again()


class _Signals:
    """What follows from a signal: nothing but a note, or `Interrupted`, once."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._raises = False
        self._before = {
            number: handler
            for number in ENDING_SIGNALS
            if (handler := signal.getsignal(number)) is not signal.SIG_IGN
        }
        self.hold()

    def hold(self) -> None:
        self._raises = False
        for number in self._before:
            signal.signal(number, self._handle)

    def let_raise(self) -> None:
        self._raises = True
        self.raise_again()

    def raise_again(self) -> None:
        if self._number is not None:
            raise Interrupted(self._number)

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._number is None:
            self._number = number
            if self._raises:
                raise Interrupted(number)
