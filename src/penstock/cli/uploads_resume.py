"""``penstock uploads resume``: go on with an upload that was stopped."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.copy_job import UploadJob, UploadOptions
from penstock.cli.copy_plan import CopyPlan
from penstock.cli.cp import CopyRun
from penstock.cli.meter import open_meter
from penstock.cli.options import Options, open_client, oss_command
from penstock.cli.unfinished import find_upload, open_uploads, token_of
from penstock.errors import InvalidInput
from penstock.protocol.urls import OssUrl, is_oss_url, parse_url
from penstock.transfer import token as tokens


@oss_command("resume")
@click.argument("upload", metavar="ID|TOKEN|oss://BUCKET/KEY")
@click.argument("source", required=False, type=click.Path(path_type=Path))
@click.option(
    "--keep-matching",
    is_flag=True,
    help="Go on although the file was changed; its other parts are sent again.",
)
@click.option("-f", "--force", is_flag=True, help="Write over what somebody else wrote meanwhile, too.")
@click.option("--parallel", type=click.IntRange(1, 128), help="Parts at a time; chosen if not given.")
@click.option("--no-progress", is_flag=True, help="Show no progress.")
def command(
    options: Options,
    upload: str,
    source: Path | None,
    keep_matching: bool,
    force: bool,
    parallel: int | None,
    no_progress: bool,
) -> int:
    """
    Go on with an upload under the same UploadId; only what OSS lacks is sent.

    SOURCE is the file, if it is not where it was. With a token, or an address, an upload that was begun on
    another machine goes on here; its parts are compared with the file by CRC-64.
    """
    what, url, endpoint, region, path = _named(upload, source)
    job = UploadJob(
        path,
        url,
        path.stat().st_size,
        UploadOptions(parallel=parallel, force=force, keep_matching=keep_matching),
        unfinished=what,
    )
    plan = CopyPlan(str(path), None, None, url, recursive=False, options=job.options)
    with open_client(options, endpoint=endpoint, region=region) as client:
        run = CopyRun(options, plan, parallel=1)
        return run.carry_out(client, open_meter(shown=not (no_progress or options.quiet)), iter([job]))


def _named(upload: str, source: Path | None) -> tuple[str, OssUrl, str | None, str | None, Path]:
    """What is resumed, where it goes, the endpoint and region that are known of it, and the file."""
    if is_oss_url(upload):
        url = parse_url(upload)
        return upload, url, str(url.endpoint) if url.endpoint else None, None, _file(source, upload)
    if upload.startswith(tokens.PREFIX):
        token = tokens.decode(upload)
        url = OssUrl(token.bucket, token.key)
        known = [one for one in open_uploads() if one.view.intent.job_id == token.job_id]
        file = known[0].view.intent.source if known else None
        path = source or (Path(file.path) if file else None)
        return upload, url, token.endpoint, token.region, _file(path, "this upload")
    found = find_upload(upload)
    intent = found.view.intent
    path = source or (Path(intent.source.path) if intent.source else None)
    url = OssUrl(intent.bucket, intent.key)
    return token_of(found.view), url, intent.endpoint, intent.region, _file(path, found.url)


def _file(path: Path | None, what: str) -> Path:
    if path is None:
        raise InvalidInput(
            f"which file {what} is of is not known here", advice="Name it: penstock uploads resume WHAT FILE"
        )
    return path
