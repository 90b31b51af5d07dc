"""
A server that is killed again and again: ``python killed_server.py DIRECTORY SEED [join]``.

For every line on its standard input, the number of a first client, it forks a process that opens the store
and lets some clients work in it until somebody kills it. Standard output says what happens: the process id,
then for each call its client when it begins (``b 3``) and when it is confirmed (``d 3``), then ``end``.
With ``join`` it shares the directory with others.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

from store_clients import Client

from penstock.server.store import LocalStore

CLIENTS = 3


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def work(store: LocalStore, client: Client, number: int) -> None:
    while True:
        step = client.next_step()
        say(f"b {number}")
        client.take(step, store)
        say(f"d {number}")


def give_up(failed: threading.ExceptHookArgs) -> None:
    """A client that fails ends the process, which is not how it should end."""
    sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)


def serve(directory: Path, first: int, seed: int) -> None:
    threading.excepthook = give_up
    open_store = LocalStore.join if "join" in sys.argv else LocalStore.open
    store = open_store(directory, "strict")
    threads = [
        threading.Thread(target=work, args=(store, Client(number, seed), number))
        for number in range(first, first + CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    directory, seed = Path(sys.argv[1]), int(sys.argv[2])
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            serve(directory, int(line), seed)
        say(f"pid {process}")
        _, status = os.waitpid(process, 0)
        say(f"end {os.waitstatus_to_exitcode(status)}")


if __name__ == "__main__":
    main()
