"""``penstock mb``: make a bucket."""

from __future__ import annotations

import click

from penstock.cli.address import bucket_url, client_at
from penstock.cli.options import Options, oss_command


@oss_command("mb")
@click.argument("address", metavar="oss://BUCKET")
@click.option("--acl", help="private, public-read or public-read-write.")
@click.option("--storage-class", help="Standard, IA, Archive, ColdArchive or DeepColdArchive.")
@click.option("--redundancy-type", type=click.Choice(["LRS", "ZRS"]), help="In one zone, or over several.")
def command(
    options: Options, address: str, acl: str | None, storage_class: str | None, redundancy_type: str | None
) -> None:
    """Make a bucket; making one's own again is no error."""
    url = bucket_url(address)
    with client_at(options, url) as client:
        client.put_bucket(url.bucket, acl=acl, storage_class=storage_class, redundancy=redundancy_type)
    options.say(f"made {url}")
