"""``penstock fsck``: whether a store has all that it should."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from penstock.cli.amounts import count_text
from penstock.cli.ending import ExitCode
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command

if TYPE_CHECKING:
    from penstock.server.store import CheckReport, NeedyRow, RepairReport

_MOST_LINES: Final = 20


@oss_command("fsck", connects=False, short_help="Check the store of an OSS, also while it is served.")
@click.argument("store", type=click.Path(path_type=Path, file_okay=False))
@click.option("--scrub", is_flag=True, help="Read every byte too, and compare checksums.")
@click.option(
    "--repair", is_flag=True, help="Remove what nothing needs: what a crash left behind, and garbage."
)
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def command(options: Options, store: Path, *, scrub: bool, repair: bool, as_json: bool) -> int:
    """
    Compare the metadata and the files of STORE, the data directory of `penstock serve`.

    The store may be in use. From a store that is damaged nothing is ever removed: what is wrong is reported,
    with the objects that are concerned, and ends with exit code 4. Files that nothing needs are untidy, not
    wrong.
    """
    from penstock.server.store import LocalStore

    with LocalStore.join(store) as opened:
        report = opened.check(scrub=scrub)
        # What nothing seems to need may be just what a damaged store has lost sight of.
        repaired = opened.repair() if repair and report.sound else None
    if as_json or options.json:
        fields = {"store": str(store), "sound": report.sound, **msgspec.structs.asdict(report)}
        echo_json({**fields, "repaired": repaired})
    else:
        for line in lines_of(store, report, repaired, scrub=scrub):
            click.echo(line)
    return ExitCode.SUCCESS if report.sound else ExitCode.PARTIAL_FAILURE


def lines_of(
    store: Path, report: CheckReport, repaired: RepairReport | None, *, scrub: bool
) -> Iterator[str]:
    """What was found, in words."""
    looked_at = (
        f"{count_text(report.blob_count, 'file')} looked at, {'every byte' if scrub else 'not the bytes'}"
    )
    yield f"{store} is {'in order' if report.sound else click.style('damaged', fg='red')} ({looked_at})"
    for what, blob_ids in (
        ("missing", report.missing),
        ("of another length", report.wrong_size),
        ("of another checksum, or not to be read", report.damaged),
    ):
        yield from _cut(f"  file {one} is {what}" for one in blob_ids)
    yield from _cut(f"  metadata: {one}" for one in report.faults)
    if report.needy:
        yield "These need what is not there; write them again, or take them from a backup:"
        yield from _cut(f"  {_needy_text(one)}" for one in report.needy)
    if repaired is not None:
        gone = len(repaired.orphans) + repaired.garbage_count
        yield f"removed {count_text(gone, 'file')} that nothing needed"
    elif report.orphans or report.garbage_count:
        left = f"{count_text(len(report.orphans), 'file')} left behind by a crash"
        how = "--repair removes them" if report.sound else "nothing is removed from a store that is damaged"
        yield f"{left}, {report.garbage_count} waiting for removal: {how}"


def _needy_text(row: NeedyRow) -> str:
    address = f"oss://{row.bucket}/{row.key}"
    if row.upload_id is not None:
        return f"{address}, unfinished upload {row.upload_id}"
    return f"{address}, version {row.version_id}" if row.version_id else address


def _cut(lines: Iterable[str]) -> Iterator[str]:
    """The first lines, and how many there are beyond them."""
    every = list(lines)
    yield from every[:_MOST_LINES]
    if len(every) > _MOST_LINES:
        yield f"  and {len(every) - _MOST_LINES:,} more; --json shows all"
