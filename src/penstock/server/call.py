"""What a handler is given, and what it gives back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from penstock.protocol.operation import Request as Asked
from penstock.protocol.operation import Result
from penstock.server.arriving import Arriving
from penstock.server.guard.accounts import Caller
from penstock.server.guard.rules import NO_RULES, RuleBook, Rules
from penstock.server.http.request import Request
from penstock.server.http.response import ObjectBody, StreamedBody
from penstock.server.in_turn import InTurn
from penstock.server.store.interface import StagedBlob, Store
from penstock.server.store.records import BucketRecord

Post = Callable[[str, Mapping[str, str], bytes, float], tuple[int, bytes]]
"""Posts a body to a URL with these headers, in so many seconds; gives status and answer; raises OSError."""


class May(Protocol):
    """Judges what a call does beyond what its head says."""

    def __call__(
        self,
        operation: str,
        bucket: str,
        key: str,
        version_id: str | None = None,
        acl: str | None = None,
    ) -> None:
        """
        Refuse what the caller may not do with a bucket and key.

        Args:
            operation: Name of the call that would do this and nothing else.
            acl: The object's own access list, where it was read with the object; None to look it up.

        Raises:
            ServiceError: AccessDenied.
        """


def _anything(
    operation: str, bucket: str, key: str, version_id: str | None = None, acl: str | None = None
) -> None:
    """Nothing is refused."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Who signed a form, and what that caller may do beside it."""

    caller: Caller = field(default_factory=Caller)
    may: May = _anything


def _anybody(fields: Mapping[str, str], bucket: str, key: str) -> Admitted:
    """Everybody is let in, without a name."""
    return Admitted()


R_co = TypeVar("R_co", bound=Asked, covariant=True)


@dataclass(frozen=True, slots=True)
class Service:
    """
    What the server as a whole is.

    Attributes:
        store: Where buckets and objects are.
        region: Region id, such as ``cn-hangzhou``.
        owner: Account that everything belongs to.
        clock: Unix time in seconds.
        post: Carries out callbacks; None where the server may not speak to others.
        arriving: Parts that are on their way in.
        restore_s: How long the restoring of an archived object takes.
        rules: What is decided for each bucket.
        in_turn: Held where what is written depends on what was read, and the store cannot do both at once.
    """

    store: Store
    region: str = "cn-hangzhou"
    owner: str = "1000000000000001"
    clock: Callable[[], float] = time.time
    post: Post | None = None
    arriving: Arriving = field(default_factory=Arriving)
    restore_s: float = 3.0
    in_turn: InTurn = field(default_factory=InTurn)
    rules: RuleBook = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", RuleBook(self.store))


@dataclass(frozen=True, slots=True)
class Call(Generic[R_co]):
    """
    One request, understood.

    Attributes:
        asked: What is asked, as the operation table has it.
        http: The head it came with.
        caller: Who asks.
        service: The server.
        base: Scheme and host that the client used, to lead it back here.
        request_id: 24 hexadecimal characters.
        bucket: The bucket that is asked about, as it was when the call began.
        rules: What was decided for it then.
        operation: Name of what is asked.
        may: Refuses what the caller may not do: with a second object, or with one whose key the head does not
            say, or whose access list may have changed since the head was judged.
        admit: Says who signed a form, and refuses what that caller may not do with its bucket and key.
    """

    asked: R_co
    http: Request
    caller: Caller
    service: Service
    base: str
    request_id: str
    bucket: BucketRecord | None = None
    rules: Rules = NO_RULES
    operation: str = ""
    may: May = _anything
    admit: Callable[[Mapping[str, str], str, str], Admitted] = _anybody

    @property
    def owner(self) -> str:
        """The account that the bucket belongs to, or would."""
        return self.bucket.owner if self.bucket is not None else self.caller.account

    @property
    def store(self) -> Store:
        return self.service.store


@dataclass(frozen=True, slots=True)
class Reply:
    """
    What a handler answers beyond its result.

    Attributes:
        status: None for the operation's own.
        headers: Beside those of the result, by lower-case name.
        body: Instead of the result's document.
        bytes_per_s: Speed limit for the body.
        chunked: True if the body, which is no object's then, is sent without its length.
        later: Gives what is answered instead, once others have been waited for. Called when nothing of the
            store is held any more, and on a thread that nobody needs who asks the store.
    """

    result: Result
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | ObjectBody | StreamedBody | None = None
    bytes_per_s: float | None = None
    chunked: bool = False
    later: Callable[[], Reply] | None = None


Handler = Callable[[Call[Any]], Result | Reply]
"""For calls without a body, or with a document."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """
    A body that may come.

    Attributes:
        most_bytes: More than this is refused.
        release: Called once the body has become something, or nothing.
        unwrap: Finds the bytes of the object in those of the body; None where they are the same.
        store: Goes before `BodyHandler.store`, where what was read of the body decides.
    """

    most_bytes: int
    release: Callable[[], None] | None = None
    unwrap: Callable[[bytes | bytearray | memoryview], bytes] | None = None
    store: Callable[[StagedBlob], Result | Reply] | None = None


@dataclass(frozen=True, slots=True)
class BodyHandler:
    """
    For calls that carry bytes.

    Attributes:
        accept: Judges the head, before any byte is taken.
        store: Makes something of the bytes; they are as many as were announced and have the digests.
    """

    accept: Callable[[Call[Any]], Acceptance]
    store: Callable[[Call[Any], StagedBlob], Result | Reply]
