"""SelectObject and CreateSelectObjectMeta on the server: who may, what is answered, and at what cost."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from server_desk import Answer, Desk, Wire, receive

from penstock.protocol import xml
from penstock.protocol.operations import select as wire_select
from penstock.protocol.select_frames import (
    ContinuousFrame,
    DataFrame,
    EndFrame,
    Frame,
    FrameReader,
    MetaEndFrame,
)
from penstock.protocol.signing import Credentials
from penstock.server.handlers import selecting
from penstock.server.http.response import StreamedBody
from penstock.server.local_oss import LocalOss
from penstock.server.store.interface import OpenObject

CSV = "/photos/a.csv?x-oss-process=csv%2Fselect"
JSON = "/photos/a.json?x-oss-process=json%2Fselect"
CSV_META = "/photos/a.csv?x-oss-process=csv%2Fmeta"
OTHER = Credentials("other", "other-account-secret")
DATA = b"name,age\nLora,27\nRosie,44\n"


def base64_of(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def asked(
    sql: str, *, csv: dict[str, Any] | None = None, json: dict[str, Any] | None = None, **more: Any
) -> bytes:
    """The document of a request."""
    options = {name: more.pop(name) for name in ("skip_partial", "max_skipped") if name in more}
    compression = more.pop("compression", None)
    forms = {form: more.pop(f"{form}_output") for form in ("csv", "json") if f"{form}_output" in more}
    selection = wire_select.Selection(
        expression=base64_of(sql),
        input=wire_select.Input(
            compression=compression,
            csv=None if csv is None else wire_select.CsvFormat(**csv),
            json=None if json is None else wire_select.JsonFormat(**json),
        ),
        output=wire_select.Output(**more, **forms),
        options=wire_select.Options(**options),
    )
    return xml.document(selection, "SelectRequest")


def frames_of(answer: Answer) -> list[Frame]:
    reader = FrameReader()
    frames = reader.feed(answer.body)
    assert reader.between_frames
    return frames


@pytest.fixture
def table(bucket: Desk) -> Desk:
    """The desk, with ``photos/a.csv``."""
    assert bucket("PUT", "/photos/a.csv", DATA).status == 200
    return bucket


def test_records_come_in_frames_whose_end_says_how_it_went(table: Desk) -> None:
    answer = table("POST", CSV, asked("select name from ossobject where age > 40", csv={"header": "Use"}))
    assert answer.status == 206
    assert answer.headers["x-oss-select-output-raw"] == "false"
    assert "content-length" not in answer.headers
    assert frames_of(answer) == [DataFrame(len(DATA), b"Rosie\n"), EndFrame(len(DATA), len(DATA), 200)]


def test_records_come_as_they_are_if_that_is_asked_for(table: Desk) -> None:
    answer = table("POST", CSV, asked("select * from ossobject", raw=True))
    assert answer.headers["x-oss-select-output-raw"] == "true"
    assert answer.body == DATA


def test_json_is_asked_likewise_and_repeated_keys_are_told(bucket: Desk) -> None:
    bucket("PUT", "/photos/a.json", b'{"a": 1}\n{"a": 2}')
    output = wire_select.OutputFormat(record_delimiter=base64_of(","))
    lines = {"type": "LINES", "range": "line-range=1-1"}
    answer = bucket("POST", JSON, asked("select s.a, s.a from ossobject s", json=lines, json_output=output))
    assert answer.headers["x-oss-select-output-json-dup-key"] == "true"
    assert frames_of(answer)[0] == DataFrame(17, b'{"a":2,"a":2},')


def test_what_is_packed_is_unpacked(bucket: Desk) -> None:
    bucket("PUT", "/photos/a.csv", gzip.compress(DATA))
    answer = bucket("POST", CSV, asked("select count(*) from ossobject", compression="GZIP"))
    assert frames_of(answer)[0].data == b"3\n"
    bucket("PUT", "/photos/a.csv", DATA)
    answer = bucket("POST", CSV, asked("select count(*) from ossobject", compression="gzip"))
    assert (answer.status, answer.code) == (400, "DecompressFailure")


def test_an_object_is_counted(table: Desk) -> None:
    document = xml.document(wire_select.MetaRequest(), "CsvMetaRequest")
    answer = table("POST", CSV_META, document)
    assert answer.status == 200
    size = len(DATA)
    assert frames_of(answer) == [MetaEndFrame(size, size, 200, splits=1, rows=3, columns=2)]
    table("PUT", "/photos/a.json", b'{"a":1},{"a":2}')
    lines = wire_select.Input(json=wire_select.JsonFormat(type="LINES"))
    document = xml.document(wire_select.MetaRequest(input=lines), "JsonMetaRequest")
    answer = table("POST", "/photos/a.json?x-oss-process=json%2Fmeta", document)
    assert frames_of(answer) == [MetaEndFrame(15, 15, 200, splits=1, rows=2)]


def test_an_error_from_the_beginning_is_an_answer_and_a_later_one_an_end_frame(bucket: Desk) -> None:
    bucket("PUT", "/photos/a.csv", b"soon\n1\n")
    answer = bucket("POST", CSV, asked("select _1 from ossobject where _1 > 0"))
    assert (answer.status, answer.code) == (400, "InvalidCsvLine")
    bucket("PUT", "/photos/a.csv", b"1\nsoon\n2\n")
    data, end = frames_of(bucket("POST", CSV, asked("select _1 from ossobject where _1 > 0")))
    assert data.data == b"1\n"
    assert isinstance(end, EndFrame)
    assert end.status == 400
    assert end.message.startswith("InvalidCsvLine.")


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (asked(""), "InvalidSqlParameter"),
        (asked("select * from ossobject where _1 = '" + "a" * 16400 + "'"), "InvalidSqlParameter"),
        (asked("selct * from ossobject"), "SqlSyntaxError"),
        (asked("select * from ossobject.a"), "TableRootNodeOnlySupportInJson"),
        (asked("select * from ossobject", raw=True, payload_crc=True), "InvalidOSSSelectParameters"),
        (asked("select * from ossobject", compression="ZIP"), "UnsupportedCompressionFormat"),
        (asked("select * from ossobject", max_skipped="many"), "InvalidMaxSkippedRecordsAllowed"),
        (asked("select * from ossobject", max_skipped="-1"), "InvalidMaxSkippedRecordsAllowed"),
        (asked("select * from ossobject", csv={"range": "lines 1-2"}), "InvalidRange"),
        (asked("select * from ossobject", csv={"header": "Perhaps"}), "InvalidArgument"),
        (asked("select * from ossobject", csv={"record_delimiter": "YWJj"}), "InvalidInputRecordDelimiter"),
        (asked("select * from ossobject", csv={"field_delimiter": "YWI="}), "InvalidInputFieldDelimiter"),
        (asked("select * from ossobject", csv={"quote": "?"}), "InvalidInputQuote"),
        (asked("select * from ossobject", csv={"comment": "YWI="}), "InvalidCommentCharacter"),
        (
            asked("select * from ossobject", csv_output=wire_select.OutputFormat(field_delimiter="YWI=")),
            "InvalidOutputFieldDelimiter",
        ),
        (
            asked("select * from ossobject", csv_output=wire_select.OutputFormat(record_delimiter="YWJj")),
            "InvalidOutputRecordDelimiter",
        ),
        (
            asked("select * from ossobject", csv={"range": "line-range=0-1"}, compression="GZIP"),
            "SelectCsvMetaUnavailable",
        ),
        (b"<SelectRequest><Expression>!</Expression></SelectRequest>", "InvalidSqlParameter"),
        (b"<SelectRequest></SelectRequest>", "InvalidSqlParameter"),
        (b"<Other/>", "MalformedXML"),
        (b"", "MalformedXML"),
    ],
)
def test_what_is_wrong_with_a_request_is_told_by_its_code(table: Desk, document: bytes, code: str) -> None:
    answer = table("POST", CSV, document)
    assert (answer.status, answer.code) == (400, code)


def test_ranges_of_bytes_need_records_without_quoted_delimiters(table: Desk) -> None:
    plain = {"quoted_record_delimiters": False}
    answer = table("POST", CSV, asked("select * from ossobject", csv=plain), range="bytes=0-1")
    assert frames_of(answer)[0].data == b"name,age\n"
    for csv in ({}, {**plain, "range": "line-range=0-1"}):
        answer = table("POST", CSV, asked("select * from ossobject", csv=csv), range="bytes=0-1")
        assert (answer.status, answer.code) == (400, "InvalidRange")


def test_json_has_no_ranges_of_bytes_and_documents_have_none_at_all(bucket: Desk) -> None:
    bucket("PUT", "/photos/a.json", b"{}")
    for options, headers in (
        ({"type": "LINES"}, {"range": "bytes=0-1"}),
        ({"type": "DOCUMENT", "range": "line-range=0-1"}, {}),
    ):
        answer = bucket("POST", JSON, asked("select * from ossobject", json=options), **headers)
        assert answer.code == "InvalidRange"
    assert bucket("POST", JSON, asked("select * from ossobject", json={})).code == "InvalidArgument"


def test_an_object_that_is_not_there_or_not_readable_is_told_so(bucket: Desk) -> None:
    document = asked("select * from ossobject")
    assert bucket("POST", CSV, document).code == "NoSuchKey"
    bucket("PUT", "/photos/a.csv", DATA, x_oss_storage_class="Archive")
    assert bucket("POST", CSV, document).code == "InvalidObjectState"


def test_a_version_and_a_symbolic_link_are_read_through(bucket: Desk) -> None:
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    bucket("PUT", "/photos/?versioning", enabled)
    version = bucket("PUT", "/photos/a.csv", b"old\n").headers["x-oss-version-id"]
    bucket("PUT", "/photos/a.csv", b"new\n")
    document = asked("select * from ossobject", raw=True)
    assert bucket("POST", f"{CSV}&versionId={version}", document).body == b"old\n"
    bucket("PUT", "/photos/link?symlink", x_oss_symlink_target="a.csv")
    assert bucket("POST", "/photos/link?x-oss-process=csv%2Fselect", document).body == b"new\n"


def test_other_processing_is_still_not_there(table: Desk) -> None:
    for method in ("POST", "PUT", "DELETE"):
        answer = table(method, "/photos/a.csv?x-oss-process=sys%2Fsaveas", b"")
        assert answer.element("Resource") == "x-oss-process=sys/saveas"
        assert answer.code == "NotImplemented"
    assert table("DELETE", CSV).code == "MethodNotAllowed"
    assert table("GET", "/photos/a.csv").body == DATA


# -- who may


def test_who_may_read_an_object_may_select_from_it_and_who_may_write_it_may_count_it(table: Desk) -> None:
    def may(action: str) -> list[int]:
        statement = {
            "Effect": "Allow",
            "Action": [action],
            "Resource": ["acs:oss:*:*:photos/*"],
            "Principal": ["*"],
        }
        policy = json.dumps({"Version": "1", "Statement": [statement]}).encode()
        assert table("PUT", "/photos/?policy", policy).status == 200
        count = xml.document(wire_select.MetaRequest(), "CsvMetaRequest")
        select = asked("select * from ossobject")
        return [table("POST", to, body, keys=OTHER).status for to, body in ((CSV, select), (CSV_META, count))]

    assert may("oss:GetObject") == [206, 403]
    assert may("oss:PutObject") == [403, 200]


def test_who_does_not_sign_may_select_from_what_is_public(table: Desk) -> None:
    document = asked("select * from ossobject", raw=True)
    assert table("POST", CSV, document, keys=None).status == 403
    table("PUT", "/photos/?acl", x_oss_acl="public-read")
    assert table("POST", CSV, document, keys=None).body == DATA


# -- the cost


def test_a_continuous_frame_says_that_the_work_goes_on(table: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selecting, "_read", endless)
    body = asked("select * from ossobject where _1 = 'x'")
    response = table.app.handle(table.request("POST", CSV, len(body)), body)
    assert isinstance(response.body, StreamedBody)
    assert [response.body.next() for _ in range(3)] == [b""] * 3
    table.clock[0] += selecting.QUIET_S
    piece = response.body.next()
    assert piece is not None
    (frame,) = FrameReader().feed(piece)
    assert isinstance(frame, ContinuousFrame)
    assert response.body.next() == b""
    response.body.close()
    assert response.body.next() is None


def endless(opened: OpenObject) -> Iterator[tuple[int, bytes]]:
    """An object without an end."""
    end = 0
    while True:
        end += 8
        yield end, b"abc,def\n"


@pytest.fixture
def endless_table(
    serve: Callable[..., tuple[LocalOss, Wire]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Wire, threading.Event]:
    """A server whose ``photos/a.csv`` has no end, and what is set once somebody lets go of it."""
    let_go = threading.Event()
    real = selecting.opened_for_reading

    def opened(call: Any, version_id: str | None) -> OpenObject:
        found = real(call, version_id)
        close = found.close

        def closed() -> None:
            close()
            let_go.set()

        monkeypatch.setattr(type(found), "close", lambda self: closed() if self is found else None)
        return found

    monkeypatch.setattr(selecting, "_read", endless)
    monkeypatch.setattr(selecting, "opened_for_reading", opened)
    _, wire = serve()
    assert wire.ask("PUT", "/photos/").status == 200
    assert wire.ask("PUT", "/photos/a.csv", DATA).status == 200
    return wire, let_go


def begin(wire: Wire, document: bytes) -> socket.socket:
    """Asks, and gives the connection once the head of the answer has come."""
    connection = wire.connect()
    length = str(len(document))
    connection.sendall(wire.head("POST", CSV, content_length=length) + document)
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert b" 206 " in head
    assert b"Transfer-Encoding: chunked" in head
    return connection


@pytest.mark.parametrize(
    "sql", ["select * from ossobject where _1 = 'x'", "select * from ossobject"], ids=["silent", "talking"]
)
@pytest.mark.parametrize("raw", [True, False])
def test_a_scan_ends_when_whoever_asked_for_it_is_gone(
    endless_table: tuple[Wire, threading.Event], sql: str, raw: bool
) -> None:
    wire, let_go = endless_table
    connection = begin(wire, asked(sql, raw=raw))
    assert not let_go.is_set()
    connection.close()
    assert let_go.wait(20)


def test_others_are_answered_while_a_scan_goes_on(endless_table: tuple[Wire, threading.Event]) -> None:
    wire, let_go = endless_table
    connections = [begin(wire, asked("select * from ossobject where _1 = 'x'")) for _ in range(4)]
    assert wire.ask("GET", "/photos/a.csv").body == DATA
    assert not let_go.is_set()
    for connection in connections:
        connection.close()


def test_the_connection_goes_on_after_an_answer_in_chunks(wire: Wire) -> None:
    assert wire.ask("PUT", "/photos/a.csv", DATA).status == 200
    connection = wire.connect()
    document = asked("select * from ossobject", raw=True)
    for _ in range(2):
        length = str(len(document))
        connection.sendall(wire.head("POST", CSV, content_length=length) + document)
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n"):
            piece = connection.recv(65536)
            assert piece
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        assert b"Content-Length" not in head
        assert body == b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
    connection.sendall(wire.head("GET", "/photos/a.csv"))
    assert receive(connection).body == DATA


def test_who_knows_no_chunks_learns_of_the_end_by_the_end_of_the_connection(wire: Wire) -> None:
    assert wire.ask("PUT", "/photos/a.csv", DATA).status == 200
    document = asked("select * from ossobject", raw=True)
    head = wire.head("POST", CSV, content_length=str(len(document)), connection="keep-alive")
    connection = wire.connect()
    connection.sendall(head.replace(b" HTTP/1.1", b" HTTP/1.0", 1) + document)
    data = b""
    while piece := connection.recv(65536):
        data += piece
    assert data.partition(b"\r\n\r\n")[2] == DATA


def test_an_answer_without_frames_that_goes_wrong_does_not_end(wire: Wire) -> None:
    assert wire.ask("PUT", "/photos/a.csv", b"1\nsoon\n").status == 200
    document = asked("select * from ossobject where _1 > 0", raw=True)
    connection = wire.connect()
    connection.sendall(wire.head("POST", CSV, content_length=str(len(document))) + document)
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    assert b"0\r\n\r\n" not in data.partition(b"\r\n\r\n")[2]
