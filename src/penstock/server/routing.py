"""Which operation a message asks for, and what to say if it asks for none that is known here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import get_type_hints

import msgspec

from penstock.errors import ServiceError
from penstock.protocol.error_table import fault
from penstock.protocol.marks import Header, Query
from penstock.protocol.operation import Operation, Scope
from penstock.protocol.operations import OPERATIONS
from penstock.protocol.percent import Query as QueryPairs
from penstock.protocol.signature_v1 import SIGNED_PARAMETERS

# Parameters that OSS knows beside those that V1 signs.
_UNSIGNED = frozenset({"accessmonitor", "quota", "regions"})
_KNOWN = SIGNED_PARAMETERS | _UNSIGNED

# Parameters that go with any call: parts of a signature, and headers that signed URLs carry in the query.
_EVERYWHERE = frozenset(
    {"security-token", "callback", "callback-var", "x-oss-request-payer", "x-oss-traffic-limit", "regionList"}
)
# What stands beside a call without asking for anything else: a symbolic link is removed like any object.
_IDLE = frozenset({("DeleteObject", "symlink")})
# What is asked for stands in the value of these.
_NAMED_BY_VALUE = frozenset({"comp", "x-oss-async-process", "x-oss-process"})
_LIFTED = {
    "callback": "x-oss-callback",
    "callback-var": "x-oss-callback-var",
    "x-oss-traffic-limit": "x-oss-traffic-limit",
    "x-oss-request-payer": "x-oss-request-payer",
}


def find_operation(method: str, scope: Scope, query: QueryPairs, headers: Mapping[str, str]) -> Operation:
    """
    The operation that a message asks for.

    Raises:
        ServiceError: MethodNotAllowed, or NotImplemented that names the sub-resource.
    """
    operation = OPERATIONS.match(method, scope, query, headers)
    for name, value in query:
        if name not in _KNOWN or name in _EVERYWHERE:
            continue
        if operation is not None and (name in _parameters(operation) or (operation.name, name) in _IDLE):
            continue
        # A parameter that decides what is asked must never be overlooked: DELETE /bucket?policy is not
        # DELETE /bucket.
        if {(name, None), (name, value)} & _marks(scope):
            break
        wanted = f"{name}={value[:100]}" if value and name in _NAMED_BY_VALUE else name
        raise fault(
            "NotImplemented",
            message=f"The sub-resource {wanted} is not implemented.",
            Header=name,
            Resource=wanted,
        )
    else:
        if operation is not None:
            return operation
    raise method_not_allowed(method, scope)


def method_not_allowed(method: str, scope: Scope) -> ServiceError:
    """The refusal of a method that nothing of this kind answers to."""
    return fault("MethodNotAllowed", Method=method, ResourceType=scope.value.title())


def refuse_chunks_of_s3(headers: Mapping[str, str]) -> None:
    """
    Refuse a body that is cut up as S3 does it (``aws-chunked``): OSS would not take it apart either, and what
    is stored would not be what was meant.

    Raises:
        ServiceError: NotImplemented that names the header.
    """
    for name, sign in (("x-amz-content-sha256", "streaming-"), ("content-encoding", "aws-chunked")):
        if sign in headers.get(name, "").lower():
            raise fault(
                "NotImplemented", message="Bodies in the chunks of S3 are not implemented.", Header=name
            )


def lift_headers(query: QueryPairs, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers, with those that a signed URL carries in its query instead."""
    lifted = {
        _LIFTED[name]: value
        for name, value in query
        if name in _LIFTED and value and _LIFTED[name] not in headers
    }
    return {**headers, **lifted} if lifted else headers


@cache
def _parameters(operation: Operation) -> frozenset[str]:
    """Query parameters that this operation reads."""
    found = {name for name, _ in operation.marks}
    for hint in _hints(operation.request):
        found.update(mark.name for mark in hint if isinstance(mark, Query | Header))
    return frozenset(found)


def _hints(request: type[msgspec.Struct]) -> list[tuple[object, ...]]:
    return [
        getattr(hint, "__metadata__", ()) for hint in get_type_hints(request, include_extras=True).values()
    ]


@cache
def _marks(scope: Scope) -> frozenset[tuple[str, str | None]]:
    """Parameters that decide which operation of this scope is meant, with their value where that decides."""
    return frozenset(mark for one in OPERATIONS if one.scope is scope for mark in one.marks)
