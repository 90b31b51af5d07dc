"""``penstock uploads ls``: unfinished uploads of this user, or of a bucket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.address import client_at, place_url
from penstock.cli.amounts import age_text, bytes_text, count_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.cli.unfinished import is_running, open_uploads, short_id

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.journals import UnfinishedUpload
    from penstock.protocol.urls import OssUrl


@oss_command("ls")
@click.argument("address", required=False, metavar="[oss://BUCKET[/PREFIX]]")
def command(options: Options, address: str | None) -> None:
    """
    List unfinished uploads of this user, from the journals of this machine.

    With an address: all that OSS has there, whoever began them, with the size of their parts.
    """
    if address is None:
        uploads = open_uploads()
        for upload in uploads:
            _show_journaled(upload, options)
        options.say(count_text(len(uploads), "unfinished upload") + " on this machine")
        return
    url = place_url(address)
    with client_at(options, url) as client:
        _list_at_oss(client, url, options)


def _show_journaled(upload: UnfinishedUpload, options: Options) -> None:
    view = upload.view
    intent = view.intent
    fields = {
        "id": short_id(intent.job_id),
        "upload_id": view.upload_id,
        "address": upload.url,
        "endpoint": intent.endpoint,
        "source": intent.source.path if intent.source else None,
        "total_bytes": intent.total_bytes,
        "acknowledged_bytes": view.acknowledged_bytes,
        "started_at": intent.started_at,
        "running": is_running(upload),
    }
    if options.json:
        echo_json(fields)
        return
    share = view.acknowledged_bytes / intent.total_bytes if intent.total_bytes else 0
    age = "running" if fields["running"] else age_text(time.time() - intent.started_at)
    click.echo(
        f"{fields['id']}  {age:>8}  {share:>4.0%} of {bytes_text(intent.total_bytes):>10}  "
        f"{upload.url}  {click.style(str(fields['source'] or ''), dim=True)}".rstrip()
    )


def _list_at_oss(client: Client, url: OssUrl, options: Options) -> None:
    journaled = {upload.view.upload_id: upload for upload in open_uploads()}
    count = total_bytes = 0
    for found in client.iter_multipart_uploads(url.bucket, prefix=url.key or None):
        parts = [part.size_bytes for part in client.iter_parts(url.bucket, found.key, found.upload_id)]
        count += 1
        total_bytes += sum(parts)
        ours = journaled.get(found.upload_id)
        fields: dict[str, Any] = {
            "id": short_id(ours.view.intent.job_id) if ours else None,
            "upload_id": found.upload_id,
            "address": f"oss://{url.bucket}/{found.key}",
            "parts": len(parts),
            "part_bytes": sum(parts),
            "initiated": found.initiated,
        }
        if options.json:
            echo_json(fields)
            continue
        age = age_text(time.time() - found.initiated.timestamp()) if found.initiated else "-"
        click.echo(
            f"{fields['id'] or '-':<8}  {found.upload_id}  {age:>8}  {len(parts):>6,} parts  "
            f"{bytes_text(sum(parts)):>10}  {fields['address']}"
        )
    options.say(f"{count_text(count, 'unfinished upload')} at OSS, {bytes_text(total_bytes)}")
