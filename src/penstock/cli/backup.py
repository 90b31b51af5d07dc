"""``penstock backup``: a copy of a store, while it is served."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from penstock.cli.amounts import bytes_text, count_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command


@oss_command("backup", connects=False, short_help="Copy the store of an OSS, also while it is served.")
@click.argument("store", type=click.Path(path_type=Path, file_okay=False))
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--copy", is_flag=True, help="Copy every byte, even where hard links would do.")
def command(options: Options, store: Path, target: Path, *, copy: bool) -> None:
    """
    Make TARGET a copy of STORE, the data directory of `penstock serve`, as it is at this moment.

    The store may be in use. TARGET must not exist; it appears when it is complete, and can be served like any
    other. On the same file system its files are hard links: quick, and no safeguard against that disk.
    """
    from penstock.server.store import LocalStore

    with LocalStore.join(store) as opened:
        report = opened.backup(target, link=not copy)
    if options.json:
        echo_json({"store": str(store), "target": str(target), **msgspec.structs.asdict(report)})
        return
    linked = f", {report.linked_count:,} of them linked" if report.linked_count else ""
    files = f"{count_text(report.blob_count, 'file')} of {bytes_text(report.blob_bytes)}{linked}"
    click.echo(f"{target}: {files}, and {bytes_text(report.metadata_bytes)} of metadata")
