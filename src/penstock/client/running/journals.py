"""The journals of this user's transfers: what is unfinished, and who may go on with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from penstock.errors import JournalUnreadable, TransferError
from penstock.files.journal_file import JournalFile, read_journal
from penstock.files.process import program_name
from penstock.files.state_dir import StateDir
from penstock.transfer.journal import EndKind, JournalView, TransferKind, journal_view, records


class UnfinishedUpload(msgspec.Struct, frozen=True):
    """A transfer, of any kind, that a journal of this user tells of."""

    path: Path
    view: JournalView

    @property
    def url(self) -> str:
        """``oss://bucket/key``: where an upload or copy goes to, where a download comes from."""
        return f"oss://{self.view.intent.bucket}/{self.view.intent.key}"


class Journals:
    """
    All journals of a state directory.

    Args:
        state: The directory.
    """

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._has_removed_empty = False

    def create(self, job_id: str) -> JournalFile:
        """Make the journal of a new job, and lock it."""
        if not self._has_removed_empty:
            self._has_removed_empty = True
            self._remove_empty()
        return JournalFile.create(self._state.journal_path(job_id), command=program_name())

    def open(self, path: Path) -> tuple[JournalFile, JournalView]:
        """
        Lock a journal to go on with it, and read it; a torn tail is cut off.

        Raises:
            JournalLocked: Another process has it.
            JournalUnreadable: It is missing, damaged, or holds nothing yet.
        """
        file = JournalFile.open(path, command=program_name())
        try:
            entries, valid_bytes = records(file.read_all())
            view = journal_view(entries)
            if view is None:
                raise JournalUnreadable(
                    f"the journal {path} holds nothing yet",
                    advice="Begin the upload again; nothing was sent.",
                )
            file.truncate(valid_bytes)
        except BaseException:
            file.close()
            raise
        return file, view

    def of_job(self, job_id: str) -> UnfinishedUpload | None:
        """The upload of one job, or None if there is no journal of it that can be read."""
        return self._look(self._state.journal_path(job_id))

    def unfinished(self) -> Iterator[UnfinishedUpload]:
        """All of them; journals that cannot be read, or hold nothing yet, are left out."""
        for path in self._state.journal_paths():
            found = self._look(path)
            if found is not None:
                yield found

    def of_target(
        self, endpoint: str, bucket: str, key: str, end: EndKind | None = None
    ) -> UnfinishedUpload | None:
        """
        The transfer to a key that began last and has not ended; if there is none, the download of it.

        Args:
            end: Instead, those that have ended in this way, and whose journal a crash has left.
        """
        found = self._of_key(endpoint, bucket, key, end)
        to_key = [upload for upload in found if upload.view.intent.kind is not TransferKind.DOWNLOAD]
        return max(to_key or found, key=_started_at, default=None)

    def of_pending_cancel(self, endpoint: str, bucket: str, key: str) -> UnfinishedUpload | None:
        """The upload to a key that was cancelled last, and whose cancel OSS has not confirmed yet."""
        found = self._of_key(endpoint, bucket, key, EndKind.CANCEL_PENDING)
        return max(found, key=_started_at, default=None)

    def cancelled_uploads(self, endpoint: str, bucket: str, key: str) -> frozenset[str]:
        """UploadIds of a key whose cancel OSS has not confirmed yet."""
        found = self._of_key(endpoint, bucket, key, EndKind.CANCEL_PENDING)
        return frozenset(one.view.upload_id for one in found if one.view.upload_id is not None)

    def of_download(
        self, endpoint: str, bucket: str, key: str, version_id: str, path: str
    ) -> UnfinishedUpload | None:
        """The download of an object to a file that began last and has not ended."""
        found = [
            one
            for one in self._of_key(endpoint, bucket, key)
            if one.view.intent.kind is TransferKind.DOWNLOAD
            and (one.view.intent.version_id, one.view.intent.path) == (version_id, path)
        ]
        return max(found, key=_started_at, default=None)

    def _of_key(
        self, endpoint: str, bucket: str, key: str, end: EndKind | None = None
    ) -> list[UnfinishedUpload]:
        wanted = (endpoint, bucket, key)
        return [
            one
            for one in self.unfinished()
            if (one.view.end.kind if one.view.end else None) is end
            and (one.view.intent.endpoint, one.view.intent.bucket, one.view.intent.key) == wanted
        ]

    def _remove_empty(self) -> None:
        """Remove journals whose process was killed before it had written in them what it was about to do."""
        for path in self._state.journal_paths():
            # One that is locked is just being begun.
            with suppress(TransferError):
                if not read_journal(path):
                    with JournalFile.open(path, command=program_name()) as file:
                        if not file.read_all():
                            file.delete()

    def _look(self, path: Path) -> UnfinishedUpload | None:
        try:
            entries, _ = records(read_journal(path))
            view = journal_view(entries)
        except TransferError:
            return None
        return UnfinishedUpload(path, view) if view is not None else None


def _started_at(upload: UnfinishedUpload) -> int:
    return upload.view.intent.started_at
