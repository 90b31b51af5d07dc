"""Keeps credentials as long as they hold, and asks for new ones beside the calls that use them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from penstock.client.identity.credentials import (
    Credentials,
    CredentialsProvider,
    StaticCredentials,
    check_not_expired,
    has_expired,
)
from penstock.errors import CredentialsMissing, InvalidInput, PenstockError, TimedOut
from penstock.net.errand import Errand
from penstock.net.latch import Latch

_RETRY_AFTER_S = 10


class CachedCredentials:
    """
    Keeps what a provider gives, and asks it again shortly before that expires.

    However many calls want credentials, the provider is called once at a time. While the old credentials
    still hold no call waits: the new ones are fetched beside them, and if none come the old ones stay.

    Args:
        provider: What gives credentials; or credentials that stay as they are.
        start: Begins what may hang, on a thread that a waiting call can leave behind.
        clock: Seconds since 1970.
        refresh_before_s: How long before their end new ones are fetched. Credentials that are given for less
            than twice that time are renewed after half of it; none within 10 s, unless they have expired.
        timeout_s: How long a call waits for the provider. One that has not answered by then is given up: what
            it may still give is thrown away, and the next call asks anew.

    Example:
        cached = CachedCredentials(provider, start=errands.start, clock=time.time)
        credentials = cached.get(latch)
    """

    def __init__(
        self,
        provider: Credentials | CredentialsProvider,
        *,
        start: Callable[[Callable[[], Credentials]], Errand[Credentials]],
        clock: Callable[[], float],
        refresh_before_s: int = 300,
        timeout_s: float | None = 30.0,
    ) -> None:
        given = isinstance(provider, Credentials)
        self._provider = StaticCredentials(provider) if isinstance(provider, Credentials) else provider
        self._start = start
        self._clock = clock
        self._refresh_before_s = refresh_before_s
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._fetch: _Fetch | None = None
        self._held = self._holding(self._provider()) if given else None

    def get(self, latch: Latch) -> Credentials:
        """
        Give credentials that have not expired; at once, and without a lock, unless they need renewal.

        Args:
            latch: Ends the waiting when it trips.

        Raises:
            Tripped: The latch has tripped while the provider was waited for.
            TimedOut: The provider has not answered in time.
            CredentialsMissing: The provider raised (what it raised is the cause), or gave credentials that
                had expired. Errors of penstock's own come through as they are.
            InvalidInput: The provider gave something else.
        """
        held = self._held
        if held is not None and self._clock() < held.refresh_at:
            return held.credentials
        with self._lock:
            held, now = self._held, self._clock()
            if held is not None and now < held.refresh_at:
                return held.credentials
            fetch = self._fetch
            if fetch is None:
                fetch = _Fetch()
                fetch.errand = self._start(lambda: self._carry_out(fetch))
                self._fetch = fetch
        if held is not None and not has_expired(held.credentials, now):
            return held.credentials
        assert fetch.errand is not None
        try:
            return fetch.errand.result(latch, self._timeout_s)
        except TimeoutError:
            self._give_up(fetch)
            raise TimedOut(
                f"The credentials provider {_name_of(self._provider)} gave nothing in {self._timeout_s} s",
                advice="Give it a time-out of its own, or look at what it waits for.",
            ) from None

    def forget(self, credentials: Credentials) -> bool:
        """
        Have the provider asked again although these have not expired, because OSS refused them.

        Returns:
            True if the next call may get others; False if they are what was given and stay so.
        """
        if isinstance(self._provider, StaticCredentials):
            return False
        with self._lock:
            if self._held is not None and self._held.credentials is credentials:
                self._held = None
        return True

    def _carry_out(self, fetch: _Fetch) -> Credentials:
        held: _Held | None = None
        try:
            credentials = _provided(self._provider, self._clock)
            held = self._holding(credentials)
            return credentials
        finally:
            with self._lock:
                if self._fetch is fetch:
                    self._fetch = None
                    self._held = held or self._held_on()

    def _give_up(self, fetch: _Fetch) -> None:
        with self._lock:
            if self._fetch is fetch:
                self._fetch = None

    def _holding(self, credentials: Credentials) -> _Held:
        end = credentials.expires_at
        if end is None:
            return _Held(credentials, math.inf)
        now = self._clock()
        early = end - min(self._refresh_before_s, (end - now) / 2)
        return _Held(credentials, min(end, max(early, now + _RETRY_AFTER_S)))

    def _held_on(self) -> _Held | None:
        """What was held, not to be renewed for a while: the provider has just failed."""
        held = self._held
        if held is None or held.credentials.expires_at is None:
            return held
        return _Held(held.credentials, min(held.credentials.expires_at, self._clock() + _RETRY_AFTER_S))


class _Fetch:
    """One call of the provider."""

    errand: Errand[Credentials] | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    credentials: Credentials
    refresh_at: float


def _provided(provider: CredentialsProvider, clock: Callable[[], float]) -> Credentials:
    name = _name_of(provider)
    try:
        credentials: object = provider()
    except PenstockError:
        raise
    except Exception as error:
        # The wall around the caller's own code. What it says may hold a secret: it is the cause only.
        raise CredentialsMissing(
            f"The credentials provider {name} raised {type(error).__name__}",
            advice="Its own error stands above this one.",
        ) from error
    if not isinstance(credentials, Credentials):
        raise InvalidInput(
            f"The credentials provider {name} gave {type(credentials).__name__}, not Credentials",
            advice="Let it return Credentials(access_key_id, access_key_secret, security_token, expires_at).",
        )
    check_not_expired(credentials, clock(), f"the provider {name}")
    return credentials


def _name_of(provider: CredentialsProvider) -> str:
    return getattr(provider, "__qualname__", "") or type(provider).__qualname__
