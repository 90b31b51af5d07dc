"""Signs as OSS describes it, without the code that is tested, and in each of the ways that clients do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import quote

from server_desk import REGION, Answer, Wire, receive

ACCESS_KEY_ID, SECRET = "ak", "sk"


def http_date() -> str:
    return formatdate(usegmt=True)


def basic_date() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())


def v1(method: str, resource: str, date: str, headers: Mapping[str, str] | None = None) -> str:
    """A signature of version 1; the resource is written as this client writes it."""
    given = {name.lower(): value for name, value in (headers or {}).items()}
    oss = "".join(f"{name}:{given[name]}\n" for name in sorted(given) if name.startswith("x-oss-"))
    text = (
        f"{method}\n{given.get('content-md5', '')}\n{given.get('content-type', '')}\n{date}\n{oss}{resource}"
    )
    return base64.b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()


def by_v1(method: str, resource: str, date: str, headers: Mapping[str, str] | None = None) -> str:
    """The header ``Authorization`` of version 1."""
    return f"OSS {ACCESS_KEY_ID}:{v1(method, resource, date, headers)}"


def v4(
    method: str, path: str, query: str, when: str, day: str, headers: Mapping[str, str], region: str = REGION
) -> str:
    """A signature of version 4; path and query are written encoded, as this client signs them."""
    given = {name.lower(): value for name, value in headers.items()}
    lines = "".join(
        f"{name}:{given[name]}\n"
        for name in sorted(given)
        if name.startswith("x-oss-") or name in ("content-type", "content-md5")
    )
    canonical = f"{method}\n{path}\n{query}\n{lines}\n\nUNSIGNED-PAYLOAD"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"OSS4-HMAC-SHA256\n{when}\n{day}/{region}/oss/aliyun_v4_request\n{digest}"
    key = f"aliyun_v4{SECRET}".encode()
    for step in (day, region, "oss", "aliyun_v4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def by_v4(
    method: str, path: str, query: str = "", headers: Mapping[str, str] | None = None, *, comma: str = ","
) -> dict[str, str]:
    """The headers that sign with version 4 and ``x-oss-date``."""
    when = basic_date()
    signed = {**(headers or {}), "x-oss-content-sha256": "UNSIGNED-PAYLOAD", "x-oss-date": when}
    credential = f"{ACCESS_KEY_ID}/{when[:8]}/{REGION}/oss/aliyun_v4_request"
    signature = v4(method, path, query, when, when[:8], signed)
    text = f"OSS4-HMAC-SHA256 Credential={credential}{comma}Signature={signature}"
    return {**signed, "Authorization": text}


def head(first_line: str, headers: Mapping[str, str]) -> bytes:
    lines = [first_line, *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ask(
    wire: Wire,
    method: str,
    target: str,
    body: bytes | None = b"",
    headers: Mapping[str, str] | None = None,
    *,
    resource: str | None = None,
    host: str = "",
) -> Answer:
    """
    One request, signed with version 1 and a Date.

    Args:
        target: As it stands on the wire.
        body: None to say nothing of a body.
        resource: What is signed; the target if that is the same.
    """
    given = {"Host": host or f"{wire.host}:{wire.port}", "Date": http_date(), **(headers or {})}
    if body is not None and "Transfer-Encoding" not in given:
        given["Content-Length"] = str(len(body))
    given["Authorization"] = by_v1(method, resource or target, given["Date"], given)
    connection = wire.connect()
    connection.sendall(head(f"{method} {target} HTTP/1.1", given) + (body or b""))
    return receive(connection, method)


def encoded(text: str, safe: str = "/") -> str:
    return quote(text, safe=safe)
