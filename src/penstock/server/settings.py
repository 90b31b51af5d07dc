"""What a server is to be."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from penstock.errors import InvalidInput
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

_WEEK_S: Final = 7 * 86_400.0
_LEAST_WAIT_S: Final = 0.1
"""Shorter waits would be for tests only, and keep a processor busy with looking at clocks."""

_REGION: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ACCOUNT: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_HOST: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)


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


def check_settings(settings: ServerSettings, drain_s: float = DRAIN_S) -> None:
    """
    Refuses what no server can be that serves others.

    Tests may start servers with less: the smallest waits that are taken here are long for them.

    Args:
        settings: As a person has written them, in a file or on the command line.
        drain_s: How long requests under way may take when it stops.

    Raises:
        InvalidInput: Which setting cannot be so, and what it may be.
    """
    _check_numbers(settings, drain_s)
    if not settings.host:
        raise InvalidInput("host is empty", advice="0.0.0.0 and :: are all addresses.")
    if settings.access_log == "":
        raise InvalidInput("access_log is empty", advice='Name a file; "-" is standard output.')
    if settings.durability not in ("strict", "relaxed", "none"):
        raise InvalidInput("durability is strict, relaxed or none")
    if not _REGION.fullmatch(settings.region):
        raise InvalidInput(f"region cannot be {settings.region!r}", advice="It is an id such as cn-hangzhou.")
    if not _ACCOUNT.fullmatch(settings.account):
        raise InvalidInput(
            f"account cannot be {settings.account!r}", advice="It is an id such as 1000000000000001."
        )
    for host in settings.base_hosts:
        if not _HOST.fullmatch(host):
            raise InvalidInput(
                f"the base host {host!r} is not the name of a host", advice="Give it without scheme and port."
            )


def _check_numbers(settings: ServerSettings, drain_s: float) -> None:
    waits, limits = settings.patience, settings.limits
    for name, value, least, most in (
        ("port", settings.port, 0, 65_535),
        ("processes", settings.processes, 1, MOST_PROCESSES),
        ("restore_s", settings.restore_s, 0, _WEEK_S),
        ("the time to drain", drain_s, 0, _WEEK_S),
        ("port of [metrics]", settings.metrics[1] if settings.metrics else 0, 0, 65_535),
        ("connections", limits.connections, 1, 1_000_000),
        ("requests", limits.requests, 1, 1_000_000),
        ("idle_s", waits.idle_s, _LEAST_WAIT_S, _WEEK_S),
        ("head_s", waits.head_s, _LEAST_WAIT_S, _WEEK_S),
        ("body_s", waits.body_s, _LEAST_WAIT_S, _WEEK_S),
        ("request_s", waits.request_s, _LEAST_WAIT_S, _WEEK_S),
        ("least_bytes_per_s", waits.least_bytes_per_s, 0, 1 << 40),
    ):
        # What is not a number (nan) is in no range.
        if not least <= value <= most:
            raise InvalidInput(f"{name} is {least:,} to {most:,.0f}, not {value}")
    every_s = settings.lifecycle_every_s
    if every_s != 0 and not _LEAST_WAIT_S <= every_s <= _WEEK_S:
        raise InvalidInput(
            f"lifecycle_every_s is {_LEAST_WAIT_S} to {_WEEK_S:,.0f}, or 0 for never, not {every_s}"
        )
