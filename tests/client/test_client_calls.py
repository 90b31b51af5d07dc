"""Every call of the client goes to a real server and comes back with what OSS says."""

from __future__ import annotations

import inspect
import threading
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

import penstock
from penstock.client.calls.buckets import BucketCalls
from penstock.client.calls.described import DescriptionCalls
from penstock.client.calls.listing import ListingCalls
from penstock.client.calls.multipart import MultipartCalls
from penstock.client.calls.objects import ObjectCalls
from penstock.client.calls.presign import PresignCalls

DATA = bytes(range(256)) * 2000


class Noting:
    """A client that notes which of its calls were made."""

    def __init__(self, client):
        self.client = client
        self.used = set()

    def __getattr__(self, name):
        self.used.add(name)
        return getattr(self.client, name)


GROUPS = (BucketCalls, DescriptionCalls, ListingCalls, MultipartCalls, ObjectCalls, PresignCalls)


def calls() -> set[str]:
    """The calls about buckets and objects."""
    return {
        name
        for group in GROUPS
        for name, _ in inspect.getmembers(group, inspect.isfunction)
        if not name.startswith("_")
    }


def test_every_call_once(client, oss_bucket, tmp_path):
    c, b = Noting(client), oss_bucket

    assert c.requests_enabled
    assert b in [bucket.name for bucket in c.iter_buckets()]
    assert [bucket.name for bucket in c.list_buckets(prefix=b, max_keys=10).buckets] == [b]
    c.put_bucket(b)
    assert c.get_bucket_info(b).name == b
    assert c.get_bucket_location(b).location == "oss-cn-hangzhou"
    c.put_bucket_acl(b, "public-read")
    assert c.get_bucket_acl(b).grant == "public-read"
    c.put_bucket_acl(b, "private")
    c.put_bucket_tags(b, {"team": "a b"})
    assert c.get_bucket_tags(b) == {"team": "a b"}
    c.delete_bucket_tags(b)

    stored = c.put_object(b, "a/b ü.txt", DATA, metadata={"One": "1"}, tags={"t": "v"})
    assert stored.etag
    described = c.head_object(b, "a/b ü.txt")
    assert described.content_bytes == len(DATA)
    assert described.content_type == "text/plain"
    assert described.metadata == {"one": "1"}
    assert c.get_object_meta(b, "a/b ü.txt").content_bytes == len(DATA)
    assert c.object_exists(b, "a/b ü.txt")
    assert not c.object_exists(b, "other")
    with c.get_object(b, "a/b ü.txt", start=1, end=300) as body:
        assert body.read() == DATA[1:300]
    assert c.get_object(b, "a/b ü.txt", last_bytes=7).read() == DATA[-7:]
    c.get_object_to_file(b, "a/b ü.txt", tmp_path / "down")
    assert (tmp_path / "down").read_bytes() == DATA
    assert c.get_object_tagging(b, "a/b ü.txt") == {"t": "v"}
    c.put_object_tagging(b, "a/b ü.txt", {"u": "w"})
    assert c.get_object_tagging(b, "a/b ü.txt") == {"u": "w"}
    c.delete_object_tagging(b, "a/b ü.txt")
    assert c.get_object_tagging(b, "a/b ü.txt") == {}
    c.put_object_acl(b, "a/b ü.txt", "public-read")
    assert c.get_object_acl(b, "a/b ü.txt").grant == "public-read"
    c.put_symlink(b, "link", "a/b ü.txt")
    assert c.get_symlink(b, "link").target == "a/b ü.txt"
    copied = c.copy_object(b, "copy", b, "a/b ü.txt")
    assert copied.etag == stored.etag

    first = c.append_object(b, "log", 0, b"one")
    second = c.append_object(b, "log", first.next_position, b"two", crc64_before=first.crc64)
    assert second.next_position == 6
    assert c.get_object(b, "log").read() == b"onetwo"

    upload_id = c.initiate_multipart_upload(b, "parts", metadata={"m": "p"}).upload_id
    one = c.upload_part(b, "parts", upload_id, 1, DATA)
    two = c.upload_part_copy(b, "parts", upload_id, 2, b, "copy", start=0, end=100)
    assert [part.number for part in c.iter_parts(b, "parts", upload_id)] == [1, 2]
    assert [part.number for part in c.list_parts(b, "parts", upload_id, max_parts=1).parts] == [1]
    assert [found.upload_id for found in c.iter_multipart_uploads(b)] == [upload_id]
    assert [found.key for found in c.list_multipart_uploads(b, prefix="parts").uploads] == ["parts"]
    c.complete_multipart_upload(b, "parts", upload_id, [(2, two.etag), (1, one.etag)])
    assert c.get_object(b, "parts").read() == DATA + DATA[:100]
    other = c.initiate_multipart_upload(b, "parts").upload_id
    c.abort_multipart_upload(b, "parts", other)

    keys = ["a/b ü.txt", "copy", "link", "log", "parts"]
    assert [found.key for found in c.iter_objects(b)] == keys
    assert [found.key for found in c.list_objects(b, max_keys=2).objects] == keys[:2]
    assert [found.key for found in c.list_objects_v2(b, start_after="copy").objects] == keys[2:]
    folder = list(c.iter_folder(b))
    assert folder[0].prefix == "a/"
    assert [found.key for found in folder[1:]] == keys[1:]
    assert c.get_bucket_stat(b).object_count >= 4

    put = c.presign_put(b, "signed", content_type="text/plain")
    assert fetch(put, b"signed") == b""
    assert fetch(c.presign_get(b, "signed")) == b"signed"
    assert fetch(c.presign_head(b, "signed")) == b""

    with c.upload(DATA, f"oss://{b}/up", part_bytes=102_400) as transfer:
        assert transfer.result(20).size_bytes == len(DATA)
    assert list(c.unfinished_uploads()) == []
    c.disable_requests()
    stopped = c.upload(DATA, f"oss://{b}/stopped", part_bytes=102_400)
    assert stopped.outcome(20).error.code == penstock.NOT_SENT
    c.enable_requests()
    left = c.initiate_multipart_upload(b, "left").upload_id
    c.upload_part(b, "left", left, 1, DATA[:102_400])
    assert c.resume(f"oss://{b}/left", DATA).result(20).size_bytes == len(DATA)
    with pytest.raises(penstock.InvalidInput):
        c.cancel_upload("neither token nor address")
    assert c.submit(c.head_object, b, "left").result(20).content_bytes == len(DATA)

    c.delete_object(b, "signed")
    assert not c.object_exists(b, "signed")
    gone = c.delete_multiple_objects(b, [*keys, "up", "left"])
    assert len(gone.deleted) == 7
    c.delete_bucket(b)
    with pytest.raises(penstock.NoSuchBucket):
        c.get_bucket_info(b)
    with pytest.raises(penstock.InvalidInput):
        c.resolve_upload("neither token nor address")
    c.close()

    assert calls() - c.used == set()


def fetch(signed: penstock.PresignedUrl, data: bytes | None = None) -> bytes:
    request = urllib.request.Request(signed.url, data, signed.headers, method=signed.method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        return answer.read()


async def _once(client: penstock.AsyncClient, b: str, folder) -> None:
    async def blocks():
        for start in range(0, len(DATA), 100_000):
            yield DATA[start : start + 100_000]

    await client.put_object(b, "k", blocks(), length=len(DATA))
    await client.put_object(b, "l", body=blocks())
    body = await client.get_object(b, "k")
    assert await body.read(10) == DATA[:10]
    assert b"".join([chunk async for chunk in body]) == DATA[10:]
    async with await client.get_object(b, "l", start=5) as body:
        assert await body.read() == DATA[5:]
    assert [found.key async for found in client.iter_objects(b)] == ["k", "l"]
    await client.get_object_to_file(b, "k", folder / "k")
    assert (folder / "k").read_bytes() == DATA
    with pytest.raises(penstock.NoSuchKey):
        await client.head_object(b, "m")
    assert fetch(await client.presign_get(b, "k")) == DATA
    assert client.requests_enabled
    client.disable_requests()
    with pytest.raises(penstock.Aborted, match="enable_requests"):
        await client.head_object(b, "k")
    client.enable_requests()
    await client.head_object(b, "k")


def test_the_same_calls_awaited(oss_server, oss_bucket, oss_env, tmp_path):
    import asyncio

    async def main():
        async with penstock.AsyncClient() as client:
            await _once(client, oss_bucket, tmp_path)

    asyncio.run(main())


def test_the_awaited_client_has_all_calls_about_buckets_and_objects():
    awaited = {name for name in vars(penstock.AsyncClient) if not name.startswith("_")}
    assert calls() - awaited == set()


@pytest.mark.parametrize("version", ["v1", "v4"])
def test_both_signature_versions_sign_calls_and_urls(make_client, oss_bucket, version):
    client = make_client(signature_version=version)
    client.put_object(oss_bucket, "a b+c", DATA, metadata={"m": "1"}, content_type="text/x")
    assert client.get_object(oss_bucket, "a b+c", response_headers={"content-type": "text/y"}).read() == DATA
    assert [found.key for found in client.iter_objects(oss_bucket)] == ["a b+c"]
    assert fetch(client.presign_get(oss_bucket, "a b+c")) == DATA
    fetch(client.presign_put(oss_bucket, "p", content_type="text/z", metadata={"n": "2"}), b"1")
    assert client.head_object(oss_bucket, "p").metadata == {"n": "2"}


def test_further_headers_are_signed_where_asked(make_client, oss_bucket, oss_faults):
    client = make_client(additional_headers=frozenset({"range", "host"}))
    client.put_object(oss_bucket, "k", DATA)
    assert client.get_object(oss_bucket, "k", start=5).read() == DATA[5:]
    assert fetch(client.presign_get(oss_bucket, "k")) == DATA
    put, get, fetched = (one.headers for one in oss_faults.requests)
    assert "AdditionalHeaders=host," in put["authorization"]
    assert "AdditionalHeaders=host;range," in get["authorization"]
    assert "authorization" not in fetched


def test_an_anonymous_client_sends_no_signature_and_sees_only_what_is_public(
    make_client, client, oss_bucket, oss_faults
):
    client.put_object(oss_bucket, "public", b"1", acl="public-read")
    client.put_object(oss_bucket, "private", b"1")
    nobody = make_client(anonymous=True, credentials=None)
    assert nobody.get_object(oss_bucket, "public").read() == b"1"
    with pytest.raises(penstock.Forbidden):
        nobody.get_object(oss_bucket, "private")
    assert "authorization" not in oss_faults.asked("GetObject")[0].headers
    with pytest.raises(penstock.InvalidInput):
        nobody.presign_get(oss_bucket, "public")


def test_lists_of_many_pages_are_whole_and_in_order(client, oss_bucket, monkeypatch):
    monkeypatch.setattr("penstock.protocol.limits.MAX_LIST_KEYS", 3)
    monkeypatch.setattr("penstock.protocol.limits.MAX_LIST_UPLOADS", 2)
    monkeypatch.setattr("penstock.protocol.limits.MAX_LIST_PARTS", 2)
    keys = sorted([f"k/{n}&ü " for n in range(7)] + ["a", "z"], key=str.encode)
    for key in keys:
        client.put_object(oss_bucket, key, b"")
    assert [found.key for found in client.iter_objects(oss_bucket)] == keys
    assert [found.key for found in client.iter_objects(oss_bucket, prefix="k/", start_after="k/4")] == [
        key for key in keys if key.startswith("k/") and key > "k/4"
    ]
    found = list(client.iter_folder(oss_bucket))
    assert [getattr(one, "prefix", None) or one.key for one in found] == ["a", "k/", "z"]
    ids = sorted(client.initiate_multipart_upload(oss_bucket, "same").upload_id for _ in range(5))
    assert sorted(one.upload_id for one in client.iter_multipart_uploads(oss_bucket)) == ids
    for number in range(1, 6):
        client.upload_part(oss_bucket, "same", ids[0], number, b"1")
    assert [part.number for part in client.iter_parts(oss_bucket, "same", ids[0])] == [1, 2, 3, 4, 5]


def test_conditions_decide_whether_an_object_is_read(client, oss_bucket):
    etag = client.put_object(oss_bucket, "k", b"1").etag
    with pytest.raises(penstock.NotModified):
        client.get_object(oss_bucket, "k", if_none_match=etag)
    with pytest.raises(penstock.PreconditionFailed):
        client.get_object(oss_bucket, "k", if_match="0" * 32)
    later = datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(penstock.NotModified):
        client.head_object(oss_bucket, "k", if_modified_since=later)
    assert client.get_object(oss_bucket, "k", if_unmodified_since=later, if_match=etag).read() == b"1"


def test_overwriting_is_refused_where_asked(client, oss_bucket):
    client.put_object(oss_bucket, "k", b"1", forbid_overwrite=True)
    with pytest.raises(penstock.Conflict) as caught:
        client.put_object(oss_bucket, "k", b"2", forbid_overwrite=True)
    assert caught.value.code == "FileAlreadyExists"
    assert client.get_object(oss_bucket, "k").read() == b"1"


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.put_object("Bad_Bucket", "k", b""),
        lambda c: c.put_object("bucket", "", b""),
        lambda c: c.put_object("bucket", "k" * 1024, b""),
        lambda c: c.put_object("bucket", "k", b"", acl="everybody"),
        lambda c: c.put_object("bucket", "k", b"", metadata={"a": "x" * 9000}),
        lambda c: c.put_object("bucket", "k", b"", tags={str(n): "" for n in range(11)}),
        lambda c: c.put_object("bucket", "k", b"", traffic_limit_bits_per_s=1),
        lambda c: c.put_object("bucket", "k", b"", length=-1, content_md5=None),
        lambda c: c.put_object("bucket", "k", [b"1"], length=6 * 1024**3),
        lambda c: c.put_object("bucket", "k", b"", callback={"url": "http://h"}),
        lambda c: c.put_object("bucket", "k", 12),
        lambda c: c.append_object("bucket", "k", -1, b""),
        lambda c: c.upload_part("bucket", "k", "u", 0, b""),
        lambda c: c.upload_part("bucket", "k", "u", 10_001, b""),
        lambda c: c.complete_multipart_upload("bucket", "k", "u", []),
        lambda c: c.upload_part_copy("bucket", "k", "u", 1, "bucket", "k", start=3),
        lambda c: c.delete_multiple_objects("bucket", []),
        lambda c: c.delete_multiple_objects("bucket", ["k"] * 1001),
        lambda c: c.get_object("bucket", "k", start=5, end=5),
        lambda c: c.get_object("bucket", "k", start=5, last_bytes=5),
        lambda c: c.get_object("bucket", "k", response_headers={"x-powered-by": "1"}),
        lambda c: c.presign_get("bucket", "k", expires_s=8 * 24 * 3600),
        lambda c: c.put_bucket_acl("bucket", "default?"),
        lambda c: c.upload(b"", "bucket/key"),
        lambda c: c.upload(b"", "oss://bucket/folder/"),
        lambda c: c.upload(b"x", "oss://bucket/key", part_bytes=1),
        lambda c: c.upload(b"x", "oss://bucket/key", parallel=0),
        lambda c: c.upload([b"x"], "oss://bucket/key"),
        lambda c: c.resume("oss://bucket/key"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(client, oss_faults, call):
    with pytest.raises(penstock.InvalidInput):
        call(client)
    assert oss_faults.count() == 0
    assert client._transport.open_connections == 0


def test_an_unknown_option_is_a_type_error(client):
    with pytest.raises(TypeError, match="unknown option metadatas"):
        client.put_object("bucket", "k", b"", metadatas={})


def test_a_closed_client_is_not_opened_again(client, oss_bucket):
    client.close()
    with pytest.raises(penstock.InvalidInput, match="closed"):
        client.enable_requests()
    assert not client.requests_enabled


def test_a_client_may_be_closed_from_a_callback_of_its_own(client, oss_bucket):
    def close(*told):
        client.close()

    transfer = client.upload(bytes(300_000), f"oss://{oss_bucket}/k", part_bytes=102_400, progress=close)
    assert transfer.outcome(20).error.reason == "closed"
    with pytest.raises(penstock.InvalidInput, match="closed"):
        client.submit(print)


def test_threads_that_the_system_does_not_give_are_done_without(client, oss_bucket, monkeypatch):
    assert client.submit(client.object_exists, oss_bucket, "k").result(20) is False

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as scarce:
        scarce.setattr(threading.Thread, "start", refuse)
        calls = [client.submit(client.object_exists, oss_bucket, "k") for _ in range(3)]
        assert [call.result(20) for call in calls] == [False] * 3


def test_a_closed_client_refuses_work(client, oss_bucket):
    client.close()
    client.close()
    with pytest.raises(penstock.Aborted) as caught:
        client.head_object(oss_bucket, "k")
    assert caught.value.reason == "closed"
    with pytest.raises(penstock.InvalidInput, match="closed"):
        client.submit(client.head_object, oss_bucket, "k")


def test_a_client_is_told_what_it_lacks_when_it_is_made():
    with pytest.raises(penstock.InvalidInput, match="region"):
        penstock.Client("http://127.0.0.1:1", credentials=penstock.Credentials("a", "b"))
    with pytest.raises(penstock.InvalidInput, match="signature version"):
        penstock.Client("http://127.0.0.1:1", region="r", signature_version="v3")
    with pytest.raises(penstock.InvalidInput, match="workers"):
        penstock.Client(
            "http://127.0.0.1:1", region="r", credentials=penstock.Credentials("a", "b"), max_workers=0
        )


def test_callbacks_and_progress_of_a_call(client, oss_bucket):
    seen = []
    client.put_object(oss_bucket, "k", DATA, progress=lambda sent, total: seen.append((sent, total)))
    assert seen[-1] == (len(DATA), len(DATA))
    assert seen == sorted(seen)
