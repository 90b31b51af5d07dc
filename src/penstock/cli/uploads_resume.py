"""``penstock uploads resume``: go on with a transfer that was stopped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.address import object_url
from penstock.cli.copy_job import CopyOptions, ResumeJob
from penstock.cli.copy_plan import CopyPlan
from penstock.cli.copy_run import CopyRun
from penstock.cli.meter import open_meter
from penstock.cli.options import Options, open_client, oss_command
from penstock.cli.unfinished import find_upload, open_uploads, token_of
from penstock.errors import InvalidInput
from penstock.protocol.urls import OssUrl, is_oss_url, parse_url
from penstock.transfer import token as tokens
from penstock.transfer.journal import TransferKind

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.running.journals import UnfinishedUpload


@oss_command("resume")
@click.argument("upload", metavar="ID|TOKEN|oss://BUCKET/KEY")
@click.argument("source", required=False)
@click.option(
    "--keep-matching",
    is_flag=True,
    help="Go on although the source was changed; its other parts are sent again.",
)
@click.option("-f", "--force", is_flag=True, help="Write over what somebody else wrote meanwhile, too.")
@click.option("--parallel", type=click.IntRange(1, 128), help="Parts at a time; chosen if not given.")
@click.option("--no-progress", is_flag=True, help="Show no progress.")
def command(
    options: Options,
    upload: str,
    source: str | None,
    keep_matching: bool,
    force: bool,
    parallel: int | None,
    no_progress: bool,
) -> int:
    """
    Go on with an upload, copy or download; only what is missing is sent, copied or fetched.

    An upload or copy goes on under the same UploadId. SOURCE is the file of an upload, if it is not where it
    was. With a token, or an address, an upload that was begun on another machine goes on here; its parts are
    compared with the file by CRC-64. For a copy, SOURCE is oss://BUCKET/KEY.
    """
    given = CopyOptions(parallel=parallel, force=force, keep_matching=keep_matching)
    meter = open_meter(shown=not (no_progress or options.quiet))
    endpoint, region, stopped = _known(upload, source)
    with open_client(options, endpoint=endpoint, region=region) as client:
        stopped = stopped or _at_address(client, upload, source)
        job = ResumeJob(
            name=Path(stopped.source).name,
            begun_from=stopped.source,
            begun_to=stopped.target,
            size_bytes=stopped.size_bytes,
            options=given,
            unfinished=stopped.what,
            given=source,
        )
        return CopyRun(options, stopped.plan(given), parallel=1).carry_out(client, meter, iter([job]))


@dataclass(frozen=True, slots=True)
class Stopped:
    """
    What is gone on with, as far as it is known before OSS is asked.

    Attributes:
        what: Token or address, as of `Client.resume`.
        source: A path, or ``oss://bucket/key``.
        target: Likewise.
        size_bytes: 0 if it is not known.
    """

    what: str
    kind: TransferKind
    source: str
    target: str
    size_bytes: int

    def plan(self, options: CopyOptions) -> CopyPlan:
        """It as a copy of one file or object."""
        is_upload, is_download = self.kind is TransferKind.UPLOAD, self.kind is TransferKind.DOWNLOAD
        return CopyPlan(
            source=self.source if is_upload else None,
            source_url=None if is_upload else parse_url(self.source),
            target=self.target if is_download else None,
            target_url=None if is_download else parse_url(self.target),
            recursive=False,
            options=options,
        )


def _known(upload: str, source: str | None) -> tuple[str | None, str | None, Stopped | None]:
    """Endpoint and region, where they are known, and what it is; None for an address."""
    if is_oss_url(upload):
        url = object_url(upload)
        return str(url.endpoint) if url.endpoint else None, None, None
    if upload.startswith(tokens.PREFIX):
        token = tokens.decode(upload)
        journaled = [one for one in open_uploads() if one.view.intent.job_id == token.job_id]
        stopped = _of_journal(journaled[0], source) if journaled else _of_token(upload, token, source)
        return token.endpoint, token.region, stopped
    found = find_upload(upload)
    intent = found.view.intent
    return intent.endpoint, intent.region, _of_journal(found, source)


def _at_address(client: Client, address: str, source: str | None) -> Stopped:
    """What this user's journals tell of an address; else OSS is asked for it."""
    url = object_url(address)
    known = _journaled_at(str(client.settings.endpoint), url)
    if known is not None:
        return _of_journal(known, source)
    named = _named(source, address)
    if is_oss_url(named):
        copied = object_url(named)
        size_bytes = client.head_object(copied.bucket, copied.key).content_bytes or 0
        return Stopped(address, TransferKind.COPY, named, str(url), size_bytes)
    try:
        size_bytes = Path(named).stat().st_size
    except OSError:
        # Whoever opens it says what is wrong with it.
        size_bytes = 0
    return Stopped(address, TransferKind.UPLOAD, named, str(url), size_bytes)


def _journaled_at(endpoint: str, url: OssUrl) -> UnfinishedUpload | None:
    """What began last to this key; if there is nothing, the download of it."""
    found = [
        one
        for one in open_uploads()
        if one.view.end is None and one.url == str(url) and one.view.intent.endpoint == endpoint
    ]
    to_key = [one for one in found if one.view.intent.kind is not TransferKind.DOWNLOAD]
    return next(reversed(to_key or found), None)


def _of_journal(found: UnfinishedUpload, source: str | None) -> Stopped:
    intent = found.view.intent
    what = token_of(found.view)
    if intent.kind is TransferKind.DOWNLOAD:
        return Stopped(what, intent.kind, found.url, intent.path, intent.total_bytes)
    begun_with = source or (intent.source.path if intent.source else None)
    return Stopped(what, intent.kind, _named(begun_with, found.url), found.url, intent.total_bytes)


def _of_token(what: str, token: tokens.ResumeToken, source: str | None) -> Stopped:
    url = str(OssUrl(token.bucket, token.key))
    if token.kind is TransferKind.DOWNLOAD:
        raise InvalidInput(
            f"no journal of this user tells of the download of {url}",
            advice="A download goes on only on the machine where it began: begin it again.",
        )
    return Stopped(what, token.kind, _named(source or token.source, "this upload"), url, token.total_bytes)


def _named(source: str | None, what: str) -> str:
    if not source:
        raise InvalidInput(
            f"which file {what} is of is not known here", advice="Name it: penstock uploads resume WHAT FILE"
        )
    return source
