"""Calls that list the objects of a bucket."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.client.calls.caller import Caller
from penstock.protocol import limits
from penstock.protocol.operations import listing as wire


class ListingCalls(Caller):
    """Pages of objects, and iterators over all of them."""

    def list_objects(
        self,
        bucket: str,
        *,
        prefix: str | None = None,
        delimiter: str | None = None,
        marker: str | None = None,
        max_keys: int | None = None,
    ) -> wire.ListObjectsResult:
        """
        One page of objects whose keys follow ``marker``, in the order of their UTF-8 bytes.

        Args:
            delimiter: Keys alike up to it (after the prefix) are listed once, in ``common_prefixes``.
            max_keys: At most 1,000; OSS takes 100 if not given.
        """
        return self._call(
            wire.ListObjects(
                bucket=bucket,
                prefix=prefix,
                delimiter=delimiter,
                marker=marker,
                max_keys=max_keys,
                encoding_type="url",
            ),
            wire.ListObjectsResult,
        )

    def list_objects_v2(
        self,
        bucket: str,
        *,
        prefix: str | None = None,
        delimiter: str | None = None,
        start_after: str | None = None,
        continuation_token: str | None = None,
        max_keys: int | None = None,
        fetch_owner: bool | None = None,
    ) -> wire.ListObjectsV2Result:
        """One page of objects; the next one is asked for with ``next_continuation_token``."""
        return self._call(
            wire.ListObjectsV2(
                bucket=bucket,
                prefix=prefix,
                delimiter=delimiter,
                start_after=start_after,
                continuation_token=continuation_token,
                max_keys=max_keys,
                fetch_owner=fetch_owner,
                encoding_type="url",
            ),
            wire.ListObjectsV2Result,
        )

    def iter_objects(
        self, bucket: str, *, prefix: str | None = None, start_after: str | None = None
    ) -> Iterator[wire.ListedObject]:
        """All objects in order of their keys; pages are asked for as needed."""
        for page in self._pages(bucket, prefix, None, start_after):
            yield from page.objects

    def iter_folder(
        self, bucket: str, prefix: str = "", *, delimiter: str = "/"
    ) -> Iterator[wire.ListedObject | wire.CommonPrefix]:
        """Objects and common prefixes right below ``prefix``, in order; pages are asked for as needed."""
        for page in self._pages(bucket, prefix, delimiter, None):
            entries: list[wire.ListedObject | wire.CommonPrefix] = [*page.objects, *page.common_prefixes]
            yield from sorted(entries, key=_sort_key)

    def _pages(
        self, bucket: str, prefix: str | None, delimiter: str | None, start_after: str | None
    ) -> Iterator[wire.ListObjectsV2Result]:
        token: str | None = None
        while True:
            page = self.list_objects_v2(
                bucket,
                prefix=prefix,
                delimiter=delimiter,
                start_after=start_after,
                continuation_token=token,
                max_keys=limits.MAX_LIST_KEYS,
            )
            yield page
            if not page.is_truncated:
                return
            token = page.next_continuation_token


def _sort_key(entry: wire.ListedObject | wire.CommonPrefix) -> bytes:
    return (entry.key if isinstance(entry, wire.ListedObject) else entry.prefix).encode()
