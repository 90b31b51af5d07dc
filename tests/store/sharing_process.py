"""
One of several processes that use a store: ``python sharing_process.py DIRECTORY DURABILITY``.

Jobs come pickled on its standard input: the name of a key, the pieces that may be in it, the calls that each
thread is to make, and the moment when all processes begin. What happened goes pickled to standard output.
"""

from __future__ import annotations

import pickle
import sys
import threading
import time

from histories import Key, all_at_once
from store_box import Box

from penstock.server.store import LocalStore


def collect_all_the_time(store: LocalStore) -> None:
    while True:
        store.collect_garbage()
        threading.Event().wait(0.001)


def main() -> None:
    sys.setswitchinterval(1e-5)
    store = LocalStore.join(sys.argv[1], sys.argv[2])  # type: ignore[arg-type]
    threading.Thread(target=collect_all_the_time, args=(store,), daemon=True).start()
    sys.stdout.buffer.write(b"!")
    sys.stdout.flush()
    while True:
        try:
            name, pieces, scripts, begin_ns = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        key = Key(Box(store), name)
        for piece in pieces:
            key.piece(piece)
            key.etag_of(piece)
        while time.perf_counter_ns() < begin_ns:
            pass
        pickle.dump(all_at_once(key, scripts), sys.stdout.buffer)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
