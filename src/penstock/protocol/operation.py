"""
One OSS call, described once for the client that sends it and the server that answers it.

The description says how a request is recognised on the wire, what it carries, what comes back, and the
two facts that decide about stopping and repeating it: whether it can commit something, and whether
sending it twice does the same as sending it once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from penstock.protocol.binding import QueryPairs, Wire, from_wire, to_wire
from penstock.protocol.limits import MAX_CONFIGURATION_BYTES
from penstock.protocol.marks import Header, Query


class Scope(Enum):
    """What a call is about; it decides the path."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a call asks for. ``request_payer`` is ``requester`` where the caller pays."""

    request_payer: Annotated[str | None, Header("x-oss-request-payer")] = None


class BucketRequest(Request, frozen=True, kw_only=True):
    """A call about a bucket."""

    bucket: str


class ObjectRequest(BucketRequest, frozen=True, kw_only=True):
    """A call about an object."""

    key: str


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What came back. ``request_id`` names the call in every question to Alibaba Cloud."""

    request_id: Annotated[str, Header("x-oss-request-id")] = ""


Body = Literal["none", "xml", "text", "stream"]
R = TypeVar("R", bound=Request)


class Operation(msgspec.Struct, frozen=True):
    """
    One OSS call.

    Attributes:
        name: Its name in the documentation of OSS.
        method: HTTP method.
        scope: What the path names.
        request: The struct of what is asked.
        result: The struct of what is answered.
        marks: Query parameters that must be there, with a value where it matters (``list-type=2``).
        header_mark: A header that must be there (``x-oss-copy-source``).
        body: What the request carries: an XML document, another one (``text``), or object bytes (``stream``).
        answer: What the response carries, likewise.
        answer_root: Root element of an XML answer.
        status: HTTP status of success.
        commits: True if the call changes what OSS keeps, so that a call stopped after it was handed over
            may have taken effect.
        repeatable: True if sending it twice leaves the same as sending it once, so that it may be
            retried without looking.
        needs_content_md5: True if OSS refuses the body without ``Content-MD5``.
        max_document_bytes: The longest document that a request may carry.
    """

    name: str
    method: str
    scope: Scope
    request: type[Request]
    result: type[Result]
    marks: tuple[tuple[str, str | None], ...] = ()
    header_mark: str | None = None
    body: Body = "none"
    answer: Body = "none"
    answer_root: str = ""
    status: int = 200
    commits: bool = False
    repeatable: bool = True
    needs_content_md5: bool = False
    max_document_bytes: int = MAX_CONFIGURATION_BYTES

    def to_wire(self, request: Request) -> Wire:
        """Query, headers and XML body of a request; its bucket and key go into the path."""
        wire = to_wire(request)
        if not self.marks:
            return wire
        written = {name for name, _ in wire.query}
        unwritten = tuple(mark for mark in self.marks if mark[0] not in written)
        return Wire((*unwritten, *wire.query), wire.headers, wire.body)

    def request_from_wire(
        self, query: QueryPairs, headers: Mapping[str, str], body: bytes | None, **path: str
    ) -> Request:
        """
        The request that a message asks.

        Raises:
            ParameterUnreadable, XmlUnreadable: The message does not hold what this call needs.
        """
        return from_wire(self.request, query, headers, body, **path)

    def result_to_wire(self, result: Result) -> Wire:
        """Headers and XML body of an answer."""
        return to_wire(result, root=self.answer_root)

    def result_from_wire(self, headers: Mapping[str, str], body: bytes | None) -> Result:
        """
        The result that an answer holds.

        Raises:
            ParameterUnreadable, XmlUnreadable: The answer is not one to this call.
        """
        return from_wire(self.result, (), headers, body, root=self.answer_root)


class OperationTable:
    """All operations, found by the request type (client) or by what the message looks like (server)."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._by_request = {operation.request: operation for operation in operations}
        self._by_scope: dict[tuple[Scope, str], list[Operation]] = {}
        for operation in self._by_request.values():
            self._by_scope.setdefault((operation.scope, operation.method), []).append(operation)
        for candidates in self._by_scope.values():
            # The one that demands most is asked first: UploadPartCopy before UploadPart before PutObject.
            candidates.sort(key=lambda one: len(one.marks) + (one.header_mark is not None), reverse=True)

    def __iter__(self) -> Any:
        return iter(self._by_request.values())

    def of(self, request: Request) -> Operation:
        """The operation whose request type this is."""
        return self._by_request[type(request)]

    def match(
        self, method: str, scope: Scope, query: QueryPairs, headers: Mapping[str, str]
    ) -> Operation | None:
        """The operation that a message asks for, or None."""
        given = dict(query)
        for operation in self._by_scope.get((scope, method), ()):
            if operation.header_mark is not None and operation.header_mark not in headers:
                continue
            if all(name in given and value in (None, given[name]) for name, value in operation.marks):
                return operation
        return None


__all__ = [
    "BucketRequest",
    "ObjectRequest",
    "Operation",
    "OperationTable",
    "Query",
    "Request",
    "Result",
    "Scope",
]
