"""The unfinished transfers of this user, found again by what is copied where."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.copy_job import CopyOptions
from penstock.cli.unfinished import open_uploads, short_id, token_of, where_journals_are
from penstock.protocol.urls import OssUrl
from penstock.transfer.journal import TransferKind

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.protocol.operations.headers import ObjectDescription
    from penstock.transfer.journal import JournalView

Say = Callable[[str], None]


class UnfinishedCopies:
    """The journals, read once and looked up by source and target."""

    def __init__(self, client: Client, options: CopyOptions, say: Say) -> None:
        endpoint = str(client.settings.endpoint)
        self._client = client
        self._options = options
        self._say = say
        self._views: dict[tuple[str, str], JournalView] = {}
        for upload in open_uploads():
            intent = upload.view.intent
            if upload.view.end is not None or intent.endpoint != endpoint:
                continue
            if intent.kind is TransferKind.DOWNLOAD:
                if not intent.version_id:
                    self._views[upload.url, intent.path] = upload.view
            elif intent.source is not None and not intent.source.version_id:
                self._views[intent.source.path, upload.url] = upload.view

    def of(self, path: Path, url: OssUrl) -> str | None:
        """The token of the newest upload of this file to this key that was begun with the same options."""
        absolute = os.path.abspath(path)  # noqa: PTH100 - as journals name it: links are not followed
        view = self._views.get((absolute, str(url)))
        if view is None:
            return None
        if not self._is_alike(view):
            self._say_left(
                f"{url} has an unfinished upload of this file that was begun with other options", view
            )
            return None
        source = view.intent.source
        status = path.stat()
        as_begun = None if source is None else (source.size_bytes, source.mtime_ns)
        if not view.unbegun and as_begun not in (None, (status.st_size, status.st_mtime_ns)):
            self._say(f"{path} was changed since its upload began; parts that still equal it are kept")
        return token_of(view)

    def of_download(self, url: OssUrl, path: Path, etag: str | None) -> str | None:
        """The token of the newest download of this object, as it is now, to this file."""
        view = self._views.get((str(url), os.path.realpath(path)))
        if view is None:
            return None
        target = view.intent.target
        if target is None or target.etag != etag:
            self._say_left(f"{url} was changed since its unfinished download to {path} began", view)
            return None
        return token_of(view)

    def of_copy(self, source_url: OssUrl, url: OssUrl) -> str | None:
        """The token of the newest copy of this object, as it is now, that was begun with the same options."""
        view = self._views.get((str(source_url), str(url)))
        if view is None or view.intent.source is None:
            return None
        there = self._client.head_object(source_url.bucket, source_url.key)
        # Other parts would have to be read here to be compared: OSS makes them anew with less.
        if there.etag != view.intent.source.etag:
            self._say_left(f"{source_url} was changed since its unfinished copy to {url} began", view)
            return None
        if not self._is_alike(view, there):
            self._say_left(
                f"{url} has an unfinished copy of {source_url} that was begun with other options", view
            )
            return None
        return token_of(view)

    def _is_alike(self, view: JournalView, copied: ObjectDescription | None = None) -> bool:
        """Whether it was begun with these options; ``copied`` is the object that a copy reads."""
        from penstock.client.transfers.upload_calls import OWNERSHIP_METADATA

        wanted = self._options.object_options
        begun = view.intent.options
        headers = begun.headers
        content_type, metadata = wanted.get("content_type"), dict(wanted.get("metadata", {}))
        if copied is not None and not self._options.replaces_metadata:
            content_type, metadata = copied.content_type, dict(copied.metadata)
            metadata.pop(OWNERSHIP_METADATA, None)
        return (
            self._options.part_bytes in (None, view.intent.part_bytes)
            and content_type in (None, begun.content_type)
            and metadata == begun.metadata
            and wanted.get("acl") == headers.get("x-oss-object-acl")
            and wanted.get("storage_class") == headers.get("x-oss-storage-class")
            and self._options.forbid_overwrite == view.intent.forbid_overwrite
        )

    def _say_left(self, why: str, view: JournalView) -> None:
        remove = f"{where_journals_are()}penstock uploads cancel {short_id(view.intent.job_id)}"
        self._say(f"{why}; this is a new one (to remove the old one: {remove})")
