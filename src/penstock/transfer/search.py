"""Finding an upload whose UploadId is not known here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from penstock.errors import PenstockError
from penstock.transfer.backoff import pauses
from penstock.transfer.commands import Command, FindUploads, Wait
from penstock.transfer.events import (
    Event,
    FindUploadsFailed,
    FoundUpload,
    ListedPart,
    UploadsFound,
    Waited,
)
from penstock.transfer.listing import PartListing

CLOCK_SLACK_S = 5
"""How much earlier than our own start an upload of ours may seem to have begun, by one and the same clock."""

UNKNOWN_CLOCK_SLACK_S = 900
"""The same where the start was read from the local clock: OSS refuses clocks that are wrong by more."""

INITIATE_SETTLE_S = 2.0
"""How long an Initiate that was not answered may take to make its upload, after its connection was cut."""

Candidate = tuple[FoundUpload, dict[int, ListedPart]]


class UploadSearch:
    """
    List the unfinished uploads of the key and the parts of each, newest first.

    When ``done``: ``error``, or ``candidates``: the uploads with their parts.

    Args:
        wanted: Which uploads are worth looking into.
    """

    def __init__(self, wanted: Callable[[FoundUpload], bool]) -> None:
        self.candidates: list[Candidate] = []
        self.error: PenstockError | None = None
        self.done = False
        self._wanted = wanted
        self._waiting: deque[FoundUpload] = deque()
        self._listing: PartListing | None = None

    def begin(self) -> list[Command]:
        return [FindUploads()]

    def handle(self, event: Event) -> list[Command]:
        match event:
            case UploadsFound(uploads=uploads):
                newest_first = sorted(
                    uploads, key=lambda upload: (upload.initiated_at, upload.upload_id), reverse=True
                )
                self._waiting.extend(upload for upload in newest_first if self._wanted(upload))
                return self._look_into_next()
            case FindUploadsFailed(error=error):
                self.error = error
                self.done = True
                return []
        if self._listing is None:
            return []
        commands = self._listing.handle(event)
        return self._listed(self._listing) if self._listing.done else commands

    def _listed(self, listing: PartListing) -> list[Command]:
        upload = self._waiting.popleft()
        if listing.error is not None:
            self.error = listing.error
            self.done = True
            return []
        if not listing.gone:
            self.candidates.append((upload, listing.parts))
        return self._look_into_next()

    def _look_into_next(self) -> list[Command]:
        if not self._waiting:
            self.done = True
            return []
        self._listing = PartListing(self._waiting[0].upload_id)
        return self._listing.begin()


def begun_since(started_at: int, slack_s: int) -> Callable[[FoundUpload], bool]:
    """Uploads that are not older than our own start."""
    return lambda upload: upload.initiated_at >= started_at - slack_s


class UnbornSearch:
    """
    Find the upload whose Initiate was sent and whose answer was never seen; it may still be on its way.

    When ``done``: ``error``, or ``found``. Nothing was ever sent to it, so it is empty; nothing else tells it
    from one that another program began, so there may be several.

    Args:
        wanted: Which uploads are young enough.
    """

    def __init__(self, wanted: Callable[[FoundUpload], bool]) -> None:
        self.found: list[FoundUpload] = []
        self.error: PenstockError | None = None
        self.done = False
        self._wanted = wanted
        self._search = UploadSearch(wanted)
        self._pauses = pauses(INITIATE_SETTLE_S)

    def begin(self) -> list[Command]:
        return self._search.begin()

    def handle(self, event: Event) -> list[Command]:
        if isinstance(event, Waited):
            self._search = UploadSearch(self._wanted)
            return self._search.begin()
        commands = self._search.handle(event)
        return self._searched(self._search) if self._search.done else commands

    def _searched(self, search: UploadSearch) -> list[Command]:
        self.error = search.error
        self.found = [upload for upload, parts in search.candidates if not parts]
        if self.error is None and not self.found:
            pause_s = next(self._pauses, None)
            if pause_s is not None:
                return [Wait(seconds=pause_s)]
        self.done = True
        return []
