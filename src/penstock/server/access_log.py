"""One line of JSON for every request that was answered; secrets and signatures are left out."""

from __future__ import annotations

import logging
from typing import Final

import msgspec

from penstock.protocol import dates
from penstock.server.http.request import Request
from penstock.server.http.response import Response

logger: Final = logging.getLogger("penstock.access")
"""Lines go to its handlers at level INFO; without one nothing is written, and nothing is spent."""

_SECRET: Final = frozenset(
    {"signature", "x-oss-signature", "security-token", "x-oss-security-token", "callback-var"}
)


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
