"""What all groups of calls stand on."""

from __future__ import annotations

from typing import TypeVar

from penstock.client.sending.body import Body
from penstock.client.sending.progress import Meter, OnSent
from penstock.client.sending.requester import Requester
from penstock.errors import ChecksumMismatch
from penstock.net.errand import Errands
from penstock.protocol.operation import Request, Result

R = TypeVar("R", bound=Result)


class Caller:
    """A client without calls: what carries them out."""

    _requester: Requester
    _errands: Errands

    def _call(self, request: Request, expect: type[R]) -> R:
        return self._requester.call(request, expect)

    def _store(self, request: Request, expect: type[R], body: Body, progress: OnSent | None) -> R:
        """Carry out a call that sends a body, and close the body."""
        try:
            if progress is None:
                return self._requester.call(request, expect, body)
            return self._requester.call(request, expect, body, on_sent=Meter(progress, body.length).sent)
        finally:
            body.close()


def compare_crc64(sent: int, stored: int | None, what: str) -> None:
    """
    Raise `ChecksumMismatch` if OSS stored other bytes than were sent.

    Args:
        sent: CRC-64 of the bytes on this side.
        stored: What OSS answered; None if it did not say.
        what: The call, for the message.
    """
    if stored is not None and stored != sent:
        raise ChecksumMismatch(
            f"{what} was stored, but its CRC-64 is {sent} here and {stored} at OSS",
            expected=sent,
            actual=stored,
            advice="The bytes were damaged on the way. Send it again.",
        )
