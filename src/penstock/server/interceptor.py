"""
The seam for faults: an object that sees every request at four points and may bend what happens.

An interceptor is handed to the listener (``LocalOss.start(interceptor=...)``). Its coroutines run on the
server's event loop: to stall a request, await something; to answer in OSS's place, return a response;
to lose the connection, raise `ConnectionCut`. Without an interceptor none of this costs anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock.server.http.request import Request
from penstock.server.http.response import Response


class ConnectionCut(Exception):
    """
    Ends the connection at once.

    Args:
        reset: True for a TCP reset, False for an orderly end.
        after_bytes: From `Interceptor.before_response` only: how many bytes of the answer still go out.
    """

    def __init__(self, *, reset: bool = True, after_bytes: int = 0) -> None:
        super().__init__("cut on request of the interceptor")
        self.reset = reset
        self.after_bytes = after_bytes


@dataclass(slots=True)
class Seen:
    """
    What is known of a request while it goes its way.

    Attributes:
        number: Counts the requests of this server, from 1.
        received_bytes: Bytes of its body so far.
    """

    request: Request
    number: int
    received_bytes: int = 0


class Interceptor:
    """Lets everything pass; override what shall be bent."""

    async def on_head(self, seen: Seen) -> Response | None:
        """After the head: a response here is sent instead, and the connection closed."""
        return None

    async def on_body(self, seen: Seen) -> None:
        """After each piece of the body that was received."""

    async def before_store(self, seen: Seen) -> Response | None:
        """After the whole body, before anything is done: a response here means that nothing is."""
        return None

    async def before_response(self, seen: Seen, response: Response) -> Response:
        """After all is done (and stored), before the answer goes out."""
        return response
