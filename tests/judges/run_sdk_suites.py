"""
Runs the test suites of the official Python SDKs, from checkouts, against `penstock serve`.

    python tests/judges/run_sdk_suites.py --oss2 PATH --v2 PATH

The suites are not changed. What cannot hold here is listed in excluded.toml, each test with its reason; a
test that fails and is not listed fails the run. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
EXCLUDED = HERE / "excluded.toml"
OWNER = ("1000000000000001", "judge-id", "judge-secret")
PAYER = ("2000000000000002", "payer-id", "payer-secret")
START_S, SUITE_S = 30, 3600


class Suite(NamedTuple):
    """How a suite is called, what of it is run, and how it signs."""

    name: str
    paths: tuple[str, ...]
    signatures: tuple[str, ...]


SUITES = (
    Suite("oss2", ("tests",), ("v1", "v2", "v4")),
    Suite("v2", ("tests/integration",), ("v1+v4",)),  # signs with both by itself
)
CONFIGURATION = """
directory = "data"
host = "127.0.0.1"
port = 0
durability = "none"
lifecycle_every_s = 0
""" + "".join(
    f'[[users]]\naccount = "{account}"\naccess_key_id = "{access_key_id}"\nsecret_file = "{access_key_id}"\n'
    for account, access_key_id, _ in (OWNER, PAYER)
)


class Verdict(NamedTuple):
    """What came of a run: the outcome by test, and how pytest ended."""

    outcomes: dict[str, str]
    status: int


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--oss2", type=Path, help="checkout of aliyun-oss-python-sdk")
    parser.add_argument("--v2", type=Path, help="checkout of alibabacloud-oss-python-sdk-v2")
    parser.add_argument("--signature", action="append", help="of oss2: v1, v2 or v4; may be repeated (all)")
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter that has what the suites import"
    )
    parser.add_argument("--listed", action="store_true", help="run only what is listed, and say what passes")
    given = parser.parse_args()
    checkouts = {"oss2": given.oss2, "v2": given.v2}
    if not any(checkouts.values()):
        parser.error("give a checkout of a suite: --oss2 PATH, --v2 PATH or both")
    # Whoever ends this process ends the server and the suite with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    good = True
    for suite in SUITES:
        checkout = checkouts[suite.name]
        if checkout is None:
            continue
        if not all((checkout / path).is_dir() for path in suite.paths):
            parser.error(f"{checkout} is not a checkout of {suite.name}: it has no {' '.join(suite.paths)}")
        for signature in suite.signatures:
            if suite.name != "oss2" or given.signature is None or signature in given.signature:
                good &= judge(suite, checkout.resolve(), signature, given.python, listed=given.listed)
    return 0 if good else 1


def judge(suite: Suite, checkout: Path, signature: str, python: str, *, listed: bool) -> bool:
    """Runs one suite with one version of signatures; True if it went as the list says."""
    reasons = excluded(suite.name, signature, always=listed)
    title = f"{suite.name} {signature}"
    print(f"== {title}: {checkout}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="penstock-judges-") as scratch,
        serving(Path(scratch)) as endpoint,
    ):
        (Path(scratch) / "left_out").write_text("" if listed else "\n".join(reasons))
        asked = list(reasons) if listed else list(suite.paths)
        # The suites write files beside themselves, under names that are always the same.
        copy = Path(scratch) / "checkout"
        shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git"))
        verdict = run(copy, endpoint, signature, python, asked, Path(scratch))
    counts = Counter(verdict.outcomes.values())
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    print(f"== {title}: {summary}; {len(reasons)} listed", flush=True)
    unwanted = "passed" if listed else "failed"
    wrong = sorted(test for test, outcome in verdict.outcomes.items() if outcome == unwanted)
    for test in wrong:
        what = "passes now, take it off the list" if listed else "failed, and is not listed"
        print(f"{what}: {test} {reasons.get(test, '')}".rstrip())
    # 0: all passed; 1: some failed, which is told above. Anything else, or nothing at all, is no verdict.
    judged = verdict.status in (0, 1) and (listed or "passed" in counts)
    if not judged:
        print(f"{title}: pytest ended with {verdict.status}, and {summary or 'ran nothing'}")
    return judged and not wrong


def excluded(suite: str, signature: str, *, always: bool = False) -> dict[str, str]:
    """Reason by test, of what does not hold here; with ``always``, only of what holds on no machine."""
    found: dict[str, str] = {}
    for group in tomllib.loads(EXCLUDED.read_text(encoding="utf-8"))[suite]:
        sometimes = always and group.get("sometimes", False)
        if signature in group.get("signatures", [signature]) and not sometimes:
            for test in group["tests"]:
                if test in found:
                    raise SystemExit(f"{EXCLUDED}: {test} is listed twice")
                found[test] = group["reason"]
    return found


@contextlib.contextmanager
def serving(scratch: Path) -> Iterator[str]:
    """The endpoint of a server of its own, with an account and one that pays."""
    for _, access_key_id, secret in (OWNER, PAYER):
        (scratch / access_key_id).write_text(secret)
    configuration = scratch / "penstock.toml"
    configuration.write_text(CONFIGURATION)
    command = [sys.executable, "-m", "penstock.cli", "serve", "--config", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=scratch) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().removeprefix("OSS at ").strip()
        finally:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(START_S)
            server.kill()


def run(
    checkout: Path, endpoint: str, signature: str, python: str, asked: list[str], scratch: Path
) -> Verdict:
    """Runs pytest in a checkout, with nothing but the environment to tell it where OSS is."""
    environment = {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    } | {
        "OSS_TEST_ENDPOINT": endpoint,
        "OSS_TEST_REGION": "cn-hangzhou",
        "OSS_TEST_ACCESS_KEY_ID": OWNER[1],
        "OSS_TEST_ACCESS_KEY_SECRET": OWNER[2],
        "OSS_TEST_USER_ID": OWNER[0],
        "OSS_TEST_UID": OWNER[0],
        "OSS_TEST_PAYER_UID": PAYER[0],
        "OSS_TEST_PAYER_ACCESS_KEY_ID": PAYER[1],
        "OSS_TEST_PAYER_ACCESS_KEY_SECRET": PAYER[2],
        "OSS_TEST_AUTH_VERSION": signature,
        "PYTHONPATH": os.pathsep.join((str(checkout), str(HERE / "plugin"))),
        "JUDGES_LEFT_OUT": str(scratch / "left_out"),
        "JUDGES_OUTCOMES": str(scratch / "outcomes"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "TZ": "CST-8",  # some tests write a time of China as if it were local
    }
    options = ["-p", "no:cacheprovider", "-p", "no:logging", "-p", "drawn_buckets", "-p", "judged"]
    options += ["-q", "--tb=native", "--show-capture=no", "-W", "ignore"]
    command = [python, "-m", "pytest", *options, *asked]
    ended = subprocess.run(command, cwd=checkout, env=environment, timeout=SUITE_S, check=False)
    return Verdict(outcomes(scratch / "outcomes"), ended.returncode)


def outcomes(noted: Path) -> dict[str, str]:
    """The outcome by test; one phase that failed is enough."""
    found: dict[str, str] = {}
    for line in noted.read_text(encoding="utf-8").splitlines() if noted.exists() else ():
        outcome, _, test = line.partition(" ")
        if found.get(test) != "failed":
            found[test] = outcome
    return found


if __name__ == "__main__":
    sys.exit(main())
