"""The place of a process among those of one server, and what they tell each other."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from penstock.server.metrics import Counts, Metrics

TELL_EVERY_S: Final = 1.0
_SILENT_S: Final = 5.0

_decode_counts = msgspec.json.Decoder(Counts).decode


@dataclass(frozen=True, slots=True)
class Place:
    """
    Which of the processes of a server this one is.

    Attributes:
        index: From 0; the first does what only one may do.
        count: How many there are.
        seal: Known to all of them, and to nobody else.
        listening: Sockets that all of them accept from.
        watching: Likewise, for those who run the server.
        folder: Where they leave what the others need; emptied at every start of the server.
    """

    index: int
    count: int
    seal: bytes = field(repr=False)
    listening: tuple[socket.socket, ...]
    watching: tuple[socket.socket, ...]
    folder: Path

    @property
    def first(self) -> bool:
        return self.index == 0

    def tell(self, counts: Counts) -> None:
        """Leave what this process has counted, where it stays when the process is gone."""
        told = self.folder / f"{os.getpid()}.json"
        fresh = told.with_suffix(".new")
        # A disk that is full must not end the process; it counts as silent then.
        with contextlib.suppress(OSError):
            fresh.write_bytes(msgspec.json.encode(counts))
            fresh.replace(told)

    def add_others(self, metrics: Metrics) -> None:
        """Add what the other processes have counted, those too that are gone."""
        for told in self.folder.glob("*.json"):
            if told.stem != str(os.getpid()):
                metrics.add(_decode_counts(told.read_bytes()), running=_is_fresh(told))

    def silent(self) -> int:
        """How many of the processes have not been heard of for a while."""
        return max(0, self.count - sum(_is_fresh(told) for told in self.folder.glob("*.json")))


def _is_fresh(told: Path) -> bool:
    # One that ended by itself said so by leaving nothing under way; one that was killed falls silent.
    return time.time() - told.stat().st_mtime < _SILENT_S
