"""Names from elsewhere on a terminal, which takes some of their characters for orders."""

from __future__ import annotations

import re
import sys

# Control characters, separators of lines, what turns the direction of writing, and bytes that are not UTF-8.
_ORDERS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escaped(text: str, *, lines: bool = False) -> str:
    r"""
    Text without anything that a terminal would not show, such as ``\x1b`` for an escape.

    Args:
        lines: Whether it may have several lines.
    """
    return _ORDERS.sub(lambda found: found[0] if lines and found[0] == "\n" else _escape(found[0]), text)


def shown(text: str, *, err: bool = False, lines: bool = False) -> str:
    """
    Text as it is printed: `escaped` on a terminal, else as it is.

    Args:
        err: Whether it goes to standard error.
        lines: Whether it may have several lines.
    """
    stream = sys.stderr if err else sys.stdout
    return escaped(text, lines=lines) if stream is not None and stream.isatty() else text


def _escape(character: str) -> str:
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file's name that is not UTF-8
        number -= 0xDC00
    return _SHORT.get(character) or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}")
