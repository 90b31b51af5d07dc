"""Results for programs: one JSON value a line."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import msgspec

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def json_line(value: Any) -> str:
    r"""
    A value, a msgspec.Struct or anything made of plain values, as one line of JSON without its end.

    The bytes of a file's name that are not UTF-8 are written as Python reads them: each as ``\udcXX``.
    """
    plain = msgspec.to_builtins(value, enc_hook=str, str_keys=True)
    text = json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def echo_json(value: Any, *, err: bool = False) -> None:
    """Print a value as a line of JSON."""
    click.echo(json_line(value), err=err)
