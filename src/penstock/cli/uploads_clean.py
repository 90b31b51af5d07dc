"""``penstock uploads clean``: cancel what was forgotten."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from penstock.cli.address import client_at, confirm, place_url
from penstock.cli.amounts import age_text, count_text, duration_option
from penstock.cli.ending import ExitCode
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.cli.terminal import shown
from penstock.cli.unfinished import is_running, open_uploads
from penstock.cli.uploads_cancel import cancel_journaled, cancel_unknown, end_of
from penstock.transfer.outcome import CleanUp

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.running.journals import UnfinishedUpload
    from penstock.protocol.urls import OssUrl


@dataclass(frozen=True, slots=True)
class Forgotten:
    """
    An upload to be cancelled.

    Attributes:
        journaled: Its journal on this machine; None if there is none.
    """

    bucket: str
    key: str
    upload_id: str | None
    begun_at_s: float
    journaled: UnfinishedUpload | None

    @property
    def address(self) -> str:
        """``oss://bucket/key``."""
        return f"oss://{self.bucket}/{self.key}"


@oss_command("clean")
@click.argument("address", required=False, metavar="[oss://BUCKET[/PREFIX]]")
@click.option(
    "--older-than", "age_s", default="7d", show_default=True, callback=duration_option, metavar="TIME"
)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be cancelled.")
@click.option("-f", "--force", "-y", "--yes", "sure", is_flag=True, help="Do not ask.")
def command(options: Options, address: str | None, age_s: float, dry_run: bool, sure: bool) -> int:
    """
    Cancel all unfinished uploads of this user that are older than some time.

    With an address: all that OSS has there, whoever began them. Uploads that a process of this machine
    carries out are left alone.
    """
    journaled = open_uploads()
    if address is None:
        found = [_of_journal(one) for one in journaled if not is_running(one)]
        return _clean(None, _old_enough(found, age_s, options), options, dry_run, sure)
    url = place_url(address)
    with client_at(options, url) as client:
        found = _at_oss(client, url, journaled)
        return _clean(client, _old_enough(found, age_s, options), options, dry_run, sure)


def _old_enough(found: list[Forgotten], age_s: float, options: Options) -> list[Forgotten]:
    before_s = time.time() - age_s
    old = [one for one in found if one.begun_at_s <= before_s]
    if young := len(found) - len(old):
        younger = count_text(young, "unfinished upload")
        options.say(f"left alone: {younger}, younger than {age_text(age_s)} (--older-than)")
    return old


def _of_journal(upload: UnfinishedUpload) -> Forgotten:
    intent = upload.view.intent
    return Forgotten(intent.bucket, intent.key, upload.view.upload_id, intent.started_at, upload)


def _at_oss(client: Client, url: OssUrl, journaled: list[UnfinishedUpload]) -> list[Forgotten]:
    """What OSS has there, but for what a process of this machine carries out."""
    ours = {one.view.upload_id: one for one in journaled}
    running = {one.view.upload_id for one in journaled if is_running(one)}
    return [
        Forgotten(
            url.bucket, upload.key, upload.upload_id, upload.initiated.timestamp(), ours.get(upload.upload_id)
        )
        for upload in client.iter_multipart_uploads(url.bucket, prefix=url.key or None)
        if upload.upload_id not in running and upload.initiated is not None
    ]


def _clean(client: Client | None, found: list[Forgotten], options: Options, dry_run: bool, sure: bool) -> int:
    for one in found:
        if dry_run and options.json:
            echo_json({"address": one.address, "upload_id": one.upload_id, "begun_at": int(one.begun_at_s)})
        elif dry_run or not sure:
            line = f"{age_text(time.time() - one.begun_at_s):>8}  {one.upload_id or '-'}  {one.address}"
            click.echo(shown(line, err=not dry_run), err=not dry_run)
    text = count_text(len(found), "unfinished upload")
    if dry_run or not found:
        options.say(f"{text} would be cancelled" if dry_run else "nothing to clean up")
        return ExitCode.SUCCESS
    confirm(f"Cancel {text}?", sure=sure)
    return end_of([_cancel(client, one, options) for one in found])


def _cancel(client: Client | None, one: Forgotten, options: Options) -> CleanUp:
    if one.journaled is not None:
        return cancel_journaled(one.journaled, options)
    assert client is not None, "without a client all are of journals"
    assert one.upload_id is not None, "what OSS lists has an UploadId"
    return cancel_unknown(client, one.bucket, one.key, one.upload_id, options)
