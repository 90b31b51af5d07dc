"""What the local server was asked, in the words of OSS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol.endpoint import split_target
from penstock.protocol.operation import Scope
from penstock.protocol.percent import parse_query
from penstock.server.http.request import Request
from penstock.server.routing import find_operation


@dataclass(slots=True)
class ServedRequest:
    """
    One request that reached the server, kept up to date while it is served.

    Attributes:
        operation: Such as ``UploadPart``; empty if it asks for nothing that OSS has.
        bucket, key: None where the request names none.
        number: Part number, or None.
        upload_id: UploadId that it names, or None.
        headers: By lower-case name.
        body_bytes: Announced length; None if it came in chunks.
        received_bytes: Bytes of the body that were read so far.
        status: Of the answer; None as long as there is none, and for ever if the connection was cut.
    """

    operation: str
    bucket: str | None
    key: str | None
    number: int | None
    upload_id: str | None
    headers: Mapping[str, str] = field(repr=False)
    body_bytes: int | None
    received_bytes: int = 0
    status: int | None = None


def served_request(request: Request, base_hosts: Sequence[str]) -> ServedRequest:
    """What a request is, as far as its head tells; a head that makes no sense has no operation."""
    try:
        target = split_target(request.headers.get("host", ""), request.path, base_hosts)
        query = parse_query(request.query, plus_is_space=True)
        scope = Scope.OBJECT if target.key else Scope.BUCKET if target.bucket else Scope.SERVICE
        operation = find_operation(request.method, scope, query, request.headers).name
    except (InvalidInput, ServiceError):
        return ServedRequest("", None, None, None, None, request.headers, request.body_bytes)
    said = dict(query)
    number = said.get("partNumber") or ""
    return ServedRequest(
        operation,
        target.bucket,
        target.key,
        int(number) if number.isascii() and number.isdigit() else None,
        said.get("uploadId"),
        request.headers,
        request.body_bytes,
    )
