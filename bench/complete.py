"""
How long CompleteMultipartUpload takes for 10,000 parts of 8 MiB, 80 GB in all, over HTTP.

The parts are laid into the store by its own transactions, as files that are one hole each, so that they need
next to no disk; everything else is as it would be. Then `penstock serve` is started and asked to complete the
upload. Afterwards the object's size and some of its bytes are read.

    python bench/complete.py                         # 5 uploads of 10,000 parts
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import tempfile
import time
from hashlib import md5
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apsw

import report
from oss_process import ask, bucket_named, cpu_s, first_answer, free_port, start
from penstock.protocol.crc64 import crc64
from penstock.server.store import Attributes, LocalStore, uploads

BUCKET = "bucket"
PART_BYTES = 8 << 20
_BATCH = 500


def lay_parts(store: LocalStore, key: str, count: int) -> tuple[str, bytes]:
    """An open upload of so many parts, and the document that completes it."""
    body = bytes(PART_BYTES)
    etag, checksum = md5(body, usedforsecurity=False).hexdigest().upper(), crc64(body)
    upload_id = store.create_upload(BUCKET, key, Attributes()).upload_id
    files = store._files
    for first in range(1, count + 1, _BATCH):
        made: list[tuple[int, Any]] = []
        for number in range(first, min(first + _BATCH, count + 1)):
            path, descriptor = files.create()
            os.truncate(descriptor, PART_BYTES)
            blob_id = files.publish(path, descriptor)
            os.close(descriptor)
            staged = SimpleNamespace(
                blob_id=blob_id, size_bytes=PART_BYTES, etag=etag, crc64=checksum, inline=None
            )
            made.append((number, staged))

        def put(db: apsw.Connection, made: list[tuple[int, Any]] = made) -> None:
            for number, staged in made:
                uploads.put_part(db, BUCKET, key, upload_id, number=number, staged=staged, now_ms=0)

        store._write("laying parts", put)
        for _, staged in made:
            files.settle(staged.blob_id)
    listed = "".join(
        f'<Part><PartNumber>{number}</PartNumber><ETag>"{etag}"</ETag></Part>'
        for number in range(1, count + 1)
    )
    return upload_id, f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--parts", type=int, default=10_000)
    parser.add_argument("--uploads", type=int, default=5)
    given = parser.parse_args()
    around = report.surroundings()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        directory = Path(folder) / "data"
        with LocalStore.open(directory, "none") as store:
            store.create_bucket(bucket_named(BUCKET))
            with store.stage() as staged:
                store.put_object(BUCKET, "first", staged, Attributes())
            made = [lay_parts(store, f"large{number}", given.parts) for number in range(given.uploads)]
        port = free_port()
        server = start(directory, port)
        try:
            first_answer(port, BUCKET, "first")
            took, used = [], []
            for number, (upload_id, document) in enumerate(made):
                before_s = cpu_s(server.pid)
                took.append(complete(port, f"large{number}", upload_id, document))
                used.append(cpu_s(server.pid) - before_s)
                check(port, f"large{number}", given.parts * PART_BYTES)
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    report.print_table(
        f"CompleteMultipartUpload of {given.parts:,} parts ({given.parts * PART_BYTES / 1e9:.0f} GB)",
        ("uploads", "median", "slowest", "processor, median"),
        [
            (
                str(given.uploads),
                f"{statistics.median(took) * 1000:.0f} ms",
                f"{max(took) * 1000:.0f} ms",
                f"{statistics.median(used) * 1000:.0f} ms",
            )
        ],
    )
    report.write_json(
        "complete", {"surroundings": around, "parts": given.parts, "took_s": took, "cpu_s": used}
    )


def complete(port: int, key: str, upload_id: str, document: bytes) -> float:
    """Seconds from the first byte of the request to the last of the answer."""
    begun = time.perf_counter()
    answer, body = ask(port, "POST", BUCKET, key, f"uploadId={upload_id}", document)
    took_s = time.perf_counter() - begun
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {body[:500]!r}")
    return took_s


def check(port: int, key: str, size_bytes: int) -> None:
    """The object has its size, and bytes anywhere."""
    answer, _ = ask(port, "HEAD", BUCKET, key)
    assert int(answer.headers["content-length"]) == size_bytes
    at = random.randrange(size_bytes - 1000)
    answer, body = ask(port, "GET", BUCKET, key, range=f"bytes={at}-{at + 999}")
    assert (answer.status, body) == (206, bytes(1000))


if __name__ == "__main__":
    main()
