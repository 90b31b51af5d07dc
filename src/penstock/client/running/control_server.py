"""
The thread that hears what other processes of this user want of the running transfers.

It serves a Unix socket that nobody else can reach. All its sockets are non-blocking, so that nobody who
connects and says nothing keeps another one waiting.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
import threading
import time
from typing import Protocol

import msgspec

from penstock.client.running.control_messages import (
    MAX_REQUEST_BYTES,
    TRANSFERS_PER_ANSWER,
    ControlAnswer,
    ControlRequest,
    TransferEnd,
    TransferState,
    line,
)
from penstock.client.running.transfer import Transfer
from penstock.errors import Committed, PenstockError
from penstock.transfer.outcome import CleanUp, Outcome

REASON = "another process"
"""The reason of a stop that was asked for from outside."""

_PATIENCE_S = 2.0
_READ_BYTES = 65_536


class Transfers(Protocol):
    """Who knows the running transfers."""

    def running(self) -> list[Transfer]:
        """All of them, the one that began first at the beginning."""

    def find(self, transfer_id: str) -> Transfer | None:
        """One of them."""


class _Visitor:
    """One connection: it asks once and is answered once."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.heard = bytearray()
        self.answer = b""
        self.asked = False
        self.told = False
        self.deadline = time.monotonic() + _PATIENCE_S


class ControlServer:
    """
    Serves one listening socket.

    Args:
        listener: Bound and listening; closed when `serve` returns.
        transfers: Who knows the running transfers.
    """

    def __init__(self, listener: socket.socket, transfers: Transfers) -> None:
        self._listener = listener
        self._transfers = transfers
        self._visitors: dict[int, _Visitor] = {}
        # Who waits for the end of which transfer; its thread and ours both look here.
        self._waiting: dict[str, list[_Visitor]] = {}
        self._lock = threading.Lock()
        self._ending = False
        self._woken, self._waker = socket.socketpair()
        for sock in (listener, self._woken, self._waker):
            sock.setblocking(False)

    def tell_end(self, transfer_id: str, ended: Outcome | None) -> None:
        """
        Answer all that wait for the end of a transfer, which is not found any more; from any thread.

        Args:
            ended: None if nothing can be said of it.
        """
        answer = line(_end_of(ended))
        with self._lock:
            visitors = self._waiting.pop(transfer_id, [])
            for visitor in visitors:
                try:
                    sent = visitor.sock.send(answer)
                except OSError:  # the visitor has gone, or the thread sees to it
                    sent = 0
                visitor.answer = answer[sent:]
                visitor.told = True
        if visitors:
            self._wake()

    def end(self) -> None:
        """Take no more connections; `serve` returns once those that wait for an answer have it."""
        self._ending = True
        self._wake()

    def forget(self) -> None:
        """Close what a forked process has inherited, whose thread stayed behind."""
        for sock in (self._listener, self._woken, self._waker, *(v.sock for v in self._visitors.values())):
            sock.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake; closed: it has ended
            self._waker.send(b"\0")

    # --- the thread

    def serve(self) -> None:
        """Serve until `end`."""
        with selectors.DefaultSelector() as selector:
            self._selector = selector
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            try:
                while not self._ending or self._visitors:
                    for key, _ in selector.select(self._longest_wait_s()):
                        self._attend(key.fileobj)
                    self._follow_up()
                    self._expire()
            finally:
                for visitor in list(self._visitors.values()):
                    self._drop(visitor)
                for sock in (self._listener, self._woken, self._waker):
                    sock.close()

    def _attend(self, fileobj: object) -> None:
        if fileobj is self._listener:
            self._accept()
        elif fileobj is self._woken:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(_READ_BYTES)
        elif isinstance(fileobj, socket.socket) and (visitor := self._visitors.get(fileobj.fileno())):
            try:
                self._send(visitor) if visitor.answer else self._hear(visitor)
            except BlockingIOError:
                return
            except OSError:
                self._drop(visitor)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # gone again, or no descriptor is left
            return
        if self._ending or not is_same_user(sock):
            sock.close()
            return
        sock.setblocking(False)
        self._visitors[sock.fileno()] = _Visitor(sock)
        self._selector.register(sock, selectors.EVENT_READ)

    def _hear(self, visitor: _Visitor) -> None:
        data = visitor.sock.recv(_READ_BYTES)
        if not data:
            self._drop(visitor)
            return
        if visitor.asked:
            return
        visitor.heard += data
        text, newline, _ = visitor.heard.partition(b"\n")
        if len(text) > MAX_REQUEST_BYTES:
            self._answer(visitor, ControlAnswer(error="the request is too long"))
        elif newline:
            visitor.asked = True
            self._obey(visitor, bytes(text))

    def _obey(self, visitor: _Visitor, text: bytes) -> None:
        try:
            request = msgspec.json.decode(text, type=ControlRequest)
        except msgspec.MsgspecError as error:
            self._answer(visitor, ControlAnswer(error=f"the request is not understood: {error}"))
            return
        if request.command == "list":
            self._answer(visitor, self._list(max(request.skip, 0)))
            return
        with self._lock:
            # A transfer is not found any more before its end is told, so it cannot be told in between.
            transfer = self._transfers.find(request.transfer)
            if transfer is not None and request.command != "limit":
                self._waiting.setdefault(request.transfer, []).append(visitor)
        if transfer is None:
            self._answer(visitor, ControlAnswer(error="it has ended"))
            return
        match request.command:
            case "limit":
                self._answer(visitor, _set_limit(transfer, request.bytes_s))
            case "abort":
                transfer.abort(REASON)
            case "drain":
                transfer.drain(request.timeout_s)
            case "cancel":
                transfer.cancel_soon(REASON)

    def _list(self, skip: int) -> ControlAnswer:
        running = self._transfers.running()
        page = running[skip : skip + TRANSFERS_PER_ANSWER]
        return ControlAnswer(
            transfers=tuple(_state(transfer) for transfer in page), more=len(running) > skip + len(page)
        )

    def _follow_up(self) -> None:
        """Take leave of those that another thread has answered."""
        for visitor in list(self._visitors.values()):
            if visitor.told:
                visitor.told = False
                self._finish(visitor)

    def _answer(self, visitor: _Visitor, answer: ControlAnswer) -> None:
        visitor.asked = True
        visitor.answer = line(answer)
        self._finish(visitor)

    def _finish(self, visitor: _Visitor) -> None:
        visitor.deadline = time.monotonic() + _PATIENCE_S
        try:
            self._send(visitor)
        except BlockingIOError:
            self._selector.modify(visitor.sock, selectors.EVENT_WRITE)
        except OSError:
            self._drop(visitor)

    def _send(self, visitor: _Visitor) -> None:
        while visitor.answer:
            visitor.answer = visitor.answer[visitor.sock.send(visitor.answer) :]
        self._drop(visitor)

    def _drop(self, visitor: _Visitor) -> None:
        self._visitors.pop(visitor.sock.fileno(), None)
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(visitor.sock)
        with self._lock:
            visitor.sock.close()

    def _longest_wait_s(self) -> float | None:
        waiting = [visitor.deadline for visitor in self._visitors.values() if _is_slow(visitor)]
        return max(min(waiting) - time.monotonic(), 0.0) if waiting else None

    def _expire(self) -> None:
        now = time.monotonic()
        for visitor in list(self._visitors.values()):
            is_answered = visitor.told or visitor.answer
            # Whoever waits for a transfer of ours was told before the end.
            if (_is_slow(visitor) and now >= visitor.deadline) or (self._ending and not is_answered):
                self._drop(visitor)


def is_same_user(sock: socket.socket) -> bool:
    """Whether the other end of a Unix socket is a process of this user, as far as the system says."""
    if not hasattr(socket, "SO_PEERCRED"):  # the modes of socket and directory have to do
        return True
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", credentials)
    return bool(uid == os.geteuid())


def _is_slow(visitor: _Visitor) -> bool:
    """Whether it is the visitor's turn to do something."""
    return not visitor.asked or bool(visitor.answer)


def _state(transfer: Transfer) -> TransferState:
    progress = transfer.progress
    return TransferState(
        transfer_id=transfer.transfer_id,
        name=transfer.name,
        total_bytes=progress.total_bytes,
        acknowledged_bytes=progress.acknowledged_bytes,
        in_flight_bytes=progress.in_flight_bytes,
        parts_total=progress.parts_total,
        parts_done=progress.parts_done,
        upload_id=transfer.upload_id,
        bandwidth_limit_bytes_s=transfer.bandwidth_limit_bytes_s,
    )


def _set_limit(transfer: Transfer, bytes_s: float | None) -> ControlAnswer:
    try:
        transfer.bandwidth_limit_bytes_s = bytes_s
    except PenstockError as error:
        return ControlAnswer(error=str(error))
    return ControlAnswer()


def _end_of(outcome: Outcome | None) -> ControlAnswer:
    if outcome is None:
        return ControlAnswer(error="it ended by a mistake in a callback, which its own process was told")
    error = outcome.to_error()
    return ControlAnswer(
        ended=TransferEnd(
            kind=str(outcome.kind),
            committed=str(outcome.committed),
            total_bytes=outcome.progress.total_bytes,
            acknowledged_bytes=outcome.progress.acknowledged_bytes,
            upload_id=outcome.upload_id,
            resume_token=outcome.resume_token,
            clean_up=_clean_up_of(outcome),
            error="" if error is None else str(error),
        )
    )


def _clean_up_of(outcome: Outcome) -> str | None:
    """What is left at OSS after a cancel; None if something was kept to go on with, or was made."""
    if outcome.clean_up is not None:
        return str(outcome.clean_up)
    if outcome.resume_token is not None or outcome.committed is Committed.YES:
        return None
    return str(CleanUp.PENDING if outcome.committed is Committed.UNKNOWN else CleanUp.VERIFIED)
