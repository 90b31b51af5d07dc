"""Sockets, and the latch that stops them. Knows HTTP/1.1, TLS, DNS and proxies; knows nothing of OSS."""
