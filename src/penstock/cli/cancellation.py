"""Cancelling an upload that no journal of this machine describes, by its UploadId."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import NoSuchUpload, PenstockError
from penstock.net.latch import Latch
from penstock.transfer import commands as do
from penstock.transfer import events as on
from penstock.transfer.cancel import Cancellation
from penstock.transfer.outcome import CleanUp

if TYPE_CHECKING:
    from penstock.client.client import Client


def cancel_by_id(
    client: Client, bucket: str, key: str, upload_id: str
) -> tuple[CleanUp, PenstockError | None]:
    """
    Make an UploadId invalid, and ask until OSS says that nothing is left of it.

    Returns:
        How far it got, and what stood in the way.
    """
    cancellation = Cancellation(upload_id)
    pause = Latch()
    pending = cancellation.begin()
    while pending and not cancellation.done:
        pending = cancellation.handle(_answer(client, bucket, key, pending[0], pause))
    return cancellation.clean_up or CleanUp.FAILED, cancellation.error


def _answer(client: Client, bucket: str, key: str, command: do.Command, pause: Latch) -> on.Event:
    match command:
        case do.AbortUpload(upload_id=upload_id):
            try:
                client.abort_multipart_upload(bucket, key, upload_id)
            except NoSuchUpload:
                return on.UploadAborted()
            except PenstockError as error:
                return on.AbortUploadFailed(error=error)
            return on.UploadAborted()
        case do.ConfirmGone(upload_id=upload_id):
            try:
                page = client.list_parts(bucket, key, upload_id)
            except NoSuchUpload:
                return on.CancelConfirmed()
            except PenstockError as error:
                return on.ConfirmGoneFailed(error=error)
            return on.UploadStillListed(part_count=len(page.parts))
        case do.Wait(seconds=seconds):
            pause.wait(seconds)
            return on.Waited()
    raise AssertionError(f"a cancellation does not ask for {type(command).__name__}")
