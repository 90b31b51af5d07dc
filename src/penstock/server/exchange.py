"""One request and its answer, from the head to the last byte of the body."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from penstock.errors import ServiceError, StoreError
from penstock.protocol.binding import ParameterUnreadable
from penstock.protocol.error_table import fault
from penstock.protocol.operation import Operation, Result
from penstock.protocol.operations.website import Website
from penstock.protocol.xml import XmlUnreadable
from penstock.server import refusals
from penstock.server.answers import base_headers, error_response
from penstock.server.call import Call, Reply, Service
from penstock.server.guard.accounts import Caller
from penstock.server.handlers import BODY_HANDLERS, HANDLERS
from penstock.server.handlers.worm import retained
from penstock.server.http.request import Request
from penstock.server.http.response import About, Response, StreamedBody
from penstock.server.http.traffic import bytes_per_s
from penstock.server.store.faults import StoreFault
from penstock.server.store.interface import StagedBlob
from penstock.server.website import page_instead

logger = logging.getLogger("penstock.server")

Buffer = bytes | bytearray | memoryview

MAX_FORM_BYTES = 64 * 1024
"""Of a form that says what is asked; what browsers upload comes by another way."""


_LARGE_BYTES: Final = 64 * 1024
_LARGE_DOCUMENTS: Final = threading.BoundedSemaphore(2)
"""Held while one of them is read."""


class Exchange:
    """
    One request and its answer, while the body is still coming.

    Its methods may be called from any thread; whoever closes it waits for what another is doing with it,
    and what comes after that is left aside.

    Attributes:
        response: The answer, once it is known; further bytes of the body change nothing.
        bytes_per_s: Speed limit that the caller asked for its body, or None.
        operation: What is asked, once that is known.
        caller: Who asks, once that is known.
        extra_headers: What every answer to this request says, whatever comes of it.
        website: How the bucket is shown, if the request is that of a browser.
    """

    def __init__(self, service: Service, request: Request, request_id: str) -> None:
        self.request = request
        self.request_id = request_id
        self.response: Response | None = None
        self.path: dict[str, str] = {}
        self.query: Sequence[tuple[str, str | None]] = ()
        self.headers: Mapping[str, str] = request.headers
        self.bytes_per_s: float | None = None
        self.operation: Operation | None = None
        self.caller = Caller()
        self.extra_headers: Mapping[str, str] = {}
        self.website: Website | None = None
        self._service = service
        self._call: Call[Any] | None = None
        self._document = bytearray()
        self._staged: StagedBlob | None = None
        self._release: Callable[[], None] | None = None
        self._left = 0
        self._unwrap: Callable[[Buffer], bytes] | None = None
        self._store: Callable[[StagedBlob], Result | Reply] | None = None
        self._of_form: Callable[[bytes], Response] | None = None
        self._later: Callable[[], Reply] | None = None
        self._in_hand = threading.RLock()
        self._closed = False

    def begin(self, operation: Operation, call: Call[Any]) -> None:
        """Makes ready for the body that this operation takes."""
        self.operation, self._call = operation, call
        if operation.body != "stream":
            self._check_document(operation, self.request.body_bytes or 0)
            return
        acceptance = BODY_HANDLERS[operation.request].accept(call)
        self._release = acceptance.release
        self._left = acceptance.most_bytes
        self._unwrap, self._store = acceptance.unwrap, acceptance.store
        announced = self.request.body_bytes if self._unwrap is None else None
        if announced is not None and announced > self._left:
            raise fault("EntityTooLarge", ProposedSize=announced, MaxSizeAllowed=self._left)
        self.bytes_per_s = bytes_per_s(getattr(call.asked, "traffic_limit", None))
        self._staged = call.store.stage(announced)

    def begin_form(self, answer: Callable[[bytes], Response]) -> None:
        """Makes ready for a form of a few fields, which alone says what is asked."""
        self._of_form = answer

    def receive(self, pieces: Sequence[Buffer]) -> None:
        """Takes the next bytes of the body; they may change after this returns."""
        with self._in_hand:
            if self.response is None and not self._closed:
                self.guard(lambda: self._take(pieces))

    def finish(self) -> Response | None:
        """All of the body has come: does what was asked, and answers; None if that takes `wait`."""
        with self._in_hand:
            if self._closed and self.response is None:
                return self.cut_short(stalled=False)
            if self.response is None:
                self.guard(self._conclude)
            return self.response

    def wait(self) -> Response:
        """
        Waits for others on whom the answer depends, once all is done, and answers.

        This may take long, and needs nothing of the store.
        """
        later = self._later
        if self.response is None and later is not None:
            self.guard(lambda: self._answer(later()))
        assert self.response is not None
        return self.response

    def close(self) -> None:
        """Forgets what was received and did not become anything; may be called again."""
        with self._in_hand:
            self._closed = True
            if self._staged is not None:
                self._staged.discard()
                self._staged = None
            if self._release is not None:
                self._release()
                self._release = None

    def cut_short(self, *, stalled: bool, too_long: bool = False) -> Response:
        """
        The answer to a body that ended before it was complete: nothing is stored.

        Args:
            stalled: True if its bytes came too slowly, or none did.
            too_long: True if it took longer than any request may.
        """
        self.close()
        if too_long:
            return self._refuse(fault("RequestTimeout", ec="0017-00000703"), close=True)
        return self._refuse(fault("RequestTimeout") if stalled else fault("IncompleteBody"), close=True)

    @property
    def _operation_name(self) -> str:
        return self.operation.name if self.operation is not None else ""

    def _about(self, code: str = "") -> About:
        return About(
            self._operation_name,
            self.path.get("bucket", ""),
            self.path.get("key", ""),
            self.caller.access_key_id,
            code,
        )

    def guard(self, step: Callable[[], None]) -> None:
        """Carry out a step; what it refuses becomes the answer."""
        try:
            step()
        except ServiceError as error:
            self.response = self._refuse(error)
        except StoreFault as error:
            self.response = self._refuse(refusals.refusal_of_store(error, self._operation_name))
            self.response.headers.update(refusals.headers_of_store(error))
        except ParameterUnreadable as error:
            self.response = self._refuse(refusals.refusal_of_parameter(error))
        except XmlUnreadable as error:
            self.response = self._refuse(refusals.refusal_of_document(error, self._operation_name))
        except StoreError as error:
            logger.error("%s %s: %s", self.request.method, self.request.path, error.message)
            # Where the store is on the disk is for the log, not for whoever asks.
            self.response = self._refuse(fault("InternalError"))
        except Exception:
            # The wall of the app: what nobody foresaw is logged, and answered with 500.
            logger.exception("%s %s failed", self.request.method, self.request.path)
            self.response = self._refuse(fault("InternalError"))

    def decode(self, operation: Operation, body: bytes | None) -> Any:
        """What is asked, read from the message."""
        return operation.request_from_wire(self.query, self.headers, body, **self.path)

    def _conclude(self) -> None:
        if self._of_form is not None:
            self.response = self._of_form(bytes(self._document))
            return
        reply = self._carry_out()
        self._later = reply.later
        if self._later is None:
            self._answer(reply)

    def _take_form(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            self._document += piece
        if len(self._document) > MAX_FORM_BYTES:
            raise fault("EntityTooLarge", MaxSizeAllowed=MAX_FORM_BYTES)

    def _take(self, pieces: Sequence[Buffer]) -> None:
        if self._of_form is not None:
            self._take_form(pieces)
            return
        assert self.operation is not None
        has_document = self.operation.body in ("xml", "text")
        size = sum(len(piece) for piece in pieces)
        if self._staged is None:
            self._check_document(self.operation, len(self._document) + size)
            # A body that the call has no use for is taken and left aside.
            if has_document:
                for piece in pieces:
                    self._document += piece
            return
        if self._unwrap is not None:
            pieces = [self._unwrap(piece) for piece in pieces]
            size = sum(len(piece) for piece in pieces)
        self._left -= size
        if self._left < 0:
            raise fault("EntityTooLarge")
        for piece in pieces:
            self._staged.write(piece)

    def _check_document(self, operation: Operation, size: int) -> None:
        most = operation.max_document_bytes
        if operation.body in ("xml", "text") and size > most:
            raise fault("MalformedXML", ErrorDetail=f"The body has more than {most} bytes")

    def _carry_out(self) -> Reply:
        operation, call = self.operation, self._call
        assert operation is not None
        assert call is not None
        if operation.body in ("xml", "text"):
            call = self._with_document(operation, call)
        if self._staged is not None and self._unwrap is None:
            _check_digests(self._staged, self.headers)
        if call.rules.worm is None and call.rules.object_worm is None:
            return self._handle(operation, call)
        with retained(call):
            return self._handle(operation, call)

    def _handle(self, operation: Operation, call: Call[Any]) -> Reply:
        if self._staged is None:
            reply = HANDLERS[operation.request](call)
        elif self._store is not None:
            reply = self._store(self._staged)
        else:
            reply = BODY_HANDLERS[operation.request].store(call, self._staged)
        return reply if isinstance(reply, Reply) else Reply(reply)

    def _with_document(self, operation: Operation, call: Call[Any]) -> Call[Any]:
        body = bytes(self._document)
        given = self.headers.get("content-md5")
        if given is not None and given != base64.b64encode(hashlib.md5(body).digest()).decode():
            raise fault("InvalidDigest")
        if given is None and operation.needs_content_md5:
            raise fault("MissingArgument", ArgumentName="Content-MD5")
        # A tree takes many times the bytes of its document, and most of the work keeps all threads waiting.
        with _LARGE_DOCUMENTS if len(body) > _LARGE_BYTES else contextlib.nullcontext():
            asked = self.decode(operation, body or None)
        return replace(call, asked=asked)

    def _answer(self, reply: Reply) -> None:
        assert self.operation is not None
        wire = self.operation.result_to_wire(reply.result)
        headers = {**wire.headers, **reply.headers, **self._base_headers()}
        body = reply.body if reply.body is not None else wire.body
        if wire.body is not None and reply.body is None:
            headers["content-type"] = "application/xml"
        if self.request.method == "HEAD" and body is not None:
            body = None
        self.response = Response(
            reply.status or self.operation.status,
            headers,
            body,
            # To those who know no chunks, the end of the connection says where such a body ends.
            close=isinstance(body, StreamedBody) and not reply.chunked,
            bytes_per_s=reply.bytes_per_s,
            chunked=reply.chunked,
            about=self._about(),
        )

    def _base_headers(self) -> dict[str, str]:
        headers = base_headers(self.request_id, self._service.clock())
        return {**headers, **self.extra_headers} if self.extra_headers else headers

    def _refuse(self, error: ServiceError, *, close: bool = False) -> Response:
        host = self.request.headers.get("host", "")
        response = error_response(
            error, self.request.method, host, self.request_id, self._service.clock(), close=close
        )
        response = replace(response, about=self._about(error.code))
        response.headers.update(self.extra_headers)
        if self.website is None:
            return response
        page = page_instead(
            self.website,
            self._service.store,
            self.path["bucket"],
            self.path.get("key", ""),
            error=error,
            request=self.request,
            base=self._base_headers(),
        )
        return replace(page, about=response.about) if page is not None else response


def _check_digests(staged: StagedBlob, headers: Mapping[str, str]) -> None:
    md5 = headers.get("content-md5")
    crc64 = headers.get("x-oss-hash-crc64ecma")
    if md5 is not None and md5 != base64.b64encode(staged.md5).decode():
        raise fault("InvalidDigest")
    if crc64 is not None and crc64 != str(staged.crc64):
        raise fault("InvalidCRC64")
