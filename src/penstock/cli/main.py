"""Starts the command line."""

from __future__ import annotations

import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process."""
    # Until there is something to stop, and somebody to say so, Ctrl-C ends the process without a word.
    catches_interrupt = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if catches_interrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from penstock.cli.ending import die_by
    from penstock.cli.program import cli
    from penstock.cli.standard_streams import open_standard_streams

    open_standard_streams()
    try:
        if catches_interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        cli.main()
    except KeyboardInterrupt:
        die_by(signal.SIGINT)
    finally:
        if catches_interrupt:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
