"""The body of a request, as the sending side needs it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from penstock.errors import InvalidInput
from penstock.net.request import Buffer, Flight, HttpRequest

_IDEMPOTENT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
_CONTENT_LENGTH = "content-length"
_CONTENT_LENGTH_CHARACTERS = len(_CONTENT_LENGTH)


class Payload(NamedTuple):
    """
    A body.

    Attributes:
        data: All of it, if it is bytes; else empty.
        pieces: Where it comes from, if it comes in pieces; else None.
        body_bytes: Its length; None if there is no body, or its length is not known.
    """

    data: memoryview
    pieces: Iterable[Buffer] | None
    body_bytes: int | None

    @property
    def chunked(self) -> bool:
        """Whether it has to be sent in chunks."""
        return self.pieces is not None and self.body_bytes is None


_NOTHING = Payload(memoryview(b""), None, None)


def payload_of(request: HttpRequest) -> Payload:
    """
    What a request's body is.

    Raises:
        InvalidInput: Its own Content-Length header says something else.
    """
    body = request.body
    declared = _declared_body_bytes(request)
    if body is None:
        if declared:
            raise _mismatch(request, declared, "there is no body")
        return _NOTHING
    try:
        view = byte_view(cast("Buffer", body))
    except TypeError:  # no buffer, so it comes in pieces
        body_bytes = declared if request.body_bytes is None else request.body_bytes
        return Payload(_NOTHING.data, cast("Iterable[Buffer]", body), body_bytes)
    if declared is not None and declared != len(view):
        raise _mismatch(request, declared, f"the body has {len(view)} bytes")
    return Payload(view, None, len(view))


def may_replay(request: HttpRequest, payload: Payload, flight: Flight) -> bool:
    """Whether a request may be sent again after a kept connection died under it without an answer."""
    pieces = payload.pieces
    if request.replayable is None:
        return pieces is None and (request.method in _IDEMPOTENT or not flight.complete)
    return request.replayable and (pieces is None or iter(pieces) is not pieces)


def byte_view(data: Buffer) -> memoryview:
    """A view of bytes over any buffer, without a copy if it lies in one piece."""
    view = memoryview(data)
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.c_contiguous else memoryview(view.tobytes())


def _declared_body_bytes(request: HttpRequest) -> int | None:
    for name, value in request.headers:
        if len(name) == _CONTENT_LENGTH_CHARACTERS and name.lower() == _CONTENT_LENGTH:
            if not (value.isascii() and value.isdigit()):
                raise InvalidInput(f"The Content-Length {value!r} for {request.origin.address} is no number.")
            return int(value)
    return None


def _mismatch(request: HttpRequest, declared: int, truth: str) -> InvalidInput:
    return InvalidInput(
        f"A Content-Length of {declared} was given for {request.origin.address}, but {truth}.",
        advice="Leave the header out: it is added.",
    )
