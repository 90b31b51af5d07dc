"""``penstock uploads cancel`` (and ``abort``): make OSS forget an upload."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.cli.address import client_at, confirm, object_url
from penstock.cli.cancellation import cancel_by_id
from penstock.cli.ending import ExitCode, report_error
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, open_client, oss_command
from penstock.cli.running import running_like
from penstock.cli.terminal import shown
from penstock.cli.unfinished import find_upload, open_uploads, token_of
from penstock.errors import InvalidInput, PenstockError
from penstock.protocol.urls import is_oss_url
from penstock.transfer import token as tokens
from penstock.transfer.journal import TransferKind
from penstock.transfer.outcome import CleanUp

if TYPE_CHECKING:
    from penstock.client.client import Client
    from penstock.client.running.control import RunningTransfer
    from penstock.client.running.journals import UnfinishedUpload

_WORDS = {
    CleanUp.VERIFIED: "cancelled; nothing of it is left at OSS",
    CleanUp.PENDING: "OSS accepted the cancel, and that nothing is left could not be confirmed",
    CleanUp.FAILED: "NOT cancelled; OSS probably still has it",
}
_WORDS_OF_DOWNLOADS = {
    CleanUp.VERIFIED: "cancelled; nothing of it is left beside the file",
    CleanUp.PENDING: "cancelled; whether something is left beside the file is not known",
    CleanUp.FAILED: "NOT cancelled; what was fetched is probably still beside the file",
}


@oss_command("cancel")
@click.argument("upload", metavar="ID|TOKEN|oss://BUCKET/KEY")
@click.option("--upload-id", help="With an address: this UploadId only.")
@click.option("-f", "--force", "-y", "--yes", "sure", is_flag=True, help="Do not ask.")
def command(options: Options, upload: str, upload_id: str | None, sure: bool) -> int:
    """
    Make the UploadId invalid and remove the parts; it cannot be resumed after that.

    Of a download, what was fetched is removed. An address means the uploads and copies that go there; only if
    there are none, those that were stopped before they began; and only then the downloads of it.

    One that runs in another process is stopped there first. This is the call that OSS names
    AbortMultipartUpload. To stop an upload and keep it, press Ctrl-C where it runs, or use `uploads abort`.
    """
    running = running_like(upload) if upload_id is None else []
    if running:
        confirm(f"Stop and cancel what runs as {upload}?", sure=sure)
        return end_of([cancel_running(one, options) for one in running])
    if is_oss_url(upload):
        return _cancel_at(options, upload, upload_id, sure)
    if upload.startswith(tokens.PREFIX):
        token = tokens.decode(upload)
        confirm(f"Cancel the {token.kind} of oss://{token.bucket}/{token.key}?", sure=sure)
        with open_client(options, endpoint=token.endpoint, region=token.region) as client:
            return end_of([cancel_known(client, upload, f"oss://{token.bucket}/{token.key}", options)])
    found = find_upload(upload)
    confirm(f"Cancel the {found.view.intent.kind} of {found.url}?", sure=sure)
    return end_of([cancel_journaled(found, options)])


def _cancel_at(options: Options, address: str, upload_id: str | None, sure: bool) -> int:
    url = object_url(address)
    with client_at(options, url) as client:
        journaled = {one.view.upload_id: one for one in open_uploads()}
        ids = [
            found.upload_id
            for found in client.iter_multipart_uploads(url.bucket, prefix=url.key)
            if found.key == url.key and upload_id in (None, found.upload_id)
        ]
        only_here = _only_here(str(url), str(client.settings.endpoint))
        if not ids and upload_id is None and only_here:
            kind = only_here[0].view.intent.kind
            confirm(
                f"Cancel {len(only_here)} unfinished {kind}{'s' * (len(only_here) > 1)} of {url}?",
                sure=sure,
            )
            return end_of([cancel_known(client, token_of(one.view), str(url), options) for one in only_here])
        if not ids:
            raise InvalidInput(
                f"OSS has no unfinished upload of {url}", advice=f"`penstock uploads ls {url}` lists them."
            )
        confirm(f"Cancel {len(ids)} unfinished upload{'s' * (len(ids) > 1)} of {url}?", sure=sure)
        return end_of(
            [
                cancel_known(client, token_of(journaled[one].view), str(url), options)
                if one in journaled
                else cancel_unknown(client, url.bucket, url.key, one, options)
                for one in ids
            ]
        )


def _only_here(address: str, endpoint: str) -> list[UnfinishedUpload]:
    """What goes to an address and was stopped before OSS knew of it; if there is nothing, its downloads."""
    found = [one for one in open_uploads() if (one.url, one.view.intent.endpoint) == (address, endpoint)]
    unbegun = [one for one in found if one.view.unbegun]
    return unbegun or [one for one in found if one.view.intent.kind is TransferKind.DOWNLOAD]


def cancel_journaled(upload: UnfinishedUpload, options: Options) -> CleanUp:
    """Cancel what a journal describes, at the endpoint that it names, and remove the journal."""
    intent = upload.view.intent
    with open_client(options, endpoint=intent.endpoint, region=intent.region) as client:
        return cancel_known(client, token_of(upload.view), upload.url, options)


def cancel_running(transfer: RunningTransfer, options: Options) -> CleanUp:
    """Have the process that carries it out cancel a transfer, or do it here if it was stopped meanwhile."""
    try:
        ended = transfer.cancel()
    except (PenstockError, TimeoutError) as error:
        report_error(error, as_json=options.json, debug=options.debug)
        return CleanUp.FAILED
    if ended.committed == "yes":
        options.say(f"{transfer.name} was complete before it could be cancelled; rm removes it")
        return CleanUp.FAILED
    if ended.clean_up is None and ended.resume_token is not None:
        token = tokens.decode(ended.resume_token)
        with open_client(options, endpoint=token.endpoint, region=token.region) as client:
            return cancel_known(client, ended.resume_token, transfer.name, options)
    return _told(CleanUp(ended.clean_up or CleanUp.FAILED), transfer.name, transfer.state.upload_id, options)


def cancel_known(client: Client, token: str, address: str, options: Options) -> CleanUp:
    """Cancel what a token describes, and its journal if there is one."""
    try:
        ended = client.cancel_upload(token)
    except PenstockError as error:
        report_error(error, as_json=options.json, debug=options.debug)
        return CleanUp.FAILED
    if ended.error is not None:
        report_error(ended.error, as_json=options.json, debug=options.debug)
    return _told(ended.clean_up or CleanUp.FAILED, address, ended.upload_id, options, ended.transfer)


def cancel_unknown(client: Client, bucket: str, key: str, upload_id: str, options: Options) -> CleanUp:
    """Cancel an UploadId of which this machine has no journal."""
    clean_up, error = cancel_by_id(client, bucket, key, upload_id)
    if error is not None:
        report_error(error, as_json=options.json, debug=options.debug)
    return _told(clean_up, f"oss://{bucket}/{key}", upload_id, options)


def end_of(clean_ups: list[CleanUp]) -> int:
    """The exit code after these."""
    bad = sum(1 for one in clean_ups if one is not CleanUp.VERIFIED)
    if not bad:
        return ExitCode.SUCCESS
    return ExitCode.PARTIAL_FAILURE if bad < len(clean_ups) else ExitCode.SERVER_ERROR


def _told(
    clean_up: CleanUp,
    address: str,
    upload_id: str | None,
    options: Options,
    kind: TransferKind = TransferKind.UPLOAD,
) -> CleanUp:
    if options.json:
        echo_json({"address": address, "upload_id": upload_id, "clean_up": clean_up.value})
    else:
        words = _WORDS_OF_DOWNLOADS if kind is TransferKind.DOWNLOAD else _WORDS
        click.echo(f"{shown(address)}: {words[clean_up]}")
    return clean_up
