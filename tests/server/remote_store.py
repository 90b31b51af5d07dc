"""As much of a store as the clients of the store's tests use, over HTTP. Nothing is ever asked twice."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

from server_desk import Answer, Wire, receive


@dataclass
class Bytes:
    """A body that is being put together."""

    data: bytearray = field(default_factory=bytearray)

    def write(self, data: bytes) -> None:
        self.data += data


class RemoteStore:
    """Asks over one connection, which is made anew if the server closed it between two requests."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._connection: socket.socket | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        if self._connection is None:
            self._connection = self._wire.connect()
        head = self._wire.head(method, target, content_length=str(len(body)), **headers)
        self._connection.sendall(head + body)
        answer = receive(self._connection, method)
        assert answer.status < 300, (method, target, answer)
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def document(self, target: str) -> ElementTree.Element:
        root = ElementTree.fromstring(self.ask("GET", target).body)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        return root

    @contextmanager
    def stage(self, expected_bytes: int | None = None) -> Iterator[Bytes]:
        yield Bytes()

    def put_object(self, bucket: str, key: str, staged: Bytes, attributes: object) -> None:
        self.ask("PUT", f"/{bucket}/{key}", bytes(staged.data))

    def append_object(self, bucket: str, key: str, position: int, staged: Bytes, attributes: object) -> None:
        self.ask("POST", f"/{bucket}/{key}?append&position={position}", bytes(staged.data))

    def copy_object(self, source: Any, bucket: str, key: str, describe: object) -> None:
        self.ask("PUT", f"/{bucket}/{key}", x_oss_copy_source=f"/{source.bucket}/{source.key}")

    def delete_object(self, bucket: str, key: str, version_id: str | None = None) -> None:
        self.ask("DELETE", f"/{bucket}/{key}" + (f"?versionId={version_id}" if version_id else ""))

    def create_upload(self, bucket: str, key: str, attributes: object) -> SimpleNamespace:
        made = self.ask("POST", f"/{bucket}/{key}?uploads")
        return SimpleNamespace(upload_id=made.element("UploadId"))

    def put_part(self, bucket: str, key: str, upload_id: str, number: int, staged: Bytes) -> None:
        self.ask("PUT", f"/{bucket}/{key}?partNumber={number}&uploadId={upload_id}", bytes(staged.data))

    def complete_upload(self, bucket: str, key: str, upload_id: str, parts: None) -> None:
        self.ask("POST", f"/{bucket}/{key}?uploadId={upload_id}", x_oss_complete_all="yes")

    def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        self.ask("DELETE", f"/{bucket}/{key}?uploadId={upload_id}")

    def list_object_versions(self, bucket: str, *, prefix: str, limit: int) -> SimpleNamespace:
        """The latest version alone, whether it is a marker or not."""
        assert limit == 1
        root = self.document(f"/{bucket}/?versions&prefix={prefix}")
        found = [one for one in root.iter() if one.tag in ("Version", "DeleteMarker")]
        (latest,) = [one for one in found if one.findtext("IsLatest") == "true"]
        return SimpleNamespace(versions=[SimpleNamespace(version_id=latest.findtext("VersionId"))])

    @contextmanager
    def get_object(self, bucket: str, key: str, version_id: str) -> Iterator[SimpleNamespace]:
        named = f"?versionId={version_id}" if bucket == "versioned" else ""
        body = self.ask("GET", f"/{bucket}/{key}{named}").body
        yield SimpleNamespace(read=lambda: body)

    def list_uploads(self, bucket: str, *, prefix: str) -> SimpleNamespace:
        root = self.document(f"/{bucket}/?uploads&prefix={prefix}")
        return SimpleNamespace(
            uploads=[
                SimpleNamespace(key=one.findtext("Key"), upload_id=one.findtext("UploadId"))
                for one in root.iter("Upload")
            ]
        )

    def list_parts(self, bucket: str, key: str, upload_id: str) -> SimpleNamespace:
        root = self.document(f"/{bucket}/{key}?uploadId={upload_id}")
        return SimpleNamespace(
            parts=[
                SimpleNamespace(
                    number=int(one.findtext("PartNumber", "")), etag=one.findtext("ETag", "").strip('"')
                )
                for one in root.iter("Part")
            ]
        )
