"""Cleaning up after a cancel: find the upload, make OSS forget it, and see whether Complete was quicker."""

from __future__ import annotations

from collections.abc import Callable

from penstock.errors import PenstockError
from penstock.transfer.cancel import Cancellation
from penstock.transfer.commands import Command, InspectTarget
from penstock.transfer.events import (
    CleanUpTimedOut,
    Event,
    FoundUpload,
    InspectTargetFailed,
    TargetInspected,
)
from penstock.transfer.journal import TargetState
from penstock.transfer.outcome import CleanUp
from penstock.transfer.resolve import Proof, is_ours
from penstock.transfer.search import UnbornSearch


class Removal:
    """
    Remove one upload.

    When ``done``: ``clean_up`` says how far it got, ``error`` what stood in the way. ``committed`` is the
    object if it turned out to be ours, and ``complete_in_doubt`` is False if it is known never to have been.

    Args:
        upload_id: None if it is to be found: it is then the only empty one among the ``wanted``.
        complete_in_doubt: Complete may have made the object, which ``proof`` would show.
    """

    def __init__(
        self,
        upload_id: str | None,
        wanted: Callable[[FoundUpload], bool],
        proof: Proof,
        *,
        complete_in_doubt: bool,
    ) -> None:
        self.upload_id = upload_id
        self.clean_up: CleanUp | None = None
        self.error: PenstockError | None = None
        self.unclaimed_uploads: tuple[str, ...] = ()
        self.committed: TargetState | None = None
        self.complete_in_doubt = complete_in_doubt
        self.done = False
        self._proof = proof
        self._search = UnbornSearch(wanted) if upload_id is None else None
        self._cancellation = Cancellation(upload_id) if upload_id is not None else None

    def begin(self) -> list[Command]:
        if self._cancellation is not None:
            return self._cancellation.begin()
        assert self._search is not None
        return self._search.begin()

    def handle(self, event: Event) -> list[Command]:
        match event:
            case CleanUpTimedOut() if self._cancellation is None:
                return self._finish(CleanUp.FAILED)
            case CleanUpTimedOut() if self._cancellation is not None and self._cancellation.done:
                return self._finish(CleanUp.VERIFIED)
            case TargetInspected(target=target):
                self.committed = target if is_ours(target, self._proof) else None
                return self._finish(CleanUp.VERIFIED)
            case InspectTargetFailed(error=error):
                self.error = error
                return self._finish(CleanUp.VERIFIED)
        if self._cancellation is not None:
            commands = self._cancellation.handle(event)
            return self._cancelled(self._cancellation) if self._cancellation.done else commands
        assert self._search is not None
        commands = self._search.handle(event)
        return self._searched(self._search) if self._search.done else commands

    def _searched(self, search: UnbornSearch) -> list[Command]:
        self.error = search.error
        if search.error is not None:
            return self._finish(CleanUp.FAILED)
        if len(search.found) == 1:
            self.upload_id = search.found[0].upload_id
            self._cancellation = Cancellation(self.upload_id)
            return self._cancellation.begin()
        self.unclaimed_uploads = tuple(upload.upload_id for upload in search.found)
        return self._finish(CleanUp.PENDING if search.found else CleanUp.VERIFIED)

    def _cancelled(self, cancellation: Cancellation) -> list[Command]:
        assert cancellation.clean_up is not None
        self.error = cancellation.error
        self.complete_in_doubt = self.complete_in_doubt and not cancellation.was_open
        if cancellation.clean_up is CleanUp.VERIFIED and self.complete_in_doubt:
            return [InspectTarget()]
        return self._finish(cancellation.clean_up)

    def _finish(self, clean_up: CleanUp) -> list[Command]:
        self.clean_up = clean_up
        self.done = True
        return []
