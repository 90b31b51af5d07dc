"""``penstock stat``: all that OSS says of an object or a bucket."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click
import msgspec

from penstock.cli.address import client_at, place_url
from penstock.cli.amounts import moment_text
from penstock.cli.json_line import echo_json
from penstock.cli.options import Options, oss_command
from penstock.cli.terminal import shown


@oss_command("stat")
@click.argument("address", metavar="oss://BUCKET[/KEY]")
def command(options: Options, address: str) -> None:
    """Show all that OSS says of an object or bucket."""
    url = place_url(address)
    with client_at(options, url) as client:
        if url.key:
            found: list[Any] = [client.head_object(url.bucket, url.key)]
        else:
            found = [client.get_bucket_info(url.bucket), client.get_bucket_stat(url.bucket)]
    fields: dict[str, Any] = {"address": str(url)}
    for part in found:
        fields |= {name: value for name, value in msgspec.structs.asdict(part).items() if _is_said(value)}
    if options.json:
        echo_json(fields)
        return
    width = max(len(name) for name in fields)
    for name, value in fields.items():
        if isinstance(value, dict):
            for key, text in value.items():
                click.echo(f"{name:<{width}}  {shown(f'{key}: {text}')}")
        else:
            click.echo(f"{name:<{width}}  {shown(_text_of(value))}")


def _is_said(value: Any) -> bool:
    return value not in (None, "", 0, {}, ())


def _text_of(value: Any) -> str:
    if isinstance(value, datetime):
        return moment_text(value)
    if isinstance(value, msgspec.Struct):
        return ", ".join(str(part) for part in msgspec.structs.astuple(value) if part)
    return str(value)
