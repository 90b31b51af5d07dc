"""
What is fed with any bytes: one function for each parser of the server, and one for the whole of it.

Each raises only if the parser does what it must not: another error than its own, or an answer that
contradicts a second way to it. `SEEDS` are messages to begin with.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

from penstock.errors import InvalidInput, ServiceError
from penstock.protocol import xml
from penstock.protocol.binding import ParameterUnreadable
from penstock.protocol.endpoint import split_target
from penstock.protocol.operations import OPERATIONS
from penstock.protocol.percent import Query, parse_query
from penstock.server import callback
from penstock.server.app import App
from penstock.server.call import Service
from penstock.server.form import FormReader
from penstock.server.guard.gate import Gate
from penstock.server.guard.policy import Asked, read_policy
from penstock.server.guard.post_policy import read_post_policy
from penstock.server.handlers.ranges import source_range, wanted_range
from penstock.server.http.chunked import ChunkedDecoder, ChunksInvalid
from penstock.server.http.head import END, HeadInvalid, read_head
from penstock.server.http.request import Request
from penstock.server.http.response import ObjectBody, Response, StreamedBody
from penstock.server.routing import find_operation
from penstock.server.select.counting import Open, Piece
from penstock.server.select.csv_records import Dialect
from penstock.server.select.parser import parse
from penstock.server.select.scan import CsvJob, HeaderUse, JsonJob, select_csv, select_json
from penstock.server.store import LocalStore

Target = Callable[[bytes], None]

NOW_S = 1_795_358_000
HOSTS = ("localhost", "oss.localhost")
BOUNDARY = b"b0undary"


def http_head(data: bytes) -> None:
    """A head is refused, or means what splitting it at CR LF, colon and space gives."""
    head = (data + END).partition(END)[0] + END
    try:
        found = read_head(head)
    except HeadInvalid:
        return
    first, *lines = head[: -len(END)].split(b"\r\n")
    method, target, version = first.split()
    assert found.method.encode() == method
    assert version in (b"HTTP/1.0", b"HTTP/1.1")
    if target.startswith(b"/"):
        assert f"{found.path}?{found.query}".rstrip("?").encode() == target.rstrip(b"?")
    assert found.path.startswith("/")
    names = [line.partition(b":")[0].lower().decode("ascii") for line in lines]
    assert set(found.headers) == set(names)
    for once in ("host", "content-length", "transfer-encoding"):
        assert names.count(once) <= 1
    for name, line in zip(names, lines, strict=True):
        value = line.partition(b":")[2].strip(b" \t")
        assert not set(value) & set(b"\x00\r\n")
        if names.count(name) == 1:
            assert found.headers[name].encode() in (value, value.decode("latin-1").encode())
    length, encoding = found.headers.get("content-length"), found.headers.get("transfer-encoding")
    if encoding is not None:
        assert encoding.encode().lower() == b"chunked"
        assert found.body_bytes is None
        assert not (length is not None and found.keep_alive)
    else:
        assert found.body_bytes == int(length or 0)


def _decoded(pieces: Iterator[bytes]) -> tuple[bytes, int, bool] | None:
    decoder, body, taken = ChunkedDecoder(), b"", 0
    try:
        for piece in pieces:
            while piece and not decoder.done:
                found, size = decoder.feed(memoryview(piece))
                body += b"".join(found)
                taken += size
                piece = piece[size:]
    except ChunksInvalid:
        return None
    return body, taken, decoder.done


def chunked_body(data: bytes) -> None:
    """Chunks mean the same in one piece and byte by byte, and no more than a plain reading gives."""
    whole = _decoded(iter([data]))
    assert whole == _decoded(data[at : at + 1] for at in range(len(data)))
    if whole is None or not whole[2]:
        return
    body, rest = b"", data
    while True:
        line, _, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0].strip(b" \t"), 16)
        if size == 0:
            break
        body, rest = body + rest[:size], rest[size:]
        assert rest.startswith(b"\r\n")
        rest = rest[2:]
    while not rest.startswith(b"\r\n"):
        rest = rest.partition(b"\r\n")[2]
    assert (body, len(data) - len(rest) + 2) == whole[:2]


_DOCUMENTS = [one for one in OPERATIONS if one.body == "xml"]


def xml_document(data: bytes) -> None:
    """A document is refused, or is one that comes back the same when it is written and read again."""
    for_operation, document = data[:1], data[1:]
    operation = _DOCUMENTS[(for_operation or b"\0")[0] % len(_DOCUMENTS)]
    query = [*operation.marks, ("uploadId", "u"), ("inventoryId", "i"), ("wormId", "w"), ("styleName", "s")]
    path = {"bucket": "bucket", "key": "key"}
    given = {name: path[name] for name in path if name in operation.request.__struct_fields__}
    try:
        asked = operation.request_from_wire(tuple(query), {}, document, **given)
    except (xml.XmlUnreadable, ParameterUnreadable):
        return
    written = operation.to_wire(asked)
    again = operation.request_from_wire(tuple(query), {}, written.body, **given)
    assert again == asked, (operation.name, asked, again)


@cache
def _gate() -> Gate:
    return Gate({"ak": "sk"}, "cn-hangzhou")


def signature(data: bytes) -> None:
    """Nobody is let in by luck: a signature in headers or query is refused, or there is none."""
    lines = data.decode("utf-8", "replace").split("\n")
    names = ("authorization", "date", "x-oss-date", "x-oss-security-token", "content-type", "content-md5")
    headers = {name: value.strip() for name, value in zip(names, lines[1:], strict=False) if value}
    headers["x-oss-content-sha256"] = "UNSIGNED-PAYLOAD"
    query: Query = ()
    with suppress(InvalidInput):
        query = parse_query(lines[0], plus_is_space=True)
    try:
        caller = _gate().identify("GET", "/bucket/key", query, headers, NOW_S)
    except ServiceError:
        return
    assert caller.anonymous, headers


def _read_form(pieces: list[bytes]) -> tuple[bytes, bool, list[dict[str, str]]] | None:
    seen: list[dict[str, str]] = []
    reader = FormReader(
        f"multipart/form-data; boundary={BOUNDARY.decode()}", lambda fields: seen.append(dict(fields))
    )
    try:
        return b"".join(reader.feed(piece) for piece in pieces), reader.complete, seen
    except ServiceError:
        return None


def post_form(data: bytes) -> None:
    """A form is refused, or means the same in one piece and byte by byte; nobody signs one by luck."""
    form = b"--" + BOUNDARY + b"\r\n" + data
    whole, cut = (_read_form([form]), _read_form([form[at : at + 1] for at in range(len(form))]))
    assert whole == cut
    if whole is None:
        return
    for fields in whole[2]:
        with suppress(ServiceError):
            assert _gate().identify_form(fields, NOW_S).anonymous
        with suppress(ServiceError):
            read_post_policy(fields.get("policy", "")).check(fields, "bucket", NOW_S)


def target_and_query(data: bytes) -> None:
    """A target is refused by an error of its own, or asks for a call."""
    first, _, rest = data.partition(b"\n")
    host, _, target = first.decode("utf-8", "replace").partition(" ")
    path, _, query = target.partition("?")
    try:
        found = split_target(host, path, HOSTS)
        pairs = parse_query(query, plus_is_space=True)
    except InvalidInput:
        return
    scope = next(one.scope for one in OPERATIONS if one.name == ("GetObject" if found.key else "ListBuckets"))
    with suppress(ServiceError):
        find_operation(rest.decode("latin-1")[:7] or "GET", scope, pairs, {})


def bucket_policy(data: bytes) -> None:
    """A policy is refused, or says yes, no or nothing of what is asked."""
    document, _, resource = data.partition(b"\x00")
    try:
        policy = read_policy(document)
    except ServiceError:
        return
    facts = {"acs:sourceip": "127.0.0.1", "acs:securetransport": "true", "acs:currenttime": "nonsense"}
    name = resource.decode("utf-8", "replace")[:1000]
    asked = Asked(("1",), "oss:GetObject", f"acs:oss:*:1:{name}", facts)
    assert policy.verdict(asked) in ("Allow", "Deny", None)
    assert policy.is_public in (True, False)


def small_values(data: bytes) -> None:
    """Ranges, callbacks and policies of forms are refused or read, each by its own error."""
    text = data.decode("utf-8", "replace")
    for size in (0, 1, 1000):
        for strict in (False, True):
            with suppress(ServiceError):
                found = wanted_range(text, size, strict=strict)
                assert found is None or (found.length > 0 and found.offset + found.length <= size)
    with suppress(ServiceError):
        source_range(text)
    encoded = base64.b64encode(data).decode()
    for value in (text, encoded):
        with suppress(ServiceError):
            callback.read(value, None)
        with suppress(ServiceError):
            callback.read(
                base64.b64encode(b'{"callbackUrl": "http://h/", "callbackBody": "x"}').decode(), value
            )
        with suppress(ServiceError):
            read_post_policy(value)


def selection(data: bytes) -> None:
    """A statement about an object is refused or answered, and the same however the object is cut."""
    sql, _, content = data.partition(b"\0")
    try:
        statement = parse(sql.decode("utf-8", "replace"))
    except ServiceError:
        return
    csv = CsvJob(
        statement=statement,
        dialect=Dialect(comment=b"#"),
        output=Dialect(field_delimiter=b";"),
        header=HeaderUse.USE if content[:1].isalpha() else HeaderUse.NONE,
        max_skipped=1,
    )
    json = JsonJob(statement=statement, lines=len(content) % 2 == 0, max_skipped=1)
    for cut in (1, 7):
        assert _selected(select_csv, csv, content, cut) == _selected(select_csv, csv, content, 1 << 20)
        assert _selected(select_json, json, content, cut) == _selected(select_json, json, content, 1 << 20)


def _selected(
    select: Callable[[Any, Open], Iterator[Piece]], job: object, content: bytes, cut: int
) -> tuple[bytes, str]:
    found = b""
    try:
        for piece in select(job, lambda: _cut(content, cut)):
            found += piece.data
    except ServiceError as error:
        return found, error.code
    return found, ""


def _cut(content: bytes, cut: int) -> Iterator[tuple[int, bytes]]:
    for start in range(0, len(content), cut):
        yield min(start + cut, len(content)), content[start : start + cut]


@cache
def _app() -> App:
    directory = TemporaryDirectory(prefix="penstock-fuzz-", ignore_cleanup_errors=True)
    store = LocalStore.open(directory.name, "none")
    service = Service(store=store, clock=lambda: float(NOW_S))
    app = App(service, Gate({"ak": "sk"}, "cn-hangzhou"), HOSTS)
    app._directory = directory  # type: ignore[attr-defined]  # gone when the app is
    return app


class _Owner(Gate):
    """Takes everybody for the owner, so that what owners may ask is reached too."""

    def identify(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
        from penstock.server.guard.gate import caller_of

        return caller_of("ak", self.users["ak"])


def whole_server(data: bytes) -> None:
    """No request is answered with 500: what is wrong with it is said."""
    head, end, body = data.partition(END)
    try:
        found = read_head(head + end)
    except HeadInvalid:
        return
    app = _app()
    app._gate = _Owner({"ak": "sk"})
    app.handle(Request("PUT", "/bucket/", "", {"host": "h", "content-length": "0"}))
    app.handle(Request("PUT", "/bucket/key", "", {"host": "h", "content-length": "1"}, 1), b"x")
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {**found.headers, "host": "h", "content-length": str(len(body))}
    if "content-md5" in headers:
        headers["content-md5"] = md5
    request = Request(found.method, found.path, found.query, headers, len(body))
    response = app.handle(request, body)
    _check_answer(response, data)


def _check_answer(response: Response, data: bytes) -> None:
    code = response.about.code
    if isinstance(response.body, ObjectBody):
        assert len(response.body.read()) == response.body.length
        response.body.close()
    if isinstance(response.body, StreamedBody):
        response.body.read()
        response.body.close()
    assert 200 <= response.status < 500, (code, response.body, data)
    assert "x-oss-request-id" in response.headers
    if (
        code
        and isinstance(response.body, bytes)
        and response.headers.get("content-type") == "application/xml"
    ):
        assert f"<Code>{code}</Code>".encode() in response.body
        xml.parse(response.body)


TARGETS: dict[str, Target] = {
    one.__name__: one
    for one in (
        http_head,
        chunked_body,
        xml_document,
        signature,
        post_form,
        target_and_query,
        bucket_policy,
        small_values,
        selection,
        whole_server,
    )
}

_PUT = b"PUT /bucket/key?x=1 HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello"
_POLICY = {
    "Version": "1",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["oss:Get*"],
            "Principal": ["*"],
            "Resource": ["acs:oss:*:*:b/*"],
            "Condition": {
                "IpAddress": {"acs:SourceIp": ["10.0.0.0/8"]},
                "DateLessThan": {"acs:CurrentTime": "2026-01-01T00:00:00Z"},
                "StringLike": {"oss:Prefix": "a*b?"},
            },
        }
    ],
}
_FIELD = b'Content-Disposition: form-data; name="%b"\r\n\r\n%b\r\n--' + BOUNDARY + b"\r\n"
_FILE = (
    b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\nbytes'
)
_FORM = _FIELD % (b"key", b"a/${filename}") + _FIELD % (b"OSSAccessKeyId", b"ak") + _FILE
_V4 = b"OSS4-HMAC-SHA256 Credential=ak/20261122/cn-hangzhou/oss/aliyun_v4_request,Signature=" + b"0" * 64
_BODIES = {
    b"?delete": b"<Delete><Quiet>true</Quiet><Object><Key>k</Key><VersionId>v</VersionId></Object></Delete>",
    b"?cors": b"<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>PUT"
    b"</AllowedMethod></CORSRule><ResponseVary>true</ResponseVary></CORSConfiguration>",
    b"?lifecycle": b"<LifecycleConfiguration><Rule><ID>r</ID><Prefix>a</Prefix><Status>Enabled</Status>"
    b"<Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
    b"?website": b"<WebsiteConfiguration><IndexDocument><Suffix>i.html</Suffix></IndexDocument>"
    b"</WebsiteConfiguration>",
    b"?versioning": b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    b"?tagging": b"<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>",
    b"?policy": json.dumps(_POLICY).encode(),
    b"": b"<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>",
}
_DEEP = b"[" * 3500
_SELECTION = (
    b"<SelectRequest><Expression>c2VsZWN0IF8xIGZyb20gb3Nzb2JqZWN0IHdoZXJlIF8xID4gMA==</Expression>"
    b"<InputSerialization><CompressionType>None</CompressionType><CSV><FileHeaderInfo>None</FileHeaderInfo>"
    b"<RecordDelimiter>Cg==</RecordDelimiter><Range>line-range=0-9</Range></CSV><JSON><Type>LINES</Type></JSON>"
    b"</InputSerialization><OutputSerialization><OutputRawData>false</OutputRawData></OutputSerialization>"
    b"<Options><MaxSkippedRecordsAllowed>1</MaxSkippedRecordsAllowed></Options></SelectRequest>"
)
_CALLS = [
    (b"GET", b"/"),
    (b"GET", b"/bucket/?list-type=2&prefix=a&delimiter=/&max-keys=2&encoding-type=url&start-after=b"),
    (b"GET", b"/bucket/?versions&key-marker=a&version-id-marker=b"),
    (b"GET", b"/bucket/?uploads&max-uploads=1&key-marker=k&upload-id-marker=u"),
    (b"GET", b"/bucket/key?response-content-type=a/b&versionId=null"),
    (b"HEAD", b"/bucket/key?objectMeta"),
    (b"HEAD", b"//bucket/key"),
    (b"POST", b"/bucket/key?append&position=1"),
    (b"POST", b"/bucket/key?uploads&sequential"),
    (b"PUT", b"/bucket/key?partNumber=1&uploadId=0"),
    (b"POST", b"/bucket/key?restore"),
    (b"PUT", b"/bucket/key?symlink"),
    (b"DELETE", b"/bucket/key?uploadId=0"),
    (b"OPTIONS", b"/bucket/key"),
    (b"GET", b"/?Action=AssumeRole&RoleArn=a&RoleSessionName=b&Format=JSON"),
]

SEEDS: dict[str, list[bytes]] = {
    "http_head": [_PUT, b"GET http://h/a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"],
    "chunked_body": [b"5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\nrest", b"a\r\n0123456789\r\n00\r\n\r\n"],
    "xml_document": [
        bytes([index]) + body for index in range(len(_DOCUMENTS)) for body in list(_BODIES.values())[:3]
    ]
    + [
        b"\0<Delete>" + b"<Object>" * 10_000,
        b"\0<Delete>" + b"<a>" * 10_000 + b"</a>" * 10_000 + b"</Delete>",
    ],
    "signature": [
        b"\n" + _V4 + b"\nSun, 22 Nov 2026 15:03:38 GMT\n20261122T150338Z",
        b"\nOSS ak:c2lnbmF0dXJl\nSun, 22 Nov 2026 15:03:38 GMT",
        b"\nOSS2 AccessKeyId:ak,AdditionalHeaders:a;b,Signature:c2lnbmF0dXJl\nSun, 22 Nov 2026 15:03:38 GMT",
        b"OSSAccessKeyId=ak&Expires=1795358600&Signature=c2lnbmF0dXJl&security-token=t",
        b"x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=ak/20261122/cn-hangzhou/oss/"
        b"aliyun_v4_request&x-oss-date=20261122T150338Z&x-oss-expires=600&x-oss-signature=00"
        b"&x-oss-additional-headers=host",
        b"x-oss-signature-version=OSS2&x-oss-access-key-id=ak&x-oss-expires=1795358600&x-oss-signature=00",
    ],
    "post_form": [_FORM + b"\r\n--" + BOUNDARY + b"--\r\n", _FORM + b"\r\n--b0un"],
    "target_and_query": [b"b.oss.localhost:9 /a%2Fb+c?uploads=&partNumber=1\nPUT", b"[::1] //\nGET"],
    "bucket_policy": [json.dumps(_POLICY).encode() + b"\x00b/key", _DEEP],
    "small_values": [
        _DEEP,
        b"bytes=1-5",
        b'{"callbackUrl": "http://h/;h2", "callbackBody": "${x:a}", "callbackHost": "h"}',
        b'{"expiration": "2027-01-01T00:00:00.000Z", "conditions": [["starts-with", "$key", "a"],'
        b' {"bucket": "b"}, ["content-length-range", 1, 9], ["in", "$content-type", ["a/b"]]]}',
    ],
    "selection": [
        b"select a, cast(_2 as int) as b from ossobject where a like 'x%' or _2 in (1, 2.5)\0"
        b'a,b\nx,1\n"x\n",y',
        b"select count(*), sum(cast(_1 as double)) from ossobject limit 2\x00#c\n1\n2\n3",
        b"select s.a.b[0], s.c from ossobject.d[*] s where s.c is null and not s.e > 1\0"
        b'{"d": [{"a": {"b": [1]}, "c": null, "e": 0.5}, {"e": "x"}]}',
        b"select * from ossobject.a['b c'] where true\0" + b'{"a": {"b c": "\\u4e2d"}}, {"a": 1}',
        b"select * from ossobject where _1 + _2 % 3 = 1 and (_1 || _2) != '1'\x001,2\n3,4\n",
        b"select * from ossobject\0" + _DEEP,
    ],
    "whole_server": [
        _PUT,
        *(
            b"POST /bucket/key?x-oss-process=%b HTTP/1.1\r\nHost: h\r\n\r\n%b" % asked
            for asked in (
                (b"csv/select", _SELECTION),
                (b"json/select", _SELECTION),
                (b"csv/meta", b"<CsvMetaRequest></CsvMetaRequest>"),
                (b"json/meta", b"<JsonMetaRequest></JsonMetaRequest>"),
            )
        ),
        *(
            b"%b /bucket/%b HTTP/1.1\r\nHost: h\r\nContent-MD5: x\r\n\r\n%b"
            % (b"POST" if mark == b"?delete" else b"PUT", mark, body)
            for mark, body in _BODIES.items()
        ),
        *(
            b"%b %b HTTP/1.1\r\nHost: h\r\nRange: bytes=0-1\r\nOrigin: o\r\n\r\nbody" % call
            for call in _CALLS
        ),
        b"PUT /bucket/?policy HTTP/1.1\r\nHost: h\r\n\r\n" + _DEEP,
        b"PUT /bucket/key HTTP/1.1\r\nHost: h\r\nx-oss-callback: %b\r\n\r\n" % base64.b64encode(_DEEP),
        b"POST /bucket/ HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=b0undary\r\n\r\n--"
        + BOUNDARY
        + b"\r\n"
        + _FORM
        + b"\r\n--b0undary--\r\n",
        b"PUT /bucket/copy HTTP/1.1\r\nHost: h\r\nx-oss-copy-source: /bucket/key?versionId=null\r\n"
        b"x-oss-metadata-directive: REPLACE\r\nx-oss-meta-a: b\r\nx-oss-tagging: a=b&c\r\n\r\n",
    ],
}
