"""
One call, from request value to result: sign, send, retry, read the answer, tell how it ended.

This is the only place where the client speaks to the network. A call belongs to the client's current
generation and to the scopes around it; when any of them is stopped, it ends with `Aborted`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self, TypeVar, cast

from penstock.client.sending.bandwidth import bandwidths_around
from penstock.client.sending.body import Body, Bytes
from penstock.client.sending.retry import RetryBudget, RetryPolicy, may_retry
from penstock.client.sending.scope import advice_to_stopped, scopes_around
from penstock.client.sending.signer import Signer
from penstock.client.sending.switch import Switch
from penstock.errors import (
    NOT_SENT,
    STOPPED_IN_FLIGHT,
    Aborted,
    Committed,
    MalformedResponse,
    NetworkError,
    PenstockError,
)
from penstock.net.latch import Latch, Tripped
from penstock.net.request import Flight, HttpRequest, Origin
from penstock.net.response import HttpResponse
from penstock.net.throttle import Bandwidth, Throttle
from penstock.net.transport import HttpTransport
from penstock.protocol import names, xml
from penstock.protocol.binding import ParameterUnreadable
from penstock.protocol.error_table import MAX_ERROR_BYTES, error_from_answer
from penstock.protocol.operation import Operation, Request, Result
from penstock.protocol.operations import OPERATIONS

R = TypeVar("R", bound=Result)
OnSent = Callable[[int], None]


@dataclass(slots=True)
class Trail:
    """What the attempts of one call have left behind so far."""

    operation: Operation
    resource: str
    upload_id: str | None = None
    attempts: int = 0
    in_doubt: bool = False
    in_doubt_bytes: int = 0
    flight: Flight = field(default_factory=Flight)

    def begin(self) -> Flight:
        """Start another attempt."""
        self.attempts += 1
        self.flight = Flight()
        return self.flight

    def note(self, error: PenstockError) -> None:
        """Remember how an attempt failed; nothing of the call is in flight any more."""
        if isinstance(error, NetworkError):
            error.request_sent = error.request_sent or self.flight.complete
            self.in_doubt = self.in_doubt or (error.request_sent and self.operation.commits)
            if self.in_doubt:
                self.in_doubt_bytes = max(self.in_doubt_bytes, self.flight.sent_bytes)
            error.request_sent = error.request_sent or self.in_doubt
        self.in_doubt = self.in_doubt or (self.flight.lost and self.operation.commits)
        if self.in_doubt:
            error.in_doubt = True
        self.flight = Flight()

    def aborted(self, reason: str) -> Aborted:
        """The error of a call that was stopped now."""
        flight = self.flight
        unknown = self.in_doubt or ((flight.complete or flight.lost) and self.operation.commits)
        code = STOPPED_IN_FLIGHT if flight.started or unknown else NOT_SENT
        what = f"{self.operation.name} {self.resource}"
        if code == NOT_SENT:
            message = f"{what} was stopped before it was sent ({reason})"
            advice = advice_to_stopped(reason, "OSS has nothing of it. Call it again if it is still wanted.")
        elif unknown:
            message = f"{what} was stopped after it was handed over whole ({reason})"
            advice = "OSS may have carried it out. Look at the object before sending it again."
        else:
            message = f"{what} was stopped after {flight.sent_bytes:,} bytes of its body ({reason})"
            advice = "OSS has stored nothing of it. Call it again if it is still wanted."
        return Aborted(
            message,
            code=code,
            committed=Committed.UNKNOWN if unknown else Committed.NO,
            upload_id=self.upload_id,
            in_doubt_bytes=max(self.in_doubt_bytes, flight.sent_bytes) if unknown else 0,
            reason=reason,
            advice=advice,
        )


class Requester:
    """
    Carries out calls for one client.

    Args:
        signer: Addresses and signs.
        transport: The network.
        switch: The client's switch.
        retry: When to try again.
        random_fraction: Gives random numbers from 0 up to 1, for back-off.

    Attributes:
        bandwidth: How fast the bytes of its calls may flow, in all. What only asks or tells is not held back.
    """

    def __init__(
        self,
        signer: Signer,
        transport: HttpTransport,
        switch: Switch,
        retry: RetryPolicy,
        random_fraction: Callable[[], float],
        user_agent: str,
    ) -> None:
        self.signer = signer
        self._transport = transport
        self._switch = switch
        self._retry = retry
        self._budget = RetryBudget()
        self._random_fraction = random_fraction
        self._user_agent = user_agent
        self.bandwidth = Bandwidth()
        self._throttle = Throttle(self.bandwidth)

    def for_transfer(self) -> Self:
        """The same with a `bandwidth` of its own, under those around and this one's."""
        narrower = copy.copy(self)
        narrower.bandwidth = Bandwidth()
        narrower._throttle = self._throttle.within(narrower.bandwidth, *bandwidths_around())
        return narrower

    def latch(self) -> Latch:
        """A latch for one call: of the client's generation and of all scopes around."""
        return Latch(self._switch.generation, *scopes_around())

    def call(
        self,
        request: Request,
        expect: type[R],
        body: Body | None = None,
        *,
        on_sent: OnSent | None = None,
        headers: Mapping[str, str] | None = None,
        latch: Latch | None = None,
        max_attempts: int | None = None,
    ) -> R:
        """
        Carry out a call whose answer is small, and return its result.

        Args:
            request: What is asked.
            expect: The result type of the operation; for the type checker's sake.
            body: Bytes to send, for operations that take a stream.
            on_sent: Called with the bytes of the body that the attempt has handed to the network so far.
            headers: Further headers, lower-case, to be sent and signed.
            latch: What stops the call, instead of the client's switch and the scopes around: clean-up has
                its own.
            max_attempts: Overrides the retry policy.

        Raises:
            Aborted: The call was stopped.
            NetworkError: No complete answer came, after all retries.
            ServiceError: OSS answered with an error.
            InvalidInput: A name is not one; nothing was sent.
        """
        if latch is not None:
            _, result = self._attempts(request, body, latch, on_sent, headers, max_attempts)
            return cast("R", result)
        with self.latch() as own:
            _, result = self._attempts(request, body, own, on_sent, headers, max_attempts)
            return cast("R", result)

    def open(
        self, request: Request, expect: type[R], latch: Latch, *, headers: Mapping[str, str] | None = None
    ) -> tuple[HttpResponse, R]:
        """Carry out a call whose answer is a stream; reading it stays under ``latch``. Raises as `call`."""
        response, result = self._attempts(request, None, latch, None, headers, None)
        assert response is not None
        return response, cast("R", result)

    def _attempts(
        self,
        request: Request,
        body: Body | None,
        latch: Latch,
        on_sent: OnSent | None,
        headers: Mapping[str, str] | None,
        max_attempts: int | None,
    ) -> tuple[HttpResponse | None, Result]:
        operation = OPERATIONS.of(request)
        trail = Trail(operation, _check_names(request), getattr(request, "upload_id", None))
        # With forbid_overwrite a second try meets what the first one made.
        repeatable = operation.repeatable and not getattr(request, "forbid_overwrite", None)
        most = self._retry.max_attempts if max_attempts is None else max_attempts
        mended = False
        while True:
            try:
                latch.check()
                answer = self._attempt(trail, request, body, latch, on_sent, headers, repeatable)
            except Tripped as tripped:
                raise trail.aborted(tripped.reason) from None
            except PenstockError as error:
                if latch.tripped and isinstance(error, NetworkError):
                    raise trail.aborted(latch.reason or "abort") from None
                can_repeat = body is None or body.replayable or not trail.flight.started
                trail.note(error)
                if not mended and can_repeat and self.signer.learn_from(error):
                    mended = True
                    continue
                if (
                    trail.attempts >= most
                    or not can_repeat
                    or not may_retry(error, repeatable=repeatable)
                    or not self._budget.take()
                ):
                    raise
            else:
                self._budget.give_back()
                return answer
            if latch.wait(self._retry.delay_s(trail.attempts, self._random_fraction())):
                raise trail.aborted(latch.reason or "abort")

    def _attempt(
        self,
        trail: Trail,
        request: Request,
        body: Body | None,
        latch: Latch,
        on_sent: OnSent | None,
        headers: Mapping[str, str] | None,
        repeatable: bool,
    ) -> tuple[HttpResponse | None, Result]:
        operation = trail.operation
        flight = trail.begin()
        throttle = None
        if body is not None or operation.answer == "stream":
            throttle = self._throttle
            # Before it is signed: a signature does not keep for as long as a gate may be closed.
            throttle.wait_until_open(latch)
        message = self.signer.message(operation, request, headers, latch)
        content: Bytes | Iterator[Bytes] | None = message.body
        length: int | None = len(message.body) if message.body is not None else 0
        if body is not None:
            content, length = body.content(latch), body.length
        response = self._transport.send(
            HttpRequest(
                Origin(message.scheme, message.host, message.port),
                operation.method,
                message.target,
                (*message.headers.items(), ("user-agent", self._user_agent)),
                content,
                length,
                replayable=None if body is None and repeatable else False,
            ),
            latch,
            flight,
            on_sent,
            throttle,
        )
        try:
            if not 200 <= response.status < 300 or response.status == 203:
                answer = response.read(MAX_ERROR_BYTES)
                raise error_from_answer(response.status, response.headers, answer, resource=trail.resource)
            if operation.answer == "stream":
                response.limit(self._throttle, latch)
                return response, self._result(operation, response, None, message.host)
            data = response.read(xml.MAX_DOCUMENT_BYTES + 1)
            result = self._result(operation, response, data, message.host)
        except BaseException:
            response.close()
            raise
        response.close()
        return None, result

    def _result(self, operation: Operation, response: HttpResponse, data: bytes | None, host: str) -> Result:
        try:
            return operation.result_from_wire(response.headers, data)
        except (ParameterUnreadable, xml.XmlUnreadable) as error:
            raise MalformedResponse(
                f"{host} answered {operation.name} with {response.status} and something that OSS does not "
                f"answer: {error}",
                host=host,
                request_sent=True,
                advice="Check that the endpoint is OSS and that no proxy changes its answers.",
            ) from error


def _check_names(request: Request) -> str:
    """``oss://bucket/key`` of a request, once its names are known to be good."""
    bucket = getattr(request, "bucket", None)
    key = getattr(request, "key", None)
    if bucket is None:
        return "oss://"
    names.check_bucket(bucket)
    if key is None:
        return f"oss://{bucket}"
    names.check_key(key)
    return f"oss://{bucket}/{key}"
