"""
TLS as a layer between two buffers, so that every wait is a wait of the plain `Wire` below.

`ssl.SSLSocket` is not used: over a blocking socket it retries inside C when the kernel's time-out is over,
so that neither a time-out nor an early answer would ever be noticed; made non-blocking it returns to Python
for every gap in the send buffer. And it takes the descriptor over from the plain socket, which is a moment
in which an abort finds neither. With two memory buffers there is one socket from the first SYN to the last
byte. A slice is encrypted in one call and leaves in one system call; measured, this moves as many bytes a
second as SSLSocket does.
"""

from __future__ import annotations

import os
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

from penstock.errors import ConnectionLost, InvalidInput, TimedOut, TlsFailed
from penstock.net.latch import Latch
from penstock.net.request import Buffer
from penstock.net.settings import NetSettings
from penstock.net.wire import Channel

_LEAST_SLICE_BYTES = 491_520  # 30 full records: fewer returns to Python, and still in the cache
_MOST_SLICE_BYTES = 4_194_304
_SLOW_S = 0.002
# Encrypting the least slice takes about 0.1 ms. When it takes this long, a busy Python thread kept the
# interpreter from us meanwhile, and fewer, larger slices get more done.
_CIPHERTEXT_BYTES = 131_072


def new_context(settings: NetSettings) -> ssl.SSLContext:
    """
    The trust that the settings and the environment ask for, TLS 1.2 or later.

    Raises:
        InvalidInput: The file of trusted certificates is not there, or is not one.
    """
    trusted = settings.ca_file or _trusted_by_environment()
    try:
        if trusted is None:
            context = ssl.create_default_context()
        elif Path(trusted).is_dir():
            context = ssl.create_default_context(capath=trusted)
        else:
            context = ssl.create_default_context(cafile=trusted)
    except OSError as error:
        raise InvalidInput(
            f"Loaded the trusted certificates from {trusted}: {error.strerror or error}.",
            advice="Name a file of PEM certificates, or unset it to use the system's.",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if not settings.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trusted_by_environment() -> str | None:
    if os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return None  # OpenSSL honours these itself
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None


class TlsChannel:
    """
    A `Channel` over another one; usable once `handshake` has returned.

    Args:
        below: Connected, and already begun with the latch of the request.
        context: From `new_context`.
        host: Whose certificate is expected.
        peer: ``host:port`` for errors.
    """

    def __init__(self, below: Channel, context: ssl.SSLContext, host: str, peer: str) -> None:
        self._below = below
        self._peer = peer
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._received = memoryview(bytearray(_CIPHERTEXT_BYTES))
        self._unsent = memoryview(b"")
        self._unsent_total = 0
        self._plain_bytes = 0
        self._plain_reported = 0
        self._slice_bytes = _LEAST_SLICE_BYTES

    def handshake(self, latch: Latch, limit_s: float) -> None:
        """
        Agrees on keys and checks the certificate.

        Raises:
            Tripped: The latch tripped.
            TlsFailed: The certificate is not trusted, or the other side does not speak TLS.
            TimedOut: It took longer than ``limit_s``.
        """
        deadline = time.monotonic() + limit_s
        try:
            while True:
                try:
                    self._tls.do_handshake()
                    self._flush(latch, deadline, limit_s)
                    return
                except ssl.SSLWantReadError:
                    self._flush(latch, deadline, limit_s)
                    self._receive(latch, deadline, limit_s)
        except OSError as error:  # ssl.SSLError is one
            latch.check()
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
                with suppress(OSError):  # tell the other side why; it need not listen
                    self._below.send(self._outgoing.read())
            raise self._failed(error) from error

    def _flush(self, latch: Latch, deadline: float, limit_s: float) -> None:
        data = memoryview(self._outgoing.read())
        while data:
            data = data[self._below.send(data) :]
            latch.check()
            self._check_time(deadline, limit_s)

    def _receive(self, latch: Latch, deadline: float, limit_s: float) -> None:
        while (count := self._below.recv_into(self._received)) is None:
            latch.check()
            self._check_time(deadline, limit_s)
        if count == 0:
            latch.check()
            self._incoming.write_eof()
        self._incoming.write(self._received[:count])
        self._check_time(deadline, limit_s)

    def _check_time(self, deadline: float, limit_s: float) -> None:
        if time.monotonic() >= deadline:
            raise TimedOut(
                f"Connected to {self._peer}; the TLS handshake was not over within {limit_s:g} s.",
                host=self._peer,
                advice="Something accepts connections there but does not speak TLS: check scheme and port.",
            )

    def send(self, data: Buffer) -> int:
        if not self._unsent:
            self._encrypt(memoryview(data)[: self._slice_bytes])
        sent = self._below.send(self._unsent)
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            done = self._plain_bytes
        else:
            # What has left is a little longer than what it stands for, so this is never too much.
            done = self._plain_bytes * (self._unsent_total - len(self._unsent)) // self._unsent_total
            done = min(done, self._plain_bytes - 1)
        fresh = done - self._plain_reported
        self._plain_reported = done
        return fresh

    def _encrypt(self, piece: memoryview) -> None:
        begun = time.perf_counter()
        self._plain_bytes = self._tls.write(piece)
        if len(piece) >= _LEAST_SLICE_BYTES and time.perf_counter() - begun > _SLOW_S:
            self._slice_bytes = min(self._slice_bytes * 2, _MOST_SLICE_BYTES)
        self._plain_reported = 0
        self._unsent = memoryview(self._outgoing.read())
        self._unsent_total = len(self._unsent)

    def recv_into(self, view: memoryview) -> int | None:
        while True:
            count = self._decrypt(view)
            if count is not None:
                return count
            received = self._below.recv_into(self._received)
            if received is None:
                return None
            self._take_in(received)

    def recv_now(self, view: memoryview) -> int | None:
        while (count := self._decrypt(view)) is None:
            received = self._below.recv_now(self._received)
            if received is None:
                return None
            self._take_in(received)
        return count

    def _take_in(self, received: int) -> None:
        if received:
            self._incoming.write(self._received[:received])
        else:
            self._incoming.write_eof()

    def _decrypt(self, view: memoryview) -> int | None:
        total = 0
        try:
            while total < len(view):
                count = cast("int", self._tls.read(len(view) - total, view[total:]))
                if not count:
                    break
                total += count
        except ssl.SSLWantReadError:
            return total or None
        except ssl.SSLZeroReturnError:
            return total
        except ssl.SSLEOFError as error:
            if total:
                return total
            raise ConnectionResetError("the connection ended without the end of TLS") from error
        return total

    def begin(self, latch: Latch) -> None:
        self._below.begin(latch)

    def end(self) -> bool:
        return self._below.end()

    def close(self, *, reset: bool = True) -> None:
        self._below.close(reset=reset)

    def _failed(self, error: OSError) -> TlsFailed | ConnectionLost:
        advice = "Check that the endpoint and its port speak TLS; some proxies break it."
        what = str(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            what = f"the certificate is not accepted: {error.verify_message}"
            advice = _certificate_advice(error.verify_code, self._host)
        elif isinstance(error, ssl.SSLEOFError) or not isinstance(error, ssl.SSLError):
            what = "the connection was closed during the TLS handshake"
        elif error.reason in {
            "WRONG_VERSION_NUMBER",
            "HTTP_REQUEST",
            "RECORD_LAYER_FAILURE",
            "PACKET_LENGTH_TOO_LONG",
        }:
            what = "the other side does not speak TLS"
            advice = "The port may be one for plain HTTP: use http, or another port."
        elif error.reason:
            what = error.reason.replace("_", " ").lower()
        return TlsFailed(f"Began TLS with {self._peer}: {what}.", host=self._peer, advice=advice)


def _certificate_advice(verify_code: int, host: str) -> str:
    if verify_code in {62, 64}:  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return f"The certificate is for another name than {host}: check the endpoint."
    if verify_code in {9, 10}:  # not valid yet, expired
        return "Check the clock of this machine, then the certificate of the server."
    return "Set ca_file (or SSL_CERT_FILE) to the certificates to trust, such as the one of your proxy."
