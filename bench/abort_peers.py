"""What other clients do when their caller wants them to stop, against the same stalled servers."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import report
from stall import Stalled, stalled

_BODY_BYTES = 64 << 20
_TRIES = 2
_START_S = 20.0
_SETTLE_S = 2.0  # botocore waits a second for "100 Continue" before it sends a body

Upload = Callable[[str, threading.Event], Any]
"""Uploads to the given URL until it ends; the event says that it shall stop."""


class _Stop(Exception):
    """Raised in a progress callback."""


def _raise_if(stop: threading.Event) -> Callable[..., None]:
    def progress(*_: Any) -> None:
        if stop.is_set():
            raise _Stop

    return progress


def _oss2(url: str, stop: threading.Event) -> None:
    import oss2

    bucket = oss2.Bucket(oss2.Auth("LTAIexample", "secret"), url, "bucket")
    bucket.put_object("key", bytes(_BODY_BYTES), progress_callback=_raise_if(stop))


def _oss_v2(url: str, stop: threading.Event) -> None:
    import alibabacloud_oss_v2 as oss

    config = oss.config.load_default()
    config.credentials_provider = oss.credentials.StaticCredentialsProvider("LTAIexample", "secret")
    config.region = "cn-hangzhou"
    config.endpoint = url
    request = oss.PutObjectRequest(
        bucket="bucket", key="key", body=bytes(_BODY_BYTES), progress_fn=_raise_if(stop)
    )
    oss.Client(config).put_object(request)


def _boto3(url: str, stop: threading.Event) -> None:
    import io

    import boto3
    from s3transfer.manager import TransferConfig, TransferManager

    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="LTAIexample",
        aws_secret_access_key="secret",
    )
    large = TransferConfig(multipart_threshold=2 * _BODY_BYTES)
    future = TransferManager(client, large).upload(io.BytesIO(bytes(_BODY_BYTES)), "bucket", "key")
    stop.wait()
    future.cancel()
    future.result()


def _store(url: str) -> Any:
    from obstore.store import S3Store

    return S3Store(
        "bucket",
        endpoint=url,
        region="us-east-1",
        access_key_id="LTAIexample",
        secret_access_key="secret",
        unsigned_payload=True,
        client_options={"allow_http": True},
    )


def _obstore(url: str, stop: threading.Event) -> None:
    import obstore

    obstore.put(_store(url), "key", bytes(_BODY_BYTES), use_multipart=False)


def _obstore_async(url: str, stop: threading.Event) -> None:
    import obstore

    async def put() -> None:
        task = asyncio.ensure_future(
            obstore.put_async(_store(url), "key", bytes(_BODY_BYTES), use_multipart=False)
        )
        while not stop.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await task

    asyncio.run(put())


_PEERS: dict[str, tuple[str, Upload]] = {
    "oss2": ("the progress callback raises", _oss2),
    "alibabacloud-oss-v2": ("the progress callback raises", _oss_v2),
    "boto3": ("s3transfer's future.cancel()", _boto3),
    "obstore": ("none", _obstore),
    "obstore, asyncio": ("task.cancel()", _obstore_async),
}


def _attempt(pipe: Connection, name: str, url: str) -> None:
    """A process of its own for one upload; says when it ended after it was told to stop."""
    stop = threading.Event()
    ended: list[float] = []

    def upload() -> None:
        try:
            _PEERS[name][1](url, stop)
        except BaseException:  # noqa: BLE001 - only the time matters
            pass
        ended.append(time.perf_counter())

    thread = threading.Thread(target=upload, daemon=True)
    thread.start()
    patience_s = pipe.recv()
    assert not ended, f"{name} ended before it was told to"
    asked = time.perf_counter()
    stop.set()
    pipe.send(asked)
    thread.join(patience_s)
    pipe.send(ended[0] - asked if ended else None)
    pipe.recv()  # stays alive, so that the connection is not ended by the end of the process


def _end_after(
    server: Stalled, asked: float, patience_s: float
) -> tuple[float | None, tuple[int, int] | None]:
    """
    How long after it was asked to stop the client's connection ended, and the bytes that still came.

    The first is None if it did not end in time, the second if that is not known.
    """
    note = server.next_end(asked + patience_s - time.perf_counter())
    return (None, None) if note is None else (note.at - asked, note.bytes_after(asked))


def _text(times_s: list[float | None], patience_s: float) -> str:
    if None in times_s:
        return f"not within {patience_s:g} s"
    return f"{max(one for one in times_s if one is not None) * 1e3:.1f} ms"


def measure(patience_s: float) -> list[dict[str, Any]]:
    """Has every peer stopped a few times in two states."""
    start = multiprocessing.get_context("spawn")
    found = []
    for behaviour, state in (
        ("reads nothing", "sending to a stalled peer"),
        ("never answers", "waiting for an answer"),
    ):
        for name, (means, _) in _PEERS.items():
            calls: list[float | None] = []
            connections: list[float | None] = []
            late: list[tuple[int, int] | None] = []
            for _ in range(_TRIES):
                with stalled(behaviour, noting=True) as server:
                    ours, theirs = start.Pipe()
                    url = f"http://127.0.0.1:{server.port}"
                    process = start.Process(target=_attempt, args=(theirs, name, url), daemon=True)
                    process.start()
                    if server.next_note(_START_S) is None:
                        raise RuntimeError(f"{name} has not connected")
                    time.sleep(_SETTLE_S)
                    ours.send(patience_s)
                    asked = ours.recv()
                    calls.append(ours.recv())
                    ended, late_bytes = _end_after(server, asked, patience_s)
                    connections.append(ended)
                    late.append(late_bytes)
                    process.kill()
                    process.join()
            found.append(
                {
                    "client": name,
                    "means": means,
                    "state": state,
                    "call": _text(calls, patience_s),
                    "connection": _text(connections, patience_s),
                    "late": "?" if None in late else report.between([one for one in late if one is not None]),
                    "calls_s": calls,
                    "connections_s": connections,
                    "late_bytes": late,
                }
            )
    return found
