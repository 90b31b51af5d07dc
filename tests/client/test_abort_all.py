"""The outermost scope: one call stops all clients of a process, blocking and awaited, for good."""

from __future__ import annotations

import signal

import pytest

import penstock

PART = 102_400
SIZE = 3 * PART + 5

BEGIN = """
    import signal
    signal.signal(signal.SIGTERM, lambda number, frame: penstock.abort_all("SIGTERM"))
"""
BLOCKING = (
    BEGIN
    + """
    other = penstock.Client()
    group = other.group(parallel=1)
    running = [
        client.upload(source, f"oss://{bucket}/upload", part_bytes=102_400, parallel=1),
        client.download(f"oss://{bucket}/stored", target, part_bytes=102_400, parallel=1),
        client.submit(client.put_object, bucket, "put", b"x" * 1000),
        group.upload(source, f"oss://{bucket}/first", part_bytes=102_400, parallel=1),
        group.upload(source, f"oss://{bucket}/second", part_bytes=102_400, parallel=1),
    ]
    errors = [one.outcome().error for one in running]
    print(*(f"{error.code}/{error.reason}" for error in errors))
    third = penstock.Client()
    for late in (client, other, third):
        late.enable_requests()
        outcome = late.submit(late.head_object, bucket, "stored").outcome()
        print(f"{outcome.error.code}/{late.requests_enabled}/{'another one' in outcome.error.advice}")
    print(*(transfer.cancel() for transfer in (running[0], running[3])))
    for one in (client, other, third):
        one.close()
    """
)
AWAITED = (
    BEGIN
    + """
    import asyncio

    async def main():
        async with penstock.AsyncClient() as first, penstock.AsyncClient() as second:
            group = second.group(parallel=1)
            running = [
                await first.upload(source, f"oss://{bucket}/upload", part_bytes=102_400, parallel=1),
                await first.download(f"oss://{bucket}/stored", target, part_bytes=102_400, parallel=1),
                await group.upload(source, f"oss://{bucket}/first", part_bytes=102_400, parallel=1),
                await group.upload(source, f"oss://{bucket}/second", part_bytes=102_400, parallel=1),
            ]
            put = asyncio.create_task(second.put_object(bucket, "put", b"x" * 1000))
            errors = [(await one.outcome()).error for one in running]
            (stopped,) = await asyncio.gather(put, return_exceptions=True)
            errors.insert(2, stopped)
            print(*(f"{error.code}/{error.reason}" for error in errors))
            third = penstock.AsyncClient()
            for late in (first, second, third):
                late.enable_requests()
                (error,) = await asyncio.gather(late.head_object(bucket, "stored"), return_exceptions=True)
                print(f"{error.code}/{late.requests_enabled}/{'another one' in error.advice}")
            print(await running[0].cancel(), await running[2].cancel())
            await third.aclose()

    asyncio.run(main())
    """
)


@pytest.mark.parametrize("text", [BLOCKING, AWAITED], ids=["blocking", "asyncio"])
def test_all_clients_of_a_process_are_stopped_and_stay_so(
    programs, here, oss_bucket, oss_faults, new_file, tmp_path, text
):
    here.put_object(oss_bucket, "stored", bytes(SIZE))
    held = [
        oss_faults.on("UploadPart").stall(after_bytes=1),
        oss_faults.on("PutObject", key="put").stall(),
        oss_faults.on("GetObject").stall(at="answer"),
    ]
    process = programs.start(
        text, source=str(new_file(SIZE).path), bucket=oss_bucket, target=str(tmp_path / "target")
    )
    oss_faults.wait_until(lambda: [fault.hits for fault in held] == [2, 1, 1])
    process.send_signal(signal.SIGTERM)
    lines = [process.stdout.readline().split() for _ in range(4)]
    assert lines[0] == [f"{penstock.STOPPED_IN_FLIGHT}/SIGTERM"] * 4 + [f"{penstock.NOT_SENT}/SIGTERM"]
    assert lines[1:] == [[f"{penstock.NOT_SENT}/False/True"]] * 3
    asked = oss_faults.count()
    # Clean-up alone goes on: it waits for what the server still holds of the two uploads.
    oss_faults.wait_until(lambda: oss_faults.count("AbortMultipartUpload") >= 1)
    assert {one.operation for one in oss_faults.requests[asked:]} <= {"AbortMultipartUpload", "ListParts"}
    assert oss_faults.count("InitiateMultipartUpload") == 2
    assert oss_faults.count("HeadObject", key="stored") == 1
    oss_faults.end()
    assert programs.end_of(process) == ["verified", "verified"]
    assert list(here.iter_multipart_uploads(oss_bucket)) == []
