"""The kinds of mishap that can befall a request on its way through the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal

from penstock.errors import ServiceError
from penstock.server.answers import error_response, new_request_id
from penstock.server.http.response import Response
from penstock.server.interceptor import ConnectionCut
from penstock.testing.moment import Moment
from penstock.testing.served import ServedRequest

Point = Literal["head", "store", "answer"]
"""Where a request can be held: after its head; after its body, nothing done; all done, nothing answered."""

Forget = Callable[[str, str, str], object]
"""Makes the server forget an upload: bucket, key, UploadId."""


class Fault:
    """
    A mishap that waits for its request. Made by the methods of `Matcher`.

    Attributes:
        reached: The moment when the mishap came about, for the first time.
        hits: How many requests it befell.
    """

    def __init__(self, what: str, times: int | None) -> None:
        self.reached = Moment(what)
        self.hits = 0
        self._what = what
        self._times = times
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate = asyncio.Event()
        self._released = False
        self._over = False

    def __repr__(self) -> str:
        return f"<Fault {self._what}, met {self.hits} times>"

    def release(self) -> None:
        """Let the requests that it holds go on, and those that would be held; may be repeated."""
        self._released = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the server was stopped before
                self._loop.call_soon_threadsafe(self._gate.set)

    def end(self) -> None:
        """Cut the connections of the requests that it holds: what they ask for is not done any more."""
        self._over = True
        self.release()

    def take(self) -> bool:
        """Claim one more request; False if it has befallen enough of them."""
        if self._times is not None and self.hits >= self._times:
            return False
        self.hits += 1
        return True

    async def on_head(self, asked: ServedRequest) -> Response | None:
        """After the head."""
        return None

    async def on_body(self, asked: ServedRequest) -> None:
        """After each piece of the body."""

    async def before_store(self, asked: ServedRequest) -> Response | None:
        """After the whole body."""
        return None

    async def before_response(self, asked: ServedRequest, response: Response) -> Response:
        """After all is done."""
        return response

    async def _hold(self, timeout_s: float | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._released:
            self.reached.happen()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gate.wait(), timeout_s)
        if self._over:
            raise ConnectionCut


class Stall(Fault):
    """Holds a request."""

    def __init__(
        self, at: Point, after_bytes: int | None, timeout_s: float | None, times: int | None
    ) -> None:
        where = f"after {after_bytes} bytes of its body" if after_bytes is not None else f"at its {at}"
        super().__init__(f"a request was held {where}", times)
        self._at = at if after_bytes is None else "body"
        self._after_bytes = after_bytes or 0
        self._timeout_s = timeout_s

    async def on_head(self, asked: ServedRequest) -> Response | None:
        if self._at == "head":
            await self._hold(self._timeout_s)
        return None

    async def on_body(self, asked: ServedRequest) -> None:
        if self._at == "body" and asked.received_bytes >= self._after_bytes:
            await self._hold(self._timeout_s)

    async def before_store(self, asked: ServedRequest) -> Response | None:
        if self._at == "store":
            await self._hold(self._timeout_s)
        return None

    async def before_response(self, asked: ServedRequest, response: Response) -> Response:
        if self._at == "answer":
            await self._hold(self._timeout_s)
        return response


class Cut(Fault):
    """Cuts the connection before anything is done."""

    def __init__(self, after_bytes: int | None, reset: bool, times: int | None) -> None:
        super().__init__(f"a request was cut after {after_bytes or 0} bytes of its body", times)
        self._after_bytes = after_bytes
        self._reset = reset

    async def on_head(self, asked: ServedRequest) -> Response | None:
        if self._after_bytes is None:
            self.reached.happen()
            raise ConnectionCut(reset=self._reset)
        return None

    async def on_body(self, asked: ServedRequest) -> None:
        if self._after_bytes is not None and asked.received_bytes >= self._after_bytes:
            self.reached.happen()
            raise ConnectionCut(reset=self._reset)


class CutAnswer(Fault):
    """Does what is asked, and cuts the answer."""

    def __init__(self, after_bytes: int, reset: bool, times: int | None) -> None:
        super().__init__(f"an answer was cut after {after_bytes} bytes", times)
        self._after_bytes = after_bytes
        self._reset = reset

    async def before_response(self, asked: ServedRequest, response: Response) -> Response:
        self.reached.happen()
        raise ConnectionCut(reset=self._reset, after_bytes=self._after_bytes)


class Answer(Fault):
    """Answers with an error, and does nothing."""

    def __init__(
        self, error: ServiceError, headers: Mapping[str, str], early: bool, times: int | None
    ) -> None:
        super().__init__(f"a request was answered with {error.status} {error.code}", times)
        self._error = error
        self._headers = dict(headers)
        self._early = early

    async def on_head(self, asked: ServedRequest) -> Response | None:
        return self._answer(asked) if self._early else None

    async def before_store(self, asked: ServedRequest) -> Response | None:
        return self._answer(asked)

    def _answer(self, asked: ServedRequest) -> Response:
        self.reached.happen()
        now_s = time.time()
        method = "HEAD" if asked.operation in ("HeadObject", "GetObjectMeta") else "GET"
        host = asked.headers.get("host", "")
        refused = error_response(self._error, method, host, new_request_id(now_s), now_s)
        return replace(refused, headers={**refused.headers, **self._headers})


class AlterAnswer(Fault):
    """Does what is asked, and says something else."""

    def __init__(self, headers: Mapping[str, str], times: int | None) -> None:
        super().__init__("an answer was altered", times)
        self._headers = dict(headers)

    async def before_response(self, asked: ServedRequest, response: Response) -> Response:
        self.reached.happen()
        return replace(response, headers={**response.headers, **self._headers})


class ForgetUpload(Fault):
    """Loses the upload that a request names."""

    def __init__(self, forget: Forget, times: int | None) -> None:
        super().__init__("an upload was forgotten", times)
        self._forget = forget

    async def on_head(self, asked: ServedRequest) -> Response | None:
        if asked.bucket and asked.key and asked.upload_id:
            await asyncio.to_thread(self._forget, asked.bucket, asked.key, asked.upload_id)
            self.reached.happen()
        return None
