"""
A disk that is recorded: after each operation on the files of a directory, what a power loss may leave.

Bytes are kept for sure once their file was synced, names once their directory was. Of the writes that were
not synced each may be kept, lost (it reads as zeros where a later one was kept) or torn in its middle,
whatever becomes of the others.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Files = dict[str, bytes]
"""What a directory holds, by name."""

_KEPT, _LOST, _TORN = 1.0, 0.0, 0.5


@dataclass
class _Node:
    synced: bytes = b""
    unsynced: list[bytes] = field(default_factory=list)

    def states(self) -> Iterator[bytes]:
        for shares in itertools.product((_KEPT, _LOST, _TORN), repeat=len(self.unsynced)):
            content = bytearray(self.synced)
            at = len(content)
            for written, share in zip(self.unsynced, shares, strict=True):
                survives = written[: int(len(written) * share)]
                if survives:
                    content.extend(bytes(at - len(content)))
                    content += survives
                at += len(written)
            yield bytes(content)


@dataclass
class RecordedDisk:
    """
    Records one directory while `watch` is in force.

    Args:
        root: The directory; files whose names end in ``.lock`` do not count, for a crash lets go of locks.
        after: Called after each operation, on the thread that carried it out, with its name.
    """

    root: Path
    after: Callable[[str], None]
    names: dict[str, _Node] = field(default_factory=dict)
    kept_names: dict[str, _Node] = field(default_factory=dict)
    descriptors: dict[int, _Node | None] = field(default_factory=dict)

    def states(self) -> list[Files]:
        """All that a power loss could leave at this moment."""
        found: list[Files] = []
        for names in (self.names, self.kept_names):
            for contents in itertools.product(*(node.states() for node in names.values())):
                state = dict(zip(names, contents, strict=True))
                if state not in found:
                    found.append(state)
        return found

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Record from here on, until ``patch`` is undone."""
        patch.setattr(os, "open", self._watched_open(os.open))
        patch.setattr(os, "write", self._watched_write(os.write))
        patch.setattr(os, "fsync", self._watched_fsync(os.fsync))
        patch.setattr(os, "ftruncate", self._watched_truncate(os.ftruncate))
        patch.setattr(os, "unlink", self._watched_unlink(os.unlink))
        patch.setattr(os, "close", self._watched_close(os.close))

    def _name(self, path: object) -> str | None:
        """The name of a file that counts; an empty one for the directory itself."""
        found = Path(os.fsdecode(path))  # type: ignore[arg-type]
        if found == self.root:
            return ""
        return found.name if found.parent == self.root and found.suffix != ".lock" else None

    def _watched_open(self, real):
        def watched(path, flags, mode=0o777, **rest):
            descriptor = real(path, flags, mode, **rest)
            name = self._name(path)
            if name is not None:
                is_new = bool(name) and name not in self.names
                if is_new:
                    self.names[name] = _Node()
                self.descriptors[descriptor] = self.names[name] if name else None
                if is_new:
                    self.after("create")
            return descriptor

        return watched

    def _watched_write(self, real):
        def watched(descriptor, data):
            count = real(descriptor, data)
            node = self.descriptors.get(descriptor)
            if node is not None:
                node.unsynced.append(bytes(data[:count]))
                self.after("write")
            return count

        return watched

    def _watched_fsync(self, real):
        def watched(descriptor):
            real(descriptor)
            if descriptor not in self.descriptors:
                return
            node = self.descriptors[descriptor]
            if node is None:
                self.kept_names = dict(self.names)
            else:
                node.synced += b"".join(node.unsynced)
                node.unsynced = []
            self.after("sync" if node is not None else "sync of the directory")

        return watched

    def _watched_truncate(self, real):
        def watched(descriptor, length):
            assert descriptor not in self.descriptors, "nothing is cut off a journal that was not torn"
            real(descriptor, length)

        return watched

    def _watched_unlink(self, real):
        def watched(path, **rest):
            real(path, **rest)
            name = self._name(path)
            if name:
                del self.names[name]
                self.after("unlink")

        return watched

    def _watched_close(self, real):
        def watched(descriptor):
            self.descriptors.pop(descriptor, None)
            real(descriptor)

        return watched
