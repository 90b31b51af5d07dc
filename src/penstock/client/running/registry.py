"""
The running transfers of this process, shown to the other processes of this user.

While there is one, a thread listens on a socket, and a file in the state directory says where that is. All
of it goes with the last transfer. A killed process leaves the file behind; whoever looks next finds that the
process is gone, and removes it.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from penstock.client.running.control_messages import ProcessEntry
from penstock.client.running.control_server import ControlServer
from penstock.client.running.transfer import Tell, Transfer
from penstock.errors import TransferError
from penstock.files.durable import PRIVATE_FILE_MODE, make_private_directory, write_all
from penstock.files.process import is_running, process_started, program_name
from penstock.files.state_dir import StateDir
from penstock.net.latch import Latch
from penstock.transfer.outcome import Outcome

SHOW_AFTER_S = 0.05
"""Whatever ends sooner is not shown: many small transfers would spend their time with files and sockets."""

MAX_SOCKET_PATH_BYTES = 100
"""The system's own limit is 104 on macOS and 108 on Linux."""

_SOCKET_DIRECTORY_PREFIX = "penstock-control-"
_FOLDER = "running"
_SUFFIX = ".json"


class Registry:
    """
    Shows transfers while they run. Made by `registry_of`.

    Args:
        state: Where the file goes.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._transfers: dict[str, tuple[Transfer, float]] = {}
        self._post: _Post | None = None
        self._thread: threading.Thread | None = None

    @contextmanager
    def shown(self, transfer: Transfer) -> Iterator[Tell]:
        """
        Show a transfer while the block runs. That it cannot be shown does not keep it from running.

        Other processes that wait for its end are answered as the block is left: the end of the transfer may
        be the end of this process. What the block is given takes the outcome.
        """
        ends: list[Outcome] = []
        with self._lock:
            self._transfers[transfer.transfer_id] = (transfer, time.monotonic())
            if self._thread is None:
                thread = threading.Thread(target=self._watch, name="penstock-control", daemon=True)
                with suppress(RuntimeError):  # the system gives no more threads
                    thread.start()
                    self._thread = thread
        try:
            yield ends.append
        finally:
            with self._lock:
                self._transfers.pop(transfer.transfer_id, None)
                post, is_last = self._post, not self._transfers
                if is_last:
                    self._post = None
            if post is not None:
                if is_last:
                    post.take_down()
                post.tell(transfer.transfer_id, ends[0] if ends else None)
                if is_last:
                    post.close()

    def running(self) -> list[Transfer]:
        """The transfers that run, the one that began first at the beginning."""
        return [transfer for transfer, _ in list(self._transfers.values())]

    def find(self, transfer_id: str) -> Transfer | None:
        """The running transfer of this id, or None."""
        transfer, _ = self._transfers.get(transfer_id, (None, 0.0))
        return transfer

    def _watch(self) -> None:
        """The thread: open the post when it is worth it, and serve it until the last transfer has ended."""
        pause = Latch()
        while True:
            pause.wait(SHOW_AFTER_S)
            with self._lock:
                if not self._transfers:
                    self._thread = None
                    return
                _, began = next(iter(self._transfers.values()))
            if time.monotonic() - began < SHOW_AFTER_S:
                continue
            # Not under the lock: a disk that hangs must not keep transfers from ending.
            post = _Post.open(self._state, self)
            with self._lock:
                is_wanted = bool(self._transfers)
                if is_wanted:
                    self._post = post
            if not is_wanted:
                post.take_down()
                post.close()
            post.serve()

    def forget(self) -> None:
        """Let go, in a forked process, of what is its parent's."""
        self._lock = threading.Lock()
        self._transfers = {}
        self._thread = None
        if self._post is not None:
            self._post.forget()
            self._post = None


class _Post:
    """The file and the socket of a process, while it has transfers."""

    def __init__(
        self, entry_path: Path | None, socket_path: Path | None, server: ControlServer | None
    ) -> None:
        self._entry_path = entry_path
        self._socket_path = socket_path
        self._server = server
        self._closed = Latch()

    @classmethod
    def open(cls, state: StateDir, registry: Registry) -> _Post:
        directory = registry_directory(state)
        socket_path: Path | None = None
        listener: socket.socket | None = None
        reason = ""
        try:
            make_private_directory(directory)
        except OSError:  # then nobody can be told; the transfers run all the same
            return cls(None, None, None)
        with suppress(TransferError):  # what may not be looked into is somebody else's to tidy up
            remove_stale(state)
        try:
            socket_path, listener = _listen(directory)
        except OSError as error:
            reason = error.strerror or str(error)
        entry_path = directory / f"{os.getpid()}-{secrets.token_hex(4)}{_SUFFIX}"
        entry = ProcessEntry(
            pid=os.getpid(),
            host=socket.gethostname(),
            process_started=process_started(),
            since=int(time.time()),
            command=program_name(),
            socket_path=str(socket_path or ""),
            reason=reason,
        )
        try:
            _write_whole(entry_path, msgspec.json.encode(entry))
            server = ControlServer(listener, registry) if listener is not None else None
        except OSError:
            entry_path.unlink(missing_ok=True)
            if listener is not None:
                listener.close()
            if socket_path is not None:
                remove_socket(socket_path)
            return cls(None, None, None)
        return cls(entry_path, socket_path, server)

    def take_down(self) -> None:
        if self._entry_path is not None:
            with suppress(OSError):
                self._entry_path.unlink(missing_ok=True)
        if self._socket_path is not None:
            remove_socket(self._socket_path)

    def tell(self, transfer_id: str, ended: Outcome | None) -> None:
        if self._server is not None:
            self._server.tell_end(transfer_id, ended)

    def serve(self) -> None:
        """Serve until it is closed."""
        if self._server is not None:
            self._server.serve()
        else:
            self._closed.wait(None)

    def close(self) -> None:
        self._closed.trip()
        if self._server is not None:
            self._server.end()

    def forget(self) -> None:
        if self._server is not None:
            self._server.forget()


def registry_directory(state: StateDir) -> Path:
    """Where the files are that say who runs transfers."""
    return state.root / _FOLDER


def entry_paths(state: StateDir) -> list[Path]:
    """All those files."""
    return state.paths_in(_FOLDER, _SUFFIX)


def read_entry(path: Path) -> ProcessEntry | None:
    """What a file says; None if it has just been removed, or is of another version or machine."""
    try:
        entry = msgspec.json.decode(path.read_bytes(), type=ProcessEntry)
    except (OSError, msgspec.MsgspecError):
        return None
    return entry if entry.host == socket.gethostname() else None


def remove_entry(path: Path, entry: ProcessEntry) -> None:
    """Remove what a process has left behind; nothing if it is gone."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
    if entry.socket_path:
        remove_socket(Path(entry.socket_path))


def remove_stale(state: StateDir) -> None:
    """Remove what processes have left behind that are gone."""
    for path in entry_paths(state):
        entry = read_entry(path)
        if entry is not None and is_running(entry.pid, entry.process_started) is False:
            remove_entry(path, entry)


def remove_socket(path: Path) -> None:
    """Remove a socket, and the directory that was made for it alone; nothing if they are gone."""
    with suppress(OSError):
        if path.is_socket():
            path.unlink(missing_ok=True)
    if path.parent.name.startswith(_SOCKET_DIRECTORY_PREFIX):
        with suppress(OSError):  # not empty, so not ours
            path.parent.rmdir()


def _listen(directory: Path) -> tuple[Path, socket.socket]:
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this system has no Unix sockets")
    path = directory / f"{secrets.token_hex(4)}.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        # A directory that mkdtemp makes is this user's alone, like the one for which it stands in.
        path = Path(tempfile.mkdtemp(prefix=_SOCKET_DIRECTORY_PREFIX)) / "control.sock"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(PRIVATE_FILE_MODE)
        listener.listen(16)
    except OSError:
        listener.close()
        remove_socket(path)
        raise
    return path, listener


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file that nobody sees before it is whole. It need not survive a power loss: nor do we."""
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE_MODE)
    try:
        write_all(descriptor, data)
    finally:
        os.close(descriptor)
    temporary.replace(path)


_REGISTRIES: weakref.WeakValueDictionary[Path, Registry] = weakref.WeakValueDictionary()
_MAKING = threading.Lock()


def registry_of(state: StateDir) -> Registry:
    """The registry of this process for a state directory: all its clients share it."""
    with _MAKING:
        registry = _REGISTRIES.get(state.root)
        if registry is None:
            registry = _REGISTRIES[state.root] = Registry(state)
        return registry


def _forget_parent() -> None:
    global _MAKING  # noqa: PLW0603 - another thread of the parent may have held it
    _MAKING = threading.Lock()
    for registry in list(_REGISTRIES.values()):
        registry.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parent)
