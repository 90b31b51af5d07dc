"""Objects that are removed, many at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from penstock.protocol.limits import MAX_DELETE_KEYS

if TYPE_CHECKING:
    from penstock.client.client import Client


def remove_objects(client: Client, bucket: str, keys: Iterable[str]) -> Iterator[str]:
    """Remove objects, and give each key once its object is gone. Nothing happens unless it is iterated."""
    left = iter(keys)
    while batch := list(islice(left, MAX_DELETE_KEYS)):
        if len(batch) == 1:
            client.delete_object(bucket, batch[0])
        else:
            client.delete_multiple_objects(bucket, batch, quiet=True)
        yield from batch
