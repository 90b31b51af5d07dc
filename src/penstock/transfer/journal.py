"""
The journal of one transfer: its records, how they are framed, and what they add up to.

A journal is a row of frames, each ``length, checksum, version, payload``. It is only ever appended to, so all
that a crash can do to it is to tear its tail. This file knows bytes, not files.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable
from enum import StrEnum
from struct import Struct as Layout

import msgspec
from msgspec import Struct, field

from penstock.errors import JournalUnreadable

VERSION = 1
MAX_PAYLOAD_BYTES = 256 * 1024

_BY_NAME = "Resume by name (oss://bucket/key) instead: the stored parts are then checked one by one."

_HEADER = Layout("<IIB")  # payload length, CRC-32 of version and payload, version


class TransferKind(StrEnum):
    """What a transfer does; its value names it for people."""

    UPLOAD = "upload"
    COPY = "copy"
    DOWNLOAD = "download"


class Source(Struct, frozen=True, kw_only=True):
    """
    Which file the bytes come from, so that another one, or a later revision, is told from it.

    Sources that are no file (bytes in memory, streams) have none. The source of a copy is an object: its path
    is ``oss://bucket/key``, and its ETag tells its revisions apart.

    Attributes:
        etag, version_id, crc64: Of an object; the version only if one was asked for.
    """

    path: str
    size_bytes: int
    mtime_ns: int = 0
    ctime_ns: int = 0
    device: int = 0
    inode: int = 0
    etag: str = ""
    version_id: str = ""
    crc64: int | None = None

    def is_same_revision(self, other: Source | None) -> bool:
        """True if size, both times, device and inode are equal; the path may differ (a renamed file)."""
        return other is not None and msgspec.structs.replace(other, path=self.path) == self


class TargetState(Struct, frozen=True, kw_only=True):
    """
    What HeadObject said about an object that exists.

    Attributes:
        modified_at: Last-Modified, unix seconds.
        crc64: Whole-object CRC-64, or None if the answer had none.
        ownership_token: The token of `ObjectOptions` as found in the metadata, or an empty string.
        version_id: Empty where the bucket keeps no versions.
    """

    etag: str
    size_bytes: int
    modified_at: int
    crc64: int | None = None
    ownership_token: str = ""
    version_id: str = ""

    def is_same_object(self, other: TargetState) -> bool:
        """True if nobody wrote to the key between the two looks at it."""
        mine = (self.etag, self.size_bytes, self.modified_at, self.version_id)
        return mine == (other.etag, other.size_bytes, other.modified_at, other.version_id)


class ObjectOptions(Struct, frozen=True, kw_only=True):
    """
    What Initiate fixes for the object.

    Attributes:
        content_type: Content-Type, or None for the default of OSS.
        headers: Further request headers by lower-case name, such as ``x-oss-storage-class``. Never a secret:
            a customer's encryption key does not belong here.
        metadata: User metadata without its ``x-oss-meta-`` prefix; the token is not repeated here.
        ownership_token: Random text that is put into the metadata too and proves later that the object is
            ours. Empty turns this off.
    """

    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    ownership_token: str = ""


class Intent(Struct, frozen=True, kw_only=True, tag="intent"):
    """
    Written before Initiate is sent. Written again when the source was found to be another revision and the
    upload goes on: it then takes back the PART records before it.

    Attributes:
        started_at: Unix seconds when the transfer began.
        server_clock: ``started_at`` was read from the clock of OSS, not from the local one.
        target: The object that the key held at the start, or None.
        target_known: False if the key could not be inspected (no permission) or was not to be.
        acknowledged_bytes: As shown to the user when a later INTENT was written, so that it does not fall.
        path: The file that a download makes; empty for all others. For a download, ``bucket`` and ``key``
            name the object that is read, and ``target`` is what it was at the start.
        version_id: The version that a download was asked for, or an empty string.
        forbid_overwrite: Nothing at all is to be overwritten.
        unbegun: It was stopped before Initiate was sent. Nothing of it is at OSS; to go on is to begin.
    """

    job_id: str
    endpoint: str
    region: str
    bucket: str
    key: str
    source: Source | None
    total_bytes: int
    part_bytes: int
    options: ObjectOptions
    started_at: int
    server_clock: bool = False
    target: TargetState | None = None
    target_known: bool = False
    acknowledged_bytes: int = 0
    kind: TransferKind = TransferKind.UPLOAD
    path: str = ""
    version_id: str = ""
    forbid_overwrite: bool = False
    unbegun: bool = False


class Upload(Struct, frozen=True, kw_only=True, tag="upload"):
    """OSS gave, or was found to have, this UploadId."""

    upload_id: str
    adopted: bool = False


class PartStored(Struct, frozen=True, kw_only=True, tag="part"):
    """
    OSS acknowledged a part; ``crc64`` was computed here from the local bytes.

    In a copy, OSS itself computed it. In a download: these bytes were written into the partial file, which
    proves nothing after a power loss until `Synced` names the part; there is no ETag.
    """

    number: int
    offset: int
    size_bytes: int
    crc64: int
    etag: str


class Synced(Struct, frozen=True, kw_only=True, tag="synced"):
    """The bytes of these parts of a download are on disk."""

    numbers: tuple[int, ...]


class Completing(Struct, frozen=True, kw_only=True, tag="completing"):
    """
    Written before Complete is sent: from here on the object may exist. ``crc64`` is that of the whole.

    In a download: from here on the file may be in its place.
    """

    part_count: int
    total_bytes: int
    crc64: int


class NotCompleted(Struct, frozen=True, kw_only=True, tag="not completed"):
    """Takes a COMPLETING back: OSS refused the Complete, never got it, or shows that nothing came of it."""


class EndKind(StrEnum):
    COMMITTED = "committed"
    CANCELLED = "cancelled"
    CANCEL_PENDING = "cancel pending"
    FAILED = "failed"


class End(Struct, frozen=True, kw_only=True, tag="end"):
    """The transfer is over. `EndKind.CANCEL_PENDING` says that the server may still have the upload."""

    kind: EndKind
    detail: str = ""


Record = Intent | Upload | PartStored | Synced | Completing | NotCompleted | End

_DECODER: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def frame(record: Record) -> bytes:
    """The bytes to append for one record."""
    payload = msgspec.msgpack.encode(_with_paths(record, _as_text))
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise JournalUnreadable(f"a journal record of {len(payload)} bytes exceeds {MAX_PAYLOAD_BYTES}")
    return _HEADER.pack(len(payload), _checksum(VERSION, payload), VERSION) + payload


# A path may hold bytes that are not UTF-8: for Python these are lone surrogates, which no text on a disk may
# hold. In a journal such a byte is two hexadecimal digits behind a NUL, which no path holds.
_NOT_UTF8 = re.compile("[\udc80-\udcff]")
_STORED_BYTE = re.compile("\0([89a-f][0-9a-f])")


def _as_text(path: str) -> str:
    return path if path.isascii() else _NOT_UTF8.sub(lambda found: f"\0{ord(found[0]) - 0xDC00:02x}", path)


def _as_path(text: str) -> str:
    return _STORED_BYTE.sub(lambda found: chr(0xDC00 + int(found[1], 16)), text) if "\0" in text else text


def _with_paths(record: Record, change: Callable[[str], str]) -> Record:
    if not isinstance(record, Intent):
        return record
    source = record.source and msgspec.structs.replace(record.source, path=change(record.source.path))
    return msgspec.structs.replace(record, path=change(record.path), source=source)


def records(data: bytes) -> tuple[list[Record], int]:
    """
    Every complete record of a journal, and how many bytes they take.

    What follows the last complete record was torn by a crash; the caller cuts it off before appending.

    Returns:
        The records in order, and the length of the part of ``data`` that is valid.

    Raises:
        JournalUnreadable: A record is of another version, or the beginning is damaged although a record after
            it is whole: that is no torn tail.
    """
    found: list[Record] = []
    position = 0
    while (step := _record_at(data, position)) is not None:
        record, position = step
        found.append(record)
    if not any(_may_lose_parts_after(record) for record in found):
        _refuse_damage(data, position)
    return found, position


def _record_at(data: bytes, position: int) -> tuple[Record, int] | None:
    start = position + _HEADER.size
    if start > len(data):
        return None
    payload_bytes, checksum, version = _HEADER.unpack_from(data, position)
    end = start + payload_bytes
    if not 0 < payload_bytes <= MAX_PAYLOAD_BYTES or end > len(data):
        return None
    payload = data[start:end]
    if _checksum(version, payload) != checksum:
        return None
    if version != VERSION:
        raise JournalUnreadable(
            f"a record at byte {position} is of version {version}, this is version {VERSION}",
            advice="Resume with the version of penstock that began the transfer.",
        )
    try:
        return _with_paths(_DECODER.decode(payload), _as_path), end
    except msgspec.MsgspecError as error:
        raise JournalUnreadable(
            f"the record at byte {position} is whole and cannot be understood: {error}",
            advice="Resume with the version of penstock that began the transfer.",
        ) from error


def _may_lose_parts_after(record: Record) -> bool:
    is_download = isinstance(record, Intent) and record.kind is TransferKind.DOWNLOAD
    return is_download or isinstance(record, Upload)


def _refuse_damage(data: bytes, position: int) -> None:
    # INTENT and UPLOAD were each on disk before anything was appended after them: a whole record behind a
    # broken one of these is damage, not a torn tail, and taking it for one would forget an upload. Of the
    # PART records after them, synced in groups, a power loss may well lose one and keep the next; ListParts
    # knows them.
    while (position := data.find(bytes([VERSION]), position + _HEADER.size)) >= 0:
        position -= _HEADER.size - 1
        if _record_at(data, position) is not None:
            raise JournalUnreadable(
                f"the journal is damaged before the record at byte {position}",
                advice=_BY_NAME,
            )


class JournalView(Struct, frozen=True, kw_only=True):
    """
    What the records of a journal add up to.

    Attributes:
        intent: The last INTENT.
        upload_id: None until OSS gave one.
        parts: Acknowledged parts by number, with local CRC-64.
        unsynced: Numbers of the parts of a download that no `Synced` names.
        completing: Not None if Complete may have been sent, and it is not recorded that nothing came of it.
        end: Not None if the transfer is over.
    """

    intent: Intent
    upload_id: str | None = None
    adopted: bool = False
    parts: dict[int, PartStored] = field(default_factory=dict)
    unsynced: set[int] = field(default_factory=set)
    completing: Completing | None = None
    end: End | None = None

    @property
    def unbegun(self) -> bool:
        """True if nothing was sent yet; to go on is to begin."""
        return self.intent.unbegun and self.upload_id is None and self.end is None

    @property
    def acknowledged_bytes(self) -> int:
        """What OSS confirmed, as far as it was shown."""
        return max(self.intent.acknowledged_bytes, sum(part.size_bytes for part in self.parts.values()))


def journal_view(entries: Iterable[Record]) -> JournalView | None:
    """
    Fold records into a view; None if there is no record, so that nothing was begun.

    Raises:
        JournalUnreadable: The order of the records is not one that a transfer writes.
    """
    view: JournalView | None = None
    for entry in entries:
        if view is None:
            if not isinstance(entry, Intent):
                raise _out_of_order(entry, "the first record of a journal is an INTENT")
            view = JournalView(intent=entry)
        else:
            view = _with(view, entry)
    return view


def _with(view: JournalView, entry: Record) -> JournalView:
    match entry:
        case Intent():
            if entry.job_id != view.intent.job_id:
                raise _out_of_order(entry, "the records belong to two jobs")
            return msgspec.structs.replace(view, intent=entry, parts={}, unsynced=set(), completing=None)
        case Upload():
            return JournalView(intent=view.intent, upload_id=entry.upload_id, adopted=entry.adopted)
        case PartStored():
            if not _has_begun(view):
                raise _out_of_order(entry, "a PART comes after its UPLOAD")
            # One dictionary grows under all views of a fold: copying it for each part would take for ever.
            view.parts[entry.number] = entry
            view.unsynced.add(entry.number)
            return view if view.completing is None else msgspec.structs.replace(view, completing=None)
        case Synced():
            view.unsynced.difference_update(entry.numbers)
            return view
        case Completing():
            if not _has_begun(view):
                raise _out_of_order(entry, "a COMPLETING comes after its UPLOAD")
            return msgspec.structs.replace(view, completing=entry)
        case NotCompleted():
            return msgspec.structs.replace(view, completing=None)
        case End():
            return msgspec.structs.replace(view, end=entry)


def _has_begun(view: JournalView) -> bool:
    return view.upload_id is not None or view.intent.kind is TransferKind.DOWNLOAD


def _out_of_order(entry: Record, rule: str) -> JournalUnreadable:
    return JournalUnreadable(
        f"the journal has {type(entry).__name__} where it cannot be: {rule}",
        advice=_BY_NAME,
    )


def _checksum(version: int, payload: bytes) -> int:
    return zlib.crc32(payload, version)
