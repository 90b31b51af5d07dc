"""Transfers that run in other processes, as the command line names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from penstock.cli.amounts import bytes_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options
from penstock.cli.terminal import shown
from penstock.cli.unfinished import short_id, where_journals_are
from penstock.errors import InvalidInput
from penstock.transfer import token as tokens

if TYPE_CHECKING:
    from penstock.client.running.control import RunningTransfer
    from penstock.client.running.control_messages import TransferEnd


def running_by_id() -> dict[str, RunningTransfer]:
    """All transfers of this user that run now, by their ids."""
    # It needs the client, which commands that do not ask for this need not import.
    from penstock.client.running.control import running_transfers

    return {found.transfer_id: found for found in running_transfers()}


def running_like(text: str) -> list[RunningTransfer]:
    """
    The running transfers that a word names: by the beginning of their id, a token, or what they are called.

    Returns:
        None, one, or several that go to the same address.

    Raises:
        InvalidInput: Their ids begin alike.
    """
    running = running_by_id()
    if text.startswith(tokens.PREFIX):
        wanted = tokens.decode(text).job_id
        return [running[wanted]] if wanted in running else []
    named = [found for found in running.values() if text in (found.name, *found.name.split(" -> "))]
    if named:
        return named
    found = [found for id_, found in running.items() if id_.startswith(text)]
    if len(found) > 1:
        raise InvalidInput(
            f"the ids of {len(found)} transfers begin with {text!r}", advice="Type more of the id."
        )
    return found


def must_run(text: str) -> list[RunningTransfer]:
    """
    As `running_like`, and at least one.

    Raises:
        InvalidInput: None runs.
    """
    found = running_like(text)
    if not found:
        raise InvalidInput(
            f"nothing that runs now is called {text[:80]!r}",
            advice="`penstock uploads ls` says what runs.",
        )
    return found


def tell_end(transfer: RunningTransfer, ended: TransferEnd, options: Options) -> None:
    """Say how a transfer ended that was stopped from here."""
    if options.json:
        echo_json({"id": short_id(transfer.transfer_id), "address": transfer.name, "end": ended})
        return
    click.echo(f"{shown(transfer.name)}: {_text_of(transfer, ended)}")


def _text_of(transfer: RunningTransfer, ended: TransferEnd) -> str:
    if ended.committed == "yes":
        return "was complete before it could be stopped"
    if ended.committed == "unknown":
        return "stopped; it is not known whether OSS has the object"
    kept = f"{bytes_text(ended.acknowledged_bytes)} of {bytes_text(ended.total_bytes)}"
    if ended.resume_token is None:
        return "stopped; nothing of it is kept"
    again = f"{where_journals_are()}penstock uploads resume {short_id(transfer.transfer_id)}"
    return f"stopped; {kept} are kept. To go on: {again}"
