"""How the calls look that put, get and delete one configuration of a bucket."""

from __future__ import annotations

from penstock.protocol.operation import BucketRequest, Operation, Result, Scope


def configuration_calls(
    name: str,
    mark: str,
    *,
    put: type[BucketRequest],
    get: type[BucketRequest],
    answer: type[Result],
    delete: type[BucketRequest] | None = None,
) -> tuple[Operation, ...]:
    """
    Describe the calls of one configuration; what is put is what is answered.

    Args:
        name: As in ``PutBucketCors``, without ``Put``.
        mark: Query parameter that they have in common.
        put, get, delete: Their requests; some configurations cannot be deleted.
        answer: What holds the document.
    """
    marks = ((mark, None),)
    calls = (
        Operation(f"Put{name}", "PUT", Scope.BUCKET, put, Result, marks=marks, body="xml", commits=True),
        Operation(f"Get{name}", "GET", Scope.BUCKET, get, answer, marks=marks, answer="xml"),
    )
    if delete is None:
        return calls
    removal = Operation(
        f"Delete{name}", "DELETE", Scope.BUCKET, delete, Result, marks=marks, status=204, commits=True
    )
    return (*calls, removal)
