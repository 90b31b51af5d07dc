"""
Cancel a multipart upload: its UploadId becomes invalid, and its parts are removed.

    python cancel_an_upload.py [BUCKET]

Aborting keeps an upload; cancelling makes OSS forget it. Parts that are still being sent survive OSS's own
AbortMultipartUpload, so `cancel` stops them first, and then asks OSS until nothing is left.
Endpoint, region and keys are taken from the environment, as in abort_an_upload.py.
"""

import sys
import threading

import penstock

bucket = sys.argv[1] if len(sys.argv) > 1 else "examplebucket"
key = "cancelled.bin"
content = b"penstock" * 1024 * 1024  # 8 MiB

with penstock.Client() as client:
    try:
        client.get_bucket_info(bucket)
    except penstock.NoSuchBucket:
        client.put_bucket(bucket)
    client.delete_object(bucket, key)

    a_quarter = threading.Event()
    go_on = threading.Event()

    def hold_at_a_quarter(progress: penstock.Progress) -> None:
        if progress.fraction >= 0.25:
            a_quarter.set()
            go_on.wait()

    transfer = client.upload(
        content, f"oss://{bucket}/{key}", part_bytes=512 * 1024, progress=hold_at_a_quarter
    )
    while not a_quarter.wait(0.1) and not transfer.done():
        pass
    upload_id = transfer.upload_id
    print("UploadId:", upload_id)

    transfer.abort()
    go_on.set()
    transfer.outcome()
    parts = list(client.iter_parts(bucket, key, upload_id))
    print("after abort: valid, with", len(parts), "parts")

    clean_up = transfer.cancel()
    print("clean-up:", clean_up)

    try:
        client.list_parts(bucket, key, upload_id)
        answer = "still valid"
    except penstock.NoSuchUpload as error:
        answer = error.code
    print("after cancel:", answer)
    object_there = client.object_exists(bucket, key)

as_promised = parts and clean_up == "verified" and answer == "NoSuchUpload" and not object_there
sys.exit(0 if as_promised else "the upload was not cancelled as promised")
