"""Tables for people, JSON for machines, and what they were measured on."""

from __future__ import annotations

import json
import os
import platform
import ssl
import statistics
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent / "results"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"
_PACKAGES = ("penstock", "obstore", "alibabacloud-oss-v2", "oss2", "boto3", "urllib3")


def surroundings() -> dict[str, Any]:
    """The machine and the versions, without which no figure means anything."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "packages": versions,
    }


def spread(values: Sequence[float]) -> str:
    """Median, 99th percentile and maximum."""
    ordered = sorted(values)
    p99 = ordered[max(0, -(-len(ordered) * 99 // 100) - 1)]
    return f"{statistics.median(ordered):.2f} / {p99:.2f} / {ordered[-1]:.2f}"


def between(counts: Sequence[tuple[int, int]]) -> str:
    """The largest of numbers of which only bounds are known."""
    low, high = max(low for low, _ in counts), max(high for _, high in counts)
    return f"{high:,}" if low == high else f"{low:,} to {high:,}"


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"### {title}", "", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines.extend(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join(lines) + "\n"


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = table(title, columns, rows)
    print(f"\n{text}", end="")
    return text


def write_between_marks(path: Path, text: str) -> None:
    """Replace what stands between the two marks of a document."""
    before, _, rest = path.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    path.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{after}")


def write_json(name: str, content: dict[str, Any]) -> Path:
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{name}.json"
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path
