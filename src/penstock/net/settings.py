"""What can be set about the network."""

from __future__ import annotations

import msgspec


class NetSettings(msgspec.Struct, frozen=True, kw_only=True):
    """
    How connections are made and kept.

    Attributes:
        connect_timeout_s: Limit for finding the address and connecting, and again for each of the proxy's
            answer and the TLS handshake.
        read_timeout_s: Longest time in which nothing moves, while sending and while receiving.
        max_idle_per_origin: Kept connections per origin.
        idle_s: A kept connection is not used again after this time.
        proxy: Proxy URL; None takes it from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY; an empty
            string uses none.
        verify_tls: False accepts any certificate.
        ca_file: File or directory of trusted certificates; None takes SSL_CERT_FILE, REQUESTS_CA_BUNDLE or
            CURL_CA_BUNDLE, else the system's.
        source_address: Local address that connections are made from.
        not_sent_low_water_bytes: The most unsent data that the kernel takes; what it holds may still leave
            after an abort. 0 leaves it to the kernel.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    max_idle_per_origin: int = 64
    idle_s: float = 60.0
    proxy: str | None = None
    verify_tls: bool = True
    ca_file: str | None = None
    source_address: str | None = None
    not_sent_low_water_bytes: int = 262_144
