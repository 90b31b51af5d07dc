"""
A request's way through the server, without sockets: what it is, who asks, what they ask, the answer.

    app.handle(request, body) -> Response            # all at hand
    exchange = app.open(request)                     # or piece by piece:
    exchange.receive([...]); exchange.finish() -> Response

Errors become answers here; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import names
from penstock.protocol.endpoint import Style, Target, split_target
from penstock.protocol.error_table import fault
from penstock.protocol.operation import Operation, Scope
from penstock.protocol.percent import parse_query
from penstock.server import gate, refusals
from penstock.server.answers import error_response, new_request_id
from penstock.server.call import Call, Service
from penstock.server.exchange import Buffer, Exchange
from penstock.server.request import Request
from penstock.server.response import Response
from penstock.server.routing import find_operation, lift_headers
from penstock.server.store.faults import KeyMissing


class App:
    """
    Answers requests from a store.

    Args:
        service: The store and what the server is.
        gate: Who may ask.
        base_hosts: Hosts that a bucket's name may stand in front of.
    """

    def __init__(self, service: Service, gate: gate.Gate, base_hosts: Sequence[str] = ("localhost",)) -> None:
        self._service = service
        self._gate = gate
        self._base_hosts = tuple(base_hosts)

    def handle(self, request: Request, body: Buffer = b"") -> Response:
        """The answer to a request whose body is at hand."""
        exchange = self.open(request)
        try:
            if len(body):
                exchange.receive([body])
            return exchange.finish()
        finally:
            exchange.close()

    def open(self, request: Request) -> Exchange:
        """
        Judge the head of a request, and make ready for its body.

        If the head alone decides, the answer is in `Exchange.response` already and the body is not wanted.
        """
        exchange = Exchange(self._service, request, new_request_id(self._service.clock()))
        exchange.guard(lambda: exchange.begin(*self._understand(exchange)))
        return exchange

    def refuse(self, error: ServiceError, method: str = "GET", host: str = "") -> Response:
        """The answer to what could not even become a request."""
        now_s = self._service.clock()
        return error_response(error, method, host, new_request_id(now_s), now_s)

    def _understand(self, exchange: Exchange) -> tuple[Operation, Call[Any]]:
        request, service = exchange.request, self._service
        host = request.headers.get("host", "")
        try:
            target = split_target(host, request.path, self._base_hosts)
            query = parse_query(request.query, plus_is_space=True)
        except InvalidInput as error:
            raise refusals.refusal_of_name("InvalidObjectName", error) from error
        scope = Scope.OBJECT if target.key else Scope.BUCKET if target.bucket else Scope.SERVICE
        operation = find_operation(request.method, scope, query, request.headers)
        _check_names(target)
        bucket = None
        if target.bucket and operation.name != "PutBucket":
            bucket = service.store.head_bucket(target.bucket)
        caller = self._gate.identify(request.method, target.path, query, request.headers, service.clock())
        if caller.anonymous:
            object_acl = self._object_acl(operation, target, dict(query))
            gate.authorize(operation.name, bucket.acl if bucket else None, object_acl)
        path = {name: value for name, value in (("bucket", target.bucket), ("key", target.key)) if value}
        exchange.path = path
        exchange.query = query
        exchange.headers = lift_headers(query, request.headers)
        scheme = "https" if request.secure else "http"
        base = host.removeprefix(f"{target.bucket}.") if target.style is Style.VIRTUAL_HOST else host
        if operation.body == "stream" and not request.length_given:
            raise fault("MissingContentLength")
        asked: Any = None if operation.body == "xml" else exchange.decode(operation, None)
        call: Call[Any] = Call(
            asked, request, caller, service, f"{scheme}://{base}", exchange.request_id, bucket
        )
        return operation, call

    def _object_acl(self, operation: Operation, target: Target, query: Mapping[str, str | None]) -> str:
        if not (target.bucket and target.key and gate.open_to_some(operation.name)):
            return "default"
        try:
            record = self._service.store.head_object(target.bucket, target.key, query.get("versionId"))
        except KeyMissing:
            return "default"
        return record.attributes.acl


def _check_names(target: Target) -> None:
    if target.bucket is not None and not names.is_bucket_name(target.bucket):
        raise fault("InvalidBucketName", BucketName=target.bucket)
    if target.key is not None:
        try:
            names.check_key(target.key)
        except InvalidInput as error:
            raise refusals.refusal_of_name("InvalidObjectName", error) from error
