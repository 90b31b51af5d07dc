"""How long to wait between two questions to OSS."""

from __future__ import annotations

from collections.abc import Iterator

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0


def pauses(total_s: float) -> Iterator[float]:
    """
    Pauses in seconds, each twice the one before up to `LONGEST_PAUSE_S`, that sum to ``total_s``.

    Example:
        >>> list(pauses(1.0))
        [0.1, 0.2, 0.4, 0.3]
    """
    pause_s = FIRST_PAUSE_S
    left_s = total_s
    while left_s > 0:
        step_s = round(min(pause_s, left_s), 3)
        left_s = round(left_s - step_s, 3)
        yield step_s
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
