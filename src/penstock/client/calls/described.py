"""Calls about what is said of buckets and objects: access, tags, symbolic links."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from penstock.client.calls.caller import Caller
from penstock.client.calls.options import ObjectOptions, check_acl, checked
from penstock.protocol import names
from penstock.protocol.operation import Result
from penstock.protocol.operations import settings as wire
from penstock.protocol.operations.headers import StoredResult


class DescriptionCalls(Caller):
    """Access rules, tags, symbolic links."""

    def put_bucket_acl(self, bucket: str, acl: str) -> Result:
        """Decide who may use a bucket: ``private``, ``public-read`` or ``public-read-write``."""
        check_acl(acl)
        return self._call(wire.PutBucketAcl(bucket=bucket, acl=acl), Result)

    def get_bucket_acl(self, bucket: str) -> wire.AccessControl:
        """Who may use a bucket."""
        return self._call(wire.GetBucketAcl(bucket=bucket), wire.AccessControl)

    def put_object_acl(
        self, bucket: str, key: str, acl: str, *, version_id: str | None = None
    ) -> wire.VersionResult:
        """Decide who may use an object; ``default`` is what its bucket says."""
        check_acl(acl)
        return self._call(
            wire.PutObjectAcl(bucket=bucket, key=key, acl=acl, version_id=version_id), wire.VersionResult
        )

    def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> wire.AccessControl:
        """Who may use an object."""
        return self._call(
            wire.GetObjectAcl(bucket=bucket, key=key, version_id=version_id), wire.AccessControl
        )

    def put_object_tagging(
        self, bucket: str, key: str, tags: Mapping[str, str], *, version_id: str | None = None
    ) -> wire.VersionResult:
        """Replace all tags of an object; at most 10."""
        names.check_tags(tags)
        return self._call(
            wire.PutObjectTagging(bucket=bucket, key=key, body=_tag_set(tags), version_id=version_id),
            wire.VersionResult,
        )

    def get_object_tagging(self, bucket: str, key: str, *, version_id: str | None = None) -> dict[str, str]:
        """The tags of an object."""
        answer = self._call(
            wire.GetObjectTagging(bucket=bucket, key=key, version_id=version_id), wire.Tagging
        )
        return {tag.key: tag.value for tag in answer.tags}

    def delete_object_tagging(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> wire.VersionResult:
        """Remove all tags of an object."""
        return self._call(
            wire.DeleteObjectTagging(bucket=bucket, key=key, version_id=version_id), wire.VersionResult
        )

    def put_bucket_tags(self, bucket: str, tags: Mapping[str, str]) -> Result:
        """Replace all tags of a bucket; at most 20."""
        names.check_tags(tags, for_bucket=True)
        return self._call(wire.PutBucketTags(bucket=bucket, body=_tag_set(tags)), Result)

    def get_bucket_tags(self, bucket: str) -> dict[str, str]:
        """The tags of a bucket."""
        answer = self._call(wire.GetBucketTags(bucket=bucket), wire.Tagging)
        return {tag.key: tag.value for tag in answer.tags}

    def delete_bucket_tags(self, bucket: str) -> Result:
        """Remove all tags of a bucket."""
        return self._call(wire.DeleteBucketTags(bucket=bucket), Result)

    def put_symlink(
        self,
        bucket: str,
        key: str,
        target: str,
        *,
        forbid_overwrite: bool | None = None,
        **options: Unpack[ObjectOptions],
    ) -> StoredResult:
        """Make an object that stands for ``target``, another key of the same bucket."""
        names.check_key(target)
        request = wire.PutSymlink(
            bucket=bucket, key=key, target=target, forbid_overwrite=forbid_overwrite, **checked(options, key)
        )
        return self._call(request, StoredResult)

    def get_symlink(self, bucket: str, key: str, *, version_id: str | None = None) -> wire.Symlink:
        """Which key a symbolic link stands for."""
        return self._call(wire.GetSymlink(bucket=bucket, key=key, version_id=version_id), wire.Symlink)


def _tag_set(tags: Mapping[str, str]) -> wire.TagSet:
    return wire.TagSet(tags=tuple(wire.Tag(key=name, value=text) for name, text in tags.items()))
