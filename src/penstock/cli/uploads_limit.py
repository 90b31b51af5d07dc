"""``penstock uploads limit``: make what runs in another process faster or slower."""

from __future__ import annotations

import click

from penstock.cli.amounts import bytes_text, size_bytes
from penstock.cli.ending import ExitCode
from penstock.cli.options import Options, oss_command
from penstock.cli.running import must_run

_NO_LIMIT = "none"


def _speed(ctx: click.Context, param: click.Parameter, text: str) -> int | None:
    if text.lower() == _NO_LIMIT:
        return None
    try:
        return size_bytes(text.lower().removesuffix("/s"))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@oss_command("limit", connects=False)
@click.argument("transfer", metavar="ID|TOKEN|oss://BUCKET/KEY")
@click.argument("speed", metavar=f"SPEED|{_NO_LIMIT}", callback=_speed)
def command(options: Options, transfer: str, speed: int | None) -> int:
    """
    Limit the speed of a transfer that runs in another process of yours, from now on.

    SPEED is bytes a second, such as 2M or 500K; 0 lets nothing through until there is another limit, and
    none lifts it. Limits that the process itself has set stay.
    """
    for found in must_run(transfer):
        found.set_limit(speed)
        options.say(f"{found.name}: {'no limit' if speed is None else f'{bytes_text(speed)}/s'}")
    return ExitCode.SUCCESS
