"""An OSS as a process of its own, until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from penstock.server import descriptors
from penstock.server.opening import Run, open_server
from penstock.server.processes import serve_together, stop_signals
from penstock.server.settings import DRAIN_S, ServerSettings


def serve_forever(
    settings: ServerSettings,
    on_ready: Callable[[str], None],
    on_stopping: Callable[[], None] | None = None,
    drain_s: float = DRAIN_S,
) -> None:
    """
    Serve on this thread until SIGTERM, SIGINT or SIGHUP; a second one cuts what is still under way.

    SIGHUP does nothing where it was ignored before (``nohup``).

    The process may have as many files open from now on as the system lets it.

    Args:
        settings: What the server is to be.
        on_ready: Called with the endpoint once requests are accepted, by all processes if there are several.
        on_stopping: Called when the first signal came.
        drain_s: How long requests under way may take after it.

    Raises:
        InvalidInput, StoreError: As `LocalOss.start`.
    """

    async def main(run: Run) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def ready(endpoint: str, watch: str, stop: asyncio.Event) -> None:
            def asked_to_stop() -> None:
                if stop.is_set():
                    task.cancel()
                elif on_stopping is not None:
                    on_stopping()
                stop.set()

            for number in stop_signals():
                loop.add_signal_handler(number, asked_to_stop)
            on_ready(endpoint)

        with contextlib.suppress(asyncio.CancelledError):
            await run(ready, lambda: drain_s)

    descriptors.warn_if_low(settings.limits, descriptors.raise_limit())
    if settings.processes > 1:
        serve_together(settings, on_ready, on_stopping, drain_s)
        return
    with open_server(settings) as (_, run):
        asyncio.run(main(run))
