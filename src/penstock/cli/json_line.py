"""Results for programs: one JSON value a line."""

from __future__ import annotations

from typing import Any

import click
import msgspec


def echo_json(value: Any) -> None:
    """Print a value, a msgspec.Struct or anything made of plain values, as one line of JSON."""
    click.echo(msgspec.json.encode(value, enc_hook=str).decode())
