"""How much of an object goes out at once: the less, the more slowly it is taken."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.server.http.sender import (
    FIRST_AT_ONCE_BYTES,
    LEAST_AT_ONCE_BYTES,
    MOST_AT_ONCE_BYTES,
    Sender,
)

PATIENCE_S = 60.0


class Line:
    """A loop whose clock goes by what is sent over a line of some speed."""

    def __init__(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self.now_s = 0.0
        self.sent: list[int] = []

    def time(self) -> float:
        return self.now_s

    async def sendfile(self, transport: Any, file: Any, offset: int, count: int, fallback: bool) -> int:
        assert offset == sum(self.sent)
        self.sent.append(count)
        self.now_s += count / self.bytes_per_s
        return count


def send(line: Line, size: int) -> None:
    async def whole() -> None:
        async def drained(timeout_s: float) -> None:
            """There is always room."""

        transport = SimpleNamespace(is_closing=lambda: False)
        stream = SimpleNamespace(transport=transport, drained=drained)
        sender = Sender(stream, None, PATIENCE_S, secure=False)  # type: ignore[arg-type]
        sender._loop = line  # type: ignore[assignment]
        segment = SimpleNamespace(file=object(), offset=0, length=size)
        await sender._send_file(segment)  # type: ignore[arg-type]

    asyncio.run(whole())


@pytest.mark.parametrize("bytes_per_s", [10_000, 30_000, 200_000])
def test_who_takes_an_object_slowly_and_steadily_is_not_given_up(bytes_per_s: int) -> None:
    line = Line(bytes_per_s)
    send(line, 50_000_000)
    assert sum(line.sent) == 50_000_000
    assert max(line.sent) / bytes_per_s < 2 * PATIENCE_S
    assert max(line.sent[3:]) / bytes_per_s < PATIENCE_S / 2


def test_a_quick_line_gets_much_at_once_and_a_slow_one_little() -> None:
    quick, slow = Line(1e9), Line(10_000)
    send(quick, 50_000_000)
    assert (quick.sent[0], max(quick.sent)) == (FIRST_AT_ONCE_BYTES, MOST_AT_ONCE_BYTES)
    send(slow, 50_000_000)
    assert slow.sent[4] == LEAST_AT_ONCE_BYTES
