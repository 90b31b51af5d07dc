"""A copy inside OSS, decided step by step: an upload whose parts OSS makes of another object."""

from __future__ import annotations

from penstock.errors import SourceChanged
from penstock.protocol.limits import MAX_PARTS
from penstock.transfer import commands as do
from penstock.transfer import failures
from penstock.transfer.job import Beginning, FromJournal, FromToken, UploadJob, UploadSettings
from penstock.transfer.journal import PartStored, Source
from penstock.transfer.listing import PartListing
from penstock.transfer.plan import Plan, part_plan
from penstock.transfer.upload import UploadMachine

COPY_PART_BYTES = 64 * 1024 * 1024
"""The part size that is tried first when the caller names none: no byte of it passes through here."""


def copy_plan(total_bytes: int, part_bytes: int | None = None) -> Plan:
    """
    Cut an object into parts to be copied; see `penstock.transfer.plan.part_plan`.

    None chooses 64 MiB, doubled until `MAX_PARTS` parts are enough.
    """
    if part_bytes is None:
        part_bytes = COPY_PART_BYTES
        while part_bytes * MAX_PARTS < total_bytes:
            part_bytes *= 2
    return part_plan(total_bytes, part_bytes)


class CopyMachine(UploadMachine):
    """
    Decides the next step of a copy in parts, and takes none.

    It is an `UploadMachine` and keeps all of its promises. What differs follows from the source being an
    object, whose ETag every part is bound to:

    * A part that OSS lists under our UploadId is of the source as long as the ETag is the same: it is kept
      without being read, also where no journal tells of it.
    * A source with another ETag is refused, unless the parts that still match are to be kept; then they are
      read and compared.
    * The CRC-64 of all parts together is compared with that of the source before Complete is sent.

    Args:
        job: Its source is the object as it is now.
        settings: As for an upload.
        beginning: As for an upload.
    """

    def __init__(
        self, job: UploadJob, settings: UploadSettings | None = None, beginning: Beginning | None = None
    ) -> None:
        super().__init__(job, settings, beginning)
        self._etag_as_begun = _etag_of(beginning)
        if isinstance(beginning, FromToken) and job.source is not None:
            self._standing.source_in_doubt = beginning.token.source_etag != job.source.etag

    def _begin(self) -> list[do.Command]:
        now = self._standing.job.source
        before = self._etag_as_begun
        # What is said of the copy was taken from the source as it was then.
        if self._standing.is_unbegun and before and now is not None and now.etag != before:
            return self._fail(self._source_changed(before, now))
        return super()._begin()

    def _after_listing(self, listing: PartListing) -> list[do.Command]:
        standing = self._standing
        if listing.gone or listing.error is not None:
            return super()._after_listing(listing)
        if not standing.source_in_doubt:
            standing.known.update(
                (
                    part.number,
                    _as_stored(self._ledger.plan, part.number, part.size_bytes, part.crc64, part.etag),
                )
                for part in listing.parts.values()
                if part.crc64 is not None and part.number <= self._ledger.plan.count
            )
        elif not self.settings.keep_matching:
            return self._fail(self._source_changed(self._etag_before, standing.job.source))
        return super()._after_listing(listing)

    def _on_source_inspected(self, source: Source | None) -> list[do.Command]:
        begun_with = self._standing.job.source
        if begun_with is not None and not begun_with.is_same_revision(source):
            return self._fail(self._source_changed(begun_with.etag, source))
        return super()._on_source_inspected(source)

    def _complete(self) -> list[do.Command]:
        source = self._standing.job.source
        expected = source.crc64 if source is not None else None
        actual = self._ledger.whole_crc64()
        if None not in (expected, actual) and expected != actual:
            assert expected is not None
            assert actual is not None
            return self._fail(failures.altered_copy(self._standing.name, expected, actual))
        return super()._complete()

    @property
    def _etag_before(self) -> str:
        if isinstance(self._beginning, FromToken):
            return self._etag_as_begun
        intent = self._standing.intent
        return intent.source.etag if intent is not None and intent.source is not None else ""

    def _source_changed(self, before: str, now: Source | None) -> SourceChanged:
        source = self._standing.job.source
        name = source.path if source is not None else "the source"
        return failures.object_changed(name, before, now.etag if now is not None else "")


def _etag_of(beginning: Beginning | None) -> str:
    """The revision of the source that an earlier run began with; empty if none is known."""
    match beginning:
        case FromToken(token=token):
            return token.source_etag
        case FromJournal(view=view) if view.intent.source is not None:
            return view.intent.source.etag
    return ""


def _as_stored(plan: Plan, number: int, size_bytes: int, crc64: int, etag: str) -> PartStored:
    offset = plan.part(number).offset
    return PartStored(number=number, offset=offset, size_bytes=size_bytes, crc64=crc64, etag=etag)
