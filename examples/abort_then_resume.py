"""
Abort a multipart upload, and go on with it under the same UploadId.

    python abort_then_resume.py [BUCKET [FILE]]

Aborting keeps the UploadId and the parts that OSS has. Resuming sends only the parts that it does not have.
Endpoint, region and keys are taken from the environment, as in abort_an_upload.py.
"""

import sys
import tempfile
import threading
from pathlib import Path

import penstock

bucket = sys.argv[1] if len(sys.argv) > 1 else "examplebucket"
target = f"oss://{bucket}/resumed.bin"
scratch = tempfile.TemporaryDirectory()
if len(sys.argv) > 2:
    file = Path(sys.argv[2])
else:
    file = Path(scratch.name, "example.bin")
    file.write_bytes(b"".join(number.to_bytes(8) for number in range(1024 * 1024)))  # 8 MiB

with penstock.Client() as client:
    try:
        client.get_bucket_info(bucket)
    except penstock.NoSuchBucket:
        client.put_bucket(bucket)

    # Called on other threads while the upload goes on. It may wait, so this one lets the upload get no
    # further than a quarter before it is aborted.
    a_quarter = threading.Event()
    go_on = threading.Event()

    def hold_at_a_quarter(progress: penstock.Progress) -> None:
        if progress.fraction >= 0.25:
            a_quarter.set()
            go_on.wait()

    transfer = client.upload(file, target, part_bytes=512 * 1024, progress=hold_at_a_quarter)
    while not a_quarter.wait(0.1) and not transfer.done():
        pass
    transfer.abort()  # returns at once; nothing more is sent
    go_on.set()

    stopped = transfer.outcome()
    print("aborted: ", stopped.error.code)
    print("UploadId:", transfer.upload_id)
    kept = list(client.iter_parts(bucket, "resumed.bin", transfer.upload_id))
    print("OSS kept:", len(kept), "of", transfer.progress.parts_total, "parts")

    # The token is a short text. It works in this process, in another one, or on another machine.
    resumed = client.resume(transfer.resume_token, file)
    stored = resumed.result()
    print("UploadId:", resumed.upload_id)
    print("not sent again:", resumed.progress.resumed_bytes, "bytes")

    with client.get_object(bucket, "resumed.bin") as body:
        same = body.read() == file.read_bytes()

same_id = resumed.upload_id == transfer.upload_id
kept_all = resumed.progress.resumed_bytes >= sum(part.size_bytes for part in kept) > 0
print("same UploadId:", same_id, " object equals the file:", same)
scratch.cleanup()
sys.exit(0 if same and same_id and kept_all and stopped.aborted else "the upload was not resumed as promised")
