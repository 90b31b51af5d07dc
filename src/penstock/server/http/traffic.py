"""Speed limits that a caller asks for its own request (``x-oss-traffic-limit``)."""

from __future__ import annotations

from penstock.protocol.error_table import fault
from penstock.protocol.limits import MAX_TRAFFIC_LIMIT_BITS_PER_S, MIN_TRAFFIC_LIMIT_BITS_PER_S


def bytes_per_s(limit_bits_per_s: int | None) -> float | None:
    """
    The limit in bytes, or None where there is none.

    Raises:
        ServiceError: InvalidArgument outside 819,200 to 838,860,800 bit/s.
    """
    if limit_bits_per_s is None:
        return None
    if not MIN_TRAFFIC_LIMIT_BITS_PER_S <= limit_bits_per_s <= MAX_TRAFFIC_LIMIT_BITS_PER_S:
        raise fault(
            "InvalidArgument",
            message="The traffic limit is out of range.",
            ArgumentName="x-oss-traffic-limit",
            ArgumentValue=limit_bits_per_s,
        )
    return limit_bits_per_s / 8


class Pace:
    """
    Says how long to wait so that a rate is kept.

    Args:
        rate: Bytes a second.
        started_s: Any clock that does not go back.
    """

    def __init__(self, rate: float, started_s: float) -> None:
        self._rate = rate
        self._started_s = started_s
        self._moved = 0

    def delay_s(self, moved: int, now_s: float) -> float:
        """Seconds to wait after so many more bytes were moved; 0 or more."""
        self._moved += moved
        return max(0.0, self._started_s + self._moved / self._rate - now_s)
