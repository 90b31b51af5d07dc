"""
Transfers that run in other processes of this user: seen, stopped and limited from here.

    for transfer in running_transfers():
        if transfer.name == "oss://bucket/big.iso":
            print(transfer.abort().resume_token)

The processes are found by the files that they keep in the state directory while they have transfers. Files
of processes that are gone are removed on the way. A transfer whose process cannot be spoken to (a system
without Unix sockets, a process that hangs) is found by the lock of its journal; it can be seen, not stopped.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from penstock.client.running.control_messages import (
    MAX_ANSWER_BYTES,
    ControlAnswer,
    ControlRequest,
    ProcessEntry,
    TransferEnd,
    TransferState,
    line,
)
from penstock.client.running.journals import Journals, UnfinishedUpload
from penstock.client.running.registry import entry_paths, read_entry, remove_entry, remove_stale
from penstock.errors import TransferError
from penstock.files.journal_file import lock_path
from penstock.files.lock import LockOwner, is_locked, read_owner
from penstock.files.state_dir import StateDir

ANSWER_S = 2.0
"""How long a process may take to say something that it knows."""

_READ_BYTES = 65_536
_NEVER_SPOKEN = "it has only just begun, or keeps no door open for other processes"


@dataclass(frozen=True, slots=True)
class RunningTransfer:
    """
    A transfer of another process (or this one), as it was when it was asked for.

    Attributes:
        state: What it is called, and how far it is.
        pid: Of the process that carries it out.
        host: Where that process runs; only on this one can it be spoken to.
        command: What the process calls itself.
        unreachable: Why it can be seen and not stopped; empty if it can be stopped.
    """

    state: TransferState
    pid: int
    host: str
    command: str
    unreachable: str = ""
    _socket_path: str = field(default="", repr=False)

    @property
    def transfer_id(self) -> str:
        """That of its journal, if it keeps one."""
        return self.state.transfer_id

    @property
    def name(self) -> str:
        """What goes where, for people."""
        return self.state.name

    def abort(self, timeout_s: float = 10.0) -> TransferEnd:
        """
        Stop it now and keep everything. It stops at once; this returns when it is quiet.

        Returns:
            How it ended: ``aborted``, or ``committed`` or ``failed`` if that came first.

        Raises:
            TransferError: It cannot be reached, or has ended; nothing was done.
            TimeoutError: It was told, and has not ended within ``timeout_s``.
        """
        return self._end(ControlRequest(command="abort", transfer=self.transfer_id), timeout_s)

    def drain(self, timeout_s: float = 30.0) -> TransferEnd:
        """
        Let it finish what is in flight, for at most ``timeout_s``, then stop. Returns and raises as `abort`.
        """
        request = ControlRequest(command="drain", transfer=self.transfer_id, timeout_s=timeout_s)
        return self._end(request, timeout_s + 10.0)

    def cancel(self, timeout_s: float = 60.0) -> TransferEnd:
        """
        Stop it now, and make sure that nothing of it is left at OSS.

        Returns:
            How it ended: see ``clean_up``. Where that is None, the object was made before (``committed``),
            or somebody else had stopped the transfer, and `Client.cancel_upload` takes its token.

        Raises:
            TransferError: It cannot be reached, or has ended; nothing was done.
            TimeoutError: It was told, and has not ended within ``timeout_s``.
        """
        return self._end(ControlRequest(command="cancel", transfer=self.transfer_id), timeout_s)

    def set_limit(self, bytes_s: float | None) -> None:
        """
        Limit its speed (see `Transfer.bandwidth_limit_bytes_s`); None for no limit, 0 to let nothing through.

        Raises:
            TransferError: It cannot be reached, has ended, or that is no speed.
        """
        self._ask(ControlRequest(command="limit", transfer=self.transfer_id, bytes_s=bytes_s), ANSWER_S)

    def _end(self, request: ControlRequest, timeout_s: float) -> TransferEnd:
        ended = self._ask(request, timeout_s).ended
        if ended is None:
            raise self._failed("its process gave no account of how it ended")
        return ended

    def _ask(self, request: ControlRequest, timeout_s: float) -> ControlAnswer:
        if self.unreachable:
            raise self._failed(self.unreachable)
        try:
            answer = _ask(self._socket_path, request, timeout_s)
        except TimeoutError:
            raise TimeoutError(
                f"{self.name} still runs in process {self.pid} after {timeout_s:g} s"
            ) from None
        except (OSError, msgspec.MsgspecError) as error:
            raise self._failed(f"its process could not be spoken to: {error}") from error
        if answer.error:
            raise self._failed(answer.error)
        return answer

    def _failed(self, why: str) -> TransferError:
        return TransferError(
            f"process {self.pid} ({self.command}) was asked to change {self.name}: {why}",
            upload_id=self.state.upload_id,
            advice="Look again at what runs. A process that cannot be reached stops at a signal (kill), "
            "and its transfers can be resumed.",
        )


def running_transfers(state_dir: str | Path | None = None) -> list[RunningTransfer]:
    """
    The transfers that processes of this user carry out now.

    Args:
        state_dir: Instead of ``PENSTOCK_STATE_DIR`` or the platform's place, as of `Client`.

    Returns:
        Those that can be stopped first. Uploads and downloads that keep no journal are missing if their
        process cannot be spoken to.
    """
    state = StateDir(Path(state_dir) if state_dir is not None else None)
    found: list[RunningTransfer] = []
    silent: dict[int, str] = {}
    remove_stale(state)
    for path in entry_paths(state):
        entry = read_entry(path)
        if entry is None:
            continue
        if not entry.socket_path:
            silent[entry.pid] = entry.reason
        else:
            try:
                found.extend(_transfers_of(entry))
            except (ConnectionRefusedError, FileNotFoundError):
                # Nobody listens: the process is ending its last transfer, or is another one of this pid.
                remove_entry(path, entry)
            except (OSError, msgspec.MsgspecError) as error:
                silent[entry.pid] = f"it did not answer: {error}"
    known = {transfer.transfer_id for transfer in found}
    found.extend(
        _journaled(upload, owner, silent)
        for upload, owner in _locked_journals(state)
        if upload.view.intent.job_id not in known
    )
    return found


def _transfers_of(entry: ProcessEntry) -> Iterator[RunningTransfer]:
    skip = 0
    while True:
        answer = _ask(entry.socket_path, ControlRequest(command="list", skip=skip), ANSWER_S)
        for state in answer.transfers:
            yield RunningTransfer(state, entry.pid, entry.host, entry.command, "", entry.socket_path)
        skip += len(answer.transfers)
        if not answer.more or not answer.transfers:
            return


def _locked_journals(state: StateDir) -> Iterator[tuple[UnfinishedUpload, LockOwner]]:
    for upload in Journals(state).unfinished():
        lock = lock_path(upload.path)
        owner = read_owner(lock)
        if owner is not None and is_locked(lock):
            yield upload, owner


def _journaled(upload: UnfinishedUpload, owner: LockOwner, silent: dict[int, str]) -> RunningTransfer:
    view = upload.view
    state = TransferState(
        transfer_id=view.intent.job_id,
        name=upload.url,
        total_bytes=view.intent.total_bytes,
        acknowledged_bytes=view.acknowledged_bytes,
        in_flight_bytes=0,
        parts_total=0,
        parts_done=0,
        upload_id=view.upload_id,
    )
    reason = silent.get(owner.pid, _NEVER_SPOKEN)
    return RunningTransfer(state, owner.pid, owner.host, owner.command, reason)


def _ask(socket_path: str, request: ControlRequest, timeout_s: float) -> ControlAnswer:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no Unix sockets")
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(min(timeout_s, ANSWER_S))
        sock.connect(socket_path)
        sock.sendall(line(request))
        heard = bytearray()
        while not heard.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError(f"no answer within {timeout_s:g} s")
            sock.settimeout(left_s)
            data = sock.recv(_READ_BYTES)
            heard += data
            if not data or len(heard) > MAX_ANSWER_BYTES:
                raise ConnectionError("the connection ended before its answer" if not data else "too long")
        return msgspec.json.decode(heard, type=ControlAnswer)
