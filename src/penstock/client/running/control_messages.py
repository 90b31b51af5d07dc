"""
What processes say to each other about running transfers: one line of JSON each way.

A connection carries one request and one answer. The answer to a stop comes when the transfer has ended and is
quiet, and tells how; the stop itself happens at once, whether or not anybody waits for the answer.
"""

from __future__ import annotations

import json
from typing import Literal

import msgspec

MAX_REQUEST_BYTES = 4096
MAX_ANSWER_BYTES = 1 << 20
TRANSFERS_PER_ANSWER = 100
"""Names are of at most 1,023 bytes, which JSON may triple: so many always fit into an answer."""


class ControlRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What is asked of a process.

    Attributes:
        transfer: Id of the transfer that is meant; not for ``list``.
        timeout_s: For ``drain``.
        bytes_s: For ``limit``; None for no limit.
        skip: For ``list``: leave out the first ones.
    """

    command: Literal["list", "abort", "drain", "cancel", "limit"]
    transfer: str = ""
    timeout_s: float = 30.0
    bytes_s: float | None = None
    skip: int = 0


class TransferState(msgspec.Struct, frozen=True, kw_only=True):
    """How far a running transfer is."""

    transfer_id: str
    name: str
    total_bytes: int
    acknowledged_bytes: int
    in_flight_bytes: int
    parts_total: int
    parts_done: int
    upload_id: str | None = None
    bandwidth_limit_bytes_s: float | None = None


class TransferEnd(msgspec.Struct, frozen=True, kw_only=True):
    """
    How a transfer ended.

    Attributes:
        kind: ``committed``, ``aborted``, ``cancelled`` or ``failed``.
        committed: Whether OSS has the object: ``yes``, ``no`` or ``unknown``.
        clean_up: ``verified`` (nothing of it is left at OSS), ``pending`` (that could not be confirmed),
            ``failed`` (the upload is probably still there), or None if something was made, or was kept to go
            on with.
        error: What a caller that waited for it was told; empty if the object was made.
    """

    kind: str
    committed: str
    total_bytes: int
    acknowledged_bytes: int
    upload_id: str | None = None
    resume_token: str | None = None
    clean_up: str | None = None
    error: str = ""


class ControlAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    What a process answers.

    Attributes:
        transfers: To ``list``.
        more: There are more of them.
        ended: To a stop.
        error: Why nothing was done.
    """

    transfers: tuple[TransferState, ...] = ()
    more: bool = False
    ended: TransferEnd | None = None
    error: str = ""


class ProcessEntry(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a process with running transfers can be spoken to.

    Attributes:
        process_started: See `penstock.files.process.process_started`.
        since: Unix seconds.
        socket_path: Empty where the process cannot be spoken to.
        reason: Then, why.
    """

    pid: int
    host: str
    process_started: int
    since: int
    command: str
    socket_path: str
    reason: str = ""


def line(message: ControlRequest | ControlAnswer) -> bytes:
    """A message as it is sent."""
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:  # the name of a file is not UTF-8; here names are only shown
        text = json.dumps(msgspec.to_builtins(message), ensure_ascii=False)
        return text.encode("utf-8", "replace") + b"\n"
