"""A bucket in a store, and the long calls made short: what the tests of the store share."""

from __future__ import annotations

import msgspec

from penstock.server.store import (
    Attributes,
    BucketRecord,
    DeletedObject,
    ObjectRecord,
    PartRecord,
    Store,
)

PART = 100 * 1024
KINDS = ["strict", "relaxed", "none"]


def bucket_named(name: str, owner: str = "owner", versioning: str = "") -> BucketRecord:
    return BucketRecord(
        name=name,
        owner=owner,
        region="oss-local",
        acl="private",
        storage_class="Standard",
        redundancy="LRS",
        created_ms=0,
        versioning=versioning,
    )


class Box:
    """A bucket named "box" in a store, and the long calls made short."""

    name = "box"

    def __init__(self, store: Store) -> None:
        self.store = store

    def put(self, key: str, data: bytes, *, forbid_overwrite: bool = False, **more: object) -> ObjectRecord:
        with self.store.stage(len(data)) as staged:
            staged.write(data)
            attributes = Attributes(**more)  # type: ignore[arg-type]
            return self.store.put_object(
                self.name, key, staged, attributes, forbid_overwrite=forbid_overwrite
            )

    def append(self, key: str, position: int, data: bytes) -> ObjectRecord:
        with self.store.stage() as staged:
            staged.write(data)
            return self.store.append_object(self.name, key, position, staged, Attributes())

    def read(self, key: str, version_id: str | None = None) -> bytes:
        with self.store.get_object(self.name, key, version_id) as found:
            return found.read()

    def delete(self, key: str, version_id: str | None = None) -> DeletedObject:
        return self.store.delete_object(self.name, key, version_id)

    def set_versioning(self, versioning: str) -> None:
        self.store.update_bucket(self.name, lambda old: msgspec.structs.replace(old, versioning=versioning))

    def versions(self) -> list[ObjectRecord]:
        return list(self.store.list_object_versions(self.name, limit=1000).versions)

    def begin(self, key: str, *, sequential: bool = False, **more: object) -> str:
        attributes = Attributes(**more)  # type: ignore[arg-type]
        return self.store.create_upload(self.name, key, attributes, sequential=sequential).upload_id

    def part(self, key: str, upload_id: str, number: int, data: bytes) -> PartRecord:
        with self.store.stage(len(data)) as staged:
            staged.write(data)
            return self.store.put_part(self.name, key, upload_id, number, staged)

    def complete(
        self,
        key: str,
        upload_id: str,
        parts: list[PartRecord] | None,
        *,
        acl: str | None = None,
        forbid_overwrite: bool = False,
    ) -> ObjectRecord:
        listed = None if parts is None else [(part.number, part.etag) for part in parts]
        return self.store.complete_upload(
            self.name, key, upload_id, listed, acl=acl, forbid_overwrite=forbid_overwrite
        )

    def keys(self) -> list[str]:
        return [found.key for found in self.store.list_objects(self.name, limit=1000).objects]
