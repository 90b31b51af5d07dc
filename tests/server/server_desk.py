"""A desk that signs requests for an app without sockets, and a raw client for a real one."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field

from penstock.protocol.endpoint import split_target
from penstock.protocol.percent import format_query, parse_query
from penstock.protocol.signature_v1 import authorization_v1
from penstock.protocol.signature_v4 import authorization_v4, presigned_query_v4
from penstock.protocol.signing import Credentials
from penstock.server.app import App
from penstock.server.call import Service
from penstock.server.guard.accounts import User
from penstock.server.http.request import Request
from penstock.server.http.response import ObjectBody, Response, StreamedBody

USERS = {"ak": "sk", "second": "other-secret"}
OTHERS = {"other": User("other-account-secret", account="2000000000000002")}
KEYS = Credentials("ak", "sk")
REGION = "cn-hangzhou"
NOW = 1_795_358_000


@dataclass
class Answer:
    """A response with its body read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return self.element("Code")

    def element(self, name: str) -> str:
        _, found, rest = self.body.decode().partition(f"<{name}>")
        return rest.partition(f"</{name}>")[0] if found else ""


def read(response: Response) -> Answer:
    body = response.body
    if isinstance(body, ObjectBody | StreamedBody):
        data = body.read()
        body.close()
        return Answer(response.status, response.headers, data)
    return Answer(response.status, response.headers, body or b"")


@dataclass
class Desk:
    """Sends signed requests to an app without sockets."""

    app: App
    service: Service
    clock: list[float] = field(default_factory=lambda: [float(NOW)])
    host: str = "127.0.0.1:9000"

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        keys: Credentials | None = KEYS,
        v1: bool = False,
        signed_at: int | None = None,
        region: str = REGION,
        chunked: bool = False,
        host: str | None = None,
        **headers: str,
    ) -> Answer:
        request = self.request(
            method,
            target,
            len(body),
            keys=keys,
            v1=v1,
            signed_at=signed_at,
            region=region,
            chunked=chunked,
            host=host,
            **headers,
        )
        return read(self.app.handle(request, body))

    def request(
        self,
        method: str,
        target: str,
        size: int = 0,
        *,
        keys: Credentials | None = KEYS,
        v1: bool = False,
        signed_at: int | None = None,
        region: str = REGION,
        chunked: bool = False,
        host: str | None = None,
        **headers: str,
    ) -> Request:
        path, _, query = target.partition("?")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["host"] = host or self.host
        if chunked:
            named["transfer-encoding"] = "chunked"
        elif size or method in ("PUT", "POST"):
            named["content-length"] = str(size)
        found = split_target(named["host"], path, ("localhost", "oss.localhost"))
        if keys is not None:
            pairs = parse_query(query, plus_is_space=True)
            at = signed_at if signed_at is not None else int(self.clock[0])
            if v1:
                added = authorization_v1(
                    method=method,
                    bucket=found.bucket,
                    key=found.key,
                    query=pairs,
                    headers=named,
                    credentials=keys,
                    signed_at=at,
                )
            else:
                added = authorization_v4(
                    method=method,
                    bucket=found.bucket,
                    key=found.key,
                    query=pairs,
                    headers=named,
                    credentials=keys,
                    region=region,
                    signed_at=at,
                )
            named.update(added)
        return Request(method, path, query, named, None if chunked else size, "127.0.0.1", self.clock[0])

    def presigned(self, method: str, bucket: str, key: str, *, expires_s: int = 60, **query: str) -> str:
        pairs: list[tuple[str, str | None]] = [
            (name.replace("_", "-"), value) for name, value in query.items()
        ]
        signed = presigned_query_v4(
            method=method,
            bucket=bucket,
            key=key,
            query=pairs,
            headers={},
            credentials=KEYS,
            region=REGION,
            signed_at=int(self.clock[0]),
            expires_s=expires_s,
        )
        return f"/{bucket}/{key}?{format_query([*pairs, *signed])}"


@dataclass
class Wire:
    """A raw client: bytes out, bytes in."""

    host: str
    port: int
    open: list[socket.socket] = field(default_factory=list)

    def connect(self) -> socket.socket:
        made = socket.create_connection((self.host, self.port), timeout=10)
        self.open.append(made)
        return made

    def head(self, method: str, target: str, **headers: str) -> bytes:
        """A signed head, with these headers and no others but those of the signature."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path, _, query = target.partition("?")
        found = split_target(f"{self.host}:{self.port}", path, ())
        signed = authorization_v4(
            method=method,
            bucket=found.bucket,
            key=found.key,
            query=parse_query(query),
            headers=named,
            credentials=KEYS,
            region=REGION,
            signed_at=int(time.time()),
        )
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in {**named, **signed}.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> Answer:
        """One request on a connection of its own."""
        connection = self.connect()
        connection.sendall(self.head(method, target, content_length=str(len(body)), **headers) + body)
        return receive(connection, method)


def receive(connection: socket.socket, method: str = "GET") -> Answer:
    """The next answer on a connection; its body must have a length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1)
        if not piece:
            raise EOFError(f"the connection ended after {data!r}")
        data += piece
    lines = data.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    status = int(lines[0].split()[1])
    left = 0 if method == "HEAD" or status in (100, 204, 304) else int(headers.get("content-length", "0"))
    body = bytearray()
    while len(body) < left:
        piece = connection.recv(min(65536, left - len(body)))
        if not piece:
            raise EOFError(f"the body ended after {len(body)} of {left} bytes")
        body += piece
    return Answer(status, headers, bytes(body))
