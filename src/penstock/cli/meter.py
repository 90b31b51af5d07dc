"""Shows how far a copy is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TextIO

import click

from penstock.cli.amounts import bytes_text, clock_text, share_text
from penstock.cli.terminal import escaped

if TYPE_CHECKING:
    from rich.text import Text

    from penstock.transfer.progress import Progress

LINE_EVERY_S = 2.0
_WINDOW_S = 5.0
_NAME_COLUMNS = 20
_FIGURE_COLUMNS = 46
_FEWEST_BAR_COLUMNS = 10
_SHOW_CURSOR = b"\x1b[?25h\n"


@dataclass(frozen=True, slots=True)
class Reading:
    """
    One reading of the meter.

    Attributes:
        name: What is copied.
        whole: All of it.
        running: Name and progress of each file that is being copied, if there are several.
        files_done: Files that have ended.
        files_found: Files that are known of; 1 for a single copy.
        counting: True while more may be found.
    """

    name: str
    whole: Progress
    running: tuple[tuple[str, Progress], ...] = ()
    files_done: int = 0
    files_found: int = 1
    counting: bool = False


class Meter(Protocol):
    """Something that shows readings; a context manager."""

    def show(self, reading: Reading) -> None:
        """Show one."""

    def let_go(self) -> None:
        """Put the terminal right, in a signal handler before the process ends."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Speed:
    """
    Bytes a second over the last seconds; what earlier runs had sent does not count.

    Args:
        clock: Seconds that do not go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._samples: deque[tuple[float, int]] = deque()

    def note(self, progress: Progress) -> float:
        """Take another sample; returns the speed."""
        moved = progress.acknowledged_bytes - progress.resumed_bytes + progress.in_flight_bytes
        now = self._clock()
        self._samples.append((now, moved))
        while now - self._samples[0][0] > _WINDOW_S and len(self._samples) > 2:
            self._samples.popleft()
        elapsed_s = now - self._samples[0][0]
        return max(0.0, (moved - self._samples[0][1]) / elapsed_s) if elapsed_s > 0 else 0.0


class SilentMeter:
    """Shows nothing."""

    def show(self, reading: Reading) -> None:
        """Nothing."""

    def let_go(self) -> None:
        """Nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class LineMeter(SilentMeter):
    """One plain line every two seconds, for logs."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._speed = Speed(clock)
        self._last_s = clock()

    def show(self, reading: Reading) -> None:
        """A line, if the last one is long enough ago."""
        bytes_per_s = self._speed.note(reading.whole)
        if self._clock() - self._last_s < LINE_EVERY_S:
            return
        self._last_s = self._clock()
        click.echo(f"{escaped(reading.name)}  {figures(reading, bytes_per_s)}", file=self._stream)


class BarMeter:
    """A line that is drawn again and again: bright what OSS has acknowledged, dim what is on its way."""

    def __init__(self, stream: TextIO, *, color: bool) -> None:
        # Only here: rich takes as long to import as everything else together.
        from rich.console import Console
        from rich.live import Live

        self._stream = stream
        self._console = Console(file=stream, no_color=not color, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._speed = Speed()

    def show(self, reading: Reading) -> None:
        """Draw it."""
        from rich.console import Group

        self._live.start()
        columns = self._console.width - 1
        lines = [bar_line(name, progress, "", columns) for name, progress in reading.running]
        lines.append(bar_line(reading.name, reading.whole, self._figures(reading), columns))
        self._live.update(Group(*lines), refresh=True)

    def let_go(self) -> None:
        """Show the cursor. Not through rich: whatever holds its locks was interrupted."""
        if self._live.is_started and not self._console.is_dumb_terminal:
            with suppress(OSError):
                os.write(self._stream.fileno(), _SHOW_CURSOR)

    def _figures(self, reading: Reading) -> str:
        return figures(reading, self._speed.note(reading.whole))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def figures(reading: Reading, bytes_per_s: float) -> str:
    """Such as ``48%  28.1/58.7 MiB  19.8 MiB/s  0:02``."""
    whole = reading.whole
    words = []
    if reading.files_found > 1:
        more = "+" if reading.counting else ""
        words.append(f"{reading.files_done:,}/{reading.files_found:,}{more} files")
    words += [f"{int(whole.fraction * 100):3d}%", share_text(whole.acknowledged_bytes, whole.total_bytes)]
    if bytes_per_s > 0 and whole.acknowledged_bytes < whole.total_bytes:
        left = whole.total_bytes - whole.acknowledged_bytes - whole.in_flight_bytes
        words += [f"{bytes_text(bytes_per_s)}/s", clock_text(max(0, left) / bytes_per_s)]
    return "  ".join(words)


def bar_line(name: str, progress: Progress, said: str, columns: int) -> Text:
    """One line of at most ``columns``: name, bar, figures."""
    from rich.text import Text

    said = said or figures(Reading(name, progress), 0)
    bar_columns = columns - _NAME_COLUMNS - max(_FIGURE_COLUMNS, len(said)) - 4
    line = Text(no_wrap=True, overflow="crop")
    line.append(_short(name).ljust(_NAME_COLUMNS))
    if bar_columns >= _FEWEST_BAR_COLUMNS:
        line.append("  ")
        done = int(progress.fraction * bar_columns)
        share = progress.in_flight_bytes / progress.total_bytes if progress.total_bytes else 0
        sending = min(round(share * bar_columns), bar_columns - done)
        line.append("━" * done, "green" if progress.fraction >= 1 else "cyan")
        line.append("━" * sending, "dim cyan")
        line.append("─" * (bar_columns - done - sending), "bright_black")
    return line.append(f"  {said}")


def open_meter(*, shown: bool, stream: TextIO | None = None) -> Meter:
    """
    The meter that suits where the output goes.

    Args:
        shown: False shows nothing.
        stream: Standard error if not given.
    """
    stream = stream or sys.stderr
    if not shown:
        return SilentMeter()
    context = click.get_current_context(silent=True)
    color = context is None or context.color is not False
    return BarMeter(stream, color=color) if stream.isatty() else LineMeter(stream)


def _short(name: str) -> str:
    name = escaped(name)
    return name if len(name) <= _NAME_COLUMNS else f"{name[:7]}…{name[-(_NAME_COLUMNS - 8) :]}"
