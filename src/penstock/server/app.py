"""
A request's way through the server, without sockets: what it is, who asks, what they ask, the answer.

    app.handle(request, body) -> Response            # all at hand
    exchange = app.open(request)                     # or piece by piece:
    exchange.receive([...]); exchange.finish() -> Response, or None: exchange.wait() -> Response

Errors become answers here; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import names
from penstock.protocol.endpoint import Style, Target, is_address, split_target
from penstock.protocol.error_table import fault
from penstock.protocol.operation import Operation, Scope
from penstock.protocol.operations.website import Website
from penstock.protocol.percent import Query, parse_query
from penstock.server import refusals, website
from penstock.server.answers import base_headers, error_response, new_request_id
from penstock.server.call import Admitted, Call, May, Service
from penstock.server.exchange import Buffer, Exchange
from penstock.server.guard import access, sts
from penstock.server.guard.accounts import Caller
from penstock.server.guard.cors import answer_headers
from penstock.server.guard.gate import Gate
from penstock.server.guard.rules import NO_RULES
from penstock.server.handlers.attributes import check_version_id
from penstock.server.http.request import Request
from penstock.server.http.response import Response
from penstock.server.routing import find_operation, lift_headers, method_not_allowed, refuse_chunks_of_s3
from penstock.server.store.faults import BucketMissing, KeyMissing, VersionIsMarker, VersionMissing
from penstock.server.store.records import BucketRecord

_UNASKED = frozenset({"OptionObject", "OptionBucket"})
"""Calls that browsers make before anybody could sign."""

_JUDGED_BY_KEY = frozenset({"DeleteMultipleObjects"})
"""Calls whose keys stand in the body; their handlers ask for each."""

_ASSUME_ROLE = ("Action", "AssumeRole")


class App:
    """
    Answers requests from a store.

    Args:
        service: The store and what the server is.
        gate: Who may ask.
        base_hosts: Hosts that a bucket's name may stand in front of.
        strict_addressing: Refuse a bucket in the path of a host with a name, as OSS does. Some SDKs address
            ``localhost`` in this way.
    """

    def __init__(
        self,
        service: Service,
        gate: Gate,
        base_hosts: Sequence[str] = ("localhost",),
        *,
        strict_addressing: bool = False,
    ) -> None:
        self._service = service
        self._strict_addressing = strict_addressing
        self._gate = gate
        self._base_hosts = tuple(base_hosts)

    def handle(self, request: Request, body: Buffer = b"") -> Response:
        """The answer to a request whose body is at hand."""
        return self.carry_out(request, body).wait()

    def carry_out(self, request: Request, body: Buffer = b"") -> Exchange:
        """Do what a request asks whose body is at hand; it may take `Exchange.wait` to know the answer."""
        exchange = self.open(request)
        try:
            if len(body):
                exchange.receive([body])
            exchange.finish()
        finally:
            exchange.close()
        return exchange

    def open(self, request: Request) -> Exchange:
        """
        Judge the head of a request, and make ready for its body.

        If the head alone decides, the answer is in `Exchange.response` already and the body is not wanted.
        """
        exchange = Exchange(self._service, request, new_request_id(self._service.clock()))
        exchange.guard(lambda: self._begin(exchange))
        return exchange

    def refuse(self, error: ServiceError, method: str = "GET", host: str = "") -> Response:
        """The answer to what could not even become a request."""
        now_s = self._service.clock()
        return error_response(error, method, host, new_request_id(now_s), now_s)

    def _begin(self, exchange: Exchange) -> None:
        request = exchange.request
        try:
            target = split_target(request.headers.get("host", ""), request.path, self._base_hosts)
            query = parse_query(request.query, plus_is_space=True)
        except InvalidInput as error:
            raise refusals.refusal_of_name("InvalidObjectName", error) from error
        if self._strict_addressing and target.bucket is not None:
            _check_style(target, request.headers.get("host", ""))
        if target.bucket is None and request.method == "POST" and _has_form(request):
            exchange.begin_form(lambda body: self._answer_form(exchange, query, body))
            return
        if target.bucket is None and _ASSUME_ROLE in query:
            exchange.response = self._assume_role(exchange, query)
            return
        scope = Scope.OBJECT if target.key else Scope.BUCKET if target.bucket else Scope.SERVICE
        # Buckets do not answer to HEAD but for the front page of a website, which is looked for in a moment.
        front = request.method == "HEAD" and scope is Scope.BUCKET and not query
        operation = find_operation("GET" if front else request.method, scope, query, request.headers)
        _check_names(target)
        if operation.body == "stream":
            refuse_chunks_of_s3(request.headers)
        exchange.path = _path_of(target)
        exchange.query = query
        exchange.headers = lift_headers(query, request.headers)
        check_version_id(next((value for name, value in query if name == "versionId"), None))
        exchange.operation = operation
        exchange.begin(*self._understand(exchange, operation, target, query))

    def _understand(
        self, exchange: Exchange, operation: Operation, target: Target, query: Query
    ) -> tuple[Operation, Call[Any]]:
        request, service = exchange.request, self._service
        bucket, rules = None, NO_RULES
        if target.bucket and operation.name != "PutBucket":
            bucket = self._bucket(target.bucket, operation)
        if bucket is not None:
            rules = service.rules.of(bucket)
            exchange.extra_headers = answer_headers(rules.cors, request.headers.get("origin"), request.method)
        caller = Caller()
        if operation.name == "PostObject":
            # Who signed a form, and what it is about, stands in the form.
            pass
        elif operation.name not in _UNASKED:
            caller = self._gate.identify(request.method, target.path, query, request.headers, service.clock())
            exchange.caller = caller
            if rules.website is not None:
                exchange.website = rules.website if caller.anonymous else None
                page = self._page(rules.website, caller, request, target, query)
                if page is not None:
                    target = Target(target.bucket, page, target.style, target.path)
                    exchange.path = _path_of(target)
                    operation = find_operation(request.method, Scope.OBJECT, query, request.headers)
            if request.method == "HEAD" and operation.method != "HEAD":
                raise method_not_allowed("HEAD", operation.scope)
            asked = operation.name if bucket is not None or not target.bucket else "PutBucket"
            if asked not in _JUDGED_BY_KEY:
                self._authorize(
                    caller, asked, request, target.bucket or "", target.key or "", bucket, dict(query)
                )
        host = request.headers.get("host", "")
        base = host.removeprefix(f"{target.bucket}.") if target.style is Style.VIRTUAL_HOST else host
        if operation.body == "stream" and not request.length_given:
            raise fault("MissingContentLength")
        document = operation.body in ("xml", "text")
        call: Call[Any] = Call(
            None if document else exchange.decode(operation, None),
            request,
            caller,
            service,
            f"{'https' if request.secure else 'http'}://{base}",
            exchange.request_id,
            bucket,
            rules,
            operation.name,
            self._may(caller, request, query, bucket),
            self._admit(request, query, bucket),
        )
        return operation, call

    def _bucket(self, name: str, operation: Operation) -> BucketRecord | None:
        """The bucket that is asked about; None where the call makes it, as PutBucketAcl does in OSS."""
        try:
            return self._service.store.head_bucket(name)
        except BucketMissing:
            if operation.name != "PutBucketAcl":
                raise
            return None

    def _page(
        self, site: Website, caller: Caller, request: Request, target: Target, query: Query
    ) -> str | None:
        """The page that is meant by a folder; who signs gets it only where the folder is no object."""
        key, bucket = target.key or "", target.bucket or ""
        if not key and not caller.anonymous:
            return None
        page = website.page_key(site, request.method, key, asks_more=bool(query) and caller.anonymous)
        if page is None or not key:
            return page
        try:
            self._service.store.head_object(bucket, key)
        except (KeyMissing, VersionMissing, VersionIsMarker):
            return page
        return None

    def _authorize(
        self,
        caller: Caller,
        operation: str,
        request: Request,
        bucket_name: str,
        key: str,
        bucket: BucketRecord | None,
        query: Mapping[str, str | None],
        acl: str | None = None,
    ) -> None:
        """Refuses what the caller may not do; ``acl`` is as in `May`."""
        rules = self._service.rules.of(bucket) if bucket is not None else NO_RULES
        if bucket is not None and bucket.owner == caller.account and caller.access_key_id:
            judged = caller.policies or rules.policy is not None or caller.by_url
            if not judged:
                return
        if acl is None:
            acl = self._object_acl(caller, operation, bucket, key, query.get("versionId"))
        access.authorize(
            access.Ask(
                caller,
                operation,
                request,
                bucket=bucket,
                bucket_name=bucket_name,
                key=key,
                rules=rules,
                object_acl=acl,
                query=query,
                now_s=self._service.clock(),
            )
        )

    def _may(self, caller: Caller, request: Request, query: Query, known: BucketRecord | None) -> May:
        """Judges what a call is about beyond its head: the source of a copy, one of many keys."""

        def may(
            operation: str, bucket: str, key: str, version_id: str | None = None, acl: str | None = None
        ) -> None:
            is_known = known is not None and known.name == bucket
            record = known if is_known else self._service.store.head_bucket(bucket)
            asked = {**dict(query), "versionId": version_id}
            self._authorize(caller, operation, request, bucket, key, record, asked, acl)

        return may

    def _admit(
        self, request: Request, query: Query, known: BucketRecord | None
    ) -> Callable[[Mapping[str, str], str, str], Admitted]:
        def admit(fields: Mapping[str, str], bucket: str, key: str) -> Admitted:
            caller = self._gate.identify_form(fields, self._service.clock())
            may = self._may(caller, request, query, known)
            may("PostObject", bucket, key)
            return Admitted(caller, may)

        return admit

    def _object_acl(
        self, caller: Caller, operation: str, bucket: BucketRecord | None, key: str, version_id: str | None
    ) -> str:
        """The object's own access list, where it can matter."""
        if bucket is None or not key or not access.open_to_some(operation):
            return "default"
        if bucket.owner == caller.account and not caller.anonymous:
            return "default"
        try:
            return self._service.store.head_object(bucket.name, key, version_id).attributes.acl
        except (KeyMissing, VersionMissing, VersionIsMarker):
            return "default"

    def _answer_form(self, exchange: Exchange, query: Query, body: bytes) -> Response:
        """The answer to a form that was sent to the server itself: about temporary keys, or nothing."""
        try:
            given = [*query, *parse_query(body, plus_is_space=True)]
        except InvalidInput as error:
            raise refusals.refusal_of_name("InvalidArgument", error) from error
        if _ASSUME_ROLE not in given:
            raise method_not_allowed("POST", Scope.SERVICE)
        return self._assume_role(exchange, given)

    def _assume_role(self, exchange: Exchange, query: Query) -> Response:
        now_s = self._service.clock()
        given: Mapping[str, str] = {name: value or "" for name, value in query}
        answer = sts.assume_role(
            exchange.request.method,
            given,
            self._gate.users,
            self._gate.tokens,
            facts=access.facts_of(exchange.request, now_s),
            request_id=exchange.request_id,
            now_s=now_s,
        )
        headers = {**base_headers(exchange.request_id, now_s), "content-type": answer.content_type}
        return Response(answer.status, headers, answer.body)


def _has_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == "application/x-www-form-urlencoded"


def _path_of(target: Target) -> dict[str, str]:
    return {name: value for name, value in (("bucket", target.bucket), ("key", target.key)) if value}


def _check_style(target: Target, host: str) -> None:
    """OSS has no bucket in the path of its own hosts; an IP address leaves no other place."""
    if target.style is Style.PATH and not is_address(host):
        raise fault("SecondLevelDomainForbidden")


def _check_names(target: Target) -> None:
    # A path of two slashes and more names a key in no bucket.
    bucket = target.bucket if target.key is None else target.bucket or ""
    if bucket is not None and not names.is_bucket_name(bucket):
        raise fault("InvalidBucketName", BucketName=bucket)
    if target.key is not None:
        try:
            names.check_key(target.key)
        except InvalidInput as error:
            raise refusals.refusal_of_name("InvalidObjectName", error) from error
