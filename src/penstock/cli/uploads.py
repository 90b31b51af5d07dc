"""``penstock uploads``: what is unfinished."""

from __future__ import annotations

import click

from penstock.cli.lazy_group import Lazy, LazyGroup
from penstock.cli.options import shared_options

_COMMANDS = {
    "ls": Lazy("penstock.cli.uploads_ls", "List them: of this user, or of a bucket."),
    "show": Lazy("penstock.cli.uploads_show", "Show one, part by part."),
    "resume": Lazy("penstock.cli.uploads_resume", "Go on with one; only what is missing is moved."),
    "abort": Lazy("penstock.cli.uploads_abort", "Stop one that runs in another process, and keep it."),
    "drain": Lazy("penstock.cli.uploads_drain", "The same, once its parts in flight are done."),
    "limit": Lazy("penstock.cli.uploads_limit", "Set the speed of one that runs in another process."),
    "cancel": Lazy("penstock.cli.uploads_cancel", "Make OSS forget one, and remove what there is of it."),
    "clean": Lazy("penstock.cli.uploads_clean", "Cancel all that are older than some time."),
}


@click.group(
    "uploads",
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@shared_options(hidden=True)
def command() -> None:
    """
    Uploads, copies and downloads that were begun and are not finished. Of uploads and copies OSS keeps the
    parts, and bills them; what was fetched of a download lies beside the file.

    Aborting one (Ctrl-C in `penstock cp`, or `abort`) keeps all that, and it can be resumed. Cancelling it
    makes its UploadId invalid and removes its parts, or what was fetched.
    """
