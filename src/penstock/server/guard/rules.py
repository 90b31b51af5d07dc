"""The configurations of a bucket that are looked at on every request, read once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final, TypeVar

import msgspec

from penstock.protocol import xml
from penstock.protocol.operations.access import Cors, Overwriting, PublicAccessBlock, Referer, RequestPayment
from penstock.protocol.operations.object_worm import ObjectWorm
from penstock.protocol.operations.retention import ArchiveDirectRead, Encryption
from penstock.protocol.operations.website import Website
from penstock.server.guard.policy import Policy, read_policy
from penstock.server.store.faults import AccountConfigMissing, ConfigMissing
from penstock.server.store.interface import Store
from penstock.server.store.records import BucketRecord

T = TypeVar("T")
V = TypeVar("V", bound=msgspec.Struct)
PUBLIC_ACCESS_BLOCK: Final = "publicAccessBlock"
_MOST_BUCKETS = 10_000


class KeptWorm(msgspec.Struct, frozen=True, kw_only=True):
    """A retention policy as it is kept. It is withdrawn by itself a day after ``begun_s`` unless locked."""

    worm_id: str
    days: int
    begun_s: int
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """
    What is decided for a bucket; None where nothing is.

    Attributes:
        object_worm: How single objects are retained.
        overwrite: Which objects must not be overwritten.
        block: True if public access is off, for the bucket or for all of its owner.
        direct_read: True if objects of the class Archive are read without restoring them first.
        requester_pays: True if others than the owner must agree to pay.
    """

    cors: Cors | None = None
    policy: Policy | None = None
    referer: Referer | None = None
    website: Website | None = None
    encryption: Encryption | None = None
    worm: KeptWorm | None = None
    object_worm: ObjectWorm | None = None
    overwrite: Overwriting | None = None
    direct_read: bool = False
    block: bool = False
    requester_pays: bool = False


NO_RULES = Rules()


class RuleBook:
    """
    Gives the rules of a bucket, and reads them again only when the bucket's revision says that they changed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[tuple[int, int], Rules]] = {}
        self._lock = Lock()

    def of(self, bucket: BucketRecord) -> Rules:
        """The rules of a bucket; at least as new as the record."""
        moment = (bucket.created_ms, bucket.revision)
        known = self._known.get(bucket.name)
        if known is not None and known[0] == moment:
            return known[1]
        rules = self._read(bucket.name, bucket.owner)
        with self._lock:
            if len(self._known) >= _MOST_BUCKETS:
                self._known.clear()
            self._known[bucket.name] = (moment, rules)
        return rules

    def blocks_public(self, account: str) -> bool:
        """Whether an account has public access to all of its buckets off."""
        try:
            kept = self._store.get_account_config(account, PUBLIC_ACCESS_BLOCK)
        except AccountConfigMissing:
            return False
        return bool(read_document(PublicAccessBlock, kept).block)

    def _read(self, bucket: str, owner: str) -> Rules:
        block = self._document(bucket, PUBLIC_ACCESS_BLOCK, PublicAccessBlock)
        payment = self._document(bucket, "requestPayment", RequestPayment)
        direct_read = self._document(bucket, "archiveDirectRead", ArchiveDirectRead)
        return Rules(
            cors=self._document(bucket, "cors", Cors),
            policy=self._kept(bucket, "policy", read_policy),
            referer=self._document(bucket, "referer", Referer),
            website=self._document(bucket, "website", Website),
            encryption=self._document(bucket, "encryption", Encryption),
            worm=self._kept(bucket, "worm", lambda kept: msgspec.json.decode(kept, type=KeptWorm)),
            object_worm=self._document(bucket, "objectWorm", ObjectWorm),
            overwrite=self._document(bucket, "overwriteConfig", Overwriting),
            direct_read=direct_read is not None and bool(direct_read.enabled),
            block=(block is not None and bool(block.block)) or self.blocks_public(owner),
            requester_pays=payment is not None and payment.payer == "Requester",
        )

    def _document(self, bucket: str, name: str, kind: type[V]) -> V | None:
        return self._kept(bucket, name, lambda kept: read_document(kind, kept))

    def _kept(self, bucket: str, name: str, read: Callable[[bytes], T]) -> T | None:
        try:
            return read(self._store.get_config(bucket, name))
        except ConfigMissing:
            return None


_ROOT = "Configuration"


def write_document(value: msgspec.Struct) -> bytes:
    """A configuration as it is kept."""
    return xml.document(value, _ROOT)


def read_document(kind: type[V], kept: bytes) -> V:
    """A configuration that was kept."""
    return xml.read(kind, kept, _ROOT)
