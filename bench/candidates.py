"""
The clients that are compared, each with the same two words: make it ready, put some objects.

Bodies are signed without their hash everywhere (UNSIGNED-PAYLOAD), and retries and time-outs are left as they
are. penstock and alibabacloud-oss-v2 also compute the CRC-64 of what they send; obstore does not.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol


class Target(NamedTuple):
    """Where to put what: ``ca_file`` is None for plain HTTP."""

    port: int
    ca_file: str | None
    body: bytes
    path: str | None

    @property
    def url(self) -> str:
        return f"{'https' if self.ca_file else 'http'}://127.0.0.1:{self.port}"


class Candidate(Protocol):
    """One way to put objects."""

    def __init__(self, target: Target) -> None: ...

    def run(self, count: int, concurrency: int) -> None:
        """Puts ``count`` objects, ``concurrency`` at a time, and returns when all are acknowledged."""


def _in_threads(put: Callable[[int], Any], count: int, concurrency: int) -> None:
    failures: list[BaseException] = []

    def work(first: int) -> None:
        try:
            for number in range(first, count, concurrency):
                put(number)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)

    if concurrency == 1:
        work(0)
    else:
        threads = [threading.Thread(target=work, args=(first,)) for first in range(concurrency)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]


class _InLoop:
    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()

    def put_all(self, put: Callable[[int], Awaitable[Any]], count: int, concurrency: int) -> None:
        async def work(first: int) -> None:
            for number in range(first, count, concurrency):
                await put(number)

        async def all_of_them() -> None:
            await asyncio.gather(*(work(first) for first in range(concurrency)))

        self._loop.run_until_complete(all_of_them())


def _penstock_arguments(target: Target) -> dict[str, Any]:
    import penstock

    return {
        "endpoint": target.url,
        "region": "cn-hangzhou",
        "credentials": penstock.Credentials("LTAIexample", "secret"),
        "network": penstock.NetSettings(ca_file=target.ca_file, proxy=""),
    }


class Penstock:
    def __init__(self, target: Target) -> None:
        import penstock

        self._client = penstock.Client(**_penstock_arguments(target))
        self._body: bytes | str = target.path or target.body
        self._is_part = len(target.body) > 1 << 20

    def run(self, count: int, concurrency: int) -> None:
        _in_threads(self._part if self._is_part else self._object, count, concurrency)

    def _object(self, number: int) -> None:
        self._client.put_object("bucket", f"key-{number}", self._body)

    def _part(self, number: int) -> None:
        self._client.upload_part("bucket", "key", "0004B9894A22E5B1888A1E29F823", 1 + number, self._body)


class PenstockAsync:
    def __init__(self, target: Target) -> None:
        import penstock

        self._client = penstock.AsyncClient(**_penstock_arguments(target))
        self._body: bytes | str = target.path or target.body
        self._is_part = len(target.body) > 1 << 20
        self._loop = _InLoop()

    def run(self, count: int, concurrency: int) -> None:
        self._loop.put_all(self._part if self._is_part else self._object, count, concurrency)

    async def _object(self, number: int) -> None:
        await self._client.put_object("bucket", f"key-{number}", self._body)

    async def _part(self, number: int) -> None:
        await self._client.upload_part(
            "bucket", "key", "0004B9894A22E5B1888A1E29F823", 1 + number, self._body
        )


def _obstore_store(target: Target) -> Any:
    from obstore.store import S3Store

    return S3Store(
        "bucket",
        endpoint=target.url,
        region="us-east-1",
        access_key_id="LTAIexample",
        secret_access_key="secret",
        unsigned_payload=True,
        virtual_hosted_style_request=False,
        client_options={"allow_http": True, "allow_invalid_certificates": True},
    )


class Obstore:
    def __init__(self, target: Target) -> None:
        import obstore

        self._obstore = obstore
        self._store = _obstore_store(target)
        self._body: bytes | Path = Path(target.path) if target.path else target.body

    def run(self, count: int, concurrency: int) -> None:
        _in_threads(self._put, count, concurrency)

    def _put(self, number: int) -> None:
        self._obstore.put(self._store, f"key-{number}", self._body, use_multipart=False)


class ObstoreAsync:
    def __init__(self, target: Target) -> None:
        import obstore

        self._obstore = obstore
        self._store = _obstore_store(target)
        self._body: bytes | Path = Path(target.path) if target.path else target.body
        self._loop = _InLoop()

    def run(self, count: int, concurrency: int) -> None:
        self._loop.put_all(self._put, count, concurrency)

    async def _put(self, number: int) -> None:
        await self._obstore.put_async(self._store, f"key-{number}", self._body, use_multipart=False)


class OssV2:
    def __init__(self, target: Target) -> None:
        import alibabacloud_oss_v2 as oss

        config = oss.config.load_default()
        config.credentials_provider = oss.credentials.StaticCredentialsProvider("LTAIexample", "secret")
        config.region = "cn-hangzhou"
        config.endpoint = target.url
        if target.ca_file:
            os.environ["REQUESTS_CA_BUNDLE"] = target.ca_file
        self._oss = oss
        self._client = oss.Client(config)
        self._path = target.path
        self._body = target.body

    def run(self, count: int, concurrency: int) -> None:
        _in_threads(self._put, count, concurrency)

    def _put(self, number: int) -> None:
        request = self._oss.PutObjectRequest(bucket="bucket", key=f"key-{number}")
        if self._path is None:
            request.body = self._body
            self._client.put_object(request)
        else:
            self._client.put_object_from_file(request, self._path)


CANDIDATES: dict[str, type[Candidate]] = {
    "penstock": Penstock,
    "obstore": Obstore,
    "alibabacloud-oss-v2": OssV2,
    "penstock, asyncio": PenstockAsync,
    "obstore, asyncio": ObstoreAsync,
}
