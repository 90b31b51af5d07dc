"""
Abort one of four uploads; the other three go on and are stored.

    python abort_one_of_four.py [BUCKET]

Endpoint, region and keys are taken from the environment (OSS_ENDPOINT, OSS_REGION, OSS_ACCESS_KEY_ID,
OSS_ACCESS_KEY_SECRET); `penstock serve` prints them for an OSS on this machine.
"""

import sys
import threading

import penstock

bucket = sys.argv[1] if len(sys.argv) > 1 else "examplebucket"
content = b"penstock" * 128 * 1024  # 1 MiB
KIB_PER_S = 8 * 1024

with penstock.Client() as client:
    try:
        client.get_bucket_info(bucket)
    except penstock.NoSuchBucket:
        client.put_bucket(bucket)
    for number in range(4):
        client.delete_object(bucket, f"four/{number}")

    # Called while bytes are sent: it tells that the upload which is to be aborted has really begun.
    begun = threading.Event()

    def note(sent: int, total: int | None) -> None:
        begun.set()

    # The second one is held to 100 KiB/s by OSS, so it takes ten seconds, and is still running when it is
    # aborted; the others are not held back.
    calls = []
    for number in range(4):
        slow = number == 1
        calls.append(
            client.submit(
                client.put_object,
                bucket,
                f"four/{number}",
                content,
                traffic_limit_bits_per_s=100 * KIB_PER_S if slow else None,
                progress=note if slow else None,
            )
        )
    while not begun.wait(0.1) and not calls[1].done():
        pass

    # Each call has a hand of its own. This stops one, and nothing else.
    calls[1].abort()

    stored = []
    for number, call in enumerate(calls):
        outcome = call.outcome()
        if outcome.error is None:
            print(f"four/{number}: stored, CRC-64 {outcome.value.crc64}")
        else:
            print(f"four/{number}: {outcome.error.code}, stored: {outcome.committed}")
        # What a call says is what OSS has: "unknown" would be told as such, too.
        stored.append(client.object_exists(bucket, f"four/{number}"))

print("in the bucket:", stored)
sys.exit(0 if stored == [True, False, True, True] else "that is not one of four")
