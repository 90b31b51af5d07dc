"""Reading all pages of an upload's part list."""

from __future__ import annotations

from penstock.errors import MalformedResponse, NoSuchUpload, PenstockError
from penstock.transfer.commands import Command, ListParts
from penstock.transfer.events import Event, ListedPart, ListPartsFailed, PartsListed


class PartListing:
    """
    Ask for page after page.

    When ``done``: ``gone`` (OSS says NoSuchUpload), or ``error``, or ``parts`` is complete.
    """

    def __init__(self, upload_id: str) -> None:
        self.upload_id = upload_id
        self.parts: dict[int, ListedPart] = {}
        self.gone = False
        self.error: PenstockError | None = None
        self.done = False
        self._after = 0

    def begin(self) -> list[Command]:
        return [ListParts(upload_id=self.upload_id)]

    def handle(self, event: Event) -> list[Command]:
        match event:
            case PartsListed(parts=parts, final=final):
                self.parts.update((part.number, part) for part in parts)
                if final:
                    self.done = True
                    return []
                return self._next_page(max((part.number for part in parts), default=0))
            case ListPartsFailed(error=error):
                self.done = True
                self.gone = isinstance(error, NoSuchUpload)
                self.error = None if self.gone else error
        return []

    def _next_page(self, last: int) -> list[Command]:
        if last <= self._after:
            self.done = True
            self.error = MalformedResponse(
                f"the list of upload {self.upload_id} promised more after part {self._after}, and gave none",
                advice="Try again; if it stays so, this endpoint does not speak ListParts as OSS does.",
            )
            return []
        self._after = last
        return [ListParts(upload_id=self.upload_id, after=last)]
