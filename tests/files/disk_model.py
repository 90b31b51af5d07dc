"""
A disk that forgets: records what a program does to files, and shows every state that a power loss may leave.

Bytes count as kept only after ``fsync`` of the file, names only after ``fsync`` of the directory; what was
not synced may be there, be missing, or, for bytes, be there up to any length.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Node:
    data: bytes = b""
    kept: bytes = b""


@dataclass
class DiskModel:
    """Watches one directory; ``states`` holds, after each operation, all that a power loss could leave."""

    root: Path
    names: dict[str, Node] = field(default_factory=dict)
    kept_names: dict[str, Node] = field(default_factory=dict)
    descriptors: dict[int, Node | None] = field(default_factory=dict)
    operations: list[str] = field(default_factory=list)

    def after_a_power_loss(self) -> Iterator[dict[str, bytes]]:
        """Every mixture of synced and unsynced names, with every length of unsynced bytes."""
        for names in (self.kept_names, self.names):
            for cut in (0.0, 0.3, 0.99, 1.0):
                yield {name: self._cut(node, cut) for name, node in names.items()}

    @staticmethod
    def _cut(node: Node, share: float) -> bytes:
        if node.data[: len(node.kept)] != node.kept:
            return node.kept if share == 0.0 else node.data
        unsynced = len(node.data) - len(node.kept)
        return node.data[: len(node.kept) + int(unsynced * share)]

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        real_open, real_write, real_fsync, real_replace = os.open, os.write, os.fsync, os.replace
        real_close, real_truncate, real_unlink = os.close, os.ftruncate, os.unlink

        def watched_open(path: object, flags: int, mode: int = 0o777, **rest: object) -> int:
            descriptor = real_open(path, flags, mode, **rest)  # type: ignore[arg-type]
            name = os.path.relpath(os.fspath(path), self.root)  # type: ignore[call-overload]
            if name == ".":
                self.descriptors[descriptor] = None
            elif not name.startswith("..") and not name.endswith(".lock"):
                if flags & os.O_CREAT and name not in self.names:
                    self.names[name] = Node()
                    self.operations.append(f"create {name}")
                self.descriptors[descriptor] = self.names[name]
            return descriptor

        def watched_write(descriptor: int, data: bytes) -> int:
            count = real_write(descriptor, data)
            node = self.descriptors.get(descriptor)
            if node is not None:
                node.data += bytes(data[:count])
                self.operations.append("write")
            return count

        def watched_truncate(descriptor: int, length: int) -> None:
            real_truncate(descriptor, length)
            node = self.descriptors.get(descriptor)
            if node is not None:
                node.data = node.data[:length]

        def watched_fsync(descriptor: int) -> None:
            real_fsync(descriptor)
            if descriptor not in self.descriptors:
                return
            node = self.descriptors[descriptor]
            if node is None:
                self.kept_names = dict(self.names)
                self.operations.append("fsync directory")
            else:
                node.kept = node.data
                self.operations.append("fsync")

        def watched_replace(source: object, target: object) -> None:
            real_replace(source, target)  # type: ignore[call-overload]
            old = os.path.relpath(os.fspath(source), self.root)  # type: ignore[call-overload]
            new = os.path.relpath(os.fspath(target), self.root)  # type: ignore[call-overload]
            self.names[new] = self.names.pop(old)
            self.operations.append(f"rename to {new}")

        def watched_unlink(path: object, **rest: object) -> None:
            real_unlink(path, **rest)  # type: ignore[call-overload]
            self.names.pop(os.path.relpath(os.fspath(path), self.root), None)  # type: ignore[call-overload]

        def watched_close(descriptor: int) -> None:
            self.descriptors.pop(descriptor, None)
            real_close(descriptor)

        patch.setattr(os, "open", watched_open)
        patch.setattr(os, "write", watched_write)
        patch.setattr(os, "fsync", watched_fsync)
        patch.setattr(os, "replace", watched_replace)
        patch.setattr(os, "ftruncate", watched_truncate)
        patch.setattr(os, "unlink", watched_unlink)
        patch.setattr(os, "close", watched_close)
