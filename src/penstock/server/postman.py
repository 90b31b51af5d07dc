"""Carries callbacks to the servers that uploaders name."""

from __future__ import annotations

import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from penstock.protocol.limits import CALLBACK_TIMEOUT_S

MAX_ANSWER_BYTES = 1024 * 1024


def post(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """
    Post a body, and give status and answer; redirects are not followed.

    Raises:
        OSError: No complete answer within 5 seconds, or one of more than 1 MiB.
        ValueError: Not an http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an http or https URL")
    deadline = time.monotonic() + CALLBACK_TIMEOUT_S
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=CALLBACK_TIMEOUT_S)
    try:
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request("POST", target, body, {**headers, "Connection": "close"})
        answer = connection.getresponse()
        received = bytearray()
        while piece := answer.read1(65536):
            received += piece
            if len(received) > MAX_ANSWER_BYTES or time.monotonic() > deadline:
                raise OSError(f"the answer of {url} is too long or too slow")
        return answer.status, bytes(received)
    except HTTPException as error:
        raise OSError(f"{url} did not answer with HTTP: {error!r}") from error
    finally:
        connection.close()
