"""What a server is to be."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock.server.guard.accounts import User
from penstock.server.guard.gate import DEFAULT_ACCOUNT
from penstock.server.http.bounds import Limits, Patience
from penstock.server.interceptor import Interceptor
from penstock.server.listen import WORKER_THREADS
from penstock.server.store import Durability

DEFAULT_REGION: Final = "cn-hangzhou"
DEFAULT_BASE_HOSTS: Final = ("localhost", "oss.localhost")
DRAIN_S: Final = 10.0
MOST_PROCESSES: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """
    What a server is to be.

    Attributes:
        directory: Data directory; made if it is not there.
        host: Address to listen on.
        port: 0 takes any that is free.
        users: User by access key id, or only the secret of one who may do everything.
        account: That of users who name none.
        region: Region id that signatures must name.
        any_region: True to accept V4 signatures for any region.
        durability: ``strict`` (an answer means that it is on the disk), ``relaxed`` or ``none``.
        tls: Files of certificate chain and private key, both PEM, for https.
        base_hosts: Hosts that a bucket's name may stand in front of (``bucket.oss.localhost``).
        strict_addressing: True to refuse a bucket in the path unless the host is an IP address, as OSS does.
        strict_framing: True to refuse a ``Content-Length`` beside chunks, which some clients of OSS send.
        callbacks: False to refuse to post callbacks.
        clock: Unix time in seconds, against which signatures are checked.
        patience: How long to wait for clients.
        limits: How much to take on at once, in each process.
        processes: How many serve together on the port; more than one is for `serve_forever` only.
        access_log: File for a line of JSON per request; ``-`` for standard output, None for none.
        metrics: Host and port for those who run the server (see `penstock.server.watch`), or None.
        lifecycle_every_s: Time between two runs of the lifecycle rules; 0 for none.
        restore_s: How long the restoring of an archived object takes.
    """

    directory: Path
    host: str = "127.0.0.1"
    port: int = 0
    users: Mapping[str, User | str] = field(repr=False)
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    any_region: bool = False
    durability: Durability = "strict"
    tls: tuple[str | os.PathLike[str], str | os.PathLike[str]] | None = None
    base_hosts: Sequence[str] = DEFAULT_BASE_HOSTS
    strict_addressing: bool = False
    strict_framing: bool = False
    callbacks: bool = True
    clock: Callable[[], float] = time.time
    patience: Patience = field(default_factory=Patience)
    limits: Limits = field(default_factory=Limits)
    interceptor: Interceptor | None = None
    threads: int = WORKER_THREADS
    processes: int = 1
    access_log: str | None = None
    metrics: tuple[str, int] | None = None
    lifecycle_every_s: float = 3600.0
    restore_s: float = 3.0
