"""How a call ended: exactly one outcome, told once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock.errors import Aborted, ChecksumMismatch, Committed, PenstockError, ServiceError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """
    What became of a call.

    Exactly one of ``value`` and ``error`` says how it ended: ``error`` is None if the call returned. Both are
    there only for a transfer that was complete when code of the caller's raised an error.

    Attributes:
        committed: Whether OSS has what the call was to make; `Committed.UNKNOWN` only if a request that
            can commit was handed over whole and no answer came.
        value: What the call returned, or None.
        error: What the call raised, or None. ``error.code`` tells an abort before the request
            (``ClientError:100002``) from one that stopped it in flight (``ClientError:200042``).
    """

    committed: Committed
    value: T | None = None
    error: PenstockError | None = None

    @property
    def aborted(self) -> bool:
        """True if the call was stopped as asked."""
        return isinstance(self.error, Aborted)

    @classmethod
    def returned(cls, value: T) -> Outcome[T]:
        """The outcome of a call that returned."""
        return cls(Committed.YES, value)

    @classmethod
    def raised(cls, error: PenstockError) -> Outcome[T]:
        """The outcome of a call that raised."""
        return cls(committed_by(error), None, error)


def committed_by(error: PenstockError) -> Committed:
    """Whether OSS has what a call was to make, as far as its error tells."""
    match error:
        case Aborted():
            return error.committed
        # The bytes are stored: what differs is their checksum, or what the callback server said.
        case ChecksumMismatch() | ServiceError(status=203):
            return Committed.YES
        case _:
            return Committed.UNKNOWN if error.in_doubt else Committed.NO
