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

_SHOWN_IF_NONE = frozenset({"content_bytes", "crc64", "storage_bytes", "object_count"})
"""What people want to read of an empty object or bucket too; programs are told all zeros."""


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
        # As cp writes it: many programs read a number as a float, which does not hold it.
        echo_json({name: str(value) if name == "crc64" else value for name, value in fields.items()})
        return
    counted = {name: value for name, value in fields.items() if value != 0 or name in _SHOWN_IF_NONE}
    width = max(len(name) for name in counted)
    for name, value in counted.items():
        if isinstance(value, dict):
            for key, text in value.items():
                click.echo(f"{name:<{width}}  {shown(f'{key}: {text}')}")
        else:
            click.echo(f"{name:<{width}}  {shown(_text_of(name, value))}")


def _is_said(value: Any) -> bool:
    return value is not None and value not in ("", {}, ())


def _text_of(name: str, value: Any) -> str:
    if isinstance(value, datetime) or name.endswith("_at_s"):
        return moment_text(value)
    if isinstance(value, msgspec.Struct):
        return ", ".join(str(part) for part in msgspec.structs.astuple(value) if part)
    return str(value)
