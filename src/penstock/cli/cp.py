"""``penstock cp``: copies that stop at once, and go on when the command is repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli.amounts import bytes_text, size_option
from penstock.cli.copy_job import CopyJob, CopyOptions
from penstock.cli.copy_plan import copy_jobs, copy_plan
from penstock.cli.copy_run import CopyRun
from penstock.cli.ending import ExitCode
from penstock.cli.json_line import echo_json
from penstock.cli.likeness import Likeness
from penstock.cli.meter import open_meter
from penstock.cli.options import Options, open_client, oss_command
from penstock.cli.selection import selection_of, selection_options
from penstock.cli.terminal import shown
from penstock.errors import InvalidInput

if TYPE_CHECKING:
    from penstock.client.client import Client

F = TypeVar("F", bound=Callable[..., Any])

_HELP = """
Copy SRC to DST, of which at least one is oss://bucket/key.

\b
penstock cp big.iso oss://bucket/              a file to OSS
penstock cp oss://bucket/big.iso .             and back
penstock cp -r photos oss://bucket/photos/     a directory
tar c . | penstock cp - oss://bucket/all.tar   - is standard input or output

Ctrl-C stops at once, keeps what was done, and prints the command that goes on from there: only what is
missing is sent, fetched or copied. It is the same command, with -r and -u for a directory. `penstock uploads`
lists and removes what is unfinished.
"""


def copy_options(command: F) -> F:
    """Add the options of all commands that copy many files; `options_of` reads them."""
    for option in reversed(
        (
            click.option("--size-only", is_flag=True, help="Leave out what is there in the same size."),
            click.option("--checksum", is_flag=True, help="Leave out what is there with the same CRC-64."),
            click.option("--ignore-existing", is_flag=True, help="Leave out what is there, whatever it is."),
            click.option(
                "-f", "--force", is_flag=True, help="Write over what somebody else wrote meanwhile, too."
            ),
            click.option("-n", "--dry-run", is_flag=True, help="Only say what would be done."),
            click.option(
                "-j",
                "--job",
                "--jobs",
                "jobs",
                default=3,
                type=click.IntRange(1, 256),
                show_default=True,
                help="Files at a time.",
            ),
            click.option(
                "--parallel",
                type=click.IntRange(1, 128),
                help="Parts of a file at a time; chosen if not given.",
            ),
            click.option(
                "--part-size", callback=size_option, metavar="SIZE", help="Such as 8M; chosen if not given."
            ),
            click.option("--no-resume", is_flag=True, help="Begin anew, whatever is unfinished."),
            click.option("--no-progress", is_flag=True, help="Show no progress."),
            click.option(
                "--report",
                type=click.Path(dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Write a line of JSON for each file that failed.",
            ),
            selection_options,
            click.option("--forbid-overwrite", is_flag=True, help="Refuse to replace an object."),
            click.option(
                "--meta",
                "--metadata",
                "metadata",
                multiple=True,
                metavar="NAME:VALUE",
                help="Metadata of your own; may be repeated.",
            ),
            click.option("--content-type", help="Told by the ending of the key if not given."),
            click.option("--acl", help="private, public-read, public-read-write or default."),
            click.option("--storage-class", help="Standard, IA, Archive, ColdArchive or DeepColdArchive."),
        )
    ):
        command = option(command)
    return command


def options_of(given: dict[str, Any], otherwise: Likeness) -> CopyOptions:
    """
    What `copy_options` say.

    Args:
        otherwise: What is enough for a target to be left as it is, where nothing is said of that.

    Raises:
        InvalidInput: They contradict each other, or the metadata has no name.
    """
    said = {
        "--size-only": Likeness.SIZE,
        "--checksum": Likeness.CHECKSUM,
        "--ignore-existing": Likeness.EXISTENCE,
        "--update": Likeness.SIZE_AND_TIME,
    }
    chosen = [word for word in said if given.get(word[2:].replace("-", "_"))]
    if len(chosen) > 1:
        raise InvalidInput(f"{' and '.join(chosen)} say different things", advice="Keep one of them.")
    return CopyOptions(
        part_bytes=given["part_size"],
        parallel=given["parallel"],
        forbid_overwrite=given["forbid_overwrite"],
        resume=not given["no_resume"],
        force=given["force"],
        enough=said[chosen[0]] if chosen else otherwise,
        object_options=_object_options(given),
    )


@oss_command("cp", help=_HELP)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("-r", "--recursive", is_flag=True, help="Directories, or all that begins with a prefix.")
@click.option("-u", "--update", is_flag=True, help="Leave out what is there already and not older.")
@copy_options
def command(options: Options, source: str, target: str, **given: Any) -> int:
    """Copy, and stop or go on as told."""
    plan = copy_plan(
        source,
        target,
        recursive=given["recursive"],
        options=options_of(given, Likeness.NOTHING),
        selection=selection_of(given),
    )
    with open_client(options, endpoint=plan.endpoint) as client:
        if given["dry_run"]:
            return say_copies(copy_jobs(plan, client, options.say), client, options)
        shown = not (given["no_progress"] or options.quiet)
        parallel = given["jobs"] if plan.recursive else 1
        run = CopyRun(options, plan, parallel=parallel, report=given["report"])
        return run.carry_out(client, open_meter(shown=shown), copy_jobs(plan, client, options.say))


def say_copies(jobs: Iterator[CopyJob], client: Client, options: Options) -> int:
    """Only say what would be copied."""
    for job in jobs:
        if job.would_be_skipped(client):
            continue
        if options.json:
            fields = {"source": job.source, "target": job.target, "size_bytes": job.size_bytes}
            echo_json(fields)
        else:
            click.echo(f"{bytes_text(job.size_bytes):>10}  {shown(job.source)} -> {shown(job.target)}")
    return ExitCode.SUCCESS


def _object_options(given: dict[str, Any]) -> dict[str, Any]:
    metadata = {}
    for text in given["metadata"]:
        name, separator, value = (
            text.replace("=", ":", 1).partition(":") if ":" not in text else text.partition(":")
        )
        if not separator or not name:
            raise InvalidInput(f"the metadata {text!r} has no name", advice="Write --meta name:value.")
        metadata[name] = value
    found = {"metadata": metadata, **{name: given[name] for name in ("content_type", "acl", "storage_class")}}
    return {name: value for name, value in found.items() if value}
