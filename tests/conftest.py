from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is.
settings.register_profile("penstock", deadline=None)
settings.load_profile("penstock")

PATIENCE_S = 20.0


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits for a condition that nothing announces."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        pause = threading.Event()
        while not condition():
            assert time.monotonic() < deadline, "the condition never came to hold"
            pause.wait(0.002)

    return wait
