"""
Several processes that serve together: one that listens and watches over the others, which do the work.

The first holds the lock of the data directory and the sockets, and does nothing else; so a process that is
killed takes no connection with it but its own, and another one takes its place. What they share is in the
store, and decided in its transactions; `penstock.server.store.members` says what they owe each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

from penstock.errors import InvalidInput, PenstockError, StoreError
from penstock.server.guard.keys import check_keys
from penstock.server.listen import listen_on
from penstock.server.opening import Run, endpoint_of, open_server, tls_context
from penstock.server.place import Place
from penstock.server.settings import ServerSettings
from penstock.server.store import DirectoryLock, LocalStore
from penstock.server.store.blobs import make_directory

logger = logging.getLogger("penstock.server")

_READY: Final = b"r"
_STOP: Final = b"s"
_CUT: Final = b"c"
_FAILED: Final = b"e"
_AT_LEAST_S: Final = 1.0
"""A process that ends sooner after its start is started again only after so long."""


@dataclass(slots=True)
class Child:
    """
    A process that works, and this end of the line to it.

    Attributes:
        words: What it has said so far.
    """

    pid: int
    index: int
    line: socket.socket
    started_s: float
    words: bytes = b""

    @property
    def ready(self) -> bool:
        return self.words.startswith(_READY)

    @property
    def failure(self) -> PenstockError | None:
        """Why it ended, if it said so."""
        _, failed, text = self.words.partition(_FAILED)
        return _revived(text.decode()) if failed else None

    def listen(self) -> bool:
        """Takes what it says; False if it has ended."""
        try:
            said = self.line.recv(65_536)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            # It ended before it had read what it was told last.
            return False
        self.words += said
        return bool(said)


def serve_together(
    settings: ServerSettings,
    on_ready: Callable[[str], None],
    on_stopping: Callable[[], None] | None,
    drain_s: float,
) -> None:
    """
    Serve with ``settings.processes`` processes until one of `stop_signals`; a second one cuts what runs.

    Must be called on the main thread, and no other thread may run. Arguments and errors are those of
    `penstock.server.serve.serve_forever`.
    """
    check_keys(settings.users, settings.host)
    if settings.tls is not None:
        tls_context(settings.tls)
    with contextlib.ExitStack() as stack:
        make_directory(settings.directory, sync=settings.durability != "none")
        lock = DirectoryLock(settings.directory)
        stack.callback(lock.close)
        # Clears up after the last server, and brings the metadata up to date; the others only join.
        LocalStore.open(settings.directory, settings.durability, clock=settings.clock, lock=lock).close()
        listening = listen_on(settings.host, settings.port)
        stack.callback(_close, listening)
        watching = listen_on(*settings.metrics) if settings.metrics is not None else ()
        stack.callback(_close, watching)
        folder = settings.directory / "processes"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        seal = secrets.token_bytes(32)
        places = [
            Place(index, settings.processes, seal, listening, watching, folder)
            for index in range(settings.processes)
        ]
        host, port = listening[0].getsockname()[:2]
        keeper = Keeper(settings, places, drain_s)
        keeper.keep(lambda: on_ready(endpoint_of(settings, host, port)), on_stopping)


def stop_signals() -> tuple[signal.Signals, ...]:
    """What asks a server to stop: SIGTERM, SIGINT, and SIGHUP unless it is ignored (``nohup``)."""
    ask = (signal.SIGTERM, signal.SIGINT)
    return ask if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (*ask, signal.SIGHUP)


class Keeper:
    """
    Starts the processes that work, starts again those that die, and stops them all.

    Args:
        settings: Of the server.
        places: One for each process.
        drain_s: How long requests under way may take when it stops.
    """

    def __init__(self, settings: ServerSettings, places: list[Place], drain_s: float) -> None:
        self._settings = settings
        self._places = places
        self._drain_s = drain_s
        self._children: dict[int, Child] = {}
        self._waiting: dict[int, float] = {}
        self._asked_to_stop = 0

    def keep(self, on_ready: Callable[[], None], on_stopping: Callable[[], None] | None) -> None:
        """Runs them until a signal asks to stop, and all have ended; raises what keeps them from starting."""
        with _signals() as (wakened, asked):
            try:
                for place in self._places:
                    self._start(place)
                announced = False
                while self._children or self._waiting:
                    self._wait(wakened)
                    if not announced and not self._asked_to_stop and self._all_ready():
                        announced = True
                        on_ready()
                    while self._asked_to_stop < len(asked):
                        self._asked_to_stop += 1
                        if self._asked_to_stop == 1 and on_stopping is not None:
                            on_stopping()
                        self._tell_all(_STOP if self._asked_to_stop == 1 else _CUT)
                    self._reap(announced=announced)
                    self._start_those_that_are_due()
            finally:
                self._end_all()

    def _all_ready(self) -> bool:
        return len(self._children) == len(self._places) and all(one.ready for one in self._children.values())

    def _wait(self, wakened: socket.socket) -> None:
        """Until a signal came, a process said something, or one is to be started again."""
        lines = {child.line: child for child in self._children.values()}
        timeout_s = None
        if self._waiting:
            timeout_s = max(0.0, min(self._waiting.values()) - time.monotonic())
        readable, _, _ = select.select([wakened, *lines], [], [], timeout_s)
        for line in readable:
            if line is wakened:
                with contextlib.suppress(BlockingIOError):
                    wakened.recv(4096)
            else:
                lines[line].listen()

    def _reap(self, *, announced: bool) -> None:
        for pid, child in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._children[pid]
                child.listen()
                child.line.close()
                self._replace(child, os.waitstatus_to_exitcode(status), announced=announced)

    def _replace(self, child: Child, code: int, *, announced: bool) -> None:
        if self._asked_to_stop:
            return
        failure = child.failure or StoreError(
            f"process {child.pid} of the server ended with {code}",
            advice="What it wrote before this says why.",
        )
        if not announced:
            raise failure
        logger.error("%s; another process takes the place of %d", failure.message, child.pid)
        self._waiting[child.index] = child.started_s + _AT_LEAST_S

    def _start_those_that_are_due(self) -> None:
        for index, due_s in list(self._waiting.items()):
            if self._asked_to_stop or due_s <= time.monotonic():
                del self._waiting[index]
                if not self._asked_to_stop:
                    self._start(self._places[index])

    def _start(self, place: Place) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        # What is in these buffers would be written twice.
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for child in self._children.values():
                child.line.close()
            work(self._settings, place, theirs, self._drain_s)
        theirs.close()
        self._children[pid] = Child(pid, place.index, ours, time.monotonic())

    def _tell_all(self, word: bytes) -> None:
        if word == _STOP:
            # Nobody accepts any more; who knocks now shall hear so.
            for place in self._places:
                _close((*place.listening, *place.watching))
        for child in self._children.values():
            with contextlib.suppress(OSError):
                child.line.send(word)

    def _end_all(self) -> None:
        """After a failure: nobody may be left who works without a keeper."""
        for child in self._children.values():
            child.line.close()
        for pid in list(self._children):
            os.waitpid(pid, 0)
        self._children.clear()


def work(settings: ServerSettings, place: Place, line: socket.socket, drain_s: float) -> NoReturn:
    """Be one of the processes, from the fork to the end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # These go to the whole group, and it is for the keeper to say what follows from them.
        for number in stop_signals():
            signal.signal(number, signal.SIG_IGN)
        with open_server(settings, place) as (_, run):
            asyncio.run(_serve(run, line, drain_s))
        code = 0
    except PenstockError as error:
        kind = "i" if isinstance(error, InvalidInput) else "s"
        with contextlib.suppress(OSError):
            line.send(_FAILED + f"{kind}{error.message}\0{error.advice}".encode())
    except BaseException:  # noqa: BLE001  # the outer wall of a process
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


async def _serve(run: Run, line: socket.socket, drain_s: float) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    left_s = drain_s

    def ready(_endpoint: str, _watch: str, stop: asyncio.Event) -> None:
        def heard() -> None:
            nonlocal left_s
            said = line.recv(16)
            if stop.is_set() or _CUT in said:
                task.cancel()
            elif not said:
                # The keeper is gone, and the next one needs the directory.
                left_s = 0.0
            stop.set()
            if not said:
                loop.remove_reader(line)

        loop.add_reader(line, heard)
        line.send(_READY)

    with contextlib.suppress(asyncio.CancelledError):
        await run(ready, lambda: left_s)


def _revived(text: str) -> PenstockError:
    message, _, advice = text[1:].partition("\0")
    return (InvalidInput if text[0] == "i" else StoreError)(message, advice=advice)


@contextlib.contextmanager
def _signals() -> Iterator[tuple[socket.socket, list[int]]]:
    """Gives a socket that becomes readable with each signal, and the list of those that ask to stop."""
    asked: list[int] = []
    wakened, wake = socket.socketpair()
    wakened.setblocking(False)
    wake.setblocking(False)
    numbers = (*stop_signals(), signal.SIGCHLD)
    before = [signal.getsignal(number) for number in numbers]
    before_fd = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    for number in numbers[:-1]:
        signal.signal(number, lambda number, _: asked.append(number))
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    try:
        yield wakened, asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        wakened.close()
        wake.close()


def _close(sockets: tuple[socket.socket, ...] | list[socket.socket]) -> None:
    for one in sockets:
        one.close()
