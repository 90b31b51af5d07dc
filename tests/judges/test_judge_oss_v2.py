"""The official SDK of the second generation (alibabacloud-oss-v2) against the server."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.server.local_oss import LocalOss

oss = pytest.importorskip("alibabacloud_oss_v2")
requests = pytest.importorskip("requests")

pytestmark = [
    pytest.mark.judge,
    # What the SDK and its own dependencies warn of is theirs to mend.
    pytest.mark.filterwarnings("default"),
]

DATA = os.urandom(1_500_000)
BUCKET = "judged"


@pytest.fixture
def server() -> Iterator[LocalOss]:
    with LocalOss.start(users={"judge-id": "judge-secret"}, durability="none") as running:
        yield running


def settings(server: LocalOss, version: str, access_key_id: str = "judge-id") -> Any:
    made = oss.config.load_default()
    made.credentials_provider = oss.credentials.StaticCredentialsProvider(access_key_id, "judge-secret")
    made.region, made.endpoint, made.signature_version = server.region, server.endpoint, version
    return made


@pytest.fixture(params=["v1", "v4"])
def client(server: LocalOss, request: pytest.FixtureRequest) -> Any:
    made = oss.Client(settings(server, request.param))
    made.put_bucket(oss.PutBucketRequest(bucket=BUCKET))
    return made


def test_objects_are_put_read_listed_and_deleted(client: Any) -> None:
    key = "a b/\u4e2d+%"
    put = client.put_object(
        oss.PutObjectRequest(bucket=BUCKET, key=key, body=DATA, metadata={"x": "y"}, tagging="a=1&b=2")
    )
    assert len(put.request_id) == 24
    got = client.get_object(oss.GetObjectRequest(bucket=BUCKET, key=key))
    assert got.body.content == DATA
    assert got.metadata == {"x": "y"}
    assert got.tagging_count == 2
    part = client.get_object(oss.GetObjectRequest(bucket=BUCKET, key=key, range_header="bytes=5-9"))
    assert part.body.content == DATA[5:10]
    listed = client.list_objects_v2(oss.ListObjectsV2Request(bucket=BUCKET))
    assert [one.key for one in listed.contents] == [key]
    gone = client.delete_multiple_objects(
        oss.DeleteMultipleObjectsRequest(bucket=BUCKET, objects=[oss.DeleteObject(key=key)])
    )
    assert [one.key for one in gone.deleted_objects] == [key]
    assert client.delete_bucket(oss.DeleteBucketRequest(bucket=BUCKET)).status_code == 204


def test_the_uploader_and_the_copier(client: Any) -> None:
    uploader = client.uploader(part_size=200_000, parallel_num=3)
    uploader.upload_from(oss.PutObjectRequest(bucket=BUCKET, key="big"), io.BytesIO(DATA))
    assert client.get_object(oss.GetObjectRequest(bucket=BUCKET, key="big")).body.content == DATA
    client.copier(part_size=400_000, parallel_num=2, multipart_copy_threshold=1).copy(
        oss.CopyObjectRequest(bucket=BUCKET, key="copy", source_bucket=BUCKET, source_key="big")
    )
    head = client.head_object(oss.HeadObjectRequest(bucket=BUCKET, key="copy"))
    assert head.content_length == len(DATA)
    whole = client.get_object(oss.GetObjectRequest(bucket=BUCKET, key="copy"))
    assert whole.body.content == DATA


def test_appending(client: Any) -> None:
    first = client.append_object(oss.AppendObjectRequest(bucket=BUCKET, key="log", position=0, body=b"abc"))
    assert first.next_position == 3
    with pytest.raises(oss.exceptions.OperationError) as refused:
        client.append_object(oss.AppendObjectRequest(bucket=BUCKET, key="log", position=1, body=b"x"))
    assert refused.value.unwrap().code == "PositionNotEqualToLength"


def test_signed_urls(client: Any) -> None:
    put = client.presign(oss.PutObjectRequest(bucket=BUCKET, key="by url"))
    assert requests.put(put.url, data=DATA, headers=put.signed_headers, timeout=10).ok
    got = client.presign(oss.GetObjectRequest(bucket=BUCKET, key="by url"))
    assert requests.get(got.url, timeout=10).content == DATA


def test_a_bucket_says_what_it_is(client: Any, server: LocalOss) -> None:
    info = client.get_bucket_info(oss.GetBucketInfoRequest(bucket=BUCKET)).bucket_info
    assert (info.name, info.extranet_endpoint) == (BUCKET, server.endpoint)
    assert client.get_bucket_stat(oss.GetBucketStatRequest(bucket=BUCKET)).object_count == 0
    assert [one.name for one in client.list_buckets(oss.ListBucketsRequest()).buckets] == [BUCKET]


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_an_unknown_access_key_is_refused_after_the_bucket_was_found(server: LocalOss, version: str) -> None:
    oss.Client(settings(server, version)).put_bucket(oss.PutBucketRequest(bucket=BUCKET))
    stranger = oss.Client(settings(server, version, "stranger"))
    for bucket, code in ((BUCKET, "InvalidAccessKeyId"), ("nowhere", "NoSuchBucket")):
        with pytest.raises(oss.exceptions.OperationError) as refused:
            stranger.get_object(oss.GetObjectRequest(bucket=bucket, key="a"))
        assert refused.value.unwrap().code == code


def test_the_async_client_sends_chunks(server: LocalOss) -> None:
    pytest.importorskip("aiohttp")
    aio = pytest.importorskip("alibabacloud_oss_v2.aio")

    async def work() -> bytes:
        async with aio.AsyncClient(settings(server, "v4")) as client:
            await client.put_bucket(oss.PutBucketRequest(bucket=BUCKET))
            await client.put_object(oss.PutObjectRequest(bucket=BUCKET, key="a", body=DATA))
            got = await client.get_object(oss.GetObjectRequest(bucket=BUCKET, key="a"))
            async with got.body as body:
                return bytes(await body.read())

    assert asyncio.run(work()) == DATA
