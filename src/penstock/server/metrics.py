"""What a server counts about itself, in the text form that Prometheus reads. Used on one thread."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import Final

from msgspec import Struct

_BOUNDS_S: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


class Counts(Struct, frozen=True):
    """
    What one process has counted until a moment.

    Attributes:
        requests: By operation and status.
        buckets: Of the histograms of time, by operation.
        seconds: By operation.
    """

    connections: int
    refused_connections: int
    in_flight: int
    requests: list[tuple[str, int, int]]
    buckets: dict[str, list[int]]
    seconds: dict[str, float]
    received: int
    sent: int


class Metrics:
    """Counts requests, bytes and time, by operation."""

    def __init__(self) -> None:
        self.connections = 0
        self.refused_connections = 0
        self.in_flight = 0
        self._requests: Counter[tuple[str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self._received = 0
        self._sent = 0

    def note(
        self, operation: str, status: int, *, received_bytes: int, sent_bytes: int, seconds: float
    ) -> None:
        """Counts one request."""
        name = operation or "unknown"
        self._requests[name, status] += 1
        self._histogram_of(name)[bisect_left(_BOUNDS_S, seconds)] += 1
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        self._received += received_bytes
        self._sent += sent_bytes

    def counts(self) -> Counts:
        """All of it, for another process."""
        return Counts(
            connections=self.connections,
            refused_connections=self.refused_connections,
            in_flight=self.in_flight,
            requests=[(name, status, count) for (name, status), count in self._requests.items()],
            buckets={name: list(counts) for name, counts in self._buckets.items()},
            seconds=dict(self._seconds),
            received=self._received,
            sent=self._sent,
        )

    def add(self, counts: Counts, *, running: bool) -> None:
        """Adds what another process has counted; one that is not ``running`` has nothing under way."""
        if running:
            self.connections += counts.connections
            self.in_flight += counts.in_flight
        self.refused_connections += counts.refused_connections
        for name, status, count in counts.requests:
            self._requests[name, status] += count
        for name, added in counts.buckets.items():
            histogram = self._histogram_of(name)
            for index, count in enumerate(added):
                histogram[index] += count
        for name, seconds in counts.seconds.items():
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        self._received += counts.received
        self._sent += counts.sent

    def text(self) -> str:
        """All of it, as Prometheus reads it."""
        lines = [
            *_single("penstock_connections", "gauge", "Open connections.", self.connections),
            *_single(
                "penstock_refused_connections_total",
                "counter",
                "Connections over the limit.",
                self.refused_connections,
            ),
            *_single("penstock_requests_in_flight", "gauge", "Requests under way.", self.in_flight),
            *_single("penstock_received_bytes_total", "counter", "Bytes of bodies.", self._received),
            *_single("penstock_sent_bytes_total", "counter", "Bytes of answers.", self._sent),
            "# HELP penstock_requests_total Requests answered.",
            "# TYPE penstock_requests_total counter",
        ]
        for (operation, status), count in sorted(self._requests.items()):
            lines.append(f'penstock_requests_total{{operation="{operation}",status="{status}"}} {count}')
        lines += [
            "# HELP penstock_request_seconds Time from the head of a request to the end of its answer.",
            "# TYPE penstock_request_seconds histogram",
        ]
        for operation, counts in sorted(self._buckets.items()):
            lines += self._histogram(operation, counts)
        return "\n".join(lines) + "\n"

    def _histogram_of(self, name: str) -> list[int]:
        return self._buckets.setdefault(name, [0] * (len(_BOUNDS_S) + 1))

    def _histogram(self, operation: str, counts: list[int]) -> list[str]:
        lines, total = [], 0
        for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), counts, strict=True):
            total += count
            lines.append(f'penstock_request_seconds_bucket{{operation="{operation}",le="{bound}"}} {total}')
        lines.append(
            f'penstock_request_seconds_sum{{operation="{operation}"}} {self._seconds[operation]:.6f}'
        )
        lines.append(f'penstock_request_seconds_count{{operation="{operation}"}} {total}')
        return lines


def _single(name: str, kind: str, help_text: str, value: int) -> list[str]:
    return [f"# HELP {name} {help_text}", f"# TYPE {name} {kind}", f"{name} {value}"]
