"""The configurations of a bucket that are looked at on every request, read once and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar

import msgspec

from penstock.protocol import xml
from penstock.protocol.operations.access import Cors, PublicAccessBlock, Referer, RequestPayment
from penstock.protocol.operations.publishing import Website
from penstock.protocol.operations.retention import Encryption
from penstock.server.guard.policy import Policy, read_policy
from penstock.server.store.faults import ConfigMissing
from penstock.server.store.interface import Store
from penstock.server.store.records import BucketRecord

T = TypeVar("T")
V = TypeVar("V", bound=msgspec.Struct)
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
        block: True if public access is off.
        requester_pays: True if others than the owner must agree to pay.
    """

    cors: Cors | None = None
    policy: Policy | None = None
    referer: Referer | None = None
    website: Website | None = None
    encryption: Encryption | None = None
    worm: KeptWorm | None = None
    block: bool = False
    requester_pays: bool = False


NO_RULES = Rules()


class RuleBook:
    """
    Gives the rules of a bucket.

    Nobody but this server writes to its store, so what was read once is right until it is forgotten.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[int, Rules]] = {}
        self._changes = 0
        self._lock = Lock()

    def of(self, bucket: BucketRecord) -> Rules:
        """The rules of a bucket."""
        known = self._known.get(bucket.name)
        if known is not None and known[0] == bucket.created_ms:
            return known[1]
        changes = self._changes
        rules = self._read(bucket.name)
        with self._lock:
            # What was read while somebody changed it may be old: it serves this once.
            if changes == self._changes:
                if len(self._known) >= _MOST_BUCKETS:
                    self._known.clear()
                self._known[bucket.name] = (bucket.created_ms, rules)
        return rules

    def forget(self, bucket: str) -> None:
        """To be called after a configuration of a bucket, or the bucket, was written or removed."""
        with self._lock:
            self._changes += 1
            self._known.pop(bucket, None)

    def _read(self, bucket: str) -> Rules:
        block = self._document(bucket, "publicAccessBlock", PublicAccessBlock)
        payment = self._document(bucket, "requestPayment", RequestPayment)
        return Rules(
            cors=self._document(bucket, "cors", Cors),
            policy=self._kept(bucket, "policy", read_policy),
            referer=self._document(bucket, "referer", Referer),
            website=self._document(bucket, "website", Website),
            encryption=self._document(bucket, "encryption", Encryption),
            worm=self._kept(bucket, "worm", lambda kept: msgspec.json.decode(kept, type=KeptWorm)),
            block=block is not None and bool(block.block),
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
