"""Where a download stands: what an upload's standing knows, told of a partial file."""

from __future__ import annotations

from penstock.transfer.job import Beginning, DownloadJob, Fresh, FromJournal, UploadJob
from penstock.transfer.journal import Completing, Intent, TransferKind
from penstock.transfer.standing import Standing


class DownloadStanding(Standing):
    """
    The facts of one download; it decides nothing.

    Nothing of a download is ever on the server, so neither of the two doubts of an upload can be.

    Attributes:
        unsynced: Numbers of parts that a power loss may take back, by what the journal says.
        has_partial: There may be a partial file.
        published_as: What the file is if an earlier run came so far as to give it its name, else None.
    """

    def __init__(self, download: DownloadJob, beginning: Fresh | FromJournal) -> None:
        job = UploadJob(
            job_id=download.job_id,
            endpoint=download.endpoint,
            region=download.region,
            bucket=download.bucket,
            key=download.key,
            source=None,
            total_bytes=download.found.size_bytes,
            part_bytes=download.part_bytes,
            kind=TransferKind.DOWNLOAD,
        )
        as_begun: Beginning = beginning
        super().__init__(job, as_begun, trust_identity=True)
        self.is_unbegun = False
        self.initiate_in_doubt = False
        self.complete_in_doubt = False
        self.unsynced: set[int] = set()
        self.has_partial = False
        self.published_as: Completing | None = None
        if isinstance(beginning, FromJournal):
            self.has_partial = True
            self.unsynced = set(beginning.view.unsynced)
            self.published_as = beginning.view.completing
        else:
            self.intent = self._first_intent(download)

    def _first_intent(self, download: DownloadJob) -> Intent:
        return Intent(
            job_id=download.job_id,
            endpoint=download.endpoint,
            region=download.region,
            bucket=download.bucket,
            key=download.key,
            source=None,
            total_bytes=self.ledger.plan.total_bytes,
            part_bytes=self.ledger.plan.part_bytes,
            options=self.job.options,
            started_at=0,
            target=download.found,
            target_known=True,
            kind=TransferKind.DOWNLOAD,
            path=download.path,
            version_id=download.version_id,
        )

    @property
    def may_be_on_server(self) -> bool:
        """For a download: whether there is anything to go on with."""
        return self.is_journaled and self.has_partial
