"""Turns a request value into a signed HTTP message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol, cast

import msgspec

from penstock.client.identity.credentials import Credentials
from penstock.errors import InvalidInput, PenstockError, ServiceError
from penstock.net.latch import Latch
from penstock.protocol import dates, signing
from penstock.protocol.endpoint import Address, Endpoint
from penstock.protocol.operation import Operation, Request
from penstock.protocol.percent import format_query
from penstock.protocol.signature_v1 import authorization_v1, presigned_query_v1
from penstock.protocol.signature_v4 import authorization_v4, presigned_query_v4

SignatureVersion = Literal["v4", "v1"]


class Message(msgspec.Struct, frozen=True):
    """A signed HTTP message, ready to be sent. ``body`` is its XML document, if it has one."""

    scheme: Literal["http", "https"]
    host: str
    port: int
    target: str
    headers: dict[str, str]
    body: bytes | None


class CredentialsSource(Protocol):
    """Gives credentials to sign with."""

    def get(self, latch: Latch) -> Credentials:
        """Credentials that have not expired; waits, if it must, until the latch is tripped."""
        ...

    def forget(self, credentials: Credentials) -> bool:
        """OSS refused these; True if the next call may get others."""
        ...


_REFUSED_CREDENTIALS = frozenset({"InvalidAccessKeyId", "InvalidSecurityToken", "SecurityTokenExpired"})


class Signer:
    """
    Addresses and signs the requests of one client.

    Args:
        endpoint: Where OSS is.
        region: Named in V4 signatures.
        credentials: Gives the credentials to sign with; None signs nothing.
        version: ``v4`` or ``v1``.
        now: Gives unix seconds.
        content_md5: Gives the ``Content-MD5`` of a document.
        additional_headers: Names of further headers to be signed (V4).
    """

    def __init__(
        self,
        endpoint: Endpoint,
        region: str,
        credentials: CredentialsSource | None,
        *,
        version: SignatureVersion,
        now: Callable[[], int],
        content_md5: Callable[[bytes], str],
        additional_headers: frozenset[str] = frozenset(),
    ) -> None:
        self.endpoint = endpoint
        self.region = region
        self._credentials = credentials
        self._version = version
        self._now = now
        self._content_md5 = content_md5
        self._additional_headers = additional_headers
        self._clock_offset_s = 0
        self._key: tuple[Credentials, signing.Credentials] | None = None

    def now(self) -> int:
        """Unix seconds by the clock of OSS, as far as it is known."""
        return self._now() + self._clock_offset_s

    def learn_from(self, error: PenstockError) -> bool:
        """
        Mend what an error says is wrong with our signatures: the clock, or credentials that were replaced.

        Returns:
            True if the same request, signed anew, may succeed.
        """
        if not isinstance(error, ServiceError):
            return False
        if error.code in _REFUSED_CREDENTIALS and self._credentials is not None and self._key is not None:
            return self._credentials.forget(self._key[0])
        if error.code != "RequestTimeTooSkewed":
            return False
        try:
            self._clock_offset_s = dates.from_iso(error.fields.get("ServerTime", "")) - self._now()
        except (InvalidInput, ValueError):
            return False
        return True

    def message(
        self, operation: Operation, request: Request, headers: Mapping[str, str] | None, latch: Latch
    ) -> Message:
        """
        The signed message of a request.

        Raises:
            CredentialsMissing, Tripped: From the credentials.
        """
        wire = operation.to_wire(request)
        all_headers = {**wire.headers, **headers} if headers else wire.headers
        if operation.needs_content_md5 and wire.body is not None:
            all_headers.setdefault("content-md5", self._content_md5(wire.body))
        if wire.body is not None:
            all_headers.setdefault("content-type", "application/xml")
        bucket = getattr(request, "bucket", "")
        key = getattr(request, "key", "")
        address = self.endpoint.address(bucket, key)
        credentials = self._signing_key(latch)
        if credentials is not None:
            all_headers.update(
                self._authorization(
                    operation, bucket, key, wire.query, self._signed(all_headers, address), credentials
                )
            )
        target = f"{address.path}?{format_query(wire.query)}" if wire.query else address.path
        scheme = cast("Literal['http', 'https']", address.scheme)
        return Message(scheme, address.host, address.port, target, all_headers, wire.body)

    def _signed(self, headers: Mapping[str, str], address: Address) -> Mapping[str, str]:
        """The headers that a signature may name; ``host`` is added on the way out and is not among them."""
        if "host" not in self._additional_headers:
            return headers
        return {**headers, "host": address.host_header}

    def _signing_key(self, latch: Latch) -> signing.Credentials | None:
        if self._credentials is None:
            return None
        credentials = self._credentials.get(latch)
        key = self._key
        if key is None or key[0] is not credentials:
            pair = (credentials.access_key_id, credentials.access_key_secret, credentials.security_token)
            key = self._key = (credentials, signing.Credentials(*pair))
        return key[1]

    def _authorization(
        self,
        operation: Operation,
        bucket: str,
        key: str,
        query: tuple[tuple[str, str | None], ...],
        headers: Mapping[str, str],
        credentials: signing.Credentials,
    ) -> Mapping[str, str]:
        if self._version == "v1":
            return authorization_v1(
                method=operation.method,
                bucket=bucket,
                key=key,
                query=query,
                headers=headers,
                credentials=credentials,
                signed_at=self.now(),
            )
        return authorization_v4(
            method=operation.method,
            bucket=bucket,
            key=key,
            query=query,
            headers=headers,
            credentials=credentials,
            region=self.region,
            signed_at=self.now(),
            additional_headers=self._additional_headers,
        )

    def presigned_url(
        self, operation: Operation, request: Request, expires_s: int, latch: Latch
    ) -> tuple[str, dict[str, str]]:
        """
        A URL that anybody may use until it expires, and the headers that must be sent with it.

        Raises:
            InvalidInput: There are no credentials to sign with, or the time is out of range.
        """
        wire = operation.to_wire(request)
        bucket = getattr(request, "bucket", "")
        key = getattr(request, "key", "")
        address = self.endpoint.address(bucket, key)
        credentials = self._signing_key(latch)
        if credentials is None:
            raise InvalidInput(
                "an anonymous client cannot pre-sign a URL", advice="Give the client credentials."
            )
        if self._version == "v1":
            added = presigned_query_v1(
                method=operation.method,
                bucket=bucket,
                key=key,
                query=wire.query,
                headers=wire.headers,
                credentials=credentials,
                expires_at=self.now() + expires_s,
            )
        else:
            added = presigned_query_v4(
                method=operation.method,
                bucket=bucket,
                key=key,
                query=wire.query,
                headers=self._signed(wire.headers, address),
                credentials=credentials,
                region=self.region,
                signed_at=self.now(),
                expires_s=expires_s,
                additional_headers=self._additional_headers,
            )
        query = format_query((*wire.query, *added))
        return f"{address.scheme}://{address.host_header}{address.path}?{query}", wire.headers
