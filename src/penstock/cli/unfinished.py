"""Unfinished uploads, as the command line names them: by the beginning of their id, a token, or oss://."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.address import object_url
from penstock.errors import InvalidInput
from penstock.files.journal_file import lock_path
from penstock.files.lock import is_locked
from penstock.files.state_dir import ENVIRONMENT_VARIABLE, StateDir
from penstock.protocol.urls import is_oss_url
from penstock.transfer import token as tokens

if TYPE_CHECKING:
    from penstock.client.running.journals import UnfinishedUpload
    from penstock.transfer.journal import JournalView

SHOWN_ID_CHARACTERS = 8
"""As much of an id as is shown, and enough to type."""


def short_id(job_id: str) -> str:
    """What people type for a job."""
    return job_id[:SHOWN_ID_CHARACTERS]


def open_uploads() -> list[UnfinishedUpload]:
    """The uploads of this user's journals that have not ended, oldest first; no keys are needed."""
    from penstock.client.running.journals import Journals

    found = [upload for upload in Journals(StateDir()).unfinished() if _is_open(upload.view)]
    return sorted(found, key=lambda upload: upload.view.intent.started_at)


def find_upload(text: str) -> UnfinishedUpload:
    """
    The one transfer that a word names: by the beginning of its id, its token, or its address in OSS.

    Raises:
        InvalidInput: There is none, or more than one.
    """
    found = [upload for upload in open_uploads() if _is_called(upload, text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidInput(
            f"no unfinished transfer of this user is called {text[:80]!r}",
            advice="`penstock uploads ls` lists them.",
        )
    raise InvalidInput(
        f"{len(found)} unfinished transfers are called {text[:80]!r}",
        advice="Name one by its id: `penstock uploads ls`",
    )


def token_of(view: JournalView) -> str:
    """The resume token of what a journal describes."""
    whole_crc64 = view.completing.crc64 if view.completing else None
    return tokens.encode(tokens.token_of(view.intent, view.upload_id, whole_crc64))


def is_running(upload: UnfinishedUpload) -> bool:
    """Whether a process carries it out at this moment."""
    return is_locked(lock_path(upload.path))


def where_journals_are() -> str:
    """
    What to put before a command, so that it finds them from any directory; mostly nothing.

    The environment may name the state directory by a path that leads there from this directory only.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if not named or Path(named).expanduser().is_absolute():
        return ""
    return f"{ENVIRONMENT_VARIABLE}={shlex.quote(str(StateDir().root))} "


def _is_called(upload: UnfinishedUpload, text: str) -> bool:
    if is_oss_url(text):
        return upload.url == str(object_url(text))
    job_id = upload.view.intent.job_id
    return job_id == tokens.decode(text).job_id if text.startswith(tokens.PREFIX) else job_id.startswith(text)


def _is_open(view: JournalView) -> bool:
    # An END that says "cancel pending" is not the end at OSS.
    return view.end is None or view.end.kind == "cancel pending"
