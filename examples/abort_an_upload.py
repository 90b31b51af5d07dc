"""
Abort an upload: the "Abort an upload" sample of OSS, step by step, in Python.

Four PutObject calls send the same file at the same time. After one second all requests of the client are
disabled: the calls end at once, and each tells so.

    penstock serve                                      # in another terminal; or use real OSS
    export OSS_ENDPOINT=http://127.0.0.1:9000 OSS_REGION=cn-hangzhou
    export OSS_ACCESS_KEY_ID=penstock OSS_ACCESS_KEY_SECRET=penstock-for-development-only
    python abort_an_upload.py [BUCKET [FILE]]
"""

import sys
import tempfile
import time
from pathlib import Path

import penstock

bucket_name = sys.argv[1] if len(sys.argv) > 1 else "examplebucket"
object_name = "exampledir/exampleobject.txt"

# "If a file is small, the upload may complete before you can abort it": so 8 MiB are sent at 100 KiB/s, which
# is the slowest that OSS can be asked for and takes 80 seconds.
SLOWEST_BITS_PER_S = 819_200
scratch = tempfile.TemporaryDirectory()
if len(sys.argv) > 2:
    file_name = Path(sys.argv[2])
else:
    file_name = Path(scratch.name, "example.bin")
    file_name.write_bytes(b"penstock" * 1024 * 1024)

# Initialize the OSS account information. The endpoint, the region and the keys are taken from the environment
# variables OSS_ENDPOINT, OSS_REGION, OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET.
client = penstock.Client(signature_version="v4")

# Not in the original: make the bucket, if it is not there.
try:
    client.get_bucket_info(bucket_name)
except penstock.NoSuchBucket:
    client.put_bucket(bucket_name)

# Start four uploads. Each runs on a thread of its own, and `submit` returns at once.
calls = []
for _ in range(4):
    call = client.submit(
        client.put_object,
        bucket_name,
        object_name,
        file_name,
        traffic_limit_bits_per_s=SLOWEST_BITS_PER_S,
    )
    calls.append(call)
time.sleep(1)

# Abort the uploads.
client.disable_requests()

disabled = 0
for call in calls:
    outcome = call.outcome()
    if outcome.error is not None and outcome.error.code in ("ClientError:100002", "ClientError:200042"):
        print("disable putobject success")
        disabled += 1
    else:
        print("not aborted:", outcome.error or "the upload was complete before")

# Release network resources.
client.close()
scratch.cleanup()

sys.exit(0 if disabled == len(calls) else "not every upload was aborted")
