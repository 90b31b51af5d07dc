"""Going on with, removing and judging transfers that were stopped, whatever their kind."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from penstock.client.running.transfer import Transfer
from penstock.client.transfers.copies import CopyTransfers
from penstock.client.transfers.downloads import DownloadTransfers
from penstock.client.transfers.part_source import UploadSource
from penstock.client.transfers.uploads import ResumeOptions
from penstock.errors import InvalidInput
from penstock.protocol.urls import is_oss_url
from penstock.transfer.events import CancelRequested
from penstock.transfer.job import Beginning, FromJournal, FromToken
from penstock.transfer.journal import TransferKind
from penstock.transfer.outcome import Outcome


class TransferCalls(CopyTransfers, DownloadTransfers):
    """Uploads, copies and downloads."""

    def resume(
        self, what: str, source: UploadSource | None = None, **options: Unpack[ResumeOptions]
    ) -> Transfer:
        """
        Go on with a transfer that was stopped: only what is missing is sent, copied or fetched.

        An upload or a copy goes on under the same UploadId; one that was stopped before OSS was asked for an
        UploadId begins. A transfer of this process that was just told to stop is let end first.

        Args:
            what: A resume token, or ``oss://bucket/key``. The journal of this user is asked first: for the
                transfer to this key that began last, and if there is none, for the download of it. Without
                a journal, the unfinished upload is found at OSS and its parts are compared with the source by
                CRC-64.
            source: Where the bytes are; None takes the file, or the object, that the journal names. An
                ``oss://`` address says that it is a copy. A download takes none.
            **options: ``parallel``, ``progress`` and the two limits of speed as at the beginning;
                ``keep_matching=True`` goes on although the source was changed, and sends again only the parts
                that differ; ``protect_target=False`` writes over what somebody else wrote to the key since;
                ``journal=False`` begins no journal where there is none.

        Raises:
            JournalLocked: Another process carries it out, and is named.
            InvalidInput: Nothing of that name is known, or the source has to be named.
            SourceUnreadable, NoSuchKey: The source cannot be read.

        Every other refusal is the transfer's result: `SourceChanged`, `TargetChanged`, `UploadLost`.
        """
        parallel = options.get("parallel")
        if parallel is not None and parallel < 1:
            raise InvalidInput(f"{parallel} parts at a time cannot be", advice="Give 1 or more.")
        self._let_end(what)
        path, beginning = self._beginning(what, by_journal=source is None)
        match _kind_of(beginning, source):
            case TransferKind.COPY:
                if source is not None and _as_url(source) is None:
                    raise InvalidInput(
                        f"{what[:80]} is a copy: its bytes come from an object, not from here",
                        advice="Leave the source out, or name the object: oss://bucket/key.",
                    )
                return self._resume_copy(what, path, beginning, _as_url(source), options)
            case TransferKind.DOWNLOAD:
                if source is not None:
                    raise InvalidInput(
                        f"{what[:80]} is a download, and goes on to the file that it began with",
                        advice="Leave the source out.",
                    )
                return self._resume_download(_journal_of_download(what, path), options)
        if (named := _as_url(source)) is not None:
            raise InvalidInput(
                f"{what[:80]} is an upload: its bytes come from a file, not from {named}",
                advice="Name the file, or begin a copy: client.copy(source, target).",
            )
        return self._resume_upload(what, path, beginning, source, **options)

    def cancel_upload(self, what: str) -> Outcome:
        """
        Remove all that an unfinished transfer has left, and its journal. No process may be carrying it out.

        OSS forgets an upload or copy; what was fetched of a download is removed from this machine's disk.
        Works while requests are disabled.

        Args:
            what: As in `resume`.

        Returns:
            How it ended; ``clean_up`` is ``verified``, ``pending`` or ``failed``.

        Raises:
            JournalLocked: A process carries it out; abort it there.
            InvalidInput: Nothing of that name is known.
        """
        self._let_end(what)
        path, beginning = self._beginning(what, to_cancel=True)
        if _kind_of(beginning, None) is TransferKind.DOWNLOAD:
            return self._cancel_download(_journal_of_download(what, path))
        return self._without_source(what, path, beginning, CancelRequested(), resolve_only=False)

    def resolve_upload(self, what: str) -> Outcome:
        """
        Find out what became of an upload or copy whose Complete was not answered; only questions are sent.

        Args:
            what: As in `resume`.

        Returns:
            ``committed`` is ``yes`` or ``no``, told by the upload and the object themselves. It stays
            ``unknown`` only if the evidence could not be had. An upload that is gone without leaving our
            object ends with `UploadLost`.

        Raises:
            JournalLocked: A process carries it out.
            InvalidInput: It is a download, which is never in doubt; or nothing of that name is known.
        """
        self._let_end(what)
        path, beginning = self._beginning(what, by_journal=True)
        if _kind_of(beginning, None) is TransferKind.DOWNLOAD:
            raise InvalidInput(
                f"{what[:80]} is a download: nothing about it is in doubt",
                advice="Look at the file, or resume the download.",
            )
        return self._without_source(what, path, beginning, None, resolve_only=True)


def _kind_of(beginning: Beginning, source: UploadSource | None) -> TransferKind:
    match beginning:
        case FromJournal(view=view):
            return view.intent.kind
        case FromToken(token=token):
            return token.kind
    return TransferKind.UPLOAD if _as_url(source) is None else TransferKind.COPY


def _as_url(source: UploadSource | None) -> str | None:
    return source if isinstance(source, str) and is_oss_url(source) else None


def _journal_of_download(what: str, path: Path | None) -> Path:
    if path is None:
        raise InvalidInput(
            f"no journal of this user tells of the download {what[:40]}",
            advice="A download goes on only on the machine where it began: begin it again.",
        )
    return path
