"""The options that every command takes, before its name or after it, and the client that they lead to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from penstock.cli.terminal import shown

if TYPE_CHECKING:
    from penstock.client.client import Client

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(slots=True)
class Options:
    """
    What the command line says for all commands.

    Attributes:
        output_format: ``raw`` for people, ``json`` for programs.
        program: What was typed for ``penstock``.
    """

    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    access_key_secret: str | None = None
    sts_token: str | None = None
    profile: str | None = None
    config_file: str | None = None
    sign_version: Literal["v4", "v1"] = "v4"
    output_format: str = "raw"
    quiet: bool = False
    debug: bool = False
    program: str = "penstock"

    @property
    def json(self) -> bool:
        """Whether results are for programs."""
        return self.output_format == "json"

    def say(self, text: str = "") -> None:
        """Tell people something beside the results; not with ``--quiet``."""
        if not self.quiet:
            click.echo(shown(text, err=True, lines=True), err=True)

    def words(self, *, place: bool = True) -> list[str]:
        """
        The options to be typed again, with the word SECRET for what nobody else may read.

        Args:
            place: False leaves out endpoint and region.
        """
        connection = (
            ("--endpoint", self.endpoint if place else None),
            ("--region", self.region if place else None),
            ("--config-file", self.config_file),
            ("--profile", self.profile),
            ("--access-key-id", self.access_key_id),
            ("--access-key-secret", self.access_key_secret and "SECRET"),
            ("--sts-token", self.sts_token and "SECRET"),
            ("--sign-version", None if self.sign_version == "v4" else self.sign_version),
            ("--format", None if self.output_format == "raw" else self.output_format),
        )
        words = [f"{option}={value}" for option, value in connection if value is not None]
        return [*words, *(["--quiet"] if self.quiet else []), *(["--debug"] if self.debug else [])]


def open_client(options: Options, *, endpoint: str | None = None, region: str | None = None) -> Client:
    """
    The client that the options, the environment and the configuration files describe.

    Args:
        options: Of the command line.
        endpoint: Goes before everything; of a journal or an address that names one.
        region: Likewise.

    Raises:
        InvalidInput, CredentialsMissing: They do not suffice.
    """
    # A client takes a third of a second to import; a command that needs none does not wait for it.
    from penstock.client.client import Client
    from penstock.client.identity.credentials import Credentials

    credentials = None
    if options.access_key_id or options.access_key_secret or options.sts_token:
        credentials = Credentials(
            options.access_key_id or "", options.access_key_secret or "", options.sts_token
        )
    if options.access_key_secret or options.sts_token:
        options.say(
            "warning: other users of this machine can see keys on a command line; "
            "set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET instead"
        )
    return Client(
        endpoint or options.endpoint,
        region or options.region,
        credentials,
        profile=options.profile,
        config_file=options.config_file,
        signature_version=options.sign_version,
    )


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    options = ctx.ensure_object(Options)
    if value:
        setattr(options, param.name, value)


_Option = tuple[tuple[str, ...], dict[str, Any]]

_CONNECTION: tuple[_Option, ...] = (
    (("-e", "--endpoint"), {"metavar": "URL", "help": "Where OSS is. [OSS_ENDPOINT]"}),
    (("--region",), {"metavar": "ID", "help": "Such as cn-hangzhou. [OSS_REGION]"}),
    (("-i", "--access-key-id"), {"metavar": "ID", "help": "Who asks. [OSS_ACCESS_KEY_ID]"}),
    (
        ("-k", "--access-key-secret"),
        {"metavar": "SECRET", "help": "Better in the environment. [OSS_ACCESS_KEY_SECRET]"},
    ),
    (("-t", "--sts-token"), {"metavar": "TOKEN", "help": "Of temporary keys. [OSS_SESSION_TOKEN]"}),
    (("--profile",), {"metavar": "NAME", "help": "Section of the configuration file. [OSSUTIL_PROFILE]"}),
    (("-c", "--config-file"), {"metavar": "FILE", "help": "Instead of ~/.ossutilconfig."}),
    (("--sign-version",), {"type": click.Choice(["v4", "v1"]), "help": "Version of signatures; v4."}),
)

_OUTPUT: tuple[_Option, ...] = (
    (
        ("--output-format", "--format", "output_format"),
        {"type": click.Choice(["raw", "json"]), "help": "json: one JSON value a line on standard output."},
    ),
    (("-q", "--quiet"), {"is_flag": True, "help": "Only results and errors."}),
    (("--debug",), {"is_flag": True, "help": "Show the traceback of an error."}),
)


def shared_options(*, hidden: bool, connects: bool = True) -> Callable[[F], F]:
    """
    Give a command the options of all commands; they go into its `Options`, not into its arguments.

    Args:
        hidden: True where the help of the command shall not repeat them.
        connects: False for a command that asks no OSS but its own.
    """

    def add(function: F) -> F:
        for names, settings in reversed((*(_CONNECTION if connects else ()), *_OUTPUT)):
            option = click.option(*names, **settings, hidden=hidden, expose_value=False, callback=_remember)
            function = option(function)
        return function

    return add


def oss_command(name: str, *, connects: bool = True, **settings: Any) -> Callable[[F], click.Command]:
    """
    A command of penstock: named, with the shared options, and with its `Options` as first argument.

    Args:
        connects: As of `shared_options`.
        **settings: Of `click.command`.
    """
    if connects:
        settings.setdefault("epilog", "Options for endpoint, keys and output: penstock --help")
    context = {"max_content_width": 100, "help_option_names": ["-h", "--help"]}

    def make(function: F) -> click.Command:
        @wraps(function)
        def with_options(*args: Any, **given: Any) -> Any:
            return function(click.get_current_context().find_object(Options), *args, **given)

        decorate: Any = click.command(name, context_settings=context, **settings)
        command: click.Command = decorate(shared_options(hidden=True, connects=connects)(with_options))
        return command

    return make
