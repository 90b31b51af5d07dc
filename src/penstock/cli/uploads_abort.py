"""``penstock uploads abort``: abort what runs in another process, and keep it."""

from __future__ import annotations

import click

from penstock.cli.ending import ExitCode
from penstock.cli.options import Options, oss_command
from penstock.cli.running import must_run, tell_end


@oss_command("abort", connects=False)
@click.argument("transfer", metavar="ID|TOKEN|oss://BUCKET/KEY")
def command(options: Options, transfer: str) -> int:
    """
    Stop a transfer that runs in another process of yours, as Ctrl-C there would; it can be resumed.

    What other transfers the process has go on. The id is that of `penstock uploads ls`. (The call that OSS
    names AbortMultipartUpload is `uploads cancel`.)
    """
    for found in must_run(transfer):
        tell_end(found, found.abort(), options)
    return ExitCode.SUCCESS
