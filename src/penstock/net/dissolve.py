"""
Ends a TCP connection for whoever uses it, at once and from any thread.

On Linux a connection is dissolved by connecting its socket to no address (``AF_UNSPEC``; connect(2)): what
waits in the send buffer is dropped, the peer gets a reset and no end of stream before it, and every call that
is blocked in the socket comes back with an error. `shutdown` would let the buffer drain until the owner
closes. `socket.connect` cannot express the address, so the C function is called.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress

_NO_ADDRESS = bytes(16)  # struct sockaddr whose family is AF_UNSPEC


def _connect_function() -> Callable[[int, bytes, int], int] | None:
    if sys.platform != "linux":
        return None
    with suppress(ImportError, OSError, AttributeError):  # a Python without ctypes, a C library out of reach
        import ctypes

        # It never waits for a peer. Without letting go of the interpreter, whose turn is long in coming again
        # beside a hundred senders: those would go on meanwhile.
        connect = ctypes.PyDLL(None).connect
        connect.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
        connect.restype = ctypes.c_int
        return connect
    return None


_CONNECT = _connect_function()


def dissolve(descriptor: int) -> bool:
    """
    Dissolves the connection of a socket; the descriptor stays open and stays the caller's.

    Returns:
        False if this system cannot, and nothing has happened: it is not Linux, or a kernel from 6.4 to 6.6,
        which refuses while somebody is blocked in the socket.
    """
    return _CONNECT is not None and descriptor >= 0 and _CONNECT(descriptor, _NO_ADDRESS, 16) == 0
