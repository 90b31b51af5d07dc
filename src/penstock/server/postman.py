"""Carries callbacks to the servers that uploaders name."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from penstock.errors import NetworkError
from penstock.net import HttpRequest, HttpTransport, Latch, NetSettings, Origin, Tripped
from penstock.protocol.limits import CALLBACK_TIMEOUT_S

MAX_ANSWER_BYTES: Final = 1024 * 1024
_CONNECT_S: Final = 2.0
"""Where nobody answers the knocking, there shall be time left to ask another server."""

_ROUND: Final = 1000
_SETTINGS: Final = NetSettings(
    connect_timeout_s=_CONNECT_S, read_timeout_s=CALLBACK_TIMEOUT_S, max_idle_per_origin=0, proxy=""
)


class Postman:
    """Posts, and waits for the answer no longer than it is told, whatever the other side does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._transport = HttpTransport(_SETTINGS)
        self._posted = 0

    def post(self, url: str, headers: Mapping[str, str], body: bytes, left_s: float) -> tuple[int, bytes]:
        """
        Post a body, and give status and answer; redirects are not followed.

        Args:
            url: http or https.
            headers: Beside those that HTTP itself needs.
            body: What is posted.
            left_s: Time for all of it: finding the address, connecting, sending, and the whole answer.

        Raises:
            OSError: No complete answer in this time, or one of more than 1 MiB.
            ValueError: Not a URL, or a header that is none.
        """
        parts = urlsplit(url)
        request = HttpRequest(
            origin=_origin(url, parts),
            method="POST",
            target=f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}",
            headers=(*headers.items(), ("Connection", "close")),
            body=body,
            replayable=False,
        )
        latch = Latch()
        # One switch for every wait: none of them has to know how long the others have taken.
        alarm = threading.Timer(max(0.0, left_s), latch.trip)
        alarm.daemon = True
        alarm.start()
        try:
            with self._fresh().send(request, latch) as answer:
                received = answer.read(MAX_ANSWER_BYTES + 1)
                if len(received) > MAX_ANSWER_BYTES:
                    raise OSError(f"the answer of {url} is too long")
                return answer.status, received
        except Tripped as tripped:
            raise TimeoutError(f"no whole answer of {url} in time") from tripped
        except NetworkError as error:
            raise OSError(error.message) from error
        finally:
            alarm.cancel()

    def close(self) -> None:
        """Closes what is kept."""
        self._transport.close()

    def _fresh(self) -> HttpTransport:
        # A transport remembers every host that it has spoken to, and uploaders may name any number of them.
        with self._lock:
            self._posted += 1
            if self._posted % _ROUND == 0:
                self._transport.close()
                self._transport = HttpTransport(_SETTINGS)
            return self._transport


def _origin(url: str, parts: SplitResult) -> Origin:
    if not parts.hostname:
        raise ValueError(f"{url!r} names no host")
    match parts.scheme:
        case "http":
            return Origin("http", parts.hostname, parts.port or 80)
        case "https":
            return Origin("https", parts.hostname, parts.port or 443)
        case _:
            raise ValueError(f"{url!r} is not an http or https URL")
