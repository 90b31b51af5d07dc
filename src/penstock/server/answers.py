"""What every answer has, and how a refusal becomes one."""

from __future__ import annotations

import os

from penstock.errors import ServiceError
from penstock.protocol import dates
from penstock.protocol.error_table import error_header, error_xml
from penstock.server.http.response import Response


def new_request_id(now_s: float) -> str:
    """24 hexadecimal characters: the time, and what nobody can guess."""
    return f"{int(now_s) & 0xFFFFFFFF:08X}{os.urandom(8).hex().upper()}"


def base_headers(request_id: str, now_s: float) -> dict[str, str]:
    """Headers of every answer."""
    return {
        "server": "AliyunOSS",
        "date": dates.to_http(int(now_s)),
        "x-oss-request-id": request_id,
        "x-oss-server-time": "1",
    }


def error_response(
    error: ServiceError, method: str, host: str, request_id: str, now_s: float, *, close: bool = False
) -> Response:
    """The answer that says what was refused; that of a HEAD says it in a header."""
    headers = base_headers(request_id, now_s)
    if error.ec:
        headers["x-oss-ec"] = error.ec
    if error.status == 304:
        return Response(304, headers, close=close)
    if method == "HEAD":
        headers["x-oss-err"] = error_header(error, request_id=request_id, host_id=host)
        return Response(error.status, headers, close=close)
    headers["content-type"] = "application/xml"
    if error.code == "MethodNotAllowed" and "Allow" in error.fields:
        headers["allow"] = error.fields["Allow"]
    return Response(error.status, headers, error_xml(error, request_id=request_id, host_id=host), close=close)
