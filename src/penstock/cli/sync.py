"""``penstock sync``: make a directory or prefix like another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.address import confirm
from penstock.cli.amounts import count_text
from penstock.cli.copy_job import CopyJob
from penstock.cli.copy_plan import CopyPlan, LeftOut, copy_jobs, copy_plan, folder_key, targets_below
from penstock.cli.copy_run import CopyRun
from penstock.cli.cp import copy_options, options_of, say_copies
from penstock.cli.ending import ExitCode
from penstock.cli.json_line import echo_json
from penstock.cli.likeness import Likeness
from penstock.cli.meter import open_meter
from penstock.cli.names import file_name
from penstock.cli.options import Options, open_client, oss_command
from penstock.cli.removal import remove_objects
from penstock.cli.selection import selection_of
from penstock.cli.terminal import shown
from penstock.errors import InvalidInput

if TYPE_CHECKING:
    from penstock.client.client import Client

_HELP = """
Copy what is in SRC and not alike in DST; with --delete also remove what is only in DST.

\b
penstock sync site oss://bucket/site/          a directory to OSS
penstock sync oss://bucket/site/ site          and back
penstock sync --delete a oss://bucket/a/       and nothing else is left there

Alike is what has the same size and is newer than its source; of the same second, what has the same CRC-64.
Ctrl-C stops at once, and the same command goes on from there. Nothing is removed unless all was copied,
nothing that --include and --exclude leave out, and not everything because SRC is empty.
"""


@oss_command("sync", help=_HELP)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@click.option("--delete", is_flag=True, help="Remove what is in DST alone; asks unless -y is given.")
@click.option("--allow-empty", is_flag=True, help="With --delete: remove all if there is nothing in SRC.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before removing.")
@copy_options
def command(
    options: Options, source: str, target: str, delete: bool, allow_empty: bool, yes: bool, **given: Any
) -> int:
    """Copy what differs, then remove what is too much."""
    plan = _folders(
        copy_plan(
            source,
            target,
            recursive=True,
            options=options_of(given, Likeness.SIZE_AND_TIME),
            selection=selection_of(given),
        )
    )
    if plan.source is not None and Path(plan.source).is_file():
        raise InvalidInput(f"{source} is a file", advice="`penstock cp` copies one file.")
    if delete and (given["min_size"] is not None or given["max_size"] is not None):
        raise InvalidInput(
            "--delete would remove files whose source is there in another size",
            advice="Leave one of them out.",
        )
    with open_client(options, endpoint=plan.endpoint) as client:
        plan = replace(plan, targets=targets_below(plan, client))
        kept: set[str] = set()
        left_out = LeftOut(options.say, plan.selection)
        jobs = _noting_names(copy_jobs(plan, client, options.say, left_out), kept)
        if given["dry_run"]:
            code = say_copies(jobs, client, options)
        else:
            shown = not (given["no_progress"] or options.quiet)
            run = CopyRun(options, plan, parallel=given["jobs"], report=given["report"])
            code = run.carry_out(client, open_meter(shown=shown), jobs)
        if delete and code == ExitCode.SUCCESS and not left_out.was_meant:
            surplus = _surplus(plan, kept, left_out)
            if surplus and not kept and not allow_empty:
                raise InvalidInput(
                    f"there is nothing to be copied in {source}: --delete would remove all of {target}",
                    advice="Check SRC. If it is meant, add --allow-empty.",
                )
            if given["dry_run"]:
                _say_removed(plan, surplus, options, "would remove")
            elif surplus:
                question = f"Remove {count_text(len(surplus), 'file')} from {target}?"
                confirm(question, sure=yes, option="-y")
                _remove(plan, surplus, client)
                _say_removed(plan, surplus, options, "removed")
        elif delete:
            options.say("nothing was removed, since not all was copied")
        return code


def _folders(plan: CopyPlan) -> CopyPlan:
    """The same with a slash at the end of addresses: a folder is not all that begins with its name."""
    return replace(
        plan,
        source_url=plan.source_url and replace(plan.source_url, key=folder_key(plan.source_url)),
        target_url=plan.target_url and replace(plan.target_url, key=folder_key(plan.target_url)),
    )


def _noting_names(jobs: Iterator[CopyJob], names: set[str]) -> Iterator[CopyJob]:
    for job in jobs:
        names.add(job.name)
        yield job


def _surplus(plan: CopyPlan, kept: set[str], left_out: LeftOut) -> list[str]:
    """What is in the target alone."""
    assert plan.targets is not None
    return sorted(
        name
        for name, side in plan.targets.items()
        if name not in kept and not left_out.covers(name) and plan.selection.takes(name, side.size_bytes)
    )


def _remove(plan: CopyPlan, names: list[str], client: Client) -> None:
    if plan.target_url is None:
        for name in names:
            try:
                Path(plan.target or "", file_name(name)).unlink(missing_ok=True)
            except OSError as error:
                raise InvalidInput(f"{name} cannot be removed: {error.strerror}") from error
        return
    prefix = folder_key(plan.target_url)
    for _ in remove_objects(client, plan.target_url.bucket, (prefix + name for name in names)):
        pass


def _say_removed(plan: CopyPlan, names: list[str], options: Options, what: str) -> None:
    for name in names:
        url = plan.target_url
        place = (
            str(Path(plan.target or "", name))
            if url is None
            else f"oss://{url.bucket}/{folder_key(url)}{name}"
        )
        if options.json:
            echo_json({"removed": place})
        else:
            click.echo(f"{what} {shown(place)}")
