"""
A disk that remembers what it was asked, and the states in which a power cut may leave it.

`Recorder` listens to everything below one directory: to what Python asks of the operating system, and to
what SQLite does, by a VFS of its own. `Disk` replays a log of that, and makes any state that may be there
after the power went at that moment:

* what was written and not flushed may be there or not, in pieces of a sector, in any order, and a file may
  have its new length without its new bytes;
* a name that was made, moved or removed, in a directory not flushed since, may be there or not; a rename may
  have happened on one side only. (No file system is so unkind. The more is proved.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from threading import RLock
from typing import Any

import apsw
import pytest

SECTORS = (512, 4096)


# -- what a disk is asked


@dataclass(frozen=True, slots=True)
class Made:
    path: str
    inode: int
    directory: bool = False


@dataclass(frozen=True, slots=True)
class Moved:
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Removed:
    path: str


@dataclass(frozen=True, slots=True)
class Written:
    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    inode: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Flushed:
    inode: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that a client began, or was told."""

    what: Any


Event = Made | Moved | Removed | Written | Cut | Flushed | Noted


class Recorder:
    """
    The log of everything that happens below a directory.

    Args:
        deaf_to: ``sqlite`` to leave out the flushes of SQLite, and see what that breaks.

    Attributes:
        log: What happened, in order.
    """

    def __init__(self, root: Path, deaf_to: str = "") -> None:
        self._root = str(root)
        self._gate = RLock()
        self._inodes: dict[str, int] = {"": 0}
        self._files: dict[int, tuple[int, int]] = {}
        self.log: list[Event] = []
        self.deaf_to = deaf_to

    @staticmethod
    def after_a_kill(log: list[Event], root: Path) -> Recorder:
        """
        Goes on where a process was killed: what it had asked for is all there, flushed or not.

        Args:
            log: What happened until then.
            root: A directory to be made, for the next process to find.
        """
        disk = Disk()
        for event in log:
            disk.replay(event)
        disk.leave(root, Everything())
        recorder = Recorder(root)
        recorder.log = list(log)
        recorder._inodes = dict(disk.paths())
        return recorder

    def note(self, what: Any) -> None:
        with self._gate:
            self.log.append(Noted(what))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Records for as long as it is open."""
        with pytest.MonkeyPatch.context() as patched:
            for name in (
                "open",
                "close",
                "write",
                "fsync",
                "fdatasync",
                "rename",
                "unlink",
                "mkdir",
                "rmdir",
            ):
                patched.setattr(os, name, self._replacement(name, getattr(os, name)))
            vfs = RecordingVfs(self)
            try:
                yield
            finally:
                vfs.unregister()

    def inside(self, path: Any) -> str | None:
        """The path below the root, or None for everything that does not concern us."""
        if not isinstance(path, str | os.PathLike):
            return None
        text = os.fspath(path)
        if not isinstance(text, str) or not (text == self._root or text.startswith(self._root + "/")):
            return None
        name = text[len(self._root) + 1 :]
        return None if name in {"lock"} or name.endswith("-shm") else name

    @contextmanager
    def step(self) -> Iterator[Callable[[Event], None]]:
        """What is done in it and what is recorded of it are one."""
        with self._gate:
            yield self.log.append

    def made(self, path: str, *, directory: bool = False) -> int:
        inode = len(self.log) + 1
        self._inodes[path] = inode
        self.log.append(Made(path, inode, directory))
        return inode

    def inode_at(self, path: str) -> int | None:
        return self._inodes.get(path)

    def removed(self, path: str) -> None:
        self._inodes.pop(path, None)
        self.log.append(Removed(path))

    def flushed(self, inode: int) -> None:
        self.log.append(Flushed(inode))

    def _replacement(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            with self._gate:
                return getattr(self, f"_{name}")(real, *args, **more)

        return call

    def _open(self, real: Callable[..., int], path: Any, flags: int, *args: Any, **more: Any) -> int:
        descriptor = real(path, flags, *args, **more)
        name = self.inside(path)
        if name is not None:
            inode = self._inodes.get(name)
            if inode is None and flags & os.O_CREAT:
                inode = self.made(name)
            if inode is not None:
                self._files[descriptor] = (inode, 0)
        return descriptor

    def _close(self, real: Callable[..., None], descriptor: int) -> None:
        self._files.pop(descriptor, None)
        real(descriptor)

    def _write(self, real: Callable[..., int], descriptor: int, data: Any) -> int:
        count = real(descriptor, data)
        if descriptor in self._files:
            inode, position = self._files[descriptor]
            self.log.append(Written(inode, position, bytes(data[:count])))
            self._files[descriptor] = (inode, position + count)
        return count

    def _fsync(self, real: Callable[..., None], descriptor: int) -> None:
        # The real disk need not be kept waiting.
        if descriptor not in self._files:
            real(descriptor)
        else:
            self.flushed(self._files[descriptor][0])

    _fdatasync = _fsync

    def _rename(self, real: Callable[..., None], source: Any, target: Any, **more: Any) -> None:
        real(source, target, **more)
        before, after = self.inside(source), self.inside(target)
        if before is not None and after is not None:
            self._inodes[after] = self._inodes.pop(before)
            self.log.append(Moved(before, after))

    def _unlink(self, real: Callable[..., None], path: Any, **more: Any) -> None:
        real(path, **more)
        name = self.inside(path)
        if name is not None:
            self.removed(name)

    _rmdir = _unlink

    def _mkdir(self, real: Callable[..., None], path: Any, *args: Any, **more: Any) -> None:
        real(path, *args, **more)
        name = self.inside(path)
        if name:
            self.made(name, directory=True)


class RecordingVfs(apsw.VFS):
    """The default VFS of SQLite, for as long as it is registered."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        super().__init__("recording", "unix", makedefault=True)

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:
        path = name if isinstance(name, str | None) else name.filename()
        inside = self._recorder.inside(path)
        if inside is None:
            return apsw.VFSFile("unix", name, flags)
        with self._recorder.step():
            known = self._recorder.inode_at(inside)
            opened = RecordingFile(self._recorder, name, flags)
            opened.begin(inside, known if known is not None else self._recorder.made(inside), flags[0])
            return opened

    def xDelete(self, name: str, syncdir: bool) -> None:
        with self._recorder.step():
            super().xDelete(name, syncdir)
            inside = self._recorder.inside(name)
            if inside is not None:
                self._recorder.removed(inside)
                if syncdir:
                    self._recorder.flushed(0)


class RecordingFile(apsw.VFSFile):
    """A file of SQLite; it is flushed on paper only."""

    def __init__(self, recorder: Recorder, name: Any, flags: list[int]) -> None:
        self._recorder = recorder
        self._inode = 0
        self._flush_directory = False
        super().__init__("unix", name, flags)

    def begin(self, inside: str, inode: int, flags: int) -> None:
        self._inode = inode
        # With the first flush of a new journal, SQLite flushes its directory.
        self._flush_directory = "/" not in inside and inside.endswith(("-wal", "-journal"))
        assert not self._flush_directory or flags & apsw.SQLITE_OPEN_CREATE

    def xWrite(self, data: bytes, offset: int) -> None:
        with self._recorder.step() as record:
            super().xWrite(data, offset)
            record(Written(self._inode, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:
        with self._recorder.step() as record:
            super().xTruncate(newsize)
            record(Cut(self._inode, newsize))

    def xSync(self, flags: int) -> None:
        with self._recorder.step():
            if self._recorder.deaf_to == "sqlite":
                return
            self._recorder.flushed(self._inode)
            if self._flush_directory:
                self._recorder.flushed(0)
                self._flush_directory = False


# -- what may be left


@dataclass
class File:
    """The bytes that are certain, and the changes since the last flush."""

    certain: bytes = b""
    changes: list[Written | Cut] = field(default_factory=list)

    def after(self, choice: Choice) -> bytes:
        data = bytearray(self.certain)
        for change in choice.changes(self.changes):
            if isinstance(change, Cut):
                del data[change.size_bytes :]
                data.extend(bytes(change.size_bytes - len(data)))
                continue
            end = change.offset + len(change.data)
            if end > len(data):
                if not choice.grows():
                    continue
                data.extend(bytes(end - len(data)))
            for start, stop in choice.pieces(change.offset, end):
                data[start:stop] = change.data[start - change.offset : stop - change.offset]
        return bytes(data)


@dataclass
class Directory:
    """The names that are certain, and by name what they were since the last flush, in order."""

    certain: dict[str, int] = field(default_factory=dict)
    changes: dict[str, list[int | None]] = field(default_factory=dict)

    def after(self, choice: Choice) -> dict[str, int]:
        names = dict(self.certain)
        for name, became in self.changes.items():
            happened = choice.names(len(became))
            if happened:
                inode = became[happened - 1]
                if inode is None:
                    names.pop(name, None)
                else:
                    names[name] = inode
        return names

    def now(self) -> dict[str, int]:
        return self.after(Everything())


class Choice:
    """What of that which was not flushed is there: nothing."""

    def changes(self, changes: list[Written | Cut]) -> list[Written | Cut]:
        return []

    def grows(self) -> bool:
        return False

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        yield start, stop

    def names(self, count: int) -> int:
        """How many of so many changes of a name have happened."""
        return 0


class Everything(Choice):
    """All of it."""

    def changes(self, changes: list[Written | Cut]) -> list[Written | Cut]:
        return changes

    def grows(self) -> bool:
        return True

    def names(self, count: int) -> int:
        return count


class NamesOnly(Everything):
    """All names and lengths, and none of the bytes."""

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        yield from ()


class BytesOnly(Everything):
    """All bytes, and none of the names."""

    def names(self, count: int) -> int:
        return 0


class Chance(Choice):
    """Each sector and each name by chance; writes in order up to some point, or any of them."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._sector = random.choice(SECTORS)
        self._likely = random.choice((0.1, 0.5, 0.9))
        self._in_order = random.random() < 0.5

    def changes(self, changes: list[Written | Cut]) -> list[Written | Cut]:
        if self._in_order:
            return changes[: self._random.randint(0, len(changes))]
        return [change for change in changes if self._random.random() < self._likely]

    def grows(self) -> bool:
        return self._random.random() < 0.8

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        while start < stop:
            end = min(stop, start - start % self._sector + self._sector)
            if self._random.random() < self._likely:
                yield start, end
            start = end

    def names(self, count: int) -> int:
        return self._random.randint(0, count)


class Disk:
    """A directory as a log of events leaves it, with all that is not certain about it."""

    def __init__(self) -> None:
        self._files: dict[int, File] = {}
        self._directories: dict[int, Directory] = {0: Directory()}

    def replay(self, event: Event) -> None:
        match event:
            case Made(path, inode, directory):
                if directory:
                    self._directories[inode] = Directory()
                else:
                    self._files[inode] = File()
                self._became(path, inode)
            case Moved(source, target):
                parent, name = self._find(source)
                self._became(target, parent.now()[name])
                self._became(source, None)
            case Removed(path):
                self._became(path, None)
            case Noted():
                pass
            case Written() | Cut():
                self._files[event.inode].changes.append(event)
            case Flushed(inode) if inode in self._directories:
                directory_ = self._directories[inode]
                directory_.certain, directory_.changes = directory_.now(), {}
            case Flushed(inode):
                file = self._files[inode]
                file.certain, file.changes = file.after(Everything()), []

    def uncertain(self) -> bool:
        """True if there is more than one state that may be left."""
        return any(file.changes for file in self._files.values()) or any(
            directory.changes for directory in self._directories.values()
        )

    def paths(self, inode: int = 0, path: str = "") -> Iterator[tuple[str, int]]:
        """Everything that there is, by path."""
        yield path, inode
        for name, child in self._directories[inode].now().items():
            below = f"{path}/{name}" if path else name
            if child in self._directories:
                yield from self.paths(child, below)
            else:
                yield below, child

    def leave(self, target: Path, choice: Choice) -> None:
        """Makes the state of a choice a real directory."""
        self._leave(0, target, choice)

    def _leave(self, inode: int, target: Path, choice: Choice) -> None:
        target.mkdir(mode=0o700)
        for name, child in self._directories[inode].after(choice).items():
            if child in self._directories:
                self._leave(child, target / name, choice)
            else:
                (target / name).write_bytes(self._files[child].after(choice))

    def _find(self, path: str) -> tuple[Directory, str]:
        *parents, name = path.split("/")
        directory = self._directories[0]
        for parent in parents:
            directory = self._directories[directory.now()[parent]]
        return directory, name

    def _became(self, path: str, inode: int | None) -> None:
        directory, name = self._find(path)
        directory.changes.setdefault(name, []).append(inode)
