"""How a command ends: its exit code, and what is said of an error."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from enum import IntEnum
from typing import NoReturn

import click

from penstock.cli.terminal import shown
from penstock.errors import (
    Aborted,
    CredentialsMissing,
    InvalidInput,
    PenstockError,
    ServiceError,
)

INTERRUPT_EXIT_VARIABLE = "PENSTOCK_INTERRUPT_EXIT"
"""Set it to 5 to have an interrupted command exit with 5 instead of dying by its signal."""


class ExitCode(IntEnum):
    """What scripts can branch on; the numbers are those of ossutil 2."""

    SUCCESS = 0
    WRONG_INPUT = 1
    SERVER_ERROR = 2
    CLIENT_ERROR = 3
    PARTIAL_FAILURE = 4
    INTERRUPTED = 5


class Interrupted(BaseException):
    """A signal ended the command, and all that had to be said about it was said."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code for an error."""
    match error:
        case Aborted():
            return ExitCode.INTERRUPTED
        case ServiceError():
            return ExitCode.SERVER_ERROR
        case CredentialsMissing():
            return ExitCode.CLIENT_ERROR
        case InvalidInput():
            return ExitCode.WRONG_INPUT
        case _:
            return ExitCode.CLIENT_ERROR


def report_error(error: Exception, *, as_json: bool = False, debug: bool = False) -> None:
    """Say on standard error what went wrong, how support can find it, and what to do next."""
    if debug:
        traceback.print_exception(error)
    if as_json:
        # It takes msgspec, and most errors are for people.
        from penstock.cli.json_line import echo_json

        echo_json(error_fields(error), err=True)
        return
    for line in error_lines(error):
        click.echo(line, err=True)


def error_lines(error: Exception) -> list[str]:
    """The message, what support asks for, and the advice; the last two only where there are any."""
    fields = error_fields(error)
    message = shown(str(fields["message"]), err=True, lines=True)
    lines = [f"{click.style('error:', fg='red', bold=True)} {message}"]
    known = [
        f"{label}{fields[name]}"
        for name, label in (("code", ""), ("request_id", "request id "), ("ec", "EC "))
        if fields.get(name)
    ]
    if known:
        lines.append(f"  {', '.join(known)}")
    if fields.get("advice"):
        lines.append(f"  {shown(str(fields['advice']), err=True, lines=True)}")
    return lines


def error_fields(error: Exception) -> dict[str, str | int]:
    """What is known of an error, for programs."""
    if isinstance(error, OSError) and isinstance(error.filename, str) and error.strerror:
        return {"code": type(error).__name__, "message": f"{error.filename}: {error.strerror}"}
    if not isinstance(error, PenstockError):
        return {"code": type(error).__name__, "message": str(error)}
    fields: dict[str, str | int] = {
        "code": error.code,
        "message": error.message.strip(),
        "advice": error.advice,
    }
    if isinstance(error, ServiceError):
        where = f" for {error.resource}" if error.resource else ""
        fields["message"] = f"OSS answered {error.status}{where}: {error.message.strip()}"
        fields |= {"status": error.status, "request_id": error.request_id, "ec": error.ec}
    return fields


def die_by(number: int) -> NoReturn:
    """
    End this process by a signal, as the shell expects of a program that was interrupted.

    A shell stops its loop only if it sees a death by SIGINT; an exit code, be it 130, lets it go on.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # it may be closed, and is then perhaps not there
            stream.flush()
    if os.name == "nt" or os.environ.get(INTERRUPT_EXIT_VARIABLE) == str(ExitCode.INTERRUPTED.value):
        os._exit(ExitCode.INTERRUPTED)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    # Delivered to this thread before kill returns, unless the signal is blocked.
    os._exit(128 + number)
