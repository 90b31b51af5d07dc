"""
Feeds parsers with bytes that reach ever more of their code, for as long as is asked.

    python tests/fuzz/run.py [--seconds 60] [target ...]

Made for the virtual environment of `make fuzz`, which has atheris. Each target runs in a process of its own;
what it is fed with is kept in a folder of its own under ``.fuzz``, and so is what makes it fail.
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent
KEPT = HERE.parents[1] / ".fuzz"

sys.path.insert(0, str(HERE))


def run_one(name: str, seconds: int) -> None:
    """Feed one target in this process, which ends with it."""
    with atheris.instrument_imports(include=["penstock", "targets"]):
        from targets import SEEDS, TARGETS
    logging.disable(logging.CRITICAL)
    corpus = KEPT / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [f"-max_total_time={seconds}", "-max_len=8192", "-timeout=20", "-rss_limit_mb=2048"]
    options += [f"-artifact_prefix={KEPT / name}-", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


def run_in_process(name: str, seconds: int) -> bool:
    """Feed one target in a process of its own; says how often, and True if it did not fail."""
    command = [sys.executable, __file__, "--here", "--seconds", str(seconds), name]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    executions = re.findall(r"number_of_executed_units:\s*(\d+)", done.stderr)
    covered = re.findall(r"cov: (\d+)", done.stderr)
    print(
        f"{name:18} {'ok' if done.returncode == 0 else 'FAILED':6} {executions[-1] if executions else '?':>9}"
        f" executions, {covered[-1] if covered else '?':>6} places reached",
        flush=True,
    )
    if done.returncode:
        print(done.stdout[-4000:], done.stderr[-1000:], flush=True)
    return done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--here", action="store_true", help="one target, in this process")
    parser.add_argument("targets", nargs="*", help="those to feed; all if none is named")
    given = parser.parse_args()
    if given.here:
        run_one(given.targets[0], given.seconds)
        return 0
    names = given.targets
    if not names:
        from targets import TARGETS

        names = list(TARGETS)
    failed = [name for name in names if not run_in_process(name, given.seconds)]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
