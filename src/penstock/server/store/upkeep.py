"""The chores of a local store: checking, repairing, backing up, and what lifecycle rules ask for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from penstock.server.store import backup, check, garbage, lifecycle
from penstock.server.store.engine import METADATA_NAME, Engine
from penstock.server.store.lifecycle import Choice
from penstock.server.store.records import BackupReport, CheckReport, RepairReport


class Upkeep(Engine):
    """The part of `penstock.server.store.LocalStore` that nobody calls over the network."""

    def collect_garbage(self) -> int:
        """Removes the files that nothing needs now, rather than a moment later; returns how many."""
        return self._garbage.collect()

    def sweep_orphans(self, grace_s: float = 86_400) -> tuple[str, ...]:
        """Removes files that no row knows, left by a crash more than ``grace_s`` ago; returns their ids."""
        return garbage.sweep_orphans(self._readers, self._files, grace_s)

    def check(self, *, scrub: bool = False) -> CheckReport:
        """
        Compares metadata and files, and changes nothing; the store may be in use.

        Args:
            scrub: Also reads every byte and compares its CRC-64, and looks at every page of the metadata.
        """
        return check.check(self._readers, self._files, self._horizon, scrub=scrub)

    def repair(self) -> RepairReport:
        """
        Removes what no row needs: files left behind by a crash, and garbage not yet collected.

        Never anything else: where bytes are missing, rows stay as they are, and `check` says which. What is
        being written at the moment is not touched, so the store may be in use.
        """
        collected = self.collect_garbage()
        return RepairReport(orphans=self.sweep_orphans(0), garbage_count=collected)

    def backup(self, directory: str | os.PathLike[str], *, link: bool = True) -> BackupReport:
        """
        Makes a data directory that holds what this one holds now, while this one is in use.

        It appears under its name once it is complete and durable, and is opened like any other.

        Args:
            directory: Must not exist, and not lie within this one.
            link: Where both are on one file system, blobs are hard links: quick, and hardly any space, but
                what damages the bytes of one damages the other. False copies every byte.

        Raises:
            StoreError: It exists already, lies within the store, or a disk failed; nothing is left of it.
        """
        return backup.back_up(
            self._readers,
            self._files,
            self._horizon,
            self._directory,
            Path(directory),
            metadata_name=METADATA_NAME,
            link=link,
        )

    def expire_objects(
        self, bucket: str, before_ms: int, *, prefix: str = "", tags: Mapping[str, str] | None = None
    ) -> int:
        choice = Choice(bucket, before_ms, prefix, tags or {})
        return lifecycle.expire_objects(self._readers, self._writer, choice, now_ms=self._now_ms())

    def expire_versions(
        self, bucket: str, before_ms: int, *, prefix: str = "", tags: Mapping[str, str] | None = None
    ) -> int:
        return lifecycle.expire_versions(
            self._readers, self._writer, Choice(bucket, before_ms, prefix, tags or {})
        )

    def remove_lone_markers(self, bucket: str, before_ms: int, *, prefix: str = "") -> int:
        return lifecycle.remove_lone_markers(self._readers, self._writer, Choice(bucket, before_ms, prefix))

    def abort_uploads(self, bucket: str, before_ms: int, *, prefix: str = "") -> int:
        return lifecycle.abort_uploads(self._readers, self._writer, Choice(bucket, before_ms, prefix))
