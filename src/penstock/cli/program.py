"""
The command line: finds the command and runs it. No expected error gets past it with a traceback.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from penstock.cli.ending import ExitCode, Interrupted, die_by, exit_code_of, report_error
from penstock.cli.lazy_group import Lazy, LazyGroup
from penstock.cli.options import Options, shared_options
from penstock.errors import PenstockError
from penstock.version import VERSION

_COMPLETION_VARIABLE = "_PENSTOCK_COMPLETE"
_TRY = "Try it here, without an account"
_COPY = "Copy"
_LOOK = "Look and remove"
_UPLOADS = "Uploads that are not finished"
_KEEP = "Keep a store"
_SET_UP = "Set up"

_COMMANDS = {
    "demo": Lazy("penstock.cli.demo", "Upload, abort half-way, resume and compare, on this machine.", _TRY),
    "serve": Lazy("penstock.cli.serve", "Run an OSS on this machine.", _TRY),
    "cp": Lazy("penstock.cli.cp", "Copy to OSS, from OSS, or within it; again to resume.", _COPY),
    "sync": Lazy("penstock.cli.sync", "Make a directory or prefix like another one.", _COPY),
    "cat": Lazy("penstock.cli.cat", "Write an object to standard output.", _COPY),
    "presign": Lazy("penstock.cli.presign", "Make a URL that anybody may use for a while.", _COPY),
    "ls": Lazy("penstock.cli.ls", "List buckets or objects.", _LOOK),
    "stat": Lazy("penstock.cli.describe", "Show all that OSS says of an object or bucket.", _LOOK),
    "du": Lazy("penstock.cli.du", "Add up objects, and the parts of unfinished uploads.", _LOOK),
    "rm": Lazy("penstock.cli.rm", "Remove objects.", _LOOK),
    "mb": Lazy("penstock.cli.mb", "Make a bucket.", _LOOK),
    "rb": Lazy("penstock.cli.rb", "Remove an empty bucket.", _LOOK),
    "uploads": Lazy("penstock.cli.uploads", "List, show, resume, cancel, and clean up.", _UPLOADS),
    "fsck": Lazy("penstock.cli.fsck", "Check the store of an OSS, also while it is served.", _KEEP),
    "backup": Lazy("penstock.cli.backup", "Copy the store of an OSS, also while it is served.", _KEEP),
    "doctor": Lazy("penstock.cli.doctor", "Check endpoint, region, keys and clock.", _SET_UP),
    "config": Lazy("penstock.cli.config", "Show where the settings come from.", _SET_UP),
}


class Penstock(LazyGroup):
    """The group of all commands; ends the process with the right code."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run a command line and exit."""
        if _COMPLETION_VARIABLE in os.environ:
            super().main(args, prog_name="penstock")
        words = list(sys.argv[1:] if args is None else args)
        options = Options(program=_program())
        sys.exit(self._run(words, options))

    def _run(self, words: list[str], options: Options) -> int:
        # Not through click's own main: it would answer Ctrl-C with a line and an exit code of its own.
        try:
            with self.make_context("penstock", words, obj=options, color=_color()) as context:
                code = self.invoke(context)
                return code if isinstance(code, int) else ExitCode.SUCCESS
        except click.exceptions.Exit as ended:
            return ended.exit_code
        except click.UsageError as error:
            error.show()
            return ExitCode.WRONG_INPUT
        except click.ClickException as error:
            error.show()
            return ExitCode.CLIENT_ERROR
        except Interrupted as interrupted:
            die_by(interrupted.number)
        except (click.Abort, KeyboardInterrupt):
            die_by(signal.SIGINT)
        except BrokenPipeError:
            _leave_closed_pipe()
        except (PenstockError, OSError) as error:
            report_error(error, as_json=options.json, debug=options.debug)
            return exit_code_of(error)


def _color() -> bool | None:
    """False where the user wants no colour; None leaves it to the terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _program() -> str:
    """What to type to run this program again."""
    called = sys.argv[0]
    name = Path(called).name
    if name == "__main__.py":
        return f"{sys.executable} -m penstock.cli"
    found = shutil.which(name)
    return name if found is not None and Path(found).resolve() == Path(called).resolve() else called


def _leave_closed_pipe() -> NoReturn:
    """Whoever read our output has gone (``| head``): end as quietly as other programs do."""
    if hasattr(signal, "SIGPIPE"):
        die_by(signal.SIGPIPE)
    # Without a last attempt to write what is still buffered.
    os._exit(ExitCode.CLIENT_ERROR)


@click.group(
    "penstock",
    cls=Penstock,
    lazy=_COMMANDS,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 wrong input, 2 OSS refused, 3 failed here, 4 some of several failed, "
    "5 stopped (by a signal: it dies of that, unless PENSTOCK_INTERRUPT_EXIT=5 is set).",
)
@click.version_option(VERSION, "-V", "--version", message="penstock %(version)s")
@shared_options(hidden=False)
def cli() -> None:
    """
    Uploads to Alibaba Cloud OSS that stop when told to, and go on later.

    Ctrl-C stops a copy at once, keeps what OSS has, and prints the command that goes on from there.
    """
