"""What the server of the demonstration sees, counted at its own door."""

from __future__ import annotations

from collections import Counter
from urllib.parse import parse_qs

from penstock.server.http.response import Response
from penstock.server.interceptor import Interceptor, Seen


class Watcher(Interceptor):
    """
    Counts requests, and bytes of bodies as they arrive.

    Attributes:
        requests: Requests whose head has arrived.
        body_bytes: Bytes of bodies that have arrived, whether they were kept or not.
        parts_received: How often each part number has arrived whole.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.body_bytes = 0
        self.parts_received: Counter[int] = Counter()
        self._received: dict[int, int] = {}

    @property
    def seen(self) -> tuple[int, int]:
        """Bytes and requests so far."""
        return self.body_bytes, self.requests

    async def on_head(self, seen: Seen) -> Response | None:
        """Count the request."""
        self.requests += 1
        return None

    async def on_body(self, seen: Seen) -> None:
        """Count what is new of the body."""
        self.body_bytes += seen.received_bytes - self._received.get(seen.number, 0)
        self._received[seen.number] = seen.received_bytes

    async def before_store(self, seen: Seen) -> Response | None:
        """A whole body is there: if it is a part, count it."""
        self._received.pop(seen.number, None)
        query = parse_qs(seen.request.query)
        if "partNumber" in query and "uploadId" in query:
            self.parts_received[int(query["partNumber"][0])] += 1
        return None
