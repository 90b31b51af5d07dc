"""When to try again, after how long, and how often in all."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from penstock.errors import (
    ConnectFailed,
    MalformedResponse,
    NameNotResolved,
    NetworkError,
    PenstockError,
    ServiceError,
    TimedOut,
    TlsFailed,
)
from penstock.protocol.error_table import retryable


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How often and how fast a call is tried again.

    Attributes:
        max_attempts: Tries in all, the first included; 1 turns retries off.
        base_delay_s: The first wait is a random part of this; each further one may be twice as long.
        max_delay_s: No wait is longer.
    """

    max_attempts: int = 4
    base_delay_s: float = 0.3
    max_delay_s: float = 20.0

    def delay_s(self, attempt: int, fraction: float) -> float:
        """
        The wait after a failed attempt ("full jitter": callers that failed together do not return together).

        Args:
            attempt: Number of the attempt that failed, from 1.
            fraction: A random number from 0 up to 1.
        """
        ceiling = self.base_delay_s * 2 ** min(attempt - 1, 30)
        return fraction * min(float(ceiling), self.max_delay_s)


class RetryBudget:
    """
    Tokens that all calls of a client share, so that a failing service is not flooded with retries.

    A retry takes `COST` tokens and is not made without them; every success gives one back.
    """

    COST = 5

    def __init__(self, tokens: int = 500) -> None:
        self._most = tokens
        self._tokens = tokens
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take the tokens for one retry; False if there are too few."""
        with self._lock:
            if self._tokens < self.COST:
                return False
            self._tokens -= self.COST
            return True

    def give_back(self) -> None:
        """Return a token after a success."""
        if self._tokens < self._most:
            with self._lock:
                self._tokens = min(self._tokens + 1, self._most)


def may_retry(error: PenstockError, *, repeatable: bool) -> bool:
    """
    Whether sending the same request again is harmless and may help.

    Args:
        error: How the attempt ended.
        repeatable: True if the call may take effect twice without harm. One that may not is tried again
            only if OSS cannot have acted on it.
    """
    match error:
        case NameNotResolved() | TlsFailed():
            return isinstance(error, NameNotResolved)
        case ConnectFailed():
            return True
        case MalformedResponse():
            return False
        case TimedOut() | NetworkError():
            return repeatable or not error.request_sent
        case ServiceError():
            return repeatable and retryable(error.status, error.code)
        case _:
            return False
