"""The client: one value that holds the settings, the connections and the switch, and has all calls."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import random
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import ParamSpec, Self, TypeVar, Unpack

from penstock.client.calls.buckets import BucketCalls
from penstock.client.calls.described import DescriptionCalls
from penstock.client.calls.listing import ListingCalls
from penstock.client.calls.multipart import MultipartCalls
from penstock.client.calls.objects import ObjectCalls
from penstock.client.calls.presign import PresignCalls
from penstock.client.calls.select import SelectCalls
from penstock.client.identity.cached_credentials import CachedCredentials
from penstock.client.identity.credentials import Credentials, CredentialsProvider
from penstock.client.identity.settings import resolve_settings
from penstock.client.running.journals import Journals
from penstock.client.running.registry import registry_of
from penstock.client.sending.call import Call
from penstock.client.sending.outcome import Outcome
from penstock.client.sending.requester import Requester
from penstock.client.sending.retry import RetryPolicy
from penstock.client.sending.scope import PROCESS
from penstock.client.sending.signer import SignatureVersion, Signer
from penstock.client.sending.switch import Switch
from penstock.client.sending.waiting import HEARING_S
from penstock.client.sending.workers import Workers
from penstock.client.transfers.group import Group
from penstock.client.transfers.part_source import UploadSource
from penstock.client.transfers.stopped import TransferCalls
from penstock.client.transfers.uploads import UploadOptions
from penstock.errors import CredentialsMissing, InvalidInput
from penstock.files.home import home_directory
from penstock.files.state_dir import StateDir
from penstock.net.errand import Errands
from penstock.net.settings import NetSettings
from penstock.net.transport import HttpTransport
from penstock.transfer.outcome import Stored
from penstock.version import VERSION

P = ParamSpec("P")
T = TypeVar("T")

_MOST_ERRANDS = 256


class Client(
    ObjectCalls,
    MultipartCalls,
    ListingCalls,
    BucketCalls,
    DescriptionCalls,
    SelectCalls,
    PresignCalls,
    TransferCalls,
):
    """
    A client of OSS. Safe to use from any number of threads; close it, or use it as a context manager.

    In a forked process it begins anew, with connections and threads of its own. What the parent has begun
    stays the parent's.

    What is not given is taken from the environment (``OSS_ENDPOINT``, ``OSS_REGION``,
    ``OSS_ACCESS_KEY_ID``, ``OSS_ACCESS_KEY_SECRET``, ``OSS_SESSION_TOKEN``), then from
    ``~/.ossutilconfig``, then from ``ALIBABA_CLOUD_*`` and ``~/.aliyun/config.json``.

    Every call may raise `Aborted`, `NetworkError` and `ServiceError`, and `InvalidInput` before anything is
    sent; all are `PenstockError`.

    Args:
        endpoint: Such as ``https://oss-cn-hangzhou.aliyuncs.com`` or ``http://127.0.0.1:9000``; told by the
            region if not given.
        region: Such as ``cn-hangzhou``; told by the endpoint if not given.
        credentials: Credentials, or a function that gives them (called again shortly before they expire).
        anonymous: True signs nothing.
        profile: Section of the configuration file.
        config_file: Instead of ``~/.ossutilconfig``.
        signature_version: ``v4`` or ``v1``.
        path_style: True puts the bucket into the path; by default for IP addresses and ``localhost`` only.
        cname: True if the endpoint is a domain bound to one bucket.
        retry: When to try again.
        network: Time-outs, proxy, TLS and such.
        max_workers: Most threads for submitted calls, and again for parts.
        state_dir: Where journals are kept, instead of ``PENSTOCK_STATE_DIR`` or the platform's place.
        additional_headers: Names of further headers to be signed (V4).

    Raises:
        InvalidInput, CredentialsMissing: The settings do not suffice; nothing was sent.

    Example:
        with penstock.Client("http://127.0.0.1:9000", region="cn-hangzhou") as client:
            call = client.submit(client.put_object, "bucket", "key", b"...")
            call.abort()
            print(call.outcome().error.code)
    """

    def __init__(
        self,
        endpoint: str | None = None,
        region: str | None = None,
        credentials: Credentials | CredentialsProvider | None = None,
        *,
        anonymous: bool = False,
        profile: str | None = None,
        config_file: str | Path | None = None,
        signature_version: SignatureVersion = "v4",
        path_style: bool | None = None,
        cname: bool = False,
        retry: RetryPolicy | None = None,
        network: NetSettings | None = None,
        max_workers: int = 128,
        state_dir: str | Path | None = None,
        additional_headers: frozenset[str] = frozenset(),
    ) -> None:
        if signature_version not in ("v4", "v1"):
            raise InvalidInput(
                f"there is no signature version {signature_version!r}", advice="Use 'v4' or 'v1'."
            )
        if max_workers < 1:
            raise InvalidInput(f"{max_workers} workers cannot work")
        self.settings = resolve_settings(
            endpoint=endpoint,
            region=region,
            credentials=_nobody if anonymous else credentials,
            profile=profile,
            config_file=config_file,
            path_style=path_style,
            cname=cname or None,
            environ=os.environ,
            home=home_directory(),
            now=int(time.time()),
        )
        if not self.settings.region and signature_version == "v4" and not anonymous:
            raise InvalidInput(
                f"the region of {self.settings.endpoint} is not known, and V4 signatures name it",
                advice="Give region=... or set OSS_REGION, such as cn-hangzhou.",
            )
        self._switch = Switch(PROCESS)
        state = StateDir(Path(state_dir) if state_dir is not None else None)
        self._journals = Journals(state)
        self._registry = registry_of(state)
        self._network = network
        self._max_workers = max_workers
        self._retry = retry or RetryPolicy()
        self._signs = not anonymous
        self._signature_version: SignatureVersion = signature_version
        self._additional_headers = additional_headers
        self._closed = False
        self._begin()
        _CLIENTS.add(self)

    def _begin(self) -> None:
        """Make all that has threads, locks or connections."""
        self._errands = Errands(_MOST_ERRANDS, "penstock-errand")
        self._workers = Workers(self._max_workers, "call")
        self._part_workers = Workers(self._max_workers, "part")
        self._transfers = weakref.WeakSet()
        self._transport = HttpTransport(self._network)
        signer = Signer(
            self.settings.endpoint,
            self.settings.region,
            self._credentials() if self._signs else None,
            version=self._signature_version,
            now=lambda: int(time.time()),
            content_md5=lambda body: base64.b64encode(hashlib.md5(body).digest()).decode(),
            additional_headers=self._additional_headers,
        )
        self._requester = Requester(
            signer, self._transport, self._switch, self._retry, random.random, _USER_AGENT
        )

    def leave_to_parent(self) -> None:
        """In a forked process: begin anew. What runs, and every connection, is the parent's."""
        bandwidth_limit_bytes_s = self.bandwidth_limit_bytes_s
        self._begin()
        self.bandwidth_limit_bytes_s = bandwidth_limit_bytes_s
        if self._closed:
            self.close()

    def _credentials(self) -> CachedCredentials:
        return CachedCredentials(self.settings.credentials, start=self._errands.start, clock=time.time)

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Call[T]:
        """
        Run a call, usually one of this client's, on another thread.

        Returns:
            A future that can be stopped: ``call.abort()``; ``call.outcome()`` tells how it ended.

        Raises:
            InvalidInput: The client was closed.
        """
        call = Call(function, args, kwargs, self._switch.generation)
        self._workers.run(call.carry_out)
        return call

    def disable_requests(self) -> None:
        """
        Stop all requests of this client, now, and refuse new ones until `enable_requests`.

        Calls under way end with `Aborted`: code ``ClientError:200042`` if they had begun to send, else
        ``ClientError:100002``. Safe in a signal handler; never raises; may be repeated.
        """
        self._switch.turn_off()

    def enable_requests(self) -> None:
        """
        Let new requests through. What was stopped stays stopped, however quickly this follows.

        Raises:
            InvalidInput: The client was closed.
        """
        if self._closed:
            raise InvalidInput("the client was closed", advice="Make another one.")
        self._switch.turn_on()

    @property
    def requests_enabled(self) -> bool:
        """True unless `disable_requests` was the last word."""
        return self._switch.is_on

    def group(self, *, parallel: int = 3, bandwidth_limit_bytes_s: float | None = None) -> Group:
        """
        Transfers that are stopped and limited together; best used as a context manager.

        Args:
            parallel: Most transfers that run at a time; the others wait.
            bandwidth_limit_bytes_s: See `Transfer.bandwidth_limit_bytes_s`; for all of them together.

        Raises:
            InvalidInput: It is no number of transfers, or no speed.
        """
        return Group(self, parallel, bandwidth_limit_bytes_s)

    def upload_many(
        self,
        pairs: Iterable[tuple[UploadSource, str]],
        *,
        parallel_files: int = 3,
        **options: Unpack[UploadOptions],
    ) -> list[Outcome[Stored]]:
        """
        Upload many sources and wait for all; one that fails does not keep the others from going on.

        Args:
            pairs: Source and target of each, as of `upload`.
            parallel_files: Most of them at a time.
            **options: Of `upload`, for all of them; ``parallel`` is for the parts of each.

        Returns:
            How each ended, in the order of ``pairs``.

        Raises:
            KeyboardInterrupt: Ctrl-C came meanwhile; all were aborted and are quiet.
        """
        group = self.group(parallel=parallel_files)
        try:
            for source, target in pairs:
                group.upload(source, target, **options)
        except BaseException:
            group.abort("exception")
            group.wait()
            raise
        return group.outcomes()

    @property
    def bandwidth_limit_bytes_s(self) -> float | None:
        """
        How fast the bytes of all uploads and downloads may flow together; may be set while they run.

        None is no limit. 0 is a closed gate: nothing new begins, and each connection under way moves a byte
        every 5 seconds, so that it is not given up. Requests that only ask or tell are not held back.

        Raises:
            InvalidInput: It is set to what is no speed.
        """
        return self._requester.bandwidth.bytes_s

    @bandwidth_limit_bytes_s.setter
    def bandwidth_limit_bytes_s(self, bytes_s: float | None) -> None:
        self._requester.bandwidth.bytes_s = bytes_s

    def close(self) -> None:
        """Stop what still runs and let go of threads and connections; closing twice is nothing."""
        self._closed = True
        self._switch.turn_off("closed")
        for transfer in list(self._transfers):
            transfer.wait_until_quiet()
        self._workers.close(timeout_s=1.0)
        self._part_workers.close(timeout_s=1.0)
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._workers.wait_until_idle()
                for transfer in list(self._transfers):
                    while not transfer.wait_until_quiet(HEARING_S):
                        pass
        finally:
            self.close()

    def __repr__(self) -> str:
        return f"<Client {self.settings.endpoint}>"


_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()


def _leave_to_parent() -> None:
    for client in list(_CLIENTS):
        client.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)

_USER_AGENT = f"penstock/{VERSION} ({platform.system()}; Python {platform.python_version()})"


def _nobody() -> Credentials:
    raise CredentialsMissing("an anonymous client has no credentials")
