"""``penstock uploads drain``: let what runs in another process finish its parts, then stop it."""

from __future__ import annotations

import click

from penstock.cli.amounts import duration_option
from penstock.cli.ending import ExitCode
from penstock.cli.options import Options, oss_command
from penstock.cli.running import must_run, tell_end


@oss_command("drain", connects=False)
@click.argument("transfer", metavar="ID|TOKEN|oss://BUCKET/KEY")
@click.option(
    "--timeout", "timeout_s", default="30s", show_default=True, callback=duration_option, metavar="TIME",
    help="How long the parts in flight may take.",
)  # fmt: skip
def command(options: Options, transfer: str, timeout_s: float) -> int:
    """Let a transfer of another process finish the parts in flight, then stop it; it can be resumed."""
    for found in must_run(transfer):
        tell_end(found, found.drain(timeout_s), options)
    return ExitCode.SUCCESS
