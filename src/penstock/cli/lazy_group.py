"""A command whose subcommands are imported when they are asked for, so that help and completion are quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """
    A subcommand that is not imported yet.

    Attributes:
        module: Where it is; the command is the module's ``command``.
        summary: Its line in the help of the group.
        section: The heading that it stands under.
    """

    module: str
    summary: str
    section: str = "Commands"


class LazyGroup(click.Group):
    """A group that knows names and summaries of its commands, and imports only the one that is run."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order of the help."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now."""
        entry = self._lazy.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = import_module(entry.module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and summaries under their headings; imports nothing."""
        width = max(len(name) for name in self._lazy)
        for section in dict.fromkeys(entry.section for entry in self._lazy.values()):
            rows = [
                (name.ljust(width), entry.summary)
                for name, entry in self._lazy.items()
                if entry.section == section
            ]
            with formatter.section(section):
                formatter.write_dl(rows)
