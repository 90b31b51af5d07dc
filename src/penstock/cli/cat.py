"""``penstock cat``: an object on standard output."""

from __future__ import annotations

import click

from penstock.cli.address import client_at, object_url
from penstock.cli.options import Options, oss_command
from penstock.cli.standard_streams import standard_output


@oss_command("cat")
@click.argument("addresses", metavar="oss://BUCKET/KEY...", nargs=-1, required=True)
def command(options: Options, addresses: tuple[str, ...]) -> None:
    """Write objects to standard output, one after the other."""
    output = standard_output()
    for address in addresses:
        url = object_url(address)
        with client_at(options, url) as client, client.get_object(url.bucket, url.key) as body:
            body.copy_to(output)
    output.flush()
