"""``penstock rm``: remove objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from penstock.cli.address import client_at, confirm, place_url
from penstock.cli.amounts import count_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.cli.removal import remove_objects
from penstock.cli.terminal import shown
from penstock.errors import InvalidInput
from penstock.protocol.urls import OssUrl

if TYPE_CHECKING:
    from penstock.client.client import Client


@oss_command("rm")
@click.argument("address", metavar="oss://BUCKET/KEY")
@click.option("-r", "--recursive", is_flag=True, help="All objects that begin with the address.")
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be removed.")
def command(options: Options, address: str, recursive: bool, force: bool, dry_run: bool) -> None:
    """
    Remove an object; with -r all that begin with the address, after asking.

    Unfinished uploads are left alone: `penstock uploads clean` removes those.
    """
    url = place_url(address)
    if not recursive and not url.key:
        raise InvalidInput(f"{url} is a bucket", advice="Add -r to remove all that is in it.")
    with client_at(options, url) as client:
        keys = _keys(client, url) if recursive else iter([url.key])
        if dry_run:
            for key in keys:
                _show(url, key, options, "would remove")
            return
        if recursive:
            confirm(f"Remove all objects that begin with {url}?", sure=force)
        count = 0
        for key in remove_objects(client, url.bucket, keys):
            _show(url, key, options, "removed")
            count += 1
    options.say(f"removed {count_text(count, 'object')}")


def _keys(client: Client, url: OssUrl) -> Iterator[str]:
    for found in client.iter_objects(url.bucket, prefix=url.key or None):
        yield found.key


def _show(url: OssUrl, key: str, options: Options, what: str) -> None:
    if options.json:
        echo_json({"key": key, "address": f"oss://{url.bucket}/{key}"})
    else:
        click.echo(f"{what} {shown(f'oss://{url.bucket}/{key}')}")
