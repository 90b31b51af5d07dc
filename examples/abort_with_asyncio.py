"""
Abort uploads with asyncio: cancelling the task is the abort.

    python abort_with_asyncio.py [BUCKET]

When the task has ended, the request has ended too: nothing goes on in the background.
Endpoint, region and keys are taken from the environment, as in abort_an_upload.py.
"""

import asyncio
import sys

import penstock

bucket = sys.argv[1] if len(sys.argv) > 1 else "examplebucket"
content = b"penstock" * 1024 * 1024  # 8 MiB, at 100 KiB/s: 80 seconds
SLOWEST_BITS_PER_S = 819_200


async def main() -> bool:
    async with penstock.AsyncClient() as client:
        try:
            await client.get_bucket_info(bucket)
        except penstock.NoSuchBucket:
            await client.put_bucket(bucket)
        await client.delete_object(bucket, "cancelled-task")

        task = asyncio.create_task(
            client.put_object(bucket, "cancelled-task", content, traffic_limit_bits_per_s=SLOWEST_BITS_PER_S)
        )
        await asyncio.sleep(1)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError as cancelled:
            print("the task was cancelled;", *cancelled.__notes__)

        # The same for several things at a time: a time-out cancels all that is awaited in it.
        try:
            async with asyncio.timeout(1):
                await client.put_object(
                    bucket, "cancelled-task", content, traffic_limit_bits_per_s=SLOWEST_BITS_PER_S
                )
        except TimeoutError:
            print("the time-out aborted the upload")

        stored = await client.object_exists(bucket, "cancelled-task")
        print("in the bucket:", stored)
        return task.cancelled() and not stored


sys.exit(0 if asyncio.run(main()) else "the upload was not aborted as promised")
