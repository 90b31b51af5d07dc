"""How long a server waits, and how much it takes on at once."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.protocol.limits import MAX_REQUEST_DURATION_S


@dataclass(frozen=True, slots=True)
class Patience:
    """
    How long the server waits, in seconds.

    Attributes:
        idle_s: For the next request on a connection that is kept.
        head_s: For the rest of a head that has begun.
        body_s: For the next bytes of a body, and for the other side to take some of an answer.
        linger_s: For a client that is still sending to notice that it was refused.
        request_s: For all of a body.
        least_bytes_per_s: Whoever sends more slowly over ``body_s`` is cut off; 0 for any speed.
    """

    idle_s: float = 60.0
    head_s: float = 30.0
    body_s: float = 60.0
    linger_s: float = 5.0
    request_s: float = float(MAX_REQUEST_DURATION_S)
    least_bytes_per_s: int = 128


@dataclass(frozen=True, slots=True)
class Limits:
    """
    How much the server takes on at once.

    Attributes:
        connections: For whoever comes beyond them, the one ends that has asked nothing for the longest; if
            there is none, the answer is 503. Fewer, if the system does not let so many files be open.
        requests: Requests under way, from when all of a small body is there, or the head of a large one was
            judged; those beyond are answered 503.
    """

    connections: int = 4096
    requests: int = 1024
