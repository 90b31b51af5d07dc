"""Which of many files or objects are meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli.amounts import count_text, size_option
from penstock.errors import InvalidInput

if TYPE_CHECKING:
    from penstock.cli.copy_job import CopyJob

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Selection:
    """
    Conditions that all have to hold; without any, everything is meant.

    Attributes:
        include: One of these has to match the name, if there are any.
        exclude: None of these may.
        min_bytes: No file is smaller.
        max_bytes: No file is larger; None for any.
        names: Only these, and what is below them; None for any.
    """

    include: tuple[re.Pattern[str], ...] = ()
    exclude: tuple[re.Pattern[str], ...] = ()
    min_bytes: int = 0
    max_bytes: int | None = None
    names: frozenset[str] | None = None

    def takes(self, name: str, size_bytes: int) -> bool:
        """
        Whether a file is meant.

        Args:
            name: Path below the directory or prefix that is copied, with ``/``.
        """
        return (
            (self.names is None or not self.names.isdisjoint(_with_folders(name)))
            and (not self.include or any(pattern.fullmatch(name) for pattern in self.include))
            and not any(pattern.fullmatch(name) for pattern in self.exclude)
            and self.min_bytes <= size_bytes
            and (self.max_bytes is None or size_bytes <= self.max_bytes)
        )

    def may_take(self, name: str, *, below: bool) -> bool:
        """
        Whether a file may be meant of which only the name is known.

        Args:
            below: The name is that of a directory that cannot be looked into, and files in it are asked for.
        """
        if not below:
            return self.takes(name, self.min_bytes)
        if self.names is not None and not any(
            one.startswith(f"{name}/") or one in _with_folders(name) for one in self.names
        ):
            return False
        # What matches names that no file has, matches all.
        return not all(
            any(pattern.fullmatch(f"{name}{probe}") for pattern in self.exclude) for probe in _ANY_BELOW
        )


EVERYTHING = Selection()
_ANY_BELOW = ("/\0", "/\0/\0", "/\0/\0/\0")


def pattern_of(glob: str) -> re.Pattern[str]:
    """
    A pattern as rclone and ossutil write it, for whole names.

    ``*`` and ``?`` stop at ``/``, ``**`` does not; ``[abc]`` is one of these, ``{a,b}`` one or the other.
    With ``/`` in front it begins at the top, else below any directory; with ``/`` at the end it is all below.

    Raises:
        InvalidInput: A bracket is not closed, or holds a range that is none.
    """
    text = f"{glob}**" if glob.endswith("/") else glob
    anchored, text = text.startswith("/"), text.removeprefix("/")
    found, depth, at = [], 0, 0
    while at < len(text):
        sign = text[at]
        if text.startswith("**", at):
            found.append(".*")
            at += 1
        elif sign == "*":
            found.append("[^/]*")
        elif sign == "?":
            found.append("[^/]")
        elif sign == "[":
            end = text.find("]", at + 2)
            if end < 0:
                raise _unclosed(glob, "[")
            signs = text[at + 1 : end]
            negated = signs[0] in "!^"
            found.append(f"[{'^/' if negated else ''}{_in_class(signs[1:] if negated else signs)}]")
            at = end
        elif sign == "{":
            depth += 1
            found.append("(?:")
        elif sign == "}" and depth:
            depth -= 1
            found.append(")")
        elif sign == "," and depth:
            found.append("|")
        elif sign == "\\" and at + 1 < len(text):
            at += 1
            found.append(re.escape(text[at]))
        else:
            found.append(re.escape(sign))
        at += 1
    if depth:
        raise _unclosed(glob, "{")
    try:
        return re.compile(f"{'' if anchored else '(?:.*/)?'}{''.join(found)}", re.DOTALL)
    except re.error as error:
        raise InvalidInput(
            f"the pattern {glob!r} cannot be read: {error.msg}",
            advice=r"Write \ before a sign that means itself.",
        ) from None


def telling_of_absent(
    jobs: Iterator[CopyJob], names: frozenset[str], say: Callable[[str], None]
) -> Iterator[CopyJob]:
    """The jobs; when there are no more, say which names of a list stand for none of them."""
    left = set(names)
    for job in jobs:
        left.difference_update(_with_folders(job.name))
        yield job
    if left:
        say(f"nothing was found for {count_text(len(left), 'name')} of the list, such as {min(left)}")


def _with_folders(name: str) -> list[str]:
    """A name, and those of the folders that it is in."""
    return [name, *map(str, PurePosixPath(name).parents)]


def _in_class(signs: str) -> str:
    """The inside of a bracket: single signs, and ranges such as ``a-z``."""
    found, at = [], 0
    while at < len(signs):
        is_range = signs[at + 1 : at + 2] == "-" and at + 2 < len(signs)
        found.append(
            "-".join(map(re.escape, (signs[at], signs[at + 2]))) if is_range else re.escape(signs[at])
        )
        at += 3 if is_range else 1
    return "".join(found)


def _unclosed(glob: str, bracket: str) -> InvalidInput:
    return InvalidInput(
        f"the pattern {glob!r} has a {bracket} that is not closed", advice="Quote it with \\."
    )


def names_in(lines: Iterable[str]) -> frozenset[str]:
    """
    The names that a list gives: one a line, or in the lines of a failure report.

    Raises:
        InvalidInput: A line begins as those of a report do, and is none.
    """
    names = set()
    for line in lines:
        text = line.rstrip("\r\n")
        if text.startswith("{"):
            try:
                names.add(str(json.loads(text)["name"]))
            except (ValueError, KeyError, TypeError):
                raise InvalidInput(f"{text[:60]!r} names no file", advice="Write one name a line.") from None
        elif text:
            names.add(text)
    return frozenset(names)


def selection_options(command: F) -> F:
    """Add the options that `selection_of` reads."""
    for option in reversed(
        (
            click.option("--include", multiple=True, metavar="GLOB", help="Only what matches one of these."),
            click.option(
                "--exclude", multiple=True, metavar="GLOB", help="Nothing that matches one of these."
            ),
            click.option("--min-size", callback=size_option, metavar="SIZE", help="No smaller files."),
            click.option("--max-size", callback=size_option, metavar="SIZE", help="No larger files."),
            click.option(
                "--files-from",
                type=click.Path(exists=True, dir_okay=False, path_type=Path),
                metavar="FILE",
                help="Only what it names, below SRC: a file or folder a line, or a --report.",
            ),
        )
    ):
        command = option(command)
    return command


def selection_of(given: dict[str, Any]) -> Selection:
    """
    What the options say.

    Raises:
        InvalidInput: A pattern or a list cannot be read.
    """
    names = None
    if given["files_from"] is not None:
        try:
            with given["files_from"].open(encoding="utf-8", errors="surrogateescape") as lines:
                names = names_in(lines)
        except OSError as error:
            raise InvalidInput(f"{given['files_from']} cannot be read: {error}") from error
    return Selection(
        include=tuple(map(pattern_of, given["include"])),
        exclude=tuple(map(pattern_of, given["exclude"])),
        min_bytes=given["min_size"] or 0,
        max_bytes=given["max_size"],
        names=names,
    )
