"""``penstock ls``: buckets, and what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.cli.address import client_at, oss_url
from penstock.cli.amounts import bytes_text, count_text, moment_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.cli.terminal import shown
from penstock.protocol.urls import OssUrl

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.protocol.operations.listing import CommonPrefix, ListedObject


@oss_command("ls")
@click.argument("address", default="oss://", metavar="[oss://[BUCKET[/PREFIX]]]")
@click.option("-r", "--recursive", is_flag=True, help="All that begins with the prefix.")
@click.option("-l", "--long", "detailed", is_flag=True, help="Storage class and ETag too.")
@click.option("-s", "--short-format", "short", is_flag=True, help="Addresses only.")
@click.option("--human-readable", is_flag=True, help="Sizes such as 1.5 GiB.")
def command(
    options: Options, address: str, recursive: bool, detailed: bool, short: bool, human_readable: bool
) -> None:
    """
    List buckets, or the objects and folders right below a prefix.

    Times are UTC, sizes are bytes, and the order is that of the bytes of the keys.
    """
    url = oss_url(address)
    with client_at(options, url) as client:
        if not url.bucket:
            _list_buckets(client, options, short)
            return
        rows = Rows(url, options, detailed=detailed, short=short, human_readable=human_readable)
        entries = (
            client.iter_objects(url.bucket, prefix=url.key or None)
            if recursive
            else client.iter_folder(url.bucket, url.key)
        )
        for entry in entries:
            rows.show(entry)
        options.say(rows.total)


def _list_buckets(client: Client, options: Options, short: bool) -> None:
    count = 0
    for bucket in client.iter_buckets():
        count += 1
        if options.json:
            echo_json(bucket)
        elif short:
            click.echo(f"oss://{bucket.name}")
        else:
            place = f"{bucket.location:<20}  {bucket.storage_class or '-':<12}"
            click.echo(f"{moment_text(bucket.created)}  {place}  oss://{bucket.name}")
    options.say(count_text(count, "bucket"))


class Rows:
    """Prints entries of a bucket as they come, and adds them up."""

    def __init__(
        self, url: OssUrl, options: Options, *, detailed: bool, short: bool, human_readable: bool
    ) -> None:
        self._bucket = url.bucket
        self._json = options.json
        self._detailed = detailed
        self._short = short
        self._human_readable = human_readable
        self._objects = 0
        self._folders = 0
        self._bytes = 0

    @property
    def total(self) -> str:
        """What was listed, in words."""
        words = [count_text(self._objects, "object"), bytes_text(self._bytes)]
        if self._folders:
            words.insert(0, count_text(self._folders, "folder"))
        return ", ".join(words)

    def show(self, entry: ListedObject | CommonPrefix) -> None:
        """Print one."""
        prefix = getattr(entry, "prefix", None)
        if prefix is not None:
            self._folders += 1
            self._show_folder(prefix)
            return
        self._objects += 1
        self._bytes += entry.size_bytes  # type: ignore[union-attr]
        self._show_object(entry)  # type: ignore[arg-type]

    def _show_folder(self, prefix: str) -> None:
        address = f"oss://{self._bucket}/{prefix}"
        if self._json:
            echo_json({"prefix": prefix, "address": address})
        elif self._short:
            click.echo(shown(address))
        else:
            click.echo(
                f"{'':20}  {'folder':>14}  {'':50}{shown(address)}"
                if self._detailed
                else f"{'folder':>36}  {shown(address)}"
            )

    def _show_object(self, entry: ListedObject) -> None:
        address = f"oss://{self._bucket}/{entry.key}"
        if self._json:
            echo_json(entry)
        elif self._short:
            click.echo(shown(address))
        else:
            size = bytes_text(entry.size_bytes) if self._human_readable else str(entry.size_bytes)
            more = f"{entry.storage_class or '-':<10}  {entry.etag or '-':<38}  " if self._detailed else ""
            click.echo(f"{moment_text(entry.last_modified)}  {size:>14}  {more}{shown(address)}")
