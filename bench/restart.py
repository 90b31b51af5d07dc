"""
How soon a server that was killed answers again, with many objects in its store.

A store is filled, served, and killed with SIGKILL while clients write to it; then the same command is started
again. What is measured goes from the start of that process, Python and its imports among it, until the first
GET is answered.

    python bench/restart.py                          # 100,000 objects, 10 kills; half a minute to fill
    python bench/restart.py --objects 1000000 --kills 20 --processes 2
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import report
from oss_process import ask, bucket_named, cpu_s, first_answer, free_port, start
from penstock.server.store import Attributes, LocalStore

BUCKET = "bucket"
IN_ROW_BYTES, IN_FILE_BYTES = 1_000, 40_000
WRITERS = 4


def fill(directory: Path, objects: int) -> None:
    """One object in ten has a file of its own, the others are small enough for their row."""
    with LocalStore.open(directory, "none") as store:
        store.create_bucket(bucket_named(BUCKET))

        def put(number: int) -> None:
            body = bytes(IN_ROW_BYTES if number % 10 else IN_FILE_BYTES)
            with store.stage(len(body)) as staged:
                staged.write(body)
                store.put_object(BUCKET, f"{number:08}", staged, Attributes())

        with ThreadPoolExecutor(64) as pool:
            for _ in pool.map(put, range(objects), chunksize=500):
                pass


def write_until(stop: threading.Event, port: int, writer: int) -> None:
    number = 0
    while not stop.is_set():
        try:
            ask(port, "PUT", BUCKET, f"new/{writer}/{number}", body=bytes(IN_FILE_BYTES))
        except OSError:
            return
        number += 1


def measure(directory: Path, port: int, processes: int, load_s: float) -> tuple[float, float]:
    """Kills a server under load, and says how long the next one takes, and how much processor."""
    more = f"processes = {processes}\n"
    server = start(directory, port, more)
    first_answer(port, BUCKET, "00000000")
    stop = threading.Event()
    writers = [threading.Thread(target=write_until, args=(stop, port, one)) for one in range(WRITERS)]
    for one in writers:
        one.start()
    stop.wait(load_s)
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    stop.set()
    for one in writers:
        one.join()
    begun = time.perf_counter()
    server = start(directory, port, more)
    try:
        body = first_answer(port, BUCKET, "00000000")
        took_s, used_s = time.perf_counter() - begun, cpu_s(server.pid)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert len(body) == IN_FILE_BYTES
    return took_s, used_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--load", type=float, default=1.0, help="seconds of writing before each kill")
    given = parser.parse_args()
    around = report.surroundings()
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        directory = Path(folder) / "data"
        begun = time.perf_counter()
        fill(directory, given.objects)
        print(f"{given.objects:,} objects stored in {time.perf_counter() - begun:.0f} s")
        port = free_port()
        took, used = zip(
            *(measure(directory, port, given.processes, given.load) for _ in range(given.kills)), strict=True
        )
    report.print_table(
        f"First answer after SIGKILL, {given.objects:,} objects, {given.kills} times",
        ("processes", "median", "slowest", "processor, median"),
        [
            (
                str(given.processes),
                f"{statistics.median(took):.2f} s",
                f"{max(took):.2f} s",
                f"{statistics.median(used):.2f} s",
            )
        ],
    )
    name = "restart" if given.processes == 1 else f"restart-{given.processes}"
    report.write_json(name, {"surroundings": around, "objects": given.objects, "took_s": took, "cpu_s": used})


if __name__ == "__main__":
    main()
