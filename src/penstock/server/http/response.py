"""An answer as the app gives it: a status, headers, and bytes or the place where they lie."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from penstock.server.store.interface import OpenObject, Segment


class ObjectBody:
    """
    Bytes of a stored object, still in the store; whoever sends them closes it.

    Attributes:
        length: How many bytes will be sent.
    """

    def __init__(self, opened: OpenObject, offset: int, length: int) -> None:
        self._opened = opened
        self._offset = offset
        self.length = length

    def segments(self) -> Iterator[Segment]:
        """The runs to send, in order; each is valid until the next is asked for."""
        return self._opened.segments(self._offset, self.length)

    def read(self) -> bytes:
        """All of it in one piece."""
        return self._opened.read(self._offset, self.length)

    def close(self) -> None:
        """Lets go of the object; may be called again."""
        self._opened.close()


class StreamedBody:
    """
    Bytes that are made while they are sent; nobody knows beforehand how many. Whoever sends them closes it.

    Args:
        pieces: Each is made by a bounded amount of work, on the thread that asks for it. An empty one says
            that there is nothing to send yet. What it raises ends the connection.
        close: Lets go of what the pieces are made of.

    Attributes:
        sent_bytes: How many were given out.
    """

    def __init__(self, pieces: Iterator[bytes], close: Callable[[], None]) -> None:
        self._pieces = pieces
        self._close = close
        self._in_hand = threading.Lock()
        self._closed = False
        self.sent_bytes = 0

    def next(self) -> bytes | None:
        """The next piece; None at the end, and once it was closed."""
        with self._in_hand:
            piece = None if self._closed else next(self._pieces, None)
            self.sent_bytes += len(piece or b"")
            return piece

    def read(self) -> bytes:
        """All that is left, in one piece."""
        return b"".join(iter(self.next, None))

    def close(self) -> None:
        """Ends the work, once the piece at hand is made; may be called again."""
        with self._in_hand:
            if not self._closed:
                self._closed = True
                self._close()


@dataclass(frozen=True, slots=True)
class About:
    """What an answer is to, for those who count and log; empty where it is not known."""

    operation: str = ""
    bucket: str = ""
    key: str = ""
    access_key_id: str = ""
    code: str = ""


UNKNOWN = About()


@dataclass(frozen=True, slots=True)
class Response:
    """
    One answer.

    Attributes:
        status: HTTP status.
        headers: In the order in which they are sent. ``content-length`` is added by the listener unless it
            stands here, as it does in answers to HEAD.
        body: Bytes, an object's bytes, bytes that are still to be made, or None for an answer that has none.
        close: True if nothing more may be read from this connection.
        bytes_per_s: Speed limit that the caller asked for, or None.
        chunked: True if the body, which is no object's then, is sent in chunks, without its length.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | ObjectBody | StreamedBody | None = None
    close: bool = False
    bytes_per_s: float | None = None
    chunked: bool = False
    about: About = UNKNOWN

    def discard(self) -> None:
        """Lets go of what the body holds, for an answer that will not be sent."""
        if isinstance(self.body, ObjectBody | StreamedBody):
            self.body.close()
