"""``penstock uploads show``: one unfinished transfer, from its journal and from OSS."""

from __future__ import annotations

import click

from penstock.cli.amounts import bytes_text, moment_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, open_client, oss_command
from penstock.cli.terminal import shown
from penstock.cli.unfinished import find_upload, is_running, token_of
from penstock.errors import NoSuchUpload
from penstock.transfer.journal import TransferKind
from penstock.transfer.plan import part_plan


@oss_command("show")
@click.argument("upload", metavar="ID|TOKEN|oss://BUCKET/KEY")
def command(options: Options, upload: str) -> None:
    """Show a transfer of this user: what there is of it, what is missing, and the token to resume it with."""
    found = find_upload(upload)
    view, intent = found.view, found.view.intent
    is_download = intent.kind is TransferKind.DOWNLOAD
    stored = {part.number: part.size_bytes for part in view.parts.values()} if is_download else None
    if view.upload_id is not None:
        with open_client(options, endpoint=intent.endpoint, region=intent.region) as client:
            try:
                parts = list(client.iter_parts(intent.bucket, intent.key, view.upload_id))
                stored = {part.number: part.size_bytes for part in parts}
            except NoSuchUpload:
                stored = None
    count = part_plan(intent.total_bytes, intent.part_bytes).count
    fields = {
        "id": intent.job_id,
        "kind": intent.kind.value,
        "address": found.url,
        "endpoint": intent.endpoint,
        "source": intent.source.path if intent.source else None,
        "path": intent.path or None,
        "upload_id": view.upload_id,
        "started_at": intent.started_at,
        "running": is_running(found),
        "total_bytes": intent.total_bytes,
        "part_bytes": intent.part_bytes,
        "parts": count,
        "stored_parts": None if stored is None else len(stored),
        "stored_bytes": None if stored is None else sum(stored.values()),
        "token": token_of(view),
    }
    if options.json:
        echo_json(fields)
        return
    if view.unbegun:
        there = "nothing: it was stopped before it began"
    elif stored is None:
        there = "OSS does not know the UploadId (any more)"
    else:
        there = f"{len(stored)} of {count} parts, {bytes_text(sum(stored.values()))}"
    missing = [number for number in range(1, count + 1) if number not in (stored or {})]
    at_oss = f"{found.url} at {intent.endpoint}"
    rows = [
        ("id", intent.job_id),
        ("from", at_oss if is_download else fields["source"] or "no file"),
        ("to", intent.path if is_download else at_oss),
        ("begun", moment_text(intent.started_at)),
        *([] if is_download else [("UploadId", view.upload_id or "none yet")]),
        ("size", f"{bytes_text(intent.total_bytes)} in parts of {bytes_text(intent.part_bytes)}"),
        ("on disk" if is_download else "at OSS", there),
        ("missing", ranges_text(missing) or "nothing"),
        ("state", "a process carries it out" if fields["running"] else "stopped"),
        ("token", fields["token"]),
    ]
    for label, text in rows:
        click.echo(f"{click.style(label.ljust(10), dim=True)}{shown(str(text))}")


def ranges_text(numbers: list[int]) -> str:
    """Such as ``1-3, 7, 9-12``."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
