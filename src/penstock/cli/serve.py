"""``penstock serve``: an OSS on this machine."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from penstock.cli.amounts import duration_option
from penstock.cli.options import Options, oss_command
from penstock.cli.temporary import temporary_directory
from penstock.errors import InvalidInput


@oss_command("serve", connects=False, short_help="Run an OSS on this machine.")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Take everything from this file (TOML); of the options beside it only --drain is looked at.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=9000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option("--region", default="cn-hangzhou", show_default=True, help="Region that signatures name.")
@click.option("--any-region", is_flag=True, help="Accept signatures for any region.")
@click.option(
    "--durability",
    default="strict",
    show_default=True,
    type=click.Choice(["strict", "relaxed", "none"]),
    help="strict: an answer means it is on the disk.",
)
@click.option(
    "--tls-cert", type=click.Path(path_type=Path, dir_okay=False), help="Certificate chain (PEM), for https."
)
@click.option("--tls-key", type=click.Path(path_type=Path, dir_okay=False), help="Its private key (PEM).")
@click.option(
    "--base-host",
    "base_hosts",
    multiple=True,
    metavar="HOST",
    help="Host that bucket names may stand in front of; may be repeated.",
)
@click.option(
    "--strict-addressing", is_flag=True, help="Refuse buckets in the path of a named host, as OSS does."
)
@click.option(
    "--strict-framing", is_flag=True, help="Refuse a length beside chunks, which some clients send."
)
@click.option(
    "--processes",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="How many serve together; more than there are cores gain nothing.",
)
@click.option("--no-callbacks", is_flag=True, help="Post no callbacks.")
@click.option(
    "--drain",
    "drain_s",
    default="10s",
    show_default=True,
    callback=duration_option,
    metavar="TIME",
    help="How long requests may take to end.",
)
def command(options: Options, directory: Path | None, **given: Any) -> None:
    """
    Serve OSS from DIRECTORY until Ctrl-C; without one, from a temporary one that is removed at the end.

    Keys are those of OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET; if they are not set, a pair for development
    that is printed, and accepted from this machine only.
    """
    from penstock.server.guard.keys import decide_keys
    from penstock.server.serve import serve_forever
    from penstock.server.settings import DEFAULT_BASE_HOSTS, ServerSettings, check_settings

    if given["config_file"] is not None:
        if directory is not None:
            raise InvalidInput(
                "The directory stands in the configuration file", advice="Leave out DIRECTORY."
            )
        _serve_configured(options, given["config_file"], given["drain_s"])
        return
    if bool(given["tls_cert"]) != bool(given["tls_key"]):
        raise InvalidInput("https needs a certificate and its key", advice="Give --tls-cert and --tls-key.")
    keys = decide_keys(os.environ, given["host"])
    with ExitStack() as stack:
        kept = directory
        if kept is None:
            kept = stack.enter_context(temporary_directory("penstock-oss-"))
        settings = ServerSettings(
            directory=kept,
            host=given["host"],
            port=given["port"],
            users=keys.users,
            region=given["region"],
            any_region=given["any_region"],
            durability=given["durability"],
            tls=(given["tls_cert"], given["tls_key"]) if given["tls_cert"] else None,
            base_hosts=(*DEFAULT_BASE_HOSTS, *given["base_hosts"]),
            strict_addressing=given["strict_addressing"],
            strict_framing=given["strict_framing"],
            callbacks=not given["no_callbacks"],
            processes=given["processes"],
        )
        check_settings(settings, given["drain_s"])

        def ready(endpoint: str) -> None:
            place = f"{directory}" if directory else "a temporary directory, removed at the end"
            click.echo(f"OSS at {click.style(endpoint, bold=True)}")
            options.say(f"  data    {place} (durability {settings.durability})")
            options.say(f"  keys    {_keys_text(development=keys.development)}")
            click.echo(_exports(endpoint, settings.region, keys.users if keys.development else None))
            options.say("\nCtrl-C stops it.")

        serve_forever(
            settings, ready, lambda: options.say("\nstopping; Ctrl-C again to stop at once"), given["drain_s"]
        )


def _serve_configured(options: Options, path: Path, drain_s: float) -> None:
    from penstock.server.config_file import read_settings
    from penstock.server.serve import serve_forever
    from penstock.server.settings import check_settings

    settings = read_settings(path, os.environ)
    check_settings(settings, drain_s)

    def ready(endpoint: str) -> None:
        click.echo(f"OSS at {click.style(endpoint, bold=True)}")
        options.say(f"  data    {settings.directory} (durability {settings.durability})")
        options.say(f"  users   {len(settings.users)}, from {path}")

    serve_forever(settings, ready, lambda: options.say("\nstopping; Ctrl-C again to stop at once"), drain_s)


def _keys_text(*, development: bool) -> str:
    if development:
        return "made up for development; accepted from this machine only"
    return "those of OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET"


def _exports(endpoint: str, region: str, users: Any) -> str:
    """Lines for a shell; keys only if everybody knows them anyway."""
    variables = {"OSS_ENDPOINT": endpoint, "OSS_REGION": region}
    for access_key_id, secret in (users or {}).items():
        variables |= {"OSS_ACCESS_KEY_ID": access_key_id, "OSS_ACCESS_KEY_SECRET": secret}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join(["", *lines])
