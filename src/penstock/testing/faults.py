"""
Faults on request: which request shall meet which mishap, and when it did.

    fault = faults.on("UploadPart", number=3).stall(after_bytes=65_536)
    transfer = client.upload(...)
    fault.reached.wait()        # the server has stopped reading part 3
    transfer.abort()
    fault.release()             # or leave that to the end of the test
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from penstock.errors import ServiceError
from penstock.server.http.response import Response
from penstock.server.interceptor import Interceptor, Seen
from penstock.server.settings import DEFAULT_BASE_HOSTS
from penstock.testing import fault as kinds
from penstock.testing.fault import Fault, Forget, Point
from penstock.testing.moment import PATIENCE_S
from penstock.testing.served import ServedRequest, served_request


class Matcher:
    """Which requests are meant; its methods say what shall befall them. Made by `Faults.on`."""

    def __init__(
        self,
        faults: Faults,
        operation: str | None,
        bucket: str | None,
        key: str | None,
        number: int | None,
        nth: int,
    ) -> None:
        self._faults = faults
        self._wanted = {"operation": operation, "bucket": bucket, "key": key, "number": number}
        self._to_skip = nth - 1

    def matches(self, asked: ServedRequest) -> bool:
        """True if a request is meant; the first ones are counted down (``nth``)."""
        if any(want is not None and want != getattr(asked, name) for name, want in self._wanted.items()):
            return False
        if self._to_skip:
            self._to_skip -= 1
            return False
        return True

    def stall(self, *, at: Point = "head", after_bytes: int | None = None, times: int | None = None) -> Fault:
        """
        Hold the request until `Fault.release`.

        The server does not notice meanwhile if the client leaves: a part that is held counts as one that is
        still arriving, and keeps its upload from being gone. `Fault.end` lets it go.

        Args:
            at: ``head``: nothing of the body is read. ``store``: all of it was read, nothing is done.
                ``answer``: all is done, nothing is answered.
            after_bytes: Instead: stop reading after so many bytes of the body. The network may take some
                hundred KiB more.
            times: For so many requests; None for all.
        """
        return self._faults.add(self, kinds.Stall(at, after_bytes, None, times))

    def delay(self, seconds: float, *, at: Point = "head", times: int | None = None) -> Fault:
        """Hold the request for some time."""
        return self._faults.add(self, kinds.Stall(at, None, seconds, times))

    def cut(self, *, after_bytes: int | None = None, reset: bool = True, times: int | None = 1) -> Fault:
        """Cut the connection after the head, or after so many bytes of the body; nothing is done."""
        return self._faults.add(self, kinds.Cut(after_bytes, reset, times))

    def drop_answer(self, *, reset: bool = True, times: int | None = 1) -> Fault:
        """Do all that is asked, and cut the connection without an answer."""
        return self._faults.add(self, kinds.CutAnswer(0, reset, times))

    def cut_answer(self, *, after_bytes: int, reset: bool = True, times: int | None = 1) -> Fault:
        """Cut the connection within the answer: after so many bytes of its head and body."""
        return self._faults.add(self, kinds.CutAnswer(after_bytes, reset, times))

    def answer(
        self,
        status: int,
        code: str,
        *,
        message: str = "A fault on request.",
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        before_body: bool = False,
        times: int | None = 1,
    ) -> Fault:
        """
        Answer with an error instead of doing anything.

        Args:
            status: HTTP status.
            code: Such as ``ServiceUnavailable``.
            fields: Further elements of the error document.
            headers: Further headers of the answer.
            before_body: True answers after the head already, and ends the connection.
            times: So many requests; None for all.
        """
        error = ServiceError(message, status=status, code=code, fields=fields)
        return self._faults.add(self, kinds.Answer(error, headers or {}, before_body, times))

    def alter_answer(self, headers: Mapping[str, str], *, times: int | None = 1) -> Fault:
        """Do what is asked, and answer with these headers in place of the right ones (lower-case names)."""
        return self._faults.add(self, kinds.AlterAnswer(headers, times))

    def forget_upload(self, *, times: int | None = 1) -> Fault:
        """Make the server forget the upload that the request names, just before it is served."""
        return self._faults.add(self, kinds.ForgetUpload(self._faults.forget, times))


class Faults(Interceptor):
    """
    The faults of one test, and a record of all that its server was asked.

    A request meets the first fault that was set for it and is not used up.

    Args:
        forget: Makes the server forget an upload.
        base_hosts: Hosts that a bucket's name may stand in front of.

    Attributes:
        requests: All requests since the test began, in the order in which their heads came.
    """

    def __init__(self, forget: Forget, base_hosts: Sequence[str] = DEFAULT_BASE_HOSTS) -> None:
        self.requests: list[ServedRequest] = []
        self._forget = forget
        self._base_hosts = base_hosts
        self._faults: list[tuple[Matcher, Fault]] = []
        self._under_way: dict[int, tuple[ServedRequest, Fault | None]] = {}
        self._changed = threading.Condition()
        self._changes = 0

    def on(
        self,
        operation: str | None = None,
        *,
        bucket: str | None = None,
        key: str | None = None,
        number: int | None = None,
        nth: int = 1,
    ) -> Matcher:
        """
        Choose requests; what is None is any.

        Args:
            operation: As OSS calls it: ``PutObject``, ``UploadPart``, ``CompleteMultipartUpload`` ...
            number: Part number.
            nth: The first of the matching requests that is meant, from 1.
        """
        return Matcher(self, operation, bucket, key, number, nth)

    def add(self, matcher: Matcher, fault: Fault) -> Fault:
        """Set a fault; `Matcher` does."""
        self._faults.append((matcher, fault))
        return fault

    def asked(
        self, operation: str | None = None, *, key: str | None = None, number: int | None = None
    ) -> list[ServedRequest]:
        """The requests so far that match."""
        return [
            one
            for one in list(self.requests)
            if (operation is None or one.operation == operation)
            and (key is None or one.key == key)
            and (number is None or one.number == number)
        ]

    def count(
        self, operation: str | None = None, *, key: str | None = None, number: int | None = None
    ) -> int:
        """How many requests so far match."""
        return len(self.asked(operation, key=key, number=number))

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
        """
        Wait until a condition on what the server was asked holds; looked at whenever a request goes on.

        Raises:
            TimeoutError: It does not hold within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            # Not asked under the lock: it may itself ask the server, which then must not wait for it.
            changes = self._changes
            if condition():
                return
            with self._changed:
                left_s = deadline - time.monotonic()
                if not self._changed.wait_for(lambda: self._changes != changes, max(left_s, 0.0)):  # noqa: B023
                    raise TimeoutError(f"the server saw nothing of the kind within {timeout_s:g} s")

    def forget(self, bucket: str, key: str, upload_id: str) -> None:
        """Make the server forget an upload now; that is neither counted nor does it meet a fault."""
        self._forget(bucket, key, upload_id)

    def release_all(self) -> None:
        """Take back all faults, and let go on what they hold."""
        for _, fault in self._faults:
            fault.release()
        self._faults = []

    def end(self) -> None:
        """Take back all faults, and cut what they hold."""
        for _, fault in self._faults:
            fault.end()
        self._faults = []

    # -- called by the server

    async def on_head(self, seen: Seen) -> Response | None:
        asked = served_request(seen.request, self._base_hosts)
        self.requests.append(asked)
        fault = next((one for matcher, one in self._faults if _befalls(matcher, one, asked)), None)
        self._under_way[seen.number] = (asked, fault)
        self._note()
        bent = await fault.on_head(asked) if fault is not None else None
        if bent is not None:
            self._answered(seen, bent)
        return bent

    async def on_body(self, seen: Seen) -> None:
        asked, fault = self._under_way.get(seen.number, (None, None))
        if asked is None:
            return
        asked.received_bytes = seen.received_bytes
        self._note()
        if fault is not None:
            await fault.on_body(asked)

    async def before_store(self, seen: Seen) -> Response | None:
        asked, fault = self._under_way.get(seen.number, (None, None))
        return await fault.before_store(asked) if asked is not None and fault is not None else None

    async def before_response(self, seen: Seen, response: Response) -> Response:
        asked, fault = self._under_way.get(seen.number, (None, None))
        if asked is not None and fault is not None:
            response = await fault.before_response(asked, response)
        self._answered(seen, response)
        return response

    def _answered(self, seen: Seen, response: Response) -> None:
        asked, _ = self._under_way.pop(seen.number, (None, None))
        if asked is not None:
            asked.status = response.status
            self._note()

    def _note(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()


def _befalls(matcher: Matcher, fault: Fault, asked: ServedRequest) -> bool:
    return matcher.matches(asked) and fault.take()


class Switchboard(Interceptor):
    """
    Hands what a server is asked to the faults of the test that is running, if it has any.

    Args:
        passed_by: Access key id whose requests no fault meets: they tidy up between the tests.
    """

    def __init__(self, passed_by: str) -> None:
        self.faults: Faults | None = None
        self._passed_by = f"{passed_by}/"

    async def on_head(self, seen: Seen) -> Response | None:
        if self.faults is None or self._passed_by in seen.request.headers.get("authorization", ""):
            return None
        return await self.faults.on_head(seen)

    async def on_body(self, seen: Seen) -> None:
        if self.faults is not None:
            await self.faults.on_body(seen)

    async def before_store(self, seen: Seen) -> Response | None:
        return await self.faults.before_store(seen) if self.faults is not None else None

    async def before_response(self, seen: Seen, response: Response) -> Response:
        return await self.faults.before_response(seen, response) if self.faults is not None else response
