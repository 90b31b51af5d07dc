"""A local OSS that can hold parts back, and the command line in processes of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import penstock
from penstock.errors import ServiceError
from penstock.server.answers import error_response
from penstock.server.http.response import Response
from penstock.server.interceptor import Interceptor, Seen
from penstock.server.local_oss import LocalOss

KEYS = ("tester", "not-a-secret")


class Door(Interceptor):
    """Counts what comes, and holds the parts that come after the first few until it is opened."""

    def __init__(self) -> None:
        self.parts_received: list[int] = []
        self.let_through: int | None = None
        self.hold_downloads = False
        self.downloads_held = 0
        self.puts_begun = 0
        self.refused_part: int | None = None
        self.ranges: list[str] = []
        self.ranges_let_through: int | None = None
        self.hold_completes = False
        self.completed = 0

    async def on_head(self, seen: Seen) -> Response | None:
        if seen.request.method == "PUT" and seen.request.path.endswith("/stream"):
            self.puts_begun += 1
        if seen.request.method == "GET" and self.hold_downloads:
            self.downloads_held += 1
            await asyncio.Event().wait()
        if seen.request.method == "GET" and "range" in seen.request.headers:
            if self.ranges_let_through is not None:
                if self.ranges_let_through <= 0:
                    await asyncio.Event().wait()
                self.ranges_let_through -= 1
            self.ranges.append(seen.request.headers["range"])
        if "partNumber" in seen.request.query and self.let_through is not None:
            if self.let_through <= 0:
                # Never answered: only an abort of the client ends this request.
                await asyncio.Event().wait()
            self.let_through -= 1
        return None

    async def before_store(self, seen: Seen) -> Response | None:
        query = dict(part.partition("=")[::2] for part in seen.request.query.split("&"))
        if self.refused_part is not None and query.get("partNumber") == str(self.refused_part):
            refused = ServiceError("No.", status=403, code="AccessDenied")
            return error_response(refused, "PUT", "", "0" * 24, 0.0)
        if "partNumber" in query:
            self.parts_received.append(int(query["partNumber"]))
        return None

    async def before_response(self, seen: Seen, response: Response) -> Response:
        if seen.request.method == "POST" and "uploadId" in seen.request.query:
            self.completed += 1
            if self.hold_completes:
                await asyncio.Event().wait()
        return response


@dataclass(frozen=True)
class World:
    """A running OSS, a client of it, and a place for files."""

    oss: LocalOss
    client: penstock.Client
    door: Door
    folder: Path
    environment: dict[str, str]

    def file(self, name: str, size_bytes: int) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size_bytes))
        return path

    def read(self, key: str) -> bytes:
        with self.client.get_object("bucket", key) as body:
            return body.read()

    def uploads(self) -> list[str]:
        return [upload.upload_id for upload in self.client.iter_multipart_uploads("bucket")]

    def start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "penstock.cli", *map(str, words)],
            env={**os.environ, **self.environment},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
