"""Calls about buckets."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.client.calls.caller import Caller
from penstock.client.calls.options import check_acl
from penstock.protocol.operation import Result
from penstock.protocol.operations import buckets as wire


class BucketCalls(Caller):
    """Make, list, describe and remove buckets."""

    def put_bucket(
        self,
        bucket: str,
        *,
        acl: str | None = None,
        storage_class: str | None = None,
        redundancy: str | None = None,
    ) -> Result:
        """
        Make a bucket; making one's own bucket again is a success.

        Args:
            acl: ``private`` (default), ``public-read`` or ``public-read-write``.
            storage_class: As of objects; ``Standard`` by default.
            redundancy: ``LRS`` or ``ZRS``.
        """
        check_acl(acl)
        body = None
        if storage_class is not None or redundancy is not None:
            body = wire.BucketConfiguration(storage_class=storage_class, redundancy=redundancy)
        return self._call(wire.PutBucket(bucket=bucket, acl=acl, body=body), Result)

    def list_buckets(
        self, *, prefix: str | None = None, marker: str | None = None, max_keys: int | None = None
    ) -> wire.ListBucketsResult:
        """One page of the caller's buckets; `iter_buckets` goes through all pages."""
        return self._call(
            wire.ListBuckets(prefix=prefix, marker=marker, max_keys=max_keys), wire.ListBucketsResult
        )

    def iter_buckets(self, *, prefix: str | None = None) -> Iterator[wire.ListedBucket]:
        """All of the caller's buckets by name; pages are asked for as needed."""
        marker: str | None = None
        while True:
            page = self.list_buckets(prefix=prefix, marker=marker)
            yield from page.buckets
            if not page.is_truncated:
                return
            marker = page.next_marker

    def delete_bucket(self, bucket: str) -> Result:
        """Remove an empty bucket. Raises Conflict (BucketNotEmpty) if it holds objects or open uploads."""
        return self._call(wire.DeleteBucket(bucket=bucket), Result)

    def get_bucket_info(self, bucket: str) -> wire.BucketInfo:
        """What a bucket is: location, owner, class, access ..."""
        return self._call(wire.GetBucketInfo(bucket=bucket), wire.BucketInfo)

    def get_bucket_location(self, bucket: str) -> wire.BucketLocation:
        """Where a bucket is, such as ``oss-cn-hangzhou``."""
        return self._call(wire.GetBucketLocation(bucket=bucket), wire.BucketLocation)

    def get_bucket_stat(self, bucket: str) -> wire.BucketStat:
        """How much a bucket holds, in bytes, objects and open uploads."""
        return self._call(wire.GetBucketStat(bucket=bucket), wire.BucketStat)
