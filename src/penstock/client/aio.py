"""
The client for asyncio: the same calls, awaited.

A call runs on one of the client's threads while the event loop goes on. Cancelling the task that awaits it
is an abort: the request is stopped at once and the task ends when it is quiet, so that no upload outlives
its task.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from functools import wraps
from itertools import islice
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from penstock.client.aio_group import AsyncGroup
from penstock.client.aio_transfer import AsyncTransfer, began, done, let_go, quiet, raise_beside
from penstock.client.calls.caller import Caller
from penstock.client.calls.object_body import CHUNK_BYTES, ObjectBody
from penstock.client.calls.select_body import SelectBody
from penstock.client.client import Client
from penstock.client.sending.call import Call
from penstock.client.sending.outcome import Outcome
from penstock.client.transfers.copies import CopyOptions
from penstock.client.transfers.downloads import DownloadOptions
from penstock.client.transfers.part_source import UploadSource
from penstock.client.transfers.uploads import ResumeOptions, UploadOptions
from penstock.transfer.outcome import Outcome as TransferOutcome
from penstock.transfer.outcome import Stored

P = ParamSpec("P")
T = TypeVar("T")
C = TypeVar("C", bound=Caller)

_BATCH = 1000


def awaited(
    method: Callable[Concatenate[C, P], T],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, T]]:
    """The same call, awaited."""

    @wraps(method)
    async def run(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(method, *args, **kwargs)

    return run


def iterated(
    method: Callable[Concatenate[C, P], Iterator[T]],
) -> Callable[Concatenate[AsyncClient, P], AsyncIterator[T]]:
    """The same iterator, asynchronous."""

    @wraps(method)
    async def run(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        items = method(self.client, *args, **kwargs)  # type: ignore[arg-type]
        while batch := await self._run(lambda client: list(islice(items, _BATCH))):
            for item in batch:
                yield item

    return run


def opened(
    method: Callable[Concatenate[C, P], ObjectBody],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, AsyncObjectBody]]:
    """The same call, awaited, and so is what it opens."""

    @wraps(method)
    async def run(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> AsyncObjectBody:
        return AsyncObjectBody(self, await self._run(method, *args, **kwargs))

    return run


def taking_what(
    constructor: Callable[Concatenate[Client, P], None],
) -> Callable[[Callable[..., None]], Callable[Concatenate[AsyncClient, P], None]]:
    """Give a constructor the arguments of another one."""

    def decorate(init: Callable[..., None]) -> Callable[Concatenate[AsyncClient, P], None]:
        return wraps(constructor)(init)

    return decorate


class AsyncObjectBody:
    """As `ObjectBody`, awaited: ``await body.read()``, ``async for chunk in body``."""

    def __init__(self, client: AsyncClient, body: ObjectBody) -> None:
        self._client = client
        self._body = body
        self.description = body.description

    async def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes, fewer only at the end; all that is left if negative."""
        return await self._client._run(lambda client: self._body.read(size))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while chunk := await self.read(4 * CHUNK_BYTES):
            yield chunk

    def close(self) -> None:
        """Let go of the connection; what was not read is thrown away."""
        self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncSelectBody:
    """As `SelectBody`, awaited: ``await body.read()``, ``async for piece in body``."""

    def __init__(self, client: AsyncClient, body: SelectBody) -> None:
        self._client = client
        self._body = body
        self.description = body.description

    @property
    def scanned_bytes(self) -> int:
        """As `SelectBody.scanned_bytes`."""
        return self._body.scanned_bytes

    async def read(self, size: int = -1) -> bytes:
        """The next ``size`` bytes of records, fewer only at the end; all that is left if negative."""
        return await self._client._run(lambda client: self._body.read(size))

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._client._run(lambda client: next(iter(self._body), b"")):
            yield piece

    def close(self) -> None:
        """Let go of the connection; what was not read is thrown away."""
        self._body.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """
    A client of OSS for asyncio. The arguments are those of `Client`, and so are the calls.

    Uploads also take asynchronous iterables of bytes.

    Attributes:
        client: The blocking client underneath, which shares settings, connections and switch.

    Example:
        async with penstock.AsyncClient("http://127.0.0.1:9000", region="cn-hangzhou") as client:
            task = asyncio.create_task(client.put_object("bucket", "key", "a file"))
            await asyncio.sleep(1)
            task.cancel()       # stops the upload now
    """

    @taking_what(Client.__init__)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.client = Client(*args, **kwargs)

    put_object = awaited(Client.put_object)
    append_object = awaited(Client.append_object)
    head_object = awaited(Client.head_object)
    get_object_meta = awaited(Client.get_object_meta)
    object_exists = awaited(Client.object_exists)
    get_object = opened(Client.get_object)
    delete_object = awaited(Client.delete_object)
    delete_multiple_objects = awaited(Client.delete_multiple_objects)
    copy_object = awaited(Client.copy_object)
    get_object_to_file = awaited(Client.get_object_to_file)

    initiate_multipart_upload = awaited(Client.initiate_multipart_upload)
    upload_part = awaited(Client.upload_part)
    upload_part_copy = awaited(Client.upload_part_copy)
    complete_multipart_upload = awaited(Client.complete_multipart_upload)
    abort_multipart_upload = awaited(Client.abort_multipart_upload)
    list_parts = awaited(Client.list_parts)
    iter_parts = iterated(Client.iter_parts)
    list_multipart_uploads = awaited(Client.list_multipart_uploads)
    iter_multipart_uploads = iterated(Client.iter_multipart_uploads)

    list_objects = awaited(Client.list_objects)
    list_objects_v2 = awaited(Client.list_objects_v2)
    iter_objects = iterated(Client.iter_objects)
    iter_folder = iterated(Client.iter_folder)

    put_bucket = awaited(Client.put_bucket)
    list_buckets = awaited(Client.list_buckets)
    iter_buckets = iterated(Client.iter_buckets)
    delete_bucket = awaited(Client.delete_bucket)
    get_bucket_info = awaited(Client.get_bucket_info)
    get_bucket_location = awaited(Client.get_bucket_location)
    get_bucket_stat = awaited(Client.get_bucket_stat)

    put_bucket_acl = awaited(Client.put_bucket_acl)
    get_bucket_acl = awaited(Client.get_bucket_acl)
    put_object_acl = awaited(Client.put_object_acl)
    get_object_acl = awaited(Client.get_object_acl)
    put_object_tagging = awaited(Client.put_object_tagging)
    get_object_tagging = awaited(Client.get_object_tagging)
    delete_object_tagging = awaited(Client.delete_object_tagging)
    put_bucket_tags = awaited(Client.put_bucket_tags)
    get_bucket_tags = awaited(Client.get_bucket_tags)
    delete_bucket_tags = awaited(Client.delete_bucket_tags)
    put_symlink = awaited(Client.put_symlink)
    get_symlink = awaited(Client.get_symlink)

    create_select_object_meta = awaited(Client.create_select_object_meta)

    # Signing a URL sends nothing, but the credentials may have to be waited for.
    presign_get = awaited(Client.presign_get)
    presign_head = awaited(Client.presign_head)
    presign_put = awaited(Client.presign_put)

    async def select_object(self, bucket: str, key: str, expression: str, **options: Any) -> AsyncSelectBody:
        """Read the records that a statement wants; the arguments are those of `Client.select_object`."""
        body = await self._run(Client.select_object, bucket, key, expression, **options)
        return AsyncSelectBody(self, body)

    async def upload(
        self, source: UploadSource, target: str, **options: Unpack[UploadOptions]
    ) -> AsyncTransfer:
        """Begin an upload of any size; the arguments are those of `Client.upload`."""
        return await began(lambda: self.client.upload(source, target, **options))

    async def download(
        self, source: str, path: str | os.PathLike[str], **options: Unpack[DownloadOptions]
    ) -> AsyncTransfer:
        """Begin a download of any size; the arguments are those of `Client.download`."""
        return AsyncTransfer(await self._run(Client.download, source, path, **options))

    async def copy(self, source: str, target: str, **options: Unpack[CopyOptions]) -> AsyncTransfer:
        """Begin to copy an object of any size; the arguments are those of `Client.copy`."""
        return AsyncTransfer(await self._run(Client.copy, source, target, **options))

    async def resume(
        self, what: str, source: UploadSource | None = None, **options: Unpack[ResumeOptions]
    ) -> AsyncTransfer:
        """Go on with a transfer that was stopped; the arguments are those of `Client.resume`."""
        return AsyncTransfer(await self._run(Client.resume, what, source, **options))

    async def cancel_upload(self, what: str) -> TransferOutcome:
        """As `Client.cancel_upload`; it works while requests are disabled."""
        return await asyncio.to_thread(self.client.cancel_upload, what)

    resolve_upload = awaited(Client.resolve_upload)

    def group(self, *, parallel: int = 3, bandwidth_limit_bytes_s: float | None = None) -> AsyncGroup:
        """As `Client.group`; it does not wait, so it is not awaited."""
        return AsyncGroup(
            self.client.group(parallel=parallel, bandwidth_limit_bytes_s=bandwidth_limit_bytes_s)
        )

    async def upload_many(
        self,
        pairs: Iterable[tuple[UploadSource, str]],
        *,
        parallel_files: int = 3,
        **options: Unpack[UploadOptions],
    ) -> list[Outcome[Stored]]:
        """As `Client.upload_many`. Cancelling the task aborts all."""
        group = self.group(parallel=parallel_files)
        try:
            for source, target in pairs:
                await group.upload(source, target, **options)
        except BaseException:
            group.abort("exception")
            await group.wait_until_quiet()
            raise
        return await group.outcomes()

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        """As `Client.bandwidth_limit_bytes_s`."""
        return self.client.bandwidth_limit_bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self.client.bandwidth_limit_bytes_s = bytes_s

    def disable_requests(self) -> None:
        """As `Client.disable_requests`; it does not wait, so it is not awaited."""
        self.client.disable_requests()

    def enable_requests(self) -> None:
        """As `Client.enable_requests`."""
        self.client.enable_requests()

    @property
    def requests_enabled(self) -> bool:
        """As `Client.requests_enabled`."""
        return self.client.requests_enabled

    async def aclose(self) -> None:
        """Stop what still runs and let go of threads and connections."""
        await asyncio.to_thread(self.client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, method: Callable[Concatenate[C, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        pulled = [_Pulled(arg, loop) if isinstance(arg, AsyncIterable) else arg for arg in args]
        if any(isinstance(value, AsyncIterable) for value in kwargs.values()):
            for name, value in list(kwargs.items()):
                if isinstance(value, AsyncIterable):
                    kwargs[name] = _Pulled(value, loop)
        call: Call[T] = self.client.submit(method, self.client, *pulled, **kwargs)  # type: ignore[arg-type]
        return await _end_of(call, loop)


async def _end_of(call: Call[T], loop: asyncio.AbstractEventLoop) -> T:
    try:
        await done(call, loop)
    except asyncio.CancelledError as cancelled:
        call.abort("cancelled")
        await quiet(call, loop)
        raise_beside(cancelled, await let_go(call.outcome(0), loop))
    return call.result(0)


class _Pulled:
    """The blocks of an asynchronous iterable, for another thread, which waits for the loop to make each."""

    def __init__(self, blocks: AsyncIterable[bytes], loop: asyncio.AbstractEventLoop) -> None:
        self._blocks = aiter(blocks)
        self._loop = loop
        self._following: Future[bytes | None] | None = None
        self._closed = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        if self._closed:
            raise StopIteration
        self._following = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
        if self._closed:
            self._following.cancel()
        block = self._following.result()
        if block is None:
            raise StopIteration
        return block

    async def _next(self) -> bytes | None:
        return await anext(self._blocks, None)

    def close(self) -> None:
        """Have the loop make no more blocks: the task that makes one is cancelled."""
        self._closed = True
        if self._following is not None:
            self._following.cancel()
