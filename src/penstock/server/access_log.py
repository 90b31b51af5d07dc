"""One line of JSON for every request that was answered; secrets and signatures are left out."""

from __future__ import annotations

import logging
import logging.handlers
import os
import sys
from io import TextIOWrapper
from typing import Final

import msgspec

from penstock.protocol import dates
from penstock.server.http.request import Request
from penstock.server.http.response import Response

logger: Final = logging.getLogger("penstock.access")
"""Lines go to its handlers at level INFO; without one nothing is written, and nothing is spent."""

_server: Final = logging.getLogger("penstock.server")

_SECRET: Final = frozenset(
    {"signature", "x-oss-signature", "security-token", "x-oss-security-token", "callback-var"}
)


class LogFile(logging.handlers.WatchedFileHandler):
    """
    Writes lines to a file that may be moved away at any time.

    One that is made here is for its owner only; one that is there keeps its mode, which somebody has chosen.
    That lines are lost is said when it begins, not for each of them.
    """

    def __init__(self, path: str) -> None:
        self._failed = False
        self._why: BaseException | None = None
        super().__init__(path, encoding="utf-8")

    def emit(self, record: logging.LogRecord) -> None:
        failed_before, self._failed = self._failed, False
        try:
            super().emit(record)
        except OSError:
            # It was moved away, and no new one can be made: that is no reason to end a connection.
            self.handleError(record)
        if self._failed and not failed_before:
            _server.error("lines of the access log are lost: %s", self._why)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name is that of logging
        self._failed, self._why = True, sys.exc_info()[1]

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding)


def write(
    request: Request, response: Response, *, sent_bytes: int, received_bytes: int, seconds: float
) -> None:
    """Writes the line of a request."""
    if not logger.isEnabledFor(logging.INFO):
        return
    about = response.about
    line = {
        "time": dates.to_iso(int(request.received_at_s)),
        "request_id": response.headers.get("x-oss-request-id", ""),
        "peer": request.peer,
        "method": request.method,
        "path": request.path,
        "query": shown_query(request.query),
        "operation": about.operation,
        "bucket": about.bucket,
        "key": about.key,
        "access_key_id": about.access_key_id,
        "status": response.status,
        "code": about.code,
        "received_bytes": received_bytes,
        "sent_bytes": sent_bytes,
        "ms": round(seconds * 1000, 1),
        "user_agent": request.headers.get("user-agent", ""),
        "referer": request.headers.get("referer", ""),
    }
    logger.info(msgspec.json.encode(line).decode())


def shown_query(query: str) -> str:
    """A query without what could be used again."""
    pieces = []
    for piece in query.split("&"):
        name, equals, _ = piece.partition("=")
        pieces.append(f"{name}=***" if equals and name.lower() in _SECRET else piece)
    return "&".join(pieces)
