"""Speed limits on client, group and transfer: kept, changed while bytes flow, and no hindrance to a stop."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import penstock
from penstock.net import throttle as module
from penstock.server.connection import Patience
from penstock.server.local_oss import LocalOss

MIB = 1 << 20
PATIENCE_S = 20.0
PROMPT_S = 1.0


@pytest.fixture
def quick_trickle(monkeypatch):
    monkeypatch.setattr(module, "TRICKLE_S", 0.1)


@pytest.fixture
def stored(client, oss_bucket):
    """An object of some MiB."""
    data = bytes(range(256)) * (8 * MIB // 256)
    client.put_object(oss_bucket, "stored", data)
    return data


def moved(transfer):
    progress = transfer.progress
    return progress.acknowledged_bytes + progress.in_flight_bytes


def wait_until(condition):
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.001)


def speed_of(transfer, seconds):
    """Bytes a second, once bytes flow."""
    wait_until(lambda: moved(transfer))
    pause = threading.Event()
    # What was held when the first byte was let through is a burst that belongs to no second.
    pause.wait(0.2)
    before, begun = moved(transfer), time.monotonic()
    pause.wait(seconds)
    return (moved(transfer) - before) / (time.monotonic() - begun)


def assert_keeps_to(transfer, limit, seconds):
    """It is never faster, and as fast whenever the machine has the time for it."""
    for _ in range(5):
        speed = speed_of(transfer, seconds)
        assert speed < limit * 1.1
        if speed > limit * 0.9:
            return
    raise AssertionError(f"{speed:,.0f} bytes a second at most, with a limit of {limit:,}")


@pytest.mark.parametrize("scope", ["client", "group", "transfer"])
def test_an_upload_keeps_to_the_limit_of_each_scope(client, oss_bucket, scope):
    group = client.group(parallel=1)
    if scope != "transfer":
        {"client": client, "group": group}[scope].bandwidth_limit_bytes_s = MIB
    transfer = group.upload(bytes(32 * MIB), f"oss://{oss_bucket}/k")
    if scope == "transfer":
        transfer.bandwidth_limit_bytes_s = MIB
    assert_keeps_to(transfer, MIB, 2.0 if scope == "client" else 0.7)
    begun = time.perf_counter()
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).aborted
    assert time.perf_counter() - begun < PROMPT_S


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("limit", [MIB, 50 * MIB])
def test_a_limit_is_kept_within_a_tenth_over_two_seconds(client, oss_bucket, tmp_path, direction, limit):
    source = tmp_path / "source"
    source.write_bytes(bytes(6 * limit))

    def begin():
        if direction == "up":
            return client.upload(source, f"oss://{oss_bucket}/k")
        return client.download(f"oss://{oss_bucket}/k", tmp_path / "target")

    client.upload(source, f"oss://{oss_bucket}/k").result(PATIENCE_S)
    begun = time.monotonic()
    begin().result(PATIENCE_S)
    if 6 * limit / (time.monotonic() - begun) < 2 * limit:
        pytest.skip("this machine has no time for such a speed now")
    client.bandwidth_limit_bytes_s = limit
    transfer = begin()
    assert_keeps_to(transfer, limit, 2.0)
    transfer.abort()
    assert transfer.outcome(PATIENCE_S).aborted


@pytest.mark.parametrize("face", ["blocking", "asyncio"])
@pytest.mark.parametrize("verb", ["upload", "download", "copy", "resume", "group upload", "group download"])
def test_a_transfer_is_begun_at_the_speed_that_it_is_given(
    client, oss_bucket, oss_env, oss_faults, tmp_path, stored, face, verb
):
    there, path, limited = f"oss://{oss_bucket}/stored", tmp_path / "f", {"bandwidth_limit_bytes_s": 0}
    if verb == "resume":
        fault = oss_faults.on("UploadPart", number=1).stall(times=1)
        stopped = client.upload(bytes(4 * MIB), f"oss://{oss_bucket}/k", part_bytes=MIB, parallel=1)
        fault.reached.wait()
        stopped.abort()
        stopped.outcome(PATIENCE_S)
        fault.end()
        oss_faults.requests.clear()
    begins = {
        "upload": lambda on: on.upload(bytes(4 * MIB), f"oss://{oss_bucket}/k", part_bytes=MIB, **limited),
        "download": lambda on: on.download(there, path, part_bytes=MIB, **limited),
        "copy": lambda on: on.copy(there, f"oss://{oss_bucket}/k", part_bytes=MIB, **limited),
        "resume": lambda on: on.resume(stopped.resume_token, bytes(4 * MIB), **limited),
    }
    begin = begins[verb.removeprefix("group ")]

    def check(transfer):
        assert transfer.bandwidth_limit_bytes_s == 0
        if verb == "copy":
            return
        asked = "GetObject" if "download" in verb else "UploadPart"
        before = {"download": 1, "upload": 2, "resume": 2}[verb.removeprefix("group ")]
        oss_faults.wait_until(lambda: oss_faults.count() >= before)
        assert oss_faults.count(asked) == 0
        transfer.bandwidth_limit_bytes_s = None

    if face == "blocking":
        transfer = begin(client.group() if verb.startswith("group") else client)
        check(transfer)
        assert transfer.result(PATIENCE_S)
        return

    async def run():
        async with penstock.AsyncClient(state_dir=client._journals._state.root) as awaited:
            transfer = await begin(awaited.group() if verb.startswith("group") else awaited)
            await asyncio.to_thread(check, transfer)
            assert await transfer.result()

    asyncio.run(run())


def test_the_tightest_of_the_limits_rules(client, oss_bucket):
    client.bandwidth_limit_bytes_s = 50 * MIB
    group = client.group(bandwidth_limit_bytes_s=20 * MIB)
    transfer = group.upload(bytes(32 * MIB), f"oss://{oss_bucket}/k")
    transfer.bandwidth_limit_bytes_s = MIB
    assert speed_of(transfer, 0.5) < 1.3 * MIB
    transfer.bandwidth_limit_bytes_s = None
    group.bandwidth_limit_bytes_s = MIB // 2
    assert speed_of(transfer, 0.5) < 0.7 * MIB
    assert (transfer.bandwidth_limit_bytes_s, group.bandwidth_limit_bytes_s) == (None, MIB // 2)
    group.abort()


def test_a_download_keeps_to_its_limit_and_is_whole(client, oss_bucket, stored, tmp_path):
    client.bandwidth_limit_bytes_s = 20 * MIB
    begun = time.monotonic()
    client.download(f"oss://{oss_bucket}/stored", tmp_path / "f", part_bytes=MIB).result(PATIENCE_S)
    assert time.monotonic() - begun >= len(stored) / (20 * MIB) - 0.1
    assert (tmp_path / "f").read_bytes() == stored


def test_a_closed_gate_lets_nothing_new_begin_and_requests_that_only_ask_through(
    client, oss_bucket, oss_faults
):
    client.bandwidth_limit_bytes_s = 0
    call = client.submit(client.put_object, oss_bucket, "k", b"held back")
    transfer = client.upload(bytes(MIB), f"oss://{oss_bucket}/parts", part_bytes=102_400)
    oss_faults.wait_until(lambda: oss_faults.count("InitiateMultipartUpload") == 1)
    assert client.list_objects(oss_bucket).objects == ()
    assert oss_faults.count("PutObject") == oss_faults.count("UploadPart") == 0
    assert transfer.cancel(PATIENCE_S) == "verified"
    client.bandwidth_limit_bytes_s = None
    assert call.result(PATIENCE_S).etag


def put(client, bucket):
    return client.submit(client.put_object, bucket, "k", b"held back")


def upload(client, bucket):
    return client.upload(b"held back", f"oss://{bucket}/k")


@pytest.mark.parametrize("begin", [put, upload])
def test_a_request_that_a_closed_gate_holds_back_stops_at_once_as_not_sent(
    client, oss_bucket, oss_faults, begin
):
    client.bandwidth_limit_bytes_s = 0
    running = begin(client, oss_bucket)
    wait_until(lambda: client._requester.bandwidth._line)
    assert not running.done()
    begun = time.perf_counter()
    running.abort()
    assert running.outcome(PATIENCE_S).error.code == penstock.NOT_SENT
    assert time.perf_counter() - begun < PROMPT_S
    assert oss_faults.count("PutObject") == 0


@pytest.fixture
def impatient_oss():
    """A server that gives up a connection on which nothing moves for half a second."""
    with LocalOss.start(users={"id": "secret"}, durability="none", patience=Patience(body_s=0.5)) as oss:
        yield oss


@pytest.fixture
def impatient_client(impatient_oss, make_client):
    client = make_client(impatient_oss.endpoint, credentials=penstock.Credentials("id", "secret"))
    client.put_bucket("bucket")
    return client


def closed_within(client, wait_s, transfer, reached):
    """Close the gate when some bytes have moved, and open it again after a while."""
    wait_until(lambda: moved(transfer) >= reached)
    client.bandwidth_limit_bytes_s = 0
    pause = threading.Event()
    # What was granted before still moves.
    pause.wait(0.2)
    before = moved(transfer)
    pause.wait(wait_s)
    assert moved(transfer) - before < 1000
    client.bandwidth_limit_bytes_s = None


def test_a_closed_gate_moves_a_byte_well_within_the_time_outs_of_both_sides():
    assert min(penstock.NetSettings().read_timeout_s, Patience().body_s) / 2 > module.TRICKLE_S


def test_an_upload_outlives_a_gate_that_is_closed_for_longer_than_the_server_waits(
    impatient_client, quick_trickle
):
    client, data = impatient_client, bytes(range(256)) * (8 * MIB // 256)
    client.bandwidth_limit_bytes_s = 4 * MIB
    before = client._transport.requests_started
    transfer = client.upload(data, "oss://bucket/k")
    closed_within(client, 1.5, transfer, MIB)
    assert transfer.result(PATIENCE_S).size_bytes == len(data)
    assert client._transport.requests_started - before == 1, "it was sent over the same connection"


def test_without_a_trickle_the_server_gives_the_connection_up(impatient_client, monkeypatch):
    """The proof that the test above tells a trickle from none."""
    monkeypatch.setattr(module, "TRICKLE_S", 3600.0)
    client = impatient_client
    client.bandwidth_limit_bytes_s = 4 * MIB
    before = client._transport.requests_started
    transfer = client.upload(bytes(8 * MIB), "oss://bucket/k")
    closed_within(client, 1.5, transfer, MIB)
    assert transfer.result(PATIENCE_S).size_bytes == 8 * MIB
    assert client._transport.requests_started - before == 2


def test_a_download_outlives_a_gate_that_is_closed_for_longer_than_the_server_waits(
    impatient_client, quick_trickle, tmp_path
):
    client, data = impatient_client, bytes(range(256)) * (32 * MIB // 256)
    client.upload(data, "oss://bucket/k").result(PATIENCE_S)
    client.bandwidth_limit_bytes_s = 8 * MIB
    transfer = client.download("oss://bucket/k", tmp_path / "f", part_bytes=32 * MIB)
    closed_within(client, 1.5, transfer, MIB)
    transfer.result(PATIENCE_S)
    assert (tmp_path / "f").read_bytes() == data


@pytest.mark.parametrize("bytes_s", [-1, float("nan"), "fast"])
def test_what_is_no_speed_is_refused_everywhere(client, oss_bucket, bytes_s):
    with pytest.raises(penstock.InvalidInput):
        client.bandwidth_limit_bytes_s = bytes_s
    with pytest.raises(penstock.InvalidInput):
        client.group(bandwidth_limit_bytes_s=bytes_s)
    for begin in (
        lambda: client.upload(b"x", f"oss://{oss_bucket}/k", bandwidth_limit_bytes_s=bytes_s),
        lambda: client.group().upload(b"x", f"oss://{oss_bucket}/k", bandwidth_limit_bytes_s=bytes_s),
        lambda: client.download(f"oss://{oss_bucket}/k", "f", bandwidth_limit_bytes_s=bytes_s),
        lambda: client.copy(
            f"oss://{oss_bucket}/k", f"oss://{oss_bucket}/c", bandwidth_limit_bytes_s=bytes_s
        ),
    ):
        with pytest.raises(penstock.InvalidInput):
            begin()
    with client.upload(b"x", f"oss://{oss_bucket}/k") as transfer, pytest.raises(penstock.InvalidInput):
        transfer.bandwidth_limit_bytes_s = bytes_s
    assert client.bandwidth_limit_bytes_s is None
