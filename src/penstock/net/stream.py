"""Open files of a caller that take or give less than they are asked for, or do not block at all."""

from __future__ import annotations

import io
import os
import select
import socket
from contextlib import suppress
from typing import IO, Any, BinaryIO

from penstock.net.latch import Latch


def wait_until_ready(file: IO[Any], latch: Latch, *, writing: bool = False) -> None:
    """
    Wait until reading from a file that does not block, or writing to it, does something again.

    Args:
        file: It, or what stands in front of it and has its ``fileno``.
        latch: Ends the waiting.
        writing: Whether it is to be written to.

    Raises:
        Tripped: The latch was tripped.
        OSError: It is nothing that can be waited for.
    """
    descriptor = file.fileno()
    if os.name == "nt":
        raise io.UnsupportedOperation("this system waits for sockets only")
    awake, wake = socket.socketpair()
    with awake, wake:
        wake.setblocking(False)

        def end() -> None:
            with suppress(OSError):  # the waiting has just ended by itself
                wake.send(b"\0")

        poll = select.poll()
        poll.register(descriptor, select.POLLOUT if writing else select.POLLIN)
        poll.register(awake, select.POLLIN)
        with latch.attach(end):
            poll.poll()
    latch.check()


def write_all(file: BinaryIO, data: bytes | memoryview, latch: Latch) -> None:
    """
    Write all of ``data``, however little ``file`` takes at a time.

    Args:
        file: Need not block. If it does not say how much it took, as many that are made by hand do not,
            it has taken all.
        data: What is written.
        latch: Ends the waiting for a file that does not block.

    Raises:
        Tripped: The latch was tripped.
        OSError: It could not be written, or takes nothing and cannot be waited for.
    """
    left = memoryview(data)
    while left:
        try:
            count: int | None = file.write(left)
        except BlockingIOError as blocked:
            count, takes_nothing = blocked.characters_written, True
        else:
            takes_nothing = count is None and isinstance(file, io.RawIOBase)
            if count is None:
                count = 0 if takes_nothing else len(left)
            elif count == 0:
                raise OSError(f"{file!r} takes no more bytes")
        left = left[count:]
        if left and takes_nothing:
            wait_until_ready(file, latch, writing=True)
