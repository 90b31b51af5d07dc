"""``penstock du``: how much there is, and how much of it nobody sees."""

from __future__ import annotations

from collections import Counter

import click

from penstock.cli.address import client_at, place_url
from penstock.cli.amounts import bytes_text, count_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command


@oss_command("du")
@click.argument("address", metavar="oss://BUCKET[/PREFIX]")
def command(options: Options, address: str) -> None:
    """
    Add up the objects below a prefix, and the parts of unfinished uploads.

    The parts are stored, and billed, and no listing of objects shows them.
    """
    url = place_url(address)
    prefix = url.key or None
    counts: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    upload_count = part_count = part_bytes = 0
    with client_at(options, url) as client:
        for found in client.iter_objects(url.bucket, prefix=prefix):
            counts[found.storage_class or "Standard"] += 1
            sizes[found.storage_class or "Standard"] += found.size_bytes
        for upload in client.iter_multipart_uploads(url.bucket, prefix=prefix):
            upload_count += 1
            for part in client.iter_parts(url.bucket, upload.key, upload.upload_id):
                part_count += 1
                part_bytes += part.size_bytes
    if options.json:
        echo_json(
            {
                "address": str(url),
                "objects": counts.total(),
                "object_bytes": sizes.total(),
                "bytes_by_storage_class": dict(sizes),
                "uploads": upload_count,
                "parts": part_count,
                "part_bytes": part_bytes,
            }
        )
        return
    for storage_class in sorted(counts):
        text = count_text(counts[storage_class], "object")
        click.echo(f"{bytes_text(sizes[storage_class]):>12}  {text}, {storage_class}")
    if not counts:
        click.echo(f"{bytes_text(0):>12}  no object")
    if upload_count:
        parts = f"{count_text(part_count, 'part')} of {count_text(upload_count, 'unfinished upload')}"
        click.echo(f"{bytes_text(part_bytes):>12}  {parts}")
    click.echo(f"{bytes_text(sizes.total() + part_bytes):>12}  in all, {sizes.total() + part_bytes:,} bytes")
