"""How the calls look that put, get and delete one configuration of a bucket."""

from __future__ import annotations

from penstock.protocol.limits import MAX_CONFIGURATION_BYTES
from penstock.protocol.operation import Operation, Request, Result, Scope


def configuration_calls(
    name: str,
    mark: str,
    *,
    put: type[Request],
    get: type[Request],
    answer: type[Result],
    delete: type[Request] | None = None,
    scope: Scope = Scope.BUCKET,
    max_bytes: int = MAX_CONFIGURATION_BYTES,
) -> tuple[Operation, ...]:
    """
    Describe the calls of one configuration; what is put is what is answered.

    Args:
        name: As in ``PutBucketCors``, without ``Put``.
        mark: Query parameter that they have in common.
        put, get, delete: Their requests; some configurations cannot be deleted.
        answer: What holds the document.
        scope: Whether it is that of a bucket or of an account.
        max_bytes: The longest one that is taken.
    """
    marks = ((mark, None),)
    calls = (
        Operation(
            f"Put{name}",
            "PUT",
            scope,
            put,
            Result,
            marks=marks,
            body="xml",
            commits=True,
            max_document_bytes=max_bytes,
        ),
        Operation(f"Get{name}", "GET", scope, get, answer, marks=marks, answer="xml"),
    )
    if delete is None:
        return calls
    removal = Operation(
        f"Delete{name}", "DELETE", scope, delete, Result, marks=marks, status=204, commits=True
    )
    return (*calls, removal)
