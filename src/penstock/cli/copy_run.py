"""A run of many copies: shown, counted, stopped, reported."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from penstock.cli.amounts import bytes_text, count_text, time_text
from penstock.cli.batch import Batch, Ended
from penstock.cli.command_line import command_words
from penstock.cli.copy_job import Copied, CopyJob
from penstock.cli.copy_plan import STANDARD_STREAM, CopyPlan
from penstock.cli.ending import ExitCode, error_fields, exit_code_of, report_error
from penstock.cli.interruption import Interruption
from penstock.cli.json_line import echo_json, json_line
from penstock.cli.likeness import Likeness
from penstock.cli.meter import Meter, Reading
from penstock.cli.options import Options
from penstock.cli.unfinished import open_uploads, short_id, where_journals_are
from penstock.errors import Aborted, InvalidInput, SourceChanged, TargetChanged
from penstock.transfer import token as tokens

if TYPE_CHECKING:
    from penstock.client.client import Client

_DRAW_EVERY_S = 0.1
_SHOWN_AT_ONCE = 8
_CONSENTS = {TargetChanged: "--force", SourceChanged: "--keep-matching"}
"""What has to be added to go on although a transfer was refused for this."""


class CopyRun:
    """
    One run of the command.

    Args:
        options: Of the command line.
        plan: What is copied where.
        parallel: Files at a time.
        report: Where a line of JSON is written for each file that failed.
    """

    def __init__(
        self, options: Options, plan: CopyPlan, *, parallel: int, report: Path | None = None
    ) -> None:
        self._options = options
        self._plan = plan
        self._parallel = parallel
        self._report = FailureReport(report) if report is not None else None
        self._copied: list[Copied] = []
        self._count = 0
        self._bytes = 0
        self._resumed_bytes = 0
        self._skipped = 0
        self._failed: list[Exception] = []
        self._failed_job: CopyJob | None = None
        self._stopped: list[Aborted] = []

    def carry_out(self, client: Client, meter: Meter, jobs: Iterator[CopyJob]) -> int:
        """Copy; returns the exit code, or raises `Interrupted` once all has been said."""
        from penstock.client.sending.scope import abort_scope

        begun_s = time.monotonic()
        with (
            abort_scope() as scope,
            Interruption(lambda: scope.abort("interrupt"), meter.let_go) as interruption,
        ):
            batch = Batch(client, jobs, self._parallel)
            with meter:
                for ended in batch.run(_DRAW_EVERY_S):
                    if ended is not None:
                        self._note(ended)
                    if ended is None or batch.found <= _SHOWN_AT_ONCE:
                        meter.show(self._reading(batch))
                if self._count:
                    meter.show(self._reading(batch))
            elapsed_s = interruption.elapsed_s if interruption.happened else None
        if self._stopped:
            self._say_how_to_go_on(elapsed_s)
            code: int = ExitCode.INTERRUPTED
        else:
            # Everything had ended before the signal could stop it: that is told as what it is.
            code = self._summarise(time.monotonic() - begun_s)
        interruption.raise_again()
        return code

    def _note(self, ended: Ended) -> None:
        match ended.error:
            case None:
                assert ended.copied is not None
                self._note_copied(ended.copied)
            case Aborted() as aborted:
                self._stopped.append(aborted)
            case Exception() as error:
                self._failed.append(error)
                self._failed_job = ended.job
                if self._report is not None and ended.job is not None:
                    self._report.add(ended.job, error)
                if self._plan.recursive:
                    report_error(error, as_json=self._options.json, debug=self._options.debug)

    def _note_copied(self, copied: Copied) -> None:
        if copied.skipped:
            self._skipped += 1
            return
        self._count += 1
        self._bytes += copied.size_bytes
        self._resumed_bytes += copied.resumed_bytes
        if self._options.json:
            fields = {
                "source": copied.source,
                "target": copied.target,
                "size_bytes": copied.size_bytes,
                "resumed_bytes": copied.resumed_bytes,
                "crc64": None if copied.crc64 is None else str(copied.crc64),
            }
            # What is copied to standard output goes there alone.
            echo_json(fields, err=copied.target == STANDARD_STREAM)

    def _reading(self, batch: Batch) -> Reading:
        running = batch.running
        if not self._plan.recursive:
            name = Path(running[0].source).name if running else _name_of(self._plan)
            return Reading(name, batch.whole)
        rows = tuple((Path(job.source).name, job.progress) for job in running)
        return Reading("all", batch.whole, rows, batch.done, max(2, batch.found), batch.counting)

    def _summarise(self, elapsed_s: float) -> int:
        if not self._plan.recursive and self._failed:
            report_error(self._failed[0], as_json=self._options.json, debug=self._options.debug)
            if not self._options.json:
                self._say_what_is_kept(self._failed_job, self._failed[0])
            return exit_code_of(self._failed[0])
        words = [f"{count_text(self._count, 'file' if self._plan.recursive else 'object')} {self._plan.verb}"]
        words.append(f"{bytes_text(self._bytes)} in {time_text(elapsed_s)}")
        if self._resumed_bytes:
            words.append(f"of which {bytes_text(self._resumed_bytes)} had been {self._plan.part_verb} before")
        if self._skipped:
            words.append(f"{self._skipped:,} were there already")
        if self._failed:
            words.append(f"{self._failed_text()}")
        text = f"{'FinishWithError' if self._failed else 'Succeed'}: {', '.join(words)}"
        if not self._options.json and not self._options.quiet:
            click.echo(text, err=self._plan.target == STANDARD_STREAM)
        if not self._failed:
            return ExitCode.SUCCESS
        return ExitCode.PARTIAL_FAILURE if self._count or self._skipped else exit_code_of(self._failed[0])

    def _failed_text(self) -> str:
        where = ""
        # What ended the search for files is a failure of none of them.
        if self._report is not None and self._report.count:
            share = "" if self._report.count == len(self._failed) else f"{self._report.count:,} of them "
            where = f", {share}listed in {self._report.path}"
        return f"{count_text(len(self._failed), 'failure')}{where}"

    def _say_what_is_kept(self, job: CopyJob | None, error: Exception) -> None:
        token = job.kept_token if job is not None else None
        if job is None or token is None or tokens.decode(token).unbegun:
            return
        job_id = tokens.decode(token).job_id
        if any(one.view.intent.job_id == job_id for one in open_uploads()):
            click.echo(self._kept_text(job.progress.acknowledged_bytes, [token]), err=True)
            self._say_one_upload(job_id, _CONSENTS.get(type(error)))

    # --- after a signal

    def _say_how_to_go_on(self, elapsed_s: float | None) -> None:
        kept_bytes = sum(aborted.acknowledged_bytes for aborted in self._stopped)
        tokens_left = [aborted.resume_token for aborted in self._stopped if aborted.resume_token]
        click.echo(err=True)
        how = f"by {self._stopped[0].reason}" if elapsed_s is None else f"in {time_text(elapsed_s)}"
        click.echo(f"stopped {how}; {self._kept_text(kept_bytes, tokens_left)}", err=True)
        for aborted in self._stopped:
            if aborted.committed == "unknown":
                click.echo(f"not known: {aborted.message}. {aborted.advice}", err=True)
        if len(tokens_left) == 1 and not self._plan.recursive:
            self._say_one_upload(tokens.decode(tokens_left[0]).job_id)
            return
        click.echo("to go on:" if tokens_left or self._count else "to begin again:", err=True)
        click.echo(self._command_again(), err=True)

    def _kept_text(self, kept_bytes: int, tokens_left: Sequence[str]) -> str:
        if self._plan.target_url is None:
            where = "beside the file" if len(tokens_left) == 1 else "beside the files"
            return (
                f"{bytes_text(kept_bytes)} are kept {where}" if tokens_left else "nothing unfinished is kept"
            )
        begun = [token for token in map(tokens.decode, tokens_left) if not token.unbegun]
        if not begun:
            return "nothing of it is at OSS yet" if tokens_left else "nothing unfinished is left at OSS"
        if len(begun) == 1 and begun[0].upload_id:
            return f"OSS keeps {bytes_text(kept_bytes)} under UploadId {begun[0].upload_id}"
        return f"OSS keeps {bytes_text(kept_bytes)} of {count_text(len(begun), 'upload')}"

    def _say_one_upload(self, job_id: str, consent: str | None = None) -> None:
        shared = self._options.words(place=False)
        again = [*shared, "uploads", "resume", short_id(job_id)]
        remove = self._line([*shared, "uploads", "cancel", short_id(job_id)])
        click.echo(f"to remove it: {remove}", err=True)
        if consent is not None:
            click.echo("to go on all the same:", err=True)
            again.append(consent)
        else:
            repeated = self._plan.options.resume
            click.echo("to go on, repeat the command, or:" if repeated else "to go on:", err=True)
        click.echo(self._line(again), err=True)

    def _command_again(self) -> str:
        words = command_words(click.get_current_context())
        if self._plan.recursive and self._plan.options.enough is Likeness.NOTHING:
            words.insert(1, "-u")
        return self._line([*self._options.words(), *words])

    def _line(self, words: Sequence[str]) -> str:
        return f"{where_journals_are()}{self._options.program} {shlex.join(words)}"


class FailureReport:
    """
    What failed, a line of JSON a file; ``--files-from`` takes it back.

    Attributes:
        count: Lines so far.

    Raises:
        InvalidInput: It cannot be written. An older one is replaced at once, so that it is never mistaken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        try:
            path.write_text("", encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"the report {path} cannot be written: {error.strerror}") from error

    def add(self, job: CopyJob, error: Exception) -> None:
        """Add a line."""
        fields = {"name": job.name, "source": job.source, "target": job.target, **error_fields(error)}
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json_line(fields) + "\n")
        self.count += 1


def _name_of(plan: CopyPlan) -> str:
    if plan.source_url is not None:
        return plan.source_url.key.rpartition("/")[2] or str(plan.source_url)
    return Path(plan.source or "").name
