"""A command line put together again from what was understood of it, so that it holds nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.core import ParameterSource


def command_words(context: click.Context) -> list[str]:
    """
    The names of a command, then its own options and arguments as far as they were typed.

    What all commands share, and may be secret, is not among them: see `Options.words`.
    """
    own = [
        (parameter, context.params[str(parameter.name)])
        for parameter in context.command.params
        if parameter.expose_value
        and context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    ]
    options: list[str] = []
    arguments: list[str] = []
    for parameter, value in own:
        values = value if isinstance(value, tuple | list) else (value,)
        if isinstance(parameter, click.Option):
            options += _option_words(parameter, values)
        else:
            arguments += map(str, values)
    if any(word.startswith("-") and word != "-" for word in arguments):
        options.append("--")
    return [*_names(context), *options, *arguments]


def _option_words(option: click.Option, values: Sequence[object]) -> list[str]:
    name = option.opts[0]
    if option.is_flag:
        return [name]
    # One word each, so that no value is taken for an option.
    return [f"{name}={value}" if name.startswith("--") else f"{name}{value}" for value in values]


def _names(context: click.Context) -> list[str]:
    """Of the command, with those of the groups that it is in, without that of the program."""
    names: list[str] = []
    while context.parent is not None:
        names.insert(0, context.info_name or "")
        context = context.parent
    return names
