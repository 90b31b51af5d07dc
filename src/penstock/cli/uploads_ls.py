"""``penstock uploads ls``: unfinished uploads of this user, or of a bucket."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.address import client_at, place_url
from penstock.cli.amounts import age_text, bytes_text, count_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.cli.running import running_by_id
from penstock.cli.terminal import shown
from penstock.cli.unfinished import is_running, open_uploads, short_id

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.running.control import RunningTransfer
    from penstock.client.running.journals import UnfinishedUpload
    from penstock.protocol.urls import OssUrl


@oss_command("ls")
@click.argument("address", required=False, metavar="[oss://BUCKET[/PREFIX]]")
def command(options: Options, address: str | None) -> None:
    """
    List unfinished uploads, copies and downloads of this user, from the journals of this machine.

    With an address: all uploads and copies that OSS has there, whoever began them, with the size of their
    parts.
    """
    if address is None:
        running = running_by_id()
        uploads = open_uploads()
        for upload in uploads:
            _show_journaled(upload, running.pop(upload.view.intent.job_id, None), options)
        for transfer in running.values():
            _show_running(transfer, options)
        count = count_text(len(uploads) + len(running), "unfinished transfer")
        options.say(f"{count} on this machine")
        return
    url = place_url(address)
    with client_at(options, url) as client:
        _list_at_oss(client, url, options)


def _show_journaled(upload: UnfinishedUpload, running: RunningTransfer | None, options: Options) -> None:
    view = upload.view
    intent = view.intent
    acknowledged_bytes = running.state.acknowledged_bytes if running else view.acknowledged_bytes
    fields = {
        "id": short_id(intent.job_id),
        "kind": intent.kind.value,
        "upload_id": view.upload_id,
        "address": upload.url,
        "endpoint": intent.endpoint,
        "source": intent.source.path if intent.source else None,
        "path": intent.path or None,
        "total_bytes": intent.total_bytes,
        "acknowledged_bytes": acknowledged_bytes,
        "started_at": intent.started_at,
        "running": running is not None or is_running(upload),
        "pid": running.pid if running else None,
        "reachable": running is not None and not running.unreachable,
    }
    if options.json:
        echo_json(fields)
        return
    share = acknowledged_bytes / intent.total_bytes if intent.total_bytes else 0
    age = "running" if fields["running"] else age_text(time.time() - intent.started_at)
    other_end = f"-> {intent.path}" if intent.path else str(fields["source"] or "")
    click.echo(
        f"{fields['id']}  {age:>8}  {share:>4.0%} of {bytes_text(intent.total_bytes):>10}  "
        f"{shown(upload.url)}  {click.style(shown(other_end), dim=True)}".rstrip()
    )


def _show_running(transfer: RunningTransfer, options: Options) -> None:
    """What runs without a journal: too small for parts, or the caller wanted none."""
    state = transfer.state
    fields = {
        "id": short_id(state.transfer_id),
        "kind": None,
        "upload_id": state.upload_id,
        "address": state.name,
        "endpoint": None,
        "source": None,
        "path": None,
        "total_bytes": state.total_bytes,
        "acknowledged_bytes": state.acknowledged_bytes,
        "started_at": None,
        "running": True,
        "pid": transfer.pid,
        "reachable": not transfer.unreachable,
    }
    if options.json:
        echo_json(fields)
        return
    share = state.acknowledged_bytes / state.total_bytes if state.total_bytes else 0
    amount = f"{share:>4.0%} of {bytes_text(state.total_bytes):>10}"
    who = click.style(f"process {transfer.pid}, cannot be resumed", dim=True)
    click.echo(f"{fields['id']}  {'running':>8}  {amount}  {shown(state.name)}  {who}")


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
            f"{bytes_text(sum(parts)):>10}  {shown(fields['address'])}"
        )
    options.say(f"{count_text(count, 'unfinished upload')} at OSS, {bytes_text(total_bytes)}")
