"""
How fast penstock puts objects, beside others, in the same run on the same machine against the same sink.

Every candidate has a process of its own that stays alive, with its connections open. In each round each of
them does the same work, one after the other, so that a disturbance of the machine hits all alike. Where there
are two CPUs or more, client and sink each have their own.

    python bench/throughput.py                      # all of it, some minutes
    python bench/throughput.py --only small --tls plain --candidates penstock,obstore --rounds 5
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import report
import sink
from candidates import CANDIDATES, Target


class Workload(NamedTuple):
    """What is put: ``count`` is the number of objects a round, at any concurrency."""

    title: str
    size_bytes: int
    from_file: bool
    count: int

    @property
    def large(self) -> bool:
        return self.size_bytes > 1 << 20


WORKLOADS = {
    "small": Workload("4 KiB objects", 4096, from_file=False, count=2400),
    "memory": Workload("8 MiB parts from memory", 8 << 20, from_file=False, count=64),
    "file": Workload("8 MiB parts from a file", 8 << 20, from_file=True, count=64),
}
CONCURRENCIES = (1, 4, 16)


class Sample(NamedTuple):
    """One candidate's share of one round."""

    wall_s: float
    cpu_s: float


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _work(pipe: Connection, name: str, target: Target, cpus: set[int]) -> None:
    """The process of one candidate: does what the pipe says until it closes."""
    sink.prefer_cpu(cpus)
    candidate = CANDIDATES[name](target)
    while True:
        try:
            count, concurrency = pipe.recv()
        except EOFError:
            os._exit(0)  # some of them wait for threads of their own
        gc.collect()
        cpu, wall = _cpu_s(), time.perf_counter()
        candidate.run(count, concurrency)
        pipe.send(Sample(time.perf_counter() - wall, _cpu_s() - cpu))


@contextmanager
def _process(name: str, target: Target, cpus: set[int]) -> Iterator[Connection]:
    start = multiprocessing.get_context("spawn")
    ours, theirs = start.Pipe()
    process = start.Process(target=_work, args=(theirs, name, target, cpus))
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _measure(
    workload: Workload, target: Target, names: Sequence[str], rounds: int, cpus: set[int]
) -> dict[tuple[str, int], list[Sample]]:
    samples: dict[tuple[str, int], list[Sample]] = {}
    with ExitStack() as processes:
        pipes = {name: processes.enter_context(_process(name, target, cpus)) for name in names}
        for concurrency in CONCURRENCIES:
            for pipe in pipes.values():
                pipe.send((2 * concurrency, concurrency))  # opens the connections
                pipe.recv()
            for _ in range(rounds):
                for name, pipe in pipes.items():
                    pipe.send((workload.count, concurrency))
                    samples.setdefault((name, concurrency), []).append(pipe.recv())
    return samples


def _cells(workload: Workload, samples: Sequence[Sample]) -> tuple[str, str]:
    gigabytes = workload.size_bytes * workload.count / 1e9
    if workload.large:
        speeds = [gigabytes / sample.wall_s for sample in samples]
        costs = [sample.cpu_s / gigabytes for sample in samples]
        form = "{:.2f}"
    else:
        speeds = [workload.count / sample.wall_s for sample in samples]
        costs = [sample.cpu_s * 1e6 / workload.count for sample in samples]
        form = "{:,.0f}"
    speed = (
        f"{form.format(statistics.median(speeds))} ({form.format(min(speeds))}-{form.format(max(speeds))})"
    )
    return speed, form.format(statistics.median(costs))


def _show(
    title: str, workload: Workload, names: Sequence[str], samples: dict[tuple[str, int], list[Sample]]
) -> None:
    speed, cost = ("GB/s", "CPU s/GB") if workload.large else ("objects/s", "CPU us/object")
    columns = ["", *(f"{what}, {c} at a time" for c in CONCURRENCIES for what in (speed, cost))]
    rows = [
        [name, *(cell for c in CONCURRENCIES for cell in _cells(workload, samples[name, c]))]
        for name in names
    ]
    report.print_table(title, columns, rows)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--only", help=f"of {', '.join(WORKLOADS)}")
    options.add_argument("--tls", choices=("plain", "tls"), help="only this one")
    options.add_argument("--candidates", help="their names, with semicolons in between")
    chosen = options.parse_args()
    names = chosen.candidates.split(";") if chosen.candidates else list(CANDIDATES)
    workloads = chosen.only.split(",") if chosen.only else list(WORKLOADS)
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    ours, theirs = ({available[0]}, set(available[1:])) if len(available) > 1 else (set(available),) * 2
    results: list[dict[str, Any]] = []
    surroundings = report.surroundings()
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for tls in (False, True):
            if chosen.tls and (chosen.tls == "tls") != tls:
                continue
            with sink.running(tls=folder if tls else None, cpus=theirs) as port:
                for key in workloads:
                    workload = WORKLOADS[key]
                    body = os.urandom(workload.size_bytes)
                    path = folder / "body"
                    path.write_bytes(body)
                    ca_file = str(folder / "ca.pem") if tls else None
                    target = Target(port, ca_file, body, str(path) if workload.from_file else None)
                    samples = _measure(workload, target, names, chosen.rounds, ours)
                    title = f"{workload.title}, {'TLS' if tls else 'plain'}"
                    _show(title, workload, names, samples)
                    results += [
                        {"what": title, "candidate": name, "concurrency": c, "samples": taken}
                        for (name, c), taken in samples.items()
                    ]
    path = report.write_json("throughput", {"surroundings": surroundings, "results": results})
    print(f"\n{path}")


if __name__ == "__main__":
    main()
