"""``penstock rb``: remove an empty bucket."""

from __future__ import annotations

import click

from penstock.cli.address import bucket_url, client_at
from penstock.cli.options import Options, oss_command


@oss_command("rb")
@click.argument("address", metavar="oss://BUCKET")
def command(options: Options, address: str) -> None:
    """
    Remove a bucket that is empty; unfinished uploads count as content.

    `penstock rm -r` and `penstock uploads clean --older-than 0s` empty one.
    """
    url = bucket_url(address)
    with client_at(options, url) as client:
        client.delete_bucket(url.bucket)
    options.say(f"removed {url}")
