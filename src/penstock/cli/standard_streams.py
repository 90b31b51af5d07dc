"""Standard input, output and error as they may be: closed, full, not blocking, or unable to show a name."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class StandardOutput(io.RawIOBase):
    """
    Writes all that it is given, however little the system takes at a time, and keeps nothing back.

    Args:
        descriptor: Where it goes.
        name: For messages.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        self.name = name
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        """
        Write all of it.

        Raises:
            BrokenPipeError: Whoever read it has gone.
            OSError: It cannot be written.
        """
        view = memoryview(data).cast("B")
        written = 0
        while written < len(view):
            try:
                written += os.write(self._descriptor, view[written:])
            except BlockingIOError:
                self._wait()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OSError(error.errno, error.strerror, self.name) from None
        return written

    def _wait(self) -> None:
        # Only here: `penstock --help` does without the layers below.
        from penstock.net.latch import Latch
        from penstock.net.stream import wait_until_ready

        wait_until_ready(cast("BinaryIO", self), Latch(), writing=True)


class StandardError(StandardOutput):
    """Likewise; but what cannot be written is dropped: there is nowhere to say so, and work goes on."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError:
            return memoryview(data).nbytes


class ClosedOutput(io.RawIOBase):
    """Stands for an output that was closed when the program began: nobody wants what is said there."""

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        return memoryview(data).nbytes


def open_standard_streams() -> None:
    """Have this process write to streams that lose nothing, whatever it was started with."""
    _fill_holes()
    sys.stdout = _text_stream(sys.stdout, StandardOutput(1, "standard output"))
    sys.stderr = _text_stream(sys.stderr, StandardError(2, "standard error"))


def standard_output() -> BinaryIO:
    """
    Standard output, for bytes.

    Raises:
        OSError: It is closed.
    """
    stream = sys.stdout.buffer
    if isinstance(stream, ClosedOutput):
        raise OSError(errno.EBADF, "it is closed", "standard output")
    return stream


def open_standard_input() -> BinaryIO:
    """
    Standard input, for bytes, to be closed.

    Raises:
        OSError: It is closed.
    """
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed", "standard input")
    # Unbuffered: a thread that is left behind in a read must not hold a lock that the exit needs.
    return cast("BinaryIO", os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0))


def _fill_holes() -> None:
    """Keep the numbers of closed standard streams from files and sockets, which would then be written to."""
    # Opened the wrong way round, so that whoever uses them all the same is told.
    for descriptor, mode in ((0, os.O_WRONLY), (1, os.O_RDONLY), (2, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)


def _text_stream(before: TextIO | None, stream: StandardOutput) -> TextIO:
    if before is None:
        return io.TextIOWrapper(cast("BinaryIO", ClosedOutput()), "utf-8", "replace", write_through=True)
    if os.name == "nt":  # its console takes text, not bytes
        return before
    # Nobody who asks for ASCII means that names be illegible; names of files need not be UTF-8, though.
    encoding = (
        "utf-8" if before.encoding.lower() in ("ascii", "ansi_x3.4-1968", "us-ascii") else before.encoding
    )
    errors = "surrogateescape" if encoding.lower() == "utf-8" else "backslashreplace"
    return io.TextIOWrapper(cast("BinaryIO", stream), encoding, errors, write_through=True)
