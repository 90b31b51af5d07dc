"""Sockets, and the latch that stops them. Knows HTTP/1.1, TLS, DNS and proxies; knows nothing of OSS."""

from penstock.net.errand import Errand, Errands
from penstock.net.latch import Attachment, Gate, Latch, Tripped
from penstock.net.request import Flight, HttpRequest, Origin
from penstock.net.response import HttpResponse
from penstock.net.settings import NetSettings
from penstock.net.transport import HttpTransport

__all__ = [
    "Attachment",
    "Errand",
    "Errands",
    "Flight",
    "Gate",
    "HttpRequest",
    "HttpResponse",
    "HttpTransport",
    "Latch",
    "NetSettings",
    "Origin",
    "Tripped",
]
